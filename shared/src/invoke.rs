//! Asynchronous invocation of another function of this deployment.
//!
//! The one request is signed here instead of by `aws-sdk-lambda`, which would add its event streams to the SDK's
//! runtime in every binary.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::config::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use serde_json::Value;

use crate::config::{ConfigError, Environment};
use crate::vonage::http_client;

/// The longest time that an invocation may take to be accepted. A caller waits for it.
const TIME_LIMIT: Duration = Duration::from_secs(2);

/// A function that runs after the answer is out.
#[derive(Debug)]
pub struct AsyncFunction {
    url: String,
    region: String,
    credentials: Credentials,
    /// Made for the first invocation: a start and most requests need none.
    http: OnceLock<reqwest::Client>,
}

/// A function was not invoked.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// The request could not be signed.
    #[error("the invocation could not be signed")]
    Unsigned,
    /// Lambda did not answer.
    #[error("Lambda did not answer")]
    NoAnswer(#[source] reqwest::Error),
    /// Lambda refused the invocation.
    #[error("Lambda refused the invocation with HTTP status {0}")]
    Refused(u16),
}

impl AsyncFunction {
    /// Returns the function that `PROVISION_FUNCTION_NAME` names; `AWS_ENDPOINT_URL_LAMBDA` is another endpoint than AWS.
    /// Sends nothing.
    pub fn provisioning(env: &Environment) -> Result<Self, ConfigError> {
        let name = env.required("PROVISION_FUNCTION_NAME")?;
        let region = env.required("AWS_REGION")?;
        let endpoint = env.optional("AWS_ENDPOINT_URL_LAMBDA");
        let endpoint = endpoint.unwrap_or_else(|| format!("https://lambda.{region}.amazonaws.com"));
        let (id, secret) = (env.required("AWS_ACCESS_KEY_ID")?, env.required("AWS_SECRET_ACCESS_KEY")?);
        Ok(Self {
            url: format!("{endpoint}/2015-03-31/functions/{name}/invocations"),
            region,
            credentials: Credentials::new(id, secret, env.optional("AWS_SESSION_TOKEN"), None, "environment"),
            http: OnceLock::new(),
        })
    }

    /// Hands `event` to the function, which runs later. Returns when Lambda has accepted it.
    pub async fn invoke(&self, event: &Value) -> Result<(), InvokeError> {
        let body = event.to_string();
        let request = self.http().post(&self.url).timeout(TIME_LIMIT);
        let request = self.signed(request, &body).ok_or(InvokeError::Unsigned)?;
        let response = request.body(body).send().await.map_err(InvokeError::NoAnswer)?;
        if response.status().is_success() { Ok(()) } else { Err(InvokeError::Refused(response.status().as_u16())) }
    }

    fn http(&self) -> &reqwest::Client {
        self.http.get_or_init(|| {
            let mut http = http_client(None);
            if self.url.starts_with("http://") {
                // The laptop: no proxy leads there.
                http = http.no_proxy();
            }
            http.build().expect("the settings of the client go together")
        })
    }

    fn signed(&self, request: reqwest::RequestBuilder, body: &str) -> Option<reqwest::RequestBuilder> {
        const HEADERS: [(&str, &str); 2] = [("content-type", "application/json"), ("x-amz-invocation-type", "Event")];
        let identity = self.credentials.clone().into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("lambda")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .ok()?
            .into();
        let signable =
            SignableRequest::new("POST", &self.url, HEADERS.into_iter(), SignableBody::Bytes(body.as_bytes()));
        let (instructions, _) = sign(signable.ok()?, &params).ok()?.into_parts();
        let request = HEADERS.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        Some(instructions.headers().fold(request, |request, (name, value)| request.header(name, value)))
    }
}
