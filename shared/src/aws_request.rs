//! Requests to AWS services other than the table.
//!
//! They are signed here instead of by the services' SDK crates, which would add their event streams to the SDK's runtime
//! in every binary.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::config::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningInstructions,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use reqwest::{Body, Method, Url};

use crate::config::{self, ConfigError, Environment};
use crate::vonage::http_client;

/// The longest time that a request may take. A caller may wait for it.
const TIME_LIMIT: Duration = Duration::from_secs(2);

/// The name of S3 in hosts and signatures. Its signatures differ from those of all other services.
const S3: &str = "s3";

/// A client of one AWS service.
#[derive(Debug)]
pub(crate) struct AwsService {
    signer: AwsSigner,
    endpoint: String,
    /// PEM certificates of the authorities that TLS trusts; `None` trusts Mozilla's list.
    authorities: Option<Vec<u8>>,
    /// Made for the first request: a start and most requests need none.
    http: OnceLock<reqwest::Client>,
}

/// The signer of requests to one AWS service. It needs no HTTP client.
#[derive(Debug)]
pub struct AwsSigner {
    /// The service's name in signatures.
    name: &'static str,
    region: String,
    credentials: Credentials,
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

impl AwsSigner {
    /// Reads the region and the credentials from `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, if it is set,
    /// `AWS_SESSION_TOKEN`. `name` is the service's.
    ///
    /// # Errors
    /// A variable is missing.
    pub fn new(env: &Environment, name: &'static str) -> Result<Self, ConfigError> {
        let (id, secret) = (env.required("AWS_ACCESS_KEY_ID")?, env.required("AWS_SECRET_ACCESS_KEY")?);
        let credentials = Credentials::new(id, secret, env.optional("AWS_SESSION_TOKEN"), None, "environment");
        Ok(Self { name, region: env.required("AWS_REGION")?, credentials })
    }

    /// Returns the service's endpoint in the region.
    pub(crate) fn endpoint(&self) -> String {
        format!("https://{}.{}.amazonaws.com", self.name, self.region)
    }

    /// Returns the address of a GET with a signature in it, which is valid for `lifetime` from `now`.
    pub(crate) fn presigned(&self, url: &str, lifetime: Duration, now: SystemTime) -> Option<String> {
        let mut settings = self.settings();
        (settings.signature_location, settings.expires_in) = (SignatureLocation::QueryParams, Some(lifetime));
        settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
        let none = std::iter::empty();
        let request = SignableRequest::new("GET", url, none, SignableBody::UnsignedPayload).ok()?;
        let (_, parameters) = self.sign(request, settings, now)?.into_parts();
        let mut presigned = Url::parse(url).ok()?;
        presigned.query_pairs_mut().extend_pairs(parameters);
        Some(presigned.into())
    }

    /// Returns the headers that sign a request with this body, made now; `None` if the request makes no sense.
    pub fn headers(&self, method: &str, url: &str, body: &[u8]) -> Option<Vec<(String, String)>> {
        let request = SignableRequest::new(method, url, std::iter::empty(), SignableBody::Bytes(body)).ok()?;
        let signed = self.sign(request, self.settings(), SystemTime::now())?;
        Some(signed.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    fn settings(&self) -> SigningSettings {
        let mut settings = SigningSettings::default();
        if self.name == S3 {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        settings
    }

    fn sign(
        &self,
        request: SignableRequest<'_>,
        settings: SigningSettings,
        now: SystemTime,
    ) -> Option<SigningInstructions> {
        let identity = self.credentials.clone().into();
        let params = SigningParams::builder().identity(&identity).region(&self.region).name(self.name);
        let params = params.time(now).settings(settings).build().ok()?.into();
        Some(sign(request, &params).ok()?.into_parts().0)
    }
}

impl AwsService {
    /// Returns the service with this name in hosts and signatures. `endpoint` is another endpoint than AWS. Sends nothing.
    pub(crate) fn new(env: &Environment, name: &'static str, endpoint: Option<String>) -> Result<Self, ConfigError> {
        let signer = AwsSigner::new(env, name)?;
        let endpoint = endpoint.unwrap_or_else(|| signer.endpoint());
        Ok(Self { signer, endpoint, authorities: config::authorities(env)?, http: OnceLock::new() })
    }

    /// Posts `body` to a path, with these headers. Returns the answer if it is a success.
    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<reqwest::Response, AwsError> {
        let signed = SignableBody::Bytes(body.as_bytes());
        let request = self.request(Method::POST, path, headers, signed).ok_or(AwsError::Unsigned)?;
        answer(request.timeout(TIME_LIMIT).body(body)).await
    }

    /// Puts `body` at a path, within `limit`. The signature does not cover the body, which is read while it is sent.
    pub(crate) async fn put(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
        limit: Duration,
    ) -> Result<(), AwsError> {
        let signed = SignableBody::UnsignedPayload;
        let request = self.request(Method::PUT, path, headers, signed).ok_or(AwsError::Unsigned)?;
        answer(request.timeout(limit).body(body)).await.map(drop)
    }

    /// Deletes what is at a path.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), AwsError> {
        let request = self.request(Method::DELETE, path, &[], SignableBody::Bytes(b"")).ok_or(AwsError::Unsigned)?;
        answer(request.timeout(TIME_LIMIT)).await.map(drop)
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

    fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: SignableBody<'_>,
    ) -> Option<reqwest::RequestBuilder> {
        let url = format!("{}{path}", self.endpoint);
        let signable = SignableRequest::new(method.as_str(), &url, headers.iter().copied(), body).ok()?;
        let instructions = self.signer.sign(signable, self.signer.settings(), SystemTime::now())?;
        let request = self.http().request(method, &url);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Some(instructions.headers().fold(request, |request, (name, value)| request.header(name, value)))
    }
}

/// Sends a request. Returns the answer if it is a success.
async fn answer(request: reqwest::RequestBuilder) -> Result<reqwest::Response, AwsError> {
    let response = request.send().await.map_err(AwsError::NoAnswer)?;
    if response.status().is_success() { Ok(response) } else { Err(AwsError::Refused(response.status().as_u16())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: Amazon S3 API Reference, "Authenticating requests: using query parameters", the example.
    #[test]
    fn address_is_presigned_as_in_the_example_of_s3() {
        let variables = [
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        ];
        let signer = AwsSigner::new(&variables.into_iter().collect(), S3).unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        let url = "https://examplebucket.s3.amazonaws.com/test.txt";
        let presigned = signer.presigned(url, Duration::from_secs(86_400), now).unwrap();
        let expected = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        assert!(presigned.starts_with(url) && presigned.contains("X-Amz-Expires=86400"), "{presigned}");
        assert!(presigned.contains(&format!("X-Amz-Signature={expected}")), "{presigned}");
    }
}
