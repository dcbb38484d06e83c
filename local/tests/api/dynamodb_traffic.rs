//! What is asked of DynamoDB, seen on the wire: how often, and what happens when its answers are lost.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Barrier;

use crate::support::{Laptop, RIDER, conversation};

/// A proxy before DynamoDB that writes down each operation, and can lose answers after the operation was carried out.
#[derive(Clone, Default)]
struct Proxy {
    target: Arc<Mutex<String>>,
    operations: Arc<Mutex<Vec<String>>>,
    /// How many more answers to transactions are lost.
    losses: Arc<Mutex<u32>>,
    /// How many more transactions meet another one on the same items, as the embedded DynamoDB never says.
    conflicts: Arc<Mutex<u32>>,
    /// Where so many requests wait for one another.
    together: Arc<Mutex<Option<Arc<Barrier>>>>,
}

impl Proxy {
    async fn start() -> (Self, String) {
        let proxy = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(forward).with_state(proxy.clone());
        tokio::spawn(async { axum::serve(listener, router).await });
        (proxy, url)
    }

    /// The operations since the last look, in the order in which they came; those before the first transaction, which
    /// come side by side, by name.
    fn operations(&self) -> Vec<String> {
        let mut operations = std::mem::take(&mut *self.operations.lock().unwrap());
        let reads = operations.iter().position(|name| name == "TransactWriteItems").unwrap_or(operations.len());
        operations[..reads].sort();
        operations
    }

    fn conflicts_with(&self, operation: &str) -> bool {
        let mut conflicts = self.conflicts.lock().unwrap();
        let conflict = operation == "TransactWriteItems" && *conflicts > 0;
        *conflicts -= u32::from(conflict);
        conflict
    }

    /// Lets the next requests wait until `count` have come: that many are sent side by side, or none is answered.
    fn expect_together(&self, count: usize) {
        *self.together.lock().unwrap() = Some(Arc::new(Barrier::new(count)));
    }

    async fn wait_for_the_others(&self) {
        let barrier = self.together.lock().unwrap().clone();
        if let Some(barrier) = barrier
            && barrier.wait().await.is_leader()
        {
            *self.together.lock().unwrap() = None;
        }
    }

    fn loses(&self, answer_to: &str) -> bool {
        let mut losses = self.losses.lock().unwrap();
        let lost = answer_to == "TransactWriteItems" && *losses > 0;
        *losses -= u32::from(lost);
        lost
    }
}

