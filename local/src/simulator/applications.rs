//! Vonage's Application API v2: lists, makes, reads, replaces and deletes applications, with the capabilities Voice and Messages.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::request::{Access, ApiRequest, Payload};
use super::{Application, HttpMethod, Shared, Webhook};
use crate::stack::account::{PRIVATE_KEY, PUBLIC_KEY};

/// The Voice capability.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Voice {
    #[serde(default)]
    pub(super) webhooks: VoiceWebhooks,
    /// True if webhooks carry a signed JWT.
    #[serde(default = "signed")]
    pub(super) signed_callbacks: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

impl Voice {
    /// Returns `region_url` of the answer webhook: the host that controls calls in the application's region. Source:
    /// Vonage Application API v2, `region`.
    pub(super) fn region_url(&self) -> String {
        let host = match self.region.as_deref() {
            Some("na-east") => "api-us-3",
            Some("na-west") => "api-us-4",
            Some("eu-east") => "api-eu-4",
            Some("apac-sng") => "api-ap-3",
            Some("apac-australia") => "api-ap-4",
            _ => "api-eu-3",
        };
        format!("https://{host}.vonage.com")
    }
}

fn signed() -> bool {
    true
}

/// The webhooks of the Voice capability.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct VoiceWebhooks {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) answer_url: Option<VoiceWebhook>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fallback_answer_url: Option<VoiceWebhook>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) event_url: Option<VoiceWebhook>,
}

/// One webhook of the Voice capability. Its timeouts are in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct VoiceWebhook {
    pub(super) address: String,
    pub(super) http_method: HttpMethod,
    pub(super) connect_timeout: u64,
    pub(super) socket_timeout: u64,
}

impl VoiceWebhook {
    /// Creates a webhook with Vonage's default timeouts.
    fn new(webhook: &Webhook, socket_timeout: u64) -> Self {
        Self {
            address: webhook.address.clone(),
            http_method: webhook.http_method,
            connect_timeout: CONNECT_TIMEOUT,
            socket_timeout,
        }
    }
}

impl VoiceWebhook {
    /// Returns a webhook without an address, with the timeouts of an answer webhook.
    pub(super) fn unset() -> Self {
        Self {
            address: String::new(),
            http_method: HttpMethod::Get,
            connect_timeout: CONNECT_TIMEOUT,
            socket_timeout: ANSWER_TIMEOUT,
        }
    }
}

const CONNECT_TIMEOUT: u64 = 1_000;
/// Longest and default timeout for a response of the answer webhook, in milliseconds. Source: Vonage Application API
/// v2.
const ANSWER_TIMEOUT: u64 = 5_000;
/// Longest and default timeout for a response of the event webhook, in milliseconds.
pub(super) const EVENT_TIMEOUT: u64 = 10_000;

/// Timeouts of the webhooks of texts, in milliseconds. Source: Vonage, "What happens if my webhook does not answer".
const MESSAGE_TIMEOUTS: (u64, u64) = (3_000, 15_000);

/// An application, as the API represents it.
#[derive(Clone, Debug)]
pub(super) struct ApplicationRecord {
    pub(super) id: String,
    name: String,
    pub(super) public_key: Option<String>,
    improve_ai: bool,
    capabilities: Map<String, Value>,
}

impl ApplicationRecord {
    pub(super) fn new(application: &Application) -> Self {
        let webhooks = VoiceWebhooks {
            answer_url: Some(VoiceWebhook::new(&application.answer, ANSWER_TIMEOUT)),
            fallback_answer_url: application
                .fallback_answer
                .as_ref()
                .map(|webhook| VoiceWebhook::new(webhook, ANSWER_TIMEOUT)),
            event_url: Some(VoiceWebhook::new(&application.event, EVENT_TIMEOUT)),
        };
        let mut record = Self {
            id: application.id.clone(),
            name: "Masked calling".to_owned(),
            public_key: Some(application.public_key.clone()),
            improve_ai: true,
            capabilities: Map::new(),
        };
        let voice = json!({"webhooks": webhooks});
        record.capabilities.insert("voice".into(), with_defaults(voice));
        if let (Some(inbound), Some(status)) = (&application.inbound, &application.status) {
            let webhook = |webhook: &Webhook| json!({"address": webhook.address, "http_method": webhook.http_method});
            let webhooks = json!({"inbound_url": webhook(inbound), "status_url": webhook(status)});
            record.capabilities.insert("messages".into(), json!({"version": "v1", "webhooks": webhooks}));
        }
        record
    }

