//! The transaction that gives a participant another number, and what was read before it.

use shared::domain::carrier_record::CarrierRecord;
use shared::domain::conversation::{Conversation, Notification};
use shared::domain::route::Route;
use shared::domain::side::Side;
use shared::store::{Heal, Loss, Store};

use crate::{DRIVER, RIDER, after, conversation, conversation_at, create, now, phone, route_of, table, virtual_number};

/// Returns the conversation in which the first participant dials `number`.
fn changed(before: &Conversation, number: usize) -> Conversation {
    let mut after = Conversation { revision: before.revision + 1, ..before.clone() };
    let rider = &mut after.participants[0];
    rider.previously_seen.push(std::mem::replace(&mut rider.sees, virtual_number(number)));
    after
}

async fn listed(store: &Store, conversation: &Conversation) -> Heal {
    store.list_heals(&[conversation.id, conversation.id], now()).await.unwrap();
    store.heal(conversation.id).await.unwrap().unwrap()
}

/// Gives the first participant another number at second 10.
async fn heal(store: &Store, before: &Conversation, number: usize, heal: &Heal) -> bool {
    let changed = changed(before, number);
    let route = Route::joining(&changed, changed.first_phone(Side::A), None, after(10));
    let next = Heal { healed: vec![Side::A], ..heal.clone() };
    store.heal_conversation([before, &changed], &[Side::A], &[route], &next, after(10)).await.unwrap()
}

#[tokio::test]
async fn healing_changes_all_items_of_a_conversation_at_once() {
    let store = table().await;
    let before = conversation([1, 2]);
    create(&store, &before).await.unwrap();
    let item = listed(&store, &before).await;
    assert!(heal(&store, &before, 3, &item).await);
    let after_it = changed(&before, 3);
    assert_eq!(store.conversation(before.id, after(10)).await.unwrap(), Some(after_it.clone()));
    let route =
        async |caller: &str, number| route_of(store.key_owner(&phone(caller), &virtual_number(number)).await.unwrap());
    let (old, new, other) = (route(RIDER, 1).await, route(RIDER, 3).await, route(DRIVER, 2).await);
    assert_eq!((old.is_replaced, old.expires_at, old.quarantined_until), (true, after(10), after(70)));
    assert_eq!((new.since, new.present_as, new.expires_at), (after(10), virtual_number(2), before.expires_at));
    assert_eq!((other.present_as, other.is_replaced), (virtual_number(3), false));
    let item = store.heal(before.id).await.unwrap().unwrap();
    assert_eq!((item.healed.as_slice(), item.revision), (&[Side::A][..], 2));
    store.end_conversation(before.id, after(20)).await.unwrap();
    assert_eq!(
        (route(RIDER, 1).await.quarantined_until, route(RIDER, 3).await.quarantined_until),
        (after(70), after(80))
    );
}

#[tokio::test]
async fn healing_of_what_has_changed_changes_nothing() {
    let store = table().await;
    let (before, neighbour) = (conversation([1, 2]), conversation_at(after(1), [3, 4]));
    create(&store, &before).await.unwrap();
    create(&store, &neighbour).await.unwrap();
    let item = listed(&store, &before).await;
    assert!(!heal(&store, &before, 3, &item).await, "another conversation has the route key");
    let outdated = Heal { revision: item.revision - 1, ..item.clone() };
    assert!(!heal(&store, &before, 5, &outdated).await, "another run has changed the item");
    let longer = Conversation { revision: 1, expires_at: after(200), ..before.clone() };
    store.change_conversation(&before, &longer, &[], now()).await.unwrap();
    assert!(!heal(&store, &before, 5, &item).await, "a request has changed the conversation");
    assert_eq!(store.heal(before.id).await.unwrap(), Some(item.clone()));
    store.erase_conversation(before.id, after(5)).await.unwrap();
    assert!(!heal(&store, &longer, 5, &item).await, "it is erased");
    assert_eq!(store.key_owner(&phone(RIDER), &virtual_number(5)).await.unwrap(), None);
}

#[tokio::test]
async fn text_about_a_replaced_number_is_neither_claimed_nor_recorded() {
    let store = table().await;
    let mut before = conversation([1, 2]);
    create(&store, &before).await.unwrap();
    let item = listed(&store, &before).await;
    assert!(heal(&store, &before, 3, &item).await);
    assert!(!store.claim_notifications(&before, &[Side::A.into()]).await.unwrap());
    before.participants.iter_mut().for_each(|participant| participant.notification = Notification::Sent);
    let texts = ["one", "two"].map(|id| CarrierRecord::of_text(id.to_owned()));
    let sent = Side::BOTH.map(|side| (side.into(), vec![texts[side.index()].clone()]));
    store.record_notifications(&before, &sent, after(11)).await.unwrap();
    let stored = store.conversation(before.id, after(11)).await.unwrap().unwrap();
    let notifications = stored.participants.each_ref().map(|participant| participant.notification.clone());
    assert_eq!(notifications, [Notification::Pending, Notification::Sent]);
    assert_eq!(stored.carrier_records, texts);
    assert!(store.claim_notifications(&stored, &[Side::A.into()]).await.unwrap(), "the text about the new number");
}

#[tokio::test]
async fn due_conversations_are_read_and_postponed_ones_are_not() {
    let store = table().await;
    let conversation = conversation([1, 2]);
    let item = listed(&store, &conversation).await;
    let due = async |second| store.due_heals(after(second), None).await.unwrap().heals;
    assert_eq!(due(0).await, std::slice::from_ref(&item));
    let mut unhealed = Heal { reported: vec![Loss { side: Side::B, since: now(), is_rotation: false }], ..item };
    for pause in [60, 120, 240] {
        unhealed.postpone(now());
        assert_eq!(unhealed.due_at, after(pause));
    }
    assert!(store.save_heal(&unhealed).await.unwrap());
    assert!(!store.save_heal(&unhealed).await.unwrap(), "it has changed");
    store.finish_heal(&unhealed).await.unwrap();
    let stored = Heal { revision: unhealed.revision + 1, ..unhealed };
    assert_eq!((due(239).await, due(240).await), (vec![], vec![stored.clone()]));
    store.finish_heal(&stored).await.unwrap();
    assert_eq!(store.heal(conversation.id).await.unwrap(), None);
}
