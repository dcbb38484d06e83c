//! A laptop stack whose whole output is searched for the real numbers that went in.

use std::sync::{LazyLock, Mutex, Once};

use local::gateway;
use local::stack::account;
use reqwest::Method;
use serde_json::{Value, json};
use shared::edge::telemetry::{self, JsonLines};
use testkit::{Answer, Builder, Laptop, LeakSearch};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub const RIDER: &str = "447700900147";
pub const DRIVER: &str = "447700900258";
pub const STRANGER: &str = "447700900369";
pub const NEW_PHONE: &str = "447700900471";

/// All real numbers of these tests, with those of the demo.
pub static REAL: LazyLock<LeakSearch> = LazyLock::new(|| {
    let of_the_demo: Vec<String> = (100..200).map(|nth| format!("447700900{nth}")).collect();
    let of_the_demo = of_the_demo.iter().map(String::as_str).chain(["447700900999"]);
    LeakSearch::new(
        [RIDER, DRIVER, STRANGER, NEW_PHONE, testkit::RIDER, testkit::DRIVER].into_iter().chain(of_the_demo),
    )
});

static LOG: Mutex<String> = Mutex::new(String::new());

/// Collects the log of all functions in this process, each crate at the most verbose level that it can have.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let filter = telemetry::filter(&gateway::FUNCTIONS, LevelFilter::TRACE, LevelFilter::TRACE);
        let lines = JsonLines::new("laptop", |line: String| LOG.lock().unwrap().push_str(&line));
        tracing_subscriber::registry().with(lines).with(filter).init();
    });
}

/// Returns the settings of a laptop whose log is collected and whose errors are searched. It looks numbers up with a
/// request that the application's private key signs.
pub fn builder() -> Builder {
    listen();
    let settings = [("NUMBER_LOOKUP", "identity-insights"), ("LIST_CONVERSATIONS", "on")];
    Laptop::builder().env(&settings).check(|answer| {
        if answer.status >= 400 {
            REAL.assert_no_leak("the headers of an error", &format!("{:?}", answer.headers));
            REAL.assert_no_leak("an error", &answer.body.to_string());
        }
    })
}

/// Starts a laptop whose functions use the table at `url`.
pub async fn with_table_at(url: &str) -> Laptop {
    builder().env(&[("AWS_ENDPOINT_URL_DYNAMODB", url), ("DYNAMODB_TIME_LIMIT_MS", "300")]).start().await
}

/// Creates the conversation of rider and driver.
pub async fn create(laptop: &Laptop) -> Value {
    let answer = laptop.post("/conversations", &conversation()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body
}

/// Returns the body of a `POST /conversations` that pairs rider and driver.
pub fn conversation() -> Value {
    json!({"participants": [{"number": format!("+{RIDER}"), "label": "your rider"},
                            {"number": "07700 900258", "country": "GB", "label": "your driver"}],
           "reference": "ride-42"})
}

/// Places a call. Fails if its NCCO names a real number other than that of the phone that it reaches.
pub async fn call(laptop: &Laptop, from: Value, to: &Value, reaches: Option<&str>) {
    let call = laptop.vonage(Method::POST, "/simulator/calls", json!({"from": from, "to": to})).await.body;
    check_ncco(&call["ncco"], reaches);
}

/// Fails if the NCCO names a real number other than that of the phone that it reaches.
pub fn check_ncco(ncco: &Value, reaches: Option<&str>) {
    let mut ncco = ncco.clone();
    let endpoint = ncco.pointer_mut("/1/endpoint/0").and_then(Value::as_object_mut);
    let reached = endpoint.and_then(|endpoint| endpoint.remove("number"));
    assert_eq!(reached.as_ref().and_then(Value::as_str), reaches, "{ncco}");
    REAL.assert_no_leak("an NCCO", &ncco.to_string());
}

/// Fails if the table, a text message, a request to Vonage or the log has a real number in a wrong place.
pub async fn assert_nothing_leaked(laptop: &Laptop) {
    check_table(&laptop.items().await);
    check_texts(&laptop.simulator("messages").await);
    check_requests_to_vonage(&laptop.simulator("requests").await);
    assert_log_has_no_leak();
}

/// Checks that real numbers are only in the keys of routes and lists, and in conversations. Here every erasure by number is
/// done.
fn check_table(items: &[Value]) {
    for item in items {
        let mut item = item.clone();
        let key = item["pk"]["S"].as_str().unwrap().to_owned();
        let members = item.as_object_mut().unwrap();
        if key.starts_with("CALLER#") {
            members.retain(|name, _| !["pk", "connect_to", "callees"].contains(&name.as_str()));
            // A standing mask names phones in its two lists, and nowhere else.
            if let Some(standing) = members.get_mut("standing") {
                standing["M"]
                    .as_object_mut()
                    .unwrap()
                    .retain(|name, _| !["phones", "blocked"].contains(&name.as_str()));
            }
        } else if key.starts_with("PHONE#") {
            members.retain(|name, _| name != "pk");
        } else if item["sk"]["S"] == "CONVERSATION" {
            // An erased conversation has no participants.
            for participant in item["participants"]["L"].as_array_mut().into_iter().flatten() {
                let members = participant["M"].as_object_mut().unwrap();
                members.retain(|name, _| !["number", "former", "phones"].contains(&name.as_str()));
            }
        }
        REAL.assert_no_leak("an item", &item.to_string());
    }
}

/// Checks that a text message names neither the number of the other participant nor the reader's own.
fn check_texts(inbox: &Value) {
    for message in inbox["messages"].as_array().unwrap() {
        REAL.assert_no_leak("a text message", &format!("{} {}", message["from"], message["text"]));
    }
}

/// Checks that real numbers go to Vonage only in the body of a lookup and as the receiver of a text message.
fn check_requests_to_vonage(asked: &Value) {
    for request in asked["requests"].as_array().unwrap() {
        let (path, mut request) = (request["path"].clone(), request.clone());
        let in_the_body = match path.as_str() {
            Some("/ni/basic/json") if request["method"] == "POST" => "number",
            Some("/identity-insights/v1/requests") if request["method"] == "POST" => "phone_number",
            Some("/sms/json" | "/v1/messages" | "/v1/calls") if request["method"] == "POST" => "to",
            _ => "",
        };
        let parameters = request["parameters"].as_object_mut().unwrap();
        parameters.remove(in_the_body);
        // The messages that are sent if the first one is rejected have the same receiver.
        for further in parameters.get_mut("failover").and_then(Value::as_array_mut).into_iter().flatten() {
            further.as_object_mut().unwrap().remove(in_the_body);
        }
        REAL.assert_no_leak("a request to Vonage", &request.to_string());
    }
}

/// The start of a JWT that is signed with a private key: `{"alg":"RS256"`.
const START_OF_TOKEN: &str = "eyJhbGciOiJSUzI1NiI";

/// Returns all lines that were logged so far in this process.
pub fn log() -> String {
    LOG.lock().unwrap().clone()
}

/// Fails if a line that was logged so far in this process has a real number, a part of the private key or a token.
pub fn assert_log_has_no_leak() {
    let log = log();
    assert!(log.lines().count() > 0);
    for secret in
        account::PRIVATE_KEY.lines().filter(|line| line.len() == 64).chain([account::API_SECRET, START_OF_TOKEN])
    {
        assert!(!log.contains(secret), "the log has a secret");
    }
    REAL.assert_log_has_no_leak(&log);
}

/// Sends a webhook with Vonage's signature.
pub async fn signed(laptop: &Laptop, path: &str, body: &Value) -> Answer {
    laptop.signed_post(path, &body.to_string()).await
}
