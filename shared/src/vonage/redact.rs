//! Redaction: Vonage replaces what is personal in a record of its own.
//!
//! Source: Vonage Redact API 1.1.0. It has to be switched on for an account, by product; takes a record an hour after it
//! was made; and up to 170 requests a second.

use std::time::Duration;

use reqwest::StatusCode;
use serde::{Deserialize, Serialize};

use super::client::{Payload, Vonage};
use super::error::VonageError;
use super::rate_limit::RateLimiter;
use super::retry::Idempotency;
use crate::domain::call::Direction;
use crate::domain::carrier_record::{CarrierRecord, Product};
use crate::domain::phone::without_numbers;

/// A record was not redacted.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    /// The record is not old enough.
    #[error("Vonage wants to wait before it redacts this")]
    TooEarly,
    /// Redaction is not switched on for the account, or not for this product.
    #[error("Vonage has not switched on redaction for this account")]
    NotProvisioned,
    /// Vonage knows no such record, or does not take the request.
    #[error("Vonage does not redact this: {title} (HTTP status {status})")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it says, without the record's id.
        title: String,
    },
    /// Vonage did not answer the question.
    #[error(transparent)]
    Vonage(#[from] VonageError),
}

/// The Redact API, asked at a pace that it takes.
#[derive(Debug)]
pub struct RedactApi {
    vonage: Vonage,
    pace: RateLimiter,
}

#[derive(Serialize)]
struct Transaction<'a> {
    id: &'a str,
    product: Product,
    #[serde(rename = "type")]
    direction: Direction,
}

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    title: String,
}

const PATH: &str = "/v1/redact/transaction";

/// The least time between two requests: 100 a second, because other deployments may share the account.
const INTERVAL: Duration = Duration::from_millis(10);

impl RedactApi {
    /// The Redact API of the account. Nothing is sent yet.
    pub fn new(vonage: Vonage) -> Self {
        Self { vonage, pace: RateLimiter::new(INTERVAL) }
    }

    /// How long one record may take, with what is written of it.
    pub fn time_for_one(&self) -> Duration {
        self.vonage.time_limit() + Duration::from_secs(4)
    }

    /// Has a record redacted. To do so twice does no harm.
    pub async fn redact(&self, record: &CarrierRecord) -> Result<(), RedactError> {
        // Repeated it does nothing more.
        let mut tries = self.vonage.tries(PATH, Idempotency::Safe);
        let (status, body) = loop {
            self.pace.turn().await;
            let limit = tries.begin();
            let outcome = self.ask(record, limit).await;
            if let Some(settled) = tries.settle(outcome).await {
                break settled?;
            }
        };
        if status.is_success() {
            return Ok(());
        }
        let Refusal { r#type, title } = serde_json::from_slice(&body).unwrap_or_default();
        Err(match status {
            StatusCode::FORBIDDEN if r#type.ends_with("premature-redaction") => RedactError::TooEarly,
            StatusCode::FORBIDDEN => RedactError::NotProvisioned,
            _ => RedactError::Refused { status: status.as_u16(), title: without_numbers(&title) },
        })
    }

    async fn ask(&self, record: &CarrierRecord, limit: Duration) -> Result<(StatusCode, Vec<u8>), VonageError> {
        let CarrierRecord { id, product, direction } = record;
        let transaction = Transaction { id, product: *product, direction: *direction };
        self.vonage.ask(self.vonage.api(PATH), Payload::Json(&transaction), limit).await
    }
}
