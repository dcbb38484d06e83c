//! The proxy sessions of the Amazon Chime SDK (voice namespace, 2022-08-03).
//!
//! It keeps nothing: the 128 bits of a proxy session's id, which is a UUID, are those of its conversation's.
//!
//! Source: Amazon Chime SDK API Reference, "CreateProxySession" and the operations beside it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use clap::Args;
use futures_util::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Map, Value, json};
use shared::domain::text::Reference;
use ulid::Ulid;

use super::super::api::{Api, ApiError, Problem};
use super::scope::Scope;
use super::{Reason, longest, phone, time};

/// The number of sessions of a page, and of those that are read at the same time.
const PAGE: usize = 20;
const AT_ONCE: usize = 8;

/// The header that AWS's clients send with every attempt of one request.
const INVOCATION: &str = "amz-sdk-invocation-id";

/// The options of `facade chime`.
#[derive(Debug, Args)]
pub struct Options {
    /// A Voice Connector that your backend names, and with =TENANT the tenant that it stands for. May be given several times
    #[arg(long = "voice-connector", value_name = "ID[=TENANT]", value_parser = Scope::read, required = true)]
    connectors: Vec<Scope>,
    /// Port to listen on, at 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 3200)]
    pub(super) port: u16,
}

/// The façade.
struct Chime {
    api: Api,
    connectors: Vec<Scope>,
}

type Shared = State<Arc<Chime>>;
type Answer = Result<Response, Refusal>;

/// A request that is refused with one of the service's exceptions.
struct Refusal {
    status: StatusCode,
    exception: &'static str,
    message: String,
}

impl Refusal {
    fn bad_request(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, exception: "BadRequestException", message: message.into() }
    }

    fn not_found(what: &str) -> Self {
        let message = format!("{what} was not found");
        Self { status: StatusCode::NOT_FOUND, exception: "NotFoundException", message }
    }
}

impl From<&Problem> for Refusal {
    fn from(problem: &Problem) -> Self {
        let (status, exception) = match (problem.kind(), problem.status()) {
            ("no-number-free", 409) => (StatusCode::BAD_REQUEST, "ResourceLimitExceededException"),
            ("not-found" | "conversation-erased", _) => (StatusCode::NOT_FOUND, "NotFoundException"),
            (_, 401 | 403) => (StatusCode::INTERNAL_SERVER_ERROR, "ServiceFailureException"),
            (_, 429) => (StatusCode::TOO_MANY_REQUESTS, "ThrottledClientException"),
            (_, 500..) => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException"),
            _ => (StatusCode::BAD_REQUEST, "BadRequestException"),
        };
        let message = match problem.field() {
            Some(field) => format!("{field}: {}", problem.reason()),
            None => problem.reason().to_owned(),
        };
        Self { status, exception, message }
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        match error.problem() {
            Some(problem) => problem.into(),
            None => Self {
                status: StatusCode::SERVICE_UNAVAILABLE,
                exception: "ServiceUnavailableException",
                message: error.to_string(),
            },
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, exception, message } = self;
        let code = exception.trim_end_matches("Exception").trim_end_matches("Client");
        let body = Json(json!({"Code": code, "Message": message}));
        let mut response = (status, [("x-amzn-errortype", exception)], body).into_response();
        response.extensions_mut().insert(Reason(message));
        response
    }
}

/// Returns the routes.
pub(super) fn router(options: &Options, api: Api) -> Router {
    let chime = Chime { api, connectors: options.connectors.clone() };
    Router::new()
        .route("/voice-connectors/{connector}/proxy-sessions", get(list).post(create))
        .route("/voice-connectors/{connector}/proxy-sessions/{session}", get(fetch).post(update).delete(delete))
        .method_not_allowed_fallback(unknown)
        .fallback(unknown)
        .with_state(Arc::new(chime))
}

async fn unknown(_: Uri) -> Refusal {
    Refusal::bad_request("Maskline's façade has the operations of proxy sessions only")
}

