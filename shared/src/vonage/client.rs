//! The HTTP client that all of Vonage's APIs share: credentials, time limits, and one error type.

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::retry::{Idempotency, RetryBudget, connect_limit};
use crate::config::VonageConfig;
use crate::domain::phone::without_numbers;

/// A client of Vonage's APIs.
#[derive(Debug, Clone)]
pub struct Vonage {
    http: reqwest::Client,
    config: VonageConfig,
}

/// Vonage did not do what it was asked to. Nothing in here names a number or a secret.
#[derive(Debug, thiserror::Error)]
pub enum VonageError {
    /// The credentials are wrong.
    #[error("Vonage refused the credentials")]
    Unauthorized,
    /// Too many requests at present; this one was not carried out.
    #[error("Vonage is asked too often at present")]
    RateLimited {
        /// For how long Vonage does not want to be asked again, where it says.
        retry_after: Option<Duration>,
    },
    /// Vonage refused this request, and why, in its own words.
    #[error("Vonage refused: {label} (code {code})")]
    Refused {
        /// The HTTP status, `error-code` or `status` of the answer.
        code: String,
        /// Its words.
        label: String,
    },
    /// Vonage failed. Whether the request was carried out is unknown.
    #[error("Vonage failed with HTTP status {0}")]
    Failed(u16),
    /// The answer is not what the API promises. Whether the request was carried out is unknown.
    #[error("Vonage's answer cannot be understood")]
    NotUnderstood(#[source] Option<DecodeError>),
    /// Vonage carried out a part of the request only: what it has told the ids of.
    #[error("Vonage did a part of it only")]
    Partly(Vec<String>),
    /// No connection could be made; the request was not carried out.
    #[error("Vonage cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// No answer came in time, or the connection broke. Whether the request was carried out is unknown.
    #[error("no answer from Vonage")]
    NoAnswer(#[source] reqwest::Error),
}

/// Where an answer stops making sense, and why, without the numbers that stand there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(String);

impl From<serde_json::Error> for DecodeError {
    /// A parser's complaint quotes the value that it complains of.
    fn from(error: serde_json::Error) -> Self {
        Self(without_numbers(&error.to_string()))
    }
}

impl VonageError {
    /// Whether the request may have been carried out all the same.
    pub fn outcome_is_unknown(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::NotUnderstood(_) | Self::Partly(_) | Self::NoAnswer(_))
    }

    /// A refusal in Vonage's words, which may quote a number.
    pub(super) fn refused(code: &str, label: &str) -> Self {
        Self::Refused { code: without_numbers(code), label: without_numbers(label) }
    }
}

impl From<reqwest::Error> for VonageError {
    fn from(error: reqwest::Error) -> Self {
        // A URL can hold a number in its query.
        let error = error.without_url();
        if error.is_connect() { Self::Unreachable(error) } else { Self::NoAnswer(error) }
    }
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
