//! The store on a DynamoDB: the embedded one, or the one at `MASKLINE_TEST_DYNAMODB_URL`.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

mod fixtures;
mod heals;
mod health;
mod holds;
mod looks;
mod overlaps;
mod pins;
mod pool;
mod restore;
mod spellings;
mod standing;
mod tenant_costs;
mod texts;
mod usage;

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use local::dynamodb::Dynamodb;
use shared::config::Environment;
use shared::domain::call::{Direction, LegEvent, LegFacts, Status};
use shared::domain::call_handling::CallHandling;
use shared::domain::call_limits::CallLimits;
use shared::domain::conversation::{Conversation, ConversationId, Notification, Participant, State};
use shared::domain::country::Country;
use shared::domain::invitation::InvitationReceipts;
use shared::domain::judge::{Judge, LookedUp};
use shared::domain::late::LateCare;
use shared::domain::phone::{PhoneNumber, RealNumber, VirtualNumber};
use shared::domain::pool::{Feature, LossNotes, NumberState, NumberType, PoolNumber};
use shared::domain::route::{KeyOwner, Route};
use shared::domain::safety_key::SafetyPresses;
use shared::domain::side::{Side, WhoDials};
use shared::domain::tenant::Owner;
use shared::domain::text_masking::TextMasking;
use shared::domain::usage::UsageLimits;
use shared::domain::verdict::RememberedVerdicts;
use shared::store::{CallsPage, CallsQuery, ChangeError, CreateError, IdempotentRequest, LegPhone, Store};
use tokio::task::JoinSet;

const RIDER: &str = "447700900001";
const DRIVER: &str = "447700900002";
const LIFETIME: i64 = 100;
const QUARANTINE: i64 = 60;

/// Creates a table for one test.
async fn table() -> Store {
    let url = match std::env::var("MASKLINE_TEST_DYNAMODB_URL") {
        Ok(url) => url,
        Err(_) => {
            let (listener, url) = testkit::listen().await;
            tokio::spawn(Dynamodb::open(None).unwrap().serve(listener, std::future::pending()));
            url
        }
    };
    table_at(&url, &format!("maskline-{}", uuid::Uuid::new_v4())).await
}

/// Creates a table of this name in the DynamoDB at `url`.
async fn table_at(url: &str, name: &str) -> Store {
    let journal = format!("{name}-journal");
    let environment: Environment = [
        ("TABLE_NAME", name),
        ("JOURNAL_TABLE_NAME", &journal),
        ("AWS_ENDPOINT_URL_DYNAMODB", url),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ]
    .into_iter()
    .collect();
    let store = Store::connect(&environment).unwrap().with_journal(&environment).unwrap();
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
        keyed_as: None,
        country: gb(),
        verified_by: Judge::NumberingPlan,
        label: None,
        language: None,
        channel: None,
        sees: virtual_number(index),
        notification: Notification::Pending,
        previous_numbers: Vec::new(),
        pin: None,
        previously_seen: Vec::new(),
        hours: None,
        name: None,
        further: Vec::new(),
    };
    Conversation {
        id: ConversationId::generate(created_at),
        owner: Owner::Deployment,
        reference: None,
        participants: [participant(RIDER, dials[0]), participant(DRIVER, dials[1])],
        direction: WhoDials::Both,
        created_at,
        expires_at: created_at + SignedDuration::from_secs(LIFETIME),
        ended_at: None,
        hangs_up: false,
        quarantine_seconds: u32::try_from(QUARANTINE).unwrap(),
        limits: CallLimits::with_max_call(CallLimits::MIN_CALL_SECONDS),
        handling: CallHandling::default(),
        late: LateCare::default(),
        sliding_end: None,
        contact_card: None,
        usage_limits: UsageLimits::default(),
        limit_reached_at: None,
        paused_until: None,
        blocked: None,
        decision_url: None,
        verdicts: RememberedVerdicts::default(),
        text_masking: TextMasking::Off,
        safety: SafetyPresses::default(),
        revision: 0,
        carrier_records: Vec::new(),
        invitation_receipts: InvitationReceipts::default(),
        listed: None,
    }
}

