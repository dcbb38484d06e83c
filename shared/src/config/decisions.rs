//! Configuration of the decision URLs: the addresses of the backend that conversations may name.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Url;

use super::{ConfigError, Environment, Secret, in_range};

/// The decision URLs that a deployment allows.
#[derive(Debug, Clone)]
pub struct DecisionUrls(Vec<Url>);

/// A URL is not one that the deployment allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a URL that DECISION_URLS allows, of at most {MOST_BYTES} bytes")]
pub struct UrlNotAllowed;

/// Length of the longest URL.
const MOST_BYTES: usize = 512;

/// Hosts of this machine, which may be asked without TLS.
const LOOPBACK: [&str; 3] = ["127.0.0.1", "[::1]", "localhost"];

impl Environment {
    /// Reads `DECISIONS` and, if they are on, `DECISION_URLS`. `None` if they are off.
    pub fn decision_urls(&self) -> Result<Option<DecisionUrls>, ConfigError> {
        match self.required("DECISIONS")?.as_str() {
            "on" | "all" => DecisionUrls::read(&self.required("DECISION_URLS")?).map(Some),
            "off" => Ok(None),
            _ => Err(malformed("DECISIONS", "must be on, all or off")),
        }
    }

    /// Reads `DECISIONS`. True if the backend also decides about strangers and late callers.
    pub fn asks_about_strangers(&self) -> Result<bool, ConfigError> {
        Ok(self.required("DECISIONS")? == "all")
    }

    /// Reads `DECISION_SECRET`: the secrets that sign the questions, decoded.
    pub fn decision_secrets(&self) -> Result<Vec<Vec<u8>>, ConfigError> {
        signing_secrets("DECISION_SECRET", &Secret(self.required("DECISION_SECRET")?))
    }

    /// Reads `DECISION_TIME_LIMIT_MS`.
    pub fn decision_time_limit(&self) -> Result<Duration, ConfigError> {
        let limit = in_range(self, "DECISION_TIME_LIMIT_MS", 50..=3_000, "milliseconds")?;
        Ok(Duration::from_millis(limit.into()))
    }
}

impl DecisionUrls {
    fn read(list: &str) -> Result<Self, ConfigError> {
        const EXPECTED: &str = "must be a list of https URLs without a query, such as https://backend.example/decide";
        let urls: Option<Vec<_>> = list.split(',').map(|url| entry(url.trim())).collect();
        urls.map(Self).ok_or_else(|| malformed("DECISION_URLS", EXPECTED))
    }

    /// Returns `url` as it is asked, if the list allows it: with the scheme, the host and the port of an entry, and with its
    /// path, or a path below it if the entry ends with a slash. A query is free.
    pub fn allowed(&self, url: &str) -> Result<Url, UrlNotAllowed> {
        let url = plain(url).filter(|_| url.len() <= MOST_BYTES).ok_or(UrlNotAllowed)?;
        let covers = |entry: &Url| {
            let is_below = entry.path().ends_with('/') && url.path().starts_with(entry.path());
            entry.origin() == url.origin() && (is_below || entry.path() == url.path())
        };
        if self.0.iter().any(covers) { Ok(url) } else { Err(UrlNotAllowed) }
    }

    /// Returns the URL that is asked about strangers, and about late callers whose conversation names none.
    pub fn first(&self) -> Option<&Url> {
        self.0.first()
    }

    /// True if one of them is on this machine.
    pub(crate) fn has_loopback(&self) -> bool {
        self.0.iter().any(|url| url.scheme() == "http")
    }
}

/// Reads an entry of the list, which has no query.
fn entry(url: &str) -> Option<Url> {
    backend_url(url).filter(|url| url.query().is_none())
}

/// Reads the secrets of Standard Webhooks in a list, decoded. `name` is the variable.
pub(super) fn signing_secrets(name: &'static str, list: &Secret) -> Result<Vec<Vec<u8>>, ConfigError> {
    const EXPECTED: &str = "must be whsec_ and 24 to 64 bytes in base64, or two of these with a comma between them";
    let decode = |secret: &str| {
        let key = BASE64_STANDARD.decode(secret.trim().strip_prefix("whsec_")?).ok()?;
        (24..=64).contains(&key.len()).then_some(key)
    };
    let keys: Option<Vec<_>> = list.0.split(',').map(decode).collect();
    keys.ok_or_else(|| malformed(name, EXPECTED))
}

