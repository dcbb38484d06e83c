//! Healing that runs against itself, and against changes, ends and erasures of the same conversations: on lost numbers and on
//! rotated ones.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use shared::clock::Clock;
use shared::domain::conversation::Conversation;
use shared::domain::lifetime::Lifetime;
use shared::domain::phone::VirtualNumber;
use shared::domain::pool::{NumberState, PoolNumber};
use shared::domain::side::Side;
use shared::domain::words::Words;
use shared::service::pool_cache::PoolCache;
use shared::service::provision::{Headroom, Rotated};
use shared::service::update::{Change, NewPhone, UpdateError, Updater};
use shared::store::ScanPurpose;
use testkit::Laptop;

use crate::sandboxes::{Sandboxes, at_once, create, healer, phone, provisioner, rounds, start, verifier};

const NUMBERS: usize = 4;

/// Number of conversations on the lost number.
const CONVERSATIONS: usize = 8;

/// The reason for which conversations leave their numbers.
#[derive(Clone, Copy, Debug)]
enum Cause {
    Loss,
    Rotation,
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    None,
    End,
    Erase,
    Phone,
    Lifetime,
}

async fn perform(laptop: Arc<Laptop>, conversation: Conversation, operation: Operation, new_phone: usize) {
    let (store, id, now) = (laptop.store(), conversation.id, laptop.clock.now());
    let change = match operation {
        Operation::None => return,
        Operation::End => return drop(store.end_conversation(id, now).await.unwrap()),
        Operation::Erase => return assert!(store.erase_conversation(id, now).await.unwrap()),
        Operation::Phone => {
            let number = format!("+{}", phone(new_phone));
            Change { phone: Some(NewPhone { side: Side::A, number, country: None }), ..Change::default() }
        }
        Operation::Lifetime => Change { lifetime: Some(Lifetime::try_from(90).unwrap()), ..Change::default() },
    };
    let (clock, cache) = (Arc::new(laptop.clock.clone()), PoolCache::default());
    let updater = Updater { store, verifier: verifier(&laptop), pin_key: None, words: Words::default(), clock, cache };
    match updater.update(id, &change).await {
        Ok(_) | Err(UpdateError::MaskTaken { .. }) => {}
        Err(error) => panic!("{operation:?}: {error}"),
    }
}

/// Takes a number away. Returns it as the schedule finds it.
async fn lose(laptop: &Laptop, numbers: &[VirtualNumber]) -> Vec<PoolNumber> {
    for number in numbers {
        let taken = laptop.vonage_form("/number/cancel", &[("country", "GB"), ("msisdn", number.as_str())]).await;
        assert_eq!(taken.status, 200);
    }
    provisioner(laptop).await.upkeep(None, &Headroom::default(), None).await.unwrap().left
}

/// Rotates numbers, each in three requests at once. Returns those that are rotated now.
async fn rotate(laptop: &Arc<Laptop>, numbers: &[VirtualNumber]) -> Vec<PoolNumber> {
    let mut tasks = Vec::new();
    for number in numbers.iter().flat_map(|number| [number.clone(), number.clone(), number.clone()]) {
        let provisioner = provisioner(laptop).await;
        tasks.push(async move { provisioner.rotate(&number).await.unwrap() });
    }
    for rotated in at_once(tasks).await {
        assert!(matches!(rotated, Rotated::Rotating(_) | Rotated::NoOther(_)), "{rotated:?}");
    }
    let pool = laptop.store().whole_pool().await.unwrap();
    pool.into_iter().filter(|number| number.rotating_since.is_some()).collect()
}

/// Takes numbers away that the first participants dial, or rotates them, and heals in several runs at once, while each
/// conversation meets the operation.
async fn race(cause: Cause, operation: Operation) -> (Arc<Laptop>, Sandboxes, Vec<Conversation>) {
    let (laptop, sandboxes) = start(&[]).await;
    laptop.rent("GB", NUMBERS).await;
    let laptop = Arc::new(laptop);
    let mut conversations = Vec::new();
    for pair in (0..CONVERSATIONS).map(|nth| [2 * nth, 2 * nth + 1]) {
        conversations.push(create(sandboxes.of(0), pair).await.unwrap());
    }
    let dialled: BTreeSet<_> =
        conversations.iter().map(|conversation| conversation.participants[0].sees.clone()).collect();
    let dialled: Vec<_> = dialled.into_iter().take(NUMBERS - 2).collect();
    let left = match cause {
        Cause::Loss => lose(&laptop, &dialled).await,
        Cause::Rotation => rotate(&laptop, &dialled).await,
    };
    assert_eq!(left.len(), dialled.len());
    let mut tasks: Vec<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>> = Vec::new();
    for _ in 0..3 {
        let (healer, left) = (healer(&laptop, sandboxes.outbox.clone()), left.clone());
        tasks.push(Box::pin(async move { assert_eq!(healer.run(&left, None, None).await.unwrap().failed, 0) }));
    }
    for (nth, conversation) in conversations.iter().enumerate() {
        tasks.push(Box::pin(perform(laptop.clone(), conversation.clone(), operation, 100 + nth)));
    }
    at_once(tasks).await;
    // What a race left is done by a later run.
    for _ in 0..2 {
        laptop.advance(2);
        let done = healer(&laptop, sandboxes.outbox.clone()).run(&left, None, None).await.unwrap();
        assert_eq!((done.unhealed, done.failed), (0, 0));
    }
    (laptop, sandboxes, conversations)
}

