//! Changes of a conversation that run against each other, against its end and against creations that need the same
//! routes.

use std::sync::Arc;

use serde_json::json;
use shared::clock::Clock;
use shared::domain::call::{Direction, LegEvent, LegFacts, Status};
use shared::domain::carrier_record::CarrierRecord;
use shared::domain::conversation::{Conversation, ConversationId};
use shared::domain::language::Language;
use shared::domain::lifetime::Lifetime;
use shared::domain::phone::{PhoneNumber, VirtualNumber};
use shared::domain::route::KeyOwner;
use shared::domain::side::{Blocked, Side};
use shared::domain::usage::UsageLimits;
use shared::domain::words::Words;
use shared::service::pool_cache::PoolCache;
use shared::service::update::{Change, NewPhone, UpdateError, Updater};
use shared::store::{Erased, LegNumbers, LegPhone, Recorded};
use testkit::Laptop;

use crate::sandboxes::{Sandboxes, at_once, create, phone, rounds, start, verifier};

/// An operation of the race.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Phone(Side, usize),
    Language(Side, &'static str),
    Lifetime(u64),
    Block(Option<Blocked>),
    End,
    Erase,
    /// An event arrives for a completed leg of the first participant.
    Event,
    /// The outcome of a text message to the first participant is stored.
    Text,
    /// A conversation of two other people is created.
    Create([usize; 2]),
}

#[derive(Debug)]
enum Outcome {
    Changed,
    Ended,
    /// The conversation is erased, by this operation or another one.
    Erased,
    MaskTaken,
    Created(ConversationId),
    /// No number was free for one of the two people.
    Refused,
}

async fn perform(laptop: Arc<Laptop>, sandboxes: Arc<Sandboxes>, id: ConversationId, operation: Operation) -> Outcome {
    let change = match operation {
        Operation::End => {
            let now = laptop.clock.now();
            let ended = laptop.store().end_conversation(id, now).await.unwrap();
            return if ended.is_some() { Outcome::Ended } else { Outcome::Erased };
        }
        Operation::Erase => {
            assert!(laptop.store().erase_conversation(id, laptop.clock.now()).await.unwrap());
            return Outcome::Erased;
        }
        Operation::Event => {
            store_event(&laptop, id).await;
            return Outcome::Changed;
        }
        Operation::Text => {
            store_text_outcome(&laptop, id).await;
            return Outcome::Changed;
        }
        Operation::Create(pair) => {
            let created = create(sandboxes.of(pair[1]), pair).await;
            return created.map_or(Outcome::Refused, |conversation| Outcome::Created(conversation.id));
        }
        Operation::Lifetime(seconds) => {
            Change { lifetime: Some(Lifetime::try_from(seconds).unwrap()), ..Change::default() }
        }
        Operation::Language(side, tag) => {
            let mut change = Change::default();
            change.languages[side.index()] = Some(Language::try_from(tag).unwrap());
            change
        }
        Operation::Phone(side, person) => {
            let phone = NewPhone { side, number: format!("+{}", phone(person)), country: None };
            Change { phone: Some(phone), ..Change::default() }
        }
        Operation::Block(blocked) => Change { blocked: Some(blocked), ..Change::default() },
    };
    let updater = Updater {
        store: laptop.store(),
        verifier: verifier(&laptop),
        pin_key: None,
        words: Words::default(),
        clock: Arc::new(laptop.clock.clone()),
        cache: PoolCache::default(),
    };
    match updater.update(id, &change).await {
        Ok(_) => Outcome::Changed,
        Err(UpdateError::Ended) => Outcome::Ended,
        Err(UpdateError::Unknown) => Outcome::Erased,
        Err(UpdateError::MaskTaken { .. }) => Outcome::MaskTaken,
        Err(error) => panic!("{operation:?}: {error}"),
    }
}