/// Reads a URL of the backend: one of a named host with TLS, or one on this machine. An address in place of a name is refused,
/// because it may be one inside the network of the functions.
pub(super) fn backend_url(url: &str) -> Option<Url> {
    let url = plain(url)?;
    let is_loopback = url.host_str().is_some_and(|host| LOOPBACK.contains(&host));
    let is_reached = match url.scheme() {
        "https" => url.domain().is_some() && !is_loopback,
        "http" => is_loopback,
        _ => false,
    };
    is_reached.then_some(url)
}

/// Reads a URL without credentials and without a fragment.
fn plain(url: &str) -> Option<Url> {
    let url = Url::parse(url).ok()?;
    (url.username().is_empty() && url.password().is_none() && url.fragment().is_none()).then_some(url)
}

fn malformed(name: &'static str, expected: &str) -> ConfigError {
    ConfigError::Malformed { name, expected: expected.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(list: &str) -> Result<DecisionUrls, ConfigError> {
        let env: Environment = [("DECISIONS", "on"), ("DECISION_URLS", list)].into_iter().collect();
        Ok(env.decision_urls()?.unwrap())
    }

    #[test]
    fn url_is_allowed_by_origin_and_path() {
        let urls = urls("https://one.example/decide, https://two.example/calls/,http://127.0.0.1:7000/").unwrap();
        for good in [
            "https://one.example/decide",
            "https://ONE.example:443/decide?tenant=7",
            "https://two.example/calls/",
            "https://two.example/calls/rides/42",
            "http://127.0.0.1:7000/anything",
        ] {
            assert!(urls.allowed(good).is_ok(), "{good}");
        }
        let long = format!("https://two.example/calls/{}", "a".repeat(500));
        for bad in [
            "https://one.example/decide/more",
            "https://one.example/other",
            "https://one.example:8443/decide",
            "http://one.example/decide",
            "https://one.example.evil.example/decide",
            "https://user@one.example/decide",
            "https://one.example/decide#part",
            "https://two.example/calls",
            "https://two.example/calls/../admin",
            "https://two.example/calls/%2e%2e/admin",
            "http://127.0.0.1:7001/",
            "http://localhost:7000/",
            "one.example/decide",
            &long,
            "",
        ] {
            assert_eq!(urls.allowed(bad).err(), Some(UrlNotAllowed), "{bad}");
        }
    }

    #[test]
    fn list_has_named_hosts_with_tls_or_this_machine() {
        for bad in [
            "",
            "http://one.example/decide",
            "https://10.0.0.7/decide",
            "https://169.254.169.254/latest",
            "https://[fd00::1]/decide",
            "https://localhost/decide",
            "http://10.0.0.7/decide",
            "https://one.example/decide?key=1",
            "https://one.example/decide,",
            "ftp://one.example/decide",
        ] {
            assert!(urls(bad).unwrap_err().to_string().contains("DECISION_URLS"), "{bad}");
        }
        assert!(Environment::default().decision_urls().unwrap().is_none());
    }

    #[test]
    fn secrets_are_those_of_standard_webhooks() {
        let secrets = |list: &str| Environment::from_iter([("DECISION_SECRET", list)]).decision_secrets();
        let one = format!("whsec_{}", BASE64_STANDARD.encode([1; 24]));
        let other = format!("whsec_{}", BASE64_STANDARD.encode([2; 64]));
        assert_eq!(secrets(&one).unwrap(), [vec![1; 24]]);
        assert_eq!(secrets(&format!("{one},{other}")).unwrap(), [vec![1; 24], vec![2; 64]]);
        let short = format!("whsec_{}", BASE64_STANDARD.encode([1; 23]));
        for bad in ["", "whsec_", &one[6..], &short, &format!("{one},")] {
            assert!(secrets(bad).unwrap_err().to_string().contains("DECISION_SECRET"), "{bad}");
        }
    }
}
