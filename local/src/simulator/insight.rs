//! Vonage's Number Insight API, basic level: validity, country and formats of a number.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberFormat, Region};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Shared;
use super::countries;
use super::leg::Direction;
use super::request::{Access, ApiRequest};

/// Ranges that regulators reserve for examples and drama: a prefix of the E.164 digits, and the length of the number.
/// Vonage accepts them as valid, libphonenumber does not.
const RESERVED: [(&str, usize); 7] = [
    // Ofcom: mobile, London, Leeds, Sheffield, Nottingham, no area, freephone.
    ("447700900", 12),
    ("442079460", 12),
    ("441134960", 12),
    ("441144960", 12),
    ("441154960", 12),
    ("441632960", 12),
    ("448081570", 12),
];

/// Handles `GET` and `POST /ni/basic/json`. Always HTTP 200; the status is in the body.
pub(super) async fn basic(State(simulator): Shared, Extension(request): Extension<Arc<ApiRequest>>) -> Response {
    let answer = match look_up(&request) {
        Ok(insight) => {
            let id = insight["request_id"].as_str().unwrap_or_default();
            simulator.records().add("number-insight", id, Direction::Outbound, simulator.clock.now());
            Value::Object(insight)
        }
        Err((status, message)) => json!({"status": status, "status_message": message}),
    };
    Json(answer).into_response()
}

fn look_up(request: &ApiRequest) -> Result<Map<String, Value>, (u8, String)> {
    if request.access != Access::Granted {
        return Err((4, "Invalid credentials".to_owned()));
    }
    let number = request.text("number").filter(|number| !number.is_empty());
    let number = number.ok_or((3, "Invalid request :: Missing number".to_owned()))?;
    let country = request.text("country").filter(|country| !country.is_empty());
    let (number, region) = recognise(&number, country.as_deref()).ok_or_else(|| {
        let reason = format!("Not valid number format detected [ {number} ]");
        (3, format!("Invalid request :: {reason}"))
    })?;
    Ok(insight(&number, &region))
}

fn insight(number: &PhoneNumber, region: &str) -> Map<String, Value> {
    let mut insight = Map::new();
    let mut add = |name: &str, value: Value| insight.insert(name.to_owned(), value);
    add("status", json!(0));
    add("status_message", json!("Success"));
    add("request_id", json!(Uuid::new_v4().to_string()));
    add("international_format_number", json!(e164_digits(number)));
    let national = number.format_as(PhoneNumberFormat::National);
    add("national_format_number", json!(national));
    add("country_code", json!(region));
    if let Some(country) = countries::by_code(region) {
        add("country_code_iso3", json!(country.iso3));
        add("country_name", json!(country.name));
    }
    add("country_prefix", json!(number.country_code.to_string()));
    insight
}

/// Returns the number and its country's alpha-2 code. `None` if it is not valid, or not of `country`, where that is
/// given.
fn recognise(text: &str, country: Option<&str>) -> Option<(PhoneNumber, String)> {
    let allowed = |character: char| character.is_ascii_digit() || "-+() \t".contains(character);
    if !text.chars().all(allowed) {
        return None;
    }
    let dialled: String = text.chars().filter(|character| character.is_ascii_digit() || *character == '+').collect();
    let international = dialled.strip_prefix('+').or_else(|| dialled.strip_prefix("00"));
    let home: Option<Region> = country.map(str::parse).transpose().ok()?;
    let digits = international.unwrap_or(&dialled);
    if digits.contains('+') {
        return None;
    }
    let as_international = self::international(digits);
    let in_country = |found: &(PhoneNumber, String)| country.is_none_or(|country| found.1 == country);
    let national = || match (international, home) {
        (None, Some(home)) => valid(Some(home), digits).filter(in_country),
        _ => None,
    };
    as_international.filter(in_country).or_else(national)
}

/// Returns the number with these international digits, and its country's alpha-2 code. `None` if it is not valid.
pub(super) fn international(digits: &str) -> Option<(PhoneNumber, String)> {
    (!digits.starts_with('0')).then(|| valid(None, &format!("+{digits}"))).flatten()
}

fn valid(home: Option<Region>, text: &str) -> Option<(PhoneNumber, String)> {
    let number = PHONE_NUMBER_UTIL.parse(text, home).ok()?;
    if !number.is_valid() && !is_reserved(&number) {
        return None;
    }
    let region = countries::region_of(&number)?;
    Some((number, region))
}

fn is_reserved(number: &PhoneNumber) -> bool {
    let digits = e164_digits(number);
    let in_range = RESERVED.iter().any(|(prefix, length)| digits.starts_with(prefix) && digits.len() == *length);
    // North America: 555-0100 to 555-0199 in every area.
    in_range || (digits.len() == 11 && digits.starts_with('1') && &digits[4..9] == "55501")
}

/// Returns the number in Vonage's format: E.164 without the plus sign.
fn e164_digits(number: &PhoneNumber) -> String {
    number.format_as(PhoneNumberFormat::E164).trim_start_matches('+').to_owned()
}