fn conversation(dials: [usize; 2]) -> Conversation {
    conversation_at(now(), dials)
}

fn number(index: usize) -> PoolNumber {
    PoolNumber {
        number: virtual_number(index),
        country: gb(),
        owner: Owner::Deployment,
        number_type: NumberType::MobileLvn,
        features: vec![Feature::Voice, Feature::Sms],
        monthly_cost: "1.25".parse().ok(),
        state: NumberState::Renting,
        added_at: now(),
        leased_until: after(60),
        draining_since: None,
        rotating_since: None,
        missing_since: None,
        part: None,
        set_aside: false,
        moves_to: None,
        loss: LossNotes::default(),
    }
}

async fn create(store: &Store, conversation: &Conversation) -> Result<(), CreateError> {
    let routes: Vec<_> = conversation.direction.sides().map(|side| Route::new(conversation, side)).collect();
    store.create_conversation(conversation, &routes, None).await
}

/// Returns the routes of a conversation of both on keys that nobody had before.
fn routes(conversation: &Conversation) -> [Route; 2] {
    Side::BOTH.map(|side| Route::new(conversation, side))
}

/// Returns the route of a route key, and fails if there is none.
fn route_of(holder: Option<KeyOwner>) -> Route {
    match holder {
        Some(KeyOwner::Route(route)) => route,
        other => panic!("{other:?}"),
    }
}

/// Returns the virtual numbers to which a caller has a route.
async fn numbers_of(store: &Store, caller: &str, at: Timestamp) -> HashSet<VirtualNumber> {
    let keys = store.caller_routes(&phone(caller), at).await.unwrap();
    keys.in_use(at).map(|(number, _)| number.clone()).collect()
}

fn event(uuid: &str, status: Status, second: i64, facts: LegFacts) -> LegEvent {
    LegEvent {
        conversation_uuid: "CON-1".to_owned(),
        uuid: uuid.to_owned(),
        status,
        timestamp: Some(after(second)),
        facts,
    }
}

#[tokio::test]
async fn conversation_and_routes_are_read_as_written() {
    let store = table().await;
    let conversation = conversation([1, 2]);
    create(&store, &conversation).await.unwrap();
    assert_eq!(store.conversation(conversation.id, now()).await.unwrap(), Some(conversation.clone()));
    let route = route_of(store.key_owner(&phone(RIDER), &virtual_number(1)).await.unwrap());
    assert_eq!((route.conversation, route.side), (conversation.id, Side::A));
    assert_eq!((route.connect_to, route.present_as), (phone(DRIVER), virtual_number(2)));
    assert_eq!((route.expires_at, route.quarantined_until), (after(LIFETIME), after(LIFETIME + QUARANTINE)));
    assert_eq!(store.key_owner(&phone(DRIVER), &virtual_number(1)).await.unwrap(), None);
}

#[tokio::test]
async fn route_key_is_reused_only_after_quarantine() {
    let store = table().await;
    create(&store, &conversation([1, 2])).await.unwrap();
    for (second, free) in
        [(0, false), (LIFETIME, false), (LIFETIME + QUARANTINE - 1, false), (LIFETIME + QUARANTINE, true)]
    {
        // The driver's route key (3) is free each time. Only the rider's is taken.
        let next = conversation_at(after(second), [1, 3]);
        let created = create(&store, &next).await;
        assert_eq!(created.is_ok(), free, "{second}");
        if !free {
            assert!(matches!(created, Err(CreateError::KeyTaken)), "{created:?}");
            assert_eq!(store.conversation(next.id, now()).await.unwrap(), None);
            assert_eq!(store.key_owner(&phone(DRIVER), &virtual_number(3)).await.unwrap(), None);
        }
    }
}

