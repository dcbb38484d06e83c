//! Several sandboxes of one function, and people whose numbers every lookup knows.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use shared::clock::ManualClock;
use shared::config::VonageConfig;
use shared::domain::call_handling::CallHandling;
use shared::domain::call_limits::CallLimits;
use shared::domain::caller_routes::RoutesInUse;
use shared::domain::carrier_record::CarrierRecord;
use shared::domain::channel::{BrandSenders, OnChannel};
use shared::domain::choice::NoFreeNumber;
use shared::domain::conversation::{Conversation, ConversationId};
use shared::domain::country::{Country, CountryCounts};
use shared::domain::invitation::Invitation;
use shared::domain::judge::Judge;
use shared::domain::late::LateCare;
use shared::domain::lifetime::Lifetime;
use shared::domain::listing::ListKey;
use shared::domain::phone::dial_policy::DialPolicy;
use shared::domain::phone::{PhoneNumber, RealNumber, VirtualNumber};
use shared::domain::side::{Side, WhoDials};
use shared::domain::tenant::Owner;
use shared::domain::text_masking::TextMasking;
use shared::domain::usage::UsageLimits;
use shared::domain::words::Words;
use shared::service::announce::Announcer;
use shared::service::create::{
    Created, CreationError, Creator, Invitations, NewConversation, NewParticipant, ROUTES_READ, USAGE_TIME_LIMIT,
};
use shared::service::demand::{DemandRecorder, Renting};
use shared::service::heal::Healer;
use shared::service::pool_cache::PoolCache;
use shared::service::provision::Provisioner;
use shared::service::verify_number::{NumberVerifier, WhenLookupFails};
use shared::store::IdempotentRequest;
use shared::vonage::number_lookup::{LookedUpNumber, NumberLookup};
use shared::vonage::texts::{InvitationWay, TextSender};
use shared::vonage::{Vonage, VonageError};
use testkit::Laptop;
use tokio::sync::{Barrier, Mutex, MutexGuard};

/// Number of times each race runs.
pub fn rounds() -> usize {
    std::env::var("MASKLINE_TEST_ROUNDS").map_or(2, |rounds| rounds.parse().unwrap())
}

/// Starts all `tasks` at the same moment. Returns their results in order.
pub async fn at_once<T: Send + 'static>(
    tasks: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = tasks.into_iter().collect();
    let start = Arc::new(Barrier::new(tasks.len()));
    let running: Vec<_> = tasks
        .into_iter()
        .map(|task| {
            let start = start.clone();
            tokio::spawn(async move {
                start.wait().await;
                task.await
            })
        })
        .collect();
    let mut given = Vec::new();
    for task in running {
        given.push(task.await.unwrap());
    }
    given
}

/// A random number less than `limit`.
pub fn random(limit: usize) -> usize {
    usize::try_from(uuid::Uuid::new_v4().as_u128() % limit as u128).unwrap()
}

/// A person's own phone, in digits.
pub fn phone(person: usize) -> String {
    format!("4477009{person:05}")
}

/// Two different people of the first `people`.
pub fn random_pair(people: usize) -> [usize; 2] {
    let first = random(people);
    [first, (first + 1 + random(people - 1)) % people]
}

/// A number lookup that accepts every number.
pub struct Directory;

impl NumberLookup for Directory {
    fn judge(&self) -> Judge {
        Judge::NumberInsight
    }

    async fn look_up(&self, number: &PhoneNumber) -> Result<Option<LookedUpNumber>, VonageError> {
        let country = Country::try_from("GB").unwrap();
        Ok(Some(LookedUpNumber {
            number: RealNumber::from(number.clone()),
            country,
            carrier: None,
            carrier_record: None,
        }))
    }
}

/// Receiver and sender of each text message.
#[derive(Clone, Default)]
pub struct Outbox(Arc<std::sync::Mutex<Vec<(String, String)>>>);

impl Outbox {
    pub fn texts(&self) -> Vec<(String, String)> {
        self.0.lock().unwrap().clone()
    }
}

