//! The numbers of the pool, from rent to release.

use std::collections::HashSet;

use shared::domain::country::Country;
use shared::domain::peak_usage::{self, Mark};
use shared::domain::phone::VirtualNumber;
use shared::domain::pool::{NumberState, PoolNumber};
use shared::domain::tenant::{Owner, Pool};
use shared::store::{PartState, RentError, RouteScan, ScanPurpose, Store};
use tokio::task::JoinSet;

use crate::{
    LIFETIME, QUARANTINE, after, conversation, conversation_at, create, gb, now, number, phone, table, virtual_number,
};

#[tokio::test]
async fn number_is_added_only_to_ledger_that_was_read() {
    let store = table().await;
    let empty = store.ledger().await.unwrap();
    store.begin_renting(&number(1), &empty, None).await.unwrap();
    assert!(matches!(store.begin_renting(&number(2), &empty, None).await, Err(RentError::Changed)));
    let one = store.ledger().await.unwrap();
    assert_eq!((one.counts(Pool::own(gb())).towards_order(), one.counts(Pool::own(gb())).in_progress()), (1, 1));
    assert!(matches!(store.begin_renting(&number(1), &one, None).await, Err(RentError::Known)));
    let abroad = PoolNumber { country: Country::try_from("JE").unwrap(), ..number(1) };
    assert!(matches!(store.begin_renting(&abroad, &one, None).await, Err(RentError::Known)));
    store.begin_renting(&number(2), &one, None).await.unwrap();
    assert_eq!(store.pool_numbers(Pool::own(gb())).await.unwrap(), [number(1), number(2)]);
    assert_eq!(store.ledger().await.unwrap().pools, [Pool::own(gb())]);
}

#[tokio::test]
async fn number_of_pool_is_recognized_as_caller() {
    let store = table().await;
    let caller = phone(virtual_number(1).as_str());
    assert!(!store.caller_routes(&caller, now()).await.unwrap().is_virtual);
    store.begin_renting(&number(1), &store.ledger().await.unwrap(), None).await.unwrap();
    assert!(store.caller_routes(&caller, now()).await.unwrap().is_virtual);
    store.forget_number(&number(1)).await.unwrap();
    assert!(!store.caller_routes(&caller, now()).await.unwrap().is_virtual);
    assert_eq!(store.pool_numbers(Pool::own(gb())).await.unwrap(), []);
}

#[tokio::test]
async fn bought_number_is_kept_through_all_states() {
    let store = table().await;
    store.begin_renting(&number(1), &store.ledger().await.unwrap(), None).await.unwrap();
    assert!(!store.make_ready(&number(1)).await.unwrap(), "it may not have been bought");
    store.note_bought(&number(1)).await.unwrap();
    store.forget_number(&number(1)).await.unwrap();
    assert!(store.make_ready(&number(1)).await.unwrap());
    store.note_bought(&number(1)).await.unwrap();
    assert_eq!(store.pool_numbers(Pool::own(gb())).await.unwrap()[0].state, NumberState::Ready);
    assert!(!store.make_ready(&number(2)).await.unwrap());
}

#[tokio::test]
async fn one_of_concurrent_runs_takes_over_number() {
    let store = table().await;
    store.begin_renting(&number(1), &store.ledger().await.unwrap(), None).await.unwrap();
    let too_early = store.take_over(number(1), after(59), after(119)).await.unwrap();
    assert_eq!(too_early, None, "its run may still be alive");
    let mut all = JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        all.spawn(async move { store.take_over(number(1), after(60), after(120)).await.unwrap() });
    }
    let taken: Vec<PoolNumber> = all.join_all().await.into_iter().flatten().collect();
    assert_eq!(taken, [PoolNumber { leased_until: after(120), ..number(1) }]);
    // A run without its lease cannot remove a number that the other run may have bought.
    store.forget_number(&number(1)).await.unwrap();
    assert_eq!(store.pool_numbers(Pool::own(gb())).await.unwrap(), taken);
    store.forget_number(&taken[0]).await.unwrap();
    assert_eq!(store.pool_numbers(Pool::own(gb())).await.unwrap(), []);
}

/// Creates a store with ready numbers.
async fn table_with_ready(indices: &[usize]) -> Store {
    let store = table().await;
    for index in indices {
        store.begin_renting(&number(*index), &store.ledger().await.unwrap(), None).await.unwrap();
        store.note_bought(&number(*index)).await.unwrap();
        assert!(store.make_ready(&number(*index)).await.unwrap());
    }
    store
}

/// Returns the ready numbers, and the version of their only part.
async fn ready(store: &Store) -> (HashSet<VirtualNumber>, u64) {
    let pool = store.ready_pool(Owner::Deployment).await.unwrap();
    let states = store.ready_parts(Owner::Deployment).await.unwrap();
    let (name, part) = pool.parts.first_key_value().unwrap();
    let state = PartState { version: part.version, count: part.numbers().count() };
    assert_eq!(states.into_iter().collect::<Vec<_>>(), [(name.clone(), state)]);
    (pool.numbers().map(|ready| ready.number.clone()).collect(), part.version)
}

