//! Vonage's Numbers API: search, buy, update, cancel, and the list of owned numbers. Also the balance of the account.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Map, Value, json};

use super::Shared;
use super::account::{NumberSettings, OwnedNumber, Refusal};
use super::inventory::Offer;
use super::request::{Access, ApiRequest};

/// The allowed values of `features` in a search.
const FEATURES: [&str; 7] = ["SMS", "VOICE", "SMS,VOICE", "MMS", "SMS,MMS", "VOICE,MMS", "SMS,MMS,VOICE"];
const TYPES: [&str; 3] = ["landline", "mobile-lvn", "landline-toll-free"];
const ADDRESS_NEEDED: &str = "Numbers from this country can be requested from the Dashboard \
    (https://dashboard.nexmo.com/buy-numbers) as they require a valid local address to be provided before being \
    purchased.";

type Call = Extension<Arc<ApiRequest>>;
/// An error response.
type ErrorResponse = Box<Response>;

/// Handles `GET /number/search`.
pub(super) async fn search(State(simulator): Shared, Extension(request): Call) -> Response {
    let search = match authorised(&request).and_then(|()| Search::read(&request)) {
        Ok(search) => search,
        Err(response) => return *response,
    };
    let account = simulator.account();
    if !account.offers_country(&search.country) {
        return Json(json!({})).into_response();
    }
    let found: Vec<&Offer> = account.available().filter(|offer| search.matches(offer)).collect();
    search.page.answer(&found, |offer| {
        let mut number = offer.description();
        number.insert("initialPrice".into(), json!(offer.cost));
        number.insert("cost".into(), json!(offer.cost));
        number
    })
}

/// Handles `GET /account/numbers`.
pub(super) async fn owned(State(simulator): Shared, Extension(request): Call) -> Response {
    let (page, has_application) =
        match authorised(&request).and_then(|()| Ok((Page::read(&request)?, flag(&request, "has_application")?))) {
            Ok(filters) => filters,
            Err(response) => return *response,
        };
    let country = request.query.get("country");
    let application = request.query.get("application_id");
    let account = simulator.account();
    if account.owned().is_empty() {
        return Json(json!({})).into_response();
    }
    let matches = |number: &&OwnedNumber| {
        let linked_to = number.settings.app_id.as_deref();
        page.matches(&number.offer.msisdn)
            && country.is_none_or(|country| number.offer.country.eq_ignore_ascii_case(country))
            && application.is_none_or(|id| linked_to == Some(id))
            && has_application.is_none_or(|has| linked_to.is_some() == has)
    };
    let found: Vec<_> = account.owned().iter().filter(matches).collect();
    page.answer(&found, |number| owned_number(number))
}

/// Handles `GET /account/get-balance`, of the Account API. `value` is a number, in EUR.
pub(super) async fn balance(State(simulator): Shared, Extension(request): Call) -> Response {
    match authorised(&request) {
        Ok(()) => {
            let value = simulator.account().balance.to_f64();
            Json(json!({"value": value, "autoReload": false})).into_response()
        }
        Err(response) => *response,
    }
}

/// Handles `POST /number/buy`.
pub(super) async fn buy(State(simulator): Shared, Extension(request): Call) -> Response {
    match authorised(&request).and_then(|()| NumberDetails::read(&request)) {
        Ok(number) => outcome(simulator.account().buy(&number.country, &number.msisdn)),
        Err(response) => *response,
    }
}

/// Handles `POST /number/cancel`.
pub(super) async fn cancel(State(simulator): Shared, Extension(request): Call) -> Response {
    match authorised(&request).and_then(|()| NumberDetails::read(&request)) {
        Ok(number) => outcome(simulator.account().cancel(&number.country, &number.msisdn)),
        Err(response) => *response,
    }
}

/// Handles `POST /number/update`.
pub(super) async fn update(State(simulator): Shared, Extension(request): Call) -> Response {
    let number = match authorised(&request).and_then(|()| NumberDetails::read(&request)) {
        Ok(number) => number,
        Err(response) => return *response,
    };
    let settings = number_settings(&request);
    let callback = (&settings.voice_callback_type, &settings.voice_callback_value);
    let callback_is_whole = match callback {
        (None, None) => true,
        (Some(kind), Some(_)) => ["sip", "tel", "app"].contains(&kind.as_str()),
        _ => false,
    };
    let webhook_is_live = match &settings.mo_http_url {
        Some(url) => simulator.deliverer.answers_ok(url).await,
        None => true,
    };
    if !callback_is_whole || !webhook_is_live {
        return outcome(Err(Refusal::MethodFailed));
    }
    let mut account = simulator.account();
    outcome(account.update(&number.country, &number.msisdn, settings))
}

fn authorised(request: &ApiRequest) -> Result<(), ErrorResponse> {
    match request.access {
        Access::Granted => Ok(()),
        Access::Refused | Access::Missing => Err(Box::new(status(401, "authentication failed"))),
    }
}

fn outcome(result: Result<(), Refusal>) -> Response {
    match result {
        Ok(()) => status(200, "success"),
        Err(Refusal::MethodFailed) => status(420, "method failed"),
        Err(Refusal::AddressNeeded) => status(420, ADDRESS_NEEDED),
    }
}

fn status(code: u16, label: &str) -> Response {
    let body = json!({"error-code": code.to_string(), "error-code-label": label});
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (code, Json(body)).into_response()
}

fn invalid(field: &str, reason: impl Into<String>) -> ErrorResponse {
    let body = Json(json!({field: reason.into()}));
    Box::new((StatusCode::BAD_REQUEST, body).into_response())
}

