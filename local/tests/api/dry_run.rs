//! Orders that only tell what they would do.

use serde_json::{Value, json};
use testkit::{Laptop, text};

async fn plan(laptop: &Laptop, order: Value) -> Value {
    let (table, spent) = (laptop.items().await, laptop.spent().await);
    let mut order = order;
    order["dry_run"] = json!(true);
    let answer = laptop.post("/numbers", &order).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!((laptop.items().await, laptop.spent().await), (table, spent), "nothing is written or bought");
    assert_eq!(laptop.asked("/number/buy").await, 0, "nothing is asked for");
    answer.body
}

#[tokio::test]
async fn plan_tells_what_would_be_rented_and_its_cost() {
    let laptop = Laptop::start().await;
    let planned = plan(&laptop, json!({"country": "GB", "count": 3})).await;
    let cost = json!({"from": "3.75", "to": "3.75"});
    assert_eq!((&planned["dry_run"], &planned["rented"]), (&json!(true), &json!(3)), "{planned}");
    assert_eq!((&planned["monthly_cost"], &planned["shortfall"]), (&cost, &json!([])), "{planned}");
}

#[tokio::test]
async fn plan_names_the_budget_that_stops_it() {
    let laptop = Laptop::builder().env(&[("MONTHLY_BUDGET_EUR", "3")]).start().await;
    let planned = plan(&laptop, json!({"country": "GB", "count": 2000})).await;
    assert_eq!((&planned["rented"], text(&planned, "/monthly_cost/to")), (&json!(2), "2.50"), "{planned}");
    assert_eq!(text(&planned, "/shortfall/0/reason"), "over_budget");
}

#[tokio::test]
async fn plan_of_an_impossible_order_says_so() {
    let laptop = Laptop::start().await;
    let planned = plan(&laptop, json!({"country": "MC", "count": 1})).await;
    assert_eq!((&planned["rented"], text(&planned, "/shortfall/0/reason")), (&json!(0), "none_left"), "{planned}");
}

#[tokio::test]
async fn plan_takes_draining_numbers_back_and_the_order_does_it() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    laptop.delete("/numbers/447451000001").await;
    let order = json!({"country": "GB", "count": 3, "dry_run": true});
    let planned = laptop.post("/numbers", &order).await.body;
    assert_eq!((&planned["taken_back"], &planned["rented"]), (&json!(["447451000001"]), &json!(1)), "{planned}");
    assert_eq!(laptop.get("/numbers").await.body["countries"][0]["draining"], 1);
    let done = laptop.post("/numbers", &json!({"country": "GB", "count": 3})).await.body;
    assert_eq!(done["ready"], 3, "{done}");
    assert_eq!(laptop.settled_pool().await.len(), 3);
}

#[tokio::test]
async fn price_of_buying_above_the_budget_buys_nothing() {
    for (price, reason) in [("10.01", Some("over_budget")), ("10.00", None)] {
        let laptop = Laptop::builder().env(&[("MONTHLY_BUDGET_EUR", "10")]).start().await;
        let offer = json!({"country": "GB", "msisdn": "447451000001", "type": "mobile-lvn", "cost": "1.25",
                           "initialPrice": price, "features": ["VOICE", "SMS"]});
        let offers = json!({"kind": "status", "status": 200, "body": {"count": 1, "numbers": [offer]}});
        laptop.faults("/number/search", 2, offers).await;
        let planned = plan(&laptop, json!({"country": "GB", "count": 1})).await;
        assert_eq!(planned.pointer("/shortfall/0/reason").and_then(Value::as_str), reason, "{planned}");
        let ordered = laptop.post("/numbers", &json!({"country": "GB", "count": 1})).await.body;
        assert_eq!(ordered.pointer("/shortfall/0/reason").and_then(Value::as_str), reason, "{ordered}");
        let bought = usize::from(reason.is_none());
        assert_eq!((&ordered["ready"], laptop.asked("/number/buy").await), (&json!(bought), bought), "{ordered}");
    }
}