impl Chime {
    /// Returns the part of the stack that a Voice Connector stands for. A request without a signature is none of AWS's clients: no page
    /// in a browser can send one that has it without being asked for permission first.
    fn scope(&self, headers: &HeaderMap, connector: &str) -> Result<&Scope, Refusal> {
        let signed = headers.get(AUTHORIZATION).is_some_and(|value| value.as_bytes().starts_with(b"AWS4-HMAC-SHA256 "));
        if !signed {
            let message = "The request has no signature of AWS (version 4)".to_owned();
            let exception = "UnauthorizedClientException";
            return Err(Refusal { status: StatusCode::UNAUTHORIZED, exception, message });
        }
        let scope = self.connectors.iter().find(|scope| scope.id == connector);
        scope.ok_or_else(|| Refusal::not_found("The Voice Connector"))
    }

    /// Returns a proxy session with all that is known of it.
    async fn session(&self, scope: &Scope, id: &str) -> Result<Value, Refusal> {
        let call = scope.call(Method::GET, &["conversations", id]);
        let conversation = self.api.send(call).await.map_err(|error| named(error.into()))?;
        Ok(shown(scope, &conversation))
    }
}

/// Says of a conversation that is not there that its proxy session is not.
fn named(refusal: Refusal) -> Refusal {
    if refusal.status == StatusCode::NOT_FOUND { Refusal::not_found("The proxy session") } else { refusal }
}

/// Returns the id of the conversation of a proxy session.
fn conversation_id(session: &str) -> Result<String, Refusal> {
    let uuid = uuid::Uuid::try_parse(session).map_err(|_| Refusal::not_found("The proxy session"))?;
    Ok(Ulid(uuid.as_u128()).to_string())
}

/// Returns a conversation as a proxy session.
fn shown(scope: &Scope, conversation: &Value) -> Value {
    let id = conversation["id"].as_str().and_then(|id| id.parse::<Ulid>().ok()).map(|id| uuid::Uuid::from_u128(id.0));
    let used = |list: &str| conversation[list].as_array().is_some_and(|list| !list.is_empty());
    let status = match conversation["state"].as_str() {
        Some("active") if used("calls") || used("texts") => "InProgress",
        Some("active") => "Open",
        _ => "Closed",
    };
    let (created, expires) = (time(conversation, "created_at"), time(conversation, "expires_at"));
    let minutes = created.zip(expires).map(|(created, expires)| (expires.as_second() - created.as_second() + 59) / 60);
    let ended = time(conversation, "ended_at").or(expires.filter(|_| conversation["state"] == "expired"));
    let people = conversation["participants"].as_array().into_iter().flatten().map(|side| {
        let mut person = json!({"PhoneNumber": side["number"]});
        if !side["dials"].is_null() {
            person["ProxyPhoneNumber"] = side["dials"].clone();
        }
        person
    });
    let mut session = json!({
        "VoiceConnectorId": scope.id, "ProxySessionId": id.map(|id| id.to_string()), "Status": status,
        "Capabilities": ["Voice", "SMS"], "NumberSelectionBehavior": "PreferSticky",
        "ExpiryMinutes": minutes, "CreatedTimestamp": created.map(|time| time.to_string()),
        "UpdatedTimestamp": created.map(|time| time.to_string()), "Participants": people.collect::<Vec<_>>(),
    });
    for (name, value) in [
        ("Name", conversation["reference"].as_str().map(str::to_owned)),
        ("EndedTimestamp", ended.map(|time| time.to_string())),
    ] {
        if let Some(value) = value {
            session[name] = json!(value);
        }
    }
    session
}

/// Reads a body, whose members must all be known.
fn body(text: &str, known: &[&str]) -> Result<Map<String, Value>, Refusal> {
    let members: Map<String, Value> =
        serde_json::from_str(text).map_err(|_| Refusal::bad_request("The body is no JSON object"))?;
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => {
            let name: String = name.chars().filter(char::is_ascii_alphabetic).take(40).collect();
            Err(Refusal::bad_request(format!("{name}: Maskline's façade does not know this member")))
        }
        None => Ok(members),
    }
}

/// Checks that a session takes calls and texts, as every conversation does.
fn check_capabilities(body: &Map<String, Value>) -> Result<(), Refusal> {
    let given = body.get("Capabilities").and_then(Value::as_array);
    let has = |capability: &str| given.is_some_and(|given| given.iter().any(|one| one == capability));
    if has("Voice") && has("SMS") {
        return Ok(());
    }
    Err(Refusal::bad_request(
        "Capabilities: a conversation of Maskline always takes calls and texts; give Voice and SMS",
    ))
}

