//! Orders that take several runs, their progress in `GET /numbers`, and the pages of its numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::config::VonageConfig;
use shared::domain::country::Country;
use shared::domain::tenant::{Owner, Pool};
use shared::service::provision::{Order, Provisioned, Provisioner, ShortfallReason};
use shared::vonage::Vonage;
use shared::vonage::numbers::Search;
use testkit::{Laptop, text};

/// Seconds from one look at the clock to the next.
const TICK: i64 = 3;

/// A clock that goes on a little each time somebody looks at it, so that work takes time.
#[derive(Debug)]
struct BusyClock {
    start: Timestamp,
    looks: AtomicI64,
}

impl Clock for BusyClock {
    fn now(&self) -> Timestamp {
        self.start + SignedDuration::from_secs(TICK * self.looks.fetch_add(1, Ordering::Relaxed))
    }
}

fn gb() -> Country {
    Country::try_from("GB").unwrap()
}

fn order_of(count: usize) -> Order {
    Order { owner: Owner::Deployment, search: Search::usual(gb()), count, cap: None }
}

/// Returns the service on the table of `laptop`, with a clock that goes on.
fn busy_provisioner(laptop: &Laptop) -> Provisioner {
    let env = &laptop.stack.environment;
    let vonage = Vonage::new(VonageConfig::from_environment(env).unwrap());
    let clock = BusyClock { start: laptop.clock.now(), looks: AtomicI64::new(0) };
    Provisioner::new(env, laptop.store(), vonage, Arc::new(clock)).unwrap()
}

/// Orders in a request that ends after `seconds` of the clock.
async fn order_for(provisioner: &Provisioner, count: usize, seconds: i64) -> Provisioned {
    let deadline = provisioner.clock.now() + SignedDuration::from_secs(seconds);
    provisioner.order(&order_of(count), Some(deadline)).await.unwrap()
}

