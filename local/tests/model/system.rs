//! The real parts: the store on the embedded DynamoDB, the services that use it, and the simulated Vonage that sells
//! numbers. The test replaces the clock, the number lookup and the sender of text messages.

use std::collections::BTreeSet;
use std::sync::Arc;

use dynoxide::types::Item;
use jiff::{SignedDuration, Timestamp};
use local::gateway::bus::Bus;
use local::gateway::objects::{self, Bucket};
use local::simulator::{self, Application, HttpMethod, Webhook};
use local::stack::account;
use rust_decimal::Decimal;
use serde_json::Value;
use shared::clock::{Clock, ManualClock, SharedClock};
use shared::config::{Environment, VonageConfig};
use shared::domain::call::Status;
use shared::domain::channel::{BrandSenders, Channel};
use shared::domain::conversation::{Conversation, ConversationId};
use shared::domain::country::CountryCounts;
use shared::domain::number_erasure::NumberErasure;
use shared::domain::order::OpenOrder;
use shared::domain::phone::dial_policy::DialPolicy;
use shared::domain::phone::{RealNumber, VirtualNumber};
use shared::domain::pool::{LossNotes, NumberState, PoolNumber};
use shared::domain::tenant::Owner;
use shared::domain::words::Words;
use shared::domain::words::addressee::Addressee;
use shared::event_bus::EventBus;
use shared::recording_files::RecordingFiles;
use shared::service::announce::Announcer;
use shared::service::call_steps::{CallSteps, Next};
use shared::service::create::{Created, CreationError, Creator, NewConversation};
use shared::service::demand::DemandRecorder;
use shared::service::forget::Forgetter;
use shared::service::hang_up::{HangUpError, HangUps, ended_meanwhile};
use shared::service::heal::{Healer, Healing};
use shared::service::late_calls::Late;
use shared::service::pin_calls::{PinCalls, Typed};
use shared::service::place_call::{PlaceError, Placed, Placer};
use shared::service::pool_cache::PoolCache;
use shared::service::provision::{Drained, Headroom, Moved, Order, Provisioned, Provisioner, Rotated, Upkeep};
use shared::service::recordings::{KeptRecordings, RecordingKeeper};
use shared::service::relay_texts::TextRelay;
use shared::service::restore::{Restored, Restorer};
use shared::service::retention::{RetentionRun, Retired};
use shared::service::slide_end::EndSlider;
use shared::service::text_events::TextEvents;
use shared::service::update::{Change, UpdateError, Updater};
use shared::service::verify_number::{NumberVerifier, WhenLookupFails};
use shared::store::{IdempotentRequest, Recorded, Store, StoreError};
use shared::vonage::Vonage;
use shared::vonage::application_token::ApplicationToken;
use shared::vonage::applications::ApplicationsApi;
use shared::vonage::calls::CallsApi;
use shared::vonage::numbers::{NumbersApi, Search};
use shared::vonage::recordings::RecordingsApi;
use shared::vonage::texts::TextsOnDemand;
use testkit::{listen, string};

use crate::carrier::{Directory, Texts};
use crate::connection::Connection;
use crate::database::{Database, JOURNAL, TABLE};
use crate::hang_up;
use crate::late::LateKey;
use crate::legs::{CallEvent, PlacedCall};
use crate::lists::list_key;
use crate::missed_calls::CallStep;
use crate::model::ends_with_calls;
use crate::pins::{PinTry, pin_key};
use crate::placing::PlaceOrder;
use crate::recordings::Made;
use crate::restore::RESTORED;
use crate::safety::KeyPress;
use crate::scenario::{Kind, Scenario, number, owner};
use crate::stale::StaleReads;
use crate::voice::Voice;

const APPLICATION: &str = "00000000-0000-4000-8000-000000000001";

/// The senders on WhatsApp and RCS.
const WHATSAPP: &str = "447700900099";
const RCS: &str = "Rides";

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
    pub crashing_connection: Connection,
    /// The eventually consistent reads of `stale_store`.
    pub stale_reads: StaleReads,
    pub stale_store: Store,
    /// The part of Vonage that places calls.
    pub voice: Voice,
    /// The events for the backend.
    pub bus: Bus,
    /// The files of recordings.
    pub bucket: Bucket,
    urls: Urls,
    /// Asks the simulated Vonage what has come to phones.
    http: reqwest::Client,
}