#[tokio::test]
async fn one_of_concurrent_creations_gets_route_key() {
    let store = table().await;
    let mut all = JoinSet::new();
    for index in 0..16 {
        let store = store.clone();
        all.spawn(async move { create(&store, &conversation([1, 2 + index])).await.is_ok() });
    }
    assert_eq!(all.join_all().await.into_iter().filter(|created| *created).count(), 1);
    assert_eq!(numbers_of(&store, DRIVER, now()).await.len(), 1);
}

#[tokio::test]
async fn caller_routes_are_live_or_in_quarantine() {
    let store = table().await;
    create(&store, &conversation([1, 2])).await.unwrap();
    create(&store, &conversation_at(after(50), [3, 4])).await.unwrap();
    let taken = async |second| numbers_of(&store, RIDER, after(second)).await;
    assert_eq!(taken(0).await, HashSet::from([virtual_number(1), virtual_number(3)]));
    assert_eq!(taken(LIFETIME + QUARANTINE).await, HashSet::from([virtual_number(3)]));
    assert_eq!(taken(LIFETIME + QUARANTINE + 50).await, HashSet::new());
}

#[tokio::test]
async fn end_closes_routes_and_starts_quarantine() {
    let store = table().await;
    let conversation = conversation([1, 2]);
    create(&store, &conversation).await.unwrap();
    let ended = store.end_conversation(conversation.id, after(10)).await.unwrap().unwrap();
    assert_eq!((ended.state(after(10)), ended.ended_at), (State::Ended, Some(after(10))));
    assert_eq!(store.conversation(conversation.id, now()).await.unwrap(), Some(ended.clone()));
    for (caller, dialled) in [(RIDER, 1), (DRIVER, 2)] {
        let route = route_of(store.key_owner(&phone(caller), &virtual_number(dialled)).await.unwrap());
        assert_eq!((route.expires_at, route.quarantined_until), (after(10), after(10 + QUARANTINE)));
    }
    assert_eq!(store.end_conversation(conversation.id, after(20)).await.unwrap(), Some(ended));
}

#[tokio::test]
async fn concurrent_ends_agree() {
    let store = table().await;
    let conversation = conversation([1, 2]);
    create(&store, &conversation).await.unwrap();
    let mut all = JoinSet::new();
    for second in 0..6 {
        let (store, id) = (store.clone(), conversation.id);
        all.spawn(async move { store.end_conversation(id, after(second)).await.unwrap() });
    }
    let ends: HashSet<_> = all.join_all().await.into_iter().map(|ended| ended.unwrap().ended_at).collect();
    assert_eq!(ends.len(), 1, "{ends:?}");
}

#[tokio::test]
async fn end_changes_no_expired_conversation_or_its_successor() {
    let store = table().await;
    let (first, next) = (conversation([1, 2]), conversation_at(after(LIFETIME + QUARANTINE), [1, 2]));
    create(&store, &first).await.unwrap();
    create(&store, &next).await.unwrap();
    let ended = store.end_conversation(first.id, after(LIFETIME + QUARANTINE)).await.unwrap().unwrap();
    assert_eq!(ended, first);
    // The same holds with a slow clock, by which the first conversation is still live.
    let confused = store.end_conversation(first.id, after(1)).await;
    assert!(confused.is_err());
    let route = route_of(store.key_owner(&phone(RIDER), &virtual_number(1)).await.unwrap());
    assert_eq!((route.conversation, route.expires_at), (next.id, next.expires_at));
    assert_eq!(store.end_conversation(ConversationId::generate(now()), now()).await.unwrap(), None);
}

/// Returns a conversation with the first page of its calls.
async fn calls_of(store: &Store, id: ConversationId, now: Timestamp) -> CallsPage {
    store.conversation_with_calls(id, CallsQuery { limit: 100, after: None }, now).await.unwrap().unwrap()
}