async fn post(laptop: &Laptop, count: usize) -> Value {
    let answer = laptop.post("/numbers", &json!({"country": "GB", "count": count})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

async fn country(laptop: &Laptop) -> Value {
    laptop.get("/numbers?country=GB").await.body["countries"][0].clone()
}

#[tokio::test]
async fn order_is_carried_out_over_many_runs() {
    let laptop = Laptop::start().await;
    let provisioner = busy_provisioner(&laptop);
    let begun = order_for(&provisioner, 40, 60).await;
    assert!((1..40).contains(&begun.ready), "the request has no time for all: {begun:?}");
    assert_eq!(begun.shortfalls.last().unwrap().reason, ShortfallReason::OutOfTime);
    let shown = country(&laptop).await["order"].clone();
    assert_eq!(
        (&shown["ordered"], &shown["ready"], &shown["in_progress"]),
        (&json!(40), &json!(begun.ready), &json!(0))
    );
    assert!(shown["estimated_end"].is_string() && shown["reason"].is_null(), "{shown}");
    let (mut ready, mut runs) = (begun.ready, 0);
    while ready < 40 {
        runs += 1;
        let deadline = provisioner.clock.now() + SignedDuration::from_secs(60);
        let done = provisioner.carry_out_orders(Some(deadline)).await.unwrap();
        assert!(provisioner.clock.now() <= deadline, "a run ends in time");
        assert!(done[0].1.ready > ready, "each run adds numbers: {done:?}");
        ready = done[0].1.ready;
    }
    assert!(runs > 2, "{runs}");
    assert_eq!((laptop.asked("/number/buy").await, laptop.settled_pool().await.len()), (40, 40));
    assert_eq!((country(&laptop).await["order"].clone(), laptop.table().await.orders), (Value::Null, vec![]));
    assert_eq!(provisioner.carry_out_orders(None).await.unwrap().len(), 0);
}

#[tokio::test]
async fn estimate_follows_the_measured_pace() {
    let laptop = Laptop::start().await;
    let provisioner = busy_provisioner(&laptop);
    let open = order_for(&provisioner, 200, 60).await.open.unwrap();
    let (pace, now) = (open.pace_ms.unwrap(), provisioner.clock.now());
    assert!(pace >= 1000 * TICK.unsigned_abs(), "{pace}");
    let left = open.estimated_end(100, std::time::Duration::ZERO, now).unwrap().duration_since(now);
    assert_eq!(left.as_millis(), i128::from(100 * pace));
}

#[tokio::test]
async fn smaller_order_ends_the_buying() {
    let laptop = Laptop::start().await;
    let begun = order_for(&busy_provisioner(&laptop), 40, 60).await.ready;
    let smaller = post(&laptop, 1).await;
    assert_eq!((&smaller["ready"], &smaller["added"], &smaller["order"]), (&json!(begun), &json!([]), &Value::Null));
    assert_eq!(laptop.run_orders().await, json!([]));
    assert_eq!(laptop.asked("/number/buy").await, begun);
}

#[tokio::test]
async fn larger_order_takes_the_place_of_a_smaller_one() {
    let laptop = Laptop::start().await;
    let provisioner = busy_provisioner(&laptop);
    order_for(&provisioner, 20, 60).await;
    let open = order_for(&provisioner, 30, 60).await.open.unwrap();
    assert_eq!((open.ordered.count, laptop.table().await.orders.len()), (30, 1));
    laptop.run_orders().await;
    assert_eq!((laptop.asked("/number/buy").await, laptop.settled_pool().await.len()), (30, 30));
}

#[tokio::test]
async fn run_of_a_replaced_order_buys_no_more() {
    let laptop = Laptop::start().await;
    let store = laptop.store();
    let now = laptop.clock.now();
    let replaced = store.place_order(&order_of(9).ordered(), now).await.unwrap();
    let last = store.place_order(&order_of(2).ordered(), now).await.unwrap();
    // The run of the first order has read it, and has not begun to buy.
    let number =
        busy_provisioner(&laptop).numbers.search(&Search::usual(gb()), None, 1).await.unwrap().offers.remove(0);
    let number = shared::domain::pool::PoolNumber {
        number: number.msisdn,
        country: gb(),
        owner: Owner::Deployment,
        number_type: number.number_type,
        features: number.features,
        monthly_cost: Some(number.cost),
        state: shared::domain::pool::NumberState::Renting,
        added_at: now,
        leased_until: now,
        draining_since: None,
        rotating_since: None,
        missing_since: None,
        part: None,
        set_aside: false,
        moves_to: None,
        loss: shared::domain::pool::LossNotes::default(),
    };
    let ledger = store.ledger().await.unwrap();
    let refused = store.begin_renting(&number, &ledger, Some(&replaced)).await;
    assert!(matches!(refused, Err(shared::store::RentError::Replaced)), "{refused:?}");
    store.complete_order(&replaced).await.unwrap();
    assert_eq!(
        store.order(Pool::own(gb())).await.unwrap().unwrap().id,
        last.id,
        "an old run does not end the new order"
    );
    assert_eq!(laptop.run_orders().await[0]["ready"], 2);
    assert_eq!(laptop.asked("/number/buy").await, 2);
}

#[tokio::test]
async fn concurrent_runs_of_one_order_buy_the_ordered_count() {
    let laptop = Laptop::start().await;
    laptop.store().place_order(&order_of(12).ordered(), laptop.clock.now()).await.unwrap();
    let (run, request) = (|| laptop.run_orders(), post(&laptop, 12));
    tokio::join!(run(), run(), request, run());
    assert_eq!((laptop.asked("/number/buy").await, laptop.settled_pool().await.len()), (12, 12));
    laptop.run_orders().await;
    assert_eq!(laptop.table().await.orders, []);
}

#[tokio::test]
async fn order_without_money_waits_longer_each_time() {
    let laptop = Laptop::start().await;
    laptop.vonage(Method::PUT, "/simulator/account", json!({"balance": "1.30"})).await;
    let order = post(&laptop, 3).await;
    assert_eq!((&order["ready"], text(&order, "/shortfall/0/reason")), (&json!(1), "low_balance"));
    assert_eq!((text(&order, "/order/reason"), &order["order"]["estimated_end"]), ("low_balance", &Value::Null));
    for (wait, tries) in [(299, false), (1, true), (599, false), (1, true), (60, false)] {
        laptop.advance(wait);
        let before = laptop.asked("/number/search").await;
        let report = laptop.run_orders().await;
        assert_eq!(laptop.asked("/number/search").await > before, tries, "{wait} {report}");
        assert_eq!(report.as_array().unwrap().len(), usize::from(tries));
    }
    laptop.vonage(Method::PUT, "/simulator/account", json!({"balance": "9"})).await;
    // Who asks again does not wait.
    let again = post(&laptop, 3).await;
    assert_eq!((&again["ready"], &again["order"]), (&json!(3), &Value::Null));
    assert_eq!(laptop.settled_pool().await.len(), 3);
}

#[tokio::test]
async fn new_order_that_vonage_fails_leaves_nothing_behind() {
    let laptop = Laptop::start().await;
    laptop.faults("/number/search", 3, json!({"kind": "status", "status": 500})).await;
    let failed = laptop.post("/numbers", &json!({"country": "GB", "count": 2})).await;
    assert_eq!(failed.status, 503, "{failed:?}");
    assert_eq!((laptop.run_orders().await, laptop.table().await.orders), (json!([]), vec![]));
    // An order that was accepted before stays, and is tried again.
    laptop.store().place_order(&order_of(2).ordered(), laptop.clock.now()).await.unwrap();
    laptop.faults("/number/search", 3, json!({"kind": "status", "status": 500})).await;
    assert_eq!(laptop.post("/numbers", &json!({"country": "GB", "count": 2})).await.status, 503);
    assert_eq!(text(&country(&laptop).await, "/order/reason"), "carrier_unavailable");
    laptop.advance(300);
    assert_eq!(laptop.run_orders().await[0]["ready"], 2);
}

#[tokio::test]
async fn orders_of_other_countries_do_not_wait_for_one() {
    let laptop = Laptop::start().await;
    for (country, count) in [("DE", 5), ("GB", 2), ("IE", 9)] {
        let ordered = Order {
            owner: Owner::Deployment,
            search: Search::usual(Country::try_from(country).unwrap()),
            count,
            cap: None,
        }
        .ordered();
        laptop.store().place_order(&ordered, laptop.clock.now()).await.unwrap();
    }
    let report = laptop.run_orders().await;
    let outcomes: Vec<_> = report
        .as_array()
        .unwrap()
        .iter()
        .map(|order| (order["ready"].as_u64(), order["shortfall"][0]["reason"].as_str()))
        .collect();
    assert_eq!(outcomes, [(Some(0), Some("address_required")), (Some(2), None), (Some(3), Some("none_left"))]);
    let left: Vec<_> = laptop.table().await.orders.iter().map(|open| open.ordered.country.to_string()).collect();
    assert_eq!(left, ["DE", "IE"]);
}

#[tokio::test]
async fn order_buys_few_numbers_that_cannot_be_linked() {
    let laptop =
        Laptop::builder().env(&[("VONAGE_APPLICATION_ID", "99999999-0000-4000-8000-000000000009")]).start().await;
    post(&laptop, 50).await;
    for _ in 0..6 {
        laptop.advance(86_400);
        laptop.run_orders().await;
    }
    assert_eq!(laptop.asked("/number/buy").await, 3);
    assert_eq!(text(&country(&laptop).await, "/order/reason"), "refused");
}

#[tokio::test]
async fn order_of_a_restored_table_buys_nothing_twice() {
    let laptop = Laptop::start().await;
    // The table has forgotten five numbers that were bought for the order since the backup.
    let bought = json!({"country": "SE", "first": "46766000001", "count": 5, "cost": "1.25", "rented": true});
    let on_sale = json!({"country": "SE", "first": "46766000101", "count": 9, "cost": "1.25"});
    for numbers in [bought, on_sale] {
        assert_eq!(laptop.vonage(Method::POST, "/simulator/numbers", numbers).await.status, 204);
    }
    let ordered = Order {
        owner: Owner::Deployment,
        search: Search::usual(Country::try_from("SE").unwrap()),
        count: 6,
        cap: None,
    }
    .ordered();
    laptop.store().place_order(&ordered, laptop.clock.now()).await.unwrap();
    let report = laptop.run_orders().await;
    assert_eq!((&report[0]["ready"], text(&report, "/0/order/reason")), (&json!(1), "not_adopted"));
    assert_eq!(laptop.run_schedule().await["adopted"].as_array().unwrap().len(), 5);
    laptop.advance(300);
    let report = laptop.run_orders().await;
    assert_eq!((&report[0]["ready"], &report[0]["order"]), (&json!(6), &Value::Null));
    assert_eq!(laptop.asked("/number/buy").await, 1);
}

#[tokio::test]
async fn large_order_needs_a_budget_and_stays_within_it() {
    let laptop = Laptop::start().await;
    let refused = laptop.post("/numbers", &json!({"country": "GB", "count": 1001})).await;
    assert_eq!((refused.status, text(&refused.body, "/field")), (422, "count"));
    assert!(text(&refused.body, "/detail").contains("MONTHLY_BUDGET_EUR"));
    let laptop = Laptop::builder().env(&[("MONTHLY_BUDGET_EUR", "5.10")]).start().await;
    let order = post(&laptop, 100_000).await;
    assert_eq!((&order["ready"], text(&order, "/order/reason")), (&json!(4), "over_budget"));
    let refused = laptop.post("/numbers", &json!({"country": "GB", "count": 100_001})).await;
    assert_eq!((refused.status, text(&refused.body, "/field")), (422, "count"));
}

#[tokio::test]
async fn numbers_come_in_pages_over_all_countries() {
    let laptop = Laptop::builder().numbers("GB", 5).numbers("JE", 1).numbers("US", 3).start().await;
    let numbers = |pool: &Value| -> Vec<String> {
        let countries = pool["countries"].as_array().unwrap().iter();
        let of_country = |country: &Value| country["numbers"].as_array().unwrap().clone();
        countries.flat_map(of_country).map(|number| text(&number, "/number").to_owned()).collect()
    };
    let whole = laptop.get("/numbers").await.body;
    assert_eq!((numbers(&whole).len(), &whole["next"]), (9, &Value::Null));
    for limit in 1..=9 {
        let (mut seen, mut query) = (Vec::new(), String::new());
        loop {
            let page = laptop.get(&format!("/numbers?limit={limit}{query}")).await.body;
            assert!(numbers(&page).len() <= limit, "{page}");
            seen.extend(numbers(&page));
            assert_eq!(page["countries"][0]["ready"], 5, "each page has the counts of all numbers");
            let Some(next) = page["next"].as_str() else { break };
            query = format!("&after={next}");
        }
        assert_eq!(seen, numbers(&whole), "{limit}");
    }
    let us = laptop.get("/numbers?country=US&limit=2").await.body;
    assert_eq!((us["countries"].as_array().unwrap().len(), numbers(&us).len()), (1, 2));
    let rest = laptop.get(&format!("/numbers?country=US&after={}", text(&us, "/next"))).await.body;
    assert_eq!((numbers(&rest), &rest["next"]), (vec!["12015550102".to_owned()], &Value::Null));
    assert_eq!(laptop.get("/numbers?country=FR").await.body["countries"], json!([]));
    laptop.delete("/numbers/447451000002").await;
    laptop.delete("/numbers/12015550101").await;
    let draining = laptop.get("/numbers?state=draining&limit=1").await.body;
    assert_eq!(numbers(&draining), ["447451000002"]);
    let rest = laptop.get(&format!("/numbers?state=draining&after={}", text(&draining, "/next"))).await.body;
    assert_eq!((numbers(&rest), &rest["next"]), (vec!["12015550101".to_owned()], &Value::Null));
    assert_eq!(numbers(&laptop.get("/numbers?state=lost").await.body), [""; 0]);
    for (query, field) in [
        ("state=ready", "state"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("after=GB-", ""),
        ("after=447451000001", "after"),
        ("after=GB-x", "after"),
        ("country=UK", "country"),
    ] {
        let answer = laptop.get(&format!("/numbers?{query}")).await;
        assert_eq!(answer.body["field"].as_str().unwrap_or_default(), field, "{query} {answer:?}");
    }
}

/// Puts numbers of an area on sale.
async fn on_sale(laptop: &Laptop, first: &str, count: u64) {
    let numbers = json!({"country": "GB", "first": first, "count": count, "cost": "1.25"});
    assert_eq!(laptop.vonage(Method::POST, "/simulator/numbers", numbers).await.status, 204);
}

fn added(answer: &Value) -> Vec<&str> {
    answer["added"].as_array().unwrap().iter().map(|number| text(number, "/number")).collect()
}

#[tokio::test]
async fn demanded_area_is_kept_by_the_runs_of_the_order() {
    let laptop = Laptop::start().await;
    on_sale(&laptop, "442070000001", 2).await;
    let body = json!({"country": "GB", "count": 3, "area_codes": ["0207"]});
    let begun = laptop.post("/numbers", &body).await.body;
    assert_eq!(added(&begun), ["442070000001", "442070000002"]);
    assert_eq!(text(&begun, "/shortfall/0/reason"), "none_left");
    let open = country(&laptop).await["order"].clone();
    assert_eq!((&open["area_codes"], &open["required"]), (&json!(["207"]), &json!(true)), "{open}");
    // The same order again, and the schedule: there are 250 numbers of other areas.
    for _ in 0..2 {
        assert_eq!(added(&laptop.post("/numbers", &body).await.body), [""; 0]);
        laptop.advance(86_400);
        assert_eq!(laptop.run_orders().await[0]["added"], json!([]));
    }
    assert_eq!(laptop.asked("/number/buy").await, 2);
    on_sale(&laptop, "442070000101", 2).await;
    laptop.advance(86_400);
    assert_eq!(added(&laptop.run_orders().await[0]), ["442070000101"]);
    assert_eq!(country(&laptop).await["order"], Value::Null);
    assert_eq!(laptop.asked("/number/buy").await, 3);
}

#[tokio::test]
async fn preferred_areas_come_first_and_any_number_after_them() {
    let laptop = Laptop::start().await;
    on_sale(&laptop, "441610000001", 1).await;
    on_sale(&laptop, "442070000001", 2).await;
    let areas = json!({"country": "GB", "count": 5, "area_codes": ["207", "161"], "required": false});
    let done = laptop.post("/numbers", &areas).await.body;
    let expected = ["442070000001", "442070000002", "441610000001", "447451000001", "447451000002"];
    assert_eq!((added(&done), &done["shortfall"]), (expected.to_vec(), &json!([])));
    let pattern = json!({"country": "GB", "count": 7, "pattern": "1000250", "required": false});
    assert_eq!(added(&laptop.post("/numbers", &pattern).await.body), ["447451000250", "447451000003"]);
    assert_eq!(laptop.asked("/number/buy").await, 7);
}

#[tokio::test]
async fn carrier_that_ignores_the_area_sells_no_other() {
    let laptop = Laptop::start().await;
    let other = json!({"country": "GB", "msisdn": "447451000007", "type": "mobile-lvn", "cost": "1.25",
                       "features": ["VOICE", "SMS"]});
    let body = json!({"count": 1, "numbers": [other]});
    laptop.faults("/number/search", 3, json!({"kind": "status", "status": 200, "body": body})).await;
    let done = laptop.post("/numbers", &json!({"country": "GB", "count": 1, "area_codes": ["20"]})).await.body;
    assert_eq!((added(&done), text(&done, "/shortfall/0/reason")), (vec![], "none_left"));
    assert_eq!(laptop.asked("/number/buy").await, 0);
}
