//! The simulator's own endpoints: place calls, read text messages, set the balance, add fault rules, read the request
//! log.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use rust_decimal::Decimal;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::Shared;
use super::call::{self, CallRequest, Deed, Keys, Party};
use super::countries;
use super::inventory;
use super::phones;
use super::problem::Problem;
use super::report::{CallReport, EventReport};

pub(super) fn body<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| Problem::bad_request(format!("The body is not valid: {error}.")))
}

fn query<T: DeserializeOwned>(RawQuery(query): RawQuery) -> Result<T, Problem> {
    serde_urlencoded::from_str(&query.unwrap_or_default())
        .map_err(|error| Problem::bad_request(format!("The query is not valid: {error}.")))
}

/// Handles `POST /simulator/calls`.
pub(super) async fn place_call(
    State(simulator): Shared,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Json<CallReport>, Problem> {
    let request: CallRequest = body(&bytes)?;
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1:4000");
    Ok(Json(call::place(&simulator, request, format!("http://{host}")).await))
}

/// Handles `GET /simulator/calls/{conversation_uuid}`, for a call that lives or that the application has created. The
/// report comes after all that was asked of the call before.
pub(super) async fn call_report(
    State(simulator): Shared,
    Path(conversation_uuid): Path<String>,
) -> Result<Json<CallReport>, Problem> {
    let next = simulator.calls().next_report(&conversation_uuid);
    let report = match next {
        Some(next) => next.await.ok(),
        None => None,
    };
    let report = report.or_else(|| simulator.calls().last_report(&conversation_uuid));
    report.map(Json).ok_or_else(|| Problem::not_found("There is no such call."))
}

/// The user who hangs up.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HangUp {
    by: Party,
}

/// Handles `POST /simulator/calls/{conversation_uuid}/hang-up`.
pub(super) async fn hang_up(state: Shared, path: Path<String>, bytes: Bytes) -> Result<Json<CallReport>, Problem> {
    let HangUp { by } = if bytes.is_empty() { HangUp::default() } else { body(&bytes)? };
    if !state.0.calls().command_call(&path.0, Deed::UserHangsUp(by)) {
        return Err(Problem::not_found("There is no such call, or it has ended."));
    }
    call_report(state, path).await
}

/// Handles `POST /simulator/calls/{conversation_uuid}/answer`.
pub(super) async fn answer(state: Shared, path: Path<String>) -> Result<Json<CallReport>, Problem> {
    if !state.0.calls().command_call(&path.0, Deed::Answer) {
        return Err(Problem::not_found("There is no such call, or it has ended."));
    }
    call_report(state, path).await
}

/// Keys that a user presses during a call.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Press {
    #[serde(default)]
    by: Party,
    keys: Keys,
}

/// Handles `POST /simulator/calls/{conversation_uuid}/press`.
pub(super) async fn press(state: Shared, path: Path<String>, bytes: Bytes) -> Result<Json<CallReport>, Problem> {
    let Press { by, keys } = body(&bytes)?;
    if !state.0.calls().command_call(&path.0, Deed::Press(by, keys)) {
        return Err(Problem::not_found("There is no such call, or it has ended."));
    }
    call_report(state, path).await
}

/// Handles `PUT /simulator/created-calls`: the behaviour of the phones in calls that the application creates.
pub(super) async fn script_created_calls(State(simulator): Shared, bytes: Bytes) -> Result<StatusCode, Problem> {
    let mut script: Value = body(&bytes)?;
    script["to"] = json!("");
    let script = serde_json::from_value(script);
    let script = script.map_err(|error| Problem::bad_request(format!("The body is not valid: {error}.")))?;
    simulator.calls().script = Some(script);
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessagesQuery {
    to: Option<String>,
}

/// Handles `GET /simulator/messages`.
pub(super) async fn messages(State(simulator): Shared, raw: RawQuery) -> Result<Json<Value>, Problem> {
    let query: MessagesQuery = query(raw)?;
    let to = query.to.map(|to| phones::digits(&to));
    let messages = simulator.inboxes().messages(to.as_deref());
    Ok(Json(json!({"messages": messages})))
}

/// The part of the account that can be read and set.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountState {
    /// Balance in EUR; in a request as text or number.
    #[serde(deserialize_with = "text_or_number")]
    balance: Decimal,
    /// True if redaction is switched on. Absent in a request: no change.
    redact: Option<bool>,
}

