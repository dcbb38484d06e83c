//! A laptop stack of which everything that it says is searched for the real numbers that went in.

use std::sync::{LazyLock, Mutex, Once};

use local::gateway;
use local::simulator::sign_webhook;
use local::stack::{Options, Stack, account};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use shared::edge::telemetry::{self, JsonLines};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::search::Numbers;

pub const RIDER: &str = "447700900147";
pub const DRIVER: &str = "447700900258";
pub const STRANGER: &str = "447700900369";
pub const NEW_PHONE: &str = "447700900471";

/// All real numbers of all tests here, those of the demo among them.
pub static REAL: LazyLock<Numbers> = LazyLock::new(|| {
    Numbers::new([RIDER, DRIVER, STRANGER, NEW_PHONE, "447700900001", "447700900002", "447700900999"])
});

static LOG: Mutex<String> = Mutex::new(String::new());

/// Keeps what all functions in this process log, each crate at the most talkative level that it may have.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let filter = telemetry::filter(&gateway::FUNCTIONS, LevelFilter::TRACE, LevelFilter::TRACE);
        let lines = JsonLines::new("laptop", |line: String| LOG.lock().unwrap().push_str(&line));
        tracing_subscriber::registry().with(lines).with(filter).init();
    });
}

/// Neither the embedded DynamoDB nor AWS's Local verifies a signature, but it has to be there.
const UNVERIFIED: &str = "AWS4-HMAC-SHA256 Credential=laptop/20260101/us-east-1/dynamodb/aws4_request, \
    SignedHeaders=host;x-amz-date, Signature=0";

pub struct Laptop {
    pub stack: Stack,
    pub http: Client,
}

impl Laptop {
    pub async fn start(environment: &[(&str, &str)]) -> Self {
        listen();
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let stack = Stack::start(Options { environment, ..Options::default() }).await.unwrap();
        Self { stack, http: local::loopback_client() }
    }

    pub async fn with_numbers(self, count: usize) -> Self {
        let (status, pool) =
            self.send(Method::POST, "/numbers", json!({"country": "GB", "count": count}).to_string()).await;
        assert_eq!(status, 200, "{pool}");
        self
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.stack.gateway_url))
    }

    pub async fn send(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        answer(self.request(method, path).body(body)).await
    }

    pub async fn create(&self) -> Value {
        let (status, conversation) = self.send(Method::POST, "/conversations", order().to_string()).await;
        assert_eq!(status, 201, "{conversation}");
        conversation
    }

    /// A webhook with Vonage's signature.
    pub async fn signed(&self, path: &str, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let request = self.request(Method::POST, path).bearer_auth(signature(Some(body.as_bytes())));
        answer(request.body(body)).await
    }

    /// A call that Vonage places. What it was told to do names no real number but, as the phone to reach, the callee's.
    pub async fn call(&self, from: Value, to: &Value, reaches: Option<&str>) -> Value {
        let call = self.simulator(Method::POST, "calls", json!({"from": from, "to": to})).await;
        check_ncco(&call["ncco"], reaches);
        call
    }

    pub async fn simulator(&self, method: Method, path: &str, body: Value) -> Value {
        let request = self.http.request(method, format!("{}/simulator/{path}", self.stack.vonage_url)).json(&body);
        let text = request.send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Lets so many next requests to a path of Vonage's API meet a fault.
    pub async fn fault(&self, path: &str, times: u32, fault: &Value) {
        let rule = json!({"path": path, "times": times, "fault": fault});
        assert_eq!(self.simulator(Method::POST, "faults", rule).await, Value::Null);
    }

    pub async fn dynamodb(&self, operation: &str, request: Value) -> Value {
        let request = self
            .http
            .post(&self.stack.dynamodb_url)
            .header("authorization", UNVERIFIED)
            .header("x-amz-date", "20260101T000000Z")
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            .header("content-type", "application/x-amz-json-1.0")
            .body(request.to_string());
        request.send().await.unwrap().json().await.unwrap()
    }

    /// Fails if anything that is left of all that was done tells a real number where it has no business.
    pub async fn assert_nothing_leaked(&self) {
        self.check_table().await;
        self.check_texts().await;
        self.check_requests_to_vonage().await;
        assert_nothing_was_logged();
    }

    /// Numbers are in the keys of routes and in conversations, and in nothing else.
    async fn check_table(&self) {
        let table = self.dynamodb("Scan", json!({"TableName": "maskline"})).await;
        assert!(table["LastEvaluatedKey"].is_null(), "more than one page");
        for item in table["Items"].as_array().unwrap() {
            let mut item = item.clone();
            let key = item["pk"]["S"].as_str().unwrap().to_owned();
            let members = item.as_object_mut().unwrap();
            if key.starts_with("CALLER#") {
                members.retain(|name, _| !["pk", "connect_to"].contains(&name.as_str()));
            } else if item["sk"]["S"] == "CONVERSATION" {
                // None is left of one that was erased.
                for participant in item["participants"]["L"].as_array_mut().into_iter().flatten() {
                    participant["M"]
                        .as_object_mut()
                        .unwrap()
                        .retain(|name, _| !["number", "former"].contains(&&**name));
                }
            }
            REAL.assert_untold("an item", &item.to_string());
        }
    }

    /// A text names neither the other's number nor the reader's own.
    async fn check_texts(&self) {
        let inbox = self.simulator(Method::GET, "messages", Value::Null).await;
        for message in inbox["messages"].as_array().unwrap() {
            REAL.assert_untold("a text", &format!("{} {}", message["from"], message["text"]));
        }
    }

    /// A number goes to Vonage in the body of a lookup or as the receiver of a text, and never in a URL.
    async fn check_requests_to_vonage(&self) {
        let asked = self.simulator(Method::GET, "requests", Value::Null).await;
        for request in asked["requests"].as_array().unwrap() {
            let (path, mut request) = (request["path"].clone(), request.clone());
            let in_the_body = match path.as_str() {
                Some("/ni/basic/json") if request["method"] == "POST" => "number",
                Some("/sms/json") if request["method"] == "POST" => "to",
                _ => "",
            };
            request["parameters"].as_object_mut().unwrap().remove(in_the_body);
            REAL.assert_untold("a request to Vonage", &request.to_string());
        }
    }
}

