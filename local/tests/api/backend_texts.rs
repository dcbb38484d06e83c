//! Texts that the backend writes to a participant.

use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::Clock;
use testkit::{Answer, DRIVER, Laptop, RIDER, text};

const WORDS: &str = "Your car is here.";

async fn laptop() -> Laptop {
    Laptop::builder().numbers("GB", 2).start().await
}

async fn write(laptop: &Laptop, conversation: &Value, key: &str, body: Value) -> Answer {
    let path = format!("/conversations/{}/texts", text(conversation, "/id"));
    let request = laptop.request(Method::POST, &path).header("Idempotency-Key", key);
    laptop.answer(request.body(body.to_string())).await
}

async fn shown(laptop: &Laptop, conversation: &Value) -> Value {
    laptop.get(&format!("/conversations/{}", text(conversation, "/id"))).await.body["texts"].clone()
}

#[tokio::test]
async fn participant_gets_a_text_from_the_number_that_they_dial() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({})).await;
    for (side, phone, number) in [("a", RIDER, 0), ("b", DRIVER, 1)] {
        let written = write(&laptop, &conversation, side, json!({"to": side, "text": WORDS})).await;
        assert_eq!(written.status, 201, "{written:?}");
        let body = &written.body;
        assert_eq!((&body["from"], &body["to"], &body["state"]), (&json!("backend"), &json!(side), &json!("sent")));
        assert_eq!((&body["segments"], text(body, "/price")), (&json!(1), "0.0333"));
        let received = laptop.texts(phone).await;
        assert_eq!((received.len(), &received[0]["text"]), (1, &json!(WORDS)));
        assert_eq!(received[0]["from"], conversation["participants"][number]["dials"]);
        laptop.advance(1);
    }
    laptop.receipts(json!({})).await;
    let shown = shown(&laptop, &conversation).await;
    assert_eq!((&shown[0]["state"], &shown[0]["to"]), (&json!("delivered"), &json!("b")));
    assert!(!shown.to_string().contains("car"), "no words are kept");
    let events = laptop.stack.bus.events();
    let kinds: Vec<_> = events.iter().map(|event| text(event, "/detail-type")).collect();
    assert_eq!(kinds, ["Text relayed", "Text relayed", "Text delivered", "Text delivered"]);
    assert!(events.iter().all(|event| event["detail"]["side"] == ""), "{events:?}");
    laptop.table().await;
}

#[tokio::test]
async fn same_request_writes_once_and_another_one_is_refused() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({})).await;
    let body = json!({"to": "a", "text": WORDS});
    let first = write(&laptop, &conversation, "one", body.clone()).await;
    let again = write(&laptop, &conversation, "one", body.clone()).await;
    assert_eq!((first.status, again.status, &again.body["id"]), (201, 200, &first.body["id"]));
    let other = write(&laptop, &conversation, "one", json!({"to": "b", "text": WORDS})).await;
    assert_eq!(
        (other.status, text(&other.body, "/type")),
        (422, "urn:maskline:problem:idempotency-key-reused"),
        "{other:?}"
    );
    assert_eq!((laptop.texts(RIDER).await.len(), laptop.texts(DRIVER).await.len()), (1, 0));
    // After the end the same request still has its answer, and no other one is taken.
    assert_eq!(laptop.delete(&format!("/conversations/{}", text(&conversation, "/id"))).await.status, 200);
    assert_eq!(write(&laptop, &conversation, "one", body.clone()).await.status, 200);
    let late = write(&laptop, &conversation, "two", body).await;
    assert_eq!((late.status, text(&late.body, "/type")), (409, "urn:maskline:problem:conversation-ended"));
    assert_eq!(laptop.texts(RIDER).await.len(), 1);
}

#[tokio::test]
async fn text_that_vonage_did_not_take_goes_with_the_same_request() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({})).await;
    let body = json!({"to": "a", "text": WORDS});
    laptop.faults("/sms/json", 100, json!({"kind": "status", "status": 429})).await;
    assert_eq!(write(&laptop, &conversation, "one", body.clone()).await.status, 503);
    assert!(shown(&laptop, &conversation).await.is_null(), "the claim was given up");
    laptop.no_more_faults().await;
    assert_eq!(write(&laptop, &conversation, "one", body).await.status, 201);
    assert_eq!(laptop.words(RIDER).await, [WORDS]);
}

