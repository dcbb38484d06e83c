//! What is asked of DynamoDB, seen on the wire: how often, and what happens when its answers are lost.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use local::simulator::sign_webhook;
use local::stack::{Options, Stack, account};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A proxy before DynamoDB that writes down each operation, and can lose answers after the operation was carried out.
#[derive(Clone, Default)]
struct Proxy {
    target: Arc<Mutex<String>>,
    operations: Arc<Mutex<Vec<String>>>,
    /// How many more answers to transactions are lost.
    losses: Arc<Mutex<u32>>,
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

    fn operations(&self) -> Vec<String> {
        let mut operations = std::mem::take(&mut *self.operations.lock().unwrap());
        operations.sort();
        operations
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
    let target = proxy.target.lock().unwrap().clone();
    let http = shared::vonage::http_client().no_proxy().build().unwrap();
    let answer = http.post(target).headers(headers).body(body).send().await.unwrap();
    if proxy.loses(&operation) {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let (status, headers) = (answer.status(), answer.headers().clone());
    (status, headers, answer.bytes().await.unwrap()).into_response()
}

struct Laptop {
    stack: Stack,
    proxy: Proxy,
}

impl Laptop {
    /// With two numbers in GB, and nothing written down yet.
    async fn start() -> Self {
        let (proxy, url) = Proxy::start().await;
        let environment = vec![("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), url)];
        let stack = Stack::start(Options { environment, ..Options::default() }).await.unwrap();
        proxy.target.lock().unwrap().clone_from(&stack.dynamodb_url);
        let laptop = Self { stack, proxy };
        laptop.post("/numbers", json!({"country": "GB", "count": 2})).await;
        laptop.proxy.operations();
        laptop
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let http = shared::vonage::http_client().no_proxy().build().unwrap();
        let body = body.to_string();
        let token =
            sign_webhook(account::SIGNATURE_SECRET, account::API_KEY, account::APPLICATION_ID, Some(body.as_bytes()));
        let request = http.post(format!("{}{path}", self.stack.gateway_url)).bearer_auth(token.unwrap()).body(body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn create(&self, notify: bool) -> (u16, Value) {
        let participants = json!([{"number": "+447700900001"}, {"number": "+447700900002"}]);
        self.post("/conversations", json!({"participants": participants, "notify": notify})).await
    }
}

#[tokio::test]
async fn a_call_that_is_answered_costs_one_read_and_no_write() {
    let laptop = Laptop::start().await;
    let (_, conversation) = laptop.create(false).await;
    laptop.proxy.operations();
    let dialled = &conversation["participants"][0]["dials"];
    let (_, ncco) = laptop.post("/webhooks/answer", json!({"from": "447700900001", "to": dialled})).await;
    assert_eq!(ncco[1]["action"], "connect");
    assert_eq!(laptop.proxy.operations(), ["GetItem"]);
    laptop.post("/webhooks/answer", json!({"from": "anonymous", "to": dialled})).await;
    assert_eq!(laptop.proxy.operations(), [""; 0], "a withheld caller id costs nothing");
}

#[tokio::test]
async fn creating_reads_side_by_side_and_writes_once_and_texts_cost_one_write_more() {
    let laptop = Laptop::start().await;
    assert_eq!(laptop.create(false).await.0, 201);
    // Both callers' keys and the pool of their one country.
    assert_eq!(laptop.proxy.operations(), ["Query", "Query", "Query", "TransactWriteItems"]);
    assert_eq!(laptop.create(true).await.0, 201);
    assert_eq!(laptop.proxy.operations(), ["Query", "Query", "Query", "TransactWriteItems", "UpdateItem"]);
}

#[tokio::test]
async fn a_conversation_whose_creation_was_not_confirmed_is_found_to_be_there() {
    // One lost answer is the SDK's to settle; all three of its attempts are ours.
    for losses in [1, 3] {
        let laptop = Laptop::start().await;
        *laptop.proxy.losses.lock().unwrap() = losses;
        let (status, conversation) = laptop.create(true).await;
        assert_eq!(status, 201, "{conversation}");
        let dialled = &conversation["participants"][0]["dials"];
        let (_, ncco) = laptop.post("/webhooks/answer", json!({"from": "447700900001", "to": dialled})).await;
        assert_eq!(ncco[1]["action"], "connect");
        let http = shared::vonage::http_client().no_proxy().build().unwrap();
        let inbox = http.get(format!("{}/simulator/messages?to=447700900001", laptop.stack.vonage_url)).send().await;
        let inbox: Value = inbox.unwrap().json().await.unwrap();
        assert_eq!(inbox["messages"].as_array().unwrap().len(), 1, "one conversation, one text");
    }
}
