//! The real parts: the store on the embedded DynamoDB, and on it what creates, changes and ends conversations and rents
//! numbers, with the simulated Vonage to rent them from. Only the clock, the carrier lookup and the sending of texts
//! are the test's own.

use std::collections::BTreeSet;
use std::sync::Arc;

use dynoxide::Database;
use jiff::{SignedDuration, Timestamp};
use local::simulator::{self, Application, HttpMethod, Webhook};
use rust_decimal::Decimal;
use shared::clock::{Clock, ManualClock};
use shared::config::{Environment, VonageConfig};
use shared::domain::conversation::{Conversation, ConversationId};
use shared::domain::phone::VirtualNumber;
use shared::domain::phone::dial_policy::DialPolicy;
use shared::domain::pool::{NumberState, PoolNumber};
use shared::service::create::{Created, CreationError, Creator, NewConversation, PoolCache};
use shared::service::provision::{Drained, Headroom, Order, Provisioned, Provisioner, Upkeep};
use shared::service::update::{Change, UpdateError, Updater};
use shared::store::{IdempotentRequest, Store, StoreError};
use shared::vonage::Vonage;
use shared::vonage::applications::ApplicationsApi;
use shared::vonage::numbers::{NumbersApi, Search};
use tokio::net::TcpListener;

use crate::carrier::{Directory, Texts};
use crate::cutting::Cutter;
use crate::stale::StaleReads;
use crate::world::{Kind, World};

const TABLE: &str = "maskline";
const APPLICATION: &str = "00000000-0000-4000-8000-000000000001";

/// All of it.
pub struct System {
    pub clock: ManualClock,
    /// The database itself, for a look at the whole table.
    pub database: Database,
    pub texts: Texts,
    /// A process that lives through the whole case.
    pub process: Process,
    /// One that is cut off now and then.
    pub mortal: Process,
    pub cutter: Cutter,
    /// What the table is to one who reads it eventually consistently.
    pub stale_reads: StaleReads,
    pub stale_store: Store,
    dynamodb_url: String,
    vonage_url: String,
    /// How many numbers of Jersey there were; Vonage has none, so they come into the pool by hand.
    jersey: u64,
}

/// The functions of one process, with what it keeps from one request to the next.
pub struct Process {
    pub creator: Creator<Directory, Texts>,
    updater: Updater<Directory>,
    numbers: NumbersApi,
}

/// What is asked of the product, in its own words.
#[derive(Debug, Clone)]
pub enum Act {
    Create {
        attempt: String,
        new: NewConversation,
        request: Option<IdempotentRequest>,
    },
    End(ConversationId),
    Erase(ConversationId),
    Update(ConversationId, Change),
    Drain(VirtualNumber),
    /// Rents one more number of this kind, so that its country has that many.
    Rent(Kind, usize),
    Upkeep,
}

/// What came of it.
#[derive(Debug)]
pub enum Outcome {
    Create(Result<Created, CreationError>),
    End(Result<Option<Conversation>, StoreError>),
    /// Whether there is such a conversation.
    Erase(Result<bool, StoreError>),
    Update(Result<Conversation, UpdateError>),
    Drain(Result<Drained, StoreError>),
    Rent(Result<Provisioned, StoreError>),
    Upkeep(Result<Upkeep, StoreError>),
}

