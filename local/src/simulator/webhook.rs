//! Sending and signing of webhooks. Source: Vonage, "Signed webhooks".

use std::collections::HashMap;
use std::io;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, StatusCode};
use ring::digest::{SHA256, digest};
use serde::Serialize;
use serde_json::{Map, Value};
use shared::clock::SharedClock;
use thiserror::Error;
use uuid::Uuid;

use super::HttpMethod;
use super::applications::VoiceWebhook;
use super::lock;

/// Timeout of the request with which Vonage checks `moHttpUrl` during an update of a number.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: u64 = 1_000;
/// The `User-Agent` of webhooks.
pub const USER_AGENT: &str = "Vonage simulator";

/// The reason for a missing response of a webhook. Its text is the `reason` in the fallback request.
#[derive(Clone, Debug, Error)]
pub(super) enum Undelivered {
    /// No connection, or a connection that closed without a response.
    #[error("Connection closed.")]
    Closed,
    #[error("Timeout.")]
    TimedOut,
    #[error("Invalid URL.")]
    InvalidAddress,
}

impl From<reqwest::Error> for Undelivered {
    fn from(error: reqwest::Error) -> Self {
        if error.is_builder() {
            Self::InvalidAddress
        } else if error.is_timeout() {
            Self::TimedOut
        } else {
            Self::Closed
        }
    }
}

/// The response of a webhook.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
}

/// The application that a webhook belongs to.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub(super) application_id: String,
    /// True if its webhooks are signed (`signed_callbacks`).
    pub(super) signed: bool,
}

/// The claims of a signed webhook.
#[derive(Serialize)]
struct Claims<'a> {
    /// Unix seconds.
    iat: i64,
    jti: String,
    iss: &'static str,
    /// Hex SHA-256 of the body. A GET has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_hash: Option<String>,
    api_key: &'a str,
    application_id: &'a str,
}

/// A sender of the account's webhooks.
pub(super) struct Deliverer {
    api_key: String,
    signature_secret: String,
    clock: SharedClock,
    /// One client for each connect timeout in milliseconds, because reqwest has no connect timeout for a single
    /// request.
    clients: Mutex<HashMap<u64, Client>>,
}

impl Deliverer {
    pub(super) fn new(api_key: &str, signature_secret: &str, clock: SharedClock) -> io::Result<Self> {
        let usual = client(CONNECT_TIMEOUT).map_err(io::Error::other)?;
        Ok(Self {
            api_key: api_key.to_owned(),
            signature_secret: signature_secret.to_owned(),
            clock,
            clients: Mutex::new(HashMap::from([(CONNECT_TIMEOUT, usual)])),
        })
    }

    /// Sends a webhook once, with its parameters in the query string or as a JSON body.
    pub(super) async fn send(
        &self,
        webhook: &VoiceWebhook,
        sender: &Sender,
        parameters: &Map<String, Value>,
    ) -> Result<Reply, Undelivered> {
        self.send_signed_at(webhook, sender, parameters, self.clock.now()).await
    }

    /// Like [`Deliverer::send`], with the signature of this time.
    pub(super) async fn send_signed_at(
        &self,
        webhook: &VoiceWebhook,
        sender: &Sender,
        parameters: &Map<String, Value>,
        signed_at: Timestamp,
    ) -> Result<Reply, Undelivered> {
        let client = self.client(webhook.connect_timeout)?;
        let timeout = Duration::from_millis(webhook.connect_timeout + webhook.socket_timeout);
        let (request, body) = match webhook.http_method {
            HttpMethod::Get => {
                let pairs: Vec<_> = parameters.iter().filter_map(query_pair).collect();
                (client.get(&webhook.address).query(&pairs), None)
            }
            HttpMethod::Post => {
                let body = Value::from(parameters.clone()).to_string();
                let request =
                    client.post(&webhook.address).header("Content-Type", "application/json").body(body.clone());
                (request, Some(body))
            }
        };
        let request = self.sign(request, sender, body.as_deref().map(str::as_bytes), signed_at).timeout(timeout);
        reply(request).await
    }

    /// Sends a webhook once, unsigned, with its parameters as a form.
    pub(super) async fn send_form(
        &self,
        webhook: &VoiceWebhook,
        parameters: &Map<String, Value>,
    ) -> Result<Reply, Undelivered> {
        let pairs: Vec<_> = parameters.iter().filter_map(query_pair).collect();
        let request = self.client(webhook.connect_timeout)?.post(&webhook.address).form(&pairs);
        reply(request.timeout(Duration::from_millis(webhook.connect_timeout + webhook.socket_timeout))).await
    }

    pub(super) fn signature_secret(&self) -> &str {
        &self.signature_secret
    }

    /// True if a GET of this URL returns 200.
    pub(super) async fn answers_ok(&self, url: &str) -> bool {
        let Ok(client) = self.client(CONNECT_TIMEOUT) else {
            return false;
        };
        let response = client.get(url).timeout(PROBE_TIMEOUT).send().await;
        response.is_ok_and(|response| response.status() == StatusCode::OK)
    }

    fn client(&self, connect_timeout: u64) -> Result<Client, Undelivered> {
        let mut clients = lock(&self.clients);
        if let Some(client) = clients.get(&connect_timeout) {
            return Ok(client.clone());
        }
        let new = client(connect_timeout)?;
        clients.insert(connect_timeout, new.clone());
        Ok(new)
    }

    fn sign(&self, request: RequestBuilder, sender: &Sender, body: Option<&[u8]>, now: Timestamp) -> RequestBuilder {
        if !sender.signed {
            return request;
        }
        match sign_webhook(&self.signature_secret, &self.api_key, &sender.application_id, body, now) {
            Ok(token) => request.bearer_auth(token),
            // Vonage also sends an unsigned webhook after an internal error. Source: "Signed webhooks".
            Err(error) => {
                tracing::error!(%error, "signing of a webhook failed; it is sent unsigned");
                request
            }
        }
    }
}

async fn reply(request: RequestBuilder) -> Result<Reply, Undelivered> {
    let response = request.send().await?;
    let status = response.status();
    let body = response.bytes().await?.to_vec();
    Ok(Reply { status, body })
}

/// Returns the JWT with which Vonage signs a webhook at `now`. `body` is the body of a POST, and `None` for a GET.
pub fn sign_webhook(
    signature_secret: &str,
    api_key: &str,
    application_id: &str,
    body: Option<&[u8]>,
    now: Timestamp,
) -> Result<String, jsonwebtoken::errors::Error> {
    shared::vonage::signature::install_provider();
    let claims = Claims {
        iat: now.as_second(),
        jti: Uuid::new_v4().to_string(),
        iss: "Vonage",
        payload_hash: body.map(|body| hex(digest(&SHA256, body).as_ref())),
        api_key,
        application_id,
    };
    let key = EncodingKey::from_secret(signature_secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
}

/// Creates a client that makes a new connection for each webhook, like Vonage's many servers. Webhooks are on this
/// machine or its network, so no proxy is used.
fn client(connect_timeout: u64) -> reqwest::Result<Client> {
    shared::vonage::http_client(None)
        .connect_timeout(Duration::from_millis(connect_timeout))
        .pool_max_idle_per_host(0)
        .redirect(Policy::none())
        .no_proxy()
        .user_agent(USER_AGENT)
        .build()
}

/// Returns a parameter for a query string, unless it is null or an empty object.
fn query_pair((name, value): (&String, &Value)) -> Option<(String, String)> {
    let value = match value {
        Value::Null => return None,
        Value::Object(members) if members.is_empty() => return None,
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Some((name.clone(), value))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