/// Fails if any line that was logged so far in this process tells a real number.
pub fn assert_nothing_was_logged() {
    let log = LOG.lock().unwrap().clone();
    assert!(log.lines().count() > 0);
    REAL.assert_not_logged(&log);
}

/// Status and body, of which one that is an error tells no number.
pub async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), format!("{:?}", response.headers()));
    let text = response.text().await.unwrap();
    if status >= 400 {
        REAL.assert_untold("the headers of an error", &headers);
        REAL.assert_untold("an error", &text);
    }
    (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect(&text) })
}

/// The NCCO names the phone that it is to reach, and no other.
pub fn check_ncco(ncco: &Value, reaches: Option<&str>) {
    let mut ncco = ncco.clone();
    let endpoint = ncco.pointer_mut("/1/endpoint/0").and_then(Value::as_object_mut);
    let reached = endpoint.and_then(|endpoint| endpoint.remove("number"));
    assert_eq!(reached.as_ref().and_then(Value::as_str), reaches, "{ncco}");
    REAL.assert_untold("an NCCO", &ncco.to_string());
}

pub fn signature(body: Option<&[u8]>) -> String {
    let now = jiff::Timestamp::now();
    sign_webhook(account::SIGNATURE_SECRET, account::API_KEY, account::APPLICATION_ID, body, now).unwrap()
}

/// The order that pairs rider and driver.
pub fn order() -> Value {
    json!({"participants": [{"number": format!("+{RIDER}"), "label": "your rider"},
                            {"number": "07700 900258", "country": "GB", "label": "your driver"}],
           "reference": "ride-42"})
}

/// For what a test wants to be a DynamoDB of its own.
pub async fn serve(router: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, router).await });
    url
}

/// A laptop whose functions use another table than its own.
pub async fn with_table_at(url: &str) -> Laptop {
    let environment = [("AWS_ENDPOINT_URL_DYNAMODB", url), ("DYNAMODB_TIME_LIMIT_MS", "300")];
    Laptop::start(&environment).await
}
