//! Configuration from environment variables. A function reads all of its own while it starts, so that a missing or
//! malformed one stops it there, with an error that names it.
//!
//! | variable | meaning |
//! |---|---|
//! | `TABLE_NAME` | the DynamoDB table |
//! | `AWS_ENDPOINT_URL_DYNAMODB` | another DynamoDB endpoint, for the laptop and tests |
//! | `DYNAMODB_TIME_LIMIT_MS` | how long one operation on the table may take, with its repetitions, 100 to 60000; default 1800, and 700 where a caller waits for it |
//! | `VONAGE_API_KEY`, `VONAGE_API_SECRET` | the Vonage account |
//! | `VONAGE_APPLICATION_ID` | the Voice application that rented numbers are linked to |
//! | `VONAGE_SIGNATURE_SECRET` | signs Vonage's webhooks |
//! | `VONAGE_SIGNATURE_SECRET_2` | signs them as well, while one secret takes the place of the other |
//! | `VONAGE_SIGNATURE_MAX_AGE_SECONDS` | how far the time of a signature may be from now, either way; default 300 |
//! | `VONAGE_API_URL`, `VONAGE_REST_URL` | Vonage's hosts; default `https://api.nexmo.com`, `https://rest.nexmo.com` |
//! | `VONAGE_TIME_LIMIT_MS` | how long one request to Vonage may take, with its repetitions, 50 to 20000; default 5000 |
//! | `MAX_CALL_SECONDS` | the longest call, 60 to 7200 (Vonage's own limit); default 7200 |
//! | `CALLABLE_COUNTRIES` | countries whose phones people may bring, such as `GB,US`; default all |
//! | `QUARANTINE_SECONDS` | default 86400; at least `MAX_CALL_SECONDS`, at most 30 days |
//! | `FALLBACK_COUNTRIES` | countries whose numbers are given to people of any country, such as `GB,US`; default none |
//! | `AUTO_RENT_MAX` | up to how many numbers a country may come to without an order, such as `GB=20,US=5`; default 0 |
//! | `MONTHLY_BUDGET_EUR` | what the rent of all numbers may come to a month; unset is no limit |
//! | `HEADROOM` | how many more numbers than its busiest caller lately has held a country is to have, such as `GB=2` |
//! | `SSL_CERT_FILE` | a file of PEM certificates whose authorities TLS trusts in place of those built in |
//! | `VONAGE_NUMBERS_INTERVAL_MS` | the least time between two requests to the Numbers API; default 1000 |

use std::collections::HashMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use rust_decimal::Decimal;

use crate::domain::call_limits::CallLimits;
use crate::domain::country::{Country, CountryCounts};

/// The environment variables of this process, or those that a laptop or a test gives in their place.
#[derive(Clone, Default)]
pub struct Environment(HashMap<String, String>);

/// A variable is missing or malformed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The variable has to be set.
    #[error("the environment variable {0} is not set")]
    Missing(&'static str),
    /// The variable's value cannot be used. The value is not shown: it may be a secret.
    #[error("the environment variable {name} is malformed: {expected}")]
    Malformed {
        /// The variable.
        name: &'static str,
        /// What it should be.
        expected: String,
    },
}

impl Environment {
    /// The variables of this process.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// All variables, for another process.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The same variables, but for those that differ.
    pub fn with(mut self, differing: impl IntoIterator<Item = (String, String)>) -> Self {
        self.0.extend(differing);
        self
    }

