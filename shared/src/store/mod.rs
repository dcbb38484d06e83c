//! The DynamoDB table: a submodule for each type of item, and one for all keys.
//!
//! No operation uses an index, and only the schedules' [`RouteScan`] and [`RetentionPass`] read the whole table. TTL deletion
//! is up to days late, so every reader filters by time itself.
//!
//! A second table, the journal, has what an earlier state of the table lacks, for the day on which one is restored.

mod account_walk;
mod backend_texts;
mod call_pages;
mod chats;
mod conversation_pages;
mod conversations;
mod counting;
mod demand;
mod erasure;
mod error;
mod heals;
mod health;
mod holds;
mod item;
mod journal;
mod kinds;
mod leg_events;
mod legs;
mod lists;
mod live_calls;
mod missed_calls;
mod moves;
mod notifications;
mod number_erasures;
mod number_settings;
mod numbers;
mod opt_outs;
mod orders;
mod pace;
mod participations;
mod passed_over;
mod peak_usage;
mod pin_calls;
mod pins;
mod placed_calls;
mod pool;
mod read;
mod ready_numbers;
mod recordings;
mod redactions;
mod requests;
mod restore;
mod retention;
mod retention_pass;
mod route_scan;
mod routes;
mod safety_keys;
pub mod schema;
mod standing;
mod tenant_costs;
mod tenants;
mod texts;
mod traced;
mod transaction;
mod usage;
mod verdicts;
mod warnings;
mod write;

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, HttpClient, Region, SharedInterceptor};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

use crate::config::{ConfigError, Environment};
use crate::domain::retention::Retention;

pub use account_walk::AccountWalk;
pub use backend_texts::{BackendTextClaim, TextRequest};
pub use call_pages::{CallsPage, CallsQuery};
pub use chats::PhoneOwners;
pub use conversation_pages::{ConversationsPage, WantedList, WantedPage};
pub use conversations::{ChangeError, CreateError};
pub use demand::{DEMAND_LIFETIME, Demand, FAILURE_LIFETIME, REQUEST_AGAIN_AFTER, RecordedDemand};
pub use erasure::{DueErasures, Erased, Erasure};
pub use error::StoreError;
pub use heals::{DueHeals, Heal, Loss};
pub use holds::Line;
pub use item::ScanPurpose;
pub use journal::{JournalPage, RecordedChange, RecordedKeys};
pub use kinds::{ItemKind, Versions};
pub use leg_events::{LegNumbers, Recorded};
pub use legs::{LegOwner, LegPhone};
pub use missed_calls::LegIds;
pub use numbers::{Departure, NumbersPage, RentError, WORK_PAGE};
pub use opt_outs::{RecordedOptOut, Wish, WishOutcome};
pub use participations::ParticipationsPage;
pub use pin_calls::{AcceptedCall, Counted, PinCall, PinOwner, TriesOf};
pub use placed_calls::PlacedCall;
pub use pool::{Ledger, Recount};
pub use ready_numbers::PartState;
pub use recordings::{DueRecordings, Keeping, Offer, RecordingsPage};
pub use redactions::{DueRedactions, REDACTED_AFTER, Redaction};
pub use requests::{IdempotentRequest, RememberedRequest};
pub use restore::{Kept, Stored};
pub use retention::ROUTES_KEPT;
pub use retention_pass::RetentionPass;
pub use route_scan::{MAX_NUMBERS, RouteScan};
pub use routes::{Decided, KeyOwners};
pub use safety_keys::KeyLeg;
pub use standing::RecordedStanding;
pub use tenants::TenantsPage;
pub use texts::{Ownership, TextClaim, TextOutcome, TextsPage};
pub use usage::UsageAsRead;
pub use warnings::Warning;

use traced::TraceRequests;

/// Root certificates of Amazon Trust Services, valid until 2037 and later. They are built in, because reading the more
/// than hundred certificates of the system at each start takes longer than making the connection.
/// Source: Amazon Trust Services, "Certificate repository"; DynamoDB Developer Guide, "Troubleshooting SSL/TLS connection
/// establishment issues".
const AMAZON_ROOTS: &[u8] = include_bytes!("amazon_roots.pem");

/// The table, and the journal for those who change conversations.
#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
    table: String,
    journal: Option<String>,
    /// Time limit of an operation, with its repetitions.
    time_limit: Duration,
    /// Time for which conversations are readable.
    retention: Retention,
}

impl Store {
    /// Default time limit of an operation, with its repetitions. It fits the 30 s for which API Gateway waits, and
    /// Vonage's 10 s for the event webhook, which needs up to three operations.
    pub const TIME_LIMIT: Duration = Duration::from_millis(1800);

