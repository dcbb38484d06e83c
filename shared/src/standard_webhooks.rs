//! Signatures of requests to the deployment's own backend.
//!
//! Source: Standard Webhooks 1.0.0, "Webhook headers" and "Signature scheme".

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use reqwest::RequestBuilder;
use ring::hmac;

/// The signer of requests. Its `Debug` form does not show the secrets.
#[derive(Debug)]
pub(crate) struct WebhookSigner {
    /// The secrets that sign. Two are valid while one replaces the other.
    keys: Vec<hmac::Key>,
}

impl WebhookSigner {
    /// Creates a signer with these secrets.
    pub(crate) fn new(secrets: &[Vec<u8>]) -> Self {
        Self { keys: secrets.iter().map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret)).collect() }
    }

    /// Returns the request with this JSON as its body, and with the headers that sign it as attempted at `now`. `id` is the same in
    /// each attempt, and has no full stop.
    pub(crate) fn sign(&self, request: RequestBuilder, id: &str, now: Timestamp, body: String) -> RequestBuilder {
        let request = request.header("content-type", "application/json").header("webhook-id", id);
        let request = request.header("webhook-timestamp", now.as_second());
        request.header("webhook-signature", self.signatures(id, now, &body)).body(body)
    }

    /// Returns the signatures by all secrets, separated by spaces.
    fn signatures(&self, id: &str, now: Timestamp, body: &str) -> String {
        let text = format!("{id}.{}.{body}", now.as_second());
        let sign =
            |key: &hmac::Key| format!("v1,{}", BASE64_STANDARD.encode(hmac::sign(key, text.as_bytes()).as_ref()));
        self.keys.iter().map(sign).collect::<Vec<_>>().join(" ")
    }
}