    /// Creates an application that has no setting yet.
    fn empty() -> Self {
        Self {
            id: Uuid::new_v4().to_string(),
            name: String::new(),
            public_key: None,
            improve_ai: true,
            capabilities: Map::new(),
        }
    }

    /// Returns the Voice capability, if the application has one.
    pub(super) fn voice(&self) -> Option<Voice> {
        Voice::deserialize(self.capabilities.get("voice")?).ok()
    }

    /// Returns the webhook `inbound_url` or `status_url` of the Messages capability, if the application has it.
    pub(super) fn message_webhook(&self, name: &str) -> Option<VoiceWebhook> {
        let address = self.capabilities.get("messages")?["webhooks"][name]["address"].as_str()?.to_owned();
        let (connect_timeout, socket_timeout) = MESSAGE_TIMEOUTS;
        Some(VoiceWebhook { address, http_method: HttpMethod::Post, connect_timeout, socket_timeout })
    }

    fn show(&self) -> Value {
        let mut keys = Map::new();
        if let Some(public_key) = &self.public_key {
            keys.insert("public_key".into(), json!(public_key));
        }
        json!({
            "id": self.id,
            "name": self.name,
            "keys": keys,
            "privacy": {"improve_ai": self.improve_ai},
            "capabilities": self.capabilities,
            "_links": {"self": {"href": format!("/v2/applications/{}", self.id)}},
        })
    }

    /// Replaces all settings, except a public key that is missing in `body`.
    fn replace(&mut self, body: &Value) -> Result<(), Vec<InvalidParameter>> {
        let invalid = validate(body);
        if !invalid.is_empty() {
            return Err(invalid);
        }
        self.name = body["name"].as_str().unwrap_or_default().to_owned();
        if let Some(key) = body["keys"]["public_key"].as_str() {
            self.public_key = Some(key.to_owned());
        }
        self.improve_ai = body["privacy"]["improve_ai"].as_bool().unwrap_or(true);
        self.capabilities = body["capabilities"].as_object().cloned().unwrap_or_default();
        if let Some(voice) = self.capabilities.get_mut("voice") {
            *voice = with_defaults(voice.take());
        }
        Ok(())
    }
}

/// The webhooks of the Voice capability, with their default method and longest timeout.
const WEBHOOKS: [(&str, &str, u64); 3] = [
    ("answer_url", "GET", ANSWER_TIMEOUT),
    ("fallback_answer_url", "GET", ANSWER_TIMEOUT),
    ("event_url", "POST", EVENT_TIMEOUT),
];

fn with_defaults(mut voice: Value) -> Value {
    for (name, method, socket_timeout) in WEBHOOKS {
        if let Some(Value::Object(webhook)) = voice.pointer_mut(&format!("/webhooks/{name}")) {
            for (member, default) in [
                ("http_method", json!(method)),
                ("connect_timeout", json!(CONNECT_TIMEOUT)),
                ("socket_timeout", json!(socket_timeout)),
            ] {
                webhook.entry(member).or_insert(default);
            }
        }
    }
    if let Value::Object(members) = &mut voice {
        for (member, default) in
            [("signed_callbacks", json!(true)), ("conversations_ttl", json!(48)), ("leg_persistence_time", json!(2))]
        {
            members.entry(member).or_insert(default);
        }
    }
    voice
}

#[derive(Debug, Serialize)]
struct InvalidParameter {
    name: String,
    reason: String,
}

