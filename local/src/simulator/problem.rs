//! Errors of the simulator's own endpoints: JSON with `title` and `detail`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why one of the simulator's own endpoints refuses a request.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
}

impl Problem {
    /// The body or the query is not as it must be.
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, title: "Bad Request", detail: detail.into() }
    }

    /// No endpoint has this path.
    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, title: "Not Found", detail: detail.into() }
    }

    /// The path exists, the method does not.
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
