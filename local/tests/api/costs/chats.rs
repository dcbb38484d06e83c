//! The cost of texts between participants, by SMS and on WhatsApp.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER};

use super::{Cost, costs, dials};

const WHATSAPP: &str = "447700900099";
const MESSAGE: &str = "/v1/messages";

/// Returns the status of the webhook of a message.
async fn receive(laptop: &Laptop, message: Value) -> u16 {
    let mut body = json!({"message_uuid": uuid::Uuid::new_v4().to_string(), "message_type": "text", "text": "Here."});
    body.as_object_mut().unwrap().extend(message.as_object().cloned().unwrap_or_default());
    laptop.signed_post("/webhooks/message", &body.to_string()).await.status
}

/// Returns a message of the driver, by SMS to the number that masks the rider.
fn sms(conversation: &Value) -> Value {
    let to = conversation["participants"][1]["dials"].as_str().unwrap().trim_start_matches('+');
    json!({"channel": "sms", "from": DRIVER, "to": to})
}

/// The route, the conversation, its claim, its outcome, and what the event tells.
const RELAYED: Cost<'_> = Cost {
    rounds: &[&["GetItem"], &["GetItem"], &["TransactWriteItems"], &[MESSAGE], &["UpdateItem"], &["GetItem"]],
    read_units: 2.5,
    write_units: 11.0,
    dynamodb_bytes: [13_000, 7_000],
    vonage_bytes: [1_500, 500],
};

#[tokio::test]
async fn text_on_a_channel_costs_three_reads_more_than_an_sms() {
    let senders = [("TEXTS_BY", "messages-api"), ("WHATSAPP_SENDER", WHATSAPP)];
    let plain = Laptop::builder().env(&senders[..1]).numbers("GB", 2).start().await;
    let conversation = plain.create_with(json!({"notify": false})).await;
    let relayed = costs(&plain, "text: passed on", RELAYED, receive(&plain, sms(&conversation))).await;
    assert_eq!(relayed, 200);

    let laptop = Laptop::builder().env(&senders).numbers("GB", 4).start().await;
    let conversation = laptop.create_with(json!({"notify": false})).await;
    let chat = json!({"channel": "whatsapp", "from": RIDER, "to": WHATSAPP});
    // All route keys of the phone, and the note of its chat.
    let inbound = Cost {
        rounds: &[
            &["Query"],
            &["PutItem"],
            &["GetItem"],
            &["GetItem"],
            &["TransactWriteItems"],
            &[MESSAGE],
            &["UpdateItem"],
            &["GetItem"],
        ],
        read_units: 4.0,
        write_units: 12.0,
        ..RELAYED
    };
    assert_eq!(costs(&laptop, "chat: message passed on", inbound, receive(&laptop, chat.clone())).await, 200);
    // The simulated WhatsApp has to know that the rider has written.
    laptop.text(json!({"from": RIDER, "to": WHATSAPP, "channel": "whatsapp", "text": "Where are you?"})).await;
    // The chat, and the mask in two reads: only one that texts can take the place of the channel.
    let to_chat = Cost {
        rounds: &[
            &["GetItem"],
            &["GetItem"],
            &["GetItem"],
            &["GetItem"],
            &["GetItem"],
            &["TransactWriteItems"],
            &[MESSAGE],
            &["UpdateItem"],
            &["GetItem"],
        ],
        read_units: 5.5,
        // The opt-out of the channel is checked too.
        write_units: 13.0,
        ..RELAYED
    };
    assert_eq!(costs(&laptop, "chat: text to a chat", to_chat, receive(&laptop, sms(&conversation))).await, 200);
    assert_eq!(laptop.texts(RIDER).await.last().unwrap()["channel"], "whatsapp");
    // Vonage sends the SMS itself if the channel rejects the text.
    let left = json!({"phone": RIDER, "channel": "whatsapp", "present": false});
    assert_eq!(laptop.vonage(Method::PUT, "/simulator/channels", left).await.status, 204);
    assert_eq!(costs(&laptop, "chat: SMS of Vonage instead", to_chat, receive(&laptop, sms(&conversation))).await, 200);
    // If it refuses the request, the SMS is a second one.
    let kind = "https://developer.vonage.com/api-errors/messages#1120";
    let fault = json!({"kind": "status", "status": 422, "body": {"type": kind, "title": "Invalid sender"}});
    let rule = json!({"path": MESSAGE, "contains": "whatsapp", "fault": fault});
    assert_eq!(laptop.vonage(Method::POST, "/simulator/faults", rule).await.status, 204);
    let instead = Cost {
        rounds: &[
            &["GetItem"],
            &["GetItem"],
            &["GetItem"],
            &["GetItem"],
            &["GetItem"],
            &["TransactWriteItems"],
            &[MESSAGE],
            &[MESSAGE],
            &["UpdateItem"],
            &["GetItem"],
        ],
        vonage_bytes: [3_000, 1_200],
        ..to_chat
    };
    assert_eq!(costs(&laptop, "chat: our SMS instead", instead, receive(&laptop, sms(&conversation))).await, 200);
    assert_eq!(laptop.texts(RIDER).await.len(), 3);
    // A second conversation: the writer has to quote a message, and is told so.
    let people = json!([{"number": format!("+{RIDER}")}, {"number": "+447700900003"}]);
    let other = laptop.post("/conversations", &json!({"participants": people, "notify": false})).await.body;
    assert_ne!(dials(&other), dials(&conversation));
    let several = Cost {
        rounds: &[&["Query"], &["GetItem"], &["BatchGetItem"], &["TransactWriteItems"], &[MESSAGE]],
        read_units: 3.0,
        write_units: 6.0,
        dynamodb_bytes: [5_000, 3_000],
        vonage_bytes: [1_500, 500],
    };
    assert_eq!(costs(&laptop, "chat: to one of several", several, receive(&laptop, chat)).await, 200);
}
