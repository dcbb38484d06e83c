//! Phones with two spellings: routes under the canonical one, and routes that were stored under the other one before.

use shared::domain::conversation::Conversation;
use shared::domain::phone::RealNumber;
use shared::domain::route::{Destination, KeyOwner, Route};
use shared::domain::side::Side;
use shared::store::Store;

use crate::{
    DRIVER, LIFETIME, QUARANTINE, RIDER, after, conversation, conversation_at, create, now, numbers_of, phone,
    route_of, table, virtual_number,
};

const CANONICAL: &str = "541123456789";
const OTHER: &str = "5491123456789";

/// Returns a conversation whose rider is the Argentine phone in this spelling, with a route key as new ones have it.
fn with_rider(spelling: &str, dials: [usize; 2]) -> Conversation {
    let mut conversation = conversation(dials);
    let number = phone(spelling);
    conversation.participants[0].keyed_as = number.respelled();
    conversation.participants[0].number = number;
    conversation
}

/// Returns the same, with the route key of a conversation from before there was a canonical spelling.
fn with_rider_of_old(spelling: &str, dials: [usize; 2]) -> Conversation {
    let mut conversation = with_rider(spelling, dials);
    conversation.participants[0].keyed_as = None;
    conversation
}

type Make = fn(&str, [usize; 2]) -> Conversation;

/// Both kinds of conversations, with the spelling in the route key of a rider who is given in the other spelling.
const BOTH: [(Make, &str); 2] = [(with_rider, CANONICAL), (with_rider_of_old, OTHER)];

async fn destination(store: &Store, caller: &str, second: i64) -> Destination {
    store.destination(&phone(caller), &virtual_number(1), after(second)).await.unwrap()
}

async fn owner_at(store: &Store, caller: &str, second: i64) -> Option<KeyOwner> {
    store.key_owner_at(&phone(caller), &virtual_number(1), after(second)).await.unwrap()
}

/// Returns the item under exactly this key.
async fn stored(store: &Store, caller: &str) -> Option<KeyOwner> {
    store.key_owner(&phone(caller), &virtual_number(1)).await.unwrap()
}

#[tokio::test]
async fn route_of_either_spelling_is_found_by_both() {
    for spelling in [CANONICAL, OTHER] {
        for old in [false, true] {
            let store = table().await;
            let make: Make = if old { with_rider_of_old } else { with_rider };
            let made = make(spelling, [1, 2]);
            create(&store, &made).await.unwrap();
            let key = if old { spelling } else { CANONICAL };
            assert_eq!(route_of(stored(&store, key).await).conversation, made.id);
            for caller in [CANONICAL, OTHER] {
                let found = destination(&store, caller, 0).await;
                let connected =
                    matches!(&found, Destination::Participant { connect_to, .. } if *connect_to == phone(DRIVER));
                assert!(connected, "{spelling} {old} {caller}: {found:?}");
                assert_eq!(owner_at(&store, caller, 5).await.unwrap().conversation(), Some(made.id));
                assert_eq!(numbers_of(&store, caller, now()).await, [virtual_number(1)].into());
            }
            let callee = store.destination(&phone(DRIVER), &virtual_number(2), now()).await.unwrap();
            let dials_as_given =
                matches!(&callee, Destination::Participant { connect_to, .. } if *connect_to == phone(spelling));
            assert!(dials_as_given, "{callee:?}");
        }
    }
}

#[tokio::test]
async fn old_key_is_closed_in_quarantine_and_free_again() {
    let store = table().await;
    let old = with_rider_of_old(OTHER, [1, 2]);
    create(&store, &old).await.unwrap();
    store.end_conversation(old.id, after(10)).await.unwrap();
    for caller in [CANONICAL, OTHER] {
        assert_eq!(destination(&store, caller, 11).await, Destination::Ended(old.id));
        assert!(!numbers_of(&store, caller, after(9 + QUARANTINE)).await.is_empty());
        assert!(numbers_of(&store, caller, after(10 + QUARANTINE)).await.is_empty());
    }
    // The next conversation has the canonical key, and continues no history of the other one.
    let mut next = with_rider(OTHER, [1, 2]);
    next.id = conversation_at(after(100), [1, 2]).id;
    next.created_at = after(100);
    next.expires_at = after(100 + LIFETIME);
    create(&store, &next).await.unwrap();
    for caller in [CANONICAL, OTHER] {
        assert!(
            matches!(destination(&store, caller, 101).await, Destination::Participant { conversation, .. } if conversation == next.id)
        );
        assert_eq!(
            owner_at(&store, caller, 20).await.and_then(|owner| owner.conversation()),
            Some(old.id),
            "a late event"
        );
    }
}

