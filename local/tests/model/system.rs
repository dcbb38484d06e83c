//! The real parts: the store on the embedded DynamoDB, the services that use it, and the simulated Vonage that sells
//! numbers. The test replaces the clock, the number lookup and the sender of text messages.

use std::collections::BTreeSet;
use std::sync::Arc;

use dynoxide::Database;
use jiff::{SignedDuration, Timestamp};
use local::simulator::{self, Application, HttpMethod, Webhook};
use rust_decimal::Decimal;
use shared::clock::{Clock, ManualClock};
use shared::config::{Environment, VonageConfig};
use shared::domain::conversation::{Conversation, ConversationId};
use shared::domain::country::CountryCounts;
use shared::domain::phone::VirtualNumber;
use shared::domain::phone::dial_policy::DialPolicy;
use shared::domain::pool::{NumberState, PoolNumber};
use shared::service::create::{Created, CreationError, Creator, NewConversation, PoolCache};
use shared::service::demand::DemandRecorder;
use shared::service::provision::{Drained, Headroom, Order, Provisioned, Provisioner, Upkeep};
use shared::service::update::{Change, UpdateError, Updater};
use shared::store::{IdempotentRequest, Store, StoreError};
use shared::vonage::Vonage;
use shared::vonage::applications::ApplicationsApi;
use shared::vonage::numbers::{NumbersApi, Search};
use testkit::listen;

use crate::carrier::{Directory, Texts};
use crate::crash_proxy::CrashProxy;
use crate::scenario::{Kind, Scenario};
use crate::stale::StaleReads;

const TABLE: &str = "maskline";
const APPLICATION: &str = "00000000-0000-4000-8000-000000000001";

/// All real parts of a case.
pub struct System {
    pub clock: ManualClock,
    /// The database, for dumps of the whole table.
    pub database: Database,
    pub texts: Texts,
    /// A process that never crashes.
    pub process: Process,
    /// A process that crashes in some steps.
    pub crashing_process: Process,
    pub crash_proxy: CrashProxy,
    /// The eventually consistent reads of `stale_store`.
    pub stale_reads: StaleReads,
    pub stale_store: Store,
    dynamodb_url: String,
    vonage_url: String,
    /// Number of Jersey's numbers so far. Vonage sells none, so the test adds them by hand.
    jersey: u64,
}

/// The services of one process with its caches.
pub struct Process {
    pub creator: Creator<Directory, Texts>,
    updater: Updater<Directory>,
    provisioner: Provisioner,
    numbers: NumbersApi,
}

/// An operation of the product, with all parameters.
#[derive(Debug, Clone)]
pub enum Operation {
    Create {
        attempt: String,
        new: NewConversation,
        request: Option<IdempotentRequest>,
    },
    End(ConversationId),
    Erase(ConversationId),
    Update(ConversationId, Change),
    Drain(VirtualNumber),
    /// Rents numbers of this kind until its country has that many.
    Rent(Kind, usize),
    Upkeep,
}

/// The outcome of an operation.
#[derive(Debug)]
pub enum Outcome {
    Create(Result<Created, CreationError>),
    End(Result<Option<Conversation>, StoreError>),
    /// True if the conversation exists.
    Erase(Result<bool, StoreError>),
    Update(Result<Conversation, UpdateError>),
    Drain(Result<Drained, StoreError>),
    Rent(Result<Provisioned, StoreError>),
    Upkeep(Result<Upkeep, StoreError>),
}