fn text_or_number<'de, D: Deserializer<'de>>(value: D) -> Result<Decimal, D::Error> {
    let text = match Value::deserialize(value)? {
        Value::String(text) => text,
        other => other.to_string(),
    };
    text.parse().map_err(|_| D::Error::custom("an amount is such as \"10.50\" or 10.5"))
}

/// Handles `GET /simulator/account`.
pub(super) async fn account(State(simulator): Shared) -> Json<AccountState> {
    let (balance, redact) = (simulator.account().balance, simulator.records().is_provisioned());
    Json(AccountState { balance, redact: Some(redact) })
}

/// Handles `PUT /simulator/account`.
pub(super) async fn set_account(State(simulator): Shared, bytes: Bytes) -> Result<Json<AccountState>, Problem> {
    let state: AccountState = body(&bytes)?;
    simulator.account().balance = state.balance;
    if let Some(redact) = state.redact {
        simulator.records().provision(redact);
    }
    Ok(account(State(simulator)).await)
}

/// Consecutive mobile numbers to add.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewNumbers {
    country: String,
    /// The first number, in digits.
    first: String,
    count: u64,
    /// Monthly rent in EUR.
    cost: Decimal,
    /// True if the account rents them already, linked to its application.
    #[serde(default)]
    rented: bool,
}

/// Largest number of numbers that one request adds.
const MOST_NUMBERS: u64 = 1_000_000;

/// Handles `POST /simulator/numbers`.
pub(super) async fn add_numbers(State(simulator): Shared, bytes: Bytes) -> Result<StatusCode, Problem> {
    let new: NewNumbers = body(&bytes)?;
    let country = countries::by_code(&new.country);
    let country = country.ok_or_else(|| Problem::bad_request("The simulator does not know the country.".to_owned()))?;
    let first = new.first.parse().ok().filter(|_| new.count <= MOST_NUMBERS);
    let first = first
        .ok_or_else(|| Problem::bad_request("\"first\" is in digits, and \"count\" at most 1000000.".to_owned()))?;
    simulator.account().add_numbers(inventory::mobile(country.code, first, new.count, new.cost), new.rented);
    Ok(StatusCode::NO_CONTENT)
}

/// Handles `DELETE /simulator/numbers/{number}`: Vonage takes a number away from the account.
pub(super) async fn take_number_away(
    State(simulator): Shared,
    Path(number): Path<String>,
) -> Result<StatusCode, Problem> {
    let taken = simulator.account().take_away(&phones::digits(&number));
    if taken { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("The account does not rent this number.")) }
}

/// Handles `POST /simulator/faults`.
pub(super) async fn add_fault(State(simulator): Shared, bytes: Bytes) -> Result<StatusCode, Problem> {
    simulator.faults.add(&bytes).map_err(|error| Problem::bad_request(error.to_string()))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Handles `GET /simulator/faults`.
pub(super) async fn faults(State(simulator): Shared) -> Json<Value> {
    Json(json!({"faults": simulator.faults.waiting()}))
}

/// Handles `DELETE /simulator/faults`.
pub(super) async fn clear_faults(State(simulator): Shared) -> StatusCode {
    simulator.faults.clear();
    StatusCode::NO_CONTENT
}

/// Handles `POST /simulator/release`.
pub(super) async fn release(State(simulator): Shared) -> Json<Vec<EventReport>> {
    Json(call::release(&simulator).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestsQuery {
    path: Option<String>,
}

/// Handles `GET /simulator/requests`.
pub(super) async fn requests(State(simulator): Shared, raw: RawQuery) -> Result<Json<Value>, Problem> {
    let query: RequestsQuery = query(raw)?;
    let log = simulator.requests();
    let is_meant = |path: &str| query.path.as_ref().is_none_or(|wanted| wanted == path);
    let requests: Vec<_> = log.0.iter().filter(|request| is_meant(&request.path)).collect();
    Ok(Json(json!({"requests": requests})))
}

/// Handles `DELETE /simulator/requests`.
pub(super) async fn clear_requests(State(simulator): Shared) -> StatusCode {
    simulator.requests().0.clear();
    StatusCode::NO_CONTENT
}