impl TextSender for Outbox {
    fn carries_files(&self) -> bool {
        false
    }

    async fn send(&self, from: &VirtualNumber, to: &RealNumber, _: &str) -> Result<Vec<CarrierRecord>, VonageError> {
        self.0.lock().unwrap().push((to.expose().to_owned(), from.to_string()));
        // As slow as a carrier, so that other tasks run in between.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(vec![CarrierRecord::of_text(uuid::Uuid::new_v4().to_string())])
    }

    async fn send_on(
        &self,
        _: OnChannel<'_>,
        _: Option<&VirtualNumber>,
        _: &RealNumber,
        _: &str,
    ) -> Result<Vec<CarrierRecord>, VonageError> {
        unreachable!("nobody has a channel here")
    }

    async fn invite(
        &self,
        _: (ConversationId, Invitation),
        from: &VirtualNumber,
        to: &RealNumber,
        text: &str,
        _: InvitationWay<'_>,
    ) -> Result<Vec<CarrierRecord>, VonageError> {
        self.send(from, to, text).await
    }
}

/// A sandbox: the service that creates conversations, with its own cache.
pub type Sandbox = Arc<Creator<Directory, Outbox>>;

pub struct Sandboxes {
    pub clock: ManualClock,
    pub outbox: Outbox,
    all: Vec<Sandbox>,
    _alone: MutexGuard<'static, ()>,
}

/// Only one race runs at a time. Several would slow each other down until requests time out.
static RACE: Mutex<()> = Mutex::const_new(());

/// Starts a new stack and its sandboxes.
pub async fn start(environment: &[(&str, &str)]) -> (Laptop, Sandboxes) {
    let alone = RACE.lock().await;
    let laptop = Laptop::builder().env(environment).dynamodb_from_environment().start().await;
    let sandboxes = Sandboxes::start(&laptop, alone).await;
    (laptop, sandboxes)
}

impl Sandboxes {
    async fn start(laptop: &Laptop, alone: MutexGuard<'static, ()>) -> Self {
        let (mut all, outbox) = (Vec::new(), Outbox::default());
        for _ in 0..8 {
            all.push(Arc::new(sandbox(laptop, outbox.clone()).await));
        }
        Self { clock: laptop.clock.clone(), outbox, all, _alone: alone }
    }

    /// The sandbox that gets the request at `index`.
    pub fn of(&self, index: usize) -> Sandbox {
        self.all[index % self.all.len()].clone()
    }

    /// Creates a conversation for each pair, all at once.
    pub async fn create(&self, pairs: &[[usize; 2]]) -> Vec<Result<Conversation, Refusal>> {
        at_once(pairs.iter().enumerate().map(|(index, pair)| create(self.of(index), *pair))).await
    }
}

pub async fn provisioner(laptop: &Laptop) -> Provisioner {
    let env = &laptop.stack.environment;
    let vonage = Vonage::new(VonageConfig::from_environment(env).unwrap());
    Provisioner::new(env, laptop.store(), vonage, Arc::new(laptop.clock.clone())).unwrap()
}

/// Returns a run of healing, with its own cache.
pub fn healer(laptop: &Laptop, texts: Outbox) -> Healer<Outbox> {
    let (store, clock) = (laptop.store(), Arc::new(laptop.clock.clone()));
    let auto_rent_max = CountryCounts::default();
    Healer {
        senders: BrandSenders::default(),
        demand: DemandRecorder { store: store.clone(), auto_rent_max, provisioning: None, clock: clock.clone() },
        store,
        texts,
        words: Words::default(),
        text_time_limit: Duration::from_secs(5),
        clock,
        fallback: Vec::new(),
        cache: PoolCache::default(),
        routes_read: ROUTES_READ,
        announcer: Announcer::from_environment(&laptop.stack.environment).unwrap(),
        heals: true,
    }
}

