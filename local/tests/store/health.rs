//! The health of numbers: its sums for each network, of which there is room for a few.

use shared::domain::call::{Direction, LegFacts, Status};
use shared::domain::health::MOST_NETWORKS;
use shared::domain::judge::{Judge, LookedUp};
use shared::domain::route::Route;
use shared::store::{LegNumbers, Store};

use crate::{conversation, event, gb, now, phone, routes, table, virtual_number};

/// Number that the callees see.
const MASK: usize = 2;

/// Returns the phone of the callee in this network.
fn callee(network: u64) -> String {
    format!("4477009002{network:02}")
}

/// Stores a conversation whose callee is in this network.
async fn create(store: &Store, network: u64) {
    let mut conversation = conversation([1, MASK]);
    conversation.participants[0].number = phone(&format!("4477009001{network:02}"));
    conversation.participants[1].number = phone(&callee(network));
    let carrier = Some(format!("{}", 23_400 + network).parse().unwrap());
    let looked_up = LookedUp { at: now(), by: Judge::IdentityInsights, country: gb(), carrier };
    let routes = routes(&conversation).map(|route| Route { looked_up: Some(looked_up), ..route });
    store.create_conversation(&conversation, &routes, None).await.unwrap();
}

/// Records an answered leg to the callee in this network, twice.
async fn call(store: &Store, network: u64, uuid: &str) {
    let facts = LegFacts { duration: Some(10), ..LegFacts::default() };
    let end = event(uuid, Status::Completed, 5, facts);
    let (phone, virtual_number) = (&phone(&callee(network)), &virtual_number(MASK));
    let numbers = LegNumbers { phone, virtual_number, direction: Direction::Outbound, named: None };
    for _ in 0..2 {
        store.record_leg_event(numbers, &end, now(), now()).await.unwrap();
    }
}

#[tokio::test]
async fn networks_beyond_the_most_count_with_all_calls_only() {
    let store = table().await;
    for network in 0..MOST_NETWORKS + 2 {
        create(&store, network).await;
        call(&store, network, &format!("first-{network}")).await;
    }
    call(&store, 0, "second-0").await;
    call(&store, MOST_NETWORKS, "second-20").await;
    let health = store.health(&virtual_number(MASK), now()).await.unwrap();
    assert_eq!((health.all.calls, health.all.answered), (MOST_NETWORKS + 4, MOST_NETWORKS + 4), "{health:?}");
    let calls: Vec<_> = health.networks.values().map(|calls| (calls.calls, calls.seconds)).collect();
    let expected: Vec<_> = (0..MOST_NETWORKS).map(|network| if network == 0 { (2, 20) } else { (1, 10) }).collect();
    assert_eq!(calls, expected, "{health:?}");
    assert_eq!(health.networks.keys().next().unwrap().to_string(), "GB-23400");
}