/// The services that a process uses.
#[derive(Clone)]
struct Urls {
    vonage: String,
    voice: String,
    bus: String,
    bucket: String,
}

/// The services of one process with its caches.
pub struct Process {
    pub creator: Creator<Directory, Texts>,
    updater: Updater<Directory>,
    provisioner: Provisioner,
    healer: Healer<Texts>,
    pub steps: CallSteps<Texts>,
    pins: PinCalls,
    placer: Placer,
    /// Passes texts on by the simulated Vonage.
    pub relay: TextRelay,
    hang_ups: HangUps,
    slider: EndSlider,
    keeper: RecordingKeeper<Texts>,
    /// The address of the part of Vonage that has calls and their recordings.
    voice: String,
    numbers: NumbersApi,
}

/// An operation of the product, with all parameters.
#[derive(Debug, Clone)]
pub enum Operation {
    Create {
        attempt: String,
        new: Box<NewConversation>,
        request: Option<IdempotentRequest>,
        /// True if the time that is left does not suffice for text messages.
        is_late: bool,
    },
    End(ConversationId),
    Erase(ConversationId),
    EraseNumber(RealNumber),
    Update(ConversationId, Change),
    Drain(VirtualNumber),
    Rotate(VirtualNumber),
    /// A number is to move to another owner.
    Move(VirtualNumber, Owner),
    /// Orders numbers of this kind until its country has that many.
    Rent(Kind, usize),
    /// The same in a request that has no time for any number: the order stays open.
    Place(Kind, usize),
    /// The schedule goes on with the open orders.
    Orders,
    Upkeep,
    Heal,
    /// The schedule erases what is past its retention.
    Retention,
    /// Vonage takes a number away from the account.
    TakeAway(PoolNumber),
    /// Vonage gives a number back that it took away.
    GiveBack(PoolNumber),
    /// An event of a call arrives.
    Event(CallEvent),
    /// Vonage asks what comes next in a call.
    Step(CallStep),
    /// Somebody types a PIN.
    Pin(PinTry),
    /// A late caller presses a key.
    Late(LateKey),
    /// A request places a call.
    Dial(PlaceOrder),
    /// A request ends a call.
    HangUp(PlacedCall),
    /// Somebody presses keys in a call.
    Press(KeyPress),
    /// Vonage tells of a recording.
    Recorded(Made),
    /// The schedule goes on with recordings.
    Keep,
}

/// The outcome of an operation.
#[derive(Debug)]
pub enum Outcome {
    Create(Result<Created, CreationError>),
    End(Result<Option<Conversation>, StoreError>),
    /// True if the conversation exists.
    Erase(Result<bool, StoreError>),
    EraseNumber(Result<NumberErasure, StoreError>),
    Update(Result<Conversation, UpdateError>),
    Drain(Result<Drained, StoreError>),
    Rotate(Result<Rotated, StoreError>),
    Move(Result<Moved, StoreError>),
    Rent(Result<Provisioned, StoreError>),
    Place(Result<Provisioned, StoreError>),
    Orders(Result<Vec<(OpenOrder, Provisioned)>, StoreError>),
    Upkeep(Result<Upkeep, StoreError>),
    Heal(Result<Healing, StoreError>),
    Retention(Result<Retired, StoreError>),
    /// True if Vonage has changed the account.
    Account(bool),
    Event(Result<Recorded, StoreError>),
    Step(Result<Option<Next>, StoreError>),
    Pin(Result<Typed, StoreError>),
    Late(Result<(Late, Addressee), StoreError>),
    /// `None` if the conversation is unknown.
    Dial(Option<Result<Placed, PlaceError>>),
    /// True if the call is over. `None` if it is unknown.
    HangUp(Result<Option<bool>, HangUpError>),
    /// The call that has to end.
    Press(Result<Option<String>, StoreError>),
    /// True if it was not known.
    Recorded(Result<bool, StoreError>),
    Keep(Result<KeptRecordings, StoreError>),
}

