//! Configuration of the delivery of events to the deployment's own backend.

use std::time::Duration;

use reqwest::Url;

use super::decisions::{backend_url, signing_secrets};
use super::{ConfigError, Environment, Secret, in_range};

impl Environment {
    /// Reads `WEBHOOK_URL`. `None` if events are not delivered.
    pub fn webhook_url(&self) -> Result<Option<Url>, ConfigError> {
        let Some(url) = self.optional("WEBHOOK_URL") else { return Ok(None) };
        let expected = "must be an https URL of a named host, such as https://backend.example/events".to_owned();
        backend_url(&url).map(Some).ok_or(ConfigError::Malformed { name: "WEBHOOK_URL", expected })
    }

    /// Reads `WEBHOOK_SECRET`: the secrets that sign the events, decoded.
    pub fn webhook_secrets(&self) -> Result<Vec<Vec<u8>>, ConfigError> {
        signing_secrets("WEBHOOK_SECRET", &Secret(self.required("WEBHOOK_SECRET")?))
    }

    /// Reads `WEBHOOK_TIME_LIMIT_MS`.
    pub fn webhook_time_limit(&self) -> Result<Duration, ConfigError> {
        let limit = in_range(self, "WEBHOOK_TIME_LIMIT_MS", 50..=20_000, "milliseconds")?;
        Ok(Duration::from_millis(limit.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_has_tls_and_a_name_but_on_this_machine() {
        let url = |url: &str| Environment::from_iter([("WEBHOOK_URL", url)]).webhook_url();
        assert!(url("").unwrap().is_none());
        for good in [
            "https://backend.example/events",
            "https://backend.example:8443/events?of=maskline",
            "http://127.0.0.1:9000/",
            "http://localhost:9000/events",
        ] {
            assert_eq!(url(good).unwrap().unwrap().as_str(), good);
        }
        for bad in [
            "http://backend.example/events",
            "https://10.0.0.7/events",
            "https://[fd00::7]/events",
            "https://169.254.169.254/latest/meta-data",
            "https://user:secret@backend.example/",
            "https://backend.example/#part",
            "ftp://backend.example/",
            "backend.example",
        ] {
            assert!(url(bad).unwrap_err().to_string().contains("WEBHOOK_URL"), "{bad}");
        }
    }
}
