//! Misbehaviour on demand: what a test asks Vonage's endpoints to do wrong.

use std::future::pending;

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::connection::Connection;
use super::request::ApiRequest;

/// Which requests go wrong, how often, and how.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultRule {
    /// The exact path, such as `/number/buy`.
    pub(super) path: String,
    /// Text that must occur in the query or the body.
    contains: Option<String>,
    /// How many matching requests go through first.
    #[serde(default)]
    skip: u32,
    /// How many requests then go wrong.
    #[serde(default = "once")]
    times: u32,
    fault: Fault,
}

fn once() -> u32 {
    1
}

/// What goes wrong.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Fault {
    /// Answers with this status and body; nothing is executed.
    Status {
        #[serde(deserialize_with = "status_code")]
        status: StatusCode,
        body: Option<Value>,
    },
    /// Answers 200 with a body that is not JSON; nothing is executed.
    NotJson {},
    /// Never answers; nothing is executed.
    Hang {},
    /// Closes the connection without an answer; nothing is executed.
    CloseBefore {},
    /// Executes the request, then closes the connection without an answer.
    CloseAfter {},
    /// Executes the request, then never answers.
    HangAfter {},
}

fn status_code<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<StatusCode, D::Error> {
    let code = u16::deserialize(deserializer)?;
    StatusCode::from_u16(code)
        .ok()
        .filter(|status| status.as_u16() >= 200)
        .ok_or_else(|| serde::de::Error::custom("an HTTP status from 200 to 999 is expected"))
}

/// The rules in force, oldest first.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<FaultRule>);

impl Faults {
    pub(super) fn add(&mut self, rule: FaultRule) {
        self.0.push(rule);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The fault that this request meets; counts it against its rule.
    pub(super) fn take(&mut self, path: &str, request: &ApiRequest) -> Option<Fault> {
        let matches =
            |rule: &FaultRule| rule.path == path && rule.contains.as_ref().is_none_or(|text| request.contains(text));
        let mut taken = None;
        for rule in self.0.iter_mut().filter(|rule| matches(rule)) {
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if rule.times > 0 {
                rule.times -= 1;
                taken = Some(rule.fault.clone());
                break;
            }
        }
        self.0.retain(|rule| rule.times > 0);
        taken
    }
}

/// Lets a request meet its fault; `answer` executes it when polled.
pub(super) async fn apply(
    fault: Fault,
    path: &str,
    connection: &Connection,
    answer: impl Future<Output = Response>,
) -> Response {
    match fault {
        Fault::Status { status, body } => {
            let body = body.unwrap_or_else(|| usual_body(path, status));
            (status, Json(body)).into_response()
        }
        Fault::NotJson {} => {
            ([(header::CONTENT_TYPE, "text/html")], "<html><body><h1>Bad Gateway</h1></body></html>").into_response()
        }
        Fault::Hang {} => pending().await,
        Fault::HangAfter {} => {
            answer.await;
            pending().await
        }
        Fault::CloseBefore {} => {
            connection.cut();
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        Fault::CloseAfter {} => {
            let response = answer.await;
            connection.cut();
            response
        }
    }
}

/// The shape of the error bodies of the API that the path belongs to.
fn usual_body(path: &str, status: StatusCode) -> Value {
    let reason = status.canonical_reason().unwrap_or("Error");
    if path.starts_with("/number/") || path.starts_with("/account/") {
        json!({"error-code": status.as_str(), "error-code-label": reason.to_lowercase()})
    } else {
        json!({"type": "https://developer.vonage.com/api-errors", "title": reason, "detail": reason})
    }
}
