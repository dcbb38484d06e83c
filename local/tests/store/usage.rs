//! Counting of calls in conversations with limits.

use serde_json::json;
use shared::domain::call::{Direction, LegEvent, LegFacts, Status};
use shared::domain::conversation::Conversation;
use shared::domain::route::{Destination, Route};
use shared::domain::usage::{Usage, UsageLimits, day};
use shared::store::{LegNumbers, Store};
use tokio::task::JoinSet;

use crate::{DRIVER, RIDER, after, conversation, conversation_at, create, event, phone, routes, table, virtual_number};

fn limited(max_calls: u64) -> Conversation {
    let usage_limits: UsageLimits = serde_json::from_value(json!({ "max_calls": max_calls })).unwrap();
    Conversation { usage_limits, ..conversation([1, 2]) }
}

/// Returns the last event of a callee's leg.
fn completed(uuid: &str, second: i64) -> LegEvent {
    let facts = LegFacts { duration: Some(7), price: "0.01".parse().ok(), ..LegFacts::default() };
    event(uuid, Status::Completed, second, facts)
}

async fn record(store: &Store, event: &LegEvent, second: i64) {
    let (phone, virtual_number) = (&phone(DRIVER), &virtual_number(2));
    let numbers = LegNumbers { phone, virtual_number, direction: Direction::Outbound, named: None };
    store.record_leg_event(numbers, event, event.timestamp.unwrap(), after(second)).await.unwrap();
}

async fn usage(store: &Store, conversation: &Conversation) -> (u64, u64, String) {
    let Usage { calls, seconds, spend } = store.usage(conversation.id).await.unwrap().tally.sum;
    (calls, seconds, spend.normalize().to_string())
}

#[tokio::test]
async fn events_at_once_all_count_and_close_both_routes() {
    let store = table().await;
    let conversation = limited(4);
    create(&store, &conversation).await.unwrap();
    let mut tasks = JoinSet::new();
    for nth in 0..8 {
        let store = store.clone();
        // Each event comes twice.
        tasks.spawn(async move { record(&store, &completed(&format!("leg-{}", nth / 2), 20), 20).await });
    }
    tasks.join_all().await;
    assert_eq!(usage(&store, &conversation).await, (4, 28, "0.04".to_owned()));
    let exhausted = Destination::Exhausted(conversation.id);
    for (caller, dialled) in [(RIDER, 1), (DRIVER, 2)] {
        let found = store.destination(&phone(caller), &virtual_number(dialled), after(21)).await.unwrap();
        assert_eq!(found, exhausted);
    }
    let stored = store.conversation(conversation.id, after(21)).await.unwrap().unwrap();
    assert_eq!((stored.limit_reached_at, stored.revision), (Some(after(20)), 1));
}

#[tokio::test]
async fn late_event_after_the_end_counts_and_changes_nothing_else() {
    let store = table().await;
    let conversation = limited(1);
    create(&store, &conversation).await.unwrap();
    let ended = store.end_conversation(conversation.id, after(30)).await.unwrap().unwrap();
    record(&store, &completed("leg", 20), 40).await;
    assert_eq!(usage(&store, &conversation).await.0, 1);
    assert_eq!(store.conversation(conversation.id, after(41)).await.unwrap(), Some(ended));
}

#[tokio::test]
async fn leg_counts_in_the_conversation_in_which_it_began() {
    let store = table().await;
    let first = limited(100);
    create(&store, &first).await.unwrap();
    store.end_conversation(first.id, after(30)).await.unwrap();
    let next = Conversation { usage_limits: first.usage_limits, ..conversation_at(after(31), [1, 2]) };
    let (history, overlap_until) = (vec![first.id], Some(after(91)));
    let given_back = routes(&next).map(|route| Route { history: history.clone(), overlap_until, ..route });
    store.create_conversation(&next, &given_back, None).await.unwrap();
    let started = event("leg", Status::Started, 28, LegFacts::default());
    // The end comes first, and is counted in the second conversation until the start shows where the call began.
    record(&store, &completed("leg", 35), 36).await;
    assert_eq!((usage(&store, &first).await.0, usage(&store, &next).await.0), (0, 1));
    record(&store, &started, 37).await;
    assert_eq!(usage(&store, &first).await, (1, 7, "0.01".to_owned()));
    assert_eq!(usage(&store, &next).await, (0, 0, "0".to_owned()));
}

/// One that may have this number of calls in a day.
fn limited_by_day(max_calls_per_day: u64) -> Conversation {
    let limits = json!({ "max_calls_per_day": max_calls_per_day });
    Conversation { usage_limits: serde_json::from_value(limits).unwrap(), ..conversation([1, 2]) }
}

