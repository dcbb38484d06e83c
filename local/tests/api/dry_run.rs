//! Orders and creations that only tell what they would do.

use serde_json::{Value, json};
use testkit::{Answer, DRIVER, Laptop, RIDER, conversation, text};

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

/// Plans a creation with these fields, and checks that nothing is written, bought or sent.
async fn plan_creation(laptop: &Laptop, fields: Value) -> Answer {
    let mut order = conversation();
    order["dry_run"] = json!(true);
    order.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let asked = async || laptop.simulator("requests").await["requests"].as_array().unwrap().len();
    let (table, journal, before) = (laptop.items().await, laptop.journal().await, asked().await);
    let answer = laptop.post_with_key("a key that is not remembered", &order).await;
    assert_eq!((laptop.items().await, laptop.journal().await), (table, journal), "nothing is written");
    assert_eq!(asked().await, before, "Vonage is not asked");
    answer
}

#[tokio::test]
async fn planned_creation_names_the_numbers_that_a_creation_gets() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let planned = plan_creation(&laptop, json!({})).await;
    assert_eq!(planned.status, 200, "{planned:?}");
    let created = laptop.create().await;
    for member in ["number", "country", "verified_by", "masked_by", "dials"] {
        for side in ["0", "1"] {
            let at = format!("/participants/{side}/{member}");
            assert_eq!(planned.body.pointer(&at), created.pointer(&at), "{at}");
        }
    }
    assert_eq!(planned.body["expires_at"], created["expires_at"]);
}

#[tokio::test]
async fn planned_creation_holds_no_number_for_a_receiver() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let planned = plan_creation(&laptop, json!({"direction": "a_to_b"})).await;
    assert_eq!((planned.status, &planned.body["participants"][1]["dials"]), (200, &Value::Null), "{planned:?}");
}

#[tokio::test]
async fn planned_creation_buys_no_lookup_and_knows_earlier_ones() {
    let laptop = Laptop::builder().env(&[("NUMBER_LOOKUP", "identity-insights")]).numbers("GB", 2).start().await;
    let judges = |answer: &Answer| [0, 1].map(|side| answer.body["participants"][side]["verified_by"].clone());
    assert_eq!(judges(&plan_creation(&laptop, json!({})).await), [Value::Null, Value::Null]);
    laptop.create().await;
    laptop.rent("GB", 4).await;
    assert_eq!(judges(&plan_creation(&laptop, json!({})).await), ["identity-insights", "identity-insights"]);
}

#[tokio::test]
async fn planned_creation_is_refused_for_the_reasons_of_a_creation() {
    let laptop = Laptop::builder().env(&[("AUTO_RENT_MAX", "GB=5")]).numbers("GB", 1).start().await;
    let people = |a: &str, b: &str| json!({"participants": [{"number": a}, {"number": b}]});
    let kind = |answer: &Answer| (answer.status, text(&answer.body, "/type").rsplit(':').next().unwrap().to_owned());
    let (rider, driver) = (format!("+{RIDER}"), format!("+{DRIVER}"));
    for (participants, status, refusal) in [
        (people(&rider, &rider), 422, "invalid-value"),
        (people(&rider, "+447451000001"), 422, "invalid-value"),
        (people(&rider, "+44 7700 9"), 422, "number-not-callable"),
        (people(&rider, "+44 9012 345678"), 422, "number-not-callable"),
    ] {
        let refused = plan_creation(&laptop, participants).await;
        assert_eq!(kind(&refused), (status, refusal.to_owned()), "{refused:?}");
    }
    assert_eq!(plan_creation(&laptop, people(&rider, &driver)).await.status, 200);
    laptop.create().await;
    // A creation would have a number rented. This one has none rented.
    let refused = plan_creation(&laptop, people(&rider, "+447700900003")).await;
    assert_eq!(kind(&refused), (409, "no-number-free".to_owned()), "{refused:?}");
    assert_eq!(laptop.owned_numbers().await.len(), 1);
}
