//! Number lookup by Number Insight Basic.
//!
//! Source: Vonage Number Insight API 1.2.1. Vonage ends it on 4 February 2027 and replaces it with Identity Insights.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::client::{Payload, Vonage};
use super::error::VonageError;
use super::number_lookup::{LookedUpNumber, NumberLookup, confirm, parse_lookup};
use super::retry::Idempotency;
use crate::domain::carrier_record::CarrierRecord;
use crate::domain::country::Country;
use crate::domain::judge::Judge;
use crate::domain::phone::PhoneNumber;

/// [`NumberLookup`] with the Number Insight Basic API.
#[derive(Debug, Clone)]
pub struct NumberInsight(pub Vonage);

const PATH: &str = "/ni/basic/json";

#[derive(Serialize)]
struct Query<'a> {
    number: &'a str,
}

/// `status` is an integer here, and a string in the SMS API.
#[derive(Deserialize)]
struct Answer {
    status: u16,
    #[serde(default)]
    status_message: String,
    request_id: Option<String>,
    international_format_number: Option<PhoneNumber>,
    country_code: Option<Country>,
}

impl NumberLookup for NumberInsight {
    fn judge(&self) -> Judge {
        Judge::NumberInsight
    }

    async fn look_up(&self, number: &PhoneNumber) -> Result<Option<LookedUpNumber>, VonageError> {
        self.0.retry_budget(PATH, Idempotency::Safe, None).run(|limit| self.look_up_once(number, limit)).await
    }
}

impl NumberInsight {
    /// Connects to the API, so that the first lookup does not wait for a connection.
    pub async fn warm_up(&self) {
        self.0.warm_up(self.0.api("/")).await;
    }

    async fn look_up_once(&self, asked: &PhoneNumber, limit: Duration) -> Result<Option<LookedUpNumber>, VonageError> {
        // POST, because intermediaries log URLs but not bodies.
        let form = Query { number: asked.expose() };
        let (status, body) = self.0.send(self.0.api(PATH), Payload::Form(&form), limit).await?;
        let answer: Answer = parse_lookup(status, &body)?;
        match (answer.status, answer.international_format_number, answer.country_code) {
            (0, Some(number), Some(country)) => {
                let carrier_record = answer.request_id.map(CarrierRecord::of_lookup);
                confirm(asked, number, country, carrier_record).map(Some)
            }
            (0, ..) => Err(VonageError::NotUnderstood(None)),
            (1, ..) => Err(VonageError::RateLimited { retry_after: None }),
            (3, ..) => Ok(None),
            (4, ..) => Err(VonageError::Unauthorized),
            (5, ..) => Err(VonageError::Failed(200)),
            // Not enough credit.
            (9, ..) => Err(VonageError::no_verdict("9", &answer.status_message)),
            (status, ..) => Err(VonageError::refused(&status.to_string(), "number lookup refused")),
        }
    }
}