/// Returns the calls of the day of this second.
async fn calls_on(store: &Store, conversation: &Conversation, second: i64) -> u64 {
    store.usage(conversation.id).await.unwrap().tally.by_day.on(day(after(second)))
}

async fn leads_to(store: &Store, second: i64) -> Destination {
    store.destination(&phone(DRIVER), &virtual_number(2), after(second)).await.unwrap()
}

/// Seconds from the start of the tests until the next day.
fn midnight() -> i64 {
    86_400 - after(0).as_second().rem_euclid(86_400)
}

#[tokio::test]
async fn late_and_disordered_events_count_on_the_day_of_their_call() {
    let store = table().await;
    let midnight = midnight();
    let conversation = Conversation { expires_at: after(3 * 86_400), ..limited_by_day(1) };
    create(&store, &conversation).await.unwrap();
    // The end of a call that began before midnight comes first, so it looks like one of the new day.
    record(&store, &completed("leg-1", midnight + 5), midnight + 6).await;
    assert_eq!(calls_on(&store, &conversation, midnight).await, 1);
    assert_eq!(leads_to(&store, midnight + 7).await, Destination::Paused(conversation.id));
    let started = event("leg-1", Status::Started, midnight - 3, LegFacts::default());
    for _ in 0..2 {
        record(&store, &started, midnight + 8).await;
        let days =
            [calls_on(&store, &conversation, midnight - 1).await, calls_on(&store, &conversation, midnight).await];
        assert_eq!(days, [1, 0]);
    }
    assert!(matches!(leads_to(&store, midnight + 9).await, Destination::Participant { .. }), "the new day has none");
    // A call of the day before whose events all come late does not use up the new day either.
    record(&store, &completed("leg-2", midnight - 20), midnight + 10).await;
    assert_eq!(calls_on(&store, &conversation, midnight - 1).await, 2);
    assert!(matches!(leads_to(&store, midnight + 11).await, Destination::Participant { .. }));
    record(&store, &event("leg-3", Status::Started, midnight + 12, LegFacts::default()), midnight + 12).await;
    assert_eq!(leads_to(&store, midnight + 13).await, Destination::Paused(conversation.id));
    assert!(matches!(leads_to(&store, midnight + 86_400).await, Destination::Participant { .. }), "tomorrow");
    assert_eq!(usage(&store, &conversation).await.0, 3);
}

#[tokio::test]
async fn calls_of_a_day_move_with_their_leg() {
    let store = table().await;
    let first = limited_by_day(100);
    create(&store, &first).await.unwrap();
    store.end_conversation(first.id, after(30)).await.unwrap();
    let next = Conversation { usage_limits: first.usage_limits, ..conversation_at(after(31), [1, 2]) };
    let (history, overlap_until) = (vec![first.id], Some(after(91)));
    let given_back = routes(&next).map(|route| Route { history: history.clone(), overlap_until, ..route });
    store.create_conversation(&next, &given_back, None).await.unwrap();
    record(&store, &completed("leg", 35), 36).await;
    assert_eq!((calls_on(&store, &first, 0).await, calls_on(&store, &next, 0).await), (0, 1));
    record(&store, &event("leg", Status::Started, 28, LegFacts::default()), 37).await;
    assert_eq!((calls_on(&store, &first, 0).await, calls_on(&store, &next, 0).await), (1, 0));
    assert_eq!((usage(&store, &first).await.0, usage(&store, &next).await.0), (1, 0));
}

#[tokio::test]
async fn calls_at_once_of_a_day_pause_both_routes_once() {
    let store = table().await;
    let conversation = limited_by_day(4);
    create(&store, &conversation).await.unwrap();
    let mut tasks = JoinSet::new();
    for nth in 0..8 {
        let store = store.clone();
        tasks.spawn(async move { record(&store, &completed(&format!("leg-{}", nth / 2), 20), 20).await });
    }
    tasks.join_all().await;
    assert_eq!(calls_on(&store, &conversation, 20).await, 4);
    for (caller, dialled) in [(RIDER, 1), (DRIVER, 2)] {
        let found = store.destination(&phone(caller), &virtual_number(dialled), after(21)).await.unwrap();
        assert_eq!(found, Destination::Paused(conversation.id));
    }
    let stored = store.conversation(conversation.id, after(21)).await.unwrap().unwrap();
    assert_eq!((stored.paused_until, stored.revision), (Some(after(midnight())), 1));
}
