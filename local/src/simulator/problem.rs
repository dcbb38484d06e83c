//! Errors of the simulator's own endpoints: JSON with `title` and `detail`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An error of one of the simulator's own endpoints.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
}

impl Problem {
    /// Creates the error for an invalid body or query.
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, title: "Bad Request", detail: detail.into() }
    }

    /// Creates the error for an unknown path.
    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, title: "Not Found", detail: detail.into() }
    }

    /// Creates the error for an unknown method of a path.
    pub(super) fn method_not_allowed() -> Self {
        Self {
            status: StatusCode::METHOD_NOT_ALLOWED,
            title: "Method Not Allowed",
            detail: "This path does not have this method.".to_owned(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Json(json!({"title": self.title, "detail": self.detail}));
        (self.status, body).into_response()
    }
}
