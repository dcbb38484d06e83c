//! WhatsApp and RCS: messages to the deployment's sender and from it.

use serde_json::{Value, json};
use testkit::{Builder, DRIVER, Laptop, RIDER, text};

const WHATSAPP: &str = "447700900099";
const RCS: &str = "Rides";
const STRANGER: &str = "447700900077";

fn builder() -> Builder {
    let senders = [("TEXTS_BY", "messages-api"), ("WHATSAPP_SENDER", WHATSAPP), ("RCS_SENDER", RCS)];
    Laptop::builder().env(&senders).numbers("GB", 4)
}

/// Starts a stack with a conversation of the rider and the driver.
async fn started() -> (Laptop, Value) {
    let laptop = builder().start().await;
    let created = laptop.create_with(json!({"notify": false})).await;
    (laptop, created)
}

/// Has a phone write to the deployment's sender on WhatsApp, with these fields too. Returns the webhook.
async fn chat(laptop: &Laptop, from: &str, words: &str, fields: Value) -> Value {
    let mut message = json!({"from": from, "to": WHATSAPP, "channel": "whatsapp", "text": words});
    message.as_object_mut().unwrap().extend(fields.as_object().cloned().unwrap_or_default());
    // Texts of one millisecond are in no order.
    laptop.advance(1);
    let sent = laptop.text(message).await;
    assert_eq!(sent[0]["deliveries"], json!([200]), "{sent:?}");
    sent[0].clone()
}

/// Has a side text the number that it dials.
async fn write(laptop: &Laptop, created: &Value, side: usize, words: &str) {
    let from = [RIDER, DRIVER][side];
    let to = text(created, &format!("/participants/{side}/dials"));
    laptop.advance(1);
    laptop.text(json!({"from": from, "to": to, "text": words})).await;
}

/// Returns the texts of a conversation, latest first.
async fn shown(laptop: &Laptop, created: &Value) -> Value {
    laptop.get(&format!("/conversations/{}", text(created, "/id"))).await.body["texts"].clone()
}

/// Creates another conversation of the rider, with this phone.
async fn another(laptop: &Laptop, other: &str, label: &str) -> Value {
    let people = json!([{"number": format!("+{RIDER}")}, {"number": format!("+{other}"), "label": label}]);
    let created = laptop.post("/conversations", &json!({"participants": people, "notify": false})).await;
    assert_eq!(created.status, 201, "{created:?}");
    created.body
}

#[tokio::test]
async fn message_to_the_sender_reaches_the_other_one_once() {
    let (laptop, created) = started().await;
    let sent = chat(&laptop, RIDER, "I am at the station.", json!({})).await;
    for _ in 0..2 {
        assert_eq!(laptop.deliver_again(text(&sent, "/id"), json!({})).await["deliveries"], json!([200]));
    }
    let received = laptop.texts(DRIVER).await;
    assert_eq!((received.len(), &received[0]["text"]), (1, &json!("I am at the station.")), "{received:?}");
    assert_eq!(received[0]["from"], created["participants"][0]["masked_by"], "by SMS, from the mask");
    let texts = shown(&laptop, &created).await;
    assert_eq!((text(&texts, "/0/from"), text(&texts, "/0/state"), &texts[0]["channel"]), ("a", "sent", &Value::Null));
    laptop.table().await;
}

#[tokio::test]
async fn phone_that_chats_is_answered_there_by_name() {
    for (channel, sender) in [("whatsapp", WHATSAPP), ("rcs", RCS)] {
        let (laptop, created) = started().await;
        let label = created["participants"][1]["label"].as_str().unwrap_or_default().to_owned();
        chat(&laptop, RIDER, "Where are you?", json!({"channel": channel, "to": sender})).await;
        write(&laptop, &created, 1, "Two minutes.").await;
        let received = laptop.texts(RIDER).await;
        assert_eq!((received.len(), text(&received[0], "/channel"), text(&received[0], "/from")), (1, channel, sender));
        assert_eq!(text(&received[0], "/text"), format!("{label}: Two minutes."));
        let texts = shown(&laptop, &created).await;
        assert_eq!((text(&texts, "/0/channel"), text(&texts, "/0/state")), (channel, "sent"), "{texts}");
        laptop.receipts(json!({"status": "read"})).await;
        assert_eq!(shown(&laptop, &created).await[0]["state"], "delivered");
        laptop.table().await;
    }
}

#[tokio::test]
async fn chat_closes_a_day_after_its_last_message() {
    let laptop = builder().start().await;
    let created = laptop.create_with(json!({"expires_in": 259_200})).await;
    chat(&laptop, RIDER, "Where are you?", json!({})).await;
    laptop.advance(86_398);
    write(&laptop, &created, 1, "Two minutes.").await;
    write(&laptop, &created, 1, "Here.").await;
    let channels: Vec<_> = laptop.texts(RIDER).await.iter().map(|one| one["channel"].clone()).collect();
    assert_eq!(channels, [json!("whatsapp"), Value::Null]);
}

