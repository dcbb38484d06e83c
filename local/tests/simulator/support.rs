//! A simulator on a free port, and a small application that receives its webhooks.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use local::faults::Faults;
use local::simulator::{Application, Channel, HttpMethod, Settings, Webhook, serve};
use local::stack::account;
use reqwest::{Client, RequestBuilder};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use shared::clock::SharedClock;
use tokio::sync::{Barrier, oneshot};
use tokio::task::JoinHandle;

pub const KEY: &str = "abcd1234";
pub const SECRET: &str = "not-a-real-secret";
pub const SIGNATURE_SECRET: &str = "not a real signature secret";
pub const APPLICATION: &str = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab";
pub const CALLER: &str = "447700900001";
pub const CALLEE: &str = "447700900002";

/// A running simulator that stops when it is dropped.
pub struct Vonage {
    pub base: String,
    pub client: Client,
    stop: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<std::io::Result<()>>>,
}

impl Vonage {
    /// Starts a simulator with 100 EUR and webhooks that have no server.
    pub async fn start() -> Self {
        Self::start_for("http://127.0.0.1:9", HttpMethod::Post).await
    }

    /// Starts a simulator that uses the test's clock.
    pub async fn start_at(clock: SharedClock) -> Self {
        Self::start_with("http://127.0.0.1:9", HttpMethod::Post, clock).await
    }

    /// Starts a simulator whose application is at `address` and that uses the test's clock.
    pub async fn start_for_at(address: &str, clock: SharedClock) -> Self {
        Self::start_with(address, HttpMethod::Post, clock).await
    }

    /// Starts a simulator whose application is at `address`.
    pub async fn start_for(address: &str, http_method: HttpMethod) -> Self {
        Self::start_with(address, http_method, shared::clock::system()).await
    }

    async fn start_with(address: &str, http_method: HttpMethod, clock: SharedClock) -> Self {
        let webhook = |path: &str, http_method| Webhook { address: format!("{address}{path}"), http_method };
        let settings = Settings {
            api_key: KEY.into(),
            api_secret: SECRET.into(),
            signature_secret: SIGNATURE_SECRET.into(),
            application: Application {
                id: APPLICATION.into(),
                public_key: local::stack::account::PUBLIC_KEY.into(),
                answer: webhook("/answer", http_method),
                fallback_answer: Some(webhook("/fallback", http_method)),
                event: webhook("/event", HttpMethod::Post),
                inbound: Some(webhook("/message", HttpMethod::Post)),
                status: Some(webhook("/message-status", HttpMethod::Post)),
            },
            balance: "100".parse().unwrap(),
            linked_numbers: Vec::new(),
            senders: vec![(Channel::WhatsApp, "447700900099".into()), (Channel::Rcs, "Rides".into())],
            clock,
            faults: Faults::default(),
            traffic: Default::default(),
            ncco_log: None,
            trace: Default::default(),
        };
        let (listener, base) = testkit::listen().await;
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(serve(listener, settings, async {
            stopped.await.ok();
        }));
        Self { base, client: local::loopback_client(), stop: Some(stop), served: Some(served) }
    }

