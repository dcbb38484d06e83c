//! Errors of Vonage's APIs.

use std::time::Duration;

use crate::domain::phone::without_numbers;

/// Vonage did not do what it was asked to. Nothing in here names a number or a secret.
#[derive(Debug, thiserror::Error)]
pub enum VonageError {
    /// The credentials are wrong.
    #[error("Vonage refused the credentials")]
    Unauthorized,
    /// Too many requests at present; this one was not carried out.
    #[error("Vonage is asked too often at present")]
    RateLimited {
        /// For how long Vonage does not want to be asked again, where it says.
        retry_after: Option<Duration>,
    },
    /// Vonage refused this request, and why, in its own words.
    #[error("Vonage refused: {label} (code {code})")]
    Refused {
        /// The HTTP status, `error-code` or `status` of the answer.
        code: String,
        /// Its words.
        label: String,
    },
    /// Vonage failed. Whether the request was carried out is unknown.
    #[error("Vonage failed with HTTP status {0}")]
    Failed(u16),
    /// The answer is not what the API promises. Whether the request was carried out is unknown.
    #[error("Vonage's answer cannot be understood")]
    NotUnderstood(#[source] Option<DecodeError>),
    /// Vonage carried out a part of the request only: what it has told the ids of.
    #[error("Vonage did a part of it only")]
    Partly(Vec<String>),
    /// No connection could be made; the request was not carried out.
    #[error("Vonage cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// No answer came in time, or the connection broke. Whether the request was carried out is unknown.
    #[error("no answer from Vonage")]
    NoAnswer(#[source] reqwest::Error),
}

/// Where an answer stops making sense, and why, without the numbers that stand there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(String);

impl From<serde_json::Error> for DecodeError {
    /// A parser's complaint quotes the value that it complains of.
    fn from(error: serde_json::Error) -> Self {
        Self(without_numbers(&error.to_string()))
    }
}

impl VonageError {
    /// Whether the request may have been carried out all the same.
    pub fn outcome_is_unknown(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::NotUnderstood(_) | Self::Partly(_) | Self::NoAnswer(_))
    }

    /// A refusal in Vonage's words, which may quote a number.
    pub(super) fn refused(code: &str, label: &str) -> Self {
        Self::Refused { code: without_numbers(code), label: without_numbers(label) }
    }
}

impl From<reqwest::Error> for VonageError {
    fn from(error: reqwest::Error) -> Self {
        // A URL can hold a number in its query.
        let error = error.without_url();
        if error.is_connect() { Self::Unreachable(error) } else { Self::NoAnswer(error) }
    }
}
