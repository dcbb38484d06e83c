//! Renting numbers and linking them to the Voice application.
//!
//! Source: Vonage Numbers API 1.1.0. POST bodies are forms, `error-code` is a string, and 420 stands for many things
//! that only its label tells apart.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::client::{Payload, Vonage, parse, parse_ok};
use super::error::VonageError;
use super::rate_limit::RateLimiter;
use super::retry::Idempotency;
use crate::domain::country::Country;
use crate::domain::phone::{PhoneNumber, VirtualNumber};
use crate::domain::pool::{Feature, NumberType};

/// The most numbers on a page of a search.
const PAGE_SIZE: u32 = 100;

/// Which numbers to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// In which country.
    pub country: Country,
    /// What they have to carry.
    pub features: Vec<Feature>,
    /// Of which kind.
    pub number_type: Option<NumberType>,
    /// Digits that they contain.
    pub pattern: Option<String>,
}

impl Search {
    /// What is usually wanted: numbers of a country that can be called and send texts.
    pub fn usual(country: Country) -> Self {
        Self { country, features: vec![Feature::Voice, Feature::Sms], number_type: None, pattern: None }
    }
}

/// A number on offer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Offer {
    /// The number.
    pub msisdn: VirtualNumber,
    /// Its kind.
    #[serde(rename = "type")]
    pub number_type: NumberType,
    /// Rent a month, in EUR.
    pub cost: Decimal,
    /// What it can carry.
    pub features: Vec<Feature>,
    /// What it cannot be used for.
    #[serde(default)]
    pub limitations: Vec<Limitation>,
}

/// A restriction of a number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Limitation {
    /// Of which feature.
    pub feature: Feature,
    /// `INBOUND` or `OUTBOUND`.
    #[serde(rename = "type")]
    pub direction: String,
}

impl Offer {
    /// Whether the number carries all of `features` without a limit in the way. Texts are only sent from it, so what
    /// limits texts to it does not matter. The specification does not say whether a limitation's `reach` is what is
    /// left or what is missing, so any reach counts.
    pub fn suits(&self, features: &[Feature]) -> bool {
        features.iter().all(|feature| {
            let limited = |limit: &Limitation| {
                limit.feature == *feature && (*feature != Feature::Sms || limit.direction == "OUTBOUND")
            };
            self.features.contains(feature) && !self.limitations.iter().any(limited)
        })
    }
}

/// One page of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The numbers on it.
    pub offers: Vec<Offer>,
    /// Whether another page follows.
    pub more: bool,
}

/// No matches are `{}` or `{"count":0,"numbers":[]}`.
#[derive(Deserialize)]
struct Listing<T> {
    #[serde(default)]
    count: u32,
    #[serde(default = "Vec::new")]
    numbers: Vec<T>,
}

#[derive(Serialize)]
struct SearchQuery<'a> {
    country: &'a str,
    features: String,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    number_type: Option<NumberType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    search_pattern: Option<u8>,
    size: u32,
    index: u32,
}

#[derive(Serialize)]
struct OwnedQuery<'a> {
    country: &'a str,
    pattern: &'a str,
    search_pattern: u8,
    size: u32,
}

#[derive(Serialize)]
struct ListQuery {
    size: u32,
    index: u32,
}

#[derive(Serialize)]
struct NumberForm<'a> {
    country: &'a str,
    msisdn: &'a str,
}

/// What the account holds of a number. An update replaces all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedNumber {
    country: String,
    msisdn: String,
    #[serde(rename = "moHttpUrl", default, skip_serializing_if = "Option::is_none")]
    mo_http_url: Option<String>,
    #[serde(rename = "moSmppSysType", default, skip_serializing_if = "Option::is_none")]
    mo_smpp_sys_type: Option<String>,
    #[serde(rename = "messagesCallbackType", default, skip_serializing_if = "Option::is_none")]
    messages_callback_type: Option<String>,
    #[serde(rename = "messagesCallbackValue", default, skip_serializing_if = "Option::is_none")]
    messages_callback_value: Option<String>,
    #[serde(rename = "voiceCallbackType", default, skip_serializing_if = "Option::is_none")]
    voice_callback_type: Option<String>,
    #[serde(rename = "voiceCallbackValue", default, skip_serializing_if = "Option::is_none")]
    voice_callback_value: Option<String>,
    #[serde(rename = "voiceStatusCallback", default, skip_serializing_if = "Option::is_none")]
    voice_status_callback: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    app_id: Option<String>,
}

#[derive(Deserialize)]
struct Outcome {
    #[serde(rename = "error-code")]
    code: String,
    #[serde(rename = "error-code-label", default)]
    label: String,
}