#[tokio::test]
async fn unclear_text_is_shown_as_unknown_and_never_repeated() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({})).await;
    let body = json!({"to": "a", "text": WORDS});
    laptop.fault("/sms/json", json!({"kind": "close_after"})).await;
    for status in [201, 200] {
        let written = write(&laptop, &conversation, "one", body.clone()).await;
        assert_eq!((written.status, &written.body["state"]), (status, &json!("unknown")), "{written:?}");
        assert_eq!(written.body["reason"], "no response from Vonage");
    }
    assert_eq!(laptop.words(RIDER).await, [WORDS]);
    laptop.receipts(json!({})).await;
    assert_eq!(write(&laptop, &conversation, "one", body).await.body["state"], "delivered");
}

#[tokio::test]
async fn refused_text_is_failed_with_a_reason() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({})).await;
    let barred = json!({"message-count": "1", "messages": [{"status": "7", "error-text": "barred"}]});
    laptop.fault("/sms/json", json!({"kind": "status", "status": 200, "body": barred})).await;
    let written = write(&laptop, &conversation, "one", json!({"to": "a", "text": WORDS})).await;
    assert_eq!((written.status, &written.body["state"]), (201, &json!("failed")), "{written:?}");
    assert!(text(&written.body, "/reason").contains("barred"), "{written:?}");
}

#[tokio::test]
async fn quiet_hours_are_those_of_the_participant() {
    let laptop = laptop().await;
    let hours = json!({"days": ["mon"], "from": "00:00", "to": "00:01", "zone": "UTC"});
    let people = json!([{"number": format!("+{RIDER}"), "hours": hours}, {"number": format!("+{DRIVER}")}]);
    let conversation = laptop.create_with(json!({"participants": people})).await;
    let now: jiff::Timestamp = text(&conversation, "/created_at").parse().unwrap();
    let of_day = |hours: i64| (now + jiff::SignedDuration::from_hours(hours)).strftime("%H:00").to_string();
    let quiet = |from: i64, to: i64| json!({"from": of_day(from), "to": of_day(to)});
    let body = json!({"to": "a", "text": WORDS, "quiet_hours": quiet(-1, 2)});
    let refused = write(&laptop, &conversation, "one", body.clone()).await;
    assert_eq!(
        (refused.status, text(&refused.body, "/type")),
        (409, "urn:maskline:problem:quiet-hours"),
        "{refused:?}"
    );
    let earliest: jiff::Timestamp = text(&refused.body, "/earliest_at").parse().unwrap();
    assert_eq!(earliest.strftime("%H:%M:%S").to_string(), format!("{}:00", of_day(2)));
    assert!(laptop.texts(RIDER).await.is_empty());
    laptop.advance(earliest.duration_since(now).as_secs());
    assert_eq!(write(&laptop, &conversation, "one", body).await.status, 201, "the same request, when they are over");
    let no_zone = json!({"to": "b", "text": WORDS, "quiet_hours": quiet(-1, 2)});
    let unknown = write(&laptop, &conversation, "two", no_zone).await;
    assert_eq!((unknown.status, text(&unknown.body, "/field")), (422, "quiet_hours"), "{unknown:?}");
    assert!(laptop.texts(DRIVER).await.is_empty());
}

