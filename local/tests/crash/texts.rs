//! Crashes of the message webhook while it passes a text on.

use create_conversation::CreateConversation;
use message_webhook::MessageWebhook;
use serde_json::{Value, json};
use testkit::{Laptop, string};

use crate::events;
use crate::scenario::{Functions, Scenario, at_every_request, builder};

const PHONES: [&str; 2] = ["447700900001", "447700900002"];

async fn create(laptop: &Laptop) -> Value {
    let body = json!({"participants": PHONES.map(|number| json!({"number": format!("+{number}")})), "notify": false});
    Functions::of(laptop).answer::<CreateConversation>(&events::creation(&body, None)).await.body
}

/// Returns a text from this phone, signed now.
fn message(laptop: &Laptop, from: &str, to: &Value) -> Value {
    saying(laptop, from, to, "I am at the station.")
}

fn saying(laptop: &Laptop, from: &str, to: &Value, words: &str) -> Value {
    of_id(laptop, 'b', from, to, words)
}

/// Returns a text whose id ends with this character.
fn of_id(laptop: &Laptop, id: char, from: &str, to: &Value, words: &str) -> Value {
    let id = format!("aaaaaaaa-bbbb-cccc-dddd-0123456789a{id}");
    let body = json!({"channel": "sms", "message_uuid": id, "from": from, "to": to, "text": words});
    events::message(&body, &laptop.signature(Some(&body.to_string())))
}

fn path(conversation: &Value) -> String {
    format!("/conversations/{}", string(&conversation["id"]))
}

