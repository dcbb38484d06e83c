//! The costs of tenants: a leg that moves to another conversation, and prices that many tell at the same time.

use jiff::{SignedDuration, Timestamp};
use shared::domain::call::{Direction, LegEvent, LegFacts, Status};
use shared::domain::carrier_record::{CarrierRecord, Product};
use shared::domain::channel::Sender;
use shared::domain::conversation::Conversation;
use shared::domain::part_fate::PartFate;
use shared::domain::receipt::{Receipt, ReceiptOf};
use shared::domain::relayed_text::{AcceptedPart, AcceptedText, RelayedText, TextReference};
use shared::domain::route::Route;
use shared::domain::side::Side;
use shared::domain::tenant::{Owner, Tenant};
use shared::domain::tenant_cost::{Month, Spent};
use shared::domain::text_message::TextSize;
use shared::store::{LegNumbers, LegPhone, Store, TextOutcome};
use tokio::task::JoinSet;

use crate::{
    DRIVER, LIFETIME, RIDER, after, conversation_at, create, event, now, phone, routes, table, virtual_number,
};

fn acme() -> Tenant {
    Tenant::try_from("acme").unwrap()
}

fn of_acme(created_at: Timestamp) -> Conversation {
    Conversation { owner: Owner::Tenant(acme()), ..conversation_at(created_at, [1, 2]) }
}

async fn spent(store: &Store) -> Spent {
    let month = Month::of(now());
    let [(_, spent)] = store.tenant_costs(acme(), &[month]).await.unwrap().try_into().unwrap();
    spent
}

/// Stores a conversation that ends, and the next one of the same two people on the same numbers.
async fn two_conversations(store: &Store) -> [Conversation; 2] {
    let first = of_acme(now());
    create(store, &first).await.unwrap();
    store.end_conversation(first.id, after(30)).await.unwrap();
    let next = of_acme(after(31));
    let overlap_until = Some(after(91));
    let routes = routes(&next).map(|route| Route { history: vec![first.id], overlap_until, ..route });
    store.create_conversation(&next, &routes, None).await.unwrap();
    [first, next]
}

/// Records an event of the rider's leg.
async fn record(store: &Store, event: &LegEvent) {
    let (phone, virtual_number) = (&phone(RIDER), &virtual_number(1));
    let numbers = LegNumbers { phone, virtual_number, direction: Direction::Inbound, named: None };
    store.record_leg_event(numbers, event, event.timestamp.unwrap(), after(LIFETIME)).await.unwrap();
}

fn started(uuid: &str, second: i64) -> LegEvent {
    event(uuid, Status::Started, second, LegFacts::default())
}

fn completed(uuid: &str, second: i64) -> LegEvent {
    let facts = LegFacts { duration: Some(7), price: "0.05".parse().ok(), ..LegFacts::default() };
    event(uuid, Status::Completed, second, facts)
}

fn calls(count: i64) -> Spent {
    let call_cost = rust_decimal::Decimal::new(5 * count, 2);
    Spent { calls: count, call_cost, ..Spent::default() }
}

#[tokio::test]
async fn leg_that_moves_to_its_conversation_is_paid_once() {
    let store = table().await;
    two_conversations(&store).await;
    let (started, completed) = (started("leg", 5), completed("leg", 50));
    for event in [&completed, &completed, &started, &completed, &started] {
        record(&store, event).await;
    }
    assert_eq!(spent(&store).await, calls(1));
}

#[tokio::test]
async fn leg_paid_in_two_conversations_is_paid_once_in_the_end() {
    let store = table().await;
    let [first, _] = two_conversations(&store).await;
    record(&store, &completed("leg", 50)).await;
    // A run is killed after it merged the first event of the leg, before it moved what the next conversation has of it.
    let owner = LegPhone::from(&Route::new(&first, Side::A));
    store.merge_leg(&owner, Direction::Inbound, &started("leg", 5)).await.unwrap();
    record(&store, &completed("leg", 50)).await;
    assert_eq!(spent(&store).await, calls(2), "until the leg is in one place");
    record(&store, &started("leg", 5)).await;
    assert_eq!(spent(&store).await, calls(1));
    record(&store, &completed("leg", 50)).await;
    assert_eq!(spent(&store).await, calls(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn events_of_many_legs_at_once_are_all_paid_once() {
    let store = table().await;
    two_conversations(&store).await;
    let legs = 24;
    let mut all = JoinSet::new();
    for nth in 0..legs {
        let uuid = format!("leg-{nth}");
        for event in [started(&uuid, 29), completed(&uuid, 40), completed(&uuid, 40)] {
            let store = store.clone();
            all.spawn(async move { record(&store, &event).await });
        }
    }
    all.join_all().await;
    for nth in 0..legs {
        // What lost a race against others is told again.
        for event in [started(&format!("leg-{nth}"), 29), completed(&format!("leg-{nth}"), 40)] {
            record(&store, &event).await;
        }
    }
    assert_eq!(spent(&store).await, calls(legs));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parts_of_a_text_at_once_are_one_text_and_paid_once() {
    let store = table().await;
    let conversation = of_acme(now());
    create(&store, &conversation).await.unwrap();
    let id = "in-1".to_owned();
    let inbound = CarrierRecord { id, product: Product::Sms, direction: Direction::Inbound, channel: None };
    let size = TextSize { segments: 8, messages: None };
    let text = RelayedText { owner: conversation.owner, ..RelayedText::claimed(Side::A, size, inbound, now()) };
    let until = after(LIFETIME) + SignedDuration::from_hours(1);
    let (mask, driver) = (virtual_number(2), phone(DRIVER));
    let to = Some((&[Sender::from(&mask)][..], &driver));
    store.claim_text(conversation.id, &text, until, to).await.unwrap();
    let reference = TextReference { conversation: conversation.id, text: text.id };
    let part = |nth: usize| format!("part-{nth}");
    let mut all = JoinSet::new();
    for nth in (0..8).chain(0..8) {
        let store = store.clone();
        all.spawn(async move {
            let (of, fate, price) = (ReceiptOf::Text(reference), PartFate::Accepted, "0.04".parse().ok());
            let receipt = Receipt { of, part: part(nth), fate, price, by_number: false };
            // Too many at once are told again.
            while store.record_receipt(reference, &receipt, now()).await.is_err() {}
        });
    }
    // The answer to the request has the same prices.
    let parts = (0..8).map(|nth| AcceptedPart { id: part(nth), price: Some("0.04".to_owned()) }).collect();
    let accepted = TextOutcome::Accepted(AcceptedText { parts, by_number: false });
    while store.record_text_outcome(conversation.id, &text, &accepted, now()).await.is_err() {}
    all.join_all().await;
    let text_cost = "0.32".parse().unwrap();
    assert_eq!(spent(&store).await, Spent { texts: 1, text_cost, ..Spent::default() });
    let stored = store.text(reference).await.unwrap().unwrap();
    assert_eq!((stored.parts.len(), stored.receipt_prices.len()), (8, 8));
}
