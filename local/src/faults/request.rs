//! What can befall a request to Vonage or to DynamoDB, and its answer.

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

/// What befalls a request.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum RequestFault {
    /// Answers with this status; nothing is executed.
    Status {
        /// From 200 to 999.
        #[serde(deserialize_with = "status_code")]
        status: StatusCode,
        /// Unless given, in the words of the one that fails.
        body: Option<Value>,
        /// The seconds of `Retry-After`.
        retry_after: Option<u32>,
    },
    /// Executes the request, then answers with this status all the same.
    StatusAfter {
        /// From 200 to 999.
        #[serde(deserialize_with = "status_code")]
        status: StatusCode,
        /// Unless given, in the words of the one that fails.
        body: Option<Value>,
    },
    /// Answers 200 with a body that is not JSON; nothing is executed.
    NotJson {},
    /// Executes the request, announces the whole answer, sends half of it and closes the connection.
    Truncated {},
    /// Executes the request, and answers that much later.
    Delay {
        /// By the machine's clock.
        milliseconds: u64,
    },
    /// Never answers; nothing is executed.
    Hang {},
    /// Executes the request, then never answers.
    HangAfter {},
    /// Closes the connection without an answer; nothing is executed.
    CloseBefore {},
    /// Executes the request, then closes the connection without an answer.
    CloseAfter {},
    /// DynamoDB answers 400 with this error, such as `ProvisionedThroughputExceededException`; nothing is executed.
    Error {
        /// The error's name.
        code: String,
    },
    /// DynamoDB answers an eventually consistent read with what the item was a moment ago. A consistent read is none of
    /// those that the rule is about.
    Stale {
        /// In DynamoDB's own JSON; none if there was no item.
        item: Option<Value>,
    },
    /// DynamoDB cancels a transaction for this reason, such as `TransactionConflict` or `ThrottlingError`; another
    /// operation gets the error of the same meaning. Nothing is executed.
    Cancelled {
        /// The reason, which is that of the transaction's first item.
        reason: String,
    },
}

impl RequestFault {
    pub(super) fn is_dynamodbs(&self) -> bool {
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

/// Who is asked, which decides the words of a failure.
pub(crate) enum Asked<'a> {
    Vonage {
        path: &'a str,
    },
    DynamoDb {
        /// How many items a transaction has; none if it is another operation.
        transaction: Option<usize>,
    },
}

/// Lets a request meet its fault; `answer` executes it when polled.
pub(crate) async fn meet(
    fault: RequestFault,
    asked: Asked<'_>,
    connection: &Connection,
    answer: impl Future<Output = Response>,
) -> Response {
    match fault {
        RequestFault::Status { status, body, retry_after } => {
            let response = asked.failure(status, body);
            match retry_after {
                Some(seconds) => ([(header::RETRY_AFTER, seconds.to_string())], response).into_response(),
                None => response,
            }
        }
        RequestFault::StatusAfter { status, body } => {
            answer.await;
            asked.failure(status, body)
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
        RequestFault::Error { code } => asked.failure(StatusCode::BAD_REQUEST, Some(dynamodb_error(&code))),
        RequestFault::Stale { item } => {
            answer.await;
            Json(item.map_or_else(|| json!({}), |item| json!({"Item": item}))).into_response()
        }
        RequestFault::Cancelled { reason } => asked.failure(StatusCode::BAD_REQUEST, Some(asked.cancellation(&reason))),
    }
}

impl Asked<'_> {
    fn failure(&self, status: StatusCode, body: Option<Value>) -> Response {
        let body = Json(body.unwrap_or_else(|| self.usual_body(status)));
        match self {
            Self::Vonage { .. } => (status, body).into_response(),
            Self::DynamoDb { .. } => {
                (status, [(header::CONTENT_TYPE, "application/x-amz-json-1.0")], body.to_string()).into_response()
            }
        }
    }

    /// The shape of the error bodies of the one that is asked.
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
            *first = json!({"Code": reason, "Message": "ordered by a fault"});
        }
        let mut error = dynamodb_error("TransactionCanceledException");
        error["CancellationReasons"] = reasons.into();
        error
    }
}

fn dynamodb_error(code: &str) -> Value {
    json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "ordered by a fault"})
}

async fn truncated(answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.remove(header::TRANSFER_ENCODING);
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len().max(1)));
    let half = stream::iter([Ok(body.slice(..body.len() / 2))]);
    let end = stream::once(async {
        // What was sent leaves before the connection breaks.
        yield_now().await;
        Err(io::Error::from(io::ErrorKind::BrokenPipe))
    });
    Response::from_parts(parts, Body::from_stream(half.chain(end)))
}