#[tokio::test]
async fn phone_that_only_dials_gets_no_text() {
    let laptop = laptop().await;
    let in_three_days = (laptop.clock.now() + jiff::SignedDuration::from_hours(72)).strftime("%a").to_string();
    let closed = json!({"days": [in_three_days.to_lowercase()], "from": "00:00", "to": "24:00", "zone": "UTC"});
    let borrowed = "447700900555";
    let phones = json!([{"number": format!("+{borrowed}"), "only_dials": true}]);
    let people =
        json!([{"number": format!("+{RIDER}"), "hours": closed, "phones": phones}, {"number": format!("+{DRIVER}")}]);
    let conversation = laptop.create_with(json!({"participants": people})).await;
    assert_eq!(write(&laptop, &conversation, "one", json!({"to": "a", "text": WORDS})).await.status, 201);
    let to = text(&conversation, "/participants/1/dials");
    laptop.text(json!({"from": DRIVER, "to": to, "text": "I am here."})).await;
    assert_eq!(laptop.words(RIDER).await, [WORDS, "I am here."]);
    assert!(laptop.texts(borrowed).await.is_empty());
}

#[tokio::test]
async fn participant_who_stopped_texts_gets_none_of_the_backend() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({})).await;
    let number = text(&conversation, "/participants/0/dials");
    laptop.text(json!({"from": RIDER, "to": number, "text": "STOP"})).await;
    let before = laptop.texts(RIDER).await.len();
    let body = json!({"to": "a", "text": WORDS});
    let refused = write(&laptop, &conversation, "one", body.clone()).await;
    assert_eq!(
        (refused.status, text(&refused.body, "/type")),
        (409, "urn:maskline:problem:texts-stopped"),
        "{refused:?}"
    );
    assert_eq!((laptop.texts(RIDER).await.len(), shown(&laptop, &conversation).await), (before, Value::Null));
    laptop.text(json!({"from": RIDER, "to": number, "text": "START"})).await;
    assert_eq!(write(&laptop, &conversation, "one", body).await.status, 201, "the key is free");
}

#[tokio::test]
async fn malformed_requests_write_nothing() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({})).await;
    for (body, field) in [
        (json!({"to": "c", "text": WORDS}), "to"),
        (json!({"to": "a"}), "text"),
        (json!({"to": "a", "text": ""}), "text"),
        (json!({"to": "a", "text": "a".repeat(1_601)}), "text"),
        (json!({"to": "a", "text": "a\u{7}"}), "text"),
        (
            json!({"to": "a", "text": WORDS, "quiet_hours": {"from": "22:00", "to": "07:00", "zone": "Mars"}}),
            "quiet_hours",
        ),
        (json!({"to": "a", "text": WORDS, "form": "a"}), "form"),
    ] {
        let refused = write(&laptop, &conversation, "one", body.clone()).await;
        assert_eq!(refused.status, 422, "{body}: {refused:?}");
        assert!(field == "text" || text(&refused.body, "/field").starts_with(field), "{body}: {refused:?}");
    }
    let path = format!("/conversations/{}/texts", text(&conversation, "/id"));
    let keyless = laptop.post(&path, &json!({"to": "a", "text": WORDS})).await;
    assert_eq!((keyless.status, text(&keyless.body, "/field")), (422, "Idempotency-Key"));
    let unknown = json!({"id": "01KAP0QC00M4SK11NE00000000"});
    assert_eq!(write(&laptop, &unknown, "one", json!({"to": "a", "text": WORDS})).await.status, 404);
    assert_eq!(laptop.asked("/sms/json").await, 0);
}

#[tokio::test]
async fn long_text_is_counted_and_erased_with_its_conversation() {
    let laptop = laptop().await;
    let conversation = laptop.create_with(json!({})).await;
    let written = write(&laptop, &conversation, "one", json!({"to": "a", "text": "ж".repeat(1_600)})).await;
    assert_eq!((written.status, &written.body["segments"]), (201, &json!(24)), "{written:?}");
    let path = format!("/conversations/{}?erase=true", text(&conversation, "/id"));
    assert_eq!(laptop.delete(&path).await.status, 204);
    let items = laptop.items().await;
    let of_kind = |kind: &str| items.iter().filter(|item| text(item, "/pk/S").starts_with(kind)).count();
    assert_eq!((of_kind("TEXTS#"), of_kind("REDACTION")), (0, 24), "one record for each part");
    assert_eq!(write(&laptop, &conversation, "one", json!({"to": "a", "text": "ж".repeat(1_600)})).await.status, 404);
}