#[tokio::test]
async fn erasure_removes_keys_of_both_spellings() {
    for (make, key) in BOTH {
        let store = table().await;
        let made = make(OTHER, [1, 2]);
        create(&store, &made).await.unwrap();
        assert!(store.erase_conversation(made.id, after(10)).await.unwrap());
        assert!(matches!(stored(&store, key).await, Some(KeyOwner::Erased(_))));
        for caller in [CANONICAL, OTHER] {
            assert_eq!(destination(&store, caller, 11).await, Destination::Ended(made.id));
        }
    }
}

#[tokio::test]
async fn another_spelling_changes_what_is_dialled_and_no_route() {
    for (make, key) in BOTH {
        let store = table().await;
        let before = make(OTHER, [1, 2]);
        create(&store, &before).await.unwrap();
        let mut respelled = before.clone();
        let rider = &mut respelled.participants[0];
        (rider.keyed_as, rider.number) = (Some(rider.route_caller().clone()), phone(CANONICAL));
        respelled.revision += 1;
        store.change_conversation(&before, &respelled, &[], after(10)).await.unwrap();
        assert_eq!(store.conversation(before.id, now()).await.unwrap().as_ref(), Some(&respelled));
        let callee = store.destination(&phone(DRIVER), &virtual_number(2), after(11)).await.unwrap();
        assert!(matches!(&callee, Destination::Participant { connect_to, .. } if *connect_to == phone(CANONICAL)));
        // Ending finds the key, whatever its spelling.
        store.end_conversation(before.id, after(20)).await.unwrap();
        assert_eq!(route_of(stored(&store, key).await).expires_at, after(20));
        assert_eq!(destination(&store, OTHER, 21).await, Destination::Ended(before.id));
    }
}

#[tokio::test]
async fn phone_with_old_key_moves_to_another_and_back() {
    let store = table().await;
    let before = with_rider_of_old(OTHER, [1, 2]);
    create(&store, &before).await.unwrap();
    let moved_to = |from: &Conversation, number: RealNumber| {
        let mut moved = from.clone();
        let rider = &mut moved.participants[0];
        rider.keyed_as = number.respelled();
        rider.previous_numbers.push(std::mem::replace(&mut rider.number, number));
        moved.revision += 1;
        moved
    };
    let away = moved_to(&before, phone(RIDER));
    let route = Route { since: after(5), ..Route::new(&away, Side::A) };
    store.change_conversation(&before, &away, &[route], after(5)).await.unwrap();
    assert_eq!(destination(&store, CANONICAL, 6).await, Destination::Ended(before.id));
    assert_eq!(route_of(stored(&store, OTHER).await).expires_at, after(5));
    let back = moved_to(&away, phone(OTHER));
    let own = &store.caller_routes(&phone(OTHER), after(7)).await.unwrap().by_number[&virtual_number(1)];
    assert_eq!(own.conversation, Some(before.id));
    let route = Route { history: own.previous.clone(), ..Route::new(&back, Side::A) };
    store.change_conversation(&away, &back, &[route], after(7)).await.unwrap();
    for caller in [CANONICAL, OTHER] {
        assert!(matches!(destination(&store, caller, 8).await, Destination::Participant { .. }), "{caller}");
    }
    assert_eq!(route_of(stored(&store, CANONICAL).await).expires_at, after(LIFETIME));
    assert!(store.erase_conversation(before.id, after(9)).await.unwrap());
    for key in [CANONICAL, OTHER] {
        assert!(matches!(stored(&store, key).await, Some(KeyOwner::Erased(_))), "{key}");
    }
}
