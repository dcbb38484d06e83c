//! Errors of the table.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata, SdkError};

use crate::domain::phone::without_numbers;

/// A failed use of the table.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The outcome is unknown: DynamoDB did not answer, the answer was unreadable, or DynamoDB failed halfway.
    /// Only after this error does it help to send the same request again.
    #[error("DynamoDB gave no conclusive answer ({0})")]
    NoAnswer(String),
    /// DynamoDB refused the request with this error code and did not carry it out.
    #[error("DynamoDB refused the request ({0})")]
    Refused(String),
    /// Every attempt lost a race against other changes of the named data.
    #[error("too many concurrent changes of {0}")]
    Contended(&'static str),
    /// An item is not in a form that this release reads: it is damaged, or a newer release wrote it. With the name of its
    /// kind, and the reason without its content.
    #[error("{0} in the table cannot be read: {1}")]
    Unreadable(&'static str, String),
    /// A value cannot be encoded, or an answer of DynamoDB lacks an item.
    #[error("a value for the table is malformed: {0}")]
    Malformed(String),
    /// A request lacks a required field. This is a bug in this library.
    #[error("a request to DynamoDB could not be built: {0}")]
    Unbuildable(String),
}

impl StoreError {
    /// Creates the error of an item that cannot be decoded. Its message quotes no value of the item.
    pub(super) fn malformed(name: &'static str, error: &serde_dynamo::Error) -> Self {
        let message = without_numbers(&error.to_string());
        let reason = match message.rsplit_once(", expected ") {
            Some((_, expected)) => format!("a value is not {expected}"),
            None if message.starts_with("missing field `") => message,
            None => "a value is not valid".to_owned(),
        };
        Self::Unreadable(name, reason)
    }
}

/// Reason in [`StoreError::NoAnswer`] if an operation exceeded its time limit.
pub(super) const TIMED_OUT: &str = "timed out";

impl From<BuildError> for StoreError {
    fn from(error: BuildError) -> Self {
        Self::Unbuildable(error.to_string())
    }
}

impl From<serde_dynamo::Error> for StoreError {
    /// Removes phone numbers from the message, which quotes the value that could not be decoded.
    fn from(error: serde_dynamo::Error) -> Self {
        Self::Malformed(without_numbers(&error.to_string()))
    }
}

impl<E> From<SdkError<E, HttpResponse>> for StoreError
where
    SdkError<E, HttpResponse>: ProvideErrorMetadata,
    E: std::error::Error + 'static,
{
    /// Keeps only the kind and the code of the failure. DynamoDB's messages can quote keys, which contain phone numbers.
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let code = error.code().unwrap_or("unknown error");
        match &error {
            SdkError::ConstructionFailure(_) => Self::Unbuildable("the SDK rejected it".to_owned()),
            SdkError::TimeoutError(_) => Self::NoAnswer(TIMED_OUT.to_owned()),
            SdkError::DispatchFailure(_) => Self::NoAnswer("no connection".to_owned()),
            SdkError::ResponseError(_) => Self::NoAnswer("unreadable answer".to_owned()),
            // DynamoDB may have carried out the request in spite of a status of 500 or above. A transaction in progress
            // is an earlier attempt of the same transaction.
            SdkError::ServiceError(failure)
                if failure.raw().status().is_server_error() || code == "TransactionInProgressException" =>
            {
                Self::NoAnswer(code.to_owned())
            }
            _ => Self::Refused(code.to_owned()),
        }
    }
}