async fn forward(State(proxy): State<Proxy>, headers: HeaderMap, body: Bytes) -> Response {
    let operation = headers["x-amz-target"].to_str().unwrap().rsplit('.').next().unwrap().to_owned();
    proxy.operations.lock().unwrap().push(operation.clone());
    proxy.wait_for_the_others().await;
    if proxy.conflicts_with(&operation) {
        let conflict = json!({"__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                              "CancellationReasons": [{"Code": "TransactionConflict"}, {"Code": "None"}]});
        let content_type = [("content-type", "application/x-amz-json-1.0")];
        return (StatusCode::BAD_REQUEST, content_type, conflict.to_string()).into_response();
    }
    let target = proxy.target.lock().unwrap().clone();
    let http = local::loopback_client();
    let answer = http.post(target).headers(headers).body(body).send().await.unwrap();
    if proxy.loses(&operation) {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let (status, headers) = (answer.status(), answer.headers().clone());
    (status, headers, answer.bytes().await.unwrap()).into_response()
}

/// A stack whose functions reach DynamoDB through the proxy, with two numbers in GB, and nothing written down yet.
async fn laptop_behind_a_proxy() -> (Laptop, Proxy) {
    let (proxy, url) = Proxy::start().await;
    let laptop = Laptop::start_in(&[("AWS_ENDPOINT_URL_DYNAMODB", &url)]).await;
    proxy.target.lock().unwrap().clone_from(&laptop.stack.dynamodb_url);
    let laptop = laptop.with_numbers(&["GB"], 2).await;
    proxy.operations();
    (laptop, proxy)
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
    let (laptop, proxy) = laptop_behind_a_proxy().await;
    let conversation = create(&laptop, false).await;
    proxy.operations();
    assert_eq!(call(&laptop, RIDER, &conversation).await[1]["action"], "connect");
    assert_eq!(proxy.operations(), ["GetItem"]);
    call(&laptop, "anonymous", &conversation).await;
    assert_eq!(proxy.operations(), [""; 0], "a withheld caller id costs nothing");
}

/// Creates the conversation of two people who have none, and gives the operations that it took.
async fn operations_of_creating(
    laptop: &Laptop,
    proxy: &Proxy,
    people: [&str; 2],
    notify: bool,
    key: &str,
) -> Vec<String> {
    let order = json!({"participants": people.map(|number| json!({"number": number})), "notify": notify});
    let request = laptop.http.post(format!("{}/conversations", laptop.stack.gateway_url)).json(&order);
    let request = if key.is_empty() { request } else { request.header("Idempotency-Key", key) };
    let answer = crate::support::answer(request).await;
    assert!(answer.status == 201 || answer.status == 200, "{answer:?}");
    proxy.operations()
}

#[tokio::test]
async fn creating_takes_two_round_trips_one_that_reads_side_by_side_and_one_transaction() {
    let (laptop, proxy) = laptop_behind_a_proxy().await;
    // A function that has just started reads the list of ready numbers and the high-water marks beside both callers'
    // keys, and this is the first mark.
    proxy.expect_together(4);
    let people = ["+447700900001", "+447700900002"];
    assert_eq!(
        operations_of_creating(&laptop, &proxy, people, false, "").await,
        ["GetItem", "Query", "Query", "Query", "TransactWriteItems", "UpdateItem"]
    );
    // From then on it only asks whether the list has changed.
    proxy.expect_together(3);
    let people = ["+447700900003", "+447700900004"];
    assert_eq!(
        operations_of_creating(&laptop, &proxy, people, false, "").await,
        ["GetItem", "Query", "Query", "TransactWriteItems"]
    );
    // What became of texts is written down after them.
    let people = ["+447700900005", "+447700900006"];
    assert_eq!(
        operations_of_creating(&laptop, &proxy, people, true, "").await,
        ["GetItem", "Query", "Query", "TransactWriteItems", "UpdateItem"]
    );
    // Whether the request came before is read beside the rest; that texts are about to go out is written before them.
    proxy.expect_together(4);
    let people = ["+447700900007", "+447700900008"];
    assert_eq!(
        operations_of_creating(&laptop, &proxy, people, true, "k").await,
        ["GetItem", "GetItem", "Query", "Query", "TransactWriteItems", "UpdateItem", "UpdateItem"]
    );
    // Again: nothing is written.
    assert_eq!(
        operations_of_creating(&laptop, &proxy, people, true, "k").await,
        ["GetItem", "GetItem", "GetItem", "Query", "Query"]
    );
}

#[tokio::test]
async fn a_transaction_that_meets_another_one_is_sent_again() {
    let (laptop, proxy) = laptop_behind_a_proxy().await;
    *proxy.conflicts.lock().unwrap() = 2;
    let conversation = create(&laptop, false).await;
    assert_eq!(call(&laptop, RIDER, &conversation).await[1]["action"], "connect");
    *proxy.conflicts.lock().unwrap() = 2;
    let ended = laptop.delete(&format!("/conversations/{}", conversation["id"].as_str().unwrap())).await;
    assert_eq!(ended.body["state"], "ended");
    *proxy.conflicts.lock().unwrap() = 2;
    assert_eq!(laptop.post("/numbers", &json!({"country": "GB", "count": 3})).await.body["ready"], 3);
}

#[tokio::test]
async fn a_conversation_whose_creation_was_not_confirmed_is_found_to_be_there() {
    // One lost answer is the SDK's to settle; all three of its attempts are ours.
    for losses in [1, 3] {
        let (laptop, proxy) = laptop_behind_a_proxy().await;
        *proxy.losses.lock().unwrap() = losses;
        let conversation = create(&laptop, true).await;
        assert_eq!(call(&laptop, RIDER, &conversation).await[1]["action"], "connect");
        assert_eq!(laptop.texts(RIDER).await.len(), 1, "one conversation, one text");
    }
}