#[tokio::test]
async fn leg_is_same_for_any_order_of_events() {
    let facts = LegFacts {
        placed: false,
        duration: Some(12),
        price: "0.0014".parse().ok(),
        rate: "0.0072".parse().ok(),
        reason: Some("declined".to_owned()),
        sip_code: Some(603),
        disconnected_by: Some("user".to_owned()),
        attempt: None,
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
        create(&store, &conversation).await.unwrap();
        let route = route_of(store.key_owner(&phone(DRIVER), &virtual_number(2)).await.unwrap());
        for index in order {
            store.merge_leg(&LegPhone::from(&route), Direction::Outbound, &events[index]).await.unwrap();
        }
        let page = calls_of(&store, conversation.id, now()).await;
        assert_eq!(page.conversation, conversation);
        legs.push(page.legs);
    }
    assert_eq!(legs[0].len(), 1);
    assert_eq!((legs[0][0].side, legs[0][0].status()), (Side::B, Some(Status::Completed)));
    assert_eq!(legs[0][0].facts, events[2].facts);
    assert!(legs.iter().all(|other| *other == legs[0]), "{legs:?}");
}

#[tokio::test]
async fn first_time_of_status_is_kept() {
    let store = table().await;
    let conversation = conversation([1, 2]);
    create(&store, &conversation).await.unwrap();
    let route = route_of(store.key_owner(&phone(RIDER), &virtual_number(1)).await.unwrap());
    for second in [5, 7] {
        let event = event("leg", Status::Answered, second, LegFacts::default());
        store.merge_leg(&LegPhone::from(&route), Direction::Inbound, &event).await.unwrap();
    }
    let legs = calls_of(&store, conversation.id, now()).await.legs;
    assert_eq!(legs[0].statuses[&Status::Answered], Some(after(5)));
}

#[tokio::test]
async fn outcome_of_texts_is_stored() {
    let store = table().await;
    let mut conversation = conversation([1, 2]);
    create(&store, &conversation).await.unwrap();
    conversation.participants[0].notification = Notification::Sent;
    conversation.participants[1].notification = Notification::Failed("the number is barred".to_owned());
    store.record_notifications(&conversation, &Side::BOTH.map(|side| (side.into(), Vec::new())), now()).await.unwrap();
    assert_eq!(store.conversation(conversation.id, now()).await.unwrap(), Some(conversation.clone()));
    let unknown = Conversation { id: ConversationId::generate(now()), ..conversation };
    store.record_notifications(&unknown, &Side::BOTH.map(|side| (side.into(), Vec::new())), now()).await.unwrap();
    assert_eq!(store.conversation(unknown.id, now()).await.unwrap(), None, "none comes into being by its texts");
}

#[tokio::test]
async fn route_key_keeps_its_history() {
    let store = table().await;
    let first = conversation([1, 2]);
    create(&store, &first).await.unwrap();
    let next = conversation_at(after(LIFETIME + QUARANTINE), [1, 2]);
    let [a, b] = routes(&next);
    store.create_conversation(&next, &[Route { history: vec![first.id], ..a }, b], None).await.unwrap();
    let keys = store.caller_routes(&phone(RIDER), next.created_at).await.unwrap();
    assert_eq!(keys.by_number[&virtual_number(1)].history().collect::<Vec<_>>(), [next.id, first.id]);
    let count = keys.count_in_use(after(LIFETIME + QUARANTINE + LIFETIME));
    assert_eq!((count.live, count.quarantined), (0, 1));
}

#[tokio::test]
async fn latest_verdict_about_caller_is_found_while_it_holds() {
    let store = table().await;
    let verdict = |seconds| LookedUp { at: after(seconds), by: Judge::NumberInsight, country: gb(), carrier: None };
    for (dials, seconds) in [([1, 2], 0), ([3, 4], 100), ([5, 6], 50)] {
        let conversation = conversation(dials);
        let [a, b] = routes(&conversation);
        let a = Route { looked_up: Some(verdict(seconds)), ..a };
        store.create_conversation(&conversation, &[a, b], None).await.unwrap();
    }
    let looked_up = async |caller, now| store.caller_routes(&phone(caller), now).await.unwrap().looked_up(now);
    assert_eq!(looked_up(RIDER, now()).await, Some(verdict(100)));
    assert_eq!(looked_up(DRIVER, now()).await, None);
    assert_eq!(looked_up(RIDER, after(100 + 30 * 86_400)).await, None);
    assert!(store.erase_conversation(conversation_of(&store, 3).await, now()).await.unwrap());
    assert_eq!(looked_up(RIDER, now()).await, Some(verdict(50)), "an erased conversation leaves no verdict");
}