/// A number as the list of the account's numbers shows it.
#[derive(Debug, Clone, Deserialize)]
pub struct ListedNumber {
    /// What the account holds of it.
    #[serde(flatten)]
    pub settings: OwnedNumber,
    #[serde(rename = "type", default)]
    number_type: serde_json::Value,
    #[serde(default)]
    features: Vec<serde_json::Value>,
}

impl OwnedNumber {
    /// Its digits.
    pub fn msisdn(&self) -> &str {
        &self.msisdn
    }

    /// Whether calls to it reach this application: a forwarding of its own would win.
    pub fn reaches(&self, application_id: &str) -> bool {
        self.is_linked_to(application_id) && self.voice_callback_type.as_deref().is_none_or(str::is_empty)
    }

    /// Whether it is linked to this application.
    pub fn is_linked_to(&self, application_id: &str) -> bool {
        self.app_id.as_deref() == Some(application_id)
    }
}

impl ListedNumber {
    /// Number, country, kind and features, if it can be called and is of a kind that is known here.
    pub fn for_calls(&self) -> Option<(VirtualNumber, Country, NumberType, Vec<Feature>)> {
        let number = PhoneNumber::try_from(self.settings.msisdn.as_str()).ok()?.into();
        let country = Country::try_from(self.settings.country.as_str()).ok()?;
        let number_type = serde_json::from_value(self.number_type.clone()).ok()?;
        let features: Vec<_> =
            self.features.iter().filter_map(|feature| serde_json::from_value(feature.clone()).ok()).collect();
        features.contains(&Feature::Voice).then_some((number, country, number_type, features))
    }
}

/// The Numbers API. It takes about one request a second, so requests are paced. A turn that is waited for does not count
/// in a request's time limit.
#[derive(Debug, Clone)]
pub struct NumbersApi {
    vonage: Vonage,
    pace: Arc<RateLimiter>,
}

impl NumbersApi {
    /// With at least `interval` between the beginnings of two requests of this process.
    pub fn new(vonage: Vonage, interval: Duration) -> Self {
        Self { vonage, pace: Arc::new(RateLimiter::new(interval)) }
    }

    /// How long one request to Vonage may take.
    pub fn time_limit(&self) -> Duration {
        self.vonage.time_limit()
    }

    /// How long the three requests for a number and the writes between them may take, if one of them fails to answer.
    /// What takes longer is cut off, and the next run goes on with it.
    pub fn time_for_one(&self) -> Duration {
        self.vonage.time_limit() + 3 * self.pace.interval() + Duration::from_secs(4)
    }