impl System {
    pub async fn start(scenario: &Scenario, start: Timestamp) -> Self {
        let database = Database::memory().unwrap();
        let (listener, dynamodb_url) = listen().await;
        let server = dynoxide::server::serve_with_shutdown(listener, database.clone(), std::future::pending());
        tokio::spawn(server);
        let numbers = first_numbers(scenario, start);
        let (listener, vonage_url) = listen().await;
        let settings = account(&numbers);
        tokio::spawn(simulator::serve(listener, settings, std::future::pending()));

        let (clock, texts) = (ManualClock::at(start), Texts::default());
        let crash_proxy = CrashProxy::start(&dynamodb_url).await;
        let mut processes = Vec::new();
        for dynamodb in [&dynamodb_url, &crash_proxy.url] {
            let environment = environment(dynamodb, &vonage_url);
            let store = Store::connect(&environment).unwrap();
            let vonage = Vonage::new(VonageConfig::from_environment(&environment).unwrap());
            let numbers = NumbersApi::new(vonage, std::time::Duration::ZERO);
            processes.push(Process::new(store, numbers, &clock, &texts, scenario));
        }
        let [process, crashing_process] = processes.try_into().ok().unwrap();
        process.store().create_table().await.unwrap();
        for number in &numbers {
            add_by_hand(process.store(), number).await;
        }
        let stale_reads = StaleReads::of(&database);
        let environment = environment(&dynamodb_url, &vonage_url);
        let stale_store = Store::connect_over(stale_reads.clone(), &environment, Store::TIME_LIMIT).unwrap();
        let jersey = scenario.numbers.iter().filter(|kind| **kind == Kind::Je).count() as u64;
        Self {
            clock,
            database,
            texts,
            process,
            crashing_process,
            crash_proxy,
            stale_reads,
            stale_store,
            dynamodb_url,
            vonage_url,
            jersey,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Adds one more number of Jersey.
    pub async fn add_by_hand(&mut self) {
        let number = number_in_state_renting(Kind::Je, self.jersey, self.now());
        self.jersey += 1;
        add_by_hand(self.process.store(), &number).await;
    }

    /// Replaces the crashed process by a new one with empty caches. The new one has its own connection to the table, so
    /// that late requests of the crashed one never arrive.
    pub async fn replace_crashed_process(&mut self) {
        self.crash_proxy = CrashProxy::start(&self.dynamodb_url).await;
        let store = Store::connect(&environment(&self.crash_proxy.url, &self.vonage_url)).unwrap();
        let creator = &self.crashing_process.creator;
        let texts = creator.texts.clone();
        let scenario = Scenario { fallback: creator.fallback.clone(), numbers: Vec::new() };
        self.crashing_process =
            Process::new(store, self.crashing_process.numbers.clone(), &self.clock, &texts, &scenario);
    }

    /// The numbers that the Vonage account rents.
    pub async fn rented(&self) -> BTreeSet<String> {
        let listed = self.process.numbers.list().await.unwrap();
        listed.iter().map(|listed| listed.settings.msisdn().to_owned()).collect()
    }
}

impl Process {
    fn new(store: Store, numbers: NumbersApi, clock: &ManualClock, texts: &Texts, scenario: &Scenario) -> Self {
        let clock = Arc::new(clock.clone());
        let provisioner = Provisioner {
            store: store.clone(),
            numbers: numbers.clone(),
            applications: unused_applications_api(),
            application_id: APPLICATION.to_owned(),
            monthly_budget: None,
            clock: clock.clone(),
        };
        let creator = Creator {
            store: store.clone(),
            lookup: Directory,
            callable: DialPolicy::default(),
            texts: texts.clone(),
            clock: clock.clone(),
            fallback: scenario.fallback.clone(),
            text_time_limit: std::time::Duration::ZERO,
            demand: DemandRecorder {
                store: store.clone(),
                auto_rent_max: CountryCounts::default(),
                provisioning: None,
                clock: clock.clone(),
            },
            cache: PoolCache::default(),
        };
        let updater = Updater { store, lookup: Directory, callable: DialPolicy::default(), clock };
        Self { creator, updater, provisioner, numbers }
    }

    pub fn store(&self) -> &Store {
        &self.creator.store
    }

    /// Finishes erasures that a crashed process left, as the schedule does.
    pub async fn settle_erasures(&self) {
        let now = self.creator.clock.now();
        for erasure in self.store().erasures().await.unwrap() {
            self.store().settle_erasure(&erasure, now).await.unwrap();
        }
    }

    pub async fn perform(&self, operation: &Operation) -> Outcome {
        let provisioner = &self.provisioner;
        match operation {
            Operation::Create { new, request, .. } => {
                Outcome::Create(self.creator.create(new.clone(), request.clone(), None).await)
            }
            Operation::End(id) => Outcome::End(self.store().end_conversation(*id, self.creator.clock.now()).await),
            Operation::Erase(id) => {
                Outcome::Erase(self.store().erase_conversation(*id, self.creator.clock.now()).await)
            }
            Operation::Update(id, change) => Outcome::Update(self.updater.update(*id, change).await),
            Operation::Drain(number) => Outcome::Drain(provisioner.drain(number).await),
            Operation::Rent(kind, count) => {
                let search = Search {
                    features: kind.features(),
                    number_type: Some(kind.number_type()),
                    ..Search::usual(kind.country())
                };
                Outcome::Rent(provisioner.provision(&Order { search, count: *count, cap: None }, None).await)
            }
            Operation::Upkeep => {
                self.settle_erasures().await;
                Outcome::Upkeep(provisioner.upkeep(None, &Headroom::default(), None).await)
            }
        }
    }
}

/// The numbers of the pool at the start: of each kind the first ones.
fn first_numbers(scenario: &Scenario, now: Timestamp) -> Vec<PoolNumber> {
    let mut numbers = Vec::new();
    for (position, kind) in scenario.numbers.iter().enumerate() {
        let index = scenario.numbers[..position].iter().filter(|other| *other == kind).count();
        numbers.push(number_in_state_renting(*kind, index as u64, now));
    }
    numbers
}

fn number_in_state_renting(kind: Kind, index: u64, now: Timestamp) -> PoolNumber {
    PoolNumber {
        number: kind.number(index),
        country: kind.country(),
        number_type: kind.number_type(),
        features: kind.features(),
        monthly_cost: Some(kind.monthly_cost()),
        state: NumberState::Renting,
        added_at: now,
        leased_until: now + SignedDuration::from_secs(60),
        draining_since: None,
        missing_since: None,
    }
}

/// The model's upkeep gets no public endpoint, so it never changes the application at Vonage.
fn unused_applications_api() -> ApplicationsApi {
    let nowhere = environment("http://127.0.0.1:1", "http://127.0.0.1:1");
    ApplicationsApi(Vonage::new(VonageConfig::from_environment(&nowhere).unwrap()))
}

/// Adds a number through the same writes as provisioning.
async fn add_by_hand(store: &Store, number: &PoolNumber) {
    let pool = store.country_pool(number.country).await.unwrap();
    store.begin_renting(number, &pool).await.unwrap();
    store.note_bought(number).await.unwrap();
    assert!(store.make_ready(number).await.unwrap());
}

fn account(numbers: &[PoolNumber]) -> simulator::Settings {
    // The test places no call, so nothing is ever delivered there.
    let nowhere = Webhook { address: "http://127.0.0.1:1/".to_owned(), http_method: HttpMethod::Post };
    simulator::Settings {
        api_key: "1a2b3c4d".to_owned(),
        api_secret: "secret".to_owned(),
        signature_secret: "signature-secret".to_owned(),
        application: Application {
            id: APPLICATION.to_owned(),
            answer: nowhere.clone(),
            fallback_answer: None,
            event: nowhere,
        },
        balance: Decimal::from(1_000_000),
        faults: Default::default(),
        traffic: Default::default(),
        linked_numbers: numbers.iter().map(|number| number.number.to_string()).collect(),
        clock: shared::clock::system(),
    }
}

fn environment(dynamodb_url: &str, vonage_url: &str) -> Environment {
    [
        ("TABLE_NAME", TABLE),
        ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_url),
        // A slow machine must not cause a timeout.
        ("DYNAMODB_TIME_LIMIT_MS", "60000"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("VONAGE_API_KEY", "1a2b3c4d"),
        ("VONAGE_API_SECRET", "secret"),
        ("VONAGE_API_URL", vonage_url),
        ("VONAGE_REST_URL", vonage_url),
    ]
    .into_iter()
    .collect()
}
