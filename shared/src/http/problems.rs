//! The one place where an error becomes an HTTP status. No detail here may tell a real number or a secret.

use lambda_http::http::StatusCode;

use super::Problem;
use crate::store::StoreError;

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "store-unavailable",
            "The table cannot be used at present",
            "Try again shortly.",
        )
        .retry_after(1)
        .because(error)
    }
}

#[cfg(feature = "webhooks")]
impl From<crate::vonage::signature::SignatureError> for Problem {
    fn from(error: crate::vonage::signature::SignatureError) -> Self {
        use crate::vonage::signature::SignatureError;
        let status = match error {
            // Vonage sends again, signed, what it failed to sign by an error of its own; but only after a 5xx.
            SignatureError::Missing => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNAUTHORIZED,
        };
        Self::new(
            status,
            "not-signed",
            "The webhook is not known to come from Vonage",
            "Sign it with this account's secret.",
        )
        .because(error)
    }
}

#[cfg(feature = "carrier")]
mod carrier {
    use super::{Problem, StatusCode};
    use crate::conversation::Side;
    use crate::creation::CreationError;
    use crate::http::body::sentence;
    use crate::vonage::VonageError;
    use crate::written_number::UnreadableNumber;

    impl From<VonageError> for Problem {
        fn from(error: VonageError) -> Self {
            let (status, detail) = match &error {
                VonageError::Unauthorized => (StatusCode::BAD_GATEWAY, "Vonage refused this deployment's credentials."),
                VonageError::Refused { .. } => (StatusCode::BAD_GATEWAY, "Vonage refused the request."),
                VonageError::NotUnderstood(_) => (StatusCode::BAD_GATEWAY, "Vonage's answer could not be understood."),
                VonageError::RateLimited => (StatusCode::SERVICE_UNAVAILABLE, "Vonage is asked too often at present."),
                VonageError::Failed(_) => (StatusCode::SERVICE_UNAVAILABLE, "Vonage fails at present."),
                VonageError::Unreachable(_) => (StatusCode::SERVICE_UNAVAILABLE, "Vonage cannot be reached."),
                VonageError::NoAnswer(_) => (StatusCode::SERVICE_UNAVAILABLE, "Vonage did not answer in time."),
            };
            let problem = Self::new(status, "carrier-failed", "The carrier did not do its part", detail);
            let problem = if status == StatusCode::SERVICE_UNAVAILABLE { problem.retry_after(2) } else { problem };
            problem.because(error)
        }
    }

    impl From<CreationError> for Problem {
        fn from(error: CreationError) -> Self {
            match error {
                CreationError::Unreadable(side, reason) => match reason {
                    UnreadableNumber::NeedsCountry | UnreadableNumber::OtherCountry => {
                        Self::invalid(field(side, "country"), sentence(&reason.to_string()))
                    }
                    UnreadableNumber::NotANumber => Self::invalid(field(side, "number"), sentence(&reason.to_string())),
                },
                CreationError::NotValid(side) => {
                    Self::invalid(field(side, "number"), "The carrier says that this is not a valid phone number.")
                }
                CreationError::SameNumber => {
                    Self::invalid(field(Side::B, "number"), "Both participants have the same number.")
                }
                CreationError::VirtualNumber(side) => Self::invalid(
                    field(side, "number"),
                    "This is a virtual number of the pool, so it cannot be a participant's own.",
                ),
                CreationError::NoneFree { side, country, ready, held } => Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "no-number-free",
                    "No virtual number is free for a participant",
                    format!("{country} has {ready} ready numbers, and this participant holds {held} of the pool's."),
                )
                .at(field(side, "number")),
                CreationError::Contended => Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "contended",
                    "Many conversations of these participants are being created at once",
                    "Nothing was created; try again.",
                )
                .retry_after(1),
                CreationError::Lookup(error) => error.into(),
                CreationError::Store(error) => error.into(),
            }
        }
    }

    fn field(side: Side, name: &str) -> String {
        format!("participants[{}].{name}", side.index())
    }
}
