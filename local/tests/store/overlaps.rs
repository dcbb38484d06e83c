//! Route keys that two people get back in their quarantine, and the events of calls that go on meanwhile.

use jiff::SignedDuration;
use shared::domain::call::{Direction, LegEvent, LegFacts, Status};
use shared::domain::conversation::Conversation;
use shared::domain::route::Route;
use shared::store::{CreateError, LegNumbers, Recorded, Store};
use tokio::task::JoinSet;

use crate::{DRIVER, LIFETIME, QUARANTINE, RIDER, after, conversation, conversation_at, create, phone, routes, table};
use crate::{event, now, virtual_number};

/// Second at which the first conversation ends.
const END: i64 = 30;

/// Creates the next conversation of the two people on the same numbers, at `second`, right after these previous ones.
async fn create_again(store: &Store, previous: &[&Conversation], second: i64) -> Result<Conversation, CreateError> {
    let next = conversation_at(after(second), [1, 2]);
    let history: Vec<_> = previous.iter().map(|previous| previous.id).collect();
    let overlap_until = Some(after(second + 60));
    let routes = routes(&next).map(|route| Route { history: history.clone(), overlap_until, ..route });
    store.create_conversation(&next, &routes, None).await.map(|()| next)
}

/// Stores a conversation that ends, and the next one of the same two people a second later.
async fn two_conversations(store: &Store) -> [Conversation; 2] {
    let first = conversation([1, 2]);
    create(store, &first).await.unwrap();
    store.end_conversation(first.id, after(END)).await.unwrap();
    let next = create_again(store, &[&first], END + 1).await.unwrap();
    [first, next]
}

async fn record(store: &Store, event: &LegEvent) -> Recorded {
    let (phone, virtual_number) = (&phone(RIDER), &virtual_number(1));
    let numbers = LegNumbers { phone, virtual_number, direction: Direction::Inbound, named: None };
    store.record_leg_event(numbers, event, event.timestamp.unwrap(), after(LIFETIME)).await.unwrap()
}

/// Returns the seconds of the statuses of a leg in a conversation, or nothing if it has no such leg.
async fn statuses(store: &Store, conversation: &Conversation, uuid: &str) -> Vec<i64> {
    let legs = crate::calls_of(store, conversation.id, now()).await.legs;
    let leg = legs.into_iter().find(|leg| leg.uuid == uuid);
    leg.iter()
        .flat_map(|leg| leg.statuses.values().flatten())
        .map(|time| time.as_second() - now().as_second())
        .collect()
}

/// The events of a leg that reaches these statuses at these seconds.
fn events(uuid: &str, times: [i64; 4]) -> [LegEvent; 4] {
    let statuses = [Status::Started, Status::Ringing, Status::Answered, Status::Completed];
    let mut events = [0, 1, 2, 3].map(|index| event(uuid, statuses[index], times[index], LegFacts::default()));
    events[3].facts.duration = Some(7);
    events
}

/// All orders of four things.
fn orders() -> Vec<[usize; 4]> {
    let all = (0..256).map(|number| [number / 64, number / 16 % 4, number / 4 % 4, number % 4]);
    all.filter(|order| (0..4).all(|index| order.contains(&index))).collect()
}

#[tokio::test]
async fn leg_stays_in_the_conversation_in_which_it_began() {
    let store = table().await;
    let [first, next] = two_conversations(&store).await;
    let cases =
        [("before", [3, 5, 8, 50], true), ("across", [28, 31, 35, 50], true), ("after", [31, 32, 35, 50], false)];
    for (name, times, in_first) in cases {
        for order in orders() {
            let uuid = format!("{name}-{order:?}");
            let events = events(&uuid, times);
            for index in order.into_iter().chain(order) {
                record(&store, &events[index]).await;
            }
            let (home, other) = if in_first { (&first, &next) } else { (&next, &first) };
            assert_eq!(statuses(&store, home, &uuid).await, times, "{uuid}");
            assert_eq!(statuses(&store, other, &uuid).await, [0; 0], "{uuid}");
        }
    }
}

#[tokio::test]
async fn events_at_the_same_time_leave_one_leg() {
    let store = table().await;
    let [first, next] = two_conversations(&store).await;
    for round in 0..20 {
        let uuid = format!("leg-{round}");
        let mut all = JoinSet::new();
        for event in events(&uuid, [29, 31, 33, 40]).into_iter().flat_map(|event| [event.clone(), event]) {
            let store = store.clone();
            all.spawn(async move { record(&store, &event).await });
        }
        all.join_all().await;
        assert_eq!(statuses(&store, &first, &uuid).await, [29, 31, 33, 40], "{round}");
        assert_eq!(statuses(&store, &next, &uuid).await, [0; 0], "{round}");
    }
}