    /// The variable `name`, if it is set and not empty (a template cannot leave one out, only empty).
    pub fn optional(&self, name: &str) -> Option<String> {
        self.0.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// The variable `name`, which has to be set.
    pub fn required(&self, name: &'static str) -> Result<String, ConfigError> {
        self.optional(name).ok_or(ConfigError::Missing(name))
    }

    fn parsed<T: FromStr>(&self, name: &'static str, expected: &str) -> Result<Option<T>, ConfigError> {
        let malformed = |_| ConfigError::Malformed { name, expected: expected.to_owned() };
        self.optional(name).map(|value| value.parse().map_err(malformed)).transpose()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// How long calls and quarantines last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durations {
    /// The longest call, from the first thing said to the end of the talk, in seconds.
    pub max_call_seconds: u32,
    /// How long after an end the two (caller, number) keys are given to nobody, in seconds.
    pub quarantine_seconds: u32,
}

impl Durations {
    const MAX_QUARANTINE_SECONDS: u32 = 30 * 86_400;
    /// What the quarantine of a conversation with such calls may be, in seconds: never shorter than one of them, so that
    /// the last event of a call still finds its own conversation.
    pub fn allowed_quarantines(limits: CallLimits) -> RangeInclusive<u32> {
        limits.max_call_seconds..=Self::MAX_QUARANTINE_SECONDS
    }

    /// What the longest call of a conversation may be, in seconds.
    pub fn allowed_max_call_seconds(self) -> RangeInclusive<u32> {
        CallLimits::MIN_CALL_SECONDS..=self.max_call_seconds
    }

    /// Reads `MAX_CALL_SECONDS` and `QUARANTINE_SECONDS`.
    pub fn from_environment(env: &Environment) -> Result<Self, ConfigError> {
        let longest = CallLimits::MAX_CALL_SECONDS;
        let max_call_seconds =
            in_range(env, "MAX_CALL_SECONDS", longest, CallLimits::MIN_CALL_SECONDS..=longest, "seconds")?;
        let quarantines = max_call_seconds..=Self::MAX_QUARANTINE_SECONDS;
        let quarantine_seconds = in_range(env, "QUARANTINE_SECONDS", 86_400, quarantines, "seconds")?;
        Ok(Self { max_call_seconds, quarantine_seconds })
    }
}

impl Environment {
    /// `AUTO_RENT_MAX` or `HEADROOM`: a count for each of some countries.
    pub fn country_counts(&self, name: &'static str) -> Result<CountryCounts, ConfigError> {
        Ok(self.parsed(name, "must be a list such as GB=20,US=5")?.unwrap_or_default())
    }

    /// `FALLBACK_COUNTRIES` or `CALLABLE_COUNTRIES`: some countries.
    pub fn countries(&self, name: &'static str) -> Result<Vec<Country>, ConfigError> {
        let malformed = |_| ConfigError::Malformed { name, expected: "must be a list such as GB,US".to_owned() };
        let list = self.optional(name).unwrap_or_default();
        let codes = list.split(',').map(str::trim).filter(|code| !code.is_empty());
        codes.map(|code| Country::try_from(code).map_err(malformed)).collect()
    }

    /// Reads `MONTHLY_BUDGET_EUR`.
    pub fn monthly_budget(&self) -> Result<Option<Decimal>, ConfigError> {
        const NAME: &str = "MONTHLY_BUDGET_EUR";
        let expected = "must be an amount in EUR that is not negative, such as 100 or 12.50";
        match self.parsed::<Decimal>(NAME, expected)? {
            Some(budget) if budget.is_sign_negative() => {
                Err(ConfigError::Malformed { name: NAME, expected: expected.to_owned() })
            }
            budget => Ok(budget),
        }
    }

    /// Reads `DYNAMODB_TIME_LIMIT_MS`; none if it is not set.
    pub fn dynamodb_time_limit(&self) -> Result<Option<Duration>, ConfigError> {
        let limit = in_range_if_set(self, "DYNAMODB_TIME_LIMIT_MS", 100..=60_000, "milliseconds")?;
        Ok(limit.map(|limit| Duration::from_millis(limit.into())))
    }

    /// Reads `VONAGE_NUMBERS_INTERVAL_MS`.
    pub fn numbers_interval(&self) -> Result<Duration, ConfigError> {
        let interval = in_range(self, "VONAGE_NUMBERS_INTERVAL_MS", 1000, 0..=10_000, "milliseconds")?;
        Ok(Duration::from_millis(interval.into()))
    }
}

fn in_range(
    env: &Environment,
    name: &'static str,
    default: u32,
    range: RangeInclusive<u32>,
    unit: &str,
) -> Result<u32, ConfigError> {
    Ok(in_range_if_set(env, name, range, unit)?.unwrap_or(default))
}

fn in_range_if_set(
    env: &Environment,
    name: &'static str,
    range: RangeInclusive<u32>,
    unit: &str,
) -> Result<Option<u32>, ConfigError> {
    let expected = format!("must be from {} to {} {unit}", range.start(), range.end());
    match env.parsed(name, &expected)? {
        Some(value) if !range.contains(&value) => Err(ConfigError::Malformed { name, expected }),
        value => Ok(value),
    }
}

/// What the verification of Vonage's webhooks needs.
#[derive(Debug, Clone)]
pub struct SignatureConfig {
    /// The account's signature secrets: while one takes the place of the other, both are valid.
    pub secrets: Vec<Secret>,
    /// How far the time of a signature may be from now, in seconds, either way.
    pub max_age_seconds: u32,
    /// The account.
    pub api_key: String,
    /// The Voice application.
    pub application_id: String,
}

impl SignatureConfig {
    /// Reads `VONAGE_SIGNATURE_SECRET`, `VONAGE_SIGNATURE_SECRET_2`, `VONAGE_SIGNATURE_MAX_AGE_SECONDS`,
    /// `VONAGE_API_KEY` and `VONAGE_APPLICATION_ID`.
    pub fn from_environment(env: &Environment) -> Result<Self, ConfigError> {
        let first = env.required("VONAGE_SIGNATURE_SECRET")?;
        let second = env.optional("VONAGE_SIGNATURE_SECRET_2");
        Ok(Self {
            secrets: [first].into_iter().chain(second).map(Secret).collect(),
            max_age_seconds: in_range(env, "VONAGE_SIGNATURE_MAX_AGE_SECONDS", 300, 1..=u32::MAX, "seconds")?,
            api_key: env.required("VONAGE_API_KEY")?,
            application_id: env.required("VONAGE_APPLICATION_ID")?,
        })
    }
}

/// The Vonage account and where its API is.
#[derive(Debug, Clone)]
pub struct VonageConfig {
    /// The account's key.
    pub api_key: String,
    /// The account's secret.
    pub api_secret: Secret,
    /// `https://api.nexmo.com`, without a slash at the end.
    pub api_url: String,
    /// `https://rest.nexmo.com`, without a slash at the end.
    pub rest_url: String,
    /// How long one request may take, with its repetitions. An attempt has three fifths of that.
    pub time_limit: Duration,
    /// Certificates, as PEM, of the authorities that TLS trusts; none trusts Mozilla's list, which is built in.
    pub authorities: Option<Vec<u8>>,
}

impl VonageConfig {
    /// Reads `VONAGE_API_KEY`, `VONAGE_API_SECRET`, `VONAGE_API_URL`, `VONAGE_REST_URL`, `VONAGE_TIME_LIMIT_MS`, and the file
    /// of `SSL_CERT_FILE`.
    pub fn from_environment(env: &Environment) -> Result<Self, ConfigError> {
        Ok(Self {
            api_key: env.required("VONAGE_API_KEY")?,
            api_secret: Secret(env.required("VONAGE_API_SECRET")?),
            api_url: base_url(env, "VONAGE_API_URL", "https://api.nexmo.com")?,
            rest_url: base_url(env, "VONAGE_REST_URL", "https://rest.nexmo.com")?,
            time_limit: Duration::from_millis(
                in_range(env, "VONAGE_TIME_LIMIT_MS", 5000, 50..=20_000, "milliseconds")?.into(),
            ),
            authorities: authorities(env)?,
        })
    }
}

fn authorities(env: &Environment) -> Result<Option<Vec<u8>>, ConfigError> {
    let unreadable =
        |error| ConfigError::Malformed { name: "SSL_CERT_FILE", expected: format!("must be a file ({error})") };
    env.optional("SSL_CERT_FILE").map(std::fs::read).transpose().map_err(unreadable)
}

fn base_url(env: &Environment, name: &'static str, default: &str) -> Result<String, ConfigError> {
    let url = env.optional(name).unwrap_or_else(|| default.to_owned());
    if url.starts_with("https://") || url.starts_with("http://") {
        Ok(url.trim_end_matches('/').to_owned())
    } else {
        Err(ConfigError::Malformed { name, expected: "must be an http or https URL".to_owned() })
    }
}

/// A value that `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn durations(variables: &[(&str, &str)]) -> Result<Durations, String> {
        Durations::from_environment(&variables.iter().copied().collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_quarantine_is_never_shorter_than_the_longest_call() {
        assert_eq!(durations(&[]), Ok(Durations { max_call_seconds: 7200, quarantine_seconds: 86_400 }));
        assert!(durations(&[("QUARANTINE_SECONDS", "7199")]).unwrap_err().contains("QUARANTINE_SECONDS"));
        assert!(durations(&[("QUARANTINE_SECONDS", "60"), ("MAX_CALL_SECONDS", "60")]).is_ok());
        assert!(durations(&[("MAX_CALL_SECONDS", "59")]).unwrap_err().contains("MAX_CALL_SECONDS"));
        assert!(durations(&[("QUARANTINE_SECONDS", "a day")]).unwrap_err().contains("QUARANTINE_SECONDS"));
    }

    #[test]
    fn a_missing_variable_is_named_and_a_secret_is_not_shown() {
        let nothing = Environment::default();
        assert!(VonageConfig::from_environment(&nothing).unwrap_err().to_string().contains("VONAGE_API_KEY"));
        let some =
            [("VONAGE_API_KEY", "key"), ("VONAGE_API_SECRET", "hush"), ("VONAGE_API_URL", "http://localhost:1/")];
        let config = VonageConfig::from_environment(&some.into_iter().collect()).unwrap();
        assert_eq!(config.api_url, "http://localhost:1");
        assert_eq!(config.rest_url, "https://rest.nexmo.com");
        assert!(!format!("{config:?}").contains("hush"));
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let env: Environment = [("TABLE_NAME", "")].into_iter().collect();
        assert!(matches!(env.required("TABLE_NAME"), Err(ConfigError::Missing("TABLE_NAME"))));
    }
}