/// Stores an event as the event webhook does.
async fn store_event(laptop: &Laptop, id: ConversationId) {
    let (store, now) = (laptop.store(), laptop.clock.now());
    let caller = PhoneNumber::try_from(phone(0)).unwrap().into();
    let (uuid, status) = ("leg-of-the-race".to_owned(), Status::Completed);
    let facts = LegFacts::default();
    let event = LegEvent { conversation_uuid: "CON-1".to_owned(), uuid, status, timestamp: Some(now), facts };
    for dialled in store.caller_routes(&caller, now).await.unwrap().by_number.into_keys() {
        match store.key_owner_at(&caller, &dialled, now).await.unwrap() {
            Some(KeyOwner::Route(route)) if route.conversation == id => {
                store.merge_leg(&LegPhone::from(&route), Direction::Inbound, &event).await.unwrap();
            }
            Some(KeyOwner::Erased(erased)) if erased.conversation == id => {
                let record = CarrierRecord::of_leg(&event.uuid, Direction::Inbound);
                store.request_redaction(&[record], now).await.unwrap();
            }
            _ => {}
        }
    }
}

/// Stores the outcome of a text message as a creation does that waited for the carrier.
async fn store_text_outcome(laptop: &Laptop, id: ConversationId) {
    let (store, now) = (laptop.store(), laptop.clock.now());
    let text = CarrierRecord::of_text("text-of-the-race".to_owned());
    if let Some(conversation) = store.conversation(id, now).await.unwrap() {
        store.record_notifications(&conversation, &[(Side::A.into(), vec![text])], now).await.unwrap();
    } else {
        store.request_redaction(&[text], now).await.unwrap();
    }
}

const NUMBERS: usize = 3;

/// A person with a route on every number, so no change can bring in this phone.
const BUSY: usize = 2;

async fn race(operations: &[Operation]) -> (Vec<Outcome>, Conversation) {
    let (laptop, sandboxes) = start(&[]).await;
    laptop.rent("GB", NUMBERS).await;
    let (laptop, sandboxes) = (Arc::new(laptop), Arc::new(sandboxes));
    let neighbours: Vec<_> = (100..100 + NUMBERS).map(|other| [BUSY, other]).collect();
    sandboxes.create(&neighbours).await.into_iter().for_each(|created| drop(created.unwrap()));
    let conversation = create(sandboxes.of(0), [0, 1]).await.unwrap();
    let before = laptop.table().await;

    let outcomes = at_once(
        operations.iter().map(|operation| perform(laptop.clone(), sandboxes.clone(), conversation.id, *operation)),
    )
    .await;
    let after = laptop.table().await;
    for neighbour in before.conversations.iter().filter(|other| other.id != conversation.id) {
        assert!(after.conversations.contains(neighbour), "another conversation changed: {neighbour:?}");
    }
    for ((caller, number), route) in before.routes.iter().filter(|(_, route)| route.conversation != conversation.id) {
        assert_eq!(after.routes.get(&(caller.clone(), number.clone())), Some(route));
    }
    for outcome in &outcomes {
        if let Outcome::Created(id) = outcome {
            assert!(after.conversations.iter().any(|stored| stored.id == *id), "conversation {id} is missing");
        }
    }
    let stored = after.conversations.into_iter().find(|stored| stored.id == conversation.id).unwrap();
    (outcomes, stored)
}

fn count(outcomes: &[Outcome], matches: fn(&Outcome) -> bool) -> usize {
    outcomes.iter().filter(|outcome| matches(outcome)).count()
}

