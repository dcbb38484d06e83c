//! The keeping of route keys from others in a restored table.

use shared::domain::route::{Hold, KeyOwner};
use shared::domain::route_keys::{RouteKey, Tenure};
use shared::store::{Kept, Store};

use super::*;

/// A conversation that the table does not know, with a key under this number.
fn unknown(index: usize) -> (ConversationId, RouteKey) {
    (ConversationId::generate(after(-500)), RouteKey::new(&phone(RIDER), &virtual_number(index)))
}

async fn keep(store: &Store, index: usize, tenure: Tenure, until: i64) -> Kept {
    let (id, key) = unknown(index);
    store.keep_key(id, (&key, tenure), after(until), now()).await.unwrap()
}

async fn owner(store: &Store, index: usize) -> KeyOwner {
    store.key_owner(&phone(RIDER), &virtual_number(index)).await.unwrap().unwrap()
}

#[tokio::test]
async fn vacant_key_is_kept_and_never_for_a_shorter_time() {
    let store = table().await;
    assert_eq!(keep(&store, 1, Tenure::Dials, 100).await, Kept::Now);
    assert!(matches!(owner(&store, 1).await, KeyOwner::Erased(_)));
    for (until, kept, left) in [(100, Kept::Before, 100), (50, Kept::Before, 100), (200, Kept::Now, 200)] {
        assert_eq!(keep(&store, 1, Tenure::Dials, until).await, kept, "{until}");
        assert_eq!(owner(&store, 1).await.quarantined_until(), after(left), "{until}");
    }
    let taken = create(&store, &conversation([1, 2])).await;
    assert!(matches!(taken, Err(CreateError::KeyTaken)), "{taken:?}");
    create(&store, &conversation_at(after(200), [1, 2])).await.unwrap();
}

#[tokio::test]
async fn live_key_is_left_to_its_end_and_then_kept() {
    let store = table().await;
    let other = conversation([1, 2]);
    create(&store, &other).await.unwrap();
    assert_eq!(keep(&store, 1, Tenure::Dials, 20).await, Kept::Live(other.id));
    store.end_conversation(other.id, now()).await.unwrap();
    assert_eq!(keep(&store, 1, Tenure::Dials, 20).await, Kept::Now);
    let owner = owner(&store, 1).await;
    assert_eq!((owner.is_live(now()), owner.quarantined_until()), (false, after(QUARANTINE)), "the longer one");
}

#[tokio::test]
async fn held_key_stays_held_for_longer() {
    let store = table().await;
    let held = Hold::new(Owner::Deployment, after(100), now()).quarantined_until;
    assert_eq!(keep(&store, 1, Tenure::Receives, 100).await, Kept::Now);
    assert_eq!(owner(&store, 1).await.quarantined_until(), held);
    assert_eq!(keep(&store, 1, Tenure::Receives, 100).await, Kept::Before);
    assert_eq!(keep(&store, 1, Tenure::Dials, 100).await, Kept::Before, "it leads to nobody as well");
    let longer = 10 * 86_400;
    assert_eq!(keep(&store, 1, Tenure::Dials, longer).await, Kept::Now);
    let owner = owner(&store, 1).await;
    assert!(matches!(owner, KeyOwner::Held(_)) && after(longer) <= owner.quarantined_until(), "{owner:?}");
}

#[tokio::test]
async fn key_in_a_quarantine_cannot_be_held_but_is_kept() {
    let store = table().await;
    let other = conversation([1, 2]);
    create(&store, &other).await.unwrap();
    store.end_conversation(other.id, now()).await.unwrap();
    assert_eq!(keep(&store, 1, Tenure::Receives, 500).await, Kept::Now);
    let owner = owner(&store, 1).await;
    assert_eq!((owner.is_live(now()), owner.quarantined_until()), (false, after(500)));
}

#[tokio::test]
async fn own_former_key_is_kept_for_longer() {
    let store = table().await;
    let own = conversation([1, 2]);
    create(&store, &own).await.unwrap();
    store.end_conversation(own.id, now()).await.unwrap();
    let key = RouteKey::new(&phone(RIDER), &virtual_number(1));
    for kept in [Kept::Now, Kept::Before] {
        assert_eq!(store.keep_key(own.id, (&key, Tenure::Dials), after(300), now()).await.unwrap(), kept);
    }
    let route = route_of(Some(owner(&store, 1).await));
    assert_eq!((route.conversation, route.quarantined_until), (own.id, after(300)));
}

#[tokio::test]
async fn key_under_the_other_spelling_is_kept_too() {
    let store = table().await;
    let (canonical, other) = (phone("541123456789"), phone("5491123456789"));
    // As a release before the canonical spelling stored it.
    let mut old = conversation([1, 2]);
    (old.participants[0].number, old.participants[0].keyed_as) = (other.clone(), None);
    create(&store, &old).await.unwrap();
    let key = RouteKey::new(&canonical, &virtual_number(1));
    let id = ConversationId::generate(after(-500));
    let keep = async || store.keep_key(id, (&key, Tenure::Dials), after(300), now()).await.unwrap();
    assert_eq!(keep().await, Kept::Live(old.id));
    store.end_conversation(old.id, now()).await.unwrap();
    assert_eq!(keep().await, Kept::Now);
    for spelling in [canonical, other] {
        let owner = store.key_owner(&spelling, &virtual_number(1)).await.unwrap().unwrap();
        assert_eq!((owner.is_live(now()), owner.quarantined_until()), (false, after(300)), "{spelling:?}");
    }
}