/// The number in a POST.
struct NumberDetails {
    country: String,
    msisdn: String,
}

impl NumberDetails {
    fn read(request: &ApiRequest) -> Result<Self, ErrorResponse> {
        match (request.form("country"), request.form("msisdn")) {
            (Some(country), Some(msisdn)) => {
                Ok(Self { country: country.to_ascii_uppercase(), msisdn: msisdn.to_owned() })
            }
            (None, None) if request.query.get("msisdn").is_some() => Err(Box::new(status(420, "method failed"))),
            (country, msisdn) => {
                let mut missing = Map::new();
                for (name, value) in [("country", country), ("msisdn", msisdn)] {
                    if value.is_none() {
                        missing.insert(name.into(), json!("Is required."));
                    }
                }
                Err(Box::new((StatusCode::BAD_REQUEST, Json(missing)).into_response()))
            }
        }
    }
}

fn number_settings(request: &ApiRequest) -> NumberSettings {
    let field = |name| request.form(name).map(str::to_owned);
    NumberSettings {
        app_id: field("app_id"),
        mo_http_url: field("moHttpUrl"),
        voice_callback_type: field("voiceCallbackType"),
        voice_callback_value: field("voiceCallbackValue"),
        messages_callback_type: field("messagesCallbackType"),
        messages_callback_value: field("messagesCallbackValue"),
    }
}

fn owned_number(number: &OwnedNumber) -> Map<String, Value> {
    let settings = &number.settings;
    let mut shown = number.offer.description();
    for (name, value) in [
        ("app_id", &settings.app_id),
        ("moHttpUrl", &settings.mo_http_url),
        ("voiceCallbackType", &settings.voice_callback_type),
        ("voiceCallbackValue", &settings.voice_callback_value),
        ("messagesCallbackType", &settings.messages_callback_type),
        ("messagesCallbackValue", &settings.messages_callback_value),
    ] {
        if let Some(value) = value {
            shown.insert(name.into(), json!(value));
        }
    }
    shown
}

/// The criteria of a search.
struct Search {
    country: String,
    kind: Option<String>,
    features: Vec<String>,
    page: Page,
}

impl Search {
    fn read(request: &ApiRequest) -> Result<Self, ErrorResponse> {
        let country = request.query.get("country").unwrap_or_default();
        if country.is_empty() {
            return Err(invalid("country", "Is required."));
        }
        let kind = one_of(request, "type", &TYPES)?;
        let features = one_of(request, "features", &FEATURES)?.unwrap_or_default();
        Ok(Self {
            country: country.to_ascii_uppercase(),
            kind,
            features: features.split_terminator(',').map(str::to_owned).collect(),
            page: Page::read(request)?,
        })
    }

    fn matches(&self, offer: &Offer) -> bool {
        offer.country == self.country
            && self.kind.as_ref().is_none_or(|kind| kind == offer.kind)
            && self.features.iter().all(|feature| offer.features.contains(&feature.as_str()))
            && self.page.matches(&offer.msisdn)
    }
}

/// The criteria that a search and the list of owned numbers have in common.
struct Page {
    pattern: String,
    /// Position of the pattern: 0 at the start, 1 anywhere, 2 at the end.
    search_pattern: usize,
    size: usize,
    /// Number of the page, from 1.
    index: usize,
}

impl Page {
    fn read(request: &ApiRequest) -> Result<Self, ErrorResponse> {
        Ok(Self {
            pattern: request.query.get("pattern").unwrap_or_default().to_owned(),
            search_pattern: integer(request, "search_pattern", 0, 0..=2)?,
            size: integer(request, "size", 10, 1..=100)?,
            index: integer(request, "index", 1, 1..=1_000_000)?,
        })
    }

    fn matches(&self, msisdn: &str) -> bool {
        match self.search_pattern {
            0 => msisdn.starts_with(&self.pattern),
            1 => msisdn.contains(&self.pattern),
            _ => msisdn.ends_with(&self.pattern),
        }
    }

    /// Returns this page of `found`. `count` is the number of all that were found.
    fn answer<T>(&self, found: &[T], show: impl Fn(&T) -> Map<String, Value>) -> Response {
        let page = found.iter().skip((self.index - 1) * self.size);
        let numbers: Vec<_> = page.take(self.size).map(show).collect();
        Json(json!({"count": found.len(), "numbers": numbers})).into_response()
    }
}

fn one_of(request: &ApiRequest, name: &str, allowed: &[&str]) -> Result<Option<String>, ErrorResponse> {
    match request.query.get(name) {
        None => Ok(None),
        Some(value) if allowed.contains(&value) => Ok(Some(value.to_owned())),
        Some(_) => Err(invalid(name, format!("Must be one of: {}.", allowed.join("; ")))),
    }
}

fn integer(
    request: &ApiRequest,
    name: &str,
    default: usize,
    range: std::ops::RangeInclusive<usize>,
) -> Result<usize, ErrorResponse> {
    let Some(text) = request.query.get(name) else {
        return Ok(default);
    };
    text.parse().ok().filter(|value| range.contains(value)).ok_or_else(|| {
        let (from, to) = (range.start(), range.end());
        invalid(name, format!("Must be a number from {from} to {to}."))
    })
}

fn flag(request: &ApiRequest, name: &str) -> Result<Option<bool>, ErrorResponse> {
    let Some(text) = request.query.get(name) else {
        return Ok(None);
    };
    // Vonage's Python library sends `True` and `False`.
    let flag = text.to_ascii_lowercase().parse();
    flag.map(Some).map_err(|_| invalid(name, "Must be true or false."))
}
