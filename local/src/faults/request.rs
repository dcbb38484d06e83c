//! Faults of requests to Vonage or to DynamoDB, and of their responses.

use std::future::pending;
use std::io;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::connection::Connection;

/// A fault of a request.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum RequestFault {
    /// Answers with this status. The request is not executed.
    Status {
        /// HTTP status from 200 to 999.
        #[serde(deserialize_with = "status_code")]
        status: StatusCode,
        /// Body of the response. By default it is in the format of the failing service.
        body: Option<Value>,
        /// Seconds in `Retry-After`.
        retry_after: Option<u32>,
    },
    /// Executes the request, but answers with this status.
    StatusAfter {
        /// HTTP status from 200 to 999.
        #[serde(deserialize_with = "status_code")]
        status: StatusCode,
        /// Body of the response. By default it is in the format of the failing service.
        body: Option<Value>,
    },
    /// Answers 200 with a body that is not JSON. The request is not executed.
    NotJson {},
    /// Executes the request, sends the header of the full response and half of its body, and closes the connection.
    Truncated {},
    /// Executes the request and answers later.
    Delay {
        /// Delay by the machine's clock.
        milliseconds: u64,
    },
    /// Never answers. The request is not executed.
    Hang {},
    /// Executes the request, but never answers.
    HangAfter {},
    /// Closes the connection without a response. The request is not executed.
    CloseBefore {},
    /// Executes the request, but closes the connection without a response.
    CloseAfter {},
    /// DynamoDB answers 400 with this error, such as `ProvisionedThroughputExceededException`. The request is not
    /// executed.
    Error {
        /// Name of the error.
        code: String,
    },
    /// DynamoDB answers an eventually consistent read with an older version of the item. The rule does not match
    /// consistent reads.
    Stale {
        /// The older version in DynamoDB's own JSON. Absent if there was no item.
        item: Option<Value>,
    },
    /// DynamoDB cancels a transaction for this reason, such as `TransactionConflict` or `ThrottlingError`. Any other
    /// operation gets the error with the same meaning. The request is not executed.
    Cancelled {
        /// Reason of the transaction's first item.
        reason: String,
    },
}

impl RequestFault {
    pub(super) fn is_for_dynamodb(&self) -> bool {
        matches!(self, Self::Error { .. } | Self::Cancelled { .. } | Self::Stale { .. })
    }

    pub(super) fn is_stale(&self) -> bool {
        matches!(self, Self::Stale { .. })
    }
}

fn status_code<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<StatusCode, D::Error> {
    let code = u16::deserialize(deserializer)?;
    StatusCode::from_u16(code)
        .ok()
        .filter(|status| status.as_u16() >= 200)
        .ok_or_else(|| serde::de::Error::custom("an HTTP status from 200 to 999 is expected"))
}

/// The service that fails, which decides the format of the error.
pub(crate) enum FailingService<'a> {
    Vonage {
        path: &'a str,
    },
    DynamoDb {
        /// Number of items in the transaction. `None` for any other operation.
        transaction: Option<usize>,
    },
}

/// Applies a fault to a request. Polling `answer` executes the request.
pub(crate) async fn apply(
    fault: RequestFault,
    service: FailingService<'_>,
    connection: &Connection,
    answer: impl Future<Output = Response>,
) -> Response {
    match fault {
        RequestFault::Status { status, body, retry_after } => {
            let response = service.failure(status, body);
            match retry_after {
                Some(seconds) => ([(header::RETRY_AFTER, seconds.to_string())], response).into_response(),
                None => response,
            }
        }
        RequestFault::StatusAfter { status, body } => {
            answer.await;
            service.failure(status, body)
        }
        RequestFault::NotJson {} => {
            ([(header::CONTENT_TYPE, "text/html")], "<html><body><h1>Bad Gateway</h1></body></html>").into_response()
        }
        RequestFault::Truncated {} => truncated(answer.await).await,
        RequestFault::Delay { milliseconds } => {
            let response = answer.await;
            sleep(Duration::from_millis(milliseconds)).await;
            response
        }
        RequestFault::Hang {} => pending().await,
        RequestFault::HangAfter {} => {
            answer.await;
            pending().await
        }
        RequestFault::CloseBefore {} => {
            connection.cut();
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        RequestFault::CloseAfter {} => {
            let response = answer.await;
            connection.cut();
            response
        }
        RequestFault::Error { code } => service.failure(StatusCode::BAD_REQUEST, Some(dynamodb_error(&code))),
        RequestFault::Stale { item } => {
            answer.await;
            Json(item.map_or_else(|| json!({}), |item| json!({"Item": item}))).into_response()
        }
        RequestFault::Cancelled { reason } => {
            service.failure(StatusCode::BAD_REQUEST, Some(service.cancellation(&reason)))
        }
    }
}

impl FailingService<'_> {
    fn failure(&self, status: StatusCode, body: Option<Value>) -> Response {
        let body = Json(body.unwrap_or_else(|| self.usual_body(status)));
        match self {
            Self::Vonage { .. } => (status, body).into_response(),
            Self::DynamoDb { .. } => {
                (status, [(header::CONTENT_TYPE, "application/x-amz-json-1.0")], body.to_string()).into_response()
            }
        }
    }

    /// Returns an error body in the format of the service.
    fn usual_body(&self, status: StatusCode) -> Value {
        let reason = status.canonical_reason().unwrap_or("Error");
        match self {
            Self::DynamoDb { .. } if status == StatusCode::SERVICE_UNAVAILABLE => dynamodb_error("ServiceUnavailable"),
            Self::DynamoDb { .. } => dynamodb_error("InternalServerError"),
            Self::Vonage { path } if path.starts_with("/number/") || path.starts_with("/account/") => {
                json!({"error-code": status.as_str(), "error-code-label": reason.to_lowercase()})
            }
            Self::Vonage { .. } => {
                json!({"type": "https://developer.vonage.com/api-errors", "title": reason, "detail": reason})
            }
        }
    }

    fn cancellation(&self, reason: &str) -> Value {
        let Self::DynamoDb { transaction: Some(items) } = self else {
            let same =
                if reason == "TransactionConflict" { "TransactionConflictException" } else { "ThrottlingException" };
            return dynamodb_error(same);
        };
        let mut reasons = vec![json!({"Code": "None"}); *items];
        if let Some(first) = reasons.first_mut() {
            *first = json!({"Code": reason, "Message": "injected fault"});
        }
        let mut error = dynamodb_error("TransactionCanceledException");
        error["CancellationReasons"] = reasons.into();
        error
    }
}

fn dynamodb_error(code: &str) -> Value {
    json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "injected fault"})
}

async fn truncated(answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.remove(header::TRANSFER_ENCODING);
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len().max(1)));
    let half = stream::iter([Ok(body.slice(..body.len() / 2))]);
    let end = stream::once(async {
        // The first half is sent before the connection breaks.
        yield_now().await;
        Err(io::Error::from(io::ErrorKind::BrokenPipe))
    });
    Response::from_parts(parts, Body::from_stream(half.chain(end)))
}
