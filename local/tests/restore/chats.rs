//! Chats in a table that was restored to an earlier time.

use std::sync::Arc;

use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, text};

const RESTORED: &str = "maskline-restored";
const WHATSAPP: &str = "447700900099";

/// Settings of a deployment with a sender on WhatsApp.
const SENDER: [(&str, &str); 2] = [("TEXTS_BY", "messages-api"), ("WHATSAPP_SENDER", WHATSAPP)];

/// Has a phone write to the sender on WhatsApp.
async fn chat(laptop: &Laptop, from: &str, words: &str) {
    laptop.advance(1);
    let sent = laptop.text(json!({"from": from, "to": WHATSAPP, "channel": "whatsapp", "text": words})).await;
    assert_eq!(sent[0]["deliveries"], json!([200]), "{sent:?}");
}

#[tokio::test]
async fn after_a_repair_people_are_texted_where_they_take_texts() {
    let laptop = Laptop::builder().env(&SENDER).numbers("GB", 2).start().await;
    let conversation = laptop.create_with(json!({"expires_in": 7200, "notify": false})).await;
    let write = async |laptop: &Laptop, side: usize, words: &str| {
        let to = text(&conversation, &format!("/participants/{side}/dials"));
        laptop.advance(1);
        laptop.signed_post("/webhooks/message", &sms([RIDER, DRIVER][side], to, words).to_string()).await
    };
    chat(&laptop, RIDER, "Where are you?").await;
    laptop.copy_table(RESTORED).await;
    chat(&laptop, DRIVER, "Two minutes.").await;
    chat(&laptop, RIDER, "STOP").await;
    let environment = laptop.stack.environment.clone().with([("TABLE_NAME".to_owned(), RESTORED.to_owned())]);
    for opt_outs in [1, 0] {
        let restored = local::restore::repair(&environment, Arc::new(laptop.clock.clone())).await.unwrap();
        assert_eq!((restored.opt_outs, restored.unreadable), (opt_outs, 0), "{restored:?}");
    }
    let repaired = Laptop::builder().env(&SENDER).beside(&laptop, RESTORED).start().await;
    // The rider's wish is of after the restored time.
    assert_eq!(write(&repaired, 1, "Here.").await.status, 200);
    assert!(repaired.texts(RIDER).await.is_empty());
    assert_eq!(repaired.texts(DRIVER).await.len(), 1, "the writer is told");
    // The table does not know that the driver chats, so an SMS comes.
    assert_eq!(write(&repaired, 0, "At the gate.").await.status, 200);
    let received = repaired.texts(DRIVER).await;
    assert_eq!((received.len(), &received[1]["channel"]), (2, &Value::Null), "{received:?}");
    // It does from the next message on. The driver is told again, by the other sender.
    chat(&repaired, DRIVER, "I see you.").await;
    assert_eq!(write(&repaired, 0, "Good.").await.status, 200);
    let received = repaired.texts(DRIVER).await;
    assert_eq!((received.len(), &received[3]["channel"]), (4, &json!("whatsapp")), "{received:?}");
    repaired.table().await;
}

/// Returns the webhook of an SMS.
fn sms(from: &str, to: &str, words: &str) -> Value {
    json!({"channel": "sms", "message_uuid": uuid::Uuid::new_v4().to_string(), "from": from, "to": to.trim_start_matches('+'),
           "message_type": "text", "text": words})
}