/// Has the scenario's fault cut the webhook of a text, and delivers the text twice more: Vonage does so until there is a 2xx, and
/// sometimes after it. Each delivery has a signature of its own time.
async fn deliver(scenario: &mut Scenario, laptop: &Laptop, text: impl Fn() -> Value) {
    let event = text();
    scenario.run(laptop, async |functions| drop(functions.answer::<MessageWebhook>(&event).await)).await;
    for _ in 0..2 {
        let answer = Functions::of(laptop).answer::<MessageWebhook>(&text()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

/// Delivers a text to functions that nothing cuts.
async fn deliver_whole(laptop: &Laptop, text: &Value) {
    let answer = Functions::of(laptop).answer::<MessageWebhook>(text).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Checks that the conversation knows of one text, and of its fate what is certain. Returns how often `phone` received it.
async fn is_known(laptop: &Laptop, conversation: &str, phone: &str) -> usize {
    let (received, texts) = (laptop.texts(phone).await.len(), laptop.get(conversation).await.body["texts"].clone());
    let state = texts[0]["state"].as_str().unwrap_or_default();
    assert_eq!(texts.as_array().map(Vec::len), Some(1), "{texts}");
    match received {
        1 => assert!(["sent", "unknown"].contains(&state), "{texts}"),
        0 => assert!(["unknown", "failed"].contains(&state), "{texts}"),
        more => panic!("{more} text messages"),
    }
    received
}

#[tokio::test]
async fn text_is_passed_on_once_after_a_crash_or_known_to_be_unclear() {
    passed_on_once_by("sms-api").await;
}

#[tokio::test]
async fn text_by_messages_api_is_passed_on_once_after_a_crash() {
    passed_on_once_by("messages-api").await;
}

async fn passed_on_once_by(api: &str) {
    at_every_request(&format!("POST /webhooks/message, {api}"), 4, async |mut scenario: Scenario| {
        let laptop = builder().env(&[("TEXTS_BY", api)]).numbers("GB", 2).start().await;
        let created = create(&laptop).await;
        let (path, to) = (path(&created), &created["participants"][0]["dials"]);
        deliver(&mut scenario, &laptop, || message(&laptop, PHONES[0], to)).await;
        let received = is_known(&laptop, &path, PHONES[1]).await;
        laptop.receipts(json!({})).await;
        let state = laptop.get(&path).await.body["texts"][0]["state"].clone();
        assert!(received == 0 || state == "delivered", "its receipt finds it: {state}");
        scenario
    })
    .await;
}

#[tokio::test]
async fn picture_is_passed_on_once_after_a_crash() {
    const PEOPLE: [&str; 2] = ["12025550101", "12025550102"];

    at_every_request("POST /webhooks/message of a picture", 6, async |mut scenario: Scenario| {
        let laptop = builder().env(&[("TEXTS_BY", "messages-api")]).numbers("US", 2).start().await;
        let body =
            json!({"participants": PEOPLE.map(|number| json!({"number": format!("+{number}")})), "notify": false});
        let created = Functions::of(&laptop).answer::<CreateConversation>(&events::creation(&body, None)).await.body;
        let picture = json!({
            "channel": "mms", "message_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "message_type": "image",
            "from": PEOPLE[0], "to": created["participants"][0]["dials"],
            "image": {"url": "https://api-us.nexmo.com/v3/media/1b456509", "caption": "The red one."}});
        let event = events::message(&picture, &laptop.signature(Some(&picture.to_string())));
        scenario.run(&laptop, async |functions| drop(functions.answer::<MessageWebhook>(&event).await)).await;
        for _ in 0..2 {
            let answer = Functions::of(&laptop).answer::<MessageWebhook>(&event).await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        let texts = laptop.get(&format!("/conversations/{}", string(&created["id"]))).await.body["texts"].clone();
        let (received, state) = (laptop.texts(PEOPLE[1]).await.len(), texts[0]["state"].as_str().unwrap_or_default());
        assert_eq!((texts.as_array().map(Vec::len), &texts[0]["media"]), (Some(1), &json!(["image"])), "{texts}");
        match received {
            1 => assert!(["sent", "unknown"].contains(&state), "{texts}"),
            0 => assert!(["unknown", "failed"].contains(&state), "{texts}"),
            more => panic!("{more} pictures"),
        }
        scenario
    })
    .await;
}

/// Settings of a deployment with a sender on WhatsApp.
const WHATSAPP: [(&str, &str); 2] = [("TEXTS_BY", "messages-api"), ("WHATSAPP_SENDER", "447700900099")];

/// Returns a message of the first phone to that sender.
fn chat(laptop: &Laptop) -> Value {
    let body = json!({"channel": "whatsapp", "message_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "from": PHONES[0],
                      "to": WHATSAPP[1].1, "message_type": "text", "text": "I am at the station."});
    events::message(&body, &laptop.signature(Some(&body.to_string())))
}

#[tokio::test]
async fn message_to_the_sender_is_passed_on_once_after_a_crash() {
    at_every_request("POST /webhooks/message of WhatsApp", 6, async |mut scenario: Scenario| {
        let laptop = builder().env(&WHATSAPP).numbers("GB", 2).start().await;
        let created = create(&laptop).await;
        deliver(&mut scenario, &laptop, || chat(&laptop)).await;
        is_known(&laptop, &path(&created), PHONES[1]).await;
        scenario
    })
    .await;
}

#[tokio::test]
async fn answer_in_a_chat_is_sent_once_after_a_crash() {
    at_every_request("POST /webhooks/message to WhatsApp", 5, async |mut scenario: Scenario| {
        let laptop = builder().env(&WHATSAPP).numbers("GB", 2).start().await;
        let created = create(&laptop).await;
        laptop
            .text(json!({"from": PHONES[0], "to": WHATSAPP[1].1, "channel": "whatsapp", "text": "Where are you?"}))
            .await;
        laptop.advance(1);
        let to = &created["participants"][1]["dials"];
        deliver(&mut scenario, &laptop, || message(&laptop, PHONES[1], to)).await;
        let (received, texts) =
            (laptop.texts(PHONES[0]).await.len(), laptop.get(&path(&created)).await.body["texts"].clone());
        assert!(received <= 1 && texts.as_array().map(Vec::len) == Some(2), "{received} {texts}");
        scenario
    })
    .await;
}

#[tokio::test]
async fn stranger_is_told_once_at_most_after_a_crash() {
    at_every_request("POST /webhooks/message of a stranger", 4, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let created = create(&laptop).await;
        let (to, stranger) = (&created["participants"][0]["dials"], "447700900077");
        deliver(&mut scenario, &laptop, || message(&laptop, stranger, to)).await;
        assert!(laptop.texts(stranger).await.len() <= 1 && laptop.texts(PHONES[1]).await.is_empty());
        scenario
    })
    .await;
}

#[tokio::test]
async fn stop_holds_after_a_crash_and_is_confirmed_once_at_most() {
    at_every_request("POST /webhooks/message of a stop", 4, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let created = create(&laptop).await;
        let to = &created["participants"][0]["dials"];
        deliver(&mut scenario, &laptop, || saying(&laptop, PHONES[0], to, "STOP")).await;
        assert!(laptop.texts(PHONES[0]).await.len() <= 1 && laptop.texts(PHONES[1]).await.is_empty());
        let shown = laptop.get(&path(&created)).await.body;
        assert!(shown["participants"][0]["texts_stopped_at"].is_string(), "{shown}");
        scenario
    })
    .await;
}

#[tokio::test]
async fn start_holds_after_a_crash_and_texts_arrive_again() {
    at_every_request("POST /webhooks/message of a start", 4, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let created = create(&laptop).await;
        let dials = |side: usize| &created["participants"][side]["dials"];
        deliver_whole(&laptop, &of_id(&laptop, '1', PHONES[0], dials(0), "STOP")).await;
        let before = laptop.texts(PHONES[0]).await.len();
        deliver(&mut scenario, &laptop, || of_id(&laptop, '2', PHONES[0], dials(0), "START")).await;
        let confirmed = laptop.texts(PHONES[0]).await.len();
        assert!(confirmed <= before + 1 && laptop.texts(PHONES[1]).await.is_empty());
        let shown = laptop.get(&path(&created)).await.body;
        assert_eq!(shown["participants"][0].get("texts_stopped_at"), None, "{shown}");
        deliver_whole(&laptop, &of_id(&laptop, '3', PHONES[1], dials(1), "I am here.")).await;
        assert_eq!(laptop.texts(PHONES[0]).await.len(), confirmed + 1);
        scenario
    })
    .await;
}

#[tokio::test]
async fn text_of_the_backend_is_sent_once_or_known_to_be_unclear() {
    at_every_request("POST /conversations/{id}/texts", 5, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let created = create(&laptop).await;
        let event = events::write(&string(&created["id"]), "ride-1");
        scenario.run(&laptop, async |functions| drop(functions.answer::<MessageWebhook>(&event).await)).await;
        // Nothing of that run is under way any more.
        laptop.advance(31);
        let answer = Functions::of(&laptop).answer::<MessageWebhook>(&event).await;
        assert!([200, 201].contains(&answer.status), "{answer:?}");
        let again = Functions::of(&laptop).answer::<MessageWebhook>(&event).await;
        assert_eq!((again.status, &again.body["id"]), (200, &answer.body["id"]));
        is_known(&laptop, &path(&created), PHONES[0]).await;
        let told = laptop.stack.bus.events();
        assert!(
            told.iter().any(|event| event["detail-type"] == "Text relayed" || event["detail-type"] == "Text failed")
        );
        scenario
    })
    .await;
}

#[tokio::test]
async fn receipt_of_an_invitation_counts_after_a_crash() {
    at_every_request("POST /webhooks/message-status of an invitation", 1, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let body = json!({"participants": PHONES.map(|number| json!({"number": format!("+{number}")}))});
        let created = Functions::of(&laptop).answer::<CreateConversation>(&events::creation(&body, None)).await.body;
        let message = string(&laptop.texts(PHONES[0]).await[0]["message_id"]);
        let receipt = json!({
            "message_uuid": message, "to": PHONES[0], "from": created["participants"][0]["dials"], "status": "delivered",
            "channel": "sms", "client_ref": format!("{}.na0.0.s1", string(&created["id"]))});
        let event = events::receipt(&receipt, &laptop.signature(Some(&receipt.to_string())));
        scenario.run(&laptop, async |functions| drop(functions.answer::<MessageWebhook>(&event).await)).await;
        for _ in 0..2 {
            let answer = Functions::of(&laptop).answer::<MessageWebhook>(&event).await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        let shown = laptop.get(&path(&created)).await.body;
        let states = [0, 1].map(|side| shown["participants"][side]["notification"].clone());
        assert_eq!(states, ["delivered", "sent"], "{shown}");
        scenario
    })
    .await;
}

#[tokio::test]
async fn receipts_tell_of_invitations_that_a_crash_left_unclear() {
    at_every_request("POST /conversations, and the receipts", 8, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let body = json!({"participants": PHONES.map(|number| json!({"number": format!("+{number}")}))});
        let creation = events::creation(&body, Some("ride-1"));
        scenario.run(&laptop, async |functions| drop(functions.answer::<CreateConversation>(&creation).await)).await;
        let created = Functions::of(&laptop).answer::<CreateConversation>(&creation).await.body;
        laptop.receipts(json!({})).await;
        let shown = laptop.get(&path(&created)).await.body;
        for (side, phone) in PHONES.into_iter().enumerate() {
            let received = laptop.texts(phone).await.len();
            assert!(received <= 1, "{received} text messages");
            let state = if received == 1 { "delivered" } else { "unknown" };
            assert_eq!(shown["participants"][side]["notification"], state, "{shown}");
        }
        scenario
    })
    .await;
}
