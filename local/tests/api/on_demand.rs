//! Numbers that are rented because a conversation found none free.

use std::collections::HashSet;

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::domain::country::Country;
use shared::store::{DEMAND_LIFETIME, Demand, REQUEST_AGAIN_AFTER, RecordedDemand};
use testkit::{Answer, Laptop, text};

fn order(a: usize, b: usize) -> Value {
    let number = |index: usize| json!({"number": format!("+4477009001{index:02}")});
    json!({"participants": [number(a), number(b)], "notify": false})
}

async fn pair(laptop: &Laptop, a: usize, b: usize) -> Answer {
    laptop.post("/conversations", &order(a, b)).await
}

/// Sends a request, and the same one again when the number that it lacked is rented.
async fn pair_when_rented(laptop: &Laptop, a: usize, b: usize) -> Answer {
    let refused = pair(laptop, a, b).await;
    assert!(is_promise(&refused), "{refused:?}");
    laptop.stack.background_runs_finished().await;
    pair(laptop, a, b).await
}

/// True if a refusal says that a number is being rented.
fn is_promise(refused: &Answer) -> bool {
    let kind = (refused.status, text(&refused.body, "/type"), refused.retry_after());
    kind == (503, "urn:maskline:problem:no-number-free", Some("5")) && refused.body.get("renting_failed").is_none()
}

async fn owned(laptop: &Laptop) -> usize {
    laptop.owned_numbers().await.len()
}

fn gb() -> Country {
    Country::try_from("GB").unwrap()
}

async fn demand(laptop: &Laptop) -> Option<Demand> {
    laptop.store().demand(gb(), laptop.clock.now()).await.unwrap()
}

/// Records a demand whose invocation is lost.
async fn lost_demand(laptop: &Laptop, wanted: usize) {
    let recorded = laptop.store().record_demand(gb(), wanted, laptop.clock.now()).await.unwrap();
    assert_eq!(recorded, RecordedDemand::New);
}

/// Runs the function that rents, as an invocation does, and returns its report.
async fn invoke(laptop: &Laptop) -> Value {
    laptop.stack.run_invocation(&shared::service::demand::event(gb())).await.unwrap()
}

#[tokio::test]
async fn create_succeeds_on_retry_after_a_number_is_rented() {
    let laptop = Laptop::builder().env(&[("AUTO_RENT_MAX", "GB=3")]).start().await;
    let first = pair_when_rented(&laptop, 1, 2).await;
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!(pair(&laptop, 3, 4).await.status, 201);
    assert_eq!(owned(&laptop).await, 1, "one number serves everybody who has none");
    assert_eq!(pair_when_rented(&laptop, 1, 3).await.status, 201);
    assert_eq!((owned(&laptop).await, demand(&laptop).await), (2, None));
    let call = laptop.call(json!({"from": "447700900101", "to": first.body["participants"][0]["dials"]})).await;
    assert_eq!(call["phones"]["callee"]["number"], "447700900102", "it is linked");
}

#[tokio::test]
async fn create_refuses_at_cap_and_rents_no_more() {
    let env = [("AUTO_RENT_MAX", "GB=2,US=1"), ("CALLABLE_COUNTRIES", "*")];
    let laptop = Laptop::builder().env(&env).start().await;
    for other in [2, 3] {
        assert_eq!(pair_when_rented(&laptop, 1, other).await.status, 201);
    }
    let refused = pair(&laptop, 1, 4).await;
    assert_eq!((refused.status, text(&refused.body, "/type")), (409, "urn:maskline:problem:no-number-free"));
    assert_eq!((text(&refused.body, "/renting_failed"), &refused.body["ready"]), ("at_cap", &json!(2)));
    assert_eq!(refused.retry_after(), None);
    laptop.stack.background_runs_finished().await;
    assert_eq!((owned(&laptop).await, demand(&laptop).await), (2, None));
    let french = json!({"participants": [{"number": "+33644630001"}, {"number": "+447700900105"}]});
    let refused = laptop.post("/conversations", &french).await;
    assert_eq!((refused.status, refused.body.get("renting_failed")), (409, None), "France has no allowance");
}

