//! What is asked of DynamoDB, seen on the wire: how often, and what happens when its answers are lost.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Laptop, RIDER, conversation};

/// The operations since the last look, in the order in which they came; those before the first transaction, which come
/// side by side, by name.
fn operations(laptop: &Laptop) -> Vec<String> {
    let mut operations = laptop.stack.traffic.take();
    let reads = operations.iter().position(|name| name == "TransactWriteItems").unwrap_or(operations.len());
    operations[..reads].sort();
    operations
}

/// A stack with two numbers in GB, and nothing written down yet.
async fn laptop_with_numbers() -> Laptop {
    let laptop = Laptop::start().await.with_numbers(&["GB"], 2).await;
    operations(&laptop);
    laptop
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
async fn a_call_that_is_answered_costs_one_read_and_no_write() {
    let laptop = laptop_with_numbers().await;
    let conversation = create(&laptop, false).await;
    operations(&laptop);
    assert_eq!(call(&laptop, RIDER, &conversation).await[1]["action"], "connect");
    assert_eq!(operations(&laptop), ["GetItem"]);
    call(&laptop, "anonymous", &conversation).await;
    assert_eq!(operations(&laptop), [""; 0], "a withheld caller id costs nothing");
}

/// Creates the conversation of two people who have none, and gives the operations that it took.
async fn operations_of_creating(laptop: &Laptop, people: [&str; 2], notify: bool, key: &str) -> Vec<String> {
    let order = json!({"participants": people.map(|number| json!({"number": number})), "notify": notify});
    let request = laptop.http.post(format!("{}/conversations", laptop.stack.gateway_url)).json(&order);
    let request = if key.is_empty() { request } else { request.header("Idempotency-Key", key) };
    let answer = crate::support::answer(request).await;
    assert!(answer.status == 201 || answer.status == 200, "{answer:?}");
    operations(laptop)
}

#[tokio::test]
async fn creating_takes_two_round_trips_one_that_reads_side_by_side_and_one_transaction() {
    let laptop = laptop_with_numbers().await;
    // A function that has just started reads the list of ready numbers and the high-water marks beside both callers'
    // keys, and this is the first mark.
    laptop.stack.traffic.expect_together(4);
    let people = ["+447700900001", "+447700900002"];
    assert_eq!(
        operations_of_creating(&laptop, people, false, "").await,
        ["GetItem", "Query", "Query", "Query", "TransactWriteItems", "UpdateItem"]
    );
    // From then on it only asks whether the list has changed.
    laptop.stack.traffic.expect_together(3);
    let people = ["+447700900003", "+447700900004"];
    assert_eq!(
        operations_of_creating(&laptop, people, false, "").await,
        ["GetItem", "Query", "Query", "TransactWriteItems"]
    );
    // What became of texts is written down after them.
    let people = ["+447700900005", "+447700900006"];
    assert_eq!(
        operations_of_creating(&laptop, people, true, "").await,
        ["GetItem", "Query", "Query", "TransactWriteItems", "UpdateItem"]
    );
    // Whether the request came before is read beside the rest; that texts are about to go out is written before them.
    laptop.stack.traffic.expect_together(4);
    let people = ["+447700900007", "+447700900008"];
    assert_eq!(
        operations_of_creating(&laptop, people, true, "k").await,
        ["GetItem", "GetItem", "Query", "Query", "TransactWriteItems", "UpdateItem", "UpdateItem"]
    );
    // Again: nothing is written.
    assert_eq!(
        operations_of_creating(&laptop, people, true, "k").await,
        ["GetItem", "GetItem", "GetItem", "Query", "Query"]
    );
}

#[tokio::test]
async fn a_transaction_that_meets_another_one_is_sent_again() {
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
async fn a_conversation_whose_creation_was_not_confirmed_is_found_to_be_there() {
    // One lost answer is the SDK's to settle; all three of its attempts are ours.
    for losses in [1, 3] {
        let laptop = laptop_with_numbers().await;
        transactions_meet(&laptop, losses, json!({"kind": "status_after", "status": 500})).await;
        let conversation = create(&laptop, true).await;
        assert_eq!(call(&laptop, RIDER, &conversation).await[1]["action"], "connect");
        assert_eq!(laptop.texts(RIDER).await.len(), 1, "one conversation, one text");
    }
}