#[tokio::test]
async fn leg_is_found_in_any_of_several_short_conversations() {
    let store = table().await;
    let mut all = vec![conversation([1, 2])];
    create(&store, &all[0]).await.unwrap();
    for second in [10, 20, 30] {
        store.end_conversation(all.last().unwrap().id, after(second)).await.unwrap();
        let previous: Vec<_> = all.iter().rev().collect();
        let next = create_again(&store, &previous, second).await.unwrap();
        all.push(next);
    }
    for (began, expected) in [(5, 0), (12, 1), (22, 2), (32, 3)] {
        let uuid = format!("leg-{began}");
        let [started, .., completed] = events(&uuid, [began, began, began, 45]);
        for event in [&completed, &started, &completed] {
            record(&store, event).await;
        }
        for (index, conversation) in all.iter().enumerate() {
            let found = statuses(&store, conversation, &uuid).await;
            assert_eq!(found, if index == expected { vec![began, 45] } else { Vec::new() }, "{uuid} {index}");
        }
    }
}

#[tokio::test]
async fn late_event_of_an_erased_conversation_is_to_be_redacted() {
    let store = table().await;
    let [first, next] = two_conversations(&store).await;
    store.erase_conversation(first.id, after(END + 2)).await.unwrap();
    let [started, .., completed] = events("leg", [5, 6, 7, 50]);
    assert_eq!(record(&store, &started).await, Recorded::ToRedact(None));
    assert_eq!(record(&store, &completed).await, Recorded::Merged(next.id));
}

#[tokio::test]
async fn route_key_in_quarantine_goes_to_the_same_two_people_only() {
    let store = table().await;
    let first = conversation([1, 2]);
    create(&store, &first).await.unwrap();
    assert!(matches!(create_again(&store, &[&first], 10).await, Err(CreateError::KeyTaken)), "it is live");
    store.end_conversation(first.id, after(END)).await.unwrap();
    let attempt = async |change: &dyn Fn(Route) -> Route| {
        let next = conversation_at(after(END), [1, 2]);
        let with_history = |route| Route { history: vec![first.id], overlap_until: Some(after(90)), ..route };
        let [a, b] = routes(&next).map(with_history);
        store.create_conversation(&next, &[change(a), b], None).await
    };
    for refused in [
        attempt(&|route| Route { connect_to: phone("447700900003"), ..route }).await,
        attempt(&|route| Route { overlap_until: None, ..route }).await,
        attempt(&|route| Route { history: Vec::new(), ..route }).await,
    ] {
        assert!(matches!(refused, Err(CreateError::KeyTaken)), "{refused:?}");
    }
    attempt(&|route| route).await.unwrap();
    // The end of the first one, by a slow clock, does not touch the next one.
    assert!(store.end_conversation(first.id, after(1)).await.unwrap().unwrap().ended_at == Some(after(END)));
}

#[tokio::test]
async fn what_a_creation_reads_tells_whose_quarantine_it_is() {
    let store = table().await;
    let first = conversation([1, 2]);
    create(&store, &first).await.unwrap();
    store.end_conversation(first.id, after(END)).await.unwrap();
    let route = async |second| {
        let routes = store.caller_routes(&phone(RIDER), after(second)).await.unwrap();
        routes.by_number[&virtual_number(1)].clone()
    };
    let [driver, other] = [DRIVER, "447700900003"].map(phone);
    for (second, with_driver, with_other) in [
        (END - 1, false, false),
        (END, true, false),
        (END + QUARANTINE - 1, true, false),
        (END + QUARANTINE, true, true),
    ] {
        let route = route(second).await;
        let free = [&driver, &other].map(|other| route.is_free_with(other, after(second)));
        assert_eq!(free, [with_driver, with_other], "{second}");
    }
    let read = route(END).await;
    assert_eq!(read.overlap_at(after(END)), Some(after(END) + SignedDuration::from_secs(60)));
    assert_eq!(i64::from(read.quarantine_seconds()), QUARANTINE);
    assert_eq!(read.overlap_at(after(END + QUARANTINE)), None);
    store.erase_conversation(first.id, after(END)).await.unwrap();
    assert!(!route(END).await.is_free_with(&driver, after(END)), "nobody knows whose it was");
}