#[tokio::test]
async fn a_draining_number_counts_towards_the_cap() {
    let laptop = Laptop::builder().env(&[("AUTO_RENT_MAX", "GB=1")]).start().await;
    assert_eq!(pair_when_rented(&laptop, 1, 2).await.status, 201);
    laptop.delete("/numbers/447451000001").await;
    let refused = pair_when_rented(&laptop, 3, 4).await;
    assert_eq!((refused.status, text(&refused.body, "/renting_failed")), (409, "at_cap"));
    assert_eq!(owned(&laptop).await, 1);
}

#[tokio::test]
async fn no_purchase_of_any_kind_exceeds_the_budget() {
    let laptop = Laptop::builder().env(&[("AUTO_RENT_MAX", "GB=9,US=9"), ("MONTHLY_BUDGET_EUR", "2.49")]).start().await;
    assert_eq!(pair_when_rented(&laptop, 1, 2).await.status, 201);
    let refused = pair_when_rented(&laptop, 1, 3).await;
    assert_eq!((refused.status, text(&refused.body, "/renting_failed")), (409, "over_budget"), "{refused:?}");
    // A US number costs 0.67: one fits beside the first, and the next does not.
    let order = laptop.post("/numbers", &json!({"country": "US", "count": 2})).await.body;
    assert_eq!((&order["ready"], text(&order, "/shortfall/0/reason")), (&json!(1), "over_budget"));
    let pool = laptop.get("/numbers").await.body;
    assert_eq!((text(&pool, "/monthly_cost"), text(&pool, "/monthly_budget")), ("1.92", "2.49"));
    assert_eq!(owned(&laptop).await, 2);
}

#[tokio::test]
async fn a_failed_try_is_the_answer_for_a_minute() {
    let laptop = Laptop::builder().env(&[("AUTO_RENT_MAX", "GB=1,IE=9")]).start().await;
    laptop.vonage(Method::PUT, "/simulator/account", json!({"balance": "0"})).await;
    let refused = pair_when_rented(&laptop, 1, 2).await;
    assert_eq!((refused.status, text(&refused.body, "/renting_failed")), (409, "low_balance"));
    assert_eq!(refused.retry_after(), None, "nothing falls free by itself");
    assert!(laptop.keys("447700900101").await.is_empty());
    assert_eq!(laptop.get("/numbers").await.body["countries"][0]["numbers"], json!([]));

    let tries = laptop.asked("/number/search").await;
    laptop.vonage(Method::PUT, "/simulator/account", json!({"balance": "10"})).await;
    laptop.advance(REQUEST_AGAIN_AFTER.as_secs() + 1);
    let refused = pair(&laptop, 1, 2).await;
    laptop.stack.background_runs_finished().await;
    assert_eq!(text(&refused.body, "/renting_failed"), "low_balance");
    assert_eq!(laptop.asked("/number/search").await, tries, "nothing was invoked");
    laptop.advance(60);
    assert_eq!(pair_when_rented(&laptop, 1, 2).await.status, 201);
}

