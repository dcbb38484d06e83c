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

/// Returns the settings of a laptop with a template for calls, and the body of a conversation with these measures and channels.
fn with_measures(channels: [Value; 2], measures: Value) -> (Builder, Value) {
    let templates = ("WHATSAPP_TEMPLATES", r#"{"call": "ride_call", "locales": {"en": "en_GB"}}"#);
    let mut order = order(channels);
    order["missed_calls"] = measures;
    (builder().env(&[templates]), order)
}

/// Has the rider call the driver, whose line is busy, and press these keys.
async fn miss(laptop: &Laptop, created: &Value, presses: Value) {
    let dials = text(created, "/participants/0/dials");
    let call = json!({"from": RIDER, "to": dials, "callee": "busy", "presses": presses, "message_seconds": 20});
    laptop.faultless_call(call).await;
    laptop.stack.background_runs_finished().await;
}

#[tokio::test]
async fn texts_about_calls_go_where_the_backend_has_chosen() {
    for (channel, template) in [("whatsapp", json!("ride_call")), ("rcs", Value::Null)] {
        let measures = json!(["text", "call_back", "voicemail"]);
        let (builder, order) = with_measures([Value::Null, json!(channel)], measures);
        let laptop = builder.start().await;
        let created = laptop.post("/conversations", &order).await.body;
        for (presses, words) in [
            (json!([]), "Missed call: your rider."),
            (json!(["1"]), "Please call back: your rider,"),
            (json!(["2", "#"]), "Voice message: your rider. Listen: http"),
        ] {
            laptop.advance(601);
            let before = laptop.texts(DRIVER).await.len();
            miss(&laptop, &created, presses).await;
            let received = laptop.texts(DRIVER).await.split_off(before);
            let about = received.iter().find(|message| text(message, "/text").starts_with(words));
            let about = about.unwrap_or_else(|| panic!("{words}: {received:?}"));
            assert_eq!((&about["channel"], &about["template"]), (&json!(channel), &template), "{about}");
        }
        miss(&laptop, &created, json!([])).await;
        assert_eq!(laptop.texts(DRIVER).await.len(), 5, "one of each missed call, but for the last one of a burst");
        assert_eq!(laptop.delete(&format!("/conversations/{}?erase=true", text(&created, "/id"))).await.status, 204);
        laptop.advance(61 * 60);
        laptop.stack.run_erasure_schedule().await.unwrap();
        assert!(laptop.texts(DRIVER).await.is_empty(), "redacted at Vonage");
        laptop.table().await;
    }
}

#[tokio::test]
async fn question_about_lost_property_goes_by_the_chosen_channel() {
    let (builder, mut order) = with_measures([Value::Null, json!("whatsapp")], json!([]));
    let laptop = builder.start().await;
    order["lost_property"] = json!(true);
    let created = laptop.post("/conversations", &order).await.body;
    let path = format!("/conversations/{}", text(&created, "/id"));
    assert_eq!(laptop.delete(&path).await.status, 200);
    let press = async |from: &str, side: usize| {
        let to = text(&created, &format!("/participants/{side}/dials"));
        let told = laptop.faultless_call(json!({"from": from, "to": to, "presses": ["1"]})).await;
        laptop.stack.background_runs_finished().await;
        told
    };
    for _ in 0..2 {
        assert!(press(RIDER, 0).await["phones"]["callee"].is_null(), "nobody is connected before both have asked");
    }
    let received = laptop.texts(DRIVER).await;
    assert_eq!((received.len(), text(&received[0], "/template")), (1, "ride_call"), "{received:?}");
    assert!(shown(&laptop, &created).await["lost_property_asked_at"][0].is_string());
    assert_eq!(press(DRIVER, 1).await["callees"][0]["number"], RIDER, "the driver agrees");
}

#[tokio::test]
async fn texts_about_calls_come_by_sms_where_no_channel_takes_them() {
    let ring = async |laptop: Laptop, order: Value| {
        let created = laptop.post("/conversations", &order).await.body;
        miss(&laptop, &created, json!([])).await;
        let received = laptop.texts(DRIVER).await;
        assert_eq!((received.len(), &received[0]["channel"]), (1, &Value::Null), "{received:?}");
        assert_eq!(received[0]["from"], created["participants"][1]["dials"], "from the mask of the caller");
    };
    let (_, order) = with_measures([Value::Null, json!("whatsapp")], json!(["text"]));
    ring(builder().start().await, order.clone()).await;
    // The function that knows the channels is not there.
    let (with_template, _) = with_measures([Value::Null, Value::Null], json!([]));
    ring(with_template.env(&[("KEEP_RECORDINGS_FUNCTION_NAME", "nobody")]).start().await, order.clone()).await;
    // Vonage refuses the request because of the channel.
    let (with_template, _) = with_measures([Value::Null, Value::Null], json!([]));
    let laptop = with_template.start().await;
    refuse(&laptop, "whatsapp").await;
    ring(laptop, order).await;
}

/// Has Vonage refuse messages on a channel.
async fn refuse(laptop: &Laptop, channel: &str) {
    let kind = "https://developer.vonage.com/api-errors/messages#1120";
    let fault = json!({"kind": "status", "status": 422, "body": {"type": kind, "title": "Invalid sender"}});
    let rule = json!({"path": "/v1/messages", "contains": channel, "fault": fault});
    assert_eq!(laptop.vonage(Method::POST, "/simulator/faults", rule).await.status, 204);
}

#[tokio::test]
async fn stop_to_a_sender_holds_for_texts_about_calls_too() {
    let (builder, order) = with_measures([Value::Null, json!("rcs")], json!(["text"]));
    let laptop = builder.start().await;
    let created = laptop.post("/conversations", &order).await.body;
    laptop.advance(1);
    let stop = json!({"from": DRIVER, "to": RCS, "channel": "rcs", "text": "STOP"});
    laptop.text(stop).await;
    let before = laptop.texts(DRIVER).await.len();
    miss(&laptop, &created, json!([])).await;
    assert_eq!(laptop.texts(DRIVER).await.len(), before);
}

#[tokio::test]
async fn number_without_sms_invites_by_no_sms() {
    let senders = [("TEXTS_BY", "messages-api"), ("RCS_SENDER", RCS)];
    let laptop = Laptop::builder().env(&senders).start().await;
    let landlines = json!({"country": "GB", "count": 4, "features": ["VOICE"], "type": "landline"});
    assert_eq!(laptop.post("/numbers", &landlines).await.status, 200);
    let left = json!({"phone": RIDER, "channel": "rcs", "present": false});
    assert_eq!(laptop.vonage(Method::PUT, "/simulator/channels", left).await.status, 204);
    let created = invite(&laptop, [json!("rcs"), json!("rcs")]).await;
    assert_eq!(invitations(&created), [("sent", "rcs"), ("sent", "rcs")], "Vonage has not said yet what it could do");
    assert_eq!((laptop.texts(RIDER).await.len(), laptop.texts(DRIVER).await.len()), (0, 1));
    laptop.receipts(json!({})).await;
    assert_eq!(invitations(&shown(&laptop, &created).await), [("undelivered", "rcs"), ("delivered", "rcs")]);
    // Nor if Vonage refuses the request.
    refuse(&laptop, "rcs").await;
    let asked = laptop.asked("/v1/messages").await;
    let created = invite(&laptop, [json!("rcs"), Value::Null]).await;
    assert_eq!(text(&created, "/participants/0/notification"), "failed", "{created}");
    assert!(laptop.texts(RIDER).await.is_empty());
    assert_eq!(laptop.asked("/v1/messages").await, asked + 2, "one on the channel, and the driver's");
}

#[tokio::test]
async fn channel_stays_if_the_phone_changes() {
    const NEW_PHONE: &str = "447700900008";

    let laptop = builder().start().await;
    let created = invite(&laptop, [json!("rcs"), Value::Null]).await;
    let path = format!("/conversations/{}", text(&created, "/id"));
    let changed = laptop.patch(&path, &json!({"participants": [{"number": format!("+{NEW_PHONE}")}, null]})).await;
    assert_eq!((changed.status, text(&changed.body, "/participants/0/channel")), (200, "rcs"), "{changed:?}");
    let invited = laptop.post(&format!("{path}/notifications"), &json!({"to": "a"})).await;
    assert_eq!(invitations(&invited.body)[0], ("sent", "rcs"), "{invited:?}");
    write(&laptop, &created, 1, "Two minutes.").await;
    let received = laptop.texts(NEW_PHONE).await;
    assert!(received.len() == 2 && received.iter().all(|message| message["channel"] == "rcs"), "{received:?}");
    // Both at once: another phone, and another channel for it.
    let both = json!({"participants": [{"number": format!("+{RIDER}"), "channel": "sms"}, null]});
    assert_eq!(text(&laptop.patch(&path, &both).await.body, "/participants/0/channel"), "sms");
    laptop.advance(1);
    write(&laptop, &created, 1, "Here.").await;
    assert_eq!(last(&laptop, RIDER).await, (Value::Null, "Here.".to_owned()));
    assert_eq!(laptop.texts(NEW_PHONE).await.len(), 2);
    laptop.table().await;
}

#[tokio::test]
async fn stop_in_a_chat_is_noted_in_each_conversation() {
    let laptop = builder().numbers("GB", 3).start().await;
    let first = create(&laptop, [json!("whatsapp"), Value::Null]).await;
    let with =
        |phone: &str| json!({"participants": [{"number": format!("+{phone}")}, {"number": format!("+{RIDER}")}]});
    let second = laptop.post("/conversations", &with("447700900003")).await.body;
    let of_others = laptop
        .post(
            "/conversations",
            &json!({"participants": [
        {"number": "+447700900004"}, {"number": "+447700900005"}]}),
        )
        .await
        .body;
    let ended = laptop.post("/conversations", &with("447700900006")).await;
    assert_eq!(laptop.delete(&format!("/conversations/{}", text(&ended.body, "/id"))).await.status, 200);
    // The times at which the backend was told that side A and side B stopped texts.
    let noted = async |conversation: &Value| {
        let key = format!("CONVERSATION#{}", text(conversation, "/id"));
        let items = laptop.items().await;
        let item = items.iter().find(|item| item["pk"]["S"] == *key && item["sk"]["S"] == "CONVERSATION").unwrap();
        ["a", "b"].map(|side| item.get(format!("texts_stopped_{side}")).is_some())
    };
    let all = async || [noted(&first).await, noted(&second).await, noted(&of_others).await, noted(&ended.body).await];
    let (none, rider_first, rider_second) = ([false, false], [true, false], [false, true]);
    for (words, expected) in [
        ("STOP", [rider_first, rider_second, none, none]),
        ("STOP", [rider_first, rider_second, none, none]),
        ("START", [none, none, none, none]),
    ] {
        chat(&laptop, RIDER, words).await;
        assert_eq!(all().await, expected, "{words}");
    }
    laptop.table().await;
}