/// Returns a verifier of participants' numbers that accepts every number.
pub fn verifier(laptop: &Laptop) -> NumberVerifier<Directory> {
    NumberVerifier {
        lookup: Some(Directory),
        when_lookup_fails: WhenLookupFails::Refuse,
        callable: DialPolicy::All,
        clock: Arc::new(laptop.clock.clone()),
    }
}

async fn sandbox(laptop: &Laptop, texts: Outbox) -> Creator<Directory, Outbox> {
    Creator {
        senders: BrandSenders::default(),
        store: laptop.store(),
        verifier: verifier(laptop),
        texts,
        words: Words::default(),
        clock: Arc::new(laptop.clock.clone()),
        fallback: Vec::new(),
        lists: Some(ListKey::new(&laptop.stack.environment.required("HASH_KEY").unwrap())),
        text_time_limit: Duration::from_secs(5),
        demand: DemandRecorder::new(&laptop.stack.environment, laptop.store(), Arc::new(laptop.clock.clone())).unwrap(),
        cache: PoolCache::default(),
        routes_read: ROUTES_READ,
        usage_time_limit: USAGE_TIME_LIMIT,
    }
}

/// A refusal because no number is free.
#[derive(Debug)]
pub struct Refusal {
    /// The person without a free number.
    pub person: usize,
    pub none_free: NoFreeNumber,
    pub renting: Renting,
}

impl Refusal {
    /// Checks that `ready` numbers are ready, that the person has routes on all of them, and what is done about that.
    pub fn check(&self, ready: usize, renting: Renting) {
        let RoutesInUse { live, quarantined } = self.none_free.in_use;
        assert_eq!((self.none_free.ready, live + quarantined, self.renting), (ready, ready, renting), "{self:?}");
    }
}

/// A conversation of one minute with a quarantine of one minute.
pub fn new_conversation(pair: [usize; 2]) -> NewConversation {
    let participant = |person| NewParticipant {
        number: format!("+{}", phone(person)),
        country: None,
        label: None,
        language: None,
        channel: None,
        hours: None,
        name: None,
        further: Vec::new(),
    };
    NewConversation {
        owner: Owner::Deployment,
        usual_limits: UsageLimits::default(),
        participants: pair.map(participant),
        direction: WhoDials::Both,
        lifetime: Lifetime::try_from(60).unwrap(),
        quarantine_seconds: 60,
        limits: CallLimits::with_max_call(CallLimits::MIN_CALL_SECONDS),
        handling: CallHandling::default(),
        text_masking: TextMasking::Off,
        decision: None,
        late: LateCare::default(),
        sliding_end: None,
        contact_card: None,
        invitations: Invitations::default(),
        usage_limits: UsageLimits::default(),
        pins: None,
        notify: true,
        reference: None,
    }
}

/// Creates a conversation. Fails the test on any error but a lack of numbers.
pub async fn create(sandbox: Sandbox, pair: [usize; 2]) -> Result<Conversation, Refusal> {
    // In a test's own stack frame it would be too large.
    match Box::pin(sandbox.create(new_conversation(pair), None, None)).await {
        Ok(created) => Ok(created.conversation),
        Err(CreationError::NoneFree(none_free, renting)) => {
            Err(Refusal { person: pair[none_free.side.index()], none_free, renting })
        }
        Err(error) => panic!("{pair:?}: {error}"),
    }
}

/// Creates the conversation of an idempotent request.
pub async fn create_once(sandbox: Sandbox, pair: [usize; 2], request: IdempotentRequest) -> Created {
    sandbox.create(new_conversation(pair), Some(request), None).await.unwrap()
}

/// The numbers that a person dials in `conversations`.
pub fn dialled<'a>(person: usize, conversations: impl IntoIterator<Item = &'a Conversation>) -> BTreeSet<String> {
    let both = |conversation: &'a Conversation| Side::BOTH.map(|side| conversation.participant(side));
    let participants = conversations.into_iter().flat_map(both);
    let own = participants.filter(|participant| participant.number.expose() == phone(person));
    own.map(|participant| participant.sees.to_string()).collect()
}
