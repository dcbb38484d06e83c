//! Number lookup: validity and country of a number, by one of Vonage's APIs. The rest of the product only knows the trait
//! [`NumberLookup`].

use reqwest::StatusCode;
use serde::de::DeserializeOwned;

use super::client::parse_ok;
use super::error::VonageError;
use crate::domain::carrier_record::CarrierRecord;
use crate::domain::country::Country;
use crate::domain::judge::Judge;
use crate::domain::network::Carrier;
use crate::domain::phone::{PhoneNumber, RealNumber};

/// A valid number, as the carrier knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookedUpNumber {
    /// The number that was asked for, in the carrier's own spelling.
    pub number: RealNumber,
    /// The country of the number.
    pub country: Country,
    /// The carrier of the number, if that was asked for and found.
    pub carrier: Option<Carrier>,
    /// The carrier's record of the lookup, if the response names one and the carrier can redact it.
    pub carrier_record: Option<CarrierRecord>,
}

/// A carrier's service that checks numbers.
pub trait NumberLookup: Send + Sync {
    /// Returns the judge that this service is.
    fn judge(&self) -> Judge;

    /// Looks up `number`. Returns `None` if it is not valid.
    fn look_up(&self, number: &PhoneNumber)
    -> impl Future<Output = Result<Option<LookedUpNumber>, VonageError>> + Send;
}

/// Checks that an answer is about the phone that was asked for.
pub(super) fn confirm(
    asked: &PhoneNumber,
    answered: PhoneNumber,
    country: Country,
    carrier_record: Option<CarrierRecord>,
) -> Result<LookedUpNumber, VonageError> {
    if asked.canonical() != answered.canonical() {
        return Err(VonageError::OtherNumber);
    }
    Ok(LookedUpNumber { number: answered.into(), country, carrier: None, carrier_record })
}

/// Decodes the JSON body of a 200. A redirect and the statuses of an API that is gone or has to be paid for say nothing of
/// the number. Any other status is an error of ours.
pub(super) fn parse_lookup<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Result<T, VonageError> {
    let is_gone = matches!(status, StatusCode::PAYMENT_REQUIRED | StatusCode::NOT_FOUND | StatusCode::GONE);
    if is_gone || status.is_redirection() {
        return Err(VonageError::no_verdict(status.as_str(), status.canonical_reason().unwrap_or("no lookup")));
    }
    parse_ok(status, body)
}
