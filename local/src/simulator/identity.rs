//! Vonage's Identity Insights API: the insights `format`, `original_carrier` and `current_carrier` of a number.
//!
//! Source: Vonage Identity Insights API 1.0.0.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use rlibphonenumber::{PhoneNumber, PhoneNumberFormat};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::request::{ApiRequest, Payload};
use super::{Shared, countries, insight, token};

/// Handles `POST /identity-insights/v1/requests`.
pub(super) async fn requests(State(simulator): Shared, Extension(request): Extension<Arc<ApiRequest>>) -> Response {
    let is_application = token::application_of(&simulator, &request).is_some();
    if !is_application {
        return problem(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "Unauthorized",
            "You did not provide correct credentials",
        );
    }
    let body = match &request.payload {
        Payload::Json(body) => body,
        Payload::Empty | Payload::Unreadable if request.is_json => {
            return problem(StatusCode::BAD_REQUEST, "invalid-json", "Malformed JSON", "Malformed JSON payload");
        }
        _ => {
            let detail = "The body must be JSON, with Content-Type application/json";
            return problem(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "Unsupported Media Type",
                detail,
            );
        }
    };
    match read(body) {
        Ok(asked) => Json(answer(&asked)).into_response(),
        Err(Invalid(name, reason)) => {
            let mut body = error("validation", "Bad Request", "The request failed due to validation errors");
            body["invalid_parameters"] = json!([{"name": name, "reason": reason}]);
            as_problem(StatusCode::UNPROCESSABLE_ENTITY, &body)
        }
    }
}

/// A validated request: the number as written, and the insights by name.
struct Asked<'a> {
    number: &'a str,
    insights: &'a Map<String, Value>,
}

/// A parameter that is not valid, and the reason.
struct Invalid(&'static str, &'static str);

fn read(body: &Value) -> Result<Asked<'_>, Invalid> {
    let number = body["phone_number"].as_str().ok_or(Invalid("phone_number", "must not be null"))?;
    if !number.contains(|c: char| c.is_ascii_digit()) {
        return Err(Invalid("phone_number", "must be a phone number"));
    }
    let insights = body["insights"].as_object().ok_or(Invalid("insights", "must not be null"))?;
    if insights.is_empty() {
        return Err(Invalid("insights", "must not be empty"));
    }
    if !insights.values().all(Value::is_object) {
        return Err(Invalid("insights", "must have an object for each insight"));
    }
    Ok(Asked { number, insights })
}

fn answer(asked: &Asked<'_>) -> Value {
    // The calling code comes first, without 00. All other characters are ignored.
    let digits: String = asked.number.chars().filter(char::is_ascii_digit).collect();
    let found = insight::international(&digits);
    let insight = |name: &String| match (name.as_str(), &found) {
        ("format" | "original_carrier" | "current_carrier", None) => invalid(name),
        ("format", Some((number, region))) => format(number, region),
        ("original_carrier" | "current_carrier", Some((_, region))) => carrier(region),
        // The others need an approval that the simulated application does not have.
        _ => json!({"status": status("UNAUTHORIZED", "The application is not authorized for this insight")}),
    };
    let insights: Map<String, Value> = asked.insights.keys().map(|name| (name.clone(), insight(name))).collect();
    json!({"request_id": Uuid::new_v4().to_string(), "insights": insights})
}

fn status(code: &str, message: &str) -> Value {
    json!({"code": code, "message": message})
}

fn invalid(name: &str) -> Value {
    let mut insight = json!({"status": status("INVALID_NUMBER_FORMAT", "The number format is not valid")});
    if name == "format" {
        insight["is_format_valid"] = json!(false);
    }
    insight
}

fn format(number: &PhoneNumber, region: &str) -> Value {
    let mut insight = json!({
        "country_code": region,
        "country_prefix": number.country_code.to_string(),
        "number_international": number.format_as(PhoneNumberFormat::E164),
        "number_national": number.format_as(PhoneNumberFormat::National),
        "is_format_valid": true,
        "status": status("OK", "Success"),
    });
    if let Some(country) = countries::by_code(region) {
        insight["country_name"] = json!(country.name);
    }
    insight
}

/// The simulated networks own all numbers of their countries, and no number was ever ported.
fn carrier(region: &str) -> Value {
    match countries::by_code(region) {
        Some(country) => json!({
            "name": "Simulated Telecom",
            "network_type": "MOBILE",
            "country_code": region,
            "network_code": country.network,
            "status": status("OK", "Success"),
        }),
        None => json!({"status": status("NO_COVERAGE", "The country of the number is not covered")}),
    }
}

fn error(kind: &str, title: &str, detail: &str) -> Value {
    json!({
        "type": format!("https://developer.vonage.com/api-errors#{kind}"),
        "title": title,
        "detail": detail,
        "instance": Uuid::new_v4().to_string(),
    })
}

fn problem(status: StatusCode, kind: &str, title: &str, detail: &str) -> Response {
    as_problem(status, &error(kind, title, detail))
}

fn as_problem(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}
