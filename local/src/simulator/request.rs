//! Requests to Vonage's API: parameters, credentials, the request log, the counters and injected faults.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Shared, Simulator};
use crate::connection::Connection;
use crate::faults::{FailingService, apply};
use crate::trace::{self, Party};
use crate::traffic::{self, Counted, Service, Usage};

/// Size of the largest accepted body, in bytes.
const BODY_LIMIT: usize = 1 << 20;
/// Parameters that the log omits.
const CREDENTIALS: [&str; 3] = ["api_key", "api_secret", "sig"];

/// The result of checking a request's credentials: HTTP Basic, or the legacy `api_key` and `api_secret`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Granted,
    Refused,
    Missing,
}

/// The decoded parameters of a query string or of a form, in order.
#[derive(Debug, Default)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn decode(encoded: &[u8]) -> Self {
        Self(serde_urlencoded::from_bytes(encoded).unwrap_or_default())
    }

    /// Returns the first value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// A body, by its content type.
#[derive(Debug)]
pub(super) enum Payload {
    Empty,
    Form(Parameters),
    Json(Value),
    /// A body of another type, or not valid for its type.
    Unreadable,
}

/// A request to one of Vonage's endpoints.
#[derive(Debug)]
pub(super) struct ApiRequest {
    pub(super) query: Parameters,
    pub(super) payload: Payload,
    pub(super) access: Access,
    /// The bearer token in the `Authorization` header.
    pub(super) bearer: Option<String>,
    /// True if the body is labelled as JSON.
    pub(super) is_json: bool,
    /// The texts in which a fault rule searches: query and body as sent, and both decoded.
    searchable: [String; 3],
}

impl ApiRequest {
    fn read(parts: &Parts, body: &[u8], simulator: &Simulator) -> Self {
        let raw_query = parts.uri.query().unwrap_or_default();
        let query = Parameters::decode(raw_query.as_bytes());
        let payload = payload(parts, body);
        let authorization = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = authorization.and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
        let mut request = Self {
            searchable: [raw_query.to_owned(), String::from_utf8_lossy(body).into_owned(), String::new()],
            query,
            payload,
            access: Access::Missing,
            bearer,
            is_json: content_type(parts) == Some("application/json"),
        };
        request.searchable[2] = Value::Object(request.parameters()).to_string();
        request.access = match request.credentials(parts) {
            None => Access::Missing,
            Some((key, secret)) if key == simulator.api_key && secret == simulator.api_secret => Access::Granted,
            Some(_) => Access::Refused,
        };
        request
    }

    /// Returns Basic credentials if there is an `Authorization` header, or else the legacy parameters.
    fn credentials(&self, parts: &Parts) -> Option<(String, String)> {
        if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
            return Some(value.to_str().ok().and_then(basic).unwrap_or_default());
        }
        self.text("api_key").zip(Some(self.text("api_secret").unwrap_or_default()))
    }

    /// Returns a parameter of the body, or else of the query string. A JSON number or boolean is converted to text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let in_body = match &self.payload {
            Payload::Form(parameters) => parameters.get(name).map(str::to_owned),
            Payload::Json(body) => match body.get(name) {
                Some(Value::String(text)) => Some(text.clone()),
                Some(value @ (Value::Number(_) | Value::Bool(_))) => Some(value.to_string()),
                _ => None,
            },
            Payload::Empty | Payload::Unreadable => None,
        };
        in_body.or_else(|| self.query.get(name).map(str::to_owned))
    }

    /// Returns a parameter of a form body. Vonage's Numbers API reads the parameters of a POST only from there.
    pub(super) fn form(&self, name: &str) -> Option<&str> {
        match &self.payload {
            Payload::Form(parameters) => parameters.get(name).filter(|value| !value.is_empty()),
            _ => None,
        }
    }

    /// True if `text` occurs in the query or the body, as sent or decoded.
    pub(super) fn contains(&self, text: &str) -> bool {
        self.searchable.iter().any(|part| part.contains(text))
    }

    /// Returns all parameters except credentials, for the log.
    fn parameters(&self) -> Map<String, Value> {
        let pairs = |parameters: &Parameters| {
            let pairs = parameters.0.clone().into_iter();
            pairs.map(|(key, value)| (key, Value::String(value))).collect::<Map<_, _>>()
        };
        let mut all = pairs(&self.query);
        match &self.payload {
            Payload::Form(parameters) => all.extend(pairs(parameters)),
            Payload::Json(Value::Object(members)) => all.extend(members.clone()),
            _ => {}
        }
        all.retain(|name, _| !CREDENTIALS.contains(&name.as_str()));
        all
    }
}

fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (key, secret) = decoded.split_once(':')?;
    Some((key.to_owned(), secret.to_owned()))
}

/// Returns the type of the body, without parameters.
fn content_type(parts: &Parts) -> Option<&str> {
    let content_type = parts.headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    content_type.split(';').next().map(str::trim)
}

fn payload(parts: &Parts, body: &[u8]) -> Payload {
    if body.is_empty() {
        return Payload::Empty;
    }
    match content_type(parts) {
        Some("application/x-www-form-urlencoded") => Payload::Form(Parameters::decode(body)),
        Some("application/json") => serde_json::from_slice(body).map_or(Payload::Unreadable, Payload::Json),
        _ => Payload::Unreadable,
    }
}

/// A logged request to Vonage's API.
#[derive(Clone, Debug, Serialize)]
pub(super) struct LoggedRequest {
    method: String,
    pub(super) path: String,
    parameters: Map<String, Value>,
}

/// All requests to Vonage's API so far, oldest first, including those with an injected fault.
#[derive(Debug, Default)]
pub(super) struct RequestLog(pub(super) Vec<LoggedRequest>);

/// Handles every request to Vonage's API, as middleware: decodes it for its handler, logs it, and applies a fault rule,
/// if one matches.
pub(super) async fn receive(
    State(simulator): Shared,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let request = Arc::new(ApiRequest::read(&parts, &body, &simulator));
    let path = parts.uri.path().to_owned();
    let length = traffic::request_length(&parts.method, &parts.uri, &parts.headers, body.len());
    let counted = simulator.traffic.request(Service::Vonage, &path, length).await;
    simulator.requests().0.push(LoggedRequest {
        method: parts.method.to_string(),
        path: path.clone(),
        parameters: request.parameters(),
    });
    let asked = simulator.trace.ask(
        Party::Function,
        Party::Vonage,
        &format!("{} {path}", parts.method),
        || json!({"headers": trace::headers(&parts.headers), "body": request.parameters()}),
    );
    let fault = simulator.faults.take_for_endpoint(&path, |text| request.contains(text));
    parts.extensions.insert(request);
    let answer = async { measured(next.run(Request::from_parts(parts, Body::empty())).await, counted).await };
    let answer = match fault {
        None => answer.await,
        Some(fault) => apply(fault, FailingService::Vonage { path: &path }, &connection, answer).await,
    };
    match asked {
        Some(asked) => trace::answered(asked, answer).await,
        None => answer,
    }
}

/// Adds the length of the response to the counters, if somebody watches them.
async fn measured(answer: Response, counted: Counted) -> Response {
    if !counted.is_watched() {
        return answer;
    }
    let (mut parts, body) = answer.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    let length = traffic::answer_length(parts.status, &parts.headers, body.len());
    counted.answer(Usage { bytes_in: length as u64, ..Usage::default() });
    Response::from_parts(parts, Body::from(body))
}