fn validate(body: &Value) -> Vec<InvalidParameter> {
    let mut check = Check::default();
    if body["name"].as_str().is_none_or(str::is_empty) {
        check.fail("name", "is required");
    }
    let messages = &body["capabilities"]["messages"];
    let path = "capabilities.messages";
    check.optional(messages, path, "webhooks", "must be an object", Value::is_object);
    let versions = "must be one of: v0.1, v1";
    check.optional(messages, path, "version", versions, |value| value == "v0.1" || value == "v1");
    for name in ["inbound_url", "status_url"] {
        if let Some(webhook) = body.pointer(&format!("/capabilities/messages/webhooks/{name}")) {
            let path = format!("capabilities.messages.webhooks.{name}");
            let method = "must be one of: POST";
            check.address(webhook, &path);
            check.optional(webhook, &path, "http_method", method, |value| value == "POST");
        }
    }
    let Some(voice) = body.pointer("/capabilities/voice") else {
        return check.invalid;
    };
    let path = "capabilities.voice";
    if !voice.is_object() {
        check.fail(path, "must be an object");
    }
    check.optional(voice, path, "webhooks", "must be an object", Value::is_object);
    for (name, _, socket_timeout) in WEBHOOKS {
        if let Some(webhook) = voice["webhooks"].get(name) {
            check.webhook(webhook, &format!("{path}.webhooks.{name}"), socket_timeout);
        }
    }
    let regions = "na-east, na-west, eu-east, eu-west, apac-sng, apac-australia";
    check.optional(voice, path, "region", &format!("must be one of: {regions}"), |value| {
        value.as_str().is_some_and(|value| regions.split(", ").any(|region| region == value))
    });
    check.optional(voice, path, "signed_callbacks", "must be a boolean", Value::is_boolean);
    check.range(voice, path, "conversations_ttl", (1, 9_000));
    check.range(voice, path, "leg_persistence_time", (1, 31));
    check.invalid
}

#[derive(Default)]
struct Check {
    invalid: Vec<InvalidParameter>,
}

impl Check {
    fn fail(&mut self, name: &str, reason: impl Into<String>) {
        self.invalid.push(InvalidParameter { name: name.to_owned(), reason: reason.into() });
    }

    fn optional(&mut self, object: &Value, path: &str, member: &str, reason: &str, is_valid: impl Fn(&Value) -> bool) {
        if object.get(member).is_some_and(|value| !is_valid(value)) {
            self.fail(&format!("{path}.{member}"), reason);
        }
    }

    fn range(&mut self, object: &Value, path: &str, member: &str, (from, to): (u64, u64)) {
        let reason = format!("must be between {from} and {to}");
        self.optional(object, path, member, &reason, |value| {
            value.as_u64().is_some_and(|value| (from..=to).contains(&value))
        });
    }

    fn address(&mut self, webhook: &Value, path: &str) {
        let address = webhook["address"].as_str().unwrap_or_default();
        let url = reqwest::Url::parse(address);
        if !url.is_ok_and(|url| ["http", "https"].contains(&url.scheme())) {
            self.fail(&format!("{path}.address"), "must be a valid URI");
        }
    }

    fn webhook(&mut self, webhook: &Value, path: &str, socket_timeout: u64) {
        self.address(webhook, path);
        let methods = "must be one of: GET, POST";
        self.optional(webhook, path, "http_method", methods, |value| value == "GET" || value == "POST");
        self.range(webhook, path, "connect_timeout", (300, 1_000));
        self.range(webhook, path, "socket_timeout", (1_000, socket_timeout));
    }
}

/// A request with the credentials of the account. Any other is refused.
pub(super) struct OfAccount(Arc<ApiRequest>);

impl<S: Send + Sync> FromRequestParts<S> for OfAccount {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let request = parts.extensions.get::<Arc<ApiRequest>>();
        let granted = request.filter(|request| request.access == Access::Granted).cloned();
        granted.map(Self).ok_or_else(|| {
            let detail = "You did not provide correct credentials.";
            problem(StatusCode::UNAUTHORIZED, "#unauthorized", "Invalid credentials supplied", detail)
        })
    }
}

