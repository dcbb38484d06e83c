//! Files of recordings at Vonage.
//!
//! Source: Vonage Voice API, "Recording": a file is fetched from its `recording_url` with a token of the application whose call it
//! was, and is kept for 30 days. Vonage does not say at which of its hosts a file is.

use std::time::Duration;

use reqwest::{Response, StatusCode, Url};

use super::application_token::ApplicationToken;
use super::client::Vonage;
use super::error::VonageError;
use crate::config::{ConfigError, Environment};

/// The longest time for one file, in seconds. The longest recording has two hours, which is some 60 MB.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// A client for the files.
#[derive(Debug)]
pub struct RecordingsApi {
    vonage: Vonage,
    token: ApplicationToken,
    domains: Vec<String>,
}

/// A file cannot be fetched now.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The address is not one of Vonage, so no token was sent there.
    #[error("the address of the recording is at no host of Vonage; see VONAGE_RECORDING_DOMAINS")]
    ForeignHost,
    /// Vonage does not have the file, not yet or not any more.
    #[error("Vonage does not have the recording")]
    NotThere,
    /// Vonage does not give the file.
    #[error(transparent)]
    Vonage(#[from] VonageError),
}

impl RecordingsApi {
    /// Creates a client with the application's `token`. Reads `VONAGE_RECORDING_DOMAINS`.
    pub fn new(vonage: Vonage, token: ApplicationToken, env: &Environment) -> Result<Self, ConfigError> {
        let domains = env.required("VONAGE_RECORDING_DOMAINS")?;
        let domains: Vec<String> = domains.split(',').map(|domain| domain.trim().to_lowercase()).collect();
        let is_domain = |domain: &String| {
            let mut labels = domain.split('.');
            domain.contains('.') && labels.all(|label| !label.is_empty() && label.bytes().all(is_of_host))
        };
        if domains.iter().all(is_domain) {
            return Ok(Self { vonage, token, domains });
        }
        let expected = "must be a list of domains such as nexmo.com,vonage.com".to_owned();
        Err(ConfigError::Malformed { name: "VONAGE_RECORDING_DOMAINS", expected })
    }

    /// Begins to fetch the file at `url`. The token is sent only to a host of Vonage over HTTPS, or to the deployment's own
    /// `VONAGE_API_URL`, and no redirect is followed with it.
    pub async fn open(&self, url: &str) -> Result<Response, FetchError> {
        let url = self.allowed(url).ok_or(FetchError::ForeignHost)?;
        let token = self.token.current()?;
        let response = self.vonage.open(&token, url, TIME_LIMIT).await?;
        match response.status() {
            StatusCode::OK => Ok(response),
            StatusCode::NOT_FOUND => Err(FetchError::NotThere),
            status => Err(VonageError::refused(status.as_str(), "the recording was not given").into()),
        }
    }

    /// Returns the address, if a token may be sent to it.
    fn allowed(&self, url: &str) -> Option<Url> {
        let url = Url::parse(url).ok()?;
        let own = Url::parse(&self.vonage.api("/")).ok()?;
        let is_at_vonage = |host: &str| {
            let host = host.to_lowercase();
            self.domains.iter().any(|domain| {
                host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            })
        };
        let is_plain = url.username().is_empty() && url.password().is_none();
        let is_public = url.scheme() == "https" && url.port().is_none() && url.host_str().is_some_and(is_at_vonage);
        (is_plain && (is_public || url.origin() == own.origin())).then_some(url)
    }
}

fn is_of_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::config::VonageConfig;

    const KEY: &str = include_str!("../../../local/src/account/private_key.pem");

    fn api(domains: &str) -> Result<RecordingsApi, ConfigError> {
        let variables = [
            ("VONAGE_API_KEY", "key"),
            ("VONAGE_API_SECRET", "secret"),
            ("VONAGE_API_URL", "http://127.0.0.1:4000"),
            ("VONAGE_APPLICATION_ID", "an-application"),
            ("VONAGE_PRIVATE_KEY", KEY),
            ("VONAGE_RECORDING_DOMAINS", domains),
        ];
        let env: Environment = variables.into_iter().collect();
        let token = ApplicationToken::from_environment(&env, clock::system()).unwrap();
        RecordingsApi::new(Vonage::new(VonageConfig::from_environment(&env).unwrap()), token, &env)
    }

    #[test]
    fn token_is_sent_to_vonage_only() {
        let api = api("").unwrap();
        for good in [
            "https://api.nexmo.com/v1/files/1",
            "https://API-US.nexmo.com/v1/files/1",
            "https://api-eu-3.vonage.com/v1/files/1",
            "https://api-us-1.vonage.com:443/v1/files/1",
            "http://127.0.0.1:4000/v1/files/1",
        ] {
            assert!(api.allowed(good).is_some(), "{good}");
        }
        for bad in [
            "http://api.nexmo.com/v1/files/1",
            "https://api.nexmo.com:8443/v1/files/1",
            "https://nexmo.com.example/v1/files/1",
            "https://evilnexmo.com/v1/files/1",
            "https://api.nexmo.com@evil.example/v1/files/1",
            "https://user:pass@api.nexmo.com/v1/files/1",
            "https://evil.example/?https://api.nexmo.com/",
            "https://evil.example\\.nexmo.com/v1",
            "http://127.0.0.1:4001/v1/files/1",
            "http://127.0.0.1/v1/files/1",
            "file:///etc/passwd",
            "/v1/files/1",
            "",
        ] {
            assert!(api.allowed(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn domains_are_configured_and_checked() {
        let other = api("media.example, nexmo.com").unwrap();
        assert!(other.allowed("https://eu.media.example/1").is_some());
        assert!(other.allowed("https://api.vonage.com/1").is_none());
        for bad in ["com", "nexmo.com,", "*.nexmo.com", "https://nexmo.com"] {
            assert!(api(bad).unwrap_err().to_string().contains("VONAGE_RECORDING_DOMAINS"), "{bad}");
        }
    }
}
