//! The DynamoDB table: one item type a submodule, keys in one place.
//!
//! No operation uses an index, and only what a schedule looks for reads the whole table ([`Look`]). TTL deletion is late by up to days, so every reader filters by time
//! itself.

mod conversations;
mod erasure;
mod high_water;
mod item;
mod legs;
mod look;
mod numbers;
mod pool;
mod reading;
mod redactions;
mod requests;
mod routes;
#[cfg(feature = "schema")]
pub mod schema;
mod transaction;

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{Credentials, HttpClient, Region};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::config::{ConfigError, Environment};
use crate::phone::without_numbers;

pub use conversations::{ChangeError, CreateError};
pub use erasure::Erasure;
pub use look::{Look, MAX_NUMBERS};
pub use numbers::RentError;
pub use pool::{CountryPool, Ledger, ReadyPool};
pub use redactions::{DueRedactions, REDACTED_AFTER, Redaction};
pub use requests::{IdempotentRequest, RememberedRequest};

/// The table could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// DynamoDB did not answer in time, refused, or failed.
    #[error("DynamoDB: {0}")]
    Unavailable(String),
    /// An item is not in the form in which it is written.
    #[error("an item of the table cannot be read: {0}")]
    Malformed(String),
}

/// What is said of an operation whose time was over.
const NO_ANSWER: &str = "no answer in time";

impl From<serde_dynamo::Error> for StoreError {
    /// The complaint quotes the value that it is about, which can be a phone number.
    fn from(error: serde_dynamo::Error) -> Self {
        Self::Malformed(without_numbers(&error.to_string()))
    }
}

/// The table.
#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
    table: String,
    /// How long an operation may take, with its repetitions.
    time_limit: Duration,
}

impl Store {
    /// How long an operation may take, with its repetitions: it leaves the API enough of the 30 s for which API Gateway
    /// waits, and the event webhook, which needs up to three, enough of Vonage's 10 s.
    pub const TIME_LIMIT: Duration = Duration::from_millis(1800);

    /// How long an operation may take that a caller waits for: the answer is out within a second of the question, also
    /// if the table does not answer, and then Vonage asks again.
    pub const TIME_LIMIT_OF_A_CALL: Duration = Duration::from_millis(700);

    /// Connects to the table that `TABLE_NAME` names; `AWS_ENDPOINT_URL_DYNAMODB` points elsewhere than AWS.
    ///
    /// Nothing is sent yet. A whole operation may take `DYNAMODB_TIME_LIMIT_MS`, or [`Store::TIME_LIMIT`] if that is not
    /// set, an attempt 0.4 of it and making a connection 0.3.
    pub async fn connect(env: &Environment) -> Result<Self, ConfigError> {
        Self::connect_within(env, Self::TIME_LIMIT).await
    }

    /// Like [`Store::connect`], for those who have another time limit unless one is set.
    pub async fn connect_within(env: &Environment, time_limit: Duration) -> Result<Self, ConfigError> {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(aws_smithy_http_client::tls::Provider::Rustls(
                aws_smithy_http_client::tls::rustls_provider::CryptoMode::Ring,
            ))
            .build_https();
        Self::connect_over(http, env, time_limit).await
    }

    /// Like [`Store::connect_within`], by an HTTP client of the caller's own.
    pub async fn connect_over(
        http: impl HttpClient + 'static,
        env: &Environment,
        time_limit: Duration,
    ) -> Result<Self, ConfigError> {
        let table = env.required("TABLE_NAME")?;
        let time_limit = env.dynamodb_time_limit()?.unwrap_or(time_limit);
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(time_limit.mul_f32(0.3))
            .operation_attempt_timeout(time_limit.mul_f32(0.4))
            .operation_timeout(time_limit)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http)
            .timeout_config(timeouts)
            // The default first retry waits up to a second, which is the caller's whole patience.
            .retry_config(RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(25)));
        if let Some(region) = env.optional("AWS_REGION") {
            loader = loader.region(Region::new(region));
        }
        if let Some(endpoint) = env.optional("AWS_ENDPOINT_URL_DYNAMODB") {
            loader = loader.endpoint_url(endpoint);
        }
        if let (Some(id), Some(secret)) = (env.optional("AWS_ACCESS_KEY_ID"), env.optional("AWS_SECRET_ACCESS_KEY")) {
            let token = env.optional("AWS_SESSION_TOKEN");
            loader = loader.credentials_provider(Credentials::new(id, secret, token, None, "environment"));
        }
        Ok(Self { client: Client::new(&loader.load().await), table, time_limit })
    }
}

impl<E, R> From<SdkError<E, R>> for StoreError
where
    SdkError<E, R>: ProvideErrorMetadata,
    E: std::error::Error + 'static,
{
    /// Keeps the kind and code of the failure only: DynamoDB's messages can quote keys, which hold phone numbers.
    fn from(error: SdkError<E, R>) -> Self {
        let kind = match &error {
            SdkError::ConstructionFailure(_) => "the request could not be built",
            SdkError::TimeoutError(_) => NO_ANSWER,
            SdkError::DispatchFailure(_) => "no connection",
            SdkError::ResponseError(_) => "the answer could not be read",
            _ => error.code().unwrap_or("unknown error"),
        };
        Self::Unavailable(kind.to_owned())
    }
}
