//! Errors in the form of Twilio's API: a number, a message, and a page about the number.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::super::Reason;
use crate::commands::api::{ApiError, Problem};

/// A request that is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    /// Twilio's number of the error.
    code: u32,
    message: String,
    retry_after: Option<String>,
}

impl Refusal {
    fn new(status: StatusCode, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    /// The client has sent no credentials, or wrong ones.
    pub(super) fn not_authenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, 20003, "Authenticate")
    }

    /// There is no such resource.
    pub(super) fn not_found(path: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, 20404, format!("The requested resource {path} was not found"))
    }

    /// Nothing here does what the request asks for.
    pub(super) fn not_here(what: &str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, 20004, format!("Maskline's façade cannot do this: {what}"))
    }

    /// A parameter cannot be taken.
    pub(super) fn parameter(name: &str, reason: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, 80701, format!("'{name}' is invalid. {reason}"))
    }

    /// The phone is none that can be called.
    pub(super) fn identifier(reason: impl std::fmt::Display) -> Self {
        let message =
            format!("The Participant's Identifier does not appear to be a valid, reachable identity: {reason}");
        Self::new(StatusCode::BAD_REQUEST, 80404, message)
    }

    /// The session has two participants.
    pub(super) fn too_many_participants() -> Self {
        Self::new(StatusCode::BAD_REQUEST, 80609, "A Session may have at most 2 participants")
    }

    /// Another session has the name.
    pub(super) fn name_taken() -> Self {
        Self::new(StatusCode::BAD_REQUEST, 80603, "Session UniqueName must be unique.")
    }

    /// The session is over.
    pub(super) fn closed() -> Self {
        Self::new(StatusCode::BAD_REQUEST, 80607, "Session is closed and cannot be updated")
    }

    /// The session cannot get the status.
    pub(super) fn status(reason: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, 80608, format!("Session status change not supported: {reason}"))
    }

    /// The façade itself fails.
    pub(super) fn fault(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, 20500, message)
    }

    /// Returns true if the API knows no such conversation.
    pub(super) fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }
}

impl From<&Problem> for Refusal {
    fn from(problem: &Problem) -> Self {
        let reason = problem.reason();
        let is_of_phone = problem.field().is_some_and(|field| field.starts_with("participants"));
        let mut refusal = match (problem.kind(), problem.status()) {
            ("no-number-free", status) => Self::new(
                if status == 409 { StatusCode::BAD_REQUEST } else { StatusCode::SERVICE_UNAVAILABLE },
                80206,
                format!("This Service has no compatible Proxy numbers for this Participant. {reason}"),
            ),
            ("number-not-callable" | "invalid-value", 422) if is_of_phone => Self::identifier(reason),
            ("conversation-ended", _) => Self::closed(),
            ("not-found" | "conversation-erased", _) => Self::new(StatusCode::NOT_FOUND, 20404, reason),
            // The deployment refuses the façade itself, which its client can do nothing about.
            (_, 401 | 403) => Self::fault(format!("the deployment refuses the façade's requests: {reason}")),
            (_, 429) => Self::new(StatusCode::TOO_MANY_REQUESTS, 20429, reason),
            (_, 500..) => Self::new(StatusCode::SERVICE_UNAVAILABLE, 20503, reason),
            _ => Self::new(StatusCode::BAD_REQUEST, 80701, reason),
        };
        refusal.retry_after = problem.retry_after().map(str::to_owned);
        refusal
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        match error.problem() {
            Some(problem) => problem.into(),
            None => Self::new(StatusCode::SERVICE_UNAVAILABLE, 20503, error.to_string()),
        }
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::fault(format!("the data file of the façade cannot be used: {error}"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, code, message, retry_after } = self;
        let more_info = format!("https://www.twilio.com/docs/errors/{code}");
        let body = json!({"code": code, "message": message, "more_info": more_info, "status": status.as_u16()});
        let mut response = (status, Json(body)).into_response();
        if let Some(seconds) = retry_after.and_then(|seconds| seconds.parse().ok()) {
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        if status == StatusCode::UNAUTHORIZED {
            let realm = axum::http::HeaderValue::from_static("Basic realm=\"Twilio API\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, realm);
        }
        // A client may have asked for anything by any name, also by a phone.
        let reason = if status == StatusCode::NOT_FOUND { "there is no such resource".to_owned() } else { message };
        response.extensions_mut().insert(Reason(reason));
        response
    }
}
