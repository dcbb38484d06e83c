//! PINs in the table: whom one finds, and how often somebody may guess.

use shared::domain::call::{LegEvent, LegFacts, Status};
use shared::domain::conversation::{Conversation, ConversationId};
use shared::domain::pin::{Allowance, Pin, PinIssuer, PinKey};
use shared::domain::route::Route;
use shared::domain::side::Side;
use shared::store::{Counted, CreateError, LegIds, Recorded, Store, TriesOf};

use crate::{LIFETIME, QUARANTINE, after, calls_of, conversation_at, event, now, phone, table, virtual_number};

/// Returns a conversation of other people on the same numbers, whose first participant has the same PIN.
fn with_pin(of: &Conversation, created_at: jiff::Timestamp) -> Conversation {
    let mut conversation = conversation_at(created_at, [1, 2]);
    conversation.participants[0].number = phone("447700900033");
    conversation.participants[1].number = phone("447700900034");
    conversation.participants[0].pin = of.participants[0].pin.clone();
    conversation
}

fn new_pin() -> Pin {
    PinIssuer { key: PinKey::new("secret"), in_texts: false, remembers_phones: false }.issue()
}

fn first() -> Conversation {
    let mut first = conversation_at(now(), [1, 2]);
    first.participants[0].pin = Some(new_pin());
    first
}

async fn create(store: &Store, conversation: &Conversation) -> Result<(), CreateError> {
    let routes = Side::BOTH.map(|side| Route::new(conversation, side));
    store.create_conversation(conversation, &routes, None).await
}

async fn found(store: &Store, conversation: &Conversation, at: i64) -> Option<(ConversationId, Side)> {
    let hash = conversation.participants[0].pin.as_ref().unwrap().hash();
    let owner = store.pin_owner(&virtual_number(1), hash, after(at)).await.unwrap();
    owner.map(|owner| (owner.conversation.id, owner.side))
}

fn tries() -> [TriesOf; 1] {
    [TriesOf { by: "ALL".to_owned(), allowance: Allowance::OF_CALLER }]
}

#[tokio::test]
async fn pin_is_of_one_conversation_until_its_quarantine_ends() {
    let (store, one) = (table().await, first());
    create(&store, &one).await.unwrap();
    assert_eq!(found(&store, &one, 1).await, Some((one.id, Side::A)));
    for at in [1, LIFETIME, LIFETIME + QUARANTINE - 1] {
        let other = with_pin(&one, after(at));
        assert!(matches!(create(&store, &other).await, Err(CreateError::KeyTaken)), "{at}");
    }
    let mut elsewhere = with_pin(&one, after(1));
    elsewhere.participants[0].sees = virtual_number(3);
    elsewhere.participants[1].sees = virtual_number(4);
    create(&store, &elsewhere).await.unwrap();
    assert_eq!(found(&store, &one, 1).await, Some((one.id, Side::A)), "another number has PINs of its own");
    assert_eq!(found(&store, &one, LIFETIME).await, None, "it is over");
    let next = with_pin(&one, after(LIFETIME + QUARANTINE));
    create(&store, &next).await.unwrap();
    assert_eq!(found(&store, &one, LIFETIME + QUARANTINE).await, Some((next.id, Side::A)));
}

#[tokio::test]
async fn longer_conversation_keeps_its_pin() {
    let (store, one) = (table().await, first());
    create(&store, &one).await.unwrap();
    let longer = Conversation { expires_at: after(10 * LIFETIME), revision: 1, ..one.clone() };
    store.change_conversation(&one, &longer, &[], after(1)).await.unwrap();
    let other = with_pin(&one, after(LIFETIME + QUARANTINE));
    assert!(matches!(create(&store, &other).await, Err(CreateError::KeyTaken)));
    assert_eq!(found(&store, &one, 2 * LIFETIME).await, Some((one.id, Side::A)));
}

