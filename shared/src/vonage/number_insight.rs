//! Number Insight Basic: whether a number is valid, and of which country.
//!
//! Source: Vonage Number Insight API, which ends on 4 February 2027; Identity Insights follows it. Hence
//! [`NumberLookup`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::client::{Payload, Vonage};
use super::error::VonageError;
use super::retry::Idempotency;
use crate::domain::carrier_record::CarrierRecord;
use crate::domain::country::Country;
use crate::domain::phone::{PhoneNumber, RealNumber};

/// A carrier's judgement of a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookedUpNumber {
    /// The number in the carrier's own international format.
    pub number: RealNumber,
    /// Its country.
    pub country: Country,
    /// What the carrier keeps of the lookup, where it tells.
    pub carrier_record: Option<CarrierRecord>,
}

/// Tells whether a number is valid, and of which country.
pub trait NumberLookup: Send + Sync {
    /// Looks `number` up; none if it is not valid.
    fn look_up(&self, number: &PhoneNumber)
    -> impl Future<Output = Result<Option<LookedUpNumber>, VonageError>> + Send;
}

/// [`NumberLookup`] by the Number Insight Basic API.
#[derive(Debug, Clone)]
pub struct NumberInsight(pub Vonage);

const PATH: &str = "/ni/basic/json";

#[derive(Serialize)]
struct Query<'a> {
    number: &'a str,
}

/// `status` is an integer here, unlike the SMS API's.
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
        self.0.tries(PATH, Idempotency::Safe).make(|limit| self.look_up_once(number, limit)).await
    }
}

impl NumberInsight {
    async fn look_up_once(&self, number: &PhoneNumber, limit: Duration) -> Result<Option<LookedUpNumber>, VonageError> {
        // By POST, because a URL, unlike a body, ends up in logs on the way.
        let form = Query { number: number.expose() };
        let answer: Answer = self.0.ask_json(self.0.api(PATH), Payload::Form(&form), limit).await?;
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