#[tokio::test]
async fn many_at_once_rent_what_is_needed() {
    let laptop = Laptop::builder().env(&[("AUTO_RENT_MAX", "GB=9")]).start().await;
    let different = |index: usize| pair(&laptop, 2 * index, 2 * index + 1);
    let all = async || {
        let (a, b, c, d, e) = tokio::join!(different(1), different(2), different(3), different(4), different(5));
        [a, b, c, d, e]
    };
    let refused = all().await;
    laptop.stack.background_runs_finished().await;
    for (index, answer) in refused.into_iter().enumerate() {
        let answer = if answer.status == 503 { different(index + 1).await } else { answer };
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    assert_eq!(owned(&laptop).await, 1, "one serves ten people");
    // The same caller needs one for each conversation.
    let mut dials = HashSet::new();
    let mut others: Vec<usize> = (21..25).collect();
    for _ in 0..5 {
        let mut waiting = Vec::new();
        for other in others {
            let answer = pair(&laptop, 20, other).await;
            if answer.status == 201 {
                dials.insert(answer.body["participants"][0]["dials"].clone());
            } else {
                waiting.push(other);
            }
        }
        laptop.stack.background_runs_finished().await;
        others = waiting;
    }
    assert_eq!((dials.len(), owned(&laptop).await), (4, 4));
}

#[tokio::test]
async fn two_invocations_at_once_rent_one_number() {
    let laptop = Laptop::builder().env(&[("AUTO_RENT_MAX", "GB=9")]).start().await;
    lost_demand(&laptop, 1).await;
    let (one, other) = tokio::join!(invoke(&laptop), invoke(&laptop));
    assert_eq!(owned(&laptop).await, 1, "{one} {other}");
    assert_eq!(invoke(&laptop).await, json!([]), "an invocation that comes again finds no demand");
    assert_eq!((owned(&laptop).await, demand(&laptop).await), (1, None));
}

#[tokio::test]
async fn the_schedule_fulfils_a_demand_whose_invocation_is_lost() {
    let laptop = Laptop::builder().env(&[("AUTO_RENT_MAX", "GB=9")]).start().await;
    lost_demand(&laptop, 2).await;
    let refused = pair(&laptop, 1, 2).await;
    laptop.stack.background_runs_finished().await;
    assert!(is_promise(&refused), "{refused:?}");
    assert_eq!(owned(&laptop).await, 0, "the larger demand has its own invocation");
    laptop.advance(15 * 60);
    let report = laptop.run_schedule().await;
    assert_eq!((report["rented"].as_array().unwrap().len(), &report["shortfall"]), (2, &json!([])), "{report}");
    assert_eq!((pair(&laptop, 1, 2).await.status, demand(&laptop).await), (201, None));
}

#[tokio::test]
async fn a_repeated_request_invokes_again_after_a_lost_invocation() {
    let laptop = Laptop::builder().env(&[("AUTO_RENT_MAX", "GB=9")]).start().await;
    lost_demand(&laptop, 1).await;
    for advance in [0, REQUEST_AGAIN_AFTER.as_secs() - 1] {
        laptop.advance(advance);
        let refused = pair(&laptop, 1, 2).await;
        laptop.stack.background_runs_finished().await;
        assert!(is_promise(&refused), "{refused:?}");
        assert_eq!(owned(&laptop).await, 0);
    }
    laptop.advance(2);
    assert_eq!(pair_when_rented(&laptop, 1, 2).await.status, 201);
}

#[tokio::test]
async fn create_is_refused_as_usual_when_lambda_does_not_answer() {
    let laptop = Laptop::builder()
        .env(&[("AUTO_RENT_MAX", "GB=9"), ("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:1")])
        .start()
        .await;
    let refused = pair(&laptop, 1, 2).await;
    assert!(is_promise(&refused), "{refused:?}");
    assert_eq!(laptop.run_schedule().await["rented"], json!(["447451000001"]));
    assert_eq!(pair(&laptop, 1, 2).await.status, 201);
}

#[tokio::test]
async fn demand_past_its_expiry_rents_nothing() {
    let laptop = Laptop::builder().env(&[("AUTO_RENT_MAX", "GB=9")]).start().await;
    lost_demand(&laptop, 2).await;
    laptop.advance(DEMAND_LIFETIME.as_secs());
    assert_eq!(invoke(&laptop).await, json!([]));
    assert_eq!(laptop.run_schedule().await["rented"], json!([]));
    assert_eq!(owned(&laptop).await, 0);
    assert_eq!(pair_when_rented(&laptop, 1, 2).await.status, 201);
    assert_eq!(owned(&laptop).await, 1, "a smaller demand takes the place of an expired one");
}

#[tokio::test]
async fn demand_satisfied_by_an_order_rents_nothing() {
    let laptop = Laptop::builder().env(&[("AUTO_RENT_MAX", "GB=9")]).start().await;
    lost_demand(&laptop, 1).await;
    laptop.rent("GB", 1).await;
    let report = invoke(&laptop).await;
    assert_eq!((&report[0]["ready"], &report[0]["rented"]), (&json!(1), &json!([])), "{report}");
    assert_eq!((owned(&laptop).await, demand(&laptop).await), (1, None));
}

#[tokio::test]
async fn demand_of_a_country_without_allowance_rents_nothing() {
    let laptop = Laptop::start().await;
    lost_demand(&laptop, 1).await;
    let report = invoke(&laptop).await;
    assert_eq!(text(&report, "/0/shortfall/0/reason"), "at_cap");
    assert_eq!(owned(&laptop).await, 0);
}

#[tokio::test]
async fn demand_is_never_lowered_while_it_counts() {
    let laptop = Laptop::start().await;
    let (store, now) = (laptop.store(), laptop.clock.now());
    let record = async |wanted, now: Timestamp| store.record_demand(gb(), wanted, now).await.unwrap();
    let wanted = async |now: Timestamp| store.demand(gb(), now).await.unwrap().map(|demand| demand.wanted);
    assert_eq!(record(2, now).await, RecordedDemand::New);
    assert!(matches!(record(1, now).await, RecordedDemand::Known(Demand { wanted: 2, .. })));
    assert!(matches!(record(2, now).await, RecordedDemand::Known(_)));
    assert!(matches!(record(1, now + REQUEST_AGAIN_AFTER).await, RecordedDemand::Known(_)));
    assert_eq!(record(3, now).await, RecordedDemand::New);
    assert_eq!(wanted(now).await, Some(3));
    store.satisfy_demand(gb(), 2).await.unwrap();
    assert_eq!(wanted(now).await, Some(3), "two numbers do not satisfy a demand for three");
    assert_eq!(wanted(now + DEMAND_LIFETIME).await, None);
    assert_eq!(record(1, now + DEMAND_LIFETIME).await, RecordedDemand::New);
    store.satisfy_demand(gb(), 1).await.unwrap();
    assert_eq!(wanted(now + DEMAND_LIFETIME).await, None);
}

#[tokio::test]
async fn number_whose_text_is_refused_is_checked_at_once() {
    let laptop = Laptop::builder().numbers("US", 1).start().await;
    let taken = [("country", "US"), ("msisdn", "12015550100")];
    assert_eq!(laptop.vonage_form("/number/cancel", &taken).await.status, 200);
    let people = json!({"participants": [{"number": "+12025550101"}, {"number": "+12025550102"}]});
    let created = laptop.post("/conversations", &people).await;
    assert_eq!((created.status, text(&created.body, "/participants/0/notification")), (201, "failed"), "{created:?}");
    laptop.stack.background_runs_finished().await;
    let pool = laptop.get("/numbers").await.body;
    assert_eq!((&pool["countries"][0]["ready"], &pool["countries"][0]["lost"]), (&json!(0), &json!(1)), "{pool}");
}

#[tokio::test]
async fn number_that_is_ours_stays_ready_after_a_refused_text() {
    let laptop = Laptop::builder().numbers("US", 1).start().await;
    let refused = json!({"message-count": "1", "messages": [{"status": "15", "error-text": "Illegal Sender Address"}]});
    laptop.faults("/sms/json", 2, json!({"kind": "status", "status": 200, "body": refused})).await;
    let people = json!({"participants": [{"number": "+12025550101"}, {"number": "+12025550102"}]});
    assert_eq!(laptop.post("/conversations", &people).await.status, 201);
    laptop.stack.background_runs_finished().await;
    assert_eq!(laptop.get("/numbers").await.body["countries"][0]["ready"], 1);
}