#[tokio::test]
async fn one_of_several_conversations_needs_a_quote() {
    let (laptop, created) = started().await;
    let other = another(&laptop, "447700900003", "your guest").await;
    chat(&laptop, RIDER, "Who is this for?", json!({})).await;
    assert!(laptop.texts(DRIVER).await.is_empty() && laptop.texts("447700900003").await.is_empty());
    let told = laptop.texts(RIDER).await;
    assert_eq!((told.len(), text(&told[0], "/channel")), (1, "whatsapp"), "{told:?}");
    assert!(text(&told[0], "/text").contains("several conversations"), "{told:?}");
    // Told once a day.
    chat(&laptop, RIDER, "Hello?", json!({})).await;
    assert_eq!(laptop.texts(RIDER).await.len(), 1);
    // Each answer comes in the chat once the phone has written there, and quoting it says who is meant.
    let texted = json!({"from": RIDER, "to": text(&other, "/participants/0/dials"), "text": "Which room?"});
    laptop.text(texted).await;
    let quotes = |id: &Value| json!({"quotes": id});
    let first = laptop.texts("447700900003").await[0]["message_id"].clone();
    chat(&laptop, RIDER, "To the guest.", quotes(&first)).await;
    assert_eq!(laptop.words("447700900003").await, ["Which room?", "To the guest."]);
    write(&laptop, &created, 1, "Two minutes.").await;
    let answer = laptop.texts(RIDER).await.last().unwrap().clone();
    assert_eq!(text(&answer, "/channel"), "whatsapp");
    chat(&laptop, RIDER, "To the driver.", quotes(&answer["message_id"])).await;
    assert_eq!(laptop.words(DRIVER).await, ["To the driver."]);
    assert_eq!(laptop.words("447700900003").await.len(), 2);
    laptop.table().await;
}

#[tokio::test]
async fn quote_of_another_conversation_reaches_nobody() {
    let (laptop, created) = started().await;
    chat(&laptop, RIDER, "Where are you?", json!({})).await;
    write(&laptop, &created, 1, "Two minutes.").await;
    let quoted = laptop.texts(RIDER).await[0]["message_id"].clone();
    let path = format!("/conversations/{}", text(&created, "/id"));
    assert_eq!(laptop.send(reqwest::Method::DELETE, &path, "").await.status, 200);
    another(&laptop, "447700900003", "your guest").await;
    chat(&laptop, RIDER, "Thanks for the ride.", json!({"quotes": quoted})).await;
    assert!(laptop.texts("447700900003").await.is_empty(), "it is not for the guest");
    assert_eq!(laptop.texts(DRIVER).await.len(), 1);
    assert_eq!(laptop.texts(RIDER).await.len(), 2, "the writer is told");
}

#[tokio::test]
async fn stranger_and_late_writer_are_told_once() {
    let (laptop, created) = started().await;
    for _ in 0..2 {
        chat(&laptop, STRANGER, "Hello", json!({})).await;
    }
    assert_eq!(laptop.texts(STRANGER).await.len(), 1);
    let path = format!("/conversations/{}", text(&created, "/id"));
    assert_eq!(laptop.send(reqwest::Method::DELETE, &path, "").await.status, 200);
    for _ in 0..2 {
        chat(&laptop, RIDER, "I left my bag.", json!({})).await;
    }
    let told = laptop.words(RIDER).await;
    assert!(told.len() == 1 && told[0].contains("has ended"), "{told:?}");
    assert!(laptop.texts(DRIVER).await.is_empty());
    // A sender of others is none of ours, and nobody is told.
    let message = json!({"channel": "rcs", "message_uuid": "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab", "from": STRANGER,
                         "to": "Other", "message_type": "text", "text": "Hello"});
    assert_eq!(laptop.signed_post("/webhooks/message", &message.to_string()).await.status, 200);
    assert_eq!(laptop.texts(STRANGER).await.len(), 1);
}

#[tokio::test]
async fn rejected_message_goes_by_sms_once() {
    let (laptop, created) = started().await;
    chat(&laptop, RIDER, "Where are you?", json!({})).await;
    let left = json!({"phone": RIDER, "channel": "whatsapp", "present": false});
    assert_eq!(laptop.vonage(reqwest::Method::PUT, "/simulator/channels", left).await.status, 204);
    write(&laptop, &created, 1, "Two minutes.").await;
    let received = laptop.texts(RIDER).await;
    assert_eq!((received.len(), &received[0]["channel"]), (1, &Value::Null), "{received:?}");
    assert_eq!(received[0]["from"], created["participants"][1]["masked_by"]);
    laptop.receipts(json!({"keep": true})).await;
    assert_eq!(shown(&laptop, &created).await[0]["state"], "delivered");
    // Vonage refuses the request because of the channel: the same.
    for (code, count) in [("1420", 2), ("1120", 3)] {
        let kind = format!("https://developer.vonage.com/api-errors/messages#{code}");
        let fault = json!({"kind": "status", "status": 422, "body": {"type": kind, "title": "Invalid sender"}});
        let rule = json!({"path": "/v1/messages", "contains": "whatsapp", "fault": fault});
        assert_eq!(laptop.vonage(reqwest::Method::POST, "/simulator/faults", rule).await.status, 204);
        write(&laptop, &created, 1, "Here.").await;
        let received = laptop.texts(RIDER).await;
        assert_eq!((received.len(), &received[count - 1]["channel"]), (count, &Value::Null), "{received:?}");
    }
    // A refusal for another reason is final.
    let rule = json!({"path": "/v1/messages", "contains": "whatsapp", "fault": {"kind": "status", "status": 500}});
    assert_eq!(laptop.vonage(reqwest::Method::POST, "/simulator/faults", rule).await.status, 204);
    write(&laptop, &created, 1, "Gone?").await;
    assert_eq!((laptop.texts(RIDER).await.len(), &shown(&laptop, &created).await[0]["state"]), (3, &json!("unknown")));
    laptop.table().await;
}

