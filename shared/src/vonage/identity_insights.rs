//! Number lookup by Identity Insights, the successor of Number Insight. It is asked for the insight `format` only, which tells if a
//! number is valid, and if wanted for `current_carrier`, which names the carrier. Each insight has its price.
//!
//! Source: Vonage Identity Insights API 1.0.0.

use std::time::Duration;

use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::application_token::ApplicationToken;
use super::client::{Payload, Vonage};
use super::error::VonageError;
use super::number_lookup::{LookedUpNumber, NumberLookup, confirm, parse_lookup};
use super::retry::Idempotency;
use crate::domain::country::Country;
use crate::domain::judge::Judge;
use crate::domain::network::Carrier;
use crate::domain::phone::PhoneNumber;

/// [`NumberLookup`] with the Identity Insights API.
pub struct IdentityInsights {
    vonage: Vonage,
    token: ApplicationToken,
    /// True if it is asked for the carrier too.
    asks_carrier: bool,
}

const PATH: &str = "/identity-insights/v1/requests";

#[derive(Serialize)]
struct Request<'a> {
    phone_number: &'a str,
    insights: Asked,
}

#[derive(Serialize)]
struct Asked {
    format: NoParameters,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_carrier: Option<NoParameters>,
}

#[derive(Serialize)]
struct NoParameters {}

#[derive(Deserialize)]
struct Answer {
    insights: Insights,
}

#[derive(Deserialize)]
struct Insights {
    format: Format,
    /// The insight `current_carrier`, if it was asked for. Only its code is read, and nothing depends on it, so any shape will do.
    #[serde(default)]
    current_carrier: Value,
}

/// The insight `format`. If its status is not `OK`, all other members may be missing.
#[derive(Deserialize)]
struct Format {
    status: Status,
    is_format_valid: Option<bool>,
    /// With a leading "+".
    number_international: Option<String>,
    country_code: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    /// Vonage may add codes.
    code: String,
}

/// The body of a 422.
#[derive(Deserialize)]
struct Invalid {
    #[serde(default)]
    invalid_parameters: Vec<InvalidParameter>,
}

#[derive(Deserialize)]
struct InvalidParameter {
    name: String,
}

impl NumberLookup for IdentityInsights {
    fn judge(&self) -> Judge {
        Judge::IdentityInsights
    }

    async fn look_up(&self, number: &PhoneNumber) -> Result<Option<LookedUpNumber>, VonageError> {
        let token = &self.token.current()?;
        let budget = self.vonage.retry_budget(PATH, Idempotency::Safe, None);
        budget.run(|limit| self.look_up_once(number, token, limit)).await
    }
}

impl IdentityInsights {
    /// Creates a client whose requests `token` signs, and which asks for the carrier too if `asks_carrier`.
    pub fn new(vonage: Vonage, token: ApplicationToken, asks_carrier: bool) -> Self {
        Self { vonage, token, asks_carrier }
    }

    /// Signs a token and connects to the API, so that the first lookup waits for neither.
    pub async fn warm_up(&self) {
        // If this fails, the first lookup reports it.
        let _ = self.token.current();
        self.vonage.warm_up(self.vonage.insights("/")).await;
    }

    async fn look_up_once(
        &self,
        asked: &PhoneNumber,
        token: &str,
        limit: Duration,
    ) -> Result<Option<LookedUpNumber>, VonageError> {
        let current_carrier = self.asks_carrier.then_some(NoParameters {});
        let insights = Asked { format: NoParameters {}, current_carrier };
        let request = Request { phone_number: asked.expose(), insights };
        let url = self.vonage.insights(PATH);
        let (status, body) = self.vonage.send_as_application(token, url, Payload::Json(&request), limit).await?;
        if status == StatusCode::UNPROCESSABLE_ENTITY && blames_the_number(&body) {
            return Ok(None);
        }
        parse_lookup::<Answer>(status, &body)?.insights.verdict(asked)
    }
}

impl Insights {
    fn verdict(self, asked: &PhoneNumber) -> Result<Option<LookedUpNumber>, VonageError> {
        let carrier = carrier(&self.current_carrier);
        Ok(self.format.verdict(asked)?.map(|found| LookedUpNumber { carrier, ..found }))
    }
}

/// Returns the carrier that the insight names.
fn carrier(insight: &Value) -> Option<Carrier> {
    let is_found = insight["status"]["code"] == "OK";
    insight["network_code"].as_str().filter(|_| is_found).and_then(|code| code.parse().ok())
}

