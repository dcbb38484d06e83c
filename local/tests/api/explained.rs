//! Calls, beside what `GET /decisions` says about them.

use serde_json::{Value, json};
use testkit::Laptop;

/// Returns the actions of a call, and the decision about it. Both say the same.
pub async fn call(laptop: &Laptop, from: &str, to: &str) -> (Value, Value) {
    let body = json!({"from": from, "to": to, "conversation_uuid": "CON-1"}).to_string();
    let ncco = laptop.signed_post("/webhooks/answer", &body).await.body;
    let decision = laptop.get(&format!("/decisions?from={from}&to={to}")).await.body;
    let said: Vec<_> = ncco.as_array().unwrap().iter().filter_map(|action| action["text"].as_str()).collect();
    assert_eq!(decision["hears"], said.join(" "));
    assert_eq!(decision["connects"]["number"], ncco[1]["endpoint"][0]["number"]);
    assert_eq!(decision["connects"]["talk_seconds"], ncco[1]["limit"]);
    (ncco, decision)
}
