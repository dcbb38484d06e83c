//! A laptop stack of its own for each test, and a short word for each thing that a test does with it.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use local::simulator::{HttpMethod, sign_webhook};
use local::stack::{Options, Stack, account};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use shared::clock::{Clock, ManualClock};
use shared::domain::phone::{PhoneNumber, VirtualNumber};
use shared::store::Store;

pub const RIDER: &str = "447700900001";
pub const DRIVER: &str = "447700900002";

pub struct Laptop {
    pub stack: Stack,
    pub clock: ManualClock,
    pub http: Client,
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub retry_after: Option<String>,
    pub body: Value,
}

impl Laptop {
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    /// With variables of the functions that differ from the laptop's own.
    pub async fn start_in(environment: &[(&str, &str)]) -> Self {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self::start_with(Options { environment, ..Options::default() }).await
    }

    /// Whose answer webhook is asked by `method`.
    pub async fn start_answering(answer_method: HttpMethod) -> Self {
        Self::start_with(Options { answer_method, ..Options::default() }).await
    }

    async fn start_with(mut options: Options) -> Self {
        // A busy machine is no failure.
        options.environment.insert(0, ("DYNAMODB_TIME_LIMIT_MS".to_owned(), "60000".to_owned()));
        let clock = ManualClock::at(Timestamp::now());
        let stack = Stack::start(Options { clock: Arc::new(clock.clone()), ..options }).await.unwrap();
        Self { stack, clock, http: local::loopback_client() }
    }

    /// With `count` numbers of each country in the pool.
    pub async fn with_numbers(self, countries: &[&str], count: usize) -> Self {
        for country in countries {
            let answer = self.post("/numbers", &json!({"country": country, "count": count})).await;
            assert_eq!(answer.body["ready"], count, "{answer:?}");
        }
        self
    }

    pub fn advance(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, body.to_string()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, String::new()).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, path, body.to_string()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, String::new()).await
    }

    pub async fn send(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        answer(self.http.request(method, format!("{}{path}", self.stack.gateway_url)).body(body)).await
    }

    /// Creates the conversation of rider and driver.
    pub async fn create(&self) -> Value {
        let answer = self.post("/conversations", &conversation()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body
    }

    /// Lets the simulated Vonage place a call, and returns what happened.
    pub async fn call(&self, order: Value) -> Value {
        let answer = self.vonage(Method::POST, "/simulator/calls", order).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// What DynamoDB answers to an operation.
    pub async fn dynamodb(&self, operation: &str, request: Value) -> Answer {
        answer(self.dynamodb_request(operation, &request)).await
    }

    pub fn dynamodb_request(&self, operation: &str, request: &Value) -> reqwest::RequestBuilder {
        // The emulators do not verify a signature, but it has to be there.
        let unverified = "AWS4-HMAC-SHA256 Credential=laptop/20260101/us-east-1/dynamodb/aws4_request, \
                          SignedHeaders=host;x-amz-date, Signature=0";
        let sent = self.http.post(&self.stack.dynamodb_url).body(request.to_string());
        let sent = sent.header("authorization", unverified).header("x-amz-date", "20260101T000000Z");
        let sent = sent.header("x-amz-target", format!("DynamoDB_20120810.{operation}"));
        sent.header("content-type", "application/x-amz-json-1.0")
    }

    /// One of the simulator's own endpoints.
    pub async fn vonage(&self, method: Method, path: &str, body: Value) -> Answer {
        answer(self.http.request(method, format!("{}{path}", self.stack.vonage_url)).json(&body)).await
    }

    /// What Vonage's own API answers to a form, with the account's credentials.
    pub async fn vonage_form(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let request = self.http.post(format!("{}{path}", self.stack.vonage_url)).form(form);
        answer(request.basic_auth(account::API_KEY, Some(account::API_SECRET))).await
    }

    /// The numbers that the Vonage account owns.
    pub async fn owned_numbers(&self) -> Vec<Value> {
        let request = self.http.get(format!("{}/account/numbers?size=100", self.stack.vonage_url));
        let answer = answer(request.basic_auth(account::API_KEY, Some(account::API_SECRET))).await;
        answer.body["numbers"].as_array().cloned().unwrap_or_default()
    }

    /// Lets the next request to `path` of Vonage's API meet a fault.
    pub async fn fault(&self, path: &str, fault: Value) {
        self.faults(path, 1, fault).await;
    }

    pub async fn faults(&self, path: &str, times: u32, fault: Value) {
        let order = json!({"path": path, "times": times, "fault": fault});
        assert!(self.vonage(Method::POST, "/simulator/faults", order).await.status < 300);
    }

    /// Lets everything go well from now on.
    pub async fn no_more_faults(&self) {
        assert_eq!(self.vonage(Method::DELETE, "/simulator/faults", json!({})).await.status, 204);
    }

    /// How often Vonage has been asked for `path`.
    pub async fn asked(&self, path: &str) -> usize {
        let answer = self.vonage(Method::GET, &format!("/simulator/requests?path={path}"), json!({})).await;
        answer.body["requests"].as_array().unwrap().len()
    }

    /// The texts on a phone, oldest first.
    pub async fn texts(&self, to: &str) -> Vec<Value> {
        let answer = self.vonage(Method::GET, &format!("/simulator/messages?to={to}"), json!({})).await;
        answer.body["messages"].as_array().unwrap().clone()
    }

    /// Posts an event with Vonage's signature.
    pub async fn event(&self, event: &Value) -> Answer {
        self.signed_post("/webhooks/event", &event.to_string()).await
    }

    pub async fn signed_post(&self, path: &str, body: &str) -> Answer {
        let url = format!("{}{path}", self.stack.gateway_url);
        answer(self.http.post(url).bearer_auth(self.signature(Some(body))).body(body.to_owned())).await
    }

    /// The JWT with which Vonage would sign a webhook now.
    pub fn signature(&self, body: Option<&str>) -> String {
        let (body, now) = (body.map(str::as_bytes), self.clock.now());
        sign_webhook(account::SIGNATURE_SECRET, account::API_KEY, account::APPLICATION_ID, body, now).unwrap()
    }

    pub async fn store(&self) -> Store {
        Store::connect(&self.stack.environment).unwrap()
    }

    /// The numbers under which a phone holds a key in the table now.
    pub async fn keys(&self, caller: &str) -> HashSet<VirtualNumber> {
        let caller = PhoneNumber::try_from(caller).unwrap().into();
        let now = self.clock.now();
        let keys = self.store().await.caller_routes(&caller, now).await.unwrap();
        keys.held(now).map(|(number, _)| number.clone()).collect()
    }

    /// Runs the schedule once.
    pub async fn run_schedule(&self) -> Value {
        self.stack.run_schedule().await.unwrap()
    }
}

/// The order that pairs rider and driver.
pub fn conversation() -> Value {
    json!({"participants": [{"number": "+44 7700 900001", "label": "your rider"},
                            {"number": "07700 900002", "country": "GB", "label": "your driver"}]})
}

pub async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (content_type, retry_after) = (header("content-type").unwrap_or_default(), header("retry-after"));
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect(&text) };
    Answer { status, content_type, retry_after, body }
}

pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer} in {value}"))
}
