//! Vonage's Voice API: creates calls, shows their legs, and ends, transfers or speaks into one that is up.
//!
//! Source: Vonage Voice API 1.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::applications::ApplicationRecord;
use super::call::{self, Deed, Destination};
use super::call_order;
use super::calls::{Filter, Refusal};
use super::ncco::NccoReader;
use super::request::{ApiRequest, Payload};
use super::{Shared, Simulator, token};

/// Longest page of a list of calls, and the usual one.
const PAGES: (usize, usize) = (100, 10);

/// An error of the API.
#[derive(Debug)]
pub(super) enum ApiError {
    Unauthorized,
    NotFound,
    /// More calls in a second than are allowed.
    Throttled,
    /// A parameter that is not valid, and the reason.
    Invalid(&'static str, String),
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, kind, title) = match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "Unauthorized"),
            Self::NotFound => (StatusCode::NOT_FOUND, "NOT_FOUND", "Not Found"),
            Self::Throttled => (StatusCode::TOO_MANY_REQUESTS, "THROTTLED", "Too Many Requests"),
            Self::Invalid(..) => (StatusCode::BAD_REQUEST, "BAD_REQUEST", "Bad Request"),
        };
        let mut body = json!({"type": kind, "error_title": title});
        if let Self::Invalid(name, reason) = self {
            body["invalid_parameters"] = json!({name: reason});
        }
        (status, Json(body)).into_response()
    }
}

fn bad_request(name: &'static str, reason: &str) -> ApiError {
    ApiError::Invalid(name, reason.to_owned())
}

/// Checks the token, and that the request has reached the region of the application. Each region knows its calls only.
fn admit(simulator: &Simulator, request: &ApiRequest, headers: &HeaderMap) -> Result<ApplicationRecord, ApiError> {
    let application = token::application_of(simulator, request).ok_or(ApiError::Unauthorized)?;
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_regional = host.starts_with("api-") && host.contains(".vonage.com");
    let own = application.voice().is_some_and(|voice| voice.region_url().ends_with(host));
    if is_regional && !own { Err(ApiError::NotFound) } else { Ok(application) }
}

/// Handles `POST /v1/calls`.
pub(super) async fn create(
    State(simulator): Shared,
    headers: HeaderMap,
    Extension(request): Extension<Arc<ApiRequest>>,
) -> Result<Response, ApiError> {
    let application = admit(&simulator, &request, &headers)?;
    let Payload::Json(body) = &request.payload else {
        return Err(bad_request("body", "must be JSON"));
    };
    let order = call_order::read(body, &simulator.nccos).map_err(|(name, reason)| bad_request(name, &reason))?;
    let voice = application.voice();
    let voice = voice.ok_or_else(|| bad_request("application", "has no Voice capability"))?;
    let now = simulator.clock.now();
    let script = {
        let mut calls = simulator.calls();
        if !calls.admit(now) {
            return Err(ApiError::Throttled);
        }
        calls.script.clone().unwrap_or_default()
    };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1:4000");
    let (uuid, conversation_uuid) =
        call::create(&simulator, order, script, (application.id, voice), format!("http://{host}"));
    let created = json!({"uuid": uuid, "status": "started", "direction": "outbound",
        "conversation_uuid": conversation_uuid});
    Ok((StatusCode::CREATED, Json(created)).into_response())
}

/// Handles `GET /v1/calls`.
pub(super) async fn list(
    State(simulator): Shared,
    headers: HeaderMap,
    Extension(request): Extension<Arc<ApiRequest>>,
) -> Result<Json<Value>, ApiError> {
    admit(&simulator, &request, &headers)?;
    let query = |name| request.query.get(name);
    let date = |name| match query(name) {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| bad_request(name, "must be a date and time")),
    };
    let whole = |name, usual| match query(name) {
        None => Ok(usual),
        Some(text) => text.parse::<usize>().map_err(|_| bad_request(name, "must be a whole number")),
    };
    let filter = Filter {
        status: query("status").map(str::to_owned),
        conversation_uuid: query("conversation_uuid").map(str::to_owned),
        date_start: date("date_start")?,
        date_end: date("date_end")?,
    };
    let (longest, usual) = PAGES;
    let (size, index) = (whole("page_size", usual)?, whole("record_index", 0)?);
    if !(1..=longest).contains(&size) {
        return Err(bad_request("page_size", "must be from 1 to 100"));
    }
    let calls = simulator.calls();
    let mut legs = calls.legs(&filter);
    if query("order") == Some("desc") {
        legs.reverse();
    }
    let page: Vec<_> = legs.iter().skip(index).take(size).map(|leg| leg.show()).collect();
    let link = |index: usize| json!({"href": format!("/calls?page_size={size}&record_index={index}")});
    let mut links = json!({"self": link(index), "first": link(0)});
    if index + size < legs.len() {
        links["next"] = link(index + size);
    }
    Ok(Json(json!({"count": legs.len(), "page_size": size, "record_index": index, "_links": links,
        "_embedded": {"calls": page}})))
}