#[tokio::test]
async fn ready_list_changes_its_version_with_each_change() {
    let store = table_with_ready(&[1, 2]).await;
    let (numbers, version) = ready(&store).await;
    assert_eq!((numbers, version), (HashSet::from([virtual_number(1), virtual_number(2)]), 2));
    let first = store.pool_number(&virtual_number(1)).await.unwrap().unwrap();
    assert!(store.begin_draining(&first, after(5)).await.unwrap());
    assert_eq!(ready(&store).await, (HashSet::from([virtual_number(2)]), 3));
    assert!(!store.begin_draining(&first, after(6)).await.unwrap(), "it drains already");
    let drained = store.pool_number(&virtual_number(1)).await.unwrap().unwrap();
    assert_eq!((drained.state, drained.draining_since), (NumberState::Draining, Some(after(5))));
    assert_eq!(store.pool_number(&virtual_number(9)).await.unwrap(), None);
}

#[tokio::test]
async fn ledger_sums_cost_of_rented_and_pending_numbers() {
    let store = table_with_ready(&[1, 2]).await;
    store.begin_renting(&number(3), &store.ledger().await.unwrap(), None).await.unwrap();
    let cost = async || store.ledger().await.unwrap().monthly_cost.to_string();
    assert_eq!(cost().await, "3.75");
    store.forget_number(&number(3)).await.unwrap();
    assert_eq!(cost().await, "2.50");
    store.forget_number(&number(3)).await.unwrap();
    assert_eq!(cost().await, "2.50", "once");
    let unpriced = PoolNumber { monthly_cost: None, ..number(4) };
    store.begin_renting(&unpriced, &store.ledger().await.unwrap(), None).await.unwrap();
    assert_eq!(cost().await, "2.50");
}

#[tokio::test]
async fn released_number_is_recognized_for_a_day() {
    let store = table_with_ready(&[1]).await;
    assert!(
        store
            .begin_draining(&PoolNumber { state: NumberState::Ready, part: Some(0), ..number(1) }, now())
            .await
            .unwrap()
    );
    let drained = store.pool_number(&virtual_number(1)).await.unwrap().unwrap();
    assert!(store.remove_cancelled(&drained, now()).await.unwrap());
    assert!(!store.remove_cancelled(&drained, now()).await.unwrap());
    assert_eq!(store.pool_numbers(Pool::own(gb())).await.unwrap(), []);
    assert_eq!(store.ledger().await.unwrap().monthly_cost, "0".parse().unwrap());
    let caller = phone(virtual_number(1).as_str());
    for (second, ours) in [(0, true), (86_399, true), (86_400, false)] {
        assert_eq!(store.caller_routes(&caller, after(second)).await.unwrap().is_virtual, ours, "{second}");
        let again = PoolNumber { added_at: after(second), ..number(1) };
        let written = store.begin_renting(&again, &store.ledger().await.unwrap(), None).await;
        assert_eq!(matches!(written, Err(RentError::Known)), ours, "{second} {written:?}");
    }
}

#[tokio::test]
async fn route_scan_finds_last_route_and_can_be_resumed() {
    let store = table().await;
    create(&store, &conversation([1, 2])).await.unwrap();
    let mut later = conversation_at(after(50), [1, 3]);
    later.participants[0].number = phone("447700900003");
    create(&store, &later).await.unwrap();
    let end = LIFETIME + QUARANTINE;
    for (second, first, second_number) in
        [(end - 1, Some(after(50 + end)), Some(after(end))), (end, Some(after(50 + end)), None), (50 + end, None, None)]
    {
        let look = RouteScan::new([1, 2, 4].map(virtual_number).to_vec(), after(second));
        assert_eq!(store.saved_route_scan(ScanPurpose::Draining).await.unwrap(), None);
        store.save_route_scan(ScanPurpose::Draining, &look).await.unwrap();
        let mut look = store.saved_route_scan(ScanPurpose::Draining).await.unwrap().unwrap();
        while !look.is_complete {
            store.continue_route_scan(&mut look).await.unwrap();
        }
        let last = [1, 2, 4].map(|index| look.last_route(&virtual_number(index)));
        assert_eq!(last, [first, second_number, None], "{second}");
        store.save_route_scan(ScanPurpose::Draining, &look).await.unwrap();
        assert_eq!(store.saved_route_scan(ScanPurpose::Draining).await.unwrap(), Some(look));
        store.delete_route_scan(ScanPurpose::Draining).await.unwrap();
    }
}

#[tokio::test]
async fn peak_usage_of_all_runs_is_merged_and_expires() {
    let store = table().await;
    let mark = |routes, seconds| Mark::new(gb(), routes, after(seconds));
    for (routes, seconds, stored) in [(3, 0, 3), (2, 0, 3), (5, -86_400, 5), (1, 10 * 86_400, 1)] {
        assert_eq!(store.raise_peak_usage(mark(routes, seconds)).await.unwrap(), mark(stored, seconds));
    }
    let recent = async |day: i64| {
        let time = after(day * 86_400);
        store.peak_usage(time).await.unwrap().of(gb(), peak_usage::day(time))
    };
    assert_eq!((recent(0).await, recent(7).await, recent(8).await, recent(18).await), (5, 3, 1, 0));
}