impl System {
    pub async fn start(world: &World, start: Timestamp) -> Self {
        let database = Database::memory().unwrap();
        let (listener, dynamodb_url) = listen().await;
        let server = dynoxide::server::serve_with_shutdown(listener, database.clone(), std::future::pending());
        tokio::spawn(server);
        let numbers = first_numbers(world, start);
        let (listener, vonage_url) = listen().await;
        let settings = account(&numbers);
        tokio::spawn(simulator::serve(listener, settings, std::future::pending()));

        let (clock, texts) = (ManualClock::at(start), Texts::default());
        let cutter = Cutter::start(&dynamodb_url).await;
        let mut processes = Vec::new();
        for dynamodb in [&dynamodb_url, &cutter.url] {
            let environment = environment(dynamodb, &vonage_url);
            let store = Store::connect(&environment).unwrap();
            let vonage = Vonage::new(VonageConfig::from_environment(&environment).unwrap());
            let numbers = NumbersApi::new(vonage, std::time::Duration::ZERO);
            processes.push(Process::new(store, numbers, &clock, &texts, world));
        }
        let [process, mortal] = processes.try_into().ok().unwrap();
        process.store().create_table().await.unwrap();
        for number in &numbers {
            add_by_hand(process.store(), number).await;
        }
        let stale_reads = StaleReads::of(&database);
        let environment = environment(&dynamodb_url, &vonage_url);
        let stale_store = Store::connect_over(stale_reads.clone(), &environment, Store::TIME_LIMIT).unwrap();
        let jersey = world.numbers.iter().filter(|kind| **kind == Kind::Je).count() as u64;
        Self {
            clock,
            database,
            texts,
            process,
            mortal,
            cutter,
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

    /// One more number of Jersey.
    pub async fn add_by_hand(&mut self) {
        let number = written_down(Kind::Je, self.jersey, self.now());
        self.jersey += 1;
        add_by_hand(self.process.store(), &number).await;
    }

    /// The mortal process has died; another one takes its place and knows nothing. It has a way to the table of its own,
    /// so that what the dead one has sent never arrives.
    pub async fn bury(&mut self) {
        self.cutter = Cutter::start(&self.dynamodb_url).await;
        let store = Store::connect(&environment(&self.cutter.url, &self.vonage_url)).unwrap();
        let creator = &self.mortal.creator;
        let texts = creator.texts.clone();
        let world = World { fallback: creator.fallback.clone(), numbers: Vec::new() };
        self.mortal = Process::new(store, self.mortal.numbers.clone(), &self.clock, &texts, &world);
    }

    /// The numbers that the Vonage account rents.
    pub async fn rented(&self) -> BTreeSet<String> {
        let listed = self.process.numbers.list().await.unwrap();
        listed.iter().map(|listed| listed.settings.msisdn().to_owned()).collect()
    }
}

impl Process {
    fn new(store: Store, numbers: NumbersApi, clock: &ManualClock, texts: &Texts, world: &World) -> Self {
        let clock = Arc::new(clock.clone());
        let provisioner = Provisioner {
            store: store.clone(),
            numbers: numbers.clone(),
            applications: applications_never_asked(),
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
            fallback: world.fallback.clone(),
            provisioner,
            auto_rent_max: "US=0".parse().unwrap(),
            cache: PoolCache::default(),
        };
        Self { creator, updater: Updater { store, lookup: Directory, callable: DialPolicy::default(), clock }, numbers }
    }

    pub fn store(&self) -> &Store {
        &self.creator.store
    }

    /// What the schedule does for erasures that somebody has not lived to finish.
    pub async fn settle_erasures(&self) {
        let now = self.creator.clock.now();
        for erasure in self.store().erasures().await.unwrap() {
            self.store().settle_erasure(&erasure, now).await.unwrap();
        }
    }

    pub async fn perform(&self, act: &Act) -> Outcome {
        let provisioner = &self.creator.provisioner;
        match act {
            Act::Create { new, request, .. } => {
                Outcome::Create(self.creator.create(new.clone(), request.clone(), None).await)
            }
            Act::End(id) => Outcome::End(self.store().end_conversation(*id, self.creator.clock.now()).await),
            Act::Erase(id) => Outcome::Erase(self.store().erase_conversation(*id, self.creator.clock.now()).await),
            Act::Update(id, change) => Outcome::Update(self.updater.update(*id, change).await),
            Act::Drain(number) => Outcome::Drain(provisioner.drain(number).await),
            Act::Rent(kind, count) => {
                let search = Search {
                    features: kind.features(),
                    number_type: Some(kind.number_type()),
                    ..Search::usual(kind.country())
                };
                Outcome::Rent(provisioner.provision(&Order { search, count: *count, cap: None }, None).await)
            }
            Act::Upkeep => {
                self.settle_erasures().await;
                Outcome::Upkeep(provisioner.upkeep(None, &Headroom::default(), None).await)
            }
        }
    }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// The numbers of the pool at the start; of each kind the first ones.
fn first_numbers(world: &World, now: Timestamp) -> Vec<PoolNumber> {
    let mut numbers = Vec::new();
    for (position, kind) in world.numbers.iter().enumerate() {
        let index = world.numbers[..position].iter().filter(|other| *other == kind).count();
        numbers.push(written_down(*kind, index as u64, now));
    }
    numbers
}

fn written_down(kind: Kind, index: u64, now: Timestamp) -> PoolNumber {
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

/// Nobody tells the model's upkeep where Vonage reaches it, so it leaves the application alone.
fn applications_never_asked() -> ApplicationsApi {
    let nowhere = environment("http://127.0.0.1:1", "http://127.0.0.1:1");
    ApplicationsApi(Vonage::new(VonageConfig::from_environment(&nowhere).unwrap()))
}

/// As provisioning does it.
async fn add_by_hand(store: &Store, number: &PoolNumber) {
    let pool = store.country_pool(number.country).await.unwrap();
    store.begin_renting(number, &pool).await.unwrap();
    store.note_bought(number).await.unwrap();
    assert!(store.make_ready(number).await.unwrap());
}

fn account(numbers: &[PoolNumber]) -> simulator::Settings {
    // No call is placed, so nothing is ever delivered there.
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
        // A busy machine is no failure.
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
