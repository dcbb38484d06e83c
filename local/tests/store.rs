//! The table, on a DynamoDB endpoint: the embedded one, or the one that `MASKLINE_TEST_DYNAMODB_URL` names.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use local::dynamodb::Dynamodb;
use shared::call::{Direction, LegEvent, LegFacts, Status};
use shared::config::Environment;
use shared::conversation::{Conversation, ConversationId, Notification, Participant, Side, State};
use shared::country::Country;
use shared::phone::{PhoneNumber, RealNumber, VirtualNumber};
use shared::pool::{Feature, NumberState, NumberType, PoolNumber};
use shared::store::{CreateError, RentError, Store};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const RIDER: &str = "447700900001";
const DRIVER: &str = "447700900002";
const LIFETIME: i64 = 100;
const QUARANTINE: i64 = 60;

/// A table of its own for each test.
async fn table() -> Store {
    let url = match std::env::var("MASKLINE_TEST_DYNAMODB_URL") {
        Ok(url) => url,
        Err(_) => {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            tokio::spawn(Dynamodb::open(None).unwrap().serve(listener, std::future::pending()));
            url
        }
    };
    let name = format!("maskline-{}", uuid::Uuid::new_v4());
    let environment: Environment = [
        ("TABLE_NAME", name.as_str()),
        ("AWS_ENDPOINT_URL_DYNAMODB", &url),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ]
    .into_iter()
    .collect();
    let store = Store::connect(&environment).await.unwrap();
    store.create_table().await.unwrap();
    store
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn after(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

fn phone(digits: &str) -> RealNumber {
    PhoneNumber::try_from(digits).unwrap().into()
}

fn virtual_number(index: usize) -> VirtualNumber {
    PhoneNumber::try_from(format!("4474510000{index:02}")).unwrap().into()
}

fn gb() -> Country {
    Country::try_from("GB").unwrap()
}

fn conversation_at(created_at: Timestamp, dials: [usize; 2]) -> Conversation {
    let participant = |number, index| Participant {
        number: phone(number),
        country: gb(),
        label: None,
        dials: virtual_number(index),
        notification: Notification::Pending,
    };
    Conversation {
        id: ConversationId::generate(created_at),
        reference: None,
        participants: [participant(RIDER, dials[0]), participant(DRIVER, dials[1])],
        created_at,
        expires_at: created_at + SignedDuration::from_secs(LIFETIME),
        ended_at: None,
        quarantine_seconds: u32::try_from(QUARANTINE).unwrap(),
    }
}

fn conversation(dials: [usize; 2]) -> Conversation {
    conversation_at(now(), dials)
}

fn number(index: usize) -> PoolNumber {
    PoolNumber {
        number: virtual_number(index),
        country: gb(),
        number_type: NumberType::MobileLvn,
        features: vec![Feature::Voice, Feature::Sms],
        monthly_cost: "1.25".parse().unwrap(),
        state: NumberState::Renting,
        added_at: now(),
        leased_until: after(60),
    }
}

fn event(uuid: &str, status: Status, second: i64, facts: LegFacts) -> LegEvent {
    LegEvent { conversation_uuid: "CON-1".to_owned(), uuid: uuid.to_owned(), status, timestamp: after(second), facts }
}

#[tokio::test]
async fn a_conversation_and_its_routes_are_read_as_they_were_written() {
    let store = table().await;
    let conversation = conversation([1, 2]);
    store.create_conversation(&conversation).await.unwrap();
    assert_eq!(store.conversation(conversation.id, now()).await.unwrap(), Some(conversation.clone()));
    let route = store.route(&phone(RIDER), &virtual_number(1)).await.unwrap().unwrap();
    assert_eq!((route.conversation, route.side), (conversation.id, Side::A));
    assert_eq!((route.connect_to, route.present_as), (phone(DRIVER), virtual_number(2)));
    assert_eq!((route.expires_at, route.quarantined_until), (after(LIFETIME), after(LIFETIME + QUARANTINE)));
    assert_eq!(store.route(&phone(DRIVER), &virtual_number(1)).await.unwrap(), None);
}

#[tokio::test]
async fn a_key_is_given_again_only_after_its_quarantine_and_a_refusal_leaves_nothing_behind() {
    let store = table().await;
    store.create_conversation(&conversation([1, 2])).await.unwrap();
    for (second, free) in
        [(0, false), (LIFETIME, false), (LIFETIME + QUARANTINE - 1, false), (LIFETIME + QUARANTINE, true)]
    {
        // The driver's key (3) is free each time: only the rider's is in the way.
        let next = conversation_at(after(second), [1, 3]);
        let created = store.create_conversation(&next).await;
        assert_eq!(created.is_ok(), free, "{second}");
        if !free {
            assert!(matches!(created, Err(CreateError::KeyTaken)), "{created:?}");
            assert_eq!(store.conversation(next.id, now()).await.unwrap(), None);
            assert_eq!(store.route(&phone(DRIVER), &virtual_number(3)).await.unwrap(), None);
        }
    }
}

#[tokio::test]
async fn of_many_that_want_one_key_at_once_one_gets_it() {
    let store = table().await;
    let mut all = JoinSet::new();
    for index in 0..16 {
        let store = store.clone();
        all.spawn(async move { store.create_conversation(&conversation([1, 2 + index])).await.is_ok() });
    }
    assert_eq!(all.join_all().await.into_iter().filter(|created| *created).count(), 1);
    assert_eq!(store.caller_keys(&phone(DRIVER), now()).await.unwrap().taken.len(), 1);
}

#[tokio::test]
async fn the_keys_of_a_caller_are_those_live_or_in_quarantine() {
    let store = table().await;
    store.create_conversation(&conversation([1, 2])).await.unwrap();
    store.create_conversation(&conversation_at(after(50), [3, 4])).await.unwrap();
    let taken = async |second| store.caller_keys(&phone(RIDER), after(second)).await.unwrap().taken;
    assert_eq!(taken(0).await, HashSet::from([virtual_number(1), virtual_number(3)]));
    assert_eq!(taken(LIFETIME + QUARANTINE).await, HashSet::from([virtual_number(3)]));
    assert_eq!(taken(LIFETIME + QUARANTINE + 50).await, HashSet::new());
}

#[tokio::test]
async fn an_end_closes_conversation_and_routes_and_starts_the_quarantine() {
    let store = table().await;
    let conversation = conversation([1, 2]);
    store.create_conversation(&conversation).await.unwrap();
    let ended = store.end_conversation(conversation.id, after(10)).await.unwrap().unwrap();
    assert_eq!((ended.state(after(10)), ended.ended_at), (State::Ended, Some(after(10))));
    assert_eq!(store.conversation(conversation.id, now()).await.unwrap(), Some(ended.clone()));
    for (caller, dialled) in [(RIDER, 1), (DRIVER, 2)] {
        let route = store.route(&phone(caller), &virtual_number(dialled)).await.unwrap().unwrap();
        assert_eq!((route.expires_at, route.quarantined_until), (after(10), after(10 + QUARANTINE)));
    }
    assert_eq!(store.end_conversation(conversation.id, after(20)).await.unwrap(), Some(ended));
}

#[tokio::test]
async fn many_ends_at_once_agree() {
    let store = table().await;
    let conversation = conversation([1, 2]);
    store.create_conversation(&conversation).await.unwrap();
    let mut all = JoinSet::new();
    for second in 0..6 {
        let (store, id) = (store.clone(), conversation.id);
        all.spawn(async move { store.end_conversation(id, after(second)).await.unwrap() });
    }
    let ends: HashSet<_> = all.join_all().await.into_iter().map(|ended| ended.unwrap().ended_at).collect();
    assert_eq!(ends.len(), 1, "{ends:?}");
}

#[tokio::test]
async fn an_end_changes_neither_an_expired_conversation_nor_the_next_one_on_its_keys() {
    let store = table().await;
    let (first, next) = (conversation([1, 2]), conversation_at(after(LIFETIME + QUARANTINE), [1, 2]));
    store.create_conversation(&first).await.unwrap();
    store.create_conversation(&next).await.unwrap();
    let ended = store.end_conversation(first.id, after(LIFETIME + QUARANTINE)).await.unwrap().unwrap();
    assert_eq!(ended, first);
    // Even with a clock that lags behind, so that the first seems active.
    let confused = store.end_conversation(first.id, after(1)).await;
    assert!(confused.is_err());
    let route = store.route(&phone(RIDER), &virtual_number(1)).await.unwrap().unwrap();
    assert_eq!((route.conversation, route.expires_at), (next.id, next.expires_at));
    assert_eq!(store.end_conversation(ConversationId::generate(now()), now()).await.unwrap(), None);
}

#[tokio::test]
async fn a_leg_is_the_same_whatever_the_order_of_its_events() {
    let facts = LegFacts {
        duration: Some(12),
        price: "0.0014".parse().ok(),
        rate: "0.0072".parse().ok(),
        reason: Some("declined".to_owned()),
        sip_code: Some(603),
        disconnected_by: Some("user".to_owned()),
    };
    let events = [
        event("leg", Status::Started, 1, LegFacts::default()),
        event("leg", Status::Answered, 3, LegFacts::default()),
        event("leg", Status::Completed, 15, facts),
    ];
    let mut legs = Vec::new();
    for order in [[0, 1, 2, 0], [2, 1, 0, 2], [1, 2, 0, 1]] {
        let store = table().await;
        let conversation = conversation([1, 2]);
        store.create_conversation(&conversation).await.unwrap();
        let route = store.route(&phone(DRIVER), &virtual_number(2)).await.unwrap().unwrap();
        for index in order {
            store.merge_leg(&route, Direction::Outbound, &events[index]).await.unwrap();
        }
        let (read, legs_read) = store.conversation_with_legs(conversation.id, now()).await.unwrap().unwrap();
        assert_eq!(read, conversation);
        legs.push(legs_read);
    }
    assert_eq!(legs[0].len(), 1);
    assert_eq!((legs[0][0].side, legs[0][0].status()), (Side::B, Some(Status::Completed)));
    assert_eq!(legs[0][0].facts, events[2].facts);
    assert!(legs.iter().all(|other| *other == legs[0]), "{legs:?}");
}

#[tokio::test]
async fn what_came_first_of_a_status_stays() {
    let store = table().await;
    let conversation = conversation([1, 2]);
    store.create_conversation(&conversation).await.unwrap();
    let route = store.route(&phone(RIDER), &virtual_number(1)).await.unwrap().unwrap();
    for second in [5, 7] {
        let event = event("leg", Status::Answered, second, LegFacts::default());
        store.merge_leg(&route, Direction::Inbound, &event).await.unwrap();
    }
    let (_, legs) = store.conversation_with_legs(conversation.id, now()).await.unwrap().unwrap();
    assert_eq!(legs[0].statuses[&Status::Answered], after(5));
}

#[tokio::test]
async fn the_fate_of_texts_is_kept() {
    let store = table().await;
    let mut conversation = conversation([1, 2]);
    store.create_conversation(&conversation).await.unwrap();
    conversation.participants[0].notification = Notification::Sent;
    conversation.participants[1].notification = Notification::Failed("the number is barred".to_owned());
    store.record_notifications(&conversation).await.unwrap();
    assert_eq!(store.conversation(conversation.id, now()).await.unwrap(), Some(conversation.clone()));
    let unknown = Conversation { id: ConversationId::generate(now()), ..conversation };
    assert!(store.record_notifications(&unknown).await.is_err(), "no conversation comes into being by its texts");
}

#[tokio::test]
async fn a_number_is_written_down_only_on_the_list_that_was_seen() {
    let store = table().await;
    let empty = store.country_pool(gb()).await.unwrap();
    store.begin_renting(&number(1), &empty).await.unwrap();
    assert!(matches!(store.begin_renting(&number(2), &empty).await, Err(RentError::Changed)));
    let one = store.country_pool(gb()).await.unwrap();
    assert_eq!(one.numbers, [number(1)]);
    assert!(matches!(store.begin_renting(&number(1), &one).await, Err(RentError::Known)));
    let abroad = PoolNumber { country: Country::try_from("JE").unwrap(), ..number(1) };
    let empty_abroad = store.country_pool(abroad.country).await.unwrap();
    assert!(matches!(store.begin_renting(&abroad, &empty_abroad).await, Err(RentError::Known)));
    store.begin_renting(&number(2), &one).await.unwrap();
    assert_eq!(store.pool_numbers(gb()).await.unwrap(), [number(1), number(2)]);
    assert_eq!(store.pool_countries().await.unwrap(), [gb()]);
}

#[tokio::test]
async fn a_number_of_the_pool_is_known_as_one_when_it_comes_as_a_caller() {
    let store = table().await;
    let caller = phone(virtual_number(1).as_str());
    assert!(!store.caller_keys(&caller, now()).await.unwrap().is_virtual);
    store.begin_renting(&number(1), &store.country_pool(gb()).await.unwrap()).await.unwrap();
    assert!(store.caller_keys(&caller, now()).await.unwrap().is_virtual);
    store.forget_number(&number(1)).await.unwrap();
    assert!(!store.caller_keys(&caller, now()).await.unwrap().is_virtual);
    assert_eq!(store.pool_numbers(gb()).await.unwrap(), []);
}

#[tokio::test]
async fn a_number_goes_from_state_to_state_and_is_not_forgotten_once_it_is_bought() {
    let store = table().await;
    store.begin_renting(&number(1), &store.country_pool(gb()).await.unwrap()).await.unwrap();
    let advance = async |from, to| store.advance_number(&number(1), from, to).await.unwrap();
    assert!(!advance(NumberState::Linking, NumberState::Ready).await);
    assert!(advance(NumberState::Renting, NumberState::Linking).await);
    store.forget_number(&number(1)).await.unwrap();
    assert!(advance(NumberState::Linking, NumberState::Ready).await);
    assert_eq!(store.pool_numbers(gb()).await.unwrap()[0].state, NumberState::Ready);
    assert!(!store.advance_number(&number(2), NumberState::Renting, NumberState::Ready).await.unwrap());
}

#[tokio::test]
async fn of_many_that_take_over_a_dead_runs_number_one_does() {
    let store = table().await;
    store.begin_renting(&number(1), &store.country_pool(gb()).await.unwrap()).await.unwrap();
    let too_early = store.take_over(number(1), after(59), after(119)).await.unwrap();
    assert_eq!(too_early, None, "its run may still be alive");
    let mut all = JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        all.spawn(async move { store.take_over(number(1), after(60), after(120)).await.unwrap() });
    }
    let taken: Vec<PoolNumber> = all.join_all().await.into_iter().flatten().collect();
    assert_eq!(taken, [PoolNumber { leased_until: after(120), ..number(1) }]);
    // The run that lost its lease cannot make the pool forget what the other one may have bought meanwhile.
    store.forget_number(&number(1)).await.unwrap();
    assert_eq!(store.pool_numbers(gb()).await.unwrap(), taken);
    store.forget_number(&taken[0]).await.unwrap();
    assert_eq!(store.pool_numbers(gb()).await.unwrap(), []);
}

#[tokio::test]
async fn all_keys_of_a_busy_caller_are_read() {
    let store = table().await;
    let mut expected = HashSet::new();
    for index in 0..60 {
        let mut conversation = conversation([index, index]);
        conversation.participants[1].number = phone(&format!("4477009010{index:02}"));
        store.create_conversation(&conversation).await.unwrap();
        expected.insert(virtual_number(index));
    }
    assert_eq!(store.caller_keys(&phone(RIDER), now()).await.unwrap().taken, expected);
}

#[tokio::test]
async fn creating_the_table_again_changes_nothing() {
    let store = table().await;
    store.create_conversation(&conversation([1, 2])).await.unwrap();
    store.create_table().await.unwrap();
    assert!(store.route(&phone(RIDER), &virtual_number(1)).await.unwrap().is_some());
}