/// Returns the conversation in which the rider dials the virtual number at `index`.
async fn conversation_of(store: &Store, index: usize) -> ConversationId {
    route_of(store.key_owner(&phone(RIDER), &virtual_number(index)).await.unwrap()).conversation
}

#[tokio::test]
async fn idempotent_request_runs_once_and_expires_after_a_day() {
    let store = table().await;
    let request = IdempotentRequest { key_hash: "k".to_owned(), fingerprint: "f".to_owned() };
    let first = conversation([1, 2]);
    store.create_conversation(&first, &routes(&first), Some(&request)).await.unwrap();
    let found = store.remembered_request("k", after(86_399)).await.unwrap().unwrap();
    assert_eq!((found.conversation, found.fingerprint.as_str()), (first.id, "f"));
    let other = conversation([3, 4]);
    let again = store.create_conversation(&other, &routes(&other), Some(&request)).await;
    assert!(matches!(again, Err(CreateError::RequestTaken)), "{again:?}");
    assert_eq!(numbers_of(&store, RIDER, now()).await, HashSet::from([virtual_number(1)]), "nothing is left of it");
    assert_eq!(store.remembered_request("k", after(86_400)).await.unwrap(), None);
    let next_day = conversation_at(after(86_400), [3, 4]);
    store.create_conversation(&next_day, &routes(&next_day), Some(&request)).await.unwrap();
}

/// Returns the conversation after the rider has a new phone and a later expiry.
fn changed(before: &Conversation) -> Conversation {
    let mut after_change = before.clone();
    after_change.revision += 1;
    after_change.expires_at = after(500);
    after_change.participants[0].number = phone(NEW_PHONE);
    after_change
}

const NEW_PHONE: &str = "447700900009";

/// Gives the rider another phone.
async fn change(
    store: &Store,
    before: &Conversation,
    after_change: &Conversation,
    second: i64,
) -> Result<(), ChangeError> {
    let moved = Route::new(after_change, Side::A);
    store.change_conversation(before, after_change, &[moved], after(second)).await
}

#[tokio::test]
async fn update_moves_route_and_quarantines_old_one() {
    let store = table().await;
    let before = conversation([1, 2]);
    create(&store, &before).await.unwrap();
    let after_change = changed(&before);
    change(&store, &before, &after_change, 10).await.unwrap();
    assert_eq!(store.conversation(before.id, now()).await.unwrap(), Some(after_change.clone()));
    let route = async |caller, index| route_of(store.key_owner(&phone(caller), &virtual_number(index)).await.unwrap());
    let (new, old, others) = (route(NEW_PHONE, 1).await, route(RIDER, 1).await, route(DRIVER, 2).await);
    assert_eq!((new.expires_at, new.connect_to, new.present_as), (after(500), phone(DRIVER), virtual_number(2)));
    assert_eq!((old.expires_at, old.quarantined_until), (after(10), after(10 + QUARANTINE)));
    assert_eq!((others.connect_to, others.expires_at), (phone(NEW_PHONE), after(500)));
    assert_eq!(others.quarantined_until, after(500 + QUARANTINE));

    // A state from before the change can neither change nor end the conversation.
    let late = change(&store, &before, &changed(&before), 11).await;
    assert!(matches!(late, Err(ChangeError::Changed)), "{late:?}");
    store.end_conversation(before.id, after(20)).await.unwrap();
    assert_eq!(route(NEW_PHONE, 1).await.expires_at, after(20));
    assert_eq!(route(RIDER, 1).await.expires_at, after(10));

    // The old phone can come back, because its route key still belongs to this conversation.
    let again = conversation([5, 6]);
    create(&store, &again).await.unwrap();
    let moved = changed(&again);
    change(&store, &again, &moved, 30).await.unwrap();
    let mut back = again.clone();
    back.revision = 2;
    change(&store, &moved, &back, 31).await.unwrap();
    assert_eq!(route(RIDER, 5).await.expires_at, again.expires_at);
}

