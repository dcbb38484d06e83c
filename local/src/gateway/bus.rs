//! A stand-in for EventBridge's PutEvents API: a bus that keeps its last events.
//!
//! Source: Amazon EventBridge API Reference, "PutEvents".

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::post;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::message;
use crate::feed::Feed;

/// Name of the laptop's bus.
pub const NAME: &str = "maskline";

/// Number of events that the bus keeps.
const KEPT: usize = 10_000;

/// Maximum number of events in one request.
const MAX_ENTRIES: usize = 10;

/// A bus.
#[derive(Clone)]
pub struct Bus(Feed<Kept>);

impl Default for Bus {
    fn default() -> Self {
        Self(Feed::keeping(KEPT))
    }
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
    /// Returns the events on the bus, oldest first, each with `source`, `detail-type` and `detail`.
    pub fn events(&self) -> Vec<Value> {
        self.0.after(0).into_iter().map(|(_, kept)| kept.event).collect()
    }

    /// Returns the events as they come.
    pub(super) fn feed(&self) -> Feed<Kept> {
        self.0.clone()
    }

    /// Puts an event on the bus, with `source`, `detail-type` and `detail`.
    pub fn put(&self, event: Value) {
        tracing::info!(%event, "event on the bus");
        self.0.put(Kept { id: Uuid::new_v4(), time: Timestamp::now(), event });
    }
}

/// The PutEvents API of `bus`.
pub fn router(bus: Bus) -> Router {
    Router::new().route("/", post(put_events).with_state(bus))
}

async fn put_events(State(bus): State<Bus>, headers: HeaderMap, body: Bytes) -> Response<axum::body::Body> {
    let is_signed = headers.get("authorization").is_some_and(|value| {
        value
            .to_str()
            .is_ok_and(|value| value.starts_with("AWS4-HMAC-SHA256") && value.contains("/events/aws4_request"))
    });
    if !is_signed {
        return message(StatusCode::FORBIDDEN, "Missing Authentication Token");
    }
    let body = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let entries = body["Entries"].as_array().filter(|entries| (1..=MAX_ENTRIES).contains(&entries.len()));
    let is_put_events = headers.get("x-amz-target").is_some_and(|target| target == "AWSEvents.PutEvents");
    let (true, Some(entries)) = (is_put_events, entries) else {
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
    let answer = json!({"FailedEntryCount": failed, "Entries": results}).to_string();
    let mut response = Response::new(answer.into());
    response.headers_mut().insert("content-type", axum::http::HeaderValue::from_static("application/x-amz-json-1.1"));
    response
}
