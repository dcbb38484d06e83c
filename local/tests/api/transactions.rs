//! Transactions that DynamoDB cancels, or whose answers are lost.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Laptop, RIDER, conversation};

/// A stack with two numbers in GB.
async fn laptop_with_numbers() -> Laptop {
    Laptop::builder().numbers("GB", 2).start().await
}

/// Lets the next transactions meet a fault.
async fn transactions_meet(laptop: &Laptop, times: u32, fault: Value) {
    let rule = json!({"operation": "TransactWriteItems", "times": times, "fault": fault});
    assert_eq!(laptop.vonage(Method::POST, "/simulator/faults", rule).await.status, 204);
}

async fn create(laptop: &Laptop, notify: bool) -> Value {
    let mut order = conversation();
    order["notify"] = json!(notify);
    let answer = laptop.post("/conversations", &order).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body
}

/// The answer webhook's answer to a call of the rider's.
async fn call(laptop: &Laptop, from: &str, conversation: &Value) -> Value {
    let body = json!({"from": from, "to": conversation["participants"][0]["dials"]});
    laptop.signed_post("/webhooks/answer", &body.to_string()).await.body
}

#[tokio::test]
async fn transaction_is_sent_again_after_conflict() {
    let laptop = laptop_with_numbers().await;
    transactions_meet(&laptop, 2, json!({"kind": "cancelled", "reason": "TransactionConflict"})).await;
    let conversation = create(&laptop, false).await;
    assert_eq!(call(&laptop, RIDER, &conversation).await[1]["action"], "connect");
    transactions_meet(&laptop, 2, json!({"kind": "cancelled", "reason": "TransactionConflict"})).await;
    let ended = laptop.delete(&format!("/conversations/{}", conversation["id"].as_str().unwrap())).await;
    assert_eq!(ended.body["state"], "ended");
    transactions_meet(&laptop, 2, json!({"kind": "cancelled", "reason": "TransactionConflict"})).await;
    assert_eq!(laptop.post("/numbers", &json!({"country": "GB", "count": 3})).await.body["ready"], 3);
}

#[tokio::test]
async fn create_finds_its_conversation_after_lost_answer() {
    // One lost answer is the SDK's to settle; all three of its attempts are ours.
    for losses in [1, 3] {
        let laptop = laptop_with_numbers().await;
        transactions_meet(&laptop, losses, json!({"kind": "status_after", "status": 500})).await;
        let conversation = create(&laptop, true).await;
        assert_eq!(call(&laptop, RIDER, &conversation).await[1]["action"], "connect");
        assert_eq!(laptop.texts(RIDER).await.len(), 1, "one conversation, one text");
    }
}
