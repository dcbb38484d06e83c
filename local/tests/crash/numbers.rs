//! Crashes of `POST /numbers`, `DELETE /numbers/{number}` and of the schedule.

use provision_numbers::ProvisionNumbers;
use reqwest::Method;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::domain::country::Country;
use shared::domain::order::{Ordered, WantedDigits};
use shared::domain::pool::Feature;
use shared::domain::tenant::Owner;
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

/// Goes on with open orders until there are none.
async fn finish_orders(laptop: &Laptop) {
    Functions::of(laptop).carry_out_orders().await;
    assert_eq!(laptop.table().await.orders, []);
}

/// The report of a schedule without any change.
fn nothing() -> Value {
    json!({"application": [], "adopted": [], "lost": [], "found_again": [], "linked_again": [], "cancelled": [], "rented": [], "shortfall": []})
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
async fn order_is_carried_out_by_the_schedule_in_spite_of_a_crash() {
    at_every_request("the schedule of orders", 10, async |mut scenario: Scenario| {
        let laptop = builder().start().await;
        place(&laptop, 2).await;
        scenario.run(&laptop, async |functions| drop(functions.carry_out_orders().await)).await;
        // A run that Vonage has refused waits before the next one.
        laptop.advance(3600);
        finish_orders(&laptop).await;
        check(&laptop, 2, 2).await;
        assert_eq!(Functions::of(&laptop).carry_out_orders().await, json!([]));
        scenario
    })
    .await;
}

#[tokio::test]
async fn order_that_crashed_is_completed_by_the_schedule() {
    at_every_request("POST /numbers, then the schedules", 10, async |mut scenario: Scenario| {
        let laptop = builder().start().await;
        let order = events::order(&json!({"country": "GB", "count": 2}));
        scenario.run(&laptop, async |functions| drop(functions.answer::<ProvisionNumbers>(&order).await)).await;
        laptop.advance(3600);
        let was_open = !laptop.table().await.orders.is_empty();
        finish_orders(&laptop).await;
        Functions::of(&laptop).tick().await;
        // An order that was not stored, or was refused, buys no more than it had bought.
        let pool = laptop.settled_pool().await.len();
        assert!(if was_open { pool == 2 } else { pool <= 2 }, "{pool}");
        check(&laptop, pool, pool.try_into().unwrap()).await;
        scenario
    })
    .await;
}

#[tokio::test]
async fn order_replaced_after_a_crash_buys_no_more_than_the_last_one() {
    for (first, last) in [(3, 1), (1, 3)] {
        at_every_request("POST /numbers, then another order", 10, async |mut scenario: Scenario| {
            let laptop = builder().start().await;
            let order = events::order(&json!({"country": "GB", "count": first}));
            scenario.run(&laptop, async |functions| drop(functions.answer::<ProvisionNumbers>(&order).await)).await;
            let bought = laptop.owned_numbers().await.len();
            place(&laptop, last).await;
            finish_orders(&laptop).await;
            // A number whose purchase was stored is bought, and belongs to the first order.
            let owned = laptop.settled_pool().await.len();
            let most = last.max(bought + 1).min(first.max(last));
            assert!((last..=most).contains(&owned), "{owned} numbers after orders for {first} and {last}");
            check(&laptop, owned, owned.try_into().unwrap()).await;
            scenario
        })
        .await;
    }
}

/// Stores an order for numbers of Great Britain, as a request does that has no time to begin.
async fn place(laptop: &Laptop, count: usize) {
    let ordered = Ordered {
        owner: Owner::Deployment,
        country: Country::try_from("GB").unwrap(),
        count,
        features: vec![Feature::Voice, Feature::Sms],
        number_type: None,
        digits: WantedDigits::default(),
    };
    laptop.store().place_order(&ordered, laptop.clock.now()).await.unwrap();
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

/// A change that makes a number a standing mask.
fn standing(number: &str) -> Value {
    events::number_change(number, &json!({"standing": {"phones": [{"number": "+447700900801"}]}}))
}

#[tokio::test]
async fn standing_mask_is_set_and_ended_in_spite_of_a_crash() {
    at_every_request("PATCH /numbers/{number}", 3, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let (set, end) = (standing("447451000001"), events::number_change("447451000001", &json!({"standing": null})));
        scenario.run(&laptop, async |functions| drop(functions.answer::<ProvisionNumbers>(&set).await)).await;
        // The table is consistent after a crash, too.
        laptop.table().await;
        let answer = Functions::of(&laptop).answer::<ProvisionNumbers>(&set).await;
        assert_eq!((answer.status, &answer.body["state"]), (200, &json!("setting_aside")), "{answer:?}");
        let answer = Functions::of(&laptop).answer::<ProvisionNumbers>(&end).await;
        assert_eq!((answer.status, &answer.body["state"]), (200, &json!("ready")), "{answer:?}");
        check(&laptop, 2, 2).await;
        scenario
    })
    .await;
}

#[tokio::test]
async fn schedule_opens_a_standing_mask_in_spite_of_a_crash() {
    at_every_request("the schedule, opening a standing mask", 10, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        Functions::of(&laptop).answer::<ProvisionNumbers>(&standing("447451000001")).await;
        laptop.advance(61);
        scenario.run(&laptop, async |functions| drop(functions.tick().await)).await;
        laptop.table().await;
        Functions::of(&laptop).tick().await;
        let shown = laptop.get("/numbers/447451000001").await.body;
        assert_eq!((&shown["state"], &shown["standing"]["open"]), (&json!("standing"), &json!(true)), "{shown}");
        assert_eq!(laptop.owned_numbers().await.len(), 2, "none was given back");
        laptop.table().await;
        scenario
    })
    .await;
}