#[tokio::test]
async fn stop_holds_for_the_channel_and_start_lifts_it() {
    let (laptop, created) = started().await;
    chat(&laptop, RIDER, "Where are you?", json!({})).await;
    chat(&laptop, RIDER, "STOP", json!({})).await;
    assert_eq!(laptop.texts(RIDER).await.len(), 1, "it is confirmed");
    assert_eq!(laptop.texts(DRIVER).await.len(), 1, "it is not passed on");
    write(&laptop, &created, 1, "Two minutes.").await;
    assert_eq!(laptop.texts(RIDER).await.len(), 1);
    assert_eq!(shown(&laptop, &created).await[0]["state"], "failed");
    chat(&laptop, RIDER, "START", json!({})).await;
    write(&laptop, &created, 1, "Two minutes.").await;
    assert_eq!(laptop.texts(RIDER).await.len(), 3);
    chat(&laptop, RIDER, "HELP", json!({})).await;
    assert_eq!(laptop.texts(RIDER).await.len(), 4);
    laptop.table().await;
}

#[tokio::test]
async fn files_go_where_both_channels_carry_them() {
    let (laptop, created) = started().await;
    let image = json!({"files": [{"type": "image"}]});
    // The driver has SMS only, which carries no picture in this country.
    chat(&laptop, RIDER, "The red one.", image.clone()).await;
    assert!(laptop.texts(DRIVER).await.is_empty());
    assert!(laptop.words(RIDER).await[0].contains("not passed on here"));
    chat(&laptop, DRIVER, "Where are you?", json!({})).await;
    chat(&laptop, RIDER, "The red one.", image).await;
    let received = laptop.texts(DRIVER).await;
    assert_eq!(received.len(), 2, "the words, and then the picture: {received:?}");
    assert!(text(&received[0], "/text").ends_with(": The red one."), "{received:?}");
    assert_eq!((&received[1]["files"][0]["type"], text(&received[1], "/channel")), (&json!("image"), "whatsapp"));
    let texts = shown(&laptop, &created).await;
    assert_eq!(
        (&texts[0]["media"], &texts[0]["segments"], text(&texts, "/0/state")),
        (&json!(["image"]), &json!(2), "sent")
    );
    chat(&laptop, RIDER, "", json!({"files": [{"type": "vcard"}]})).await;
    assert_eq!(laptop.texts(DRIVER).await.len(), 2, "WhatsApp takes no card");
    laptop.table().await;
}

#[tokio::test]
async fn contact_details_are_masked_in_a_chat() {
    let laptop = builder().start().await;
    let created = laptop.create_with(json!({"notify": false, "text_masking": "redact"})).await;
    chat(&laptop, RIDER, "Ring 07700 900001", json!({})).await;
    assert_eq!(laptop.words(DRIVER).await, ["Ring ***"]);
    write(&laptop, &created, 1, "Or me@example.com").await;
    assert!(laptop.words(RIDER).await[0].ends_with(": Or ***"));
}

#[tokio::test]
async fn erasure_by_number_deletes_the_chat() {
    let (laptop, _) = started().await;
    chat(&laptop, RIDER, "Where are you?", json!({})).await;
    let has_chat = async || laptop.items().await.iter().any(|item| item["sk"]["S"] == "CHAT");
    assert!(has_chat().await);
    let erased = laptop.post("/erasures", &json!({"number": format!("+{RIDER}")})).await;
    assert!([200, 201, 202].contains(&erased.status), "{erased:?}");
    laptop.advance(10);
    laptop.stack.run_erasure_schedule().await.unwrap();
    assert!(!has_chat().await);
}

#[tokio::test]
async fn without_a_sender_nothing_is_answered() {
    let laptop = Laptop::builder().env(&[("TEXTS_BY", "messages-api")]).numbers("GB", 2).start().await;
    laptop.create_with(json!({"notify": false})).await;
    let message = json!({"channel": "whatsapp", "message_uuid": "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab", "from": RIDER,
                         "to": WHATSAPP, "message_type": "text", "text": "Hello"});
    assert_eq!(laptop.signed_post("/webhooks/message", &message.to_string()).await.status, 200);
    assert!(laptop.texts(RIDER).await.is_empty() && laptop.texts(DRIVER).await.is_empty());
}
