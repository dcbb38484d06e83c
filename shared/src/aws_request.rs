//! Requests to AWS services other than the table.
//!
//! They are signed here instead of by the services' SDK crates, which would add their event streams to the SDK's runtime
//! in every binary.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::config::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;

use crate::config::{self, ConfigError, Environment};
use crate::vonage::http_client;

/// The longest time that a request may take. A caller may wait for it.
const TIME_LIMIT: Duration = Duration::from_secs(2);

/// A client of one AWS service.
#[derive(Debug)]
pub(crate) struct AwsService {
    /// The service's name in signatures.
    name: &'static str,
    endpoint: String,
    region: String,
    credentials: Credentials,
    /// PEM certificates of the authorities that TLS trusts; `None` trusts Mozilla's list.
    authorities: Option<Vec<u8>>,
    /// Made for the first request: a start and most requests need none.
    http: OnceLock<reqwest::Client>,
}

/// A request was not carried out, or it is not known if it was.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// The request could not be signed.
    #[error("the request to AWS could not be signed")]
    Unsigned,
    /// The service did not answer.
    #[error("AWS did not answer")]
    NoAnswer(#[source] reqwest::Error),
    /// The service refused the request.
    #[error("AWS refused the request with HTTP status {0}")]
    Refused(u16),
}

impl AwsService {
    /// Returns the service with this name in hosts and signatures. `endpoint` is another endpoint than AWS. Sends nothing.
    pub(crate) fn new(env: &Environment, name: &'static str, endpoint: Option<String>) -> Result<Self, ConfigError> {
        let region = env.required("AWS_REGION")?;
        let endpoint = endpoint.unwrap_or_else(|| format!("https://{name}.{region}.amazonaws.com"));
        let (id, secret) = (env.required("AWS_ACCESS_KEY_ID")?, env.required("AWS_SECRET_ACCESS_KEY")?);
        Ok(Self {
            name,
            endpoint,
            region,
            credentials: Credentials::new(id, secret, env.optional("AWS_SESSION_TOKEN"), None, "environment"),
            authorities: config::authorities(env)?,
            http: OnceLock::new(),
        })
    }

    /// Posts `body` to a path, with these headers. Returns the answer if it is a success.
    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<reqwest::Response, AwsError> {
        let url = format!("{}{path}", self.endpoint);
        let request = self.http().post(&url).timeout(TIME_LIMIT);
        let request = self.signed(request, &url, headers, &body).ok_or(AwsError::Unsigned)?;
        let response = request.body(body).send().await.map_err(AwsError::NoAnswer)?;
        if response.status().is_success() { Ok(response) } else { Err(AwsError::Refused(response.status().as_u16())) }
    }

    fn http(&self) -> &reqwest::Client {
        self.http.get_or_init(|| {
            let mut http = http_client(self.authorities.as_deref());
            if self.endpoint.starts_with("http://") {
                // The laptop: no proxy leads there.
                http = http.no_proxy();
            }
            http.build().expect("the settings of the client go together")
        })
    }

    fn signed(
        &self,
        request: reqwest::RequestBuilder,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Option<reqwest::RequestBuilder> {
        let identity = self.credentials.clone().into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.name)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .ok()?
            .into();
        let signable = SignableRequest::new("POST", url, headers.iter().copied(), SignableBody::Bytes(body.as_bytes()));
        let (instructions, _) = sign(signable.ok()?, &params).ok()?.into_parts();
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Some(instructions.headers().fold(request, |request, (name, value)| request.header(name, value)))
    }
}
