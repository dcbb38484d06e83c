//! Crashes while the end of a conversation slides.

use create_conversation::CreateConversation;
use event_webhook::EventWebhook;
use jiff::Timestamp;
use message_webhook::MessageWebhook;
use serde_json::{Value, json};
use shared::clock::Clock;
use testkit::{Laptop, string};

use crate::events;
use crate::scenario::{Functions, Scenario, at_every_request, builder};

const PHONES: [&str; 2] = ["447700900001", "447700900002"];

/// Creates a conversation of ten minutes that lasts ten minutes after its last use, in which B only receives.
async fn create(laptop: &Laptop) -> Value {
    let body = json!({"participants": PHONES.map(|number| json!({"number": format!("+{number}")})), "notify": false,
                      "direction": "a_to_b", "expires_in": 600, "extend_on_use": 600});
    Functions::of(laptop).answer::<CreateConversation>(&events::creation(&body, None)).await.body
}

/// Checks that a conversation ends ten minutes after its use.
async fn check(laptop: &Laptop, id: &str, used_at: Timestamp) {
    let shown = laptop.get(&format!("/conversations/{id}")).await.body;
    let end: Timestamp = string(&shown["expires_at"]).parse().unwrap();
    assert_eq!((end.as_second(), &shown["state"]), (used_at.as_second() + 600, &json!("active")), "{shown}");
    laptop.table().await;
}

#[tokio::test]
async fn end_slides_once_after_a_crash_of_an_event() {
    at_every_request("POST /webhooks/event/{id} of a use", 6, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let created = create(&laptop).await;
        let id = string(&created["id"]);
        laptop.advance(300);
        let used_at = laptop.clock.now();
        let body = json!({"from": created["participants"][0]["masked_by"], "to": PHONES[1], "direction": "outbound",
                          "uuid": "63f61863-4a51-4f6b-86e1-46edebcf9356", "status": "completed",
                          "conversation_uuid": "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab",
                          "timestamp": format!("{used_at:.3}")});
        let event = || events::step(&id, None, &body, &laptop.signature(Some(&body.to_string())));
        let first = event();
        scenario.run(&laptop, async |functions| drop(functions.answer::<EventWebhook>(&first).await)).await;
        // Vonage sends the event again.
        for _ in 0..2 {
            let answer = Functions::of(&laptop).answer::<EventWebhook>(&event()).await;
            assert_eq!(answer.status, 204, "{answer:?}");
        }
        check(&laptop, &id, used_at).await;
        scenario
    })
    .await;
}

#[tokio::test]
async fn end_slides_after_a_crash_of_a_text_that_was_sent() {
    at_every_request("POST /webhooks/message of a use", 6, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let created = create(&laptop).await;
        let id = string(&created["id"]);
        laptop.advance(300);
        let written_at = laptop.clock.now();
        let body = json!({"channel": "sms", "message_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "from": PHONES[0],
                          "to": created["participants"][0]["dials"], "text": "I am here.",
                          "timestamp": format!("{written_at:.3}")});
        let message = || events::message(&body, &laptop.signature(Some(&body.to_string())));
        let first = message();
        scenario.run(&laptop, async |functions| drop(functions.answer::<MessageWebhook>(&first).await)).await;
        for _ in 0..2 {
            let answer = Functions::of(&laptop).answer::<MessageWebhook>(&message()).await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        let shown = laptop.get(&format!("/conversations/{id}")).await.body;
        let state = string(&shown["texts"][0]["state"]);
        match state.as_str() {
            "sent" | "delivered" => check(&laptop, &id, written_at).await,
            // A use that is not known to be one.
            "unknown" => drop(laptop.table().await),
            "failed" => {}
            other => panic!("{other}"),
        }
        assert!(laptop.texts(PHONES[1]).await.len() <= 1);
        scenario
    })
    .await;
}