impl System {
    pub async fn start(scenario: &Scenario, start: Timestamp) -> Self {
        let database = Database::start();
        let numbers = first_numbers(scenario, start);
        let (listener, vonage_url) = listen().await;
        let settings = settings(&numbers);
        tokio::spawn(simulator::serve(listener, settings, std::future::pending()));

        let (clock, texts) = (ManualClock::at(start), Texts::default());
        let (bus, bucket) = (Bus::new(shared::clock::system(), None), Bucket::default());
        let voice = Voice::new(&clock);
        let urls = Urls {
            vonage: vonage_url,
            voice: testkit::serve(voice.clone().router()).await,
            bus: testkit::serve(local::gateway::bus::router(bus.clone())).await,
            bucket: testkit::serve(objects::router(bucket.clone())).await,
        };
        let environment = environment(&urls);
        let crashing_connection = Connection::to(&database);
        let [process, crashing_process] = [Connection::to(&database), crashing_connection.clone()].map(|connection| {
            let vonage = Vonage::new(VonageConfig::from_environment(&environment).unwrap());
            let numbers = NumbersApi::new(vonage, std::time::Duration::ZERO);
            Process::new(&environment, connection, numbers, &clock, &texts, scenario)
        });
        process.store().create_table().await.unwrap();
        for number in &numbers {
            add_by_hand(process.store(), number).await;
        }
        let stale_reads = StaleReads::of(&database);
        let stale_store = Store::connect_over(stale_reads.clone(), &environment, Store::TIME_LIMIT).unwrap();
        Self {
            clock,
            database,
            texts,
            process,
            crashing_process,
            crashing_connection,
            stale_reads,
            stale_store,
            voice,
            bus,
            bucket,
            urls,
            http: local::loopback_client(),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Replaces the crashed process by a new one with empty caches. The new one has its own connection to the table, so
    /// that late requests of the crashed one never arrive.
    pub fn replace_crashed_process(&mut self) {
        self.crashing_connection = Connection::to(&self.database);
        self.crashing_process.restart(&environment(&self.urls), self.crashing_connection.clone());
    }

    /// Puts these items into the restored table, and repairs it. Returns its store.
    pub async fn restore(&self, items: &[Item]) -> (Store, Restored) {
        let environment = environment(&self.urls).with([("TABLE_NAME".to_owned(), RESTORED.to_owned())]);
        let store = connect(&environment, Connection::to(&self.database));
        store.create_table().await.unwrap();
        for item in items {
            self.database.put(RESTORED, item).await;
        }
        let clock = Arc::new(self.clock.clone());
        let provisioner = provisioner(&environment, &store, self.process.numbers.clone(), clock.clone());
        let restorer = Restorer { store: store.clone(), provisioner, clock };
        (store, restorer.run().await.unwrap())
    }

    /// The phones that have received these words and nothing else, each with the number that sent them.
    pub async fn received(&self, words: &str) -> Vec<(RealNumber, VirtualNumber)> {
        let messages = self.inbox(words).await.into_iter().filter(|message| message["text"] == words);
        messages.map(|message| (number(&string(&message["to"])), number(&string(&message["from"])))).collect()
    }

    /// The messages on phones that end with these words.
    pub async fn inbox(&self, words: &str) -> Vec<Value> {
        let inbox: Value = self
            .http
            .get(format!("{}/simulator/messages", self.urls.vonage))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let ends = |message: &&Value| message["text"].as_str().unwrap().ends_with(words);
        inbox["messages"].as_array().unwrap().iter().filter(ends).cloned().collect()
    }

    /// The numbers that the Vonage account rents.
    pub async fn rented(&self) -> BTreeSet<String> {
        let page = self.process.numbers.list("", 1).await.unwrap();
        assert!(!page.more, "a case has fewer numbers than a page");
        page.numbers.iter().map(|listed| listed.settings.msisdn().to_owned()).collect()
    }
}

impl Process {
    fn new(
        environment: &Environment,
        connection: Connection,
        numbers: NumbersApi,
        clock: &ManualClock,
        texts: &Texts,
        scenario: &Scenario,
    ) -> Self {
        let store = connect(environment, connection);
        let clock = Arc::new(clock.clone());
        let announcer = || Announcer::from_environment(environment).unwrap();
        let demand = || DemandRecorder {
            store: store.clone(),
            auto_rent_max: CountryCounts::default(),
            provisioning: None,
            clock: clock.clone(),
        };
        let provisioner = provisioner(environment, &store, numbers.clone(), clock.clone());
        let verifier = || NumberVerifier {
            lookup: Some(Directory),
            when_lookup_fails: WhenLookupFails::Accept,
            callable: DialPolicy::All,
            clock: clock.clone() as SharedClock,
        };
        let creator = Creator {
            senders: BrandSenders::default(),
            store: store.clone(),
            verifier: verifier(),
            texts: texts.clone(),
            words: Words::default(),
            clock: clock.clone(),
            fallback: scenario.fallback.clone(),
            lists: Some(list_key()),
            text_time_limit: std::time::Duration::ZERO,
            demand: demand(),
            cache: PoolCache::default(),
            routes_read: scenario.routes_read,
            // Every mark counts here.
            usage_time_limit: std::time::Duration::MAX,
        };
        let healer = Healer {
            senders: BrandSenders::default(),
            store: store.clone(),
            texts: texts.clone(),
            words: Words::default(),
            text_time_limit: std::time::Duration::ZERO,
            clock: clock.clone(),
            fallback: scenario.fallback.clone(),
            cache: PoolCache::default(),
            routes_read: scenario.routes_read,
            demand: demand(),
            announcer: announcer(),
            heals: true,
        };
        let steps = CallSteps {
            store: store.clone(),
            texts: texts.clone(),
            words: Words::default(),
            elsewhere: None,
            clock: clock.clone(),
        };
        let pins = PinCalls { store: store.clone(), key: pin_key(), words: Words::default(), clock: clock.clone() };
        let updater = Updater {
            store: store.clone(),
            verifier: verifier(),
            pin_key: Some(pin_key()),
            words: Words::default(),
            clock: clock.clone(),
            cache: PoolCache::default(),
        };
        let slider = || EndSlider { store: store.clone(), clock: clock.clone(), cache: PoolCache::default() };
        let ends = slider();
        let placer = placer(environment, &store, clock.clone());
        let texting = environment.clone().with([("TEXTS_BY".to_owned(), scenario.texts_by.to_owned())]);
        let relay = TextRelay {
            store: store.clone(),
            // The simulated Vonage keeps the time of the machine, and refuses tokens of another one.
            texts: TextsOnDemand::from_environment(&texting, shared::clock::system()).unwrap(),
            senders: senders(scenario.texts_by),
            events: TextEvents { bus: None },
            slider: slider(),
            keeps_words: false,
            words: Words::default(),
            key: pin_key(),
            clock: clock.clone(),
        };
        let (store, api, pause) = (store.clone(), placer.api.clone(), std::time::Duration::ZERO);
        let hang_ups = HangUps { store, api, pause, clock };
        let keeper = keeper(environment, creator.store.clone(), texts, creator.clock.clone());
        let voice = environment.required("VONAGE_VOICE_URLS").unwrap();
        Self {
            creator,
            updater,
            provisioner,
            healer,
            steps,
            pins,
            placer,
            relay,
            hang_ups,
            slider: ends,
            keeper,
            voice,
            numbers,
        }
    }

    /// Begins again, with another connection to the table and empty caches. The clients of Vonage and AWS stay, which remember nothing
    /// of the table.
    fn restart(&mut self, environment: &Environment, connection: Connection) {
        let store = connect(environment, connection);
        let stores = [
            &mut self.creator.store,
            &mut self.creator.demand.store,
            &mut self.updater.store,
            &mut self.provisioner.store,
            &mut self.healer.store,
            &mut self.healer.demand.store,
            &mut self.steps.store,
            &mut self.pins.store,
            &mut self.placer.store,
            &mut self.relay.store,
            &mut self.relay.slider.store,
            &mut self.hang_ups.store,
            &mut self.slider.store,
            &mut self.keeper.store,
        ];
        stores.into_iter().for_each(|known| known.clone_from(&store));
        let caches = [
            &mut self.creator.cache,
            &mut self.updater.cache,
            &mut self.healer.cache,
            &mut self.relay.slider.cache,
            &mut self.slider.cache,
        ];
        caches.into_iter().for_each(|cache| *cache = PoolCache::default());
    }

    pub fn store(&self) -> &Store {
        &self.creator.store
    }

    /// Finishes erasures that a crashed process left, as the schedule does.
    pub async fn settle_erasures(&self) {
        let now = self.creator.clock.now();
        self.forgetter().run().await.unwrap();
        for erasure in self.store().due_erasures(now, None).await.unwrap().erasures {
            self.store().settle_erasure(&erasure, now).await.unwrap();
        }
    }

    fn forgetter(&self) -> Forgetter<'_> {
        Forgetter { store: self.store(), clock: &self.creator.clock, deadline: None }
    }

    /// Erases a person by number, as a request and then the schedule do.
    async fn erase_number(&self, number: &RealNumber) -> Result<NumberErasure, StoreError> {
        let begun = self.forgetter().begin(number).await?;
        self.forgetter().run().await?;
        let done = self.store().number_erasure(begun.id, self.creator.clock.now()).await?;
        Ok(done.expect("an erasure is remembered"))
    }

    /// Heals conversations, as the schedule does after the upkeep of the pool.
    async fn heal(&self) -> Result<Healing, StoreError> {
        let mut left = self.store().whole_pool().await?;
        left.retain(|number| number.left_since().is_some());
        self.healer.run(&left, None, None).await
    }

    /// Records an event, as the event webhook does. The numbers of a caller with PIN may be hidden, and tell nothing.
    async fn record(&self, event: &CallEvent) -> Result<Recorded, StoreError> {
        let (time, now) = (event.time(), self.creator.clock.now());
        let of_leg = event.event();
        if event.is_by_pin() {
            return self.store().record_leg_by_pin(&of_leg, now).await;
        }
        let recorded = self.store().record_leg_event(event.numbers(), &of_leg, time, now).await?;
        if let Recorded::ToSlide(id) | Recorded::ToWarn { conversation: id, slides: true, .. } = recorded {
            Box::pin(self.slider.slide(id, time)).await?;
        }
        Ok(recorded)
    }

    /// The same, with what the event webhook does if the conversation ended with its calls meanwhile.
    async fn record_or_hang_up(&self, event: &CallEvent) -> Result<Recorded, StoreError> {
        let recorded = self.record(event).await?;
        match recorded {
            Recorded::Merged(id) | Recorded::ToSlide(id) | Recorded::ToWarn { conversation: id, .. }
                if event.status == Status::Answered =>
            {
                let is_due = ended_meanwhile(self.store(), id, self.creator.clock.now()).await?;
                Ok(if is_due { Recorded::ToHangUp(id) } else { recorded })
            }
            recorded => Ok(recorded),
        }
    }

    pub async fn perform(&self, operation: &Operation) -> Outcome {
        let provisioner = &self.provisioner;
        match operation {
            Operation::Create { new, request, is_late, .. } => {
                let left = if *is_late { SignedDuration::from_secs(1) } else { SignedDuration::from_secs(10) };
                let deadline = Some(self.creator.clock.now() + left);
                Outcome::Create(self.creator.create((**new).clone(), request.clone(), deadline).await)
            }
            Operation::End(id) if ends_with_calls(*id) => {
                let ended = self.store().end_conversation_and_calls(*id, self.creator.clock.now()).await;
                if let Ok(Some(Conversation { hangs_up: true, .. })) = &ended {
                    Box::pin(hang_up::end_calls(&self.hang_ups, *id, Vec::new())).await;
                }
                Outcome::End(ended)
            }
            Operation::End(id) => Outcome::End(self.store().end_conversation(*id, self.creator.clock.now()).await),
            Operation::Erase(id) => {
                Outcome::Erase(self.store().erase_conversation(*id, self.creator.clock.now()).await)
            }
            Operation::EraseNumber(number) => Outcome::EraseNumber(self.erase_number(number).await),
            Operation::Update(id, change) => Outcome::Update(self.updater.update(*id, change).await),
            Operation::Drain(number) => Outcome::Drain(provisioner.drain(number).await),
            Operation::Rotate(number) => Outcome::Rotate(provisioner.rotate(number).await),
            Operation::Move(number, owner) => Outcome::Move(provisioner.move_number(number, *owner).await),
            Operation::Rent(kind, count) => Outcome::Rent(provisioner.order(&order(*kind, *count), None).await),
            Operation::Place(kind, count) => {
                let now = self.creator.clock.now();
                Outcome::Place(provisioner.order(&order(*kind, *count), Some(now)).await)
            }
            Operation::Orders => Outcome::Orders(provisioner.carry_out_orders(None).await),
            Operation::Upkeep => {
                self.settle_erasures().await;
                Outcome::Upkeep(provisioner.upkeep(None, &Headroom::default(), None).await)
            }
            Operation::Heal => Outcome::Heal(self.heal().await),
            Operation::Retention => {
                let run = RetentionRun { store: self.store(), clock: &self.creator.clock, stop_at: None };
                Outcome::Retention(run.run().await)
            }
            Operation::TakeAway(number) => {
                Outcome::Account(self.numbers.cancel(number.country, &number.number).await.is_ok())
            }
            Operation::GiveBack(number) => {
                Outcome::Account(self.numbers.buy(number.country, &number.number).await.is_ok())
            }
            Operation::Step(step) => Outcome::Step(Box::pin(step.ask(&self.steps)).await),
            Operation::Dial(order) => Outcome::Dial(Box::pin(order.place(&self.placer)).await),
            Operation::Late(key) => Outcome::Late(Box::pin(key.press(&self.steps)).await),
            Operation::Pin(pin) => Outcome::Pin(Box::pin(pin.type_in(&self.pins)).await),
            Operation::Event(event) => {
                let recorded = Box::pin(self.record_or_hang_up(event)).await;
                if let Ok(Recorded::ToHangUp(id)) = recorded {
                    let call = event.call.conversation_uuid();
                    Box::pin(hang_up::end_calls(&self.hang_ups, id, vec![call])).await;
                }
                Outcome::Event(recorded)
            }
            Operation::Recorded(made) => {
                Outcome::Recorded(Box::pin(made.tell(&self.steps, &self.keeper, &self.voice)).await)
            }
            Operation::Keep => Outcome::Keep(Box::pin(self.keeper.run(None)).await),
            Operation::HangUp(call) => Outcome::HangUp(Box::pin(hang_up::end_call(&self.hang_ups, call)).await),
            Operation::Press(press) => {
                let pressed = Box::pin(press.press(self.store(), self.creator.clock.now())).await;
                if let Ok(Some(call)) = &pressed {
                    let (id, call) = (press.call.conversation, call.clone());
                    Box::pin(hang_up::end_calls(&self.hang_ups, id, vec![call])).await;
                }
                Outcome::Press(pressed)
            }
        }
    }
}

/// Connects to the table and its journal.
fn connect(environment: &Environment, connection: Connection) -> Store {
    let store = Store::connect_over(connection, environment, Store::TIME_LIMIT).unwrap();
    store.with_journal(environment).unwrap()
}

fn provisioner(environment: &Environment, store: &Store, numbers: NumbersApi, clock: SharedClock) -> Provisioner {
    Provisioner {
        store: store.clone(),
        numbers,
        applications: unused_applications_api(),
        application_id: APPLICATION.to_owned(),
        monthly_budget: None,
        announcer: Announcer::from_environment(environment).unwrap(),
        clock,
    }
}

fn placer(environment: &Environment, store: &Store, clock: Arc<ManualClock>) -> Placer {
    // Only the part of Vonage that places calls is asked.
    let voice = ("VONAGE_API_URL".to_owned(), environment.required("VONAGE_VOICE_URLS").unwrap());
    let api = CallsApi::from_environment(&environment.clone().with([voice]), clock.clone()).unwrap().unwrap();
    let (store, words, pause) = (store.clone(), Words::default(), std::time::Duration::ZERO);
    Placer { store, api: Arc::new(api), words, pause, pacer: None, clock }
}

fn keeper(environment: &Environment, store: Store, texts: &Texts, clock: SharedClock) -> RecordingKeeper<Texts> {
    let voice = ("VONAGE_API_URL".to_owned(), environment.required("VONAGE_VOICE_URLS").unwrap());
    let environment = environment.clone().with([voice]);
    let token = ApplicationToken::from_environment(&environment, clock.clone()).unwrap();
    let vonage = Vonage::new(VonageConfig::from_environment(&environment).unwrap());
    RecordingKeeper {
        store,
        files: RecordingFiles::from_environment(&environment).unwrap().unwrap(),
        vonage: Some(RecordingsApi::new(vonage, token, &environment).unwrap()),
        kept_for: SignedDuration::from_hours(10 * 24),
        texts: texts.clone(),
        senders: BrandSenders::default(),
        bus: EventBus::from_environment(&environment).unwrap(),
        words: Words::default(),
        clock,
    }
}

fn order(kind: Kind, count: usize) -> Order {
    let search =
        Search { features: kind.features(), number_type: Some(kind.number_type()), ..Search::usual(kind.country()) };
    Order { owner: Owner::Deployment, search, count, cap: None }
}

/// The numbers of the pool at the start: of each kind the first ones.
fn first_numbers(scenario: &Scenario, now: Timestamp) -> Vec<PoolNumber> {
    let all: Vec<Kind> = scenario.numbers.iter().chain(&scenario.of_tenant).copied().collect();
    let number = |(position, kind): (usize, &Kind)| {
        let index = all[..position].iter().filter(|other| *other == kind).count();
        let owner = owner(position >= scenario.numbers.len());
        PoolNumber { owner, ..number_in_state_renting(*kind, index as u64, now) }
    };
    all.iter().enumerate().map(number).collect()
}

fn number_in_state_renting(kind: Kind, index: u64, now: Timestamp) -> PoolNumber {
    PoolNumber {
        number: kind.number(index),
        country: kind.country(),
        owner: Owner::Deployment,
        number_type: kind.number_type(),
        features: kind.features(),
        monthly_cost: Some(kind.monthly_cost()),
        state: NumberState::Renting,
        added_at: now,
        leased_until: now + SignedDuration::from_secs(60),
        draining_since: None,
        rotating_since: None,
        missing_since: None,
        part: None,
        set_aside: false,
        moves_to: None,
        loss: LossNotes::default(),
    }
}

/// The model's upkeep gets no public endpoint, so it never changes the application at Vonage.
fn unused_applications_api() -> ApplicationsApi {
    let nowhere = || "http://127.0.0.1:1".to_owned();
    let nowhere = environment(&Urls { vonage: nowhere(), voice: nowhere(), bus: nowhere(), bucket: nowhere() });
    ApplicationsApi(Vonage::new(VonageConfig::from_environment(&nowhere).unwrap()))
}

/// Adds a number through the same writes as provisioning.
async fn add_by_hand(store: &Store, number: &PoolNumber) {
    let ledger = store.ledger().await.unwrap();
    store.begin_renting(number, &ledger, None).await.unwrap();
    store.note_bought(number).await.unwrap();
    assert!(store.make_ready(number).await.unwrap());
}

/// Returns the senders of a deployment that texts by this API: the SMS API has none.
fn senders(texts_by: &str) -> BrandSenders {
    let mut senders = BrandSenders::default();
    if texts_by == "messages-api" {
        senders.set(Channel::WhatsApp, WHATSAPP).unwrap();
        senders.set(Channel::Rcs, RCS).unwrap();
    }
    senders
}

fn settings(numbers: &[PoolNumber]) -> simulator::Settings {
    // The test places no call, so nothing is ever delivered there.
    let nowhere = Webhook { address: "http://127.0.0.1:1/".to_owned(), http_method: HttpMethod::Post };
    simulator::Settings {
        api_key: "1a2b3c4d".to_owned(),
        api_secret: "secret".to_owned(),
        signature_secret: "signature-secret".to_owned(),
        application: Application {
            id: APPLICATION.to_owned(),
            public_key: account::PUBLIC_KEY.to_owned(),
            answer: nowhere.clone(),
            fallback_answer: None,
            event: nowhere,
            inbound: None,
            status: None,
        },
        balance: Decimal::from(1_000_000),
        faults: Default::default(),
        traffic: Default::default(),
        ncco_log: None,
        trace: Default::default(),
        linked_numbers: numbers.iter().map(|number| number.number.to_string()).collect(),
        senders: vec![(simulator::Channel::WhatsApp, WHATSAPP.to_owned()), (simulator::Channel::Rcs, RCS.to_owned())],
        clock: shared::clock::system(),
    }
}

fn environment(Urls { vonage, voice, bus, bucket }: &Urls) -> Environment {
    let bucket = format!("{bucket}{}", objects::PATH);
    [
        ("TABLE_NAME", TABLE),
        ("JOURNAL_TABLE_NAME", JOURNAL),
        ("AWS_ENDPOINT_URL_EVENTBRIDGE", bus.as_str()),
        ("AWS_ENDPOINT_URL_S3", bucket.as_str()),
        ("RECORDINGS_BUCKET", objects::BUCKET),
        ("EVENT_BUS_NAME", local::gateway::bus::NAME),
        // A slow machine must not cause a timeout.
        ("DYNAMODB_TIME_LIMIT_MS", "60000"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("VONAGE_API_KEY", "1a2b3c4d"),
        ("VONAGE_API_SECRET", "secret"),
        ("VONAGE_API_URL", vonage),
        ("VONAGE_REST_URL", vonage),
        ("VONAGE_VOICE_URLS", voice),
        ("VONAGE_APPLICATION_ID", APPLICATION),
        ("VONAGE_PRIVATE_KEY", account::PRIVATE_KEY),
    ]
    .into_iter()
    .collect()
}