fn changes(outcomes: &[Outcome]) -> usize {
    count(outcomes, |outcome| matches!(outcome, Outcome::Changed))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_changes_are_all_applied_in_some_order() {
    for _ in 0..rounds() {
        let operations = [
            Operation::Phone(Side::A, 3),
            Operation::Phone(Side::A, 4),
            Operation::Phone(Side::B, 5),
            Operation::Phone(Side::A, BUSY),
            Operation::Lifetime(600),
            Operation::Lifetime(900),
            Operation::Language(Side::A, "de"),
            Operation::Language(Side::B, "hi"),
            Operation::Block(Some(Blocked::A)),
            Operation::Block(Some(Blocked::A)),
        ];
        let (outcomes, conversation) = race(&operations).await;
        assert!(matches!(outcomes[3], Outcome::MaskTaken), "{outcomes:?}");
        assert_eq!(
            (changes(&outcomes), conversation.revision),
            (9, 8),
            "a block sent again is no change: {outcomes:?}"
        );
        assert_eq!(conversation.blocked, Some(Blocked::A));
        let [a, b] = &conversation.participants;
        assert!([3, 4].map(phone).iter().any(|digits| a.number.expose() == digits), "{conversation:?}");
        assert_eq!(b.number.expose(), phone(5));
        let languages = [a, b].map(|participant| participant.language.as_ref().unwrap().as_str());
        assert_eq!(languages, ["de", "hi"]);
        let lifetime = conversation.expires_at.as_second() - conversation.created_at.as_second();
        assert!([600, 900].contains(&lifetime), "{conversation:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn conversation_does_not_change_after_its_end() {
    for _ in 0..rounds() {
        let operations = [
            Operation::Phone(Side::A, 3),
            Operation::End,
            Operation::Lifetime(600),
            Operation::Phone(Side::B, 5),
            Operation::Block(Some(Blocked::Both)),
            Operation::End,
        ];
        let (outcomes, conversation) = race(&operations).await;
        let (changes, ended_at) = (changes(&outcomes), conversation.ended_at);
        assert_eq!(conversation.revision as usize, changes + 1, "{outcomes:?}");
        assert_eq!(ended_at, Some(conversation.created_at), "the clock stands still");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changed_phone_and_creations_get_different_routes() {
    for _ in 0..rounds() {
        let operations = [
            Operation::Phone(Side::A, 3),
            Operation::Create([3, 50]),
            Operation::Create([3, 51]),
            Operation::Create([3, 52]),
        ];
        let (outcomes, conversation) = race(&operations).await;
        let is_changed = conversation.participants[0].number.expose() == phone(3);
        assert_eq!(is_changed, matches!(outcomes[0], Outcome::Changed), "{outcomes:?}");
        assert!(is_changed || matches!(outcomes[0], Outcome::MaskTaken), "{outcomes:?}");
        let created = count(&outcomes, |outcome| matches!(outcome, Outcome::Created(_)));
        assert_eq!(created + usize::from(is_changed), NUMBERS, "person 3 must have a route on every number");
    }
}

/// At the end only tombstones in quarantine contain a participant's number, and every text message has to be redacted.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn erasure_is_complete_in_spite_of_concurrent_requests() {
    for _ in 0..rounds() {
        let (laptop, sandboxes) = start(&[]).await;
        laptop.rent("GB", NUMBERS).await;
        let (laptop, sandboxes) = (Arc::new(laptop), Arc::new(sandboxes));
        let conversation = create(sandboxes.of(0), [0, 1]).await.unwrap();
        let operations = [
            Operation::Erase,
            Operation::Phone(Side::A, 3),
            Operation::End,
            Operation::Erase,
            Operation::Lifetime(600),
            Operation::Language(Side::B, "hi"),
            Operation::Block(Some(Blocked::B)),
            Operation::Event,
            Operation::Text,
            Operation::Create([0, 1]),
            Operation::Create([3, 50]),
        ];
        at_once(
            operations.iter().map(|operation| perform(laptop.clone(), sandboxes.clone(), conversation.id, *operation)),
        )
        .await;
        laptop.advance(61 * 60);
        let now = laptop.clock.now();
        let settled = laptop.store().due_erasures(now, None).await.unwrap().erasures;
        for erasure in &settled {
            assert_eq!(laptop.store().settle_erasure(erasure, now).await.unwrap(), Erased::Settled);
        }
        let table = laptop.table().await;
        assert_eq!((settled.len(), table.erasing.len(), table.legs.len(), table.erasures.len()), (1, 0, 0, 0));
        assert!(table.erased.contains(&conversation.id));
        for id in ["text-of-the-race", "leg-of-the-race"] {
            assert!(table.redactions.iter().any(|redaction| redaction.record.id == id), "no redaction of {id}");
        }
        assert!(
            table.redactions.len() >= 4,
            "text messages of the creation are not to be redacted: {:?}",
            table.redactions
        );
        let id = conversation.id.to_string();
        for [pk, _] in table.items_with(&id) {
            assert!(
                pk.starts_with("CALLER#") || *pk == format!("CONVERSATION#{id}"),
                "item {pk} contains the erased conversation"
            );
        }
    }
}

/// Counts the callee's leg of a call of 15 seconds, as the event webhook does.
async fn count_call(laptop: Arc<Laptop>, callee: String, dialled: VirtualNumber, leg: usize) {
    let now = laptop.clock.now();
    let facts = LegFacts { duration: Some(15), ..LegFacts::default() };
    let (conversation_uuid, uuid, status) = (format!("CON-{leg}"), format!("leg-{leg}"), Status::Completed);
    let event = LegEvent { conversation_uuid, uuid, status, timestamp: Some(now), facts };
    let phone = PhoneNumber::try_from(callee).unwrap().into();
    let numbers = LegNumbers { phone: &phone, virtual_number: &dialled, direction: Direction::Outbound, named: None };
    let recorded = laptop.store().record_leg_event(numbers, &event, now, now).await.unwrap();
    assert!(matches!(recorded, Recorded::Merged(_)), "{recorded:?}");
}

/// Whatever comes first, each call is counted once, and the routes leave what the table says; `Laptop::table` compares them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_are_counted_while_phones_blocks_and_limits_change() {
    for _ in 0..rounds() {
        let (laptop, sandboxes) = start(&[]).await;
        laptop.rent("GB", NUMBERS).await;
        let (laptop, sandboxes) = (Arc::new(laptop), Arc::new(sandboxes));
        let conversation = create(sandboxes.of(0), [0, 1]).await.unwrap();
        let updater = Updater {
            store: laptop.store(),
            verifier: verifier(&laptop),
            pin_key: None,
            words: Words::default(),
            clock: Arc::new(laptop.clock.clone()),
            cache: PoolCache::default(),
        };
        let limits: UsageLimits = serde_json::from_value(json!({"max_minutes": 1, "max_calls_per_day": 4})).unwrap();
        updater.update(conversation.id, &Change { limits, ..Change::default() }).await.unwrap();
        let dialled = conversation.participants[1].sees.clone();
        // Each event comes twice.
        let calls = (0..6).map(|nth| tokio::spawn(count_call(laptop.clone(), phone(1), dialled.clone(), nth / 2)));
        let calls: Vec<_> = calls.collect();
        let operations = [
            Operation::Phone(Side::A, 3),
            Operation::Phone(Side::B, 5),
            Operation::Block(Some(Blocked::A)),
            Operation::Lifetime(600),
        ];
        let changes =
            operations.map(|operation| perform(laptop.clone(), sandboxes.clone(), conversation.id, operation));
        at_once(changes.into_iter()).await;
        for call in calls {
            call.await.unwrap();
        }
        let table = laptop.table().await;
        let usage = table.usage[&conversation.id];
        assert_eq!((usage.calls, usage.seconds), (3, 45));
        let live = table.routes.values().filter(|route| route.conversation == conversation.id);
        let live: Vec<_> = live.filter(|route| route.is_live(laptop.clock.now())).collect();
        assert_eq!(live.iter().map(|route| route.left_seconds).collect::<Vec<_>>(), [Some(15); 2]);
        count_call(laptop.clone(), phone(1), dialled, 9).await;
        let stored = laptop.store().conversation(conversation.id, laptop.clock.now()).await.unwrap().unwrap();
        assert!(stored.limit_reached_at.is_some() && stored.paused_until.is_some(), "{stored:?}");
        laptop.table().await;
    }
}
