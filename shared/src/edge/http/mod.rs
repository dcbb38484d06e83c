//! The HTTP edge: bodies read, answers and problems written.

mod body;
mod idempotency;
mod json;
mod problems;
mod webhook;

use std::error::Error;

use lambda_http::http::{HeaderValue, StatusCode, header};
use lambda_http::{Body, Request, RequestExt, Response};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::conversation::ConversationId;

pub use body::{MAX_BODY_BYTES, Object, read_json};
pub use idempotency::idempotent_request;
pub use webhook::signed_body;

/// Why a request failed: an RFC 9457 problem, with the cause for the log.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: String,
    field: Option<String>,
    retry_after: Option<u32>,
    more: Option<Box<Map<String, Value>>>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

#[derive(Serialize)]
struct ProblemBody<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(flatten)]
    more: Option<&'a Map<String, Value>>,
}

impl Problem {
    /// A problem with a status, a stable kind (the end of its `type`), a title of that kind, and what is wrong this
    /// time.
    pub fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { status, kind, title, detail, field: None, retry_after: None, more: None, source: None }
    }

    /// 400: the body is not what it has to be.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed-request", "The request cannot be read", detail)
    }

    /// 422: a value is not one that can be taken.
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-value", "A value cannot be taken", detail).at(field)
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is no such thing", detail)
    }

    /// 500: a fault of this program.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal-error", "The request failed", "The log says more.")
    }

    /// 503: the function's time is over.
    pub fn out_of_time() -> Self {
        let detail =
            "What was begun may have been carried out. Ask again, with the same Idempotency-Key if there is one.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "out-of-time", "The request took too long", detail).retry_after(1)
    }

    /// Names the field at fault.
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into()).filter(|field: &String| !field.is_empty());
        self
    }

    /// Says after how many seconds another try makes sense.
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Adds a member of its kind's own.
    pub fn with(mut self, name: &'static str, value: Value) -> Self {
        self.more.get_or_insert_default().insert(name.to_owned(), value);
        self
    }

    /// Keeps the cause, for the log only.
    pub fn because(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// The kind of a webhook that Vonage has not signed.
    pub const NOT_SIGNED: &'static str = "not-signed";

    /// Its stable kind: the end of its `type`.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Its HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The problem with its causes on one line, for the log.
    pub fn chain(&self) -> String {
        let mut chain = format!("{}: {}", self.kind, self.title);
        let mut cause = self.source.as_deref().map(|source| source as &dyn Error);
        while let Some(error) = cause {
            chain.push_str(&format!(": {error}"));
            cause = error.source();
        }
        chain
    }

    /// The answer that tells it.
    pub fn into_response(self) -> Response<Body> {
        let body = ProblemBody {
            r#type: format!("urn:maskline:problem:{}", self.kind),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            field: self.field.as_deref(),
            more: self.more.as_deref(),
        };
        let mut response = write(self.status, "application/problem+json", &body);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// An answer with a JSON body.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    write(status, "application/json", body)
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}

fn write(status: StatusCode, content_type: &'static str, body: &impl Serialize) -> Response<Body> {
    let (status, text) = match serde_json::to_string(body) {
        Ok(text) => (status, text),
        // Only a map with keys that are not text cannot be written, and no body here has one.
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "{}".to_owned()),
    };
    let mut response = Response::new(Body::Text(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The conversation that the path names.
pub fn conversation_id(request: &Request) -> Result<ConversationId, Problem> {
    let id = request.path_parameters_ref().and_then(|parameters| parameters.first("id"));
    id.and_then(|id| ConversationId::try_from(id).ok()).ok_or_else(no_conversation)
}

/// 404: the conversation that the path names does not exist, or no longer.
pub fn no_conversation() -> Problem {
    Problem::not_found("There is no conversation with this id.")
}