    /// Time limit of an operation that a caller waits for. The webhook then answers within a second, also if the table
    /// does not answer, and Vonage asks again.
    pub const TIME_LIMIT_OF_A_CALL: Duration = Duration::from_millis(700);

    /// Creates a client of the table `TABLE_NAME`, at `AWS_ENDPOINT_URL_DYNAMODB` if that is set. Region and credentials
    /// are the variables that Lambda sets. The SDK's chain of other sources would delay every start. `RETENTION_DAYS` says for
    /// how long requests find a conversation; functions that serve none of them need not have it.
    ///
    /// Sends nothing. The time limit of an operation is `DYNAMODB_TIME_LIMIT_MS`, or [`Store::TIME_LIMIT`] if that is not
    /// set. An attempt has 0.6 of it, so that a table which takes 400 ms still connects calls. Making a connection has 0.3.
    pub fn connect(env: &Environment) -> Result<Self, ConfigError> {
        Self::connect_within(env, Self::TIME_LIMIT)
    }

    /// Like [`Store::connect`], with another default time limit.
    ///
    /// TLS trusts the authorities that sign for DynamoDB's endpoints, or those in the file `SSL_CERT_FILE`.
    pub fn connect_within(env: &Environment, time_limit: Duration) -> Result<Self, ConfigError> {
        let trusted = match env.optional("SSL_CERT_FILE") {
            Some(_) => TrustStore::default(),
            None => TrustStore::empty().with_pem_certificate(AMAZON_ROOTS),
        };
        let tls = TlsContext::builder().with_trust_store(trusted).build().expect("the built-in certificates are valid");
        let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
        let http = http.tls_context(tls).build_https();
        Self::connect_over(http, env, time_limit)
    }

    /// Like [`Store::connect_within`], with another HTTP client.
    pub fn connect_over(
        http: impl HttpClient + 'static,
        env: &Environment,
        time_limit: Duration,
    ) -> Result<Self, ConfigError> {
        let table = env.required("TABLE_NAME")?;
        let time_limit = env.dynamodb_time_limit()?.unwrap_or(time_limit);
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(time_limit.mul_f32(0.3))
            .operation_attempt_timeout(time_limit.mul_f32(0.6))
            .operation_timeout(time_limit)
            .build();
        let (id, secret) = (env.required("AWS_ACCESS_KEY_ID")?, env.required("AWS_SECRET_ACCESS_KEY")?);
        let credentials = Credentials::new(id, secret, env.optional("AWS_SESSION_TOKEN"), None, "environment");
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(http)
            .timeout_config(timeouts)
            // By default the first retry waits up to a second. A phone call cannot wait that long.
            .retry_config(RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(25)))
            .region(Region::new(env.required("AWS_REGION")?))
            .credentials_provider(credentials);
        config.set_endpoint_url(env.optional("AWS_ENDPOINT_URL_DYNAMODB"));
        if env.xray_daemon().is_some() {
            config.push_interceptor(SharedInterceptor::new(TraceRequests));
        }
        let (client, retention) = (Client::from_conf(config.build()), env.retention()?);
        Ok(Self { client, table, journal: None, time_limit, retention })
    }

    /// Adds the journal `JOURNAL_TABLE_NAME`. Without it a store can read everything, but create and change no conversation.
    pub fn with_journal(self, env: &Environment) -> Result<Self, ConfigError> {
        let journal = env.required("JOURNAL_TABLE_NAME")?;
        if journal == self.table {
            let expected = "must be another table than TABLE_NAME".to_owned();
            return Err(ConfigError::Malformed { name: "JOURNAL_TABLE_NAME", expected });
        }
        Ok(Self { journal: Some(journal), ..self })
    }

    /// Returns the name of the table that has the items of the journal, or all others.
    fn table_with(&self, of_journal: bool) -> Result<&str, StoreError> {
        match &self.journal {
            Some(journal) if of_journal => Ok(journal),
            None if of_journal => Err(StoreError::Unbuildable("the store has no journal".to_owned())),
            _ => Ok(&self.table),
        }
    }

    /// Makes the connection and reads an item that does not exist, so that the first request is fast. A failure is only
    /// logged, because the first request connects again.
    pub async fn warm_up(&self) {
        let (pk, sk) = (item::string(item::caller_partition("")), item::string(item::NUMBER_PREFIX));
        let read = self.client.get_item().table_name(&self.table).key("pk", pk).key("sk", sk);
        if let Err(error) = read.send().await {
            tracing::warn!(cause = %StoreError::from(error), "the first read of the table, to warm up, failed");
        }
    }
}
