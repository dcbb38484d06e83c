//! Pictures and other files between participants.

use serde_json::{Value, json};
use testkit::{Builder, Laptop, text};

const RIDER: &str = "12025550101";
const DRIVER: &str = "12025550102";

fn builder(api: &str) -> Builder {
    Laptop::builder().env(&[("TEXTS_BY", api)])
}

/// Starts a stack with a conversation of two people in the United States, on numbers with these features.
async fn american(builder: Builder, fields: Value) -> (Laptop, Value) {
    let laptop = builder.start().await;
    let order = json!({"country": "US", "count": 2, "features": ["VOICE", "SMS", "MMS"]});
    assert_eq!(laptop.post("/numbers", &order).await.status, 200);
    let created = laptop.create_with(with_people(fields, [RIDER, DRIVER])).await;
    (laptop, created)
}

fn with_people(mut fields: Value, phones: [&str; 2]) -> Value {
    fields["participants"] = json!(phones.map(|phone| json!({"number": format!("+{phone}")})));
    fields["notify"] = json!(false);
    fields
}

/// Has the rider send these files.
async fn send(laptop: &Laptop, created: &Value, words: &str, files: Value) -> Value {
    let to = text(created, "/participants/0/dials");
    let sent = laptop.text(json!({"from": RIDER, "to": to, "text": words, "files": files})).await;
    assert_eq!((sent.len(), &sent[0]["deliveries"]), (1, &json!([200])), "{sent:?}");
    sent[0].clone()
}

async fn shown(laptop: &Laptop, created: &Value) -> Value {
    laptop.get(&format!("/conversations/{}", text(created, "/id"))).await.body["texts"].clone()
}

fn image() -> Value {
    json!([{"type": "image"}])
}

#[tokio::test]
async fn picture_reaches_the_other_one_once_from_the_mask() {
    let (laptop, created) = american(builder("messages-api"), json!({})).await;
    let sent = send(&laptop, &created, "My car is the red one.", image()).await;
    for _ in 0..2 {
        assert_eq!(laptop.deliver_again(text(&sent, "/id"), json!({})).await["deliveries"], json!([200]));
    }
    let received = laptop.texts(DRIVER).await;
    assert_eq!((received.len(), &received[0]["text"]), (1, &json!("My car is the red one.")), "{received:?}");
    assert_eq!(received[0]["from"], created["participants"][0]["masked_by"]);
    let file = &received[0]["files"][0];
    assert!(file["type"] == "image" && text(file, "/url").starts_with("https://api-us.nexmo.com/v3/media/"), "{file}");
    let texts = shown(&laptop, &created).await;
    assert_eq!(
        (texts.as_array().unwrap().len(), &texts[0]["media"], &texts[0]["state"]),
        (1, &json!(["image"]), &json!("sent"))
    );
    laptop.receipts(json!({"keep": true})).await;
    assert_eq!(shown(&laptop, &created).await[0]["state"], "delivered");
    let events = laptop.stack.bus.events();
    let told: Vec<_> =
        events.iter().filter(|event| event["detail"]["files"] == "1").map(|event| &event["detail-type"]).collect();
    assert_eq!(told.first(), Some(&&json!("Text relayed")), "{events:?}");
    assert!(!laptop.items().await.iter().any(|item| item.to_string().contains("/v3/media/")), "the address is stored");
    laptop.table().await;
}

#[tokio::test]
async fn each_kind_and_several_files_are_passed_on() {
    let (laptop, created) = american(builder("messages-api"), json!({})).await;
    let kinds = ["image", "audio", "video", "vcard", "file"];
    for (count, kind) in (1..).zip(kinds) {
        send(&laptop, &created, "", json!([{"type": kind}])).await;
        laptop.advance(1);
        let received = laptop.texts(DRIVER).await;
        assert_eq!((received.len(), &received[count - 1]["files"][0]["type"]), (count, &json!(kind)), "{received:?}");
    }
    send(&laptop, &created, "all", json!(kinds.map(|kind| json!({"type": kind})))).await;
    let received = laptop.texts(DRIVER).await;
    assert_eq!((received[5]["files"].as_array().unwrap().len(), &received[5]["text"]), (5, &json!("all")));
    assert_eq!(shown(&laptop, &created).await[0]["media"], json!(kinds));
}

#[tokio::test]
async fn mms_without_a_file_is_a_text() {
    let (laptop, created) = american(builder("sms-api"), json!({})).await;
    send(&laptop, &created, "a long text", json!([])).await;
    assert_eq!(laptop.words(DRIVER).await, ["a long text"]);
}

