//! Ends that slide while the conversation is changed, ended and erased, and while it expires.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use shared::clock::Clock;
use shared::domain::conversation::{Conversation, ConversationId, State};
use shared::domain::lifetime::Lifetime;
use shared::domain::sliding_end::SlidingEnd;
use shared::domain::words::Words;
use shared::service::create::NewConversation;
use shared::service::pool_cache::PoolCache;
use shared::service::slide_end::EndSlider;
use shared::service::update::{Change, UpdateError, Updater};
use testkit::Laptop;

use crate::sandboxes::{Sandboxes, at_once, new_conversation, rounds, start, verifier};

/// Seconds from a use to the end.
const AFTER_USE: u64 = 600;

/// An operation of the race.
#[derive(Clone, Copy, Debug)]
enum Operation {
    /// A call or text of now moves the end.
    Use,
    /// A request sets the end this number of seconds from now.
    Change(u64),
    End,
    Erase,
    /// The time of the conversation passes.
    Expire,
}

async fn perform(laptop: Arc<Laptop>, id: ConversationId, used_at: Timestamp, operation: Operation) {
    let (store, clock) = (laptop.store(), Arc::new(laptop.clock.clone()));
    match operation {
        Operation::Use => {
            let slider = EndSlider { store, clock, cache: PoolCache::default() };
            Box::pin(slider.slide(id, used_at)).await.unwrap();
        }
        Operation::Change(seconds) => {
            let (verifier, cache) = (verifier(&laptop), PoolCache::default());
            let updater = Updater { store, verifier, pin_key: None, words: Words::default(), clock, cache };
            let change = Change { lifetime: Some(Lifetime::try_from(seconds).unwrap()), ..Change::default() };
            let changed = Box::pin(updater.update(id, &change)).await;
            assert!(matches!(changed, Ok(_) | Err(UpdateError::Ended)), "{changed:?}");
        }
        Operation::End => drop(store.end_conversation(id, clock.now()).await.unwrap()),
        Operation::Erase => assert!(store.erase_conversation(id, clock.now()).await.unwrap()),
        Operation::Expire => laptop.advance(60),
    }
}

async fn begin() -> (Arc<Laptop>, Sandboxes, Conversation) {
    let (laptop, sandboxes) = start(&[]).await;
    laptop.rent("GB", 2).await;
    let sliding = SlidingEnd::new(Lifetime::try_from(AFTER_USE).unwrap(), None, laptop.clock.now());
    let new = NewConversation { sliding_end: Some(sliding), ..new_conversation([0, 1]) };
    let created = Box::pin(sandboxes.of(0).create(new, None, None)).await.unwrap();
    (Arc::new(laptop), sandboxes, created.conversation)
}

async fn race(operations: &[Operation]) -> (Arc<Laptop>, Conversation, Option<Conversation>, Timestamp) {
    let (laptop, _sandboxes, before) = begin().await;
    let used_at = laptop.clock.now();
    let tasks = operations.iter().map(|operation| perform(laptop.clone(), before.id, used_at, *operation));
    at_once(tasks.collect::<Vec<_>>()).await;
    let after = laptop.store().conversation(before.id, laptop.clock.now()).await.unwrap();
    // It compares the routes with the conversation.
    laptop.table().await;
    (laptop, before, after, used_at)
}

fn slid(used_at: Timestamp) -> Timestamp {
    Timestamp::from_second(used_at.as_second()).unwrap() + SignedDuration::from_secs(AFTER_USE.try_into().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_use_that_is_told_eight_times_moves_an_end_once() {
    for _ in 0..rounds() {
        let (_, before, after, used_at) = race(&[Operation::Use; 8]).await;
        let after = after.unwrap();
        assert_eq!((after.expires_at, after.revision), (slid(used_at), before.revision + 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn request_and_use_at_once_leave_one_of_both_ends() {
    for _ in 0..rounds() {
        let operations = [Operation::Use, Operation::Change(120), Operation::Use, Operation::Use];
        let (laptop, _, after, used_at) = race(&operations).await;
        let set = slid(used_at) - SignedDuration::from_secs(480);
        let end = after.unwrap().expires_at;
        // The use is of the same second, so it counts after the request too.
        assert!([set, slid(used_at)].contains(&end), "{end}");
        drop(laptop);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn end_and_erasure_win_over_uses() {
    for nth in 0..2 * rounds() {
        let last = if nth % 2 == 0 { Operation::End } else { Operation::Erase };
        let (laptop, _, after, used_at) = race(&[Operation::Use, Operation::Use, last, Operation::Use]).await;
        let now = laptop.clock.now();
        assert!(after.is_none_or(|after| after.state(now) == State::Ended));
        drop((laptop, used_at));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn conversation_that_has_expired_stays_so_in_a_race() {
    for _ in 0..rounds() {
        let operations = [Operation::Use, Operation::Expire, Operation::Use, Operation::Use];
        let (laptop, before, after, used_at) = race(&operations).await;
        let after = after.unwrap();
        assert!([before.expires_at, slid(used_at)].contains(&after.expires_at), "{after:?}");
        perform(laptop.clone(), before.id, used_at, Operation::Use).await;
        let last = laptop.store().conversation(before.id, laptop.clock.now()).await.unwrap().unwrap();
        assert_eq!(last.expires_at, after.expires_at, "expired, or moved already");
    }
}