#[tokio::test]
async fn right_pin_binds_the_call_once() {
    let (store, one) = (table().await, first());
    create(&store, &one).await.unwrap();
    let hash = one.participants[0].pin.as_ref().unwrap().hash();
    let leg = LegIds { call: "CON-1".to_owned(), leg: "leg-1".to_owned() };
    let (number, tries) = (&virtual_number(1), &tries()[..]);
    for expected in [Counted::Now, Counted::Before] {
        assert_eq!(store.count_pin_try("CON-1", 1, (number, tries), after(1)).await.unwrap(), expected);
    }
    let owner = store.pin_owner(number, hash, after(1)).await.unwrap().unwrap();
    assert!(!store.accept_pin(&owner, &leg, 2, tries, after(1)).await.unwrap(), "this is not the last try");
    assert!(store.accept_pin(&owner, &leg, 1, tries, after(1)).await.unwrap());
    assert!(!store.accept_pin(&owner, &leg, 1, tries, after(1)).await.unwrap());
    for (call, uuid, recorded) in [
        ("CON-1", "leg-1", Recorded::Merged(one.id)),
        ("CON-1", "leg-2", Recorded::OfNone),
        ("CON-2", "leg-1", Recorded::OfNone),
    ] {
        let completed =
            LegEvent { conversation_uuid: call.to_owned(), ..event(uuid, Status::Completed, 9, LegFacts::default()) };
        assert_eq!(store.record_leg_by_pin(&completed, after(9)).await.unwrap(), recorded, "{call} {uuid}");
    }
    let legs = calls_of(&store, one.id, after(9)).await.legs;
    assert_eq!((legs.len(), legs[0].pin_at, legs[0].side), (1, Some(after(1)), Side::A));
    // The try was given back.
    for nth in 2..7 {
        let counted = store.count_pin_try(&format!("CON-{nth}"), 1, (number, tries), after(1)).await.unwrap();
        assert_eq!(counted, Counted::Now, "{nth}");
    }
    assert_eq!(store.count_pin_try("CON-7", 1, (number, tries), after(1)).await.unwrap(), Counted::TooMany);
    store.end_conversation(one.id, after(10)).await.unwrap();
    let late = LegIds { call: "CON-2".to_owned(), ..leg };
    assert!(!store.accept_pin(&owner, &late, 1, &[], after(10)).await.unwrap(), "it has just ended");
}

/// Conversations that begin, end and become longer at random, with few PINs: whoever types one reaches the only live conversation
/// that has it.
#[tokio::test]
async fn pin_leads_to_the_only_live_conversation_that_has_it() {
    let pins: Vec<_> = (0..3).map(|_| new_pin()).collect();
    for seed in 0..4 {
        let (store, mut random) = (table().await, fastrand::Rng::with_seed(seed));
        let (mut known, mut at): (Vec<Conversation>, i64) = (Vec::new(), 0);
        let (mut refused, mut reached) = (0, 0);
        for step in 0..150 {
            at += random.i64(0..30);
            let pin = pins[random.usize(..pins.len())].clone();
            let live: Vec<usize> = (0..known.len()).filter(|nth| known[*nth].is_active(after(at))).collect();
            match random.usize(..4) {
                0 | 1 => {
                    let mut new = conversation_at(after(at), [1, 2]);
                    new.participants[0].number = phone(&format!("4477009{step:05}"));
                    new.participants[1].number = phone(&format!("4477008{step:05}"));
                    new.participants[0].pin = Some(pin.clone());
                    let owners = known.iter().filter(|other| other.participants[0].pin.as_ref() == Some(&pin));
                    let is_taken = owners.clone().any(|other| after(at) < other.quarantined_until(other.expires_at));
                    let created = create(&store, &new).await;
                    // An early end leaves the PIN where it is until the time that was known before.
                    assert_eq!(created.is_err(), is_taken, "seed {seed}, step {step}");
                    refused += i32::from(is_taken);
                    known.extend(created.is_ok().then_some(new));
                }
                2 if !live.is_empty() => {
                    let nth = live[random.usize(..live.len())];
                    let before = known[nth].clone();
                    let longer =
                        Conversation { expires_at: after(at + 150), revision: before.revision + 1, ..before.clone() };
                    if longer.expires_at > before.expires_at {
                        store.change_conversation(&before, &longer, &[], after(at)).await.unwrap();
                        known[nth] = longer;
                    }
                }
                3 if !live.is_empty() && random.bool() => {
                    let nth = live[random.usize(..live.len())];
                    let ended = store.end_conversation(known[nth].id, after(at)).await.unwrap().unwrap();
                    known[nth] = ended;
                }
                _ => {}
            }
            for pin in &pins {
                let has_it =
                    |one: &&Conversation| one.participants[0].pin.as_ref() == Some(pin) && one.is_active(after(at));
                let expected: Vec<_> = known.iter().filter(has_it).map(|one| one.id).collect();
                let owner = store.pin_owner(&virtual_number(1), pin.hash(), after(at)).await.unwrap();
                let found: Vec<_> = owner.iter().map(|owner| owner.conversation.id).collect();
                assert_eq!(found, expected, "seed {seed}, step {step}");
                reached += found.len();
            }
        }
        assert!(refused > 5 && reached > 20, "seed {seed}: {refused} refused, {reached} reached");
    }
}
