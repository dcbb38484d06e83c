//! Numbers of the account: search, rent, link to the Voice application, cancel.
//!
//! Source: Vonage Numbers API 1.1.0. POST bodies are forms, and `error-code` is a string. Code 420 has many causes,
//! which only its label distinguishes, and the label "method failed" has many causes too. So the balance, from Vonage's
//! Account API, decides if a purchase failed for want of it.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::amount::amount;
use super::client::{Payload, Vonage, parse, parse_ok};
use super::error::VonageError;
use super::rate_limit::RateLimiter;
use super::retry::Idempotency;
use crate::domain::country::Country;
use crate::domain::order::{DigitMatch, WantedDigits};
use crate::domain::phone::{PhoneNumber, VirtualNumber};
use crate::domain::pool::{Feature, NumberType};

/// Numbers on a page. 100 is the most that the API allows.
const PAGE_SIZE: u32 = 100;

/// The criteria of a search for offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Country of the numbers.
    pub country: Country,
    /// Features that each number must have.
    pub features: Vec<Feature>,
    /// Type of the numbers; any if `None`.
    pub number_type: Option<NumberType>,
    /// Digits of the numbers.
    pub digits: WantedDigits,
}

impl Search {
    /// Returns the usual criteria: numbers of a country that can be called and can send text messages.
    pub fn usual(country: Country) -> Self {
        Self {
            country,
            features: vec![Feature::Voice, Feature::Sms],
            number_type: None,
            digits: WantedDigits::default(),
        }
    }
}

/// A number that Vonage has on sale.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Offer {
    /// The number.
    pub msisdn: VirtualNumber,
    /// Its type.
    #[serde(rename = "type")]
    pub number_type: NumberType,
    /// Monthly rent in EUR.
    pub cost: Decimal,
    /// Price of buying it, in EUR, if Vonage says it.
    #[serde(default, rename = "initialPrice", deserialize_with = "price_if_clear")]
    pub initial_price: Option<Decimal>,
    /// Its features.
    pub features: Vec<Feature>,
    /// Restrictions of its features.
    #[serde(default)]
    pub limitations: Vec<Limitation>,
}

/// Reads a price that an offer need not have. What cannot be read must not hide the offer.
fn price_if_clear<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Decimal>, D::Error> {
    Value::deserialize(deserializer).map(|price| amount(&price))
}

/// A restriction of one feature of a number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Limitation {
    /// The restricted feature.
    pub feature: Feature,
    /// `INBOUND` or `OUTBOUND`.
    #[serde(rename = "type")]
    pub direction: String,
}

impl Offer {
    /// Returns the highest amount of the number in one month: its rent, or the price of buying it.
    pub fn dearest_month(&self) -> Decimal {
        self.initial_price.map_or(self.cost, |price| price.max(self.cost))
    }

    /// True if the number has all of `features` without a restriction that matters. A restriction of inbound SMS does
    /// not matter, because the product only sends text messages. Vonage's specification does not say whether `reach` is
    /// the allowed or the missing part, so `reach` is ignored.
    pub fn suits(&self, features: &[Feature]) -> bool {
        features.iter().all(|feature| {
            let restricts = |limitation: &Limitation| {
                limitation.feature == *feature && (*feature != Feature::Sms || limitation.direction == "OUTBOUND")
            };
            self.features.contains(feature) && !self.limitations.iter().any(restricts)
        })
    }
}

/// One page of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The offers on the page.
    pub offers: Vec<Offer>,
    /// True if another page follows.
    pub more: bool,
}

/// A page of the account's numbers.
#[derive(Debug, Clone)]
pub struct ListPage {
    /// The numbers on the page.
    pub numbers: Vec<ListedNumber>,
    /// Number of numbers on all pages.
    pub count: u32,
    /// True if another page follows.
    pub more: bool,
}

/// A page of numbers. Without matches the API answers `{}` or `{"count":0,"numbers":[]}`.
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
struct LinkedQuery<'a> {
    country: &'a str,
    application_id: &'a str,
    size: u32,
    index: u32,
}

#[derive(Serialize)]
struct ListQuery<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    search_pattern: Option<u8>,
    size: u32,
    index: u32,
}

#[derive(Serialize)]
struct NumberForm<'a> {
    country: &'a str,
    msisdn: &'a str,
}

/// The settings of one of the account's numbers. An update replaces all of them.
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

/// The balance of the account. Its other member says if it is topped up automatically, which may fail.
#[derive(Deserialize)]
struct Balance {
    value: serde_json::Value,
}

