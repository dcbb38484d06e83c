//! Vonage's Redact API 1.1.0: `POST /v1/redact/transaction`. It accepts the record of a call leg, a text message or a
//! number lookup from an hour after its creation.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::Shared;
use super::leg::Direction;
use super::request::{Access, ApiRequest, Payload};

/// Shortest age of a record that can be redacted.
const EMBARGO: SignedDuration = SignedDuration::from_mins(60);

/// The products of the API.
const PRODUCTS: [&str; 8] =
    ["sms", "voice", "number-insight", "verify", "verify-sdk", "messages", "network-api-event", "vonage-qod"];

/// Vonage's records, by product and ID.
#[derive(Debug)]
pub(super) struct Records {
    by_id: BTreeMap<(&'static str, String), Record>,
    is_provisioned: bool,
}

#[derive(Debug)]
struct Record {
    direction: Direction,
    created_at: Timestamp,
}

impl Default for Records {
    fn default() -> Self {
        Self { by_id: BTreeMap::new(), is_provisioned: true }
    }
}

impl Records {
    pub(super) fn add(&mut self, product: &'static str, id: &str, direction: Direction, created_at: Timestamp) {
        self.by_id.insert((product, id.to_owned()), Record { direction, created_at });
    }

    pub(super) fn is_provisioned(&self) -> bool {
        self.is_provisioned
    }

    pub(super) fn provision(&mut self, is_provisioned: bool) {
        self.is_provisioned = is_provisioned;
    }
}

/// Status, last part of `type`, title and detail of an error.
type Refusal = (StatusCode, &'static str, &'static str, String);

/// Handles `POST /v1/redact/transaction`.
pub(super) async fn transaction(State(simulator): Shared, Extension(request): Extension<Arc<ApiRequest>>) -> Response {
    if request.access != Access::Granted {
        let body = json!({"type": "UNAUTHORIZED", "error_title": "Unauthorized"});
        return (StatusCode::UNAUTHORIZED, Json(body)).into_response();
    }
    match redact(&simulator.records(), &request, simulator.clock.now()) {
        Ok(("sms" | "messages", id)) => simulator.inboxes().redact(&id),
        Ok(_) => {}
        Err((status, kind, title, detail)) => {
            let kind = format!("https://developer.nexmo.com/api-errors{kind}");
            let body =
                json!({"type": kind, "title": title, "detail": detail, "instance": "bf0ca0bf927b3b52e3cb03217e1a1ddf"});
            return (status, Json(body)).into_response();
        }
    }
    StatusCode::NO_CONTENT.into_response()
}

fn redact(records: &Records, request: &ApiRequest, now: Timestamp) -> Result<(&'static str, String), Refusal> {
    let unprocessable = |kind, title, detail: String| (StatusCode::UNPROCESSABLE_ENTITY, kind, title, detail);
    let Payload::Json(_) = request.payload else {
        return Err(unprocessable("#invalid-json", "Invalid JSON", "A JSON object was expected".to_owned()));
    };
    let missing = |name: &str| unprocessable("#invalid-json", "Invalid JSON", format!("{name} is missing"));
    let required = |name: &str| request.text(name).ok_or_else(|| missing(name));
    let (id, product, direction) = (required("id")?, required("product")?, required("type")?);
    let Some(product) = PRODUCTS.into_iter().find(|known| *known == product) else {
        let detail = format!("No product corresponding to supplied string {product}!");
        return Err(unprocessable("/redact#invalid-product", "Invalid Product", detail));
    };
    if !records.is_provisioned {
        let detail = format!("User is not provisioned to redact product={}", product.to_uppercase());
        return Err((StatusCode::FORBIDDEN, "#unprovisioned", "Authorisation error", detail));
    }
    let record = records.by_id.get(&(product, id.clone()));
    let is_meant = |record: &&Record| json!(record.direction) == json!(direction);
    let Some(record) = record.filter(is_meant) else {
        let detail = format!("ID '{id}' could not be found (type={direction})");
        return Err((StatusCode::NOT_FOUND, "#invalid-id", "Invalid ID", detail));
    };
    if now < record.created_at + EMBARGO {
        let detail = format!("You must wait 60 minutes before redacting ID '{id}'");
        return Err((StatusCode::FORBIDDEN, "/redact#premature-redaction", "Premature Redaction", detail));
    }
    Ok((product, id))
}
