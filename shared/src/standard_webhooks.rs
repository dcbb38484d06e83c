//! Signed requests to the deployment's own backend.
//!
//! Source: Standard Webhooks 1.0.0, "Payload structure", "Webhook headers" and "Signature scheme".

use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use reqwest::{RequestBuilder, Url};
use ring::hmac;
use serde::Serialize;

use crate::config::{self, ConfigError, Environment};
use crate::vonage::http_client;

/// The client of a backend. Its `Debug` form does not show the secrets.
#[derive(Debug)]
pub(crate) struct WebhookClient {
    /// The secrets that sign. Two are valid while one replaces the other.
    keys: Vec<hmac::Key>,
    /// Time for the connection, the request and the whole answer.
    time_limit: Duration,
    /// True if the backend may be on this machine, where no proxy leads.
    is_local: bool,
    /// PEM certificates of the authorities that TLS trusts; `None` trusts Mozilla's list.
    authorities: Option<Vec<u8>>,
    /// Made for the first request: many starts need none.
    http: OnceLock<reqwest::Client>,
}

/// The body of a request.
#[derive(Serialize)]
pub(crate) struct Message<'a, D> {
    pub(crate) r#type: &'a str,
    pub(crate) timestamp: Timestamp,
    pub(crate) data: &'a D,
}

impl WebhookClient {
    /// Creates a client that signs with these secrets. Sends nothing.
    pub(crate) fn new(
        env: &Environment,
        secrets: &[Vec<u8>],
        time_limit: Duration,
        is_local: bool,
    ) -> Result<Self, ConfigError> {
        let keys = secrets.iter().map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret)).collect();
        Ok(Self { keys, time_limit, is_local, authorities: config::authorities(env)?, http: OnceLock::new() })
    }

    /// Returns a request with this message, and with the headers that sign it as attempted at `now`. `id` is the same in each attempt,
    /// and has no full stop.
    pub(crate) fn post(
        &self,
        url: Url,
        id: &str,
        now: Timestamp,
        message: &Message<'_, impl Serialize>,
    ) -> RequestBuilder {
        // Only a map whose keys are not text fails to serialize, and no message has one.
        let body = serde_json::to_string(message).unwrap_or_default();
        let request = self.http().post(url).timeout(self.time_limit);
        let request = request.header("content-type", "application/json").header("webhook-id", id);
        let request = request.header("webhook-timestamp", now.as_second());
        request.header("webhook-signature", self.signatures(id, now, &body)).body(body)
    }

    fn http(&self) -> &reqwest::Client {
        self.http.get_or_init(|| {
            let mut http = http_client(self.authorities.as_deref());
            if self.is_local {
                http = http.no_proxy();
            }
            http.connect_timeout(self.time_limit)
                // Connections are dead when Lambda resumes a function that was frozen for a while.
                .pool_idle_timeout(Duration::from_secs(10))
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .expect("the settings of the client go together")
        })
    }

    /// Returns the signatures by all secrets, separated by spaces.
    fn signatures(&self, id: &str, now: Timestamp, body: &str) -> String {
        let text = format!("{id}.{}.{body}", now.as_second());
        let sign =
            |key: &hmac::Key| format!("v1,{}", BASE64_STANDARD.encode(hmac::sign(key, text.as_bytes()).as_ref()));
        self.keys.iter().map(sign).collect::<Vec<_>>().join(" ")
    }
}
