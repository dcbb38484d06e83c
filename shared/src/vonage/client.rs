//! The HTTP client of all of Vonage's APIs: credentials, TLS and time limits.

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::VonageError;
use super::rate_limit::RateLimiter;
use super::retry::{Idempotency, RetryBudget, connect_limit};
use crate::config::VonageConfig;
use crate::xray::{self, Outgoing, Target};

/// A client of Vonage's APIs.
#[derive(Debug, Clone)]
pub struct Vonage {
    http: reqwest::Client,
    config: VonageConfig,
}

/// The method of a request, and its parameters.
pub(super) enum Payload<'a, P: Serialize> {
    /// GET with a query string.
    Query(&'a P),
    /// POST with a form.
    Form(&'a P),
    /// POST with a JSON body.
    Json(&'a P),
    /// PUT with a JSON body.
    PutJson(&'a P),
    /// DELETE with a query string.
    Delete(&'a P),
}

impl<P: Serialize> Clone for Payload<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: Serialize> Copy for Payload<'_, P> {}

/// Returns the builder of an HTTP client with the TLS of every binary here: rustls on ring. It offers HTTP/2, so that
/// concurrent requests share a connection. It trusts the certificates in `authorities` (PEM), or by default the
/// built-in list of Mozilla.
pub fn http_client(authorities: Option<&[u8]>) -> reqwest::ClientBuilder {
    let mut roots = RootCertStore::empty();
    match authorities {
        // Anything in it that is not a certificate is ignored.
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
    /// Creates a client of the account in `config`. It sends nothing yet.
    pub fn new(config: VonageConfig) -> Self {
        let mut http = http_client(config.authorities.as_deref());
        if [&config.api_url, &config.rest_url, &config.insights_url].iter().any(|url| url.starts_with("http://")) {
            // The simulator runs on this machine or on the container's host, which no proxy can reach.
            http = http.no_proxy();
        }
        let http = http
            .connect_timeout(connect_limit(config.time_limit))
            // Connections are dead when Lambda resumes a function that was frozen for a while.
            .pool_idle_timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("the settings above are compatible");
        Self { http, config }
    }

    /// Connects to the host of `url`, so that the first request to it does not wait for a connection. The response does not
    /// matter.
    pub(super) async fn warm_up(&self, url: String) {
        let _ = self.http.head(url).timeout(connect_limit(self.config.time_limit)).send().await;
    }

    /// Returns the longest time for one request, including its retries and the pauses between them.
    pub fn time_limit(&self) -> Duration {
        self.config.time_limit
    }

    pub(super) fn api(&self, path: &str) -> String {
        format!("{}{path}", self.config.api_url)
    }

    pub(super) fn rest(&self, path: &str) -> String {
        format!("{}{path}", self.config.rest_url)
    }

    pub(super) fn insights(&self, path: &str) -> String {
        format!("{}{path}", self.config.insights_url)
    }

    /// Returns the budget of a request to `path`, whose attempts wait for turns of `rate_limiter`, if there is one.
    pub(super) fn retry_budget<'a>(
        &self,
        path: &'a str,
        idempotency: Idempotency,
        rate_limiter: Option<&'a RateLimiter>,
    ) -> RetryBudget<'a> {
        RetryBudget::new(path, idempotency, self.config.time_limit, rate_limiter)
    }

    /// Sends a request of the account once, for at most `limit`, and returns the HTTP status and the body. 401, 429 and
    /// 5xx are errors.
    pub(super) async fn send<P: Serialize>(
        &self,
        url: String,
        payload: Payload<'_, P>,
        limit: Duration,
    ) -> Result<(StatusCode, Vec<u8>), VonageError> {
        let request = self.request(url, payload);
        answer(request.basic_auth(&self.config.api_key, Some(&self.config.api_secret.0)).timeout(limit)).await
    }

    /// Like [`Vonage::send`], for a request of the application, whose `token` authenticates it.
    pub(super) async fn send_as_application<P: Serialize>(
        &self,
        token: &str,
        url: String,
        payload: Payload<'_, P>,
        limit: Duration,
    ) -> Result<(StatusCode, Vec<u8>), VonageError> {
        answer(self.request(url, payload).bearer_auth(token).timeout(limit)).await
    }

    /// Sends a GET of the application to any address, and returns the response with a body that is still to be read, within `limit`
    /// from now. 401, 429 and 5xx are errors. The caller has checked the address: `token` is sent there.
    pub(super) async fn open(&self, token: &str, url: Url, limit: Duration) -> Result<Response, VonageError> {
        checked(deliver(self.http.get(url).bearer_auth(token).timeout(limit)).await?.0)
    }

    fn request<P: Serialize>(&self, url: String, payload: Payload<'_, P>) -> RequestBuilder {
        match payload {
            Payload::Query(query) => self.http.get(url).query(query),
            Payload::Form(form) => self.http.post(url).form(form),
            Payload::Json(json) => self.http.post(url).json(json),
            Payload::PutJson(json) => self.http.put(url).json(json),
            Payload::Delete(query) => self.http.delete(url).query(query),
        }
    }

    /// Sends a request once, for at most `limit`, and decodes the JSON body of a 200. Any other status is an error.
    pub(super) async fn send_for_json<P: Serialize, T: DeserializeOwned>(
        &self,
        url: String,
        payload: Payload<'_, P>,
        limit: Duration,
    ) -> Result<T, VonageError> {
        let (status, body) = self.send(url, payload, limit).await?;
        parse_ok(status, &body)
    }
}

/// Decodes the JSON body of a 200. Any other status is an error.
pub(super) fn parse_ok<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Result<T, VonageError> {
    if status != StatusCode::OK {
        return Err(VonageError::refused(status.as_str(), status.canonical_reason().unwrap_or("refused")));
    }
    parse(body)
}

pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, VonageError> {
    serde_json::from_slice(body).map_err(|error| VonageError::NotUnderstood(Some(error.into())))
}

/// Reads the seconds in `Retry-After`. A date, which HTTP also allows there, is ignored.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse::<u32>().ok()?;
    Some(Duration::from_secs(seconds.into()))
}

/// Sends a request, and returns the HTTP status and the body. 401, 429 and 5xx are errors.
async fn answer(request: RequestBuilder) -> Result<(StatusCode, Vec<u8>), VonageError> {
    let (response, outgoing) = deliver(request).await?;
    let response = checked(response)?;
    let answer = (response.status(), response.bytes().await?.to_vec());
    // Until here the trace counts the time.
    drop(outgoing);
    Ok(answer)
}

/// Sends a request, as a part of the trace of this task, and returns the response, whatever its status. The part ends with the
/// second value.
async fn deliver(request: RequestBuilder) -> Result<(Response, Option<Outgoing>), VonageError> {
    let (http, request) = request.build_split();
    let request = request?;
    let outgoing = xray::outgoing(|| {
        let (method, url) = (request.method().to_string(), request.url());
        let (scheme, host) = (url.scheme().to_owned(), url.host_str().unwrap_or_default().to_owned());
        Target::Http { method, scheme, host, path: xray::path_template(url.path()) }
    });
    let response = http.execute(request).await?;
    if let Some(outgoing) = &outgoing {
        outgoing.answered(response.status().as_u16(), 0);
    }
    Ok((response, outgoing))
}

/// Returns the response. 401, 429 and 5xx are errors.
fn checked(response: Response) -> Result<Response, VonageError> {
    match response.status() {
        StatusCode::UNAUTHORIZED => Err(VonageError::Unauthorized),
        StatusCode::TOO_MANY_REQUESTS => Err(VonageError::RateLimited { retry_after: retry_after(&response) }),
        status if status.is_server_error() => Err(VonageError::Failed(status.as_u16())),
        _ => Ok(response),
    }
}
