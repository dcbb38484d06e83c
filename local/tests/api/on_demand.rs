//! Numbers that are rented when a conversation finds none free.

use serde_json::{Value, json};
use testkit::{Answer, Laptop, text};

async fn pair(laptop: &Laptop, a: usize, b: usize) -> Answer {
    let number = |index: usize| json!({"number": format!("+4477009001{index:02}")});
    laptop.post("/conversations", &json!({"participants": [number(a), number(b)], "notify": false})).await
}

async fn owned(laptop: &Laptop) -> usize {
    laptop.owned_numbers().await.len()
}

#[tokio::test]
async fn one_number_is_rented_for_two_people_and_only_when_none_is_free() {
    let laptop = Laptop::builder().env(&[("AUTO_RENT_MAX", "GB=3")]).start().await;
    let first = pair(&laptop, 1, 2).await;
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!(pair(&laptop, 3, 4).await.status, 201);
    assert_eq!(owned(&laptop).await, 1);
    assert_eq!(pair(&laptop, 1, 3).await.status, 201);
    assert_eq!(owned(&laptop).await, 2);
    let call = laptop.call(json!({"from": "447700900101", "to": first.body["participants"][0]["dials"]})).await;
    assert_eq!(call["phones"]["callee"]["number"], "447700900102", "it is linked");
}

#[tokio::test]
async fn never_more_are_rented_than_the_deployment_allows() {
    let laptop = Laptop::builder().env(&[("AUTO_RENT_MAX", "GB=2,US=1")]).start().await;
    for other in [2, 3] {
        assert_eq!(pair(&laptop, 1, other).await.status, 201);
    }
    let refused = pair(&laptop, 1, 4).await;
    assert_eq!((refused.status, text(&refused.body, "/type")), (503, "urn:maskline:problem:no-number-free"));
    assert_eq!((owned(&laptop).await, &refused.body["ready"]), (2, &json!(2)));
    let french = json!({"participants": [{"number": "+33644630001"}, {"number": "+447700900105"}]});
    assert_eq!(laptop.post("/conversations", &french).await.status, 503, "France has no allowance");
}

#[tokio::test]
async fn a_number_that_is_being_given_back_counts_until_it_is() {
    let laptop = Laptop::builder().env(&[("AUTO_RENT_MAX", "GB=1")]).start().await;
    assert_eq!(pair(&laptop, 1, 2).await.status, 201);
    laptop.delete("/numbers/447451000001").await;
    let refused = pair(&laptop, 3, 4).await;
    assert_eq!((refused.status, text(&refused.body, "/renting_failed")), (503, "at_cap"));
    assert_eq!(owned(&laptop).await, 1);
}

#[tokio::test]
async fn no_purchase_of_any_kind_exceeds_the_budget() {
    let laptop = Laptop::builder().env(&[("AUTO_RENT_MAX", "GB=9,US=9"), ("MONTHLY_BUDGET_EUR", "2.49")]).start().await;
    assert_eq!(pair(&laptop, 1, 2).await.status, 201);
    let refused = pair(&laptop, 1, 3).await;
    assert_eq!((refused.status, text(&refused.body, "/renting_failed")), (503, "over_budget"), "{refused:?}");
    // A US number costs 0.67: one fits beside the first, and the next does not.
    let order = laptop.post("/numbers", &json!({"country": "US", "count": 2})).await.body;
    assert_eq!((&order["ready"], text(&order, "/shortfall/0/reason")), (&json!(1), "over_budget"));
    let pool = laptop.get("/numbers").await.body;
    assert_eq!((text(&pool, "/monthly_cost"), text(&pool, "/monthly_budget")), ("1.92", "2.49"));
    assert_eq!(owned(&laptop).await, 2);
}

#[tokio::test]
async fn when_vonage_cannot_rent_the_refusal_says_why_and_nothing_is_left() {
    let laptop = Laptop::builder().env(&[("AUTO_RENT_MAX", "GB=1,IE=9")]).start().await;
    laptop.vonage(reqwest::Method::PUT, "/simulator/account", json!({"balance": "0"})).await;
    let refused = pair(&laptop, 1, 2).await;
    assert_eq!((refused.status, text(&refused.body, "/renting_failed")), (503, "low_balance"));
    assert!(laptop.keys("447700900101").await.is_empty());
    assert_eq!(laptop.get("/numbers").await.body["countries"][0]["numbers"], json!([]));
}

#[tokio::test]
async fn many_at_once_rent_what_is_needed_and_not_one_each() {
    let laptop = Laptop::builder().env(&[("AUTO_RENT_MAX", "GB=9")]).start().await;
    let different = |index: usize| pair(&laptop, 2 * index, 2 * index + 1);
    let (a, b, c, d, e) = tokio::join!(different(1), different(2), different(3), different(4), different(5));
    for answer in [a, b, c, d, e] {
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    assert_eq!(owned(&laptop).await, 1, "one serves ten people");
    // The same caller needs one for each conversation.
    let same = |other: usize| pair(&laptop, 20, other);
    let (a, b, c, d) = tokio::join!(same(21), same(22), same(23), same(24));
    let dials: std::collections::HashSet<Value> =
        [a, b, c, d].into_iter().map(|answer| answer.body["participants"][0]["dials"].clone()).collect();
    assert_eq!((dials.len(), owned(&laptop).await), (4, 4));
}