    /// Asks in its turn, and in a later one again where that is safe.
    async fn ask<T>(
        &self,
        path: &str,
        payload: Payload<'_, impl Serialize>,
        idempotency: Idempotency,
        read: impl Fn(StatusCode, &[u8]) -> Result<T, VonageError>,
    ) -> Result<T, VonageError> {
        let mut tries = self.vonage.tries(path, idempotency);
        loop {
            self.pace.turn().await;
            let limit = tries.begin();
            let outcome = self.vonage.ask(self.vonage.rest(path), payload, limit).await;
            let error = match outcome.and_then(|(status, body)| read(status, &body)) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let retry_after = match &error {
                VonageError::RateLimited { retry_after } => Some(retry_after.unwrap_or_default()),
                _ => None,
            };
            if !tries.may_retry(&error, retry_after.unwrap_or_default()) {
                return Err(error);
            }
            if let Some(at_least) = retry_after {
                self.pace.slow_down(tries.made(), at_least).await;
            }
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, query: &impl Serialize) -> Result<Listing<T>, VonageError> {
        self.ask(path, Payload::Query(query), Idempotency::Safe, parse_ok).await
    }

    /// All numbers of the account, page by page.
    pub async fn list(&self) -> Result<Vec<ListedNumber>, VonageError> {
        let mut all = Vec::new();
        for index in 1.. {
            let query = ListQuery { size: PAGE_SIZE, index };
            let page: Listing<ListedNumber> = self.get("/account/numbers", &query).await?;
            let more = !page.numbers.is_empty() && page.count > PAGE_SIZE.saturating_mul(index);
            all.extend(page.numbers);
            if !more {
                break;
            }
        }
        Ok(all)
    }

    /// Gives a number back. Its rent ends.
    pub async fn cancel(&self, country: Country, number: &VirtualNumber) -> Result<(), VonageError> {
        self.change("/number/cancel", &NumberForm { country: country.as_str(), msisdn: number.as_str() }).await
    }

    /// Page `index`, from 1, of the numbers on offer.
    pub async fn search(&self, search: &Search, index: u32) -> Result<Page, VonageError> {
        let query = SearchQuery {
            country: search.country.as_str(),
            features: features_parameter(&search.features),
            number_type: search.number_type,
            pattern: search.pattern.as_deref(),
            search_pattern: search.pattern.as_ref().map(|_| 1),
            size: PAGE_SIZE,
            index,
        };
        let listing: Listing<serde_json::Value> = self.get("/number/search", &query).await?;
        let more = !listing.numbers.is_empty() && listing.count > PAGE_SIZE.saturating_mul(index);
        // A number of a kind that is not known here is no reason to pass over its neighbours.
        let offers = listing.numbers.into_iter().filter_map(|offer| serde_json::from_value(offer).ok()).collect();
        Ok(Page { offers, more })
    }

    /// Rents a number. Says nothing but yes; when the outcome is unknown, [`NumbersApi::owned`] tells.
    pub async fn buy(&self, country: Country, number: &VirtualNumber) -> Result<(), VonageError> {
        self.change("/number/buy", &NumberForm { country: country.as_str(), msisdn: number.as_str() }).await
    }

    /// What the account holds of a number, if it is the account's.
    pub async fn owned(&self, country: Country, number: &VirtualNumber) -> Result<Option<OwnedNumber>, VonageError> {
        let query =
            OwnedQuery { country: country.as_str(), pattern: number.as_str(), search_pattern: 0, size: PAGE_SIZE };
        let listing: Listing<OwnedNumber> = self.get("/account/numbers", &query).await?;
        Ok(listing.numbers.into_iter().find(|owned| owned.msisdn == number.as_str()))
    }

    /// Links a number to the Voice application and keeps the rest of its record, but for a voice callback of its own,
    /// which would win over the application.
    pub async fn link(&self, owned: OwnedNumber, application_id: &str) -> Result<(), VonageError> {
        let linked = OwnedNumber {
            app_id: Some(application_id.to_owned()),
            voice_callback_type: None,
            voice_callback_value: None,
            ..owned
        };
        self.change("/number/update", &linked).await
    }

    async fn change(&self, path: &str, form: &impl Serialize) -> Result<(), VonageError> {
        self.ask(path, Payload::Form(form), Idempotency::Unsafe, outcome).await
    }
}

fn outcome(status: StatusCode, body: &[u8]) -> Result<(), VonageError> {
    match parse::<Outcome>(body) {
        Ok(outcome) if outcome.code == "401" => Err(VonageError::Unauthorized),
        Ok(outcome) if status == StatusCode::OK && outcome.code == "200" => Ok(()),
        Ok(outcome) => Err(VonageError::refused(&outcome.code, &outcome.label)),
        Err(error) if status.is_success() => Err(error),
        Err(_) => Err(VonageError::refused(status.as_str(), "the request is not valid")),
    }
}

/// One of the exact strings that the API takes: SMS before MMS before VOICE, but for `VOICE,MMS`.
fn features_parameter(features: &[Feature]) -> String {
    let has = |feature| features.contains(&feature);
    match (has(Feature::Sms), has(Feature::Mms), has(Feature::Voice)) {
        (true, true, true) => "SMS,MMS,VOICE",
        (true, true, false) => "SMS,MMS",
        (true, false, true) => "SMS,VOICE",
        (true, false, false) => "SMS",
        (false, true, true) => "VOICE,MMS",
        (false, true, false) => "MMS",
        (false, false, _) => "VOICE",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(limitations: &str) -> Offer {
        serde_json::from_str(&format!(
            r#"{{"msisdn":"447451000001","type":"mobile-lvn","cost":"1.25","features":["VOICE","SMS"],"limitations":{limitations}}}"#
        ))
        .unwrap()
    }

    #[test]
    fn a_limited_number_does_not_suit_a_use_that_the_limit_touches() {
        let both = [Feature::Voice, Feature::Sms];
        assert!(offer("[]").suits(&both));
        let no_texts_out = offer(r#"[{"feature":"SMS","type":"OUTBOUND","reach":"INTERNATIONAL"}]"#);
        assert!(!no_texts_out.suits(&both));
        assert!(no_texts_out.suits(&[Feature::Voice]));
        assert!(offer(r#"[{"feature":"SMS","type":"INBOUND","reach":"DOMESTIC"}]"#).suits(&both));
        assert!(!offer(r#"[{"feature":"VOICE","type":"INBOUND","reach":"DOMESTIC"}]"#).suits(&both));
        assert!(!offer("[]").suits(&[Feature::Mms]));
    }
}