#[derive(Deserialize)]
struct Outcome {
    #[serde(rename = "error-code")]
    code: String,
    #[serde(rename = "error-code-label", default)]
    label: String,
}

/// A number of the account, as listed.
#[derive(Debug, Clone, Deserialize)]
pub struct ListedNumber {
    /// Its settings.
    #[serde(flatten)]
    pub settings: OwnedNumber,
    #[serde(rename = "type", default)]
    number_type: serde_json::Value,
    #[serde(default)]
    features: Vec<serde_json::Value>,
}

impl OwnedNumber {
    /// Returns its digits (E.164 without "+").
    pub fn msisdn(&self) -> &str {
        &self.msisdn
    }

    /// True if calls to it reach this application. A voice callback of the number has priority over its application.
    pub fn reaches(&self, application_id: &str) -> bool {
        self.is_linked_to(application_id) && self.voice_callback_type.as_deref().is_none_or(str::is_empty)
    }

    /// True if it is linked to this application, or to none.
    pub fn may_link_to(&self, application_id: &str) -> bool {
        self.app_id.as_deref().is_none_or(|linked| linked.is_empty() || linked == application_id)
    }

    /// True if it is linked to this application.
    pub fn is_linked_to(&self, application_id: &str) -> bool {
        self.app_id.as_deref() == Some(application_id)
    }
}

impl ListedNumber {
    /// Returns number, country, type and features. `None` if it cannot be called or its type is unknown here.
    pub fn for_calls(&self) -> Option<(VirtualNumber, Country, NumberType, Vec<Feature>)> {
        let number = PhoneNumber::try_from(self.settings.msisdn.as_str()).ok()?.into();
        let country = Country::try_from(self.settings.country.as_str()).ok()?;
        let number_type = serde_json::from_value(self.number_type.clone()).ok()?;
        let features: Vec<_> =
            self.features.iter().filter_map(|feature| serde_json::from_value(feature.clone()).ok()).collect();
        features.contains(&Feature::Voice).then_some((number, country, number_type, features))
    }
}

/// A client of the Numbers API that limits the rate of its requests. Vonage publishes no limit; integrators report 429
/// when a purchase follows a search too fast. The wait for a turn does not count against a request's time limit.
#[derive(Debug, Clone)]
pub struct NumbersApi {
    vonage: Vonage,
    rate_limiter: Arc<RateLimiter>,
}

impl NumbersApi {
    /// Creates a client whose requests start at least `interval` apart, in this process.
    pub fn new(vonage: Vonage, interval: Duration) -> Self {
        Self { vonage, rate_limiter: Arc::new(RateLimiter::new(interval, interval)) }
    }

    /// Returns the longest time for one request to Vonage, including its retries.
    pub fn time_limit(&self) -> Duration {
        self.vonage.time_limit()
    }

    /// Returns the least time that a number takes: its three requests.
    pub fn pace(&self) -> Duration {
        3 * self.rate_limiter.interval()
    }

    /// Returns the time to plan for one number: its three requests, of which one may run into its time limit, and the
    /// writes to our table between them. The next run resumes a number that takes longer.
    pub fn time_for_one(&self) -> Duration {
        self.vonage.time_limit() + 3 * self.rate_limiter.interval() + Duration::from_secs(4)
    }

    async fn send<T>(
        &self,
        path: &str,
        payload: Payload<'_, impl Serialize>,
        idempotency: Idempotency,
        read: impl Fn(StatusCode, &[u8]) -> Result<T, VonageError>,
    ) -> Result<T, VonageError> {
        let attempt = async |limit| {
            let (status, body) = self.vonage.send(self.vonage.rest(path), payload, limit).await?;
            read(status, &body)
        };
        self.vonage.retry_budget(path, idempotency, Some(&*self.rate_limiter)).run(attempt).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, query: &impl Serialize) -> Result<Listing<T>, VonageError> {
        self.send(path, Payload::Query(query), Idempotency::Safe, parse_ok).await
    }

    /// Reads page `index` of the account's numbers that begin with `prefix`. The first page has index 1.
    pub async fn list(&self, prefix: &str, index: u32) -> Result<ListPage, VonageError> {
        let pattern = Some(prefix).filter(|prefix| !prefix.is_empty());
        let query = ListQuery { pattern, search_pattern: pattern.map(|_| 0), size: PAGE_SIZE, index };
        let page: Listing<ListedNumber> = self.get("/account/numbers", &query).await?;
        let more = !page.numbers.is_empty() && page.count > PAGE_SIZE.saturating_mul(index);
        Ok(ListPage { numbers: page.numbers, count: page.count, more })
    }

