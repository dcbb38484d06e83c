//! Crashes of `POST /numbers`, `DELETE /numbers/{number}` and of the schedule.

use provision_numbers::ProvisionNumbers;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::domain::country::Country;
use testkit::Laptop;

use crate::events;
use crate::scenario::{Functions, Scenario, at_every_request, builder};

/// Monthly rent of a British number that can send text messages, in cents.
const RENT: i64 = 125;

fn rents(count: i64) -> Decimal {
    Decimal::new(RENT * count, 2)
}

/// Checks that `owned` numbers are rented, all of them ready, and that `bought` were ever paid for.
async fn check(laptop: &Laptop, owned: usize, bought: i64) {
    let numbers = laptop.settled_pool().await;
    assert_eq!(numbers.len(), owned, "{numbers:?}");
    assert_eq!(laptop.table().await.monthly_cost, rents(i64::try_from(owned).unwrap()));
    assert_eq!(laptop.spent().await, rents(bought), "money spent on numbers");
}

/// Records that refused creations wait for `wanted` numbers of Great Britain.
async fn record_demand(laptop: &Laptop, wanted: usize) {
    let store = laptop.store();
    store.record_demand(Country::try_from("GB").unwrap(), wanted, laptop.clock.now()).await.unwrap();
}

/// The report of a schedule without any change.
fn nothing() -> Value {
    json!({"application": [], "adopted": [], "missing": [], "cancelled": [], "rented": [], "shortfall": []})
}

#[tokio::test]
async fn order_buys_the_exact_count_in_spite_of_a_crash() {
    at_every_request("POST /numbers", 10, async |mut scenario: Scenario| {
        let laptop = builder().start().await;
        let order = events::order(&json!({"country": "GB", "count": 2}));
        scenario.run(&laptop, async |functions| drop(functions.answer::<ProvisionNumbers>(&order).await)).await;
        let answer = Functions::of(&laptop).answer::<ProvisionNumbers>(&order).await;
        assert_eq!((answer.status, &answer.body["ready"]), (200, &json!(2)), "{answer:?}");
        check(&laptop, 2, 2).await;
        scenario
    })
    .await;
}

#[tokio::test]
async fn demand_run_rents_the_exact_count_in_spite_of_a_crash() {
    at_every_request("the run for a demand", 10, async |mut scenario: Scenario| {
        let laptop = Laptop::builder().env(&[("AUTO_RENT_MAX", "GB=3")]).start().await;
        record_demand(&laptop, 2).await;
        scenario.run(&laptop, async |functions| drop(functions.fulfil_demand("GB").await)).await;
        Functions::of(&laptop).fulfil_demand("GB").await;
        check(&laptop, 2, 2).await;
        assert_eq!(laptop.table().await.demands, []);
        assert_eq!(Functions::of(&laptop).fulfil_demand("GB").await, json!([]));
        scenario
    })
    .await;
}

#[tokio::test]
async fn schedule_fulfils_demand_in_spite_of_a_crash() {
    at_every_request("the schedule, with a demand", 10, async |mut scenario: Scenario| {
        let laptop = Laptop::builder().env(&[("AUTO_RENT_MAX", "GB=3")]).start().await;
        record_demand(&laptop, 2).await;
        scenario.run(&laptop, async |functions| drop(functions.tick().await)).await;
        Functions::of(&laptop).tick().await;
        check(&laptop, 2, 2).await;
        assert_eq!(Functions::of(&laptop).tick().await, nothing());
        scenario
    })
    .await;
}

#[tokio::test]
async fn schedule_rents_the_headroom_in_spite_of_a_crash() {
    at_every_request("the schedule, with headroom", 10, async |mut scenario: Scenario| {
        let laptop = builder().env(&[("HEADROOM", "GB=2")]).start().await;
        scenario.run(&laptop, async |functions| drop(functions.tick().await)).await;
        Functions::of(&laptop).tick().await;
        check(&laptop, 2, 2).await;
        assert_eq!(Functions::of(&laptop).tick().await, nothing());
        scenario
    })
    .await;
}

#[tokio::test]
async fn schedule_adopts_a_number_once_in_spite_of_a_crash() {
    at_every_request("the schedule, adopting", 8, async |mut scenario: Scenario| {
        let laptop = builder().start().await;
        laptop.buy_by_hand("GB", "447451000007").await;
        scenario.run(&laptop, async |functions| drop(functions.tick().await)).await;
        Functions::of(&laptop).tick().await;
        check(&laptop, 1, 1).await;
        assert_eq!(Functions::of(&laptop).tick().await, nothing());
        scenario
    })
    .await;
}

#[tokio::test]
async fn drain_is_completed_after_a_crash() {
    at_every_request("DELETE /numbers/{number}", 3, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let drain = events::drain("447451000001");
        scenario.run(&laptop, async |functions| drop(functions.answer::<ProvisionNumbers>(&drain).await)).await;
        let answer = Functions::of(&laptop).answer::<ProvisionNumbers>(&drain).await;
        assert_eq!((answer.status, &answer.body["state"]), (200, &json!("draining")), "{answer:?}");
        laptop.advance(61);
        Functions::of(&laptop).tick().await;
        check(&laptop, 1, 2).await;
        scenario
    })
    .await;
}

#[tokio::test]
async fn schedule_cancels_a_drained_number_once_after_a_crash() {
    at_every_request("the schedule, giving back", 10, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        Functions::of(&laptop).answer::<ProvisionNumbers>(&events::drain("447451000001")).await;
        laptop.advance(61);
        scenario.run(&laptop, async |functions| drop(functions.tick().await)).await;
        Functions::of(&laptop).tick().await;
        check(&laptop, 1, 2).await;
        assert_eq!(laptop.settled_pool().await.into_iter().collect::<Vec<_>>(), ["447451000002"]);
        assert_eq!(Functions::of(&laptop).tick().await, nothing());
        check(&laptop, 1, 2).await;
        scenario
    })
    .await;
}