/// Checks that no live conversation is on a lost or rotated number, that nobody got two texts of one number, and that the backend
/// knows of each participant with another number.
async fn check(laptop: &Laptop, sandboxes: &Sandboxes) -> Vec<Conversation> {
    let table = laptop.table().await;
    assert_eq!(table.heals, []);
    let now = laptop.clock.now();
    let lost = table.pool.iter().filter(|number| number.left_since().is_some());
    let lost: BTreeSet<_> = lost.map(|number| number.number.clone()).collect();
    let events = laptop.stack.bus.events();
    for conversation in &table.conversations {
        for side in Side::BOTH {
            let participant = conversation.participant(side);
            assert!(!conversation.is_active(now) || !lost.contains(&participant.sees), "{conversation:?}");
            let is_told = events.iter().any(|event| {
                let detail = &event["detail"];
                let is_this = detail["conversation"] == conversation.id.to_string();
                is_this
                    && detail["side"] == format!("{side:?}")
                    && (detail["healed"] == "true" || detail["moved"] == "true")
            });
            assert_eq!(is_told, !participant.previously_seen.is_empty(), "{conversation:?} {events:?}");
        }
    }
    let texts = sandboxes.outbox.texts();
    assert_eq!(texts.iter().collect::<BTreeSet<_>>().len(), texts.len(), "a text was sent twice: {texts:?}");
    assert!(texts.iter().all(|(to, _)| to.len() == phone(0).len()));
    table.conversations
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_runs_heal_each_conversation_once() {
    for cause in (0..rounds()).flat_map(|_| [Cause::Loss, Cause::Rotation]) {
        let (laptop, sandboxes, before) = race(cause, Operation::None).await;
        let after = check(&laptop, &sandboxes).await;
        let changed = after.iter().map(|conversation| {
            let changed = Side::BOTH.map(|side| conversation.participant(side).previously_seen.len());
            assert_eq!(conversation.revision > 0, changed.iter().sum::<usize>() > 0, "{conversation:?}");
            changed.iter().sum::<usize>()
        });
        assert!(changed.sum::<usize>() >= 1);
        let texts = sandboxes.outbox.texts();
        let changes =
            after.iter().flat_map(|conversation| Side::BOTH.map(|side| conversation.participant(side).clone()));
        let changes = changes.map(|participant| 1 + participant.previously_seen.len());
        assert_eq!(texts.len(), changes.sum::<usize>(), "{before:?}");
    }
}

/// A run without time for a page saves its scan, and the next one continues it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn scan_that_ran_out_of_time_is_continued() {
    let (laptop, sandboxes) = start(&[]).await;
    laptop.rent("GB", NUMBERS).await;
    let conversation = create(sandboxes.of(0), [0, 1]).await.unwrap();
    let number = conversation.participants[0].sees.to_string();
    let taken = laptop.vonage_form("/number/cancel", &[("country", "GB"), ("msisdn", &number)]).await;
    assert_eq!(taken.status, 200);
    let missing = provisioner(&laptop).await.upkeep(None, &Headroom::default(), None).await.unwrap().left;
    let run = async |deadline| healer(&laptop, sandboxes.outbox.clone()).run(&missing, None, deadline).await.unwrap();
    let saved = async || laptop.store().saved_route_scan(ScanPurpose::Healing).await.unwrap();
    let soon = laptop.clock.now() + SignedDuration::from_secs(20);
    assert_eq!((run(Some(soon)).await.healed, saved().await.unwrap().numbers), (0, vec![missing[0].number.clone()]));
    assert_eq!((run(None).await.healed, saved().await), (1, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn healing_meets_ends_erasures_and_changes() {
    let operations = [Operation::End, Operation::Erase, Operation::Phone, Operation::Lifetime];
    for (cause, operation) in
        [Cause::Loss, Cause::Rotation].into_iter().flat_map(|cause| operations.map(|one| (cause, one)))
    {
        let (laptop, sandboxes, before) = race(cause, operation).await;
        let after = check(&laptop, &sandboxes).await;
        let now = laptop.clock.now();
        match operation {
            Operation::End => assert!(after.iter().all(|conversation| !conversation.is_active(now))),
            Operation::Erase => assert_eq!(after, []),
            Operation::Phone | Operation::Lifetime | Operation::None => assert_eq!(after.len(), before.len()),
        }
    }
}

/// However many rotations run at once, conversations keep a number to which they can move.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rotations_at_once_leave_one_ready_number() {
    let (laptop, _sandboxes) = start(&[]).await;
    laptop.rent("GB", NUMBERS).await;
    let laptop = Arc::new(laptop);
    let numbers: Vec<_> = laptop.store().whole_pool().await.unwrap().into_iter().map(|number| number.number).collect();
    for _ in 0..2 {
        assert_eq!(rotate(&laptop, &numbers).await.len(), NUMBERS - 1);
        let table = laptop.table().await;
        assert_eq!(table.pool.iter().filter(|number| number.state == NumberState::Ready).count(), 1);
    }
    let told = laptop.stack.bus.events().into_iter().map(|event| event["detail"]["number"].to_string());
    assert_eq!(told.collect::<BTreeSet<_>>().len(), NUMBERS - 1);
}
