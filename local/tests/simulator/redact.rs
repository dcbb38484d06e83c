//! The Redact API.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::clock::ManualClock;

use crate::support::{CALLER, KEY, SECRET, Vonage, answer};

async fn start() -> (Vonage, ManualClock) {
    let clock = ManualClock::at(Timestamp::from_second(1_800_000_000).unwrap());
    (Vonage::start_at(Arc::new(clock.clone())).await, clock)
}

async fn redact(vonage: &Vonage, transaction: Value) -> (u16, Value) {
    let request = vonage.client.post(format!("{}/v1/redact/transaction", vonage.base)).json(&transaction);
    answer(request.basic_auth(KEY, Some(SECRET))).await
}

/// Sends a text message of `parts` parts and returns their ids.
async fn text(vonage: &Vonage, parts: usize) -> Vec<Value> {
    let text = "a".repeat(153 * parts);
    let (_, sent) = answer(vonage.form("/sms/json", &[("from", "A"), ("to", CALLER), ("text", &text)])).await;
    sent["messages"].as_array().unwrap().iter().map(|part| part["message-id"].clone()).collect()
}

fn kind(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["type"].as_str().unwrap().rsplit_once('#').unwrap().1)
}

#[tokio::test]
async fn text_is_redacted_after_an_hour_with_all_its_parts() {
    let (vonage, clock) = start().await;
    let parts = text(&vonage, 2).await;
    let transaction = |part: usize| json!({"id": parts[part], "product": "sms", "type": "outbound"});
    clock.advance(SignedDuration::from_secs(3599));
    assert_eq!(kind(&redact(&vonage, transaction(0)).await), (403, "premature-redaction"));
    clock.advance(SignedDuration::from_secs(1));
    for (part, to) in [(0, CALLER), (0, CALLER), (1, "REDACTED"), (1, "REDACTED")] {
        assert_eq!(redact(&vonage, transaction(part)).await, (204, Value::Null));
        let (_, inbox) = answer(vonage.get("/simulator/messages")).await;
        let message = &inbox["messages"][0];
        assert_eq!((&message["to"], message["text"] == "REDACTED"), (&json!(to), to == "REDACTED"));
    }
}

#[tokio::test]
async fn lookup_is_redacted_by_its_request_id() {
    let (vonage, clock) = start().await;
    let (_, insight) = answer(vonage.form("/ni/basic/json", &[("number", CALLER)])).await;
    clock.advance(SignedDuration::from_hours(1));
    let transaction = json!({"id": insight["request_id"], "product": "number-insight", "type": "outbound"});
    assert_eq!(redact(&vonage, transaction).await, (204, Value::Null));
}

#[tokio::test]
async fn redact_errors_match_vonages_documentation() {
    let (vonage, clock) = start().await;
    let id = text(&vonage, 1).await[0].clone();
    clock.advance(SignedDuration::from_hours(1));
    for (transaction, expected) in [
        (json!({"id": "0A000000B0C9A1234", "product": "sms", "type": "outbound"}), (404, "invalid-id")),
        (json!({"id": id, "product": "voice", "type": "outbound"}), (404, "invalid-id")),
        (json!({"id": id, "product": "sms", "type": "inbound"}), (404, "invalid-id")),
        (json!({"id": id, "product": "sms2!", "type": "outbound"}), (422, "invalid-product")),
        (json!({"id": id, "product": "sms"}), (422, "invalid-json")),
    ] {
        assert_eq!(kind(&redact(&vonage, transaction.clone()).await), expected, "{transaction}");
    }
    let form = vonage.form("/v1/redact/transaction", &[("product", "sms"), ("type", "outbound")]);
    assert_eq!(kind(&answer(form).await), (422, "invalid-json"));
    let request = vonage.client.post(format!("{}/v1/redact/transaction", vonage.base)).json(&json!({}));
    assert_eq!(answer(request.basic_auth(KEY, Some("wrong"))).await.0, 401);
}

#[tokio::test]
async fn account_update_switches_redaction_off_or_leaves_it() {
    let (vonage, _) = start().await;
    assert_eq!(vonage.control("PUT", "/simulator/account", json!({"balance": "5"})).await.0, 200);
    let (_, account) = answer(vonage.get("/simulator/account")).await;
    assert_eq!(account, json!({"balance": "5", "redact": true}));
    vonage.control("PUT", "/simulator/account", json!({"balance": "5", "redact": false})).await;
    let transaction = json!({"id": "x", "product": "sms", "type": "outbound"});
    assert_eq!(kind(&redact(&vonage, transaction).await), (403, "unprovisioned"));
}
