//! Errors of Vonage's APIs.

use std::time::Duration;

use crate::domain::carrier_record::CarrierRecord;
use crate::domain::phone::without_numbers;

/// A failed request to one of Vonage's APIs. It never contains a phone number or a secret.
#[derive(Debug, thiserror::Error)]
pub enum VonageError {
    /// The credentials are wrong.
    #[error("Vonage refused the credentials")]
    Unauthorized,
    /// Too many requests. This one was not carried out.
    #[error("Vonage refused the request: too many requests")]
    RateLimited {
        /// The shortest pause before the next request, if the response states one.
        retry_after: Option<Duration>,
    },
    /// Vonage refused the request and gave a reason. It was not carried out.
    #[error("Vonage refused: {label} (code {code})")]
    Refused {
        /// HTTP status, `error-code` or `status` of the response.
        code: String,
        /// Vonage's reason, or ours where Vonage's could quote a phone number.
        label: String,
    },
    /// Vonage gave no verdict about a number, for a reason that is not the request's: the lookup is gone, knows nothing of
    /// the number, or has to be paid for.
    #[error("Vonage did not look the number up: {label} (code {code})")]
    NoVerdict {
        /// HTTP status or `status` of the response.
        code: String,
        /// Vonage's reason, or ours.
        label: String,
    },
    /// Vonage's answer about a number names another number.
    #[error("Vonage's answer is about another number")]
    OtherNumber,
    /// The request could not be signed, so it was not sent.
    #[error("the request to Vonage could not be signed")]
    NotSigned,
    /// Vonage answered with a server error. The request may have been carried out.
    #[error("Vonage failed with HTTP status {0}")]
    Failed(u16),
    /// The response does not follow Vonage's documentation. The request may have been carried out.
    #[error("Vonage's response is not valid")]
    NotUnderstood(#[source] Option<DecodeError>),
    /// Vonage carried out only a part of the request, and keeps these records of that part.
    #[error("Vonage carried out only a part of the request")]
    Partial(Vec<CarrierRecord>),
    /// No connection could be made. The request was not carried out.
    #[error("connection to Vonage failed")]
    Unreachable(#[source] reqwest::Error),
    /// The text message was not sent, for a reason of ours.
    #[error("not sent: {0}")]
    Withheld(&'static str),
    /// The request timed out, or the connection broke. The request may have been carried out.
    #[error("no response from Vonage")]
    NoAnswer(#[source] reqwest::Error),
}

/// The position and the reason at which decoding of a response failed, without the numbers in that text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(String);

impl From<serde_json::Error> for DecodeError {
    /// Masks the error text, because serde quotes the value that it could not read.
    fn from(error: serde_json::Error) -> Self {
        Self(without_numbers(&error.to_string()))
    }
}

impl VonageError {
    /// True if Vonage refused a text message because of its sender.
    ///
    /// Sources: Vonage SMS API 1.5.1, status 15, "invalid sender address"; Vonage Messages API v1, error 1120, "invalid sender".
    pub fn refuses_sender(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "15" || code == "1120")
    }

    /// True if Vonage refused a message because of its channel: the message may go another way.
    ///
    /// Sources: Vonage Messages API 1.11.0, errors 1100 to 1140 of a request, and the list of its codes.
    pub fn refuses_channel(&self) -> bool {
        const CODES: [&str; 12] =
            ["1100", "1110", "1120", "1130", "1140", "1300", "1310", "1340", "1400", "1420", "1430", "1440"];
        matches!(self, Self::Refused { code, .. } if CODES.contains(&code.as_str()))
    }

    /// True if the request may have been carried out although it failed.
    pub fn outcome_is_unknown(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::NotUnderstood(_) | Self::Partial(_) | Self::NoAnswer(_))
    }

    /// True if a text was certainly not sent, for a reason that passes: a later request may be accepted.
    ///
    /// Sources: Vonage SMS API 1.5.1, status 9, "quota exceeded"; Vonage Messages API v1, HTTP status 402, "low balance".
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Refused { code, .. } => code == "9" || code == "402",
            Self::RateLimited { .. } | Self::Unreachable(_) | Self::Unauthorized | Self::NotSigned => true,
            _ => false,
        }
    }

    /// True if a number that was looked up is neither valid nor invalid by this answer, or by the lack of one. False if this
    /// deployment is at fault: wrong credentials, or a wrong request.
    pub fn leaves_number_undecided(&self) -> bool {
        match self {
            Self::RateLimited { .. }
            | Self::NoVerdict { .. }
            | Self::OtherNumber
            | Self::Failed(_)
            | Self::NotUnderstood(_)
            | Self::Unreachable(_)
            | Self::NoAnswer(_) => true,
            Self::Unauthorized | Self::Refused { .. } | Self::NotSigned | Self::Partial(_) | Self::Withheld(_) => false,
        }
    }

    /// Creates a [`VonageError::NoVerdict`], and masks its text, because Vonage may quote a phone number.
    pub(super) fn no_verdict(code: &str, label: &str) -> Self {
        Self::NoVerdict { code: without_numbers(code), label: without_numbers(label) }
    }

    /// Creates a refusal, and masks its text, because Vonage may quote a phone number.
    pub(super) fn refused(code: &str, label: &str) -> Self {
        Self::Refused { code: without_numbers(code), label: without_numbers(label) }
    }
}

impl From<reqwest::Error> for VonageError {
    fn from(error: reqwest::Error) -> Self {
        // The query of a URL can contain a phone number.
        let error = error.without_url();
        if error.is_connect() { Self::Unreachable(error) } else { Self::NoAnswer(error) }
    }
}
