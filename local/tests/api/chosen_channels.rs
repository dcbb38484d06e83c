//! The channel that the backend chooses for a participant, and templates of WhatsApp.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, Builder, DRIVER, Laptop, RIDER, text};

const WHATSAPP: &str = "447700900099";
const RCS: &str = "Rides";
const TEMPLATES: (&str, &str) = ("WHATSAPP_TEMPLATES", r#"{"text": "ride_text", "locales": {"en": "en_GB"}}"#);

fn builder() -> Builder {
    let senders = [("TEXTS_BY", "messages-api"), ("WHATSAPP_SENDER", WHATSAPP), ("RCS_SENDER", RCS)];
    Laptop::builder().env(&senders).numbers("GB", 2)
}

/// Returns the body of a conversation of three days with these channels of the rider and the driver.
fn order(channels: [Value; 2]) -> Value {
    let participant = |(phone, label, channel): (&str, &str, Value)| {
        let mut one = json!({"number": format!("+{phone}"), "label": label});
        if !channel.is_null() {
            one["channel"] = channel;
        }
        one
    };
    let [rider, driver] = channels;
    let people = [(RIDER, "your rider", rider), (DRIVER, "your driver", driver)];
    json!({"participants": people.map(participant), "notify": false, "expires_in": 259_200})
}

async fn create(laptop: &Laptop, channels: [Value; 2]) -> Value {
    let created = laptop.post("/conversations", &order(channels)).await;
    assert_eq!(created.status, 201, "{created:?}");
    created.body
}

/// Has a phone write to the deployment's sender on WhatsApp.
async fn chat(laptop: &Laptop, from: &str, words: &str) {
    laptop.advance(1);
    let sent = laptop.text(json!({"from": from, "to": WHATSAPP, "channel": "whatsapp", "text": words})).await;
    assert_eq!(sent[0]["deliveries"], json!([200]), "{sent:?}");
}

/// Has a side text the number that it dials.
async fn write(laptop: &Laptop, created: &Value, side: usize, words: &str) {
    let to = text(created, &format!("/participants/{side}/dials"));
    laptop.advance(1);
    let from = [RIDER, DRIVER][side];
    laptop.text(json!({"from": from, "to": to, "text": words})).await;
}

/// Has the backend write to the rider.
async fn tell(laptop: &Laptop, created: &Value, key: &str, words: &str) -> Answer {
    let path = format!("/conversations/{}/texts", text(created, "/id"));
    let request = laptop.request(Method::POST, &path).header("Idempotency-Key", key);
    laptop.answer(request.body(json!({"to": "a", "text": words}).to_string())).await
}

async fn shown(laptop: &Laptop, created: &Value) -> Value {
    laptop.get(&format!("/conversations/{}", text(created, "/id"))).await.body
}

/// Returns the channel and the words of the last message on a phone.
async fn last(laptop: &Laptop, phone: &str) -> (Value, String) {
    let message = laptop.texts(phone).await.pop().unwrap_or_default();
    (message["channel"].clone(), message["text"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn channel_without_a_sender_of_its_own_is_refused() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    for channel in ["whatsapp", "rcs"] {
        let refused = laptop.post("/conversations", &order([Value::Null, json!(channel)])).await;
        assert_eq!((refused.status, text(&refused.body, "/field")), (422, "participants[1].channel"), "{refused:?}");
    }
    assert_eq!(laptop.post("/conversations", &order([json!("fax"), Value::Null])).await.status, 422);
    let created = create(&laptop, [json!("sms"), Value::Null]).await;
    assert_eq!(
        (&created["participants"][0]["channel"], &created["participants"][1]["channel"]),
        (&json!("sms"), &Value::Null)
    );
    let path = format!("/conversations/{}", text(&created, "/id"));
    let refused = laptop.patch(&path, &json!({"participants": [{"channel": "rcs"}, null]})).await;
    assert_eq!((refused.status, text(&refused.body, "/field")), (422, "participants[0].channel"), "{refused:?}");
}

#[tokio::test]
async fn sender_of_the_deployment_writes_for_no_tenant() {
    let laptop = builder().start().await;
    laptop.post("/t/acme/numbers", &json!({"country": "GB", "count": 2})).await;
    let refused = laptop.post("/t/acme/conversations", &order([json!("rcs"), Value::Null])).await;
    assert_eq!((refused.status, text(&refused.body, "/field")), (422, "participants[0].channel"), "{refused:?}");
    let created = laptop.post("/t/acme/conversations", &order([json!("sms"), Value::Null])).await;
    assert_eq!(created.status, 201, "{created:?}");
    let path = format!("/t/acme/conversations/{}", text(&created.body, "/id"));
    let refused = laptop.patch(&path, &json!({"participants": [null, {"channel": "whatsapp"}]})).await;
    assert_eq!((refused.status, text(&refused.body, "/field")), (422, "participants[1].channel"), "{refused:?}");
}

#[tokio::test]
async fn text_goes_where_the_backend_has_chosen() {
    let laptop = builder().start().await;
    let created = create(&laptop, [json!("rcs"), json!("sms")]).await;
    write(&laptop, &created, 1, "Two minutes.").await;
    assert_eq!(last(&laptop, RIDER).await, (json!("rcs"), "your driver: Two minutes.".to_owned()), "without a chat");
    chat(&laptop, DRIVER, "Here.").await;
    write(&laptop, &created, 0, "I see you.").await;
    assert_eq!(last(&laptop, DRIVER).await, (Value::Null, "I see you.".to_owned()), "in spite of a chat");
    // The rider chats on the other channel, and the choice stays.
    chat(&laptop, RIDER, "Good.").await;
    write(&laptop, &created, 1, "Get in.").await;
    assert_eq!(last(&laptop, RIDER).await.0, "rcs");
    let path = format!("/conversations/{}", text(&created, "/id"));
    let changed = laptop.patch(&path, &json!({"participants": [{"channel": null}, {"channel": "rcs"}]})).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let channels = [0, 1].map(|side| changed.body["participants"][side]["channel"].clone());
    assert_eq!(channels, [Value::Null, json!("rcs")]);
    write(&laptop, &created, 1, "On our way.").await;
    assert_eq!(last(&laptop, RIDER).await.0, "whatsapp", "where the rider has written");
    write(&laptop, &created, 0, "Thanks.").await;
    assert_eq!(last(&laptop, DRIVER).await.0, "rcs");
    let shown = shown(&laptop, &created).await;
    assert_eq!((&shown["participants"][1]["channel"], &shown["texts"][0]["channel"]), (&json!("rcs"), &json!("rcs")));
    laptop.table().await;
}

#[tokio::test]
async fn whatsapp_without_template_takes_texts_in_its_chat_only() {
    let laptop = builder().start().await;
    let created = create(&laptop, [json!("whatsapp"), Value::Null]).await;
    write(&laptop, &created, 1, "Two minutes.").await;
    assert_eq!(last(&laptop, RIDER).await, (Value::Null, "Two minutes.".to_owned()));
    let told = tell(&laptop, &created, "one", "Your car is here.").await;
    assert_eq!((told.status, &told.body["channel"], &told.body["instead_of"]), (201, &Value::Null, &json!("whatsapp")));
    chat(&laptop, RIDER, "Where are you?").await;
    write(&laptop, &created, 1, "Here.").await;
    assert_eq!(last(&laptop, RIDER).await, (json!("whatsapp"), "your driver: Here.".to_owned()));
    let told = tell(&laptop, &created, "two", "Your car\nis here.").await;
    assert_eq!((&told.body["channel"], &told.body["instead_of"]), (&json!("whatsapp"), &Value::Null), "{told:?}");
    assert_eq!(last(&laptop, RIDER).await, (json!("whatsapp"), "Your car\nis here.".to_owned()), "of the brand");
    laptop.advance(86_400);
    write(&laptop, &created, 1, "Are you there?").await;
    assert_eq!(last(&laptop, RIDER).await.0, Value::Null);
    let texts = shown(&laptop, &created).await["texts"].clone();
    let ways = [0, 1, 2].map(|nth| (texts[nth]["channel"].clone(), texts[nth]["instead_of"].clone()));
    let whatsapp = || json!("whatsapp");
    assert_eq!(ways, [(Value::Null, whatsapp()), (whatsapp(), Value::Null), (whatsapp(), Value::Null)]);
    laptop.table().await;
}

#[tokio::test]
async fn template_brings_texts_to_who_has_not_written_for_a_day() {
    let laptop = builder().env(&[TEMPLATES]).start().await;
    let created = create(&laptop, [json!("whatsapp"), Value::Null]).await;
    write(&laptop, &created, 1, "Two minutes.\nAt the gate.").await;
    let received = laptop.texts(RIDER).await;
    assert_eq!((text(&received[0], "/template"), text(&received[0], "/channel")), ("ride_text", "whatsapp"));
    assert_eq!(text(&received[0], "/text"), "your driver: Two minutes. At the gate.");
    let told = tell(&laptop, &created, "one", "Your car is here.").await;
    assert_eq!((told.status, &told.body["channel"], &told.body["segments"]), (201, &json!("whatsapp"), &json!(1)));
    assert_eq!(laptop.texts(RIDER).await[1]["template"], "ride_text");
    // The same request sends nothing again.
    assert_eq!(tell(&laptop, &created, "one", "Your car is here.").await.status, 200);
    assert_eq!(laptop.texts(RIDER).await.len(), 2);
    laptop.receipts(json!({})).await;
    assert_eq!(shown(&laptop, &created).await["texts"][0]["state"], "delivered");
    // In the chat no template is needed, and a long text has none.
    chat(&laptop, RIDER, "Good.").await;
    tell(&laptop, &created, "two", "See you.").await;
    assert_eq!(laptop.texts(RIDER).await[2]["template"], Value::Null);
    laptop.advance(86_400);
    let told = tell(&laptop, &created, "three", &"a".repeat(901)).await;
    assert_eq!((&told.body["channel"], &told.body["instead_of"]), (&Value::Null, &json!("whatsapp")), "{told:?}");
    laptop.table().await;
}

#[tokio::test]
async fn sms_in_place_of_a_message_is_shown_as_one() {
    let laptop = builder().env(&[TEMPLATES]).start().await;
    let created = create(&laptop, [json!("whatsapp"), Value::Null]).await;
    let left = json!({"phone": RIDER, "channel": "whatsapp", "present": false});
    assert_eq!(laptop.vonage(Method::PUT, "/simulator/channels", left).await.status, 204);
    let told = tell(&laptop, &created, "one", "Your car is here.").await;
    assert_eq!(told.body["channel"], "whatsapp", "Vonage has not said yet that it texts instead");
    assert_eq!(last(&laptop, RIDER).await, (Value::Null, "Your car is here.".to_owned()));
    for reversed in [false, true] {
        laptop.receipts(json!({"keep": !reversed, "reversed": reversed})).await;
        let texts = shown(&laptop, &created).await["texts"].clone();
        let way = (&texts[0]["channel"], &texts[0]["instead_of"], text(&texts, "/0/state"));
        assert_eq!(way, (&Value::Null, &json!("whatsapp"), "delivered"));
    }
    // Vonage refuses the request because of the channel: the SMS is sent from here.
    let kind = "https://developer.vonage.com/api-errors/messages#1120";
    let fault = json!({"kind": "status", "status": 422, "body": {"type": kind, "title": "Invalid sender"}});
    let rule = json!({"path": "/v1/messages", "contains": "whatsapp", "fault": fault});
    assert_eq!(laptop.vonage(Method::POST, "/simulator/faults", rule).await.status, 204);
    let told = tell(&laptop, &created, "two", "It waits.").await;
    assert_eq!((&told.body["channel"], &told.body["instead_of"]), (&Value::Null, &json!("whatsapp")), "{told:?}");
    assert_eq!(laptop.words(RIDER).await, ["Your car is here.", "It waits."]);
    laptop.table().await;
}

#[tokio::test]
async fn number_without_sms_takes_the_place_of_no_channel() {
    let senders = [("TEXTS_BY", "messages-api"), ("WHATSAPP_SENDER", WHATSAPP), ("RCS_SENDER", RCS)];
    let laptop = Laptop::builder().env(&senders).start().await;
    let landlines = json!({"country": "GB", "count": 2, "features": ["VOICE"], "type": "landline"});
    assert_eq!(laptop.post("/numbers", &landlines).await.status, 200);
    let created = create(&laptop, [json!("rcs"), Value::Null]).await;
    assert_eq!(tell(&laptop, &created, "one", "Your car is here.").await.body["state"], "sent");
    let left = json!({"phone": RIDER, "channel": "rcs", "present": false});
    assert_eq!(laptop.vonage(Method::PUT, "/simulator/channels", left).await.status, 204);
    laptop.advance(1);
    tell(&laptop, &created, "two", "It waits.").await;
    assert_eq!(laptop.words(RIDER).await, ["Your car is here."]);
    laptop.receipts(json!({})).await;
    let texts = shown(&laptop, &created).await["texts"].clone();
    assert_eq!((text(&texts, "/0/state"), text(&texts, "/0/channel")), ("failed", "rcs"), "{texts}");
}

#[tokio::test]
async fn stop_in_a_chat_is_shown_with_the_participant() {
    let laptop = builder().start().await;
    let created = create(&laptop, [json!("whatsapp"), Value::Null]).await;
    chat(&laptop, RIDER, "Where are you?").await;
    chat(&laptop, RIDER, "STOP").await;
    let stopped = |shown: &Value| [0, 1].map(|side| shown["participants"][side].get("texts_stopped_at").is_some());
    assert_eq!(stopped(&shown(&laptop, &created).await), [true, false]);
    let told = tell(&laptop, &created, "one", "Your car is here.").await;
    assert_eq!((told.status, text(&told.body, "/type")), (409, "urn:maskline:problem:texts-stopped"), "{told:?}");
    chat(&laptop, RIDER, "START").await;
    assert_eq!(stopped(&shown(&laptop, &created).await), [false, false]);
    assert_eq!(tell(&laptop, &created, "one", "Your car is here.").await.status, 201);
    laptop.table().await;
}

/// Creates a conversation with invitations, and returns it.
async fn invite(laptop: &Laptop, channels: [Value; 2]) -> Value {
    let mut order = order(channels);
    order["notify"] = json!(true);
    let created = laptop.post("/conversations", &order).await;
    assert_eq!(created.status, 201, "{created:?}");
    created.body
}

/// Returns the state of each invitation and its channel.
fn invitations(conversation: &Value) -> [(&str, &str); 2] {
    let of = |side: usize| &conversation["participants"][side];
    [0, 1].map(|side| {
        let channel = of(side)["notification_channel"].as_str().unwrap_or_default();
        (text(of(side), "/notification"), channel)
    })
}

#[tokio::test]
async fn invitation_goes_where_the_backend_has_chosen() {
    let templates = ("WHATSAPP_TEMPLATES", r#"{"invitation": "ride_number", "notice": "ride_notice"}"#);
    let laptop = builder().env(&[templates]).numbers("GB", 3).start().await;
    let created = invite(&laptop, [json!("whatsapp"), json!("rcs")]).await;
    assert_eq!(invitations(&created), [("sent", "whatsapp"), ("sent", "rcs")]);
    for (phone, side, template) in [(RIDER, 0, json!("ride_number")), (DRIVER, 1, Value::Null)] {
        let received = laptop.texts(phone).await;
        assert_eq!((received.len(), &received[0]["template"]), (1, &template), "{received:?}");
        assert!(text(&received[0], "/text").contains(text(&created["participants"][side], "/dials")), "{received:?}");
    }
    for _ in 0..2 {
        laptop.receipts(json!({"status": "read", "keep": true})).await;
        assert_eq!(invitations(&shown(&laptop, &created).await), [("delivered", "whatsapp"), ("delivered", "rcs")]);
    }
    // So does the text about another number.
    let number = text(&created, "/participants/0/dials");
    assert_eq!(laptop.post(&format!("/numbers/{number}/rotate"), &json!({})).await.status, 200);
    laptop.run_schedule().await;
    let received = laptop.texts(RIDER).await;
    assert_eq!((received.len(), text(&received[1], "/template")), (2, "ride_notice"), "{received:?}");
    laptop.table().await;
}

#[tokio::test]
async fn invitation_without_a_template_is_an_sms_and_says_so() {
    let laptop = builder().start().await;
    let created = invite(&laptop, [json!("whatsapp"), Value::Null]).await;
    assert_eq!(invitations(&created), [("sent", "sms"), ("sent", "")]);
    assert_eq!(last(&laptop, RIDER).await.0, Value::Null);
    let patched = format!("/conversations/{}", text(&created, "/id"));
    let changed = laptop.patch(&patched, &json!({"participants": [{"number": "+447700900008"}, null]})).await;
    assert_eq!(invitations(&changed.body), [("off", ""), ("sent", "")], "nothing was sent to the new phone");
}

#[tokio::test]
async fn invitation_that_a_channel_does_not_take_is_one_sms() {
    let laptop = builder().start().await;
    let left = json!({"phone": RIDER, "channel": "rcs", "present": false});
    assert_eq!(laptop.vonage(Method::PUT, "/simulator/channels", left).await.status, 204);
    let created = invite(&laptop, [json!("rcs"), Value::Null]).await;
    assert_eq!(invitations(&created)[0], ("sent", "rcs"), "Vonage has not said yet that it texts instead");
    let received = laptop.texts(RIDER).await;
    assert_eq!((received.len(), &received[0]["from"]), (1, &created["participants"][0]["dials"]), "{received:?}");
    for reversed in [false, true] {
        laptop.receipts(json!({"keep": true, "reversed": reversed})).await;
        assert_eq!(invitations(&shown(&laptop, &created).await)[0], ("delivered", "sms"));
    }
    laptop.table().await;
}

#[tokio::test]
async fn stop_to_a_sender_holds_for_invitations_too() {
    let templates = ("WHATSAPP_TEMPLATES", r#"{"invitation": "ride_number"}"#);
    let laptop = builder().env(&[templates]).start().await;
    chat(&laptop, RIDER, "STOP").await;
    let before = laptop.texts(RIDER).await.len();
    let created = invite(&laptop, [json!("whatsapp"), Value::Null]).await;
    assert_eq!(text(&created, "/participants/0/notification"), "failed", "{created}");
    assert_eq!(laptop.texts(RIDER).await.len(), before);
}