#[tokio::test]
async fn picture_that_cannot_be_carried_is_explained_once() {
    let over_sms = american(builder("sms-api"), json!({})).await;
    // The number that masks the writer has no MMS.
    let plain = american(builder("messages-api"), json!({})).await;
    let key =
        json!({"pk": {"S": "POOL#US"}, "sk": {"S": format!("NUMBER#{}", text(&plain.1, "/participants/0/masked_by"))}});
    let update = json!({"TableName": "maskline", "Key": key, "UpdateExpression": "SET features = :sms",
                        "ExpressionAttributeValues": {":sms": {"L": [{"S": "VOICE"}, {"S": "SMS"}]}}});
    assert_eq!(plain.0.dynamodb("UpdateItem", update).await.status, 200);
    // The reader is in another country.
    let abroad = builder("messages-api").env(&[("FALLBACK_COUNTRIES", "US"), ("CALLABLE_COUNTRIES", "US,GB")]);
    let abroad = abroad.start().await;
    abroad.post("/numbers", &json!({"country": "US", "count": 2, "features": ["VOICE", "SMS", "MMS"]})).await;
    let to_britain = abroad.create_with(with_people(json!({}), [RIDER, "447700900002"])).await;
    for (laptop, created) in [over_sms, plain, (abroad, to_britain)] {
        for _ in 0..2 {
            send(&laptop, &created, "look", image()).await;
        }
        let told = laptop.words(RIDER).await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("pictures and other files are not passed on here"), "{told:?}");
        assert!(laptop.texts(DRIVER).await.is_empty() && laptop.texts("447700900002").await.is_empty());
        assert!(shown(&laptop, &created).await.is_null());
    }
}

#[tokio::test]
async fn address_that_names_a_phone_is_never_sent_on() {
    let (laptop, created) = american(builder("messages-api"), json!({})).await;
    for url in [format!("https://media.example/{RIDER}.jpg"), "https://media.example/202-555-0102".to_owned()] {
        send(&laptop, &created, "", json!([{"type": "image", "url": url}])).await;
    }
    for url in ["http://media.example/a", "https://media.example/a b", "file:///etc/passwd"] {
        send(&laptop, &created, "", json!([{"type": "image", "url": url}])).await;
    }
    assert!(laptop.texts(DRIVER).await.is_empty());
    assert_eq!(laptop.words(RIDER).await.len(), 1);
}

#[tokio::test]
async fn masking_holds_for_what_is_written_and_for_cards() {
    let (laptop, created) = american(builder("messages-api"), json!({"text_masking": "redact"})).await;
    send(&laptop, &created, "call 202-555-0123", image()).await;
    assert_eq!(laptop.words(DRIVER).await, ["call ***"]);
    assert_eq!(shown(&laptop, &created).await[0]["masked"], 1);
    send(&laptop, &created, "my card", json!([{"type": "vcard"}])).await;
    assert_eq!(laptop.texts(DRIVER).await.len(), 1, "a card is made of contact details");
    assert!(laptop.words(RIDER).await[0].contains("phone numbers"));
    let path = format!("/conversations/{}", text(&created, "/id"));
    assert_eq!(laptop.patch(&path, &json!({"text_masking": "refuse"})).await.status, 200);
    send(&laptop, &created, "call 202-555-0123", image()).await;
    assert_eq!(laptop.texts(DRIVER).await.len(), 1);
}

#[tokio::test]
async fn words_to_a_picture_are_kept_only_if_asked_for() {
    for (keep, kept) in [("off", Value::Null), ("on", json!("look at this"))] {
        let (laptop, created) = american(builder("messages-api").env(&[("KEEP_TEXTS", keep)]), json!({})).await;
        send(&laptop, &created, "look at this", image()).await;
        laptop.advance(1);
        send(&laptop, &created, "", image()).await;
        let texts = shown(&laptop, &created).await;
        assert_eq!((&texts[1]["text"], &texts[0]["text"]), (&kept, &Value::Null), "{texts}");
    }
}

#[tokio::test]
async fn picture_whose_answer_is_lost_is_never_sent_again() {
    let (laptop, created) = american(builder("messages-api"), json!({})).await;
    laptop.fault("/v1/messages", json!({"kind": "close_after"})).await;
    let sent = send(&laptop, &created, "once", image()).await;
    laptop.deliver_again(text(&sent, "/id"), json!({})).await;
    assert_eq!(laptop.texts(DRIVER).await.len(), 1);
    assert_eq!(shown(&laptop, &created).await[0]["state"], "unknown");
    laptop.receipts(json!({})).await;
    assert_eq!(shown(&laptop, &created).await[0]["state"], "delivered");
    // Vonage could not fetch it.
    laptop.advance(1);
    send(&laptop, &created, "gone", image()).await;
    laptop.receipts(json!({"status": "rejected", "err_code": "10"})).await;
    assert_eq!(shown(&laptop, &created).await[0]["state"], "failed");
}

#[tokio::test]
async fn stop_and_the_end_hold_for_pictures() {
    let (laptop, created) = american(builder("messages-api"), json!({})).await;
    let from_driver = json!({"from": DRIVER, "to": text(&created, "/participants/1/dials"), "text": "STOP"});
    laptop.text(from_driver).await;
    send(&laptop, &created, "look", image()).await;
    assert!(laptop.texts(DRIVER).await.iter().all(|message| message["files"].is_null()));
    let withheld = shown(&laptop, &created).await[0].clone();
    assert_eq!((&withheld["state"], &withheld["media"]), (&json!("failed"), &json!(["image"])), "{withheld}");
    assert_eq!(laptop.delete(&format!("/conversations/{}", text(&created, "/id"))).await.status, 200);
    laptop.advance(25 * 3600);
    send(&laptop, &created, "late", image()).await;
    assert!(laptop.texts(DRIVER).await.iter().all(|message| message["files"].is_null()));
}
