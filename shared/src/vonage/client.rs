//! The HTTP client that all of Vonage's APIs share: credentials and time limits.

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::VonageError;
use super::retry::{Idempotency, RetryBudget, connect_limit};
use crate::config::VonageConfig;

/// A client of Vonage's APIs.
#[derive(Debug, Clone)]
pub struct Vonage {
    http: reqwest::Client,
    config: VonageConfig,
}

/// What to send.
pub(super) enum Payload<'a, P: Serialize> {
    Query(&'a P),
    Form(&'a P),
    /// A JSON body by POST.
    Json(&'a P),
    /// A JSON body by PUT.
    Put(&'a P),
}

impl<P: Serialize> Clone for Payload<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: Serialize> Copy for Payload<'_, P> {}

/// An HTTP client with the TLS that every binary here has: rustls on ring, with HTTP/2 where the other side has it too, so
/// that requests side by side share a connection. It trusts `authorities`, certificates as PEM, or else Mozilla's list,
/// which is built in.
pub fn http_client(authorities: Option<&[u8]>) -> reqwest::ClientBuilder {
    let mut roots = RootCertStore::empty();
    match authorities {
        // What is no certificate in there is for nobody to trust.
        Some(pem) => _ = roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).flatten()),
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let mut tls = ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("ring serves the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    reqwest::Client::builder().tls_backend_preconfigured(tls)
}

impl Vonage {
    /// A client of the account in `config`. Nothing is sent yet.
    pub fn new(config: VonageConfig) -> Self {
        let mut http = http_client(config.authorities.as_deref());
        if config.api_url.starts_with("http://") || config.rest_url.starts_with("http://") {
            // The simulator, on this machine or the one that a container runs on: no proxy leads there.
            http = http.no_proxy();
        }
        let http = http
            .connect_timeout(connect_limit(config.time_limit))
            // A function that was frozen for a while finds its connections dead.
            .pool_idle_timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("the settings above go together");
        Self { http, config }
    }

    /// Makes a connection to where numbers are looked up, so that the first lookup need not wait for one. Asks for nothing
    /// there; whether anything is answered does not matter.
    pub async fn warm_up(&self) {
        let _ = self.http.head(self.api("/")).timeout(connect_limit(self.config.time_limit)).send().await;
    }

    /// How long one request may take, with its repetitions and the pauses between them.
    pub fn time_limit(&self) -> Duration {
        self.config.time_limit
    }

    pub(super) fn api(&self, path: &str) -> String {
        format!("{}{path}", self.config.api_url)
    }

    pub(super) fn rest(&self, path: &str) -> String {
        format!("{}{path}", self.config.rest_url)
    }

    /// The attempts at a request to `path`, of this idempotency.
    pub(super) fn tries<'a>(&self, path: &'a str, idempotency: Idempotency) -> RetryBudget<'a> {
        RetryBudget::new(path, idempotency, self.config.time_limit)
    }

    /// Asks once, for at most `limit`, and gives the HTTP status with the body. 401, 429 and 5xx are errors already.
    pub(super) async fn ask<P: Serialize>(
        &self,
        url: String,
        payload: Payload<'_, P>,
        limit: Duration,
    ) -> Result<(StatusCode, Vec<u8>), VonageError> {
        let request = match payload {
            Payload::Query(query) => self.http.get(url).query(query),
            Payload::Form(form) => self.http.post(url).form(form),
            Payload::Json(json) => self.http.post(url).json(json),
            Payload::Put(json) => self.http.put(url).json(json),
        };
        let request = request.basic_auth(&self.config.api_key, Some(&self.config.api_secret.0)).timeout(limit);
        let response = request.send().await?;
        match response.status() {
            StatusCode::UNAUTHORIZED => Err(VonageError::Unauthorized),
            StatusCode::TOO_MANY_REQUESTS => Err(VonageError::RateLimited { retry_after: retry_after(&response) }),
            status if status.is_server_error() => Err(VonageError::Failed(status.as_u16())),
            status => Ok((status, body(response).await?)),
        }
    }

    /// Asks once, for at most `limit`, and reads the body of a 200.
    pub(super) async fn ask_json<P: Serialize, T: DeserializeOwned>(
        &self,
        url: String,
        payload: Payload<'_, P>,
        limit: Duration,
    ) -> Result<T, VonageError> {
        let (status, body) = self.ask(url, payload, limit).await?;
        parse_ok(status, &body)
    }
}

/// Reads the body of a 200.
pub(super) fn parse_ok<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Result<T, VonageError> {
    if status != StatusCode::OK {
        return Err(VonageError::refused(status.as_str(), status.canonical_reason().unwrap_or("refused")));
    }
    parse(body)
}

pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, VonageError> {
    serde_json::from_slice(body).map_err(|error| VonageError::NotUnderstood(Some(error.into())))
}

/// The seconds of `Retry-After`; a date, which the header may have too, is passed over.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse::<u32>().ok()?;
    Some(Duration::from_secs(seconds.into()))
}

async fn body(response: Response) -> Result<Vec<u8>, VonageError> {
    Ok(response.bytes().await?.to_vec())
}
