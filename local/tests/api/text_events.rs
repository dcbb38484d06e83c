//! Events about texts between participants, and words that are kept.

use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, text};

const WORDS: &str = "I am at the station";

async fn write(laptop: &Laptop, conversation: &Value) -> Value {
    let to = text(conversation, "/participants/0/dials");
    laptop.text(json!({"from": RIDER, "to": to, "text": WORDS})).await[0].clone()
}

/// Returns the kinds of the events about texts, and checks that none has a phone or what was written.
fn told(laptop: &Laptop) -> Vec<Value> {
    let events = laptop.stack.bus.events().into_iter();
    let events: Vec<_> = events.filter(|event| text(event, "/detail-type").starts_with("Text ")).collect();
    for event in &events {
        assert_eq!(event["source"], "maskline");
        let shown = event.to_string();
        assert!(![WORDS, RIDER, DRIVER].iter().any(|secret| shown.contains(secret)), "{event}");
        assert!(event["detail"].as_object().unwrap().values().all(Value::is_string), "{event}");
    }
    events
}

fn kinds(events: &[Value]) -> Vec<(&str, &str)> {
    events.iter().map(|event| (text(event, "/detail-type"), text(event, "/detail/state"))).collect()
}

#[tokio::test]
async fn text_and_its_receipt_are_events() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create_with(json!({"text_masking": "redact"})).await;
    write(&laptop, &conversation).await;
    laptop.receipts(json!({"status": "accepted", "keep": true})).await;
    laptop.receipts(json!({})).await;
    let events = told(&laptop);
    assert_eq!(kinds(&events), [("Text relayed", "sent"), ("Text delivered", "delivered")]);
    let shown = laptop.get(&format!("/conversations/{}", text(&conversation, "/id"))).await.body["texts"][0].clone();
    for event in &events {
        assert_eq!((&event["detail"]["conversation"], &event["detail"]["text"]), (&conversation["id"], &shown["id"]));
        assert_eq!((&event["detail"]["side"], &event["detail"]["segments"]), (&json!("A"), &json!("1")));
    }
    assert!(shown["text"].is_null(), "no words are kept");
}

#[tokio::test]
async fn failed_and_unclear_texts_are_events() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create_with(json!({})).await;
    laptop.fault("/sms/json", json!({"kind": "close_after"})).await;
    write(&laptop, &conversation).await;
    laptop.receipts(json!({"format": "sms_form", "status": "failed", "err_code": "1"})).await;
    assert_eq!(kinds(&told(&laptop)), [("Text relayed", "unknown"), ("Text failed", "failed")]);
    assert!(!text(&told(&laptop)[1], "/detail/reason").is_empty());
}

#[tokio::test]
async fn text_of_which_the_bus_was_not_told_is_sent_once() {
    let laptop = Laptop::builder().env(&[("AWS_ENDPOINT_URL_EVENTBRIDGE", "http://127.0.0.1:9")]);
    let laptop = laptop.numbers("GB", 2).start().await;
    let conversation = laptop.create_with(json!({})).await;
    let sent = write(&laptop, &conversation).await;
    assert!(!sent["deliveries"].to_string().contains("200"), "Vonage has to send it again: {sent}");
    laptop.deliver_again(text(&sent, "/id"), json!({})).await;
    assert_eq!(laptop.texts(DRIVER).await.len(), 1);
}

#[tokio::test]
async fn repeated_delivery_tells_of_the_text_again() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create_with(json!({})).await;
    let sent = write(&laptop, &conversation).await;
    laptop.deliver_again(text(&sent, "/id"), json!({})).await;
    assert_eq!(kinds(&told(&laptop)), [("Text relayed", "sent"); 2], "the first run may not have told");
    assert_eq!(laptop.texts(DRIVER).await.len(), 1);
}

#[tokio::test]
async fn words_are_kept_until_the_erasure_if_asked_for() {
    let laptop = Laptop::builder().env(&[("KEEP_TEXTS", "on")]).numbers("GB", 2).start().await;
    let conversation = laptop.create_with(json!({"text_masking": "redact"})).await;
    let to = text(&conversation, "/participants/0/dials");
    laptop.text(json!({"from": RIDER, "to": to, "text": "ring 07700900009, I am at the station"})).await;
    let path = format!("/conversations/{}", text(&conversation, "/id"));
    let shown = laptop.get(&path).await.body["texts"][0].clone();
    assert_eq!(shown["text"], "ring ***, I am at the station", "as it was passed on");
    told(&laptop);
    assert_eq!(laptop.delete(&format!("{path}?erase=true")).await.status, 204);
    assert!(!laptop.items().await.iter().any(|item| item.to_string().contains("station")));
}
