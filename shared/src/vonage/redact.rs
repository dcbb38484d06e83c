//! Redaction: Vonage replaces the personal data in one of its own records.
//!
//! Source: Vonage Redact API 1.1.0. Vonage switches it on for an account, product by product. It accepts a record from
//! an hour after its creation, and up to 170 requests a second.

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

/// A failed redaction.
#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    /// The record is younger than an hour.
    #[error("Vonage cannot redact the record yet")]
    TooEarly,
    /// Redaction is not switched on for the account, or not for this product.
    #[error("Vonage has not switched on redaction for this account")]
    NotProvisioned,
    /// Vonage knows no such record, or rejects the request.
    #[error("Vonage refused to redact the record: {title} (HTTP status {status})")]
    Refused {
        /// HTTP status of the response.
        status: u16,
        /// Title of Vonage's error, which does not contain the record's ID.
        title: String,
    },
    /// The request failed.
    #[error(transparent)]
    Vonage(#[from] VonageError),
}

/// A client of the Redact API that limits the rate of its requests.
#[derive(Debug)]
pub struct RedactApi {
    vonage: Vonage,
    rate_limiter: RateLimiter,
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

/// Shortest time between two requests. It allows 100 of Vonage's 170 a second, because other deployments may use the
/// same account.
const INTERVAL: Duration = Duration::from_millis(10);
/// Half of the shortest pause after a rate limit error.
const BACKOFF: Duration = Duration::from_millis(250);

impl RedactApi {
    /// Creates a client. It sends nothing yet.
    pub fn new(vonage: Vonage) -> Self {
        Self { vonage, rate_limiter: RateLimiter::new(INTERVAL, BACKOFF) }
    }

    /// Returns the time to plan for one record: the request, and the writes to our table after it.
    pub fn time_for_one(&self) -> Duration {
        self.vonage.time_limit() + Duration::from_secs(4)
    }

    /// Redacts a record. It is safe to repeat.
    pub async fn redact(&self, record: &CarrierRecord) -> Result<(), RedactError> {
        let budget = self.vonage.retry_budget(PATH, Idempotency::Safe, Some(&self.rate_limiter));
        let (status, body) = budget.run(|limit| self.redact_once(record, limit)).await?;
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

    async fn redact_once(&self, record: &CarrierRecord, limit: Duration) -> Result<(StatusCode, Vec<u8>), VonageError> {
        let CarrierRecord { id, product, direction, .. } = record;
        let transaction = Transaction { id, product: *product, direction: *direction };
        self.vonage.send(self.vonage.api(PATH), Payload::Json(&transaction), limit).await
    }
}