/// Returns the lifetime in seconds. Without one it is the longest.
fn lifetime(body: &Map<String, Value>) -> Result<i64, Refusal> {
    let Some(minutes) = body.get("ExpiryMinutes") else { return Ok(longest()) };
    let seconds = minutes.as_i64().and_then(|minutes| minutes.checked_mul(60));
    seconds.filter(|seconds| (60..=longest()).contains(seconds)).ok_or_else(|| {
        Refusal::bad_request(
            "ExpiryMinutes: a conversation of Maskline lasts from a minute to 170 days (244800 minutes)",
        )
    })
}

/// Returns the request that creates a conversation.
fn creation(text: &str) -> Result<Value, Refusal> {
    let known = ["ParticipantPhoneNumbers", "Name", "ExpiryMinutes", "Capabilities", "NumberSelectionBehavior"];
    let places = ["GeoMatchLevel", "GeoMatchParams"];
    let body = body(text, &[&known[..], &places].concat())?;
    check_capabilities(&body)?;
    if places.iter().any(|name| body.contains_key(*name)) {
        return Err(Refusal::bad_request(
            "GeoMatchLevel, GeoMatchParams: Maskline chooses the numbers of a session itself",
        ));
    }
    if body.get("NumberSelectionBehavior").is_some_and(|value| value != "PreferSticky") {
        let message = "NumberSelectionBehavior: Maskline gives the same two people their numbers again while it can; leave it out, or give PreferSticky";
        return Err(Refusal::bad_request(message));
    }
    let phones = body.get("ParticipantPhoneNumbers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if phones.len() != 2 {
        return Err(Refusal::bad_request("ParticipantPhoneNumbers: give two"));
    }
    let mut participants = Vec::new();
    for written in phones {
        let written = written.as_str().unwrap_or_default();
        // The service also takes them without the sign.
        let written =
            if written.starts_with(|c: char| c.is_ascii_digit()) { format!("+{written}") } else { written.to_owned() };
        let number =
            phone(&written).map_err(|reason| Refusal::bad_request(format!("ParticipantPhoneNumbers: {reason}")))?;
        participants.push(json!({"number": format!("+{}", number.expose())}));
    }
    let mut request = json!({"participants": participants, "expires_in": lifetime(&body)?, "notify": false});
    if let Some(name) = body.get("Name").and_then(Value::as_str).filter(|name| !name.is_empty()) {
        Reference::try_from(name.to_owned()).map_err(|error| Refusal::bad_request(format!("Name: it {error}")))?;
        request["reference"] = json!(name);
    }
    Ok(request)
}

async fn create(State(chime): Shared, Path(connector): Path<String>, headers: HeaderMap, text: String) -> Answer {
    let scope = chime.scope(&headers, &connector)?;
    let request = creation(&text)?;
    let invocation = headers.get(INVOCATION).and_then(|value| value.to_str().ok());
    let key = invocation.map(|id| format!("facade-{}", &id[..id.len().min(200)]));
    let mut call = scope.call(Method::POST, &["conversations"]).body(&request);
    if let Some(key) = &key {
        call = call.idempotency_key(key);
    }
    let conversation = chime.api.send(call).await?;
    Ok((StatusCode::CREATED, Json(json!({"ProxySession": shown(scope, &conversation)}))).into_response())
}

type OfSession = Path<(String, String)>;

async fn fetch(State(chime): Shared, Path((connector, session)): OfSession, headers: HeaderMap) -> Answer {
    let scope = chime.scope(&headers, &connector)?;
    let session = chime.session(scope, &conversation_id(&session)?).await?;
    Ok(Json(json!({"ProxySession": session})).into_response())
}

async fn update(
    State(chime): Shared,
    Path((connector, session)): OfSession,
    headers: HeaderMap,
    text: String,
) -> Answer {
    let scope = chime.scope(&headers, &connector)?;
    let id = conversation_id(&session)?;
    let body = body(&text, &["Capabilities", "ExpiryMinutes"])?;
    check_capabilities(&body)?;
    if body.contains_key("ExpiryMinutes") {
        let change = json!({"expires_in": lifetime(&body)?});
        let call = scope.call(Method::PATCH, &["conversations", &id]).body(&change);
        chime.api.send(call).await.map_err(|error| named(error.into()))?;
    }
    let session = chime.session(scope, &id).await?;
    Ok((StatusCode::CREATED, Json(json!({"ProxySession": session}))).into_response())
}

