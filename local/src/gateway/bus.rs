//! A stand-in for EventBridge: a bus that keeps its last events, which are its archive too, with a rule that puts them into a queue.
//!
//! Source: Amazon EventBridge API Reference, "PutEvents" and "StartReplay".

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::post;
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::clock::SharedClock;
use uuid::Uuid;

use super::message;
use super::queue::Queue;
use crate::feed::Feed;

/// Name of the laptop's bus.
pub const NAME: &str = "maskline";

/// The ARN of the bus, of its archive and of the rule. These are names only.
pub const ARN: &str = "arn:aws:events:us-east-1:000000000000:event-bus/maskline";
/// The ARN of its archive.
pub const ARCHIVE_ARN: &str = "arn:aws:events:us-east-1:000000000000:archive/maskline";
/// The ARN of the rule that leads to the queue.
pub const RULE_ARN: &str = "arn:aws:events:us-east-1:000000000000:rule/maskline/deliveries";

/// Number of events that the bus keeps.
const KEPT: usize = 10_000;

/// Maximum number of events in one request.
const MAX_ENTRIES: usize = 10;

/// A bus.
#[derive(Clone)]
pub struct Bus {
    feed: Feed<Kept>,
    /// The queue that the rule fills, if there is a rule.
    queue: Option<Queue>,
    clock: SharedClock,
}

/// An event on the bus.
#[derive(Clone)]
pub struct Kept {
    id: Uuid,
    time: Timestamp,
    /// `source`, `detail-type` and `detail`.
    event: Value,
}

impl Kept {
    /// Returns the event as a rule's target gets it, without the members that only AWS has (`version`, `account`, `region`,
    /// `resources`).
    pub fn as_delivered(&self) -> Value {
        let mut event = self.event.clone();
        (event["id"], event["time"]) = (json!(self.id.to_string()), json!(self.time));
        event
    }
}

impl Bus {
    /// Creates an empty bus, whose rule fills `queue`.
    pub fn new(clock: SharedClock, queue: Option<Queue>) -> Self {
        Self { feed: Feed::keeping(KEPT), queue, clock }
    }

    /// Returns the events on the bus, oldest first, each with `source`, `detail-type` and `detail`.
    pub fn events(&self) -> Vec<Value> {
        self.feed.after(0).into_iter().map(|(_, kept)| kept.event).collect()
    }

    /// Returns the events as they come.
    pub(super) fn feed(&self) -> Feed<Kept> {
        self.feed.clone()
    }

    /// Puts an event on the bus, with `source`, `detail-type` and `detail`.
    pub fn put(&self, event: Value) {
        tracing::info!(%event, "event on the bus");
        let kept = Kept { id: Uuid::new_v4(), time: self.clock.now(), event };
        if let Some(queue) = &self.queue {
            queue.put(&kept.as_delivered());
        }
        self.feed.put(kept);
    }

    /// Puts the kept events from `from` to before `until`, in seconds since 1970, into the queue once more. `Err` if there is none.
    fn replay(&self, name: &Value, from: i64, until: i64) -> Result<(), &'static str> {
        let queue = self.queue.as_ref().ok_or("ResourceNotFoundException")?;
        for (_, kept) in self.feed.after(0) {
            if (from..until).contains(&kept.time.as_second()) {
                let mut event = kept.as_delivered();
                event["replay-name"] = name.clone();
                queue.put(&event);
            }
        }
        Ok(())
    }
}

/// The API of `bus`.
pub fn router(bus: Bus) -> Router {
    Router::new().route("/", post(answer).with_state(bus))
}

async fn answer(State(bus): State<Bus>, headers: HeaderMap, body: Bytes) -> Response<axum::body::Body> {
    let is_signed = headers.get("authorization").is_some_and(|value| {
        value
            .to_str()
            .is_ok_and(|value| value.starts_with("AWS4-HMAC-SHA256") && value.contains("/events/aws4_request"))
    });
    if !is_signed {
        return message(StatusCode::FORBIDDEN, "Missing Authentication Token");
    }
    let body = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    match headers.get("x-amz-target").and_then(|target| target.to_str().ok()) {
        Some("AWSEvents.PutEvents") => put_events(&bus, &body),
        Some("AWSEvents.StartReplay") => start_replay(&bus, &body),
        _ => message(StatusCode::BAD_REQUEST, "PutEvents or StartReplay is expected"),
    }
}

fn start_replay(bus: &Bus, body: &Value) -> Response<axum::body::Body> {
    let destination = json!({"Arn": ARN, "FilterArns": [RULE_ARN]});
    let (from, until) = (body["EventStartTime"].as_i64(), body["EventEndTime"].as_i64());
    let name = body["ReplayName"].as_str().filter(|name| (1..=64).contains(&name.len()));
    let (Some(from), Some(until), Some(_), true) =
        (from, until, name, body["EventSourceArn"] == ARCHIVE_ARN && body["Destination"] == destination)
    else {
        return message(StatusCode::BAD_REQUEST, "ValidationException");
    };
    if from >= until {
        return message(StatusCode::BAD_REQUEST, "ValidationException");
    }
    match bus.replay(&body["ReplayName"], from, until) {
        Ok(()) => answered(&json!({"State": "STARTING"})),
        Err(error) => message(StatusCode::BAD_REQUEST, error),
    }
}

fn put_events(bus: &Bus, body: &Value) -> Response<axum::body::Body> {
    let entries = body["Entries"].as_array().filter(|entries| (1..=MAX_ENTRIES).contains(&entries.len()));
    let Some(entries) = entries else {
        return message(StatusCode::BAD_REQUEST, "1 to 10 entries of PutEvents are expected");
    };
    let mut results = Vec::new();
    for entry in entries {
        let detail = entry["Detail"].as_str().and_then(|detail| serde_json::from_str::<Value>(detail).ok());
        match detail.filter(|detail| detail.is_object() && entry["EventBusName"] == NAME) {
            Some(detail) => {
                bus.put(json!({"source": entry["Source"], "detail-type": entry["DetailType"], "detail": detail}));
                results.push(json!({"EventId": Uuid::new_v4().to_string()}));
            }
            None => results.push(json!({"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."})),
        }
    }
    let failed = results.iter().filter(|result| result["EventId"].is_null()).count();
    answered(&json!({"FailedEntryCount": failed, "Entries": results}))
}

fn answered(answer: &Value) -> Response<axum::body::Body> {
    let mut response = Response::new(answer.to_string().into());
    response.headers_mut().insert("content-type", axum::http::HeaderValue::from_static("application/x-amz-json-1.1"));
    response
}