    /// Stops the simulator and waits until it has stopped.
    pub async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.served.take().unwrap().await.unwrap().unwrap();
    }

    /// Sends a GET with Basic credentials.
    pub fn get(&self, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.base);
        self.client.get(url).basic_auth(KEY, Some(SECRET))
    }

    /// Sends a form with Basic credentials.
    pub fn form(&self, path: &str, form: &[(&str, &str)]) -> RequestBuilder {
        let url = format!("{}{path}", self.base);
        let request = self.client.post(url).basic_auth(KEY, Some(SECRET));
        request.form(form)
    }

    /// Sends a JSON body to one of the simulator's own endpoints.
    pub async fn control(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let method = method.parse().unwrap();
        let request = self.client.request(method, format!("{}{path}", self.base));
        answer(request.json(&body)).await
    }

    /// Searches for numbers and returns those found and their count.
    pub async fn search(&self, query: &[(&str, &str)]) -> Value {
        let (status, body) = answer(self.get("/number/search").query(query)).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Rents a number.
    pub async fn buy(&self, country: &str, msisdn: &str) -> (u16, Value) {
        let form = [("country", country), ("msisdn", msisdn)];
        answer(self.form("/number/buy", &form)).await
    }

    /// Rents GB numbers and links them to the application.
    pub async fn rent_linked(&self, numbers: &[&str]) {
        for number in numbers {
            assert_eq!(self.buy("GB", number).await.0, 200);
            let form = [("country", "GB"), ("msisdn", number), ("app_id", APPLICATION)];
            assert_eq!(answer(self.form("/number/update", &form)).await.0, 200);
        }
    }

    /// Adds a fault rule.
    pub async fn fault(&self, rule: Value) {
        let (status, body) = self.control("POST", "/simulator/faults", rule).await;
        assert_eq!(status, 204, "{body}");
    }

    /// Places a call.
    pub async fn call(&self, call: Value) -> Value {
        let (status, body) = self.control("POST", "/simulator/calls", call).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Returns the balance in EUR.
    pub async fn balance(&self) -> String {
        let (_, account) = answer(self.get("/simulator/account")).await;
        account["balance"].as_str().unwrap().to_owned()
    }
}

/// Returns a token with these claims, signed with the application's key.
pub fn token(header: &Value, claims: &Value) -> String {
    let pem: String = account::PRIVATE_KEY.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(pem).unwrap();
    let key = RsaKeyPair::from_pkcs8(&der).unwrap();
    let signed = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Returns a token of the application that is valid at `now`, in Unix seconds.
pub fn application_token(now: i64) -> String {
    let claims = json!({"application_id": APPLICATION, "iat": now, "exp": now + 900, "jti": "1"});
    token(&json!({"alg": "RS256", "typ": "JWT"}), &claims)
}

/// Starts an application, and a simulator that has linked these numbers to it.
pub async fn linked(numbers: &[&str]) -> (App, Vonage) {
    let app = App::start().await;
    let vonage = Vonage::start_for(&app.base, HttpMethod::Post).await;
    vonage.rent_linked(numbers).await;
    (app, vonage)
}

/// Returns a `talk`.
pub fn talk(text: &str) -> Value {
    json!({"action": "talk", "text": text})
}

/// Returns the texts that the caller has heard.
pub fn texts(call: &Value) -> Vec<String> {
    let heard = call["phones"]["caller"]["heard"].as_array().unwrap();
    heard.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Returns the status and the JSON body of a response; null if there is no body.
pub async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let body = response.bytes().await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// A webhook as the application received it.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    pub path: String,
    /// The query string, the form or the JSON body.
    pub data: Value,
    /// The verified claims of its JWT; `None` if it is unsigned.
    pub claims: Option<Value>,
}

#[derive(Default)]
struct Script {
    received: Vec<Received>,
    answers: VecDeque<(u16, String)>,
    fallbacks: VecDeque<(u16, String)>,
    events: VecDeque<u16>,
    /// Responses at other paths, and at these before all others.
    replies: HashMap<String, VecDeque<(u16, String)>>,
    /// A barrier at which two deliveries of one webhook wait for each other.
    pair: Option<Arc<Barrier>>,
}

/// An application with an answer, a fallback and an event URL, and responses that the test sets.
#[derive(Clone)]
pub struct App {
    pub base: String,
    script: Arc<Mutex<Script>>,
}

impl App {
    /// Starts an application that answers `[]` to calls and 204 to events until the test sets other responses.
    pub async fn start() -> Self {
        let (listener, base) = testkit::listen().await;
        let app = Self { base, script: Arc::default() };
        let router = Router::new().fallback(receive).with_state(app.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        app
    }

    /// Makes the next answer connect the caller to [`CALLEE`] with this caller ID.
    pub fn connects_from(&self, from: &str) {
        let endpoint = json!([{"type": "phone", "number": CALLEE}]);
        self.answers(json!([
            {"action": "talk", "text": "Please hold, we connect you now"},
            {"action": "connect", "from": from, "endpoint": endpoint},
        ]));
    }

    /// Sets the NCCO of the next answer.
    pub fn answers(&self, ncco: Value) {
        self.answers_with(200, &ncco.to_string());
    }

    /// Sets the status and body of the next answer. Status 0 means no answer at all.
    pub fn answers_with(&self, status: u16, body: &str) {
        self.script.lock().unwrap().answers.push_back((status, body.into()));
    }

    /// Sets the next fallback answer.
    pub fn falls_back_with(&self, status: u16, body: &str) {
        self.script.lock().unwrap().fallbacks.push_back((status, body.into()));
    }

    /// Sets the status of the next response to an event.
    pub fn takes_event_with(&self, status: u16) {
        self.script.lock().unwrap().events.push_back(status);
    }

    /// Sets the status and body of the next response at a path.
    pub fn replies(&self, path: &str, status: u16, body: &str) {
        let mut script = self.script.lock().unwrap();
        script.replies.entry(path.to_owned()).or_default().push_back((status, body.into()));
    }

    /// Makes answers, and events of a completed leg, wait until two of them have arrived.
    pub fn waits_for_two(&self) {
        self.script.lock().unwrap().pair = Some(Arc::new(Barrier::new(2)));
    }

    /// Makes nothing wait any more.
    pub fn waits_no_more(&self) {
        self.script.lock().unwrap().pair = None;
    }

    /// Returns all webhooks received so far.
    pub fn all_received(&self) -> Vec<Received> {
        self.script.lock().unwrap().received.clone()
    }

    /// Returns the webhooks received at a path so far.
    pub fn received(&self, path: &str) -> Vec<Received> {
        let script = self.script.lock().unwrap();
        let at_path = script.received.iter().filter(|webhook| webhook.path == path);
        at_path.cloned().collect()
    }
}

async fn receive(State(app): State<App>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let path = parts.uri.path().to_owned();
    let pair = app.script.lock().unwrap().pair.clone();
    let is_paired = path == "/answer" || String::from_utf8_lossy(&body).contains("completed");
    if let Some(pair) = pair.filter(|_| is_paired) {
        pair.wait().await;
    }
    let (status, text) = {
        let mut script = app.script.lock().unwrap();
        script.received.push(Received {
            method: parts.method.to_string(),
            path: path.clone(),
            data: data(parts.uri.query(), &body),
            claims: verified(&parts.headers, &body),
        });
        let empty = || (200, "[]".to_owned());
        let reply = script.replies.get_mut(&path).and_then(VecDeque::pop_front);
        match path.as_str() {
            _ if reply.is_some() => reply.unwrap(),
            "/answer" => script.answers.pop_front().unwrap_or_else(empty),
            "/fallback" => script.fallbacks.pop_front().unwrap_or_else(empty),
            _ => (script.events.pop_front().unwrap_or(204), String::new()),
        }
    };
    if status == 0 {
        return std::future::pending().await;
    }
    (StatusCode::from_u16(status).unwrap(), text).into_response()
}

fn data(query: Option<&str>, body: &Bytes) -> Value {
    if body.starts_with(b"{") {
        return serde_json::from_slice(body).unwrap();
    }
    let form = std::str::from_utf8(body).ok().filter(|form| !form.is_empty());
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(form.or(query).unwrap_or("")).unwrap();
    pairs.into_iter().map(|(name, value)| (name, Value::from(value))).collect()
}

/// Verifies a JWT's signature and the hash of the body, and returns the claims.
fn verified(headers: &HeaderMap, body: &Bytes) -> Option<Value> {
    let token = headers.get("authorization")?.to_str().unwrap();
    let token = token.strip_prefix("Bearer ").unwrap();
    let mut validation = Validation::new(Algorithm::HS256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    let key = DecodingKey::from_secret(SIGNATURE_SECRET.as_bytes());
    let claims = jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap().claims;
    if !body.is_empty() {
        let hash: String = digest(&SHA256, body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(claims["payload_hash"], hash);
    }
    Some(claims)
}

/// Returns the requests to webhooks in the record of a call without the milliseconds that each took, which it must have.
pub fn without_times(webhooks: &Value) -> Value {
    let mut webhooks = webhooks.clone();
    for request in webhooks.as_array_mut().unwrap() {
        assert!(request.as_object_mut().unwrap().remove("milliseconds").is_some_and(|took| took.is_number()));
    }
    webhooks
}
