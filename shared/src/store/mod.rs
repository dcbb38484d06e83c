//! The DynamoDB table: one item type a submodule, keys in one place.
//!
//! No operation uses an index, and only what a schedule looks for reads the whole table ([`Look`]). TTL deletion is late
//! by up to days, so every reader filters by time itself.

mod conversations;
mod erasure;
mod item;
mod legs;
mod notifications;
mod numbers;
mod peak_usage;
mod pool;
mod read;
mod redactions;
mod requests;
mod retention;
mod route_scan;
mod routes;
pub mod schema;
mod transaction;

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, HttpClient, Region};
use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

use crate::config::{ConfigError, Environment};
use crate::domain::phone::without_numbers;

pub use conversations::{ChangeError, CreateError};
pub use erasure::Erasure;
pub use numbers::RentError;
pub use pool::{CountryPool, Ledger, ReadyPool};
pub use redactions::{DueRedactions, REDACTED_AFTER, Redaction};
pub use requests::{IdempotentRequest, RememberedRequest};
pub use route_scan::{Look, MAX_NUMBERS};

/// The roots of Amazon Trust Services, valid until 2037 and later: built in, because reading the hundred and more of the
/// system at each start takes longer than the connection that they are for.
/// Source: Amazon Trust Services, "Certificate repository"; DynamoDB Developer Guide, "Troubleshooting SSL/TLS connection
/// establishment issues".
const AMAZON_ROOTS: &[u8] = include_bytes!("amazon_roots.pem");

/// A failed use of the table.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The outcome is unknown: DynamoDB did not answer, the answer was unreadable, or DynamoDB failed halfway.
    /// Only after this error does it help to send the same request again.
    #[error("DynamoDB gave no conclusive answer ({0})")]
    NoAnswer(String),
    /// DynamoDB refused the request with this error code and did not carry it out.
    #[error("DynamoDB refused the request ({0})")]
    Refused(String),
    /// Every attempt lost a race against other changes of the named data.
    #[error("too many concurrent changes of {0}")]
    Contended(&'static str),
    /// An item is not in the form in which this library writes it.
    #[error("an item of the table could not be decoded: {0}")]
    Malformed(String),
    /// A request lacks a required field. This is a bug in this library.
    #[error("a request to DynamoDB could not be built: {0}")]
    Unbuildable(String),
}

/// Reason in [`StoreError::NoAnswer`] if an operation exceeded its time limit.
const TIMED_OUT: &str = "timed out";

impl From<BuildError> for StoreError {
    fn from(error: BuildError) -> Self {
        Self::Unbuildable(error.to_string())
    }
}

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

    /// Connects to the table that `TABLE_NAME` names; `AWS_ENDPOINT_URL_DYNAMODB` points elsewhere than AWS. Region and
    /// credentials are those that Lambda sets: no chain of other places is looked through for them, which every start
    /// would pay for.
    ///
    /// Nothing is sent yet. A whole operation may take `DYNAMODB_TIME_LIMIT_MS`, or [`Store::TIME_LIMIT`] if that is not
    /// set, an attempt 0.4 of it and making a connection 0.3.
    pub fn connect(env: &Environment) -> Result<Self, ConfigError> {
        Self::connect_within(env, Self::TIME_LIMIT)
    }

    /// Like [`Store::connect`], for those who have another time limit unless one is set.
    ///
    /// TLS trusts the authorities that sign for DynamoDB's endpoints, or those in the file that `SSL_CERT_FILE` names.
    pub fn connect_within(env: &Environment, time_limit: Duration) -> Result<Self, ConfigError> {
        let trusted = match env.optional("SSL_CERT_FILE") {
            Some(_) => TrustStore::default(),
            None => TrustStore::empty().with_pem_certificate(AMAZON_ROOTS),
        };
        let tls = TlsContext::builder().with_trust_store(trusted).build().expect("there is nothing in it to refuse");
        let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
        let http = http.tls_context(tls).build_https();
        Self::connect_over(http, env, time_limit)
    }

    /// Like [`Store::connect_within`], by an HTTP client of the caller's own.
    pub fn connect_over(
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
        let (id, secret) = (env.required("AWS_ACCESS_KEY_ID")?, env.required("AWS_SECRET_ACCESS_KEY")?);
        let credentials = Credentials::new(id, secret, env.optional("AWS_SESSION_TOKEN"), None, "environment");
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(http)
            .timeout_config(timeouts)
            // The default first retry waits up to a second, which is the caller's whole patience.
            .retry_config(RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(25)))
            .region(Region::new(env.required("AWS_REGION")?))
            .credentials_provider(credentials);
        config.set_endpoint_url(env.optional("AWS_ENDPOINT_URL_DYNAMODB"));
        Ok(Self { client: Client::from_conf(config.build()), table, time_limit })
    }

    /// Makes the connection and lets one read go all its way, so that the first request need not. The read is of a key
    /// that no one has. What fails here is for the first request to try again.
    pub async fn warm_up(&self) {
        let (pk, sk) = (item::string(item::caller_partition("")), item::string(item::NUMBER_PREFIX));
        let read = self.client.get_item().table_name(&self.table).key("pk", pk).key("sk", sk);
        if let Err(error) = read.send().await {
            tracing::warn!(cause = %StoreError::from(error), "the table cannot be read yet");
        }
    }
}

impl<E> From<SdkError<E, HttpResponse>> for StoreError
where
    SdkError<E, HttpResponse>: ProvideErrorMetadata,
    E: std::error::Error + 'static,
{
    /// Keeps only the kind and the code of the failure. DynamoDB's messages can quote keys, which contain phone numbers.
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let code = error.code().unwrap_or("unknown error");
        match &error {
            SdkError::ConstructionFailure(_) => Self::Unbuildable("the SDK rejected it".to_owned()),
            SdkError::TimeoutError(_) => Self::NoAnswer(TIMED_OUT.to_owned()),
            SdkError::DispatchFailure(_) => Self::NoAnswer("no connection".to_owned()),
            SdkError::ResponseError(_) => Self::NoAnswer("unreadable answer".to_owned()),
            // DynamoDB may have carried out the request in spite of a status of 500 or above. A transaction in progress
            // is an earlier attempt of the same transaction.
            SdkError::ServiceError(failure)
                if failure.raw().status().is_server_error() || code == "TransactionInProgressException" =>
            {
                Self::NoAnswer(code.to_owned())
            }
            _ => Self::Refused(code.to_owned()),
        }
    }
}