/// Ends the conversation. It can be read until its retention is over, as a proxy session that is closed.
async fn delete(State(chime): Shared, Path((connector, session)): OfSession, headers: HeaderMap) -> Answer {
    let scope = chime.scope(&headers, &connector)?;
    let id = conversation_id(&session)?;
    let ended = chime.api.send(scope.call(Method::DELETE, &["conversations", &id])).await;
    ended.map_err(|error| named(error.into()))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn list(State(chime): Shared, Path(connector): Path<String>, headers: HeaderMap, uri: Uri) -> Answer {
    let scope = chime.scope(&headers, &connector)?;
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(uri.query().unwrap_or_default()).unwrap_or_default();
    let (mut status, mut token, mut size) = (None, None, PAGE);
    for (name, value) in pairs {
        match name.as_str() {
            "status" if ["Open", "InProgress", "Closed"].contains(&value.as_str()) => status = Some(value),
            "next-token" => token = Some(value),
            "max-results" => {
                let count = value.parse().ok().filter(|count| (1..=100).contains(count));
                size = count.ok_or_else(|| Refusal::bad_request("MaxResults: give 1 to 100"))?;
            }
            _ => return Err(Refusal::bad_request("a list takes Status, NextToken and MaxResults")),
        }
    }
    let call = scope.call(Method::GET, &["conversations"]).query("limit", Some(size)).query("cursor", token);
    let page = chime.api.send(call).await?;
    let conversations = page["conversations"].as_array().into_iter().flatten();
    let ids: Vec<String> = conversations.filter_map(|one| one["id"].as_str().map(str::to_owned)).collect();
    // A list does not say which sessions have been used.
    let chime = &chime;
    let read = stream::iter(ids).map(async |id| chime.session(scope, &id).await).buffered(AT_ONCE);
    let read: Vec<_> = read.collect().await;
    let mut sessions = Vec::new();
    for session in read {
        match session {
            Ok(session) => sessions.push(session),
            // It was erased meanwhile.
            Err(refusal) if refusal.status == StatusCode::NOT_FOUND => {}
            Err(refusal) => return Err(refusal),
        }
    }
    sessions.retain(|session| status.as_ref().is_none_or(|status| session["Status"] == **status));
    let mut answer = json!({"ProxySessions": sessions});
    if let Some(next) = page["next"].as_str() {
        answer["NextToken"] = json!(next);
    }
    Ok(Json(answer).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(body: Value) -> String {
        creation(&body.to_string()).err().unwrap().message
    }

    #[test]
    fn what_cannot_be_had_here_is_refused_by_name() {
        let with = |name: &str, value: Value| {
            let mut body = json!({"ParticipantPhoneNumbers": ["+447700900001", "447700900002"],
                                  "Capabilities": ["Voice", "SMS"], "ExpiryMinutes": 60, "Name": "ride 42"});
            body[name] = value;
            body
        };
        let request = creation(&with("Name", json!("ride 42")).to_string()).ok().unwrap();
        assert_eq!(
            request,
            json!({"participants": [{"number": "+447700900001"}, {"number": "+447700900002"}], "expires_in": 3600,
                   "notify": false, "reference": "ride 42"})
        );
        for (name, value) in [
            ("Capabilities", json!(["Voice"])),
            ("GeoMatchLevel", json!("AreaCode")),
            ("GeoMatchParams", json!({"Country": "US", "AreaCode": "212"})),
            ("NumberSelectionBehavior", json!("AvoidSticky")),
            ("ExpiryMinutes", json!(0)),
            ("ParticipantPhoneNumbers", json!(["+447700900001"])),
            ("ParticipantPhoneNumbers", json!(["+447700900001", "07700 900002"])),
            ("Colour", json!("red")),
        ] {
            let told = refusal(with(name, value));
            assert!(told.contains(name) && !told.contains("7700"), "{told}");
        }
    }

    #[test]
    fn id_of_a_proxy_session_has_the_bits_of_its_conversation() {
        let scope = Scope::read("abc").unwrap();
        let conversation = json!({"id": "01M8Q5JW7028EZPAEPYCEWQ01M", "state": "active"});
        let id = shown(&scope, &conversation)["ProxySessionId"].as_str().unwrap().to_owned();
        assert_eq!(conversation_id(&id).ok().unwrap(), "01M8Q5JW7028EZPAEPYCEWQ01M");
        assert!(conversation_id("01M8Q5JW7028EZPAEPYCEWQ01M").is_err());
    }
}