    /// Counts the account's numbers of a country that are linked to the application.
    pub async fn count_linked(&self, country: Country, application_id: &str) -> Result<usize, VonageError> {
        let query = LinkedQuery { country: country.as_str(), application_id, size: 1, index: 1 };
        let page: Listing<ListedNumber> = self.get("/account/numbers", &query).await?;
        Ok(usize::try_from(page.count).unwrap_or(usize::MAX))
    }

    /// Cancels the rent of a number.
    pub async fn cancel(&self, country: Country, number: &VirtualNumber) -> Result<(), VonageError> {
        self.change("/number/cancel", &NumberForm { country: country.as_str(), msisdn: number.as_str() }).await
    }

    /// Reads page `index` of the offers that match, and have these `digits`. The first page has index 1. A search cannot ask for a
    /// radius around a place.
    pub async fn search(&self, search: &Search, digits: Option<&DigitMatch>, index: u32) -> Result<Page, VonageError> {
        let (pattern, search_pattern) = match digits {
            Some(DigitMatch::StartsWith(digits)) => (Some(digits.as_str()), Some(0)),
            Some(DigitMatch::Contains(digits)) => (Some(digits.as_str()), Some(1)),
            None => (None, None),
        };
        let query = SearchQuery {
            country: search.country.as_str(),
            features: features_parameter(&search.features),
            number_type: search.number_type,
            pattern,
            search_pattern,
            size: PAGE_SIZE,
            index,
        };
        let listing: Listing<serde_json::Value> = self.get("/number/search", &query).await?;
        let more = !listing.numbers.is_empty() && listing.count > PAGE_SIZE.saturating_mul(index);
        // An offer of an unknown type is skipped, the others on the page are not.
        let offers = listing.numbers.into_iter().filter_map(|offer| serde_json::from_value(offer).ok()).collect();
        Ok(Page { offers, more })
    }

    /// Rents a number. After an error with an unknown outcome, [`NumbersApi::owned`] shows whether it was rented.
    pub async fn buy(&self, country: Country, number: &VirtualNumber) -> Result<(), VonageError> {
        self.change("/number/buy", &NumberForm { country: country.as_str(), msisdn: number.as_str() }).await
    }

    /// Reads the balance of the account, in EUR.
    ///
    /// Source: Vonage Account API, "Get Account Balance".
    pub async fn balance(&self) -> Result<Decimal, VonageError> {
        let read = |status, body: &[u8]| {
            let balance: Balance = parse_ok(status, body)?;
            amount(&balance.value).ok_or(VonageError::NotUnderstood(None))
        };
        self.send("/account/get-balance", Payload::Query(&()), Idempotency::Safe, read).await
    }

    /// Reads the settings of a number. `None` if the account does not rent it.
    pub async fn owned(&self, country: Country, number: &VirtualNumber) -> Result<Option<OwnedNumber>, VonageError> {
        let query =
            OwnedQuery { country: country.as_str(), pattern: number.as_str(), search_pattern: 0, size: PAGE_SIZE };
        let listing: Listing<OwnedNumber> = self.get("/account/numbers", &query).await?;
        Ok(listing.numbers.into_iter().find(|owned| owned.msisdn == number.as_str()))
    }

    /// Links a number to the Voice application. Its other settings stay, except a voice callback, which has priority
    /// over the application.
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
        self.send(path, Payload::Form(form), Idempotency::Unsafe, outcome).await
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

/// Returns one of the exact strings that the API accepts. The order is SMS, MMS, VOICE, except in `VOICE,MMS`.
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
    fn initial_price_that_is_not_clear_hides_no_offer() {
        let price = |members: &str| {
            let offer =
                format!(r#"{{"msisdn":"447451000001","type":"mobile-lvn","cost":"1.25","features":[]{members}}}"#);
            serde_json::from_str::<Offer>(&offer).unwrap().initial_price.map(|price| price.to_string())
        };
        assert_eq!(price(r#","initialPrice":"0.50""#).as_deref(), Some("0.50"));
        for unclear in ["", r#","initialPrice":"""#, r#","initialPrice":null"#, r#","initialPrice":"free""#] {
            assert_eq!(price(unclear), None, "{unclear}");
        }
    }

    #[test]
    fn restricted_number_does_not_suit_the_restricted_use() {
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