/// Handles `GET /v1/calls/{uuid}`.
pub(super) async fn read(
    State(simulator): Shared,
    Path(uuid): Path<String>,
    headers: HeaderMap,
    Extension(request): Extension<Arc<ApiRequest>>,
) -> Result<Json<Value>, ApiError> {
    admit(&simulator, &request, &headers)?;
    let calls = simulator.calls();
    calls.leg(&uuid).map(|leg| Json(leg.show())).ok_or(ApiError::NotFound)
}

/// Handles `PUT /v1/calls/{uuid}`.
pub(super) async fn modify(
    State(simulator): Shared,
    Path(uuid): Path<String>,
    headers: HeaderMap,
    Extension(request): Extension<Arc<ApiRequest>>,
) -> Result<StatusCode, ApiError> {
    admit(&simulator, &request, &headers)?;
    let Payload::Json(body) = &request.payload else {
        return Err(bad_request("body", "must be JSON"));
    };
    let deed = match body["action"].as_str() {
        Some("hangup") => Deed::HangUp,
        Some("transfer") => Deed::Transfer(destination(&body["destination"], &simulator.nccos)?),
        // Nobody listens so well that it matters.
        Some("mute" | "unmute" | "earmuff" | "unearmuff") => Deed::Ignored,
        _ => return Err(bad_request("action", "is not known")),
    };
    command(&simulator, &uuid, deed)?;
    Ok(StatusCode::NO_CONTENT)
}

fn destination(destination: &Value, nccos: &NccoReader) -> Result<Destination, ApiError> {
    if destination["type"] != "ncco" {
        return Err(bad_request("destination", "must be of type ncco"));
    }
    let url = match destination["url"].as_array().map(Vec::as_slice) {
        Some([url]) => url.as_str(),
        _ => None,
    };
    match (destination.get("ncco"), url) {
        (Some(actions), None) => {
            let read = nccos.read(actions).map_err(|reason| bad_request("destination", &reason))?;
            Ok(Destination::Ncco(read))
        }
        (None, Some(url)) => Ok(Destination::Url(url.to_owned())),
        _ => Err(bad_request("destination", "must have an ncco, or a url in an array")),
    }
}

/// Handles `PUT /v1/calls/{uuid}/talk`.
pub(super) async fn talk(
    State(simulator): Shared,
    Path(uuid): Path<String>,
    headers: HeaderMap,
    Extension(request): Extension<Arc<ApiRequest>>,
) -> Result<Json<Value>, ApiError> {
    admit(&simulator, &request, &headers)?;
    let text = match &request.payload {
        Payload::Json(body) => body["text"].as_str().filter(|text| !text.is_empty()),
        _ => None,
    };
    let text = text.ok_or_else(|| bad_request("text", "is required"))?;
    command(&simulator, &uuid, Deed::Talk(text.to_owned()))?;
    Ok(Json(json!({"message": "Talk started", "uuid": uuid})))
}

/// Handles `DELETE /v1/calls/{uuid}/talk`.
pub(super) async fn stop_talk(
    State(simulator): Shared,
    Path(uuid): Path<String>,
    headers: HeaderMap,
    Extension(request): Extension<Arc<ApiRequest>>,
) -> Result<Json<Value>, ApiError> {
    admit(&simulator, &request, &headers)?;
    command(&simulator, &uuid, Deed::Ignored)?;
    Ok(Json(json!({"message": "Talk stopped", "uuid": uuid})))
}

/// Handles `PUT /v1/calls/{uuid}/stream`.
pub(super) async fn stream(
    State(simulator): Shared,
    Path(uuid): Path<String>,
    headers: HeaderMap,
    Extension(request): Extension<Arc<ApiRequest>>,
) -> Result<Json<Value>, ApiError> {
    admit(&simulator, &request, &headers)?;
    let url = match &request.payload {
        Payload::Json(body) => {
            body["stream_url"].as_array().filter(|urls| urls.len() == 1).and_then(|urls| urls[0].as_str())
        }
        _ => None,
    };
    let url = url.ok_or_else(|| bad_request("stream_url", "must be an array of one URL"))?;
    command(&simulator, &uuid, Deed::Stream(url.to_owned()))?;
    Ok(Json(json!({"message": "Stream started", "uuid": uuid})))
}

/// Handles `DELETE /v1/calls/{uuid}/stream`.
pub(super) async fn stop_stream(
    State(simulator): Shared,
    Path(uuid): Path<String>,
    headers: HeaderMap,
    Extension(request): Extension<Arc<ApiRequest>>,
) -> Result<Json<Value>, ApiError> {
    admit(&simulator, &request, &headers)?;
    command(&simulator, &uuid, Deed::Ignored)?;
    Ok(Json(json!({"message": "Stream stopped", "uuid": uuid})))
}

fn command(simulator: &Simulator, uuid: &str, deed: Deed) -> Result<(), ApiError> {
    simulator.calls().command(uuid, deed, simulator.clock.now()).map_err(|refusal| match refusal {
        Refusal::NotFound => ApiError::NotFound,
        Refusal::TooEarly => bad_request("uuid", "is of a call that is not ready yet"),
    })
}
