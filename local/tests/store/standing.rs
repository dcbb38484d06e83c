//! Standing masks: phones that they name, and a restored table.

use shared::domain::call_limits::CallLimits;
use shared::domain::number_settings::NumberSettings;
use shared::domain::pool::{NumberState, PoolNumber};
use shared::domain::route::Callee;
use shared::domain::standing::StandingMask;
use shared::domain::tenant::Owner;
use shared::store::{RecordedStanding, Store};

use crate::{DRIVER, RIDER, after, now, number, phone, table, virtual_number};

fn settings(revision: u64, phones: &[&str]) -> NumberSettings {
    let callee =
        |(phone_index, digits): (usize, &&str)| Callee { number: phone(digits), phone: phone_index, hours: None };
    let standing = StandingMask {
        is_open: false,
        phones: phones.iter().enumerate().map(callee).collect(),
        blocked: Default::default(),
        blocks_hidden: false,
        language: None,
        limits: CallLimits::with_max_call(600),
    };
    NumberSettings { revision, standing: Some(standing), ..NumberSettings::default() }
}

/// A table with one ready number.
async fn with_number() -> (Store, PoolNumber) {
    let store = table().await;
    store.begin_renting(&number(1), &store.ledger().await.unwrap(), None).await.unwrap();
    store.note_bought(&number(1)).await.unwrap();
    assert!(store.make_ready(&number(1)).await.unwrap());
    let ready = store.pool_number(&virtual_number(1)).await.unwrap().unwrap();
    (store, ready)
}

#[tokio::test]
async fn number_is_set_aside_once_and_opened_as_it_was_read() {
    let (store, ready) = with_number().await;
    let none = NumberSettings::default();
    assert!(store.change_number_settings(&ready, [&none, &settings(1, &[RIDER])], now()).await.unwrap());
    assert!(!store.change_number_settings(&ready, [&none, &settings(1, &[DRIVER])], now()).await.unwrap(), "a race");
    assert_eq!(store.ready_pool(Owner::Deployment).await.unwrap().numbers().count(), 0);
    let aside = store.pool_number(&virtual_number(1)).await.unwrap().unwrap();
    assert_eq!((aside.state, aside.set_aside, aside.draining_since), (NumberState::SettingAside, true, Some(now())));
    let given_back = NumberSettings { revision: 2, ..NumberSettings::default() };
    assert!(store.change_number_settings(&aside, [&settings(1, &[RIDER]), &given_back], after(1)).await.unwrap());
    let ready = store.pool_number(&virtual_number(1)).await.unwrap().unwrap();
    assert!(store.change_number_settings(&ready, [&given_back, &settings(3, &[RIDER])], after(2)).await.unwrap());
    assert!(!store.open_standing(&aside).await.unwrap(), "the scan was about the time before");
    let aside = store.pool_number(&virtual_number(1)).await.unwrap().unwrap();
    assert!(store.open_standing(&aside).await.unwrap());
    assert!(store.number_settings(&virtual_number(1)).await.unwrap().unwrap().standing.unwrap().is_open);
}

#[tokio::test]
async fn number_that_was_read_before_its_settings_is_no_race() {
    let (store, ready) = with_number().await;
    let none = NumberSettings::default();
    assert!(store.change_number_settings(&ready, [&none, &settings(1, &[RIDER])], now()).await.unwrap());
    let aside = store.pool_number(&virtual_number(1)).await.unwrap().unwrap();
    let removed = |revision| NumberSettings { revision, ..NumberSettings::default() };
    let set = settings(1, &[RIDER]);
    assert!(!store.change_number_settings(&ready, [&set, &removed(2)], after(1)).await.unwrap(), "it was ready before");
    assert!(store.change_number_settings(&aside, [&set, &removed(2)], after(1)).await.unwrap());
    let again = settings(3, &[RIDER]);
    assert!(
        !store.change_number_settings(&aside, [&removed(2), &again], after(2)).await.unwrap(),
        "it was set aside before"
    );
    assert_eq!(store.ready_pool(Owner::Deployment).await.unwrap().numbers().count(), 1);
}

#[tokio::test]
async fn mask_that_changed_after_the_restored_state_is_closed() {
    let (store, ready) = with_number().await;
    let none = NumberSettings::default();
    assert!(store.change_number_settings(&ready, [&none, &settings(1, &[RIDER])], now()).await.unwrap());
    let recorded = |revision| RecordedStanding { number: virtual_number(1), revision };
    assert!(!store.close_standing(&recorded(1), after(9)).await.unwrap(), "it is the last state");
    assert!(store.close_standing(&recorded(4), after(9)).await.unwrap());
    assert!(!store.close_standing(&recorded(4), after(9)).await.unwrap(), "once");
    let closed = store.number_settings(&virtual_number(1)).await.unwrap().unwrap();
    assert_eq!((closed.revision, closed.standing.unwrap().phones), (4, Vec::new()));
    assert!(store.standing_masks_of(&phone(RIDER), after(9)).await.unwrap().is_empty());
}
