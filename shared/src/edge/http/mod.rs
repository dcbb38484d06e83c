//! HTTP: reads request bodies, and writes answers and problems.

mod body;
mod contact_card_body;
mod deployment;
mod further_phone;
mod idempotency;
mod json;
mod message;
mod problems;
mod query;
mod reveal;
mod revision;
mod side_body;
mod sliding_end_body;
mod tenancy;
mod webhook;
mod whisper_token;

use std::error::Error;

use lambda_http::http::{HeaderValue, StatusCode, header};
use lambda_http::{Body, Request, RequestExt, Response};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::conversation::ConversationId;
use crate::domain::number_erasure::ErasureId;
use crate::vonage::event::call_identifier;

pub use body::{MAX_BODY_BYTES, Object, given, read_json};
pub use contact_card_body::ContactCardBody;
pub use deployment::{check_channels, check_decision, check_voices};
pub use further_phone::FurtherPhoneBody;
pub use idempotency::RequestHasher;
pub use message::MessageVerifier;
pub use query::{Query, with_plus};
pub use reveal::{NumberReaders, Principal};
pub use revision::{expected_revisions, with_revision};
pub use side_body::SideBody;
pub use sliding_end_body::check_latest_end;
pub use tenancy::{TenantClaim, conversation_of, scope};
pub use webhook::{
    asks_for_turn, base_url, call_step, call_urls, card_links, is_about_stranger, nth_pin, signed_body,
    standing_attempt,
};
pub use whisper_token::WhisperTokens;

/// The largest `Retry-After`, in seconds: many HTTP libraries sleep for as long as they are told.
const MOST_RETRY_SECONDS: u32 = 60;

/// The failure of a request: an RFC 9457 problem, with its cause for the log.
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
    /// Creates a problem. `kind` is the stable end of its `type`, `title` describes the kind, and `detail` this case.
    pub fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { status, kind, title, detail, field: None, retry_after: None, more: None, source: None }
    }

    /// Creates the problem 400 of a body with the wrong form.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed-request", "Malformed request", detail)
    }

    /// Creates the problem 422 of a value that is not accepted.
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-value", "Invalid value", detail).at(field)
    }

    /// Creates the problem 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
    }

    /// Creates the problem 422 of an idempotency key that stands for another request.
    pub(super) fn idempotency_key_reused() -> Self {
        let detail = "This key was used for a request with another body. Use a new key for a new request.";
        let title = "Idempotency key reused";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", title, detail).at("Idempotency-Key")
    }

    /// Creates the problem 500 of a bug in this program.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal-error", "Internal error", "The log has the cause.")
    }

    /// Creates the problem 503 of a request that was cut off at its deadline.
    pub fn out_of_time() -> Self {
        let detail =
            "The request may have been carried out. Send it again, with the same Idempotency-Key if it has one.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "out-of-time", "Request timed out", detail).retry_after(1)
    }

    /// Sets the field at fault. An empty name sets none.
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into()).filter(|field: &String| !field.is_empty());
        self
    }

    /// Sets the number of seconds after which the client may retry, 60 at most.
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds.min(MOST_RETRY_SECONDS));
        self
    }

    /// Adds a member that only this kind has.
    pub fn with(mut self, name: &'static str, value: Value) -> Self {
        self.more.get_or_insert_default().insert(name.to_owned(), value);
        self
    }

    /// Sets the cause. It appears in the log and not in the answer.
    pub fn because(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// The kind of a webhook without a valid signature of Vonage.
    pub const NOT_SIGNED: &'static str = "not-signed";

    /// The kind of a creation for which the pool has no number.
    pub const NO_NUMBER_FREE: &'static str = "no-number-free";

    /// Returns the stable end of the `type`.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the problem and its causes on one line, for the log.
    pub fn chain(&self) -> String {
        let mut chain = format!("{}: {}", self.kind, self.title);
        let mut cause = self.source.as_deref().map(|source| source as &dyn Error);
        while let Some(error) = cause {
            chain.push_str(&format!(": {error}"));
            cause = error.source();
        }
        chain
    }

    /// Returns the problem as an answer.
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

/// Returns an answer with a JSON body.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    write(status, "application/json", body)
}

/// Returns an answer without a body.
pub fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}

fn write(status: StatusCode, content_type: &'static str, body: &impl Serialize) -> Response<Body> {
    let (status, text) = match serde_json::to_string(body) {
        Ok(text) => (status, text),
        // Only a map whose keys are not text fails to serialize, and no body has one.
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "{}".to_owned()),
    };
    let mut response = Response::new(Body::Text(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Returns the conversation id in the path of a webhook, or the problem 404. Requests of the API go by [`conversation_of`].
pub fn conversation_id(request: &Request) -> Result<ConversationId, Problem> {
    let id = request.path_parameters_ref().and_then(|parameters| parameters.first("id"));
    id.and_then(|id| ConversationId::try_from(id).ok()).ok_or_else(no_conversation)
}

/// Returns the id in the path, or the problem 404 of an erasure by number.
pub fn erasure_id(request: &Request) -> Result<ErasureId, Problem> {
    let id = request.path_parameters_ref().and_then(|parameters| parameters.first("id"));
    id.and_then(|id| ErasureId::try_from(id).ok()).ok_or_else(no_erasure)
}

/// Creates the problem 404 of an erasure by number that does not exist, or was done long ago.
pub fn no_erasure() -> Problem {
    Problem::not_found("There is no erasure with this id.")
}

/// Returns Vonage's id of the call in the path, or the problem 404. It is safe in the key of an item and in a log line.
pub fn call_id(request: &Request) -> Result<String, Problem> {
    let id = request.path_parameters_ref().and_then(|parameters| parameters.first("call"));
    id.and_then(call_identifier).ok_or_else(no_call)
}

/// Creates the problem 404 of a call that the conversation does not have.
pub fn no_call() -> Problem {
    Problem::not_found("This conversation has no call with this id.")
}

/// Creates the problem 503 of calls whose end could not be handed to the function that ends them.
pub fn not_handed_on() -> Problem {
    let detail = "The calls may go on. Send the request again.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "calls-not-ended", "Calls could not be ended", detail).retry_after(2)
}

/// Creates the problem 409 of a deployment that does not control calls.
pub fn call_control_off() -> Problem {
    let detail = "This deployment does not control running calls. To turn it on, add the application's private key to the secret as \
                  private_key, and deploy with CallControl=on.";
    Problem::new(StatusCode::CONFLICT, "call-control-off", "Call control is off", detail)
}

/// Creates the problem 404 of a number that is not in the pool.
pub fn no_number() -> Problem {
    Problem::not_found("There is no such number in the pool.")
}

/// Creates the problem 404 of a conversation that does not exist or has been erased.
pub fn no_conversation() -> Problem {
    Problem::not_found("There is no conversation with this id.")
}