impl Format {
    fn verdict(self, asked: &PhoneNumber) -> Result<Option<LookedUpNumber>, VonageError> {
        match self.status.code.as_str() {
            "OK" if self.is_format_valid == Some(false) => Ok(None),
            "OK" => {
                let number = self.number_international.as_deref().and_then(|number| number.strip_prefix('+'));
                let number = number.and_then(|digits| PhoneNumber::try_from(digits).ok());
                let country = self.country_code.and_then(|code| Country::try_from(code).ok());
                let (number, country) = number.zip(country).ok_or(VonageError::NotUnderstood(None))?;
                // Vonage's Redact API does not know this product, so the request's id is of no use.
                confirm(asked, number, country, None).map(Some)
            }
            "INVALID_NUMBER_FORMAT" => Ok(None),
            "SUPPLIER_ERROR" | "INTERNAL_ERROR" => Err(VonageError::Failed(200)),
            code @ ("UNAUTHORIZED" | "INVALID_PURPOSE") => Err(VonageError::refused(code, "number lookup refused")),
            // NOT_FOUND, NO_COVERAGE, UNSUPPORTED_NETWORK_TYPE, and codes that are not known here.
            code => Err(VonageError::no_verdict(code, "the insight is not available")),
        }
    }
}

/// True if a 422 refuses the phone number.
fn blames_the_number(body: &[u8]) -> bool {
    let invalid = serde_json::from_slice::<Invalid>(body).map(|invalid| invalid.invalid_parameters);
    invalid.is_ok_and(|invalid| invalid.iter().any(|parameter| parameter.name == "phone_number"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verdict(format: Value) -> Result<Option<String>, VonageError> {
        let format: Format = serde_json::from_value(format).unwrap();
        let found = format.verdict(&PhoneNumber::try_from("447700900001").unwrap())?;
        Ok(found.map(|found| format!("{} {}", found.number.expose(), found.country)))
    }

    #[test]
    fn each_status_of_the_insight_has_its_verdict() {
        let with = |code: &str| json!({"status": {"code": code, "message": "…"}});
        let valid = json!({"status": {"code": "OK"}, "is_format_valid": true, "country_code": "GB",
                           "number_international": "+447700900001"});
        assert_eq!(verdict(valid.clone()).unwrap().as_deref(), Some("447700900001 GB"));
        assert_eq!(verdict(with("INVALID_NUMBER_FORMAT")).unwrap(), None);
        assert_eq!(verdict(json!({"status": {"code": "OK"}, "is_format_valid": false})).unwrap(), None);
        for (code, is_undecided) in [
            ("NOT_FOUND", true),
            ("NO_COVERAGE", true),
            ("UNSUPPORTED_NETWORK_TYPE", true),
            ("SUPPLIER_ERROR", true),
            ("INTERNAL_ERROR", true),
            ("OUT_FOR_LUNCH", true),
            ("OK", true),
            ("UNAUTHORIZED", false),
            ("INVALID_PURPOSE", false),
        ] {
            let error = verdict(with(code)).unwrap_err();
            assert_eq!(error.leaves_number_undecided(), is_undecided, "{code}: {error}");
        }
        for (member, value) in [
            ("number_international", json!("+447700900002")),
            ("number_international", json!("447700900001")),
            ("number_international", json!("+")),
            ("country_code", json!("XX")),
            ("country_code", Value::Null),
        ] {
            let mut other = valid.clone();
            other[member] = value;
            assert!(verdict(other.clone()).unwrap_err().leaves_number_undecided(), "{other}");
        }
    }

    #[test]
    fn carrier_is_read_where_vonage_knows_it_and_needed_nowhere() {
        let format = json!({"status": {"code": "OK"}, "is_format_valid": true, "country_code": "GB",
                            "number_international": "+447700900001"});
        let carrier = |insight: Value| {
            let insights = serde_json::from_value::<Insights>(json!({"format": format, "current_carrier": insight}));
            let found = insights.unwrap().verdict(&PhoneNumber::try_from("447700900001").unwrap()).unwrap();
            found.unwrap().carrier.map(|carrier| carrier.to_string())
        };
        let known = json!({"status": {"code": "OK"}, "network_code": "23410", "name": "…", "network_type": "MOBILE"});
        assert_eq!(carrier(known).as_deref(), Some("23410"));
        for unknown in [
            json!({"status": {"code": "OK"}, "network_code": "GB-FIXED"}),
            json!({"status": {"code": "OK"}, "network_code": 23410}),
            json!({"status": {"code": "NOT_FOUND"}, "network_code": "23410"}),
            json!({"status": {"code": "NO_COVERAGE"}}),
            json!(["OK"]),
            Value::Null,
        ] {
            assert_eq!(carrier(unknown.clone()), None, "{unknown}");
        }
    }

    #[test]
    fn validation_error_is_a_verdict_only_about_the_number() {
        let body = |name: &str| json!({"title": "Bad Request", "invalid_parameters": [{"name": name, "reason": "…"}]});
        assert!(blames_the_number(body("phone_number").to_string().as_bytes()));
        for body in [body("insights").to_string(), json!({"title": "Bad Request"}).to_string(), "no".to_owned()] {
            assert!(!blames_the_number(body.as_bytes()), "{body}");
        }
    }
}
