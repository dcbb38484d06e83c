//! Number lookup: validity and country of a number, by Number Insight Basic.
//!
//! Source: Vonage Number Insight API. Vonage ends it on 4 February 2027 and replaces it with Identity Insights, so the
//! rest of the product only knows the trait [`NumberLookup`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::client::{Payload, Vonage};
use super::error::VonageError;
use super::retry::Idempotency;
use crate::domain::carrier_record::CarrierRecord;
use crate::domain::country::Country;
use crate::domain::phone::{PhoneNumber, RealNumber};

/// A valid number, as the carrier knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookedUpNumber {
    /// The number in the carrier's own international format.
    pub number: RealNumber,
    /// The country of the number.
    pub country: Country,
    /// The carrier's record of the lookup, if the response names one.
    pub carrier_record: Option<CarrierRecord>,
}

/// A service that checks numbers.
pub trait NumberLookup: Send + Sync {
    /// Looks up `number`. Returns `None` if it is not valid.
    fn look_up(&self, number: &PhoneNumber)
    -> impl Future<Output = Result<Option<LookedUpNumber>, VonageError>> + Send;
}

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
    async fn look_up(&self, number: &PhoneNumber) -> Result<Option<LookedUpNumber>, VonageError> {
        self.0.retry_budget(PATH, Idempotency::Safe, None).run(|limit| self.look_up_once(number, limit)).await
    }
}

impl NumberInsight {
    async fn look_up_once(&self, number: &PhoneNumber, limit: Duration) -> Result<Option<LookedUpNumber>, VonageError> {
        // POST, because intermediaries log URLs but not bodies.
        let form = Query { number: number.expose() };
        let answer: Answer = self.0.send_for_json(self.0.api(PATH), Payload::Form(&form), limit).await?;
        match (answer.status, answer.international_format_number, answer.country_code) {
            (0, Some(number), Some(country)) => {
                let carrier_record = answer.request_id.map(CarrierRecord::of_lookup);
                Ok(Some(LookedUpNumber { number: number.into(), country, carrier_record }))
            }
            (0, ..) => Err(VonageError::NotUnderstood(None)),
            (1, ..) => Err(VonageError::RateLimited { retry_after: None }),
            (3, ..) => Ok(None),
            (4, ..) => Err(VonageError::Unauthorized),
            (5, ..) => Err(VonageError::Failed(200)),
            (9, ..) => Err(VonageError::refused("9", &answer.status_message)),
            (status, ..) => Err(VonageError::refused(&status.to_string(), "number lookup refused")),
        }
    }
}