/// Handles `GET /v2/applications`.
pub(super) async fn list(State(simulator): Shared, OfAccount(request): OfAccount) -> Response {
    let number = |name: &str, usual: usize| request.query.get(name).map_or(Some(usual), |text| text.parse().ok());
    let (size, page) = (number("page_size", 10), number("page", 1));
    let (Some(size @ 1..=100), Some(page @ 1..)) = (size, page) else {
        let mut check = Check::default();
        check.fail("page_size", "must be between 1 and 100, and page at least 1");
        return invalid(&check.invalid);
    };
    let account = simulator.account();
    let total = account.applications.len();
    let shown = account.applications.iter().skip((page - 1).saturating_mul(size)).take(size);
    let applications: Vec<_> = shown.map(ApplicationRecord::show).collect();
    Json(json!({
        "page_size": size,
        "page": page,
        "total_items": total,
        "total_pages": total.div_ceil(size),
        "_embedded": {"applications": applications},
        "_links": {"self": {"href": format!("/v2/applications?page_size={size}&page={page}")}},
    }))
    .into_response()
}

/// Handles `POST /v2/applications`. Without a public key the application gets the laptop's pair of keys, and only this response
/// has the private one.
pub(super) async fn make(State(simulator): Shared, OfAccount(request): OfAccount) -> Response {
    let Payload::Json(body) = &request.payload else { return not_json() };
    let mut application = ApplicationRecord::empty();
    if let Err(reasons) = application.replace(body) {
        return invalid(&reasons);
    }
    let makes_keys = application.public_key.is_none();
    application.public_key.get_or_insert_with(|| PUBLIC_KEY.to_owned());
    let mut made = application.show();
    if makes_keys {
        made["keys"]["private_key"] = json!(PRIVATE_KEY);
    }
    simulator.account().applications.push(application);
    (StatusCode::CREATED, Json(made)).into_response()
}

/// Handles `GET /v2/applications/{id}`.
pub(super) async fn read(State(simulator): Shared, Path(id): Path<String>, _: OfAccount) -> Response {
    match simulator.account().application(&id) {
        Some(application) => Json(application.show()).into_response(),
        None => unknown(&id),
    }
}

/// Handles `PUT /v2/applications/{id}`.
pub(super) async fn replace(
    State(simulator): Shared,
    Path(id): Path<String>,
    OfAccount(request): OfAccount,
) -> Response {
    let mut account = simulator.account();
    let Some(application) = account.applications.iter_mut().find(|application| application.id == id) else {
        return unknown(&id);
    };
    let Payload::Json(body) = &request.payload else { return not_json() };
    match application.replace(body) {
        Ok(()) => Json(application.show()).into_response(),
        Err(reasons) => invalid(&reasons),
    }
}

/// Handles `DELETE /v2/applications/{id}`.
pub(super) async fn remove(State(simulator): Shared, Path(id): Path<String>, _: OfAccount) -> Response {
    if simulator.account().remove_application(&id) { StatusCode::NO_CONTENT.into_response() } else { unknown(&id) }
}

fn unknown(id: &str) -> Response {
    let detail = format!("ID '{id}' does not exist, or you do not have access");
    problem(StatusCode::NOT_FOUND, "#not-found", "Not Found", &detail)
}

fn not_json() -> Response {
    let detail = "The body must be JSON, with Content-Type application/json.";
    problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "", "Unsupported Content Type", detail)
}

fn invalid(parameters: &[InvalidParameter]) -> Response {
    let body = Json(json!({
        "type": "https://developer.vonage.com/api-errors/application#payload-validation",
        "title": "Bad Request",
        "detail": "The request failed due to validation errors",
        "invalid_parameters": parameters,
        "instance": instance(),
    }));
    (StatusCode::BAD_REQUEST, body).into_response()
}

fn problem(status: StatusCode, anchor: &str, title: &str, detail: &str) -> Response {
    let body = Json(json!({
        "type": format!("https://developer.vonage.com/api-errors{anchor}"),
        "title": title,
        "detail": detail,
        "instance": instance(),
    }));
    (status, body).into_response()
}

fn instance() -> String {
    Uuid::new_v4().simple().to_string()
}