#[tokio::test]
async fn demanded_area_is_kept_in_spite_of_a_crash() {
    at_every_request("POST /numbers for an area", 10, async |mut scenario: Scenario| {
        let laptop = builder().start().await;
        let area = json!({"country": "GB", "first": "442070000001", "count": 4, "cost": "1.25"});
        assert_eq!(laptop.vonage(Method::POST, "/simulator/numbers", area).await.status, 204);
        let order = events::order(&json!({"country": "GB", "count": 2, "area_codes": ["0207"]}));
        scenario.run(&laptop, async |functions| drop(functions.answer::<ProvisionNumbers>(&order).await)).await;
        let answer = Functions::of(&laptop).answer::<ProvisionNumbers>(&order).await;
        assert_eq!((answer.status, &answer.body["ready"]), (200, &json!(2)), "{answer:?}");
        check(&laptop, 2, 2).await;
        let pool = laptop.settled_pool().await;
        assert!(pool.iter().all(|number| number.starts_with("44207")), "{pool:?}");
        scenario
    })
    .await;
}

#[tokio::test]
async fn number_is_taken_back_in_spite_of_a_crash() {
    at_every_request("PATCH /numbers/{number}", 5, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 1).start().await;
        let number = laptop.table().await.pool[0].number.to_string();
        assert_eq!(laptop.delete(&format!("/numbers/{number}")).await.status, 200);
        let event = events::taking_back(&number);
        scenario.run(&laptop, async |functions| drop(functions.answer::<ProvisionNumbers>(&event).await)).await;
        // The lease of the run that died is over.
        laptop.advance(61);
        let again = Functions::of(&laptop).answer::<ProvisionNumbers>(&event).await;
        assert_eq!((again.status, &again.body["state"]), (200, &json!("ready")), "{again:?}");
        check(&laptop, 1, 1).await;
        scenario
    })
    .await;
}

#[tokio::test]
async fn number_moves_to_a_tenant_in_spite_of_a_crash() {
    at_every_request("PATCH /numbers/{number}, with tenant", 6, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 1).start().await;
        let moves = events::number_change("447451000001", &json!({"tenant": "acme"}));
        scenario.run(&laptop, async |functions| drop(functions.answer::<ProvisionNumbers>(&moves).await)).await;
        laptop.table().await;
        let again = Functions::of(&laptop).answer::<ProvisionNumbers>(&moves).await;
        assert_eq!((again.status, &again.body["moves_to"]), (200, &json!("acme")), "{again:?}");
        laptop.advance(61);
        Functions::of(&laptop).tick().await;
        check_moved(&laptop).await;
        scenario
    })
    .await;
}

#[tokio::test]
async fn schedule_moves_a_number_once_in_spite_of_a_crash() {
    at_every_request("the schedule, moving a number", 16, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 1).start().await;
        let moves = events::number_change("447451000001", &json!({"tenant": "acme"}));
        Functions::of(&laptop).answer::<ProvisionNumbers>(&moves).await;
        laptop.advance(61);
        scenario.run(&laptop, async |functions| drop(functions.tick().await)).await;
        laptop.table().await;
        // The lease of the run that died is over.
        laptop.advance(61);
        Functions::of(&laptop).tick().await;
        check_moved(&laptop).await;
        scenario
    })
    .await;
}

/// Checks that acme has the only number, which was bought once.
async fn check_moved(laptop: &Laptop) {
    check(laptop, 1, 1).await;
    let shown = laptop.get("/t/acme/numbers/447451000001").await;
    assert_eq!((shown.status, &shown.body["state"]), (200, &json!("ready")), "{shown:?}");
    assert_eq!(laptop.get("/tenants/acme").await.body["numbers"], 1);
}
