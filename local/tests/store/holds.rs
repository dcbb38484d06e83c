//! Holds, and the line of a phone that only receives.

use jiff::SignedDuration;
use shared::domain::caller_routes::Extent;
use shared::domain::route::{Destination, KeyOwner};
use shared::domain::side::{Side, WhoDials};
use shared::domain::tenant::Owner;
use shared::store::{CreateError, LegOwner, Line};

use crate::{
    DRIVER, LIFETIME, QUARANTINE, after, conversation, conversation_at, create, now, phone, table, virtual_number,
};

/// The end of the first conversation's quarantine.
const END: i64 = LIFETIME + QUARANTINE;

#[tokio::test]
async fn hold_takes_only_a_free_key_and_only_becomes_longer() {
    let store = table().await;
    let (driver, second) = (phone(DRIVER), virtual_number(2));
    create(&store, &conversation([1, 2])).await.unwrap();
    assert_eq!(
        store.hold((&driver, &second), Owner::Deployment, after(END), now()).await.unwrap(),
        None,
        "a live route"
    );
    assert_eq!(
        store.hold((&driver, &second), Owner::Deployment, after(END + 1), after(END - 1)).await.unwrap(),
        None,
        "in quarantine"
    );
    let free = after(END);
    let until = store.hold((&driver, &second), Owner::Deployment, after(1000), free).await.unwrap().unwrap();
    let Some(KeyOwner::Held(hold)) = store.key_owner(&driver, &second).await.unwrap() else { panic!("no hold") };
    assert_eq!((hold.held_at, hold.quarantined_until), (free, until), "nothing is left of the route");
    assert!(until > after(1000));
    // What is long enough is not written.
    for earlier in [after(500), until] {
        assert_eq!(store.hold((&driver, &second), Owner::Deployment, earlier, after(300)).await.unwrap(), Some(until));
    }
    let longer = store
        .hold((&driver, &second), Owner::Deployment, until + SignedDuration::from_secs(1), after(300))
        .await
        .unwrap()
        .unwrap();
    assert!(longer > until);
    assert_eq!(store.destination(&driver, &second, after(301)).await.unwrap(), Destination::ReceiveOnly);
    assert_eq!(store.destination(&driver, &second, longer).await.unwrap(), Destination::Nobody);
    assert_eq!(store.key_owner_at(&driver, &second, after(301)).await.unwrap(), None, "its events are nobody's");
}

#[tokio::test]
async fn conversation_of_both_gets_a_held_key_only_after_the_hold() {
    let store = table().await;
    let until =
        store.hold((&phone(DRIVER), &virtual_number(2)), Owner::Deployment, after(END), now()).await.unwrap().unwrap();
    assert!(matches!(create(&store, &conversation([1, 2])).await, Err(CreateError::KeyTaken)));
    create(&store, &conversation_at(until, [1, 2])).await.unwrap();
    assert_eq!(store.hold((&phone(DRIVER), &virtual_number(2)), Owner::Deployment, until, until).await.unwrap(), None);
}

#[tokio::test]
async fn one_way_conversation_has_one_route_until_it_is_erased() {
    let store = table().await;
    let one_way = |dials| {
        let mut conversation = conversation(dials);
        conversation.direction = WhoDials::AToB;
        conversation
    };
    let (first, second) = (one_way([1, 2]), one_way([3, 2]));
    let until = store.hold((&phone(DRIVER), &virtual_number(2)), Owner::Deployment, after(END), now()).await.unwrap();
    for conversation in [&first, &second] {
        create(&store, conversation).await.unwrap();
    }
    let ended = store.end_conversation(first.id, after(10)).await.unwrap().unwrap();
    assert_eq!(ended.ended_at, Some(after(10)));
    assert!(store.erase_conversation(first.id, after(11)).await.unwrap());
    assert!(matches!(
        store.key_owner(&phone(crate::RIDER), &virtual_number(1)).await.unwrap(),
        Some(KeyOwner::Erased(_))
    ));
    let hold = store.key_owner(&phone(DRIVER), &virtual_number(2)).await.unwrap();
    assert_eq!(hold.map(|hold| hold.quarantined_until()), until, "the other conversation needs it");
    let callee = store.callee(second.id, &phone(DRIVER), &virtual_number(2), after(12)).await.unwrap().unwrap();
    assert!(matches!(callee, LegOwner::Phone(phone) if phone.conversation == second.id));
    assert_eq!(second.callee(&phone(DRIVER), &virtual_number(2)), Some((Side::B, 0)));
}

#[tokio::test]
async fn line_shows_its_hold_and_nothing_else() {
    let store = table().await;
    let driver = phone(DRIVER);
    assert_eq!(store.line(&driver, now()).await.unwrap(), None);
    create(&store, &conversation([1, 5])).await.unwrap();
    let held_until =
        store.hold((&driver, &virtual_number(2)), Owner::Deployment, after(END), now()).await.unwrap().unwrap();
    let line = Line { number: virtual_number(2), held_until, looked_up: None };
    store.remember_line(&driver, &line).await.unwrap();
    let found = store.line(&driver, after(1)).await.unwrap().unwrap();
    assert_eq!((found.extent.clone(), found.by_number.len(), found.is_virtual), (Extent::Line, 1, false));
    let hold = &found.by_number[&virtual_number(2)];
    assert!(hold.is_held(after(1)) && hold.quarantined_until == held_until);
    assert!(!found.has_no(&virtual_number(2)) && !found.has_no(&virtual_number(7)));
    assert_eq!(store.line(&driver, held_until).await.unwrap(), None);
    // All its routes show the hold too.
    let routes = store.caller_routes(&driver, after(1)).await.unwrap();
    assert_eq!(routes.in_use(after(1)).count(), 2);
}
