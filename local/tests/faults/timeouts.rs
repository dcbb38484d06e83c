//! Functions answer in time while the table or Vonage is down: within a second on the call path, and within the time
//! limits of API Gateway and Vonage elsewhere. The tests use tokio's paused time, so a slow machine does not matter.

use std::time::Duration;

use jiff::Timestamp;
use local::gateway::{self, NumbersSchedule, Route};
use local::stack;
use serde_json::{Value, json};
use shared::clock;
use shared::config::Environment;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::answer_checks::{check_error, check_names_no_number};

/// A kind of outage.
#[derive(Debug, Clone, Copy)]
enum Outage {
    /// Nothing listens on the port.
    Gone,
    /// The server accepts requests and never answers.
    Silent,
    /// The server closes each connection at once.
    Closing,
    /// The server starts an answer and never ends it.
    Endless,
    /// The server answers 500.
    Failing,
}

impl Outage {
    const ALL: [Self; 5] = [Self::Gone, Self::Silent, Self::Closing, Self::Endless, Self::Failing];

    /// Starts the server. Returns its URL.
    async fn start(self) -> String {
        let (listener, url) = testkit::listen().await;
        if !matches!(self, Self::Gone) {
            tokio::spawn(async move {
                let mut open = Vec::new();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    open.extend(self.take(stream).await);
                }
            });
        }
        url
    }

    async fn take(self, mut stream: TcpStream) -> Option<TcpStream> {
        let answer = match self {
            Self::Gone | Self::Closing => return None,
            Self::Silent => "",
            Self::Endless => "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{",
            Self::Failing => "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\n\r\n{}",
        };
        // The client may be gone by then.
        stream.write_all(answer.as_bytes()).await.ok()?;
        Some(stream)
    }
}

/// The environment of functions whose table and Vonage are down, with the default time limits.
async fn environment(outage: Outage) -> Environment {
    let url = outage.start().await;
    stack::environment(["maskline", "maskline-journal"], &url, &url, &url)
}

/// Time in which a function has to answer.
fn deadline(function: &str) -> Duration {
    match function {
        // Vonage waits 5 s, but a caller should not wait that long.
        "answer-webhook" => Duration::from_secs(1),
        "fallback-webhook" => Duration::ZERO,
        "create-conversation" => Duration::from_secs(19),
        "provision-numbers" => Duration::from_secs(28),
        _ => Duration::from_secs(9),
    }
}

/// Lambda ends a function after its limit, API Gateway waits 30 s, and Vonage 10 s for an event and 5 s for an answer.
#[test]
fn deadline_of_each_function_is_below_all_limits() {
    let template = testkit::repository::template();
    for function in gateway::FUNCTIONS {
        let mut resources = template["Resources"].as_object().unwrap().values();
        let code = format!("functions/{function}");
        let resource = resources.find(|resource| resource["Properties"]["CodeUri"] == code).unwrap();
        let own = resource["Properties"]["Timeout"].as_u64();
        let in_lambda = own.or(template["Globals"]["Function"]["Timeout"].as_u64()).unwrap();
        let of_caller = match function {
            "answer-webhook" | "fallback-webhook" => 5,
            "event-webhook" => 10,
            _ => 30,
        };
        assert!(deadline(function) < Duration::from_secs(in_lambda.min(of_caller)), "{function}");
    }
}

/// The example events that belong to a route, with fresh signatures.
fn events() -> Vec<(String, Value)> {
    let folder = testkit::repository::root().join("events");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut events = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let event: Value = serde_json::from_str(&text).unwrap();
        if event["routeKey"].is_string() {
            let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
            events.push((name, signed(event)));
        }
    }
    events
}

fn signed(mut event: Value) -> Value {
    if event["rawPath"].as_str().unwrap().starts_with("/webhooks/") {
        let token = testkit::signature(event["body"].as_str(), Timestamp::now());
        event["headers"]["authorization"] = format!("Bearer {token}").into();
    }
    event
}

/// Sends an event. Returns status, body and duration of the answer.
async fn ask(route: &Route, event: &Value) -> (u16, Value, Duration) {
    let start = Instant::now();
    let answer = route.invoke(event.clone()).await.unwrap();
    let took = start.elapsed();
    let status = u16::try_from(answer["statusCode"].as_u64().unwrap()).unwrap();
    let body = answer["body"].as_str().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
    if status >= 500 {
        check_error(status, answer["headers"]["content-type"].as_str(), &body);
    }
    check_names_no_number(&body.to_string());
    (status, body, took)
}

#[tokio::test(start_paused = true)]
async fn every_function_answers_in_time_during_an_outage() {
    for outage in Outage::ALL {
        let environment = environment(outage).await;
        let routes = gateway::routes(&environment, clock::system()).unwrap();
        let mut failed = Vec::new();
        for (name, event) in events() {
            let route = routes.iter().find(|route| event["routeKey"] == route.key).unwrap();
            let (status, body, took) = ask(route, &event).await;
            assert!(took <= deadline(route.function), "{outage:?} {name} took {took:?}: {status} {body}");
            if status == 503 {
                failed.push(route.function);
            } else {
                // These events need neither the table nor Vonage. The token of the card is not of this deployment, which delivers
                // no events.
                let is_card = status == 404 && name == "get-conversation-card";
                let is_replay = status == 409 && name == "deliver-event-replay";
                assert!(
                    is_card || is_replay || matches!(status, 200 | 204 | 422),
                    "{outage:?} {name}: {status} {body}"
                );
            }
        }
        failed.sort_unstable();
        failed.dedup();
        let mut others: Vec<&str> = routes.iter().map(|route| route.function).collect();
        others.retain(|name| !["fallback-webhook", "deliver-event"].contains(name));
        others.sort_unstable();
        others.dedup();
        assert_eq!(
            failed, others,
            "{outage:?}: every function with a route and the table must have an event that needs it"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn call_is_answered_within_a_second_during_an_outage() {
    for outage in Outage::ALL {
        let environment = environment(outage).await;
        let routes = gateway::routes(&environment, clock::system()).unwrap();
        let event = |name: &str| events().into_iter().find(|(file, _)| file == name).unwrap().1;
        for (name, expected) in [
            ("answer-webhook-rider-calls", 503),
            ("answer-webhook-driver-calls", 503),
            ("answer-webhook-rider-calls-get", 503),
            ("fallback-webhook", 200),
            ("fallback-webhook-garbage", 200),
            ("answer-webhook-withheld-caller", 503),
        ] {
            let event = event(name);
            let route = routes.iter().find(|route| event["routeKey"] == route.key).unwrap();
            let (status, body, took) = ask(route, &event).await;
            assert_eq!(status, expected, "{outage:?} {name}: {body}");
            let limit = if expected == 503 { Duration::from_millis(750) } else { Duration::ZERO };
            assert!(took <= limit, "{outage:?} {name} took {took:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn schedule_ends_in_time_and_reports_the_outage() {
    for outage in Outage::ALL {
        let environment = environment(outage).await;
        let event = json!({"source": "aws.events", "public_url": "http://127.0.0.1:1"});
        let schedule = NumbersSchedule::new(&environment, clock::system(), event).unwrap();
        let start = Instant::now();
        let report = schedule.tick().await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(60), "{outage:?}");
        assert!(report["failed"].is_string() || report["shortfall"][0].is_object(), "{outage:?} {report}");
        check_names_no_number(&report.to_string());
    }
}
