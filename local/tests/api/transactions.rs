//! Transactions that DynamoDB cancels, or whose answers are lost.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, Laptop, RIDER, conversation, text};

/// A stack with two numbers in GB.
async fn laptop_with_numbers() -> Laptop {
    Laptop::builder().numbers("GB", 2).start().await
}

/// Makes the next `times` transactions fail.
async fn transactions_meet(laptop: &Laptop, times: u32, fault: Value) {
    follow(laptop, json!({"operation": "TransactWriteItems", "times": times, "fault": fault})).await;
}

async fn follow(laptop: &Laptop, rule: Value) {
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

fn path(conversation: &Value) -> String {
    format!("/conversations/{}", text(conversation, "/id"))
}

/// Asserts that the answer is 503 of this problem type, with a `Retry-After`.
fn assert_unavailable(answer: &Answer, kind: &str) {
    assert_eq!((answer.status, text(&answer.body, "/type")), (503, &*format!("urn:maskline:problem:{kind}")));
    assert_eq!(answer.retry_after(), Some("1"), "{answer:?}");
}

/// DynamoDB's answer to a transaction on an item that another transaction is changing.
fn conflict() -> Value {
    json!({"kind": "cancelled", "reason": "TransactionConflict"})
}

#[tokio::test]
async fn transaction_is_sent_again_after_conflict() {
    let laptop = laptop_with_numbers().await;
    transactions_meet(&laptop, 2, conflict()).await;
    let conversation = create(&laptop, false).await;
    assert_eq!(call(&laptop, RIDER, &conversation).await[1]["action"], "connect");
    transactions_meet(&laptop, 2, conflict()).await;
    let ended = laptop.delete(&path(&conversation)).await;
    assert_eq!(ended.body["state"], "ended");
    transactions_meet(&laptop, 2, conflict()).await;
    assert_eq!(laptop.post("/numbers", &json!({"country": "GB", "count": 3})).await.body["ready"], 3);
}

#[tokio::test]
async fn create_finds_its_conversation_after_lost_answer() {
    // The SDK repeats a request after one lost answer. After three, all of its attempts are used up.
    for losses in [1, 3] {
        let laptop = laptop_with_numbers().await;
        transactions_meet(&laptop, losses, json!({"kind": "status_after", "status": 500})).await;
        let conversation = create(&laptop, true).await;
        assert_eq!(call(&laptop, RIDER, &conversation).await[1]["action"], "connect");
        assert_eq!(laptop.texts(RIDER).await.len(), 1, "one conversation, one text");
    }
}

#[tokio::test]
async fn refused_create_is_not_sent_again() {
    let laptop = laptop_with_numbers().await;
    transactions_meet(&laptop, 1, json!({"kind": "error", "code": "AccessDeniedException"})).await;
    assert_unavailable(&laptop.post("/conversations", &conversation()).await, "store-unavailable");
    create(&laptop, false).await;
}

#[tokio::test]
async fn claim_of_texts_is_sent_again_only_after_no_answer() {
    let refused = json!({"kind": "error", "code": "AccessDeniedException"});
    let unanswered = json!({"kind": "status_after", "status": 500});
    for (times, fault, texts) in [(1, refused, 0), (3, unanswered, 1)] {
        let laptop = laptop_with_numbers().await;
        let claim = "texting = :run";
        follow(&laptop, json!({"operation": "UpdateItem", "contains": claim, "times": times, "fault": fault})).await;
        let created = laptop.post_with_key("ride-42", &conversation()).await;
        assert_eq!((created.status, laptop.texts(RIDER).await.len()), (201, texts), "{created:?}");
    }
}

#[tokio::test]
async fn contended_end_answers_contended() {
    let laptop = laptop_with_numbers().await;
    let conversation = create(&laptop, false).await;
    transactions_meet(&laptop, 1000, conflict()).await;
    assert_unavailable(&laptop.delete(&path(&conversation)).await, "contended");
    laptop.no_more_faults().await;
    assert_eq!(laptop.delete(&path(&conversation)).await.body["state"], "ended");
}

#[tokio::test]
async fn contended_erasure_answers_contended() {
    let laptop = laptop_with_numbers().await;
    let conversation = create(&laptop, false).await;
    let erasure = format!("{}?erase=true", path(&conversation));
    // Before anything is erased, and after its first transaction.
    for operation in ["TransactWriteItems", "PutItem"] {
        follow(&laptop, json!({"operation": operation, "times": 1000, "fault": conflict()})).await;
        assert_unavailable(&laptop.delete(&erasure).await, "contended");
        laptop.no_more_faults().await;
    }
    assert_eq!(laptop.get(&path(&conversation)).await.status, 404);
    assert_eq!(laptop.delete(&erasure).await.status, 204);
}

#[tokio::test]
async fn contended_drain_answers_contended() {
    let laptop = laptop_with_numbers().await;
    transactions_meet(&laptop, 1000, conflict()).await;
    assert_unavailable(&laptop.delete("/numbers/447451000001").await, "contended");
    laptop.no_more_faults().await;
    assert_eq!(laptop.delete("/numbers/447451000001").await.body["state"], "draining");
}

#[tokio::test]
async fn contended_order_answers_contended() {
    let laptop = laptop_with_numbers().await;
    transactions_meet(&laptop, 1000, conflict()).await;
    let order = json!({"country": "GB", "count": 3});
    assert_unavailable(&laptop.post("/numbers", &order).await, "contended");
    assert_eq!(laptop.owned_numbers().await.len(), 2, "nothing was bought");
    laptop.no_more_faults().await;
    assert_eq!(laptop.post("/numbers", &order).await.body["ready"], 3);
}