#[tokio::test]
async fn outcome_of_text_is_not_stored_for_other_phone() {
    let store = table().await;
    let mut before = conversation([1, 2]);
    create(&store, &before).await.unwrap();
    let mut after_change = changed(&before);
    after_change.participants[0].notification = Notification::Off;
    change(&store, &before, &after_change, 10).await.unwrap();
    for side in [0, 1] {
        before.participants[side].notification = Notification::Sent;
    }
    store.record_notifications(&before, &Side::BOTH.map(|side| (side.into(), Vec::new())), now()).await.unwrap();
    let stored = store.conversation(before.id, now()).await.unwrap().unwrap();
    let fates = stored.participants.map(|participant| participant.notification);
    assert_eq!(fates, [Notification::Off, Notification::Sent]);
}

#[tokio::test]
async fn update_changes_nothing_if_route_key_is_taken() {
    let store = table().await;
    let before = conversation([1, 2]);
    create(&store, &before).await.unwrap();
    let mut other = conversation([1, 3]);
    other.participants[0].number = phone(NEW_PHONE);
    other.participants[1].number = phone("447700900008");
    create(&store, &other).await.unwrap();
    let refused = change(&store, &before, &changed(&before), 10).await;
    assert!(matches!(refused, Err(ChangeError::KeyTaken)), "{refused:?}");
    assert_eq!(store.conversation(before.id, now()).await.unwrap(), Some(before.clone()));
    let route = route_of(store.key_owner(&phone(NEW_PHONE), &virtual_number(1)).await.unwrap());
    assert_eq!((route.conversation, route.expires_at), (other.id, other.expires_at));
}

#[tokio::test]
async fn one_of_concurrent_senders_sends_text() {
    let store = table().await;
    let mut conversation = conversation([1, 2]);
    create(&store, &conversation).await.unwrap();
    let mut all = JoinSet::new();
    for _ in 0..8 {
        let (store, conversation) = (store.clone(), conversation.clone());
        all.spawn(async move { store.claim_notifications(&conversation, &Side::BOTH.map(Into::into)).await.unwrap() });
    }
    assert_eq!(all.join_all().await.into_iter().filter(|claimed| *claimed).count(), 1);
    conversation.participants[0].notification = Notification::Failed("barred".to_owned());
    store.record_notifications(&conversation, &[(Side::A.into(), Vec::new())], now()).await.unwrap();
    let stored = store.conversation(conversation.id, now()).await.unwrap().unwrap();
    assert_eq!(stored.participants[0].notification, conversation.participants[0].notification);
    assert!(matches!(stored.participants[1].notification, Notification::Unknown(_)));
    assert!(store.claim_notifications(&stored, &[Side::A.into()]).await.unwrap(), "one that failed may be sent again");
}

#[tokio::test]
async fn all_routes_of_busy_caller_are_read() {
    let store = table().await;
    let mut expected = HashSet::new();
    for index in 0..60 {
        let mut conversation = conversation([index, index]);
        conversation.participants[1].number = phone(&format!("4477009010{index:02}"));
        create(&store, &conversation).await.unwrap();
        expected.insert(virtual_number(index));
    }
    assert_eq!(numbers_of(&store, RIDER, now()).await, expected);
}

#[tokio::test]
async fn create_table_changes_nothing_when_repeated() {
    let store = table().await;
    create(&store, &conversation([1, 2])).await.unwrap();
    store.create_table().await.unwrap();
    assert!(store.key_owner(&phone(RIDER), &virtual_number(1)).await.unwrap().is_some());
}
