//! Draining numbers that are taken back, by a request or by an order.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Laptop, text};

const NUMBER: &str = "447451000001";

async fn laptop(count: usize) -> Laptop {
    let laptop = Laptop::builder().numbers("GB", count).start().await;
    assert_eq!(laptop.delete(&format!("/numbers/{NUMBER}")).await.body["state"], "draining");
    laptop
}

async fn take_back(laptop: &Laptop) -> (u16, Value) {
    let answer = laptop.patch(&format!("/numbers/{NUMBER}"), &json!({"state": "ready"})).await;
    (answer.status, answer.body)
}

#[tokio::test]
async fn draining_number_is_ready_again_on_request() {
    let laptop = laptop(1).await;
    let spent = laptop.spent().await;
    for _ in 0..2 {
        let (status, body) = take_back(&laptop).await;
        assert_eq!((status, &body["state"], body.get("draining_since")), (200, &json!("ready"), None), "{body}");
    }
    assert_eq!(laptop.spent().await, spent);
    assert_eq!(laptop.post("/conversations", &testkit::conversation()).await.status, 201);
    laptop.advance(7200);
    assert_eq!(laptop.run_schedule().await["cancelled"], json!([]));
    assert_eq!(laptop.settled_pool().await.len(), 1);
}

#[tokio::test]
async fn order_takes_draining_numbers_back_before_it_rents() {
    let laptop = laptop(2).await;
    let spent = laptop.spent().await;
    let order = laptop.post("/numbers", &json!({"country": "GB", "count": 2})).await.body;
    assert_eq!((&order["ready"], text(&order, "/added/0/number")), (&json!(2), NUMBER), "{order}");
    assert_eq!(laptop.spent().await, spent);
    let order = laptop.post("/numbers", &json!({"country": "GB", "count": 3})).await.body;
    assert_eq!((&order["ready"], order["added"].as_array().unwrap().len()), (&json!(3), 1), "{order}");
    assert_eq!(laptop.settled_pool().await.len(), 3);
}

#[tokio::test]
async fn order_for_other_numbers_takes_nothing_back() {
    let laptop = laptop(1).await;
    let order = json!({"country": "GB", "count": 1, "pattern": "1000009"});
    laptop.post("/numbers", &order).await;
    assert_eq!(laptop.get(&format!("/numbers/{NUMBER}")).await.body["state"], "draining");
}

#[tokio::test]
async fn only_draining_numbers_are_taken_back() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let unknown = laptop.patch("/numbers/447451000099", &json!({"state": "ready"})).await;
    assert_eq!(unknown.status, 404, "{unknown:?}");
    let other = laptop.patch(&format!("/numbers/{NUMBER}"), &json!({"state": "draining"})).await;
    assert_eq!((other.status, text(&other.body, "/field")), (422, "state"));
    assert_eq!(laptop.post(&format!("/numbers/{NUMBER}/rotate"), &json!({})).await.status, 200);
    let (status, body) = take_back(&laptop).await;
    assert_eq!((status, text(&body, "/type")), (409, "urn:maskline:problem:number-not-ready"));
}

#[tokio::test]
async fn number_that_the_carrier_has_already_is_not_taken_back() {
    let laptop = laptop(1).await;
    laptop.vonage_form("/number/cancel", &[("country", "GB"), ("msisdn", NUMBER)]).await;
    assert_eq!(take_back(&laptop).await.0, 404);
    // The lease of the request is over, and the schedule removes the number.
    laptop.advance(3600);
    laptop.run_schedule().await;
    assert_eq!(laptop.table().await.pool, []);
}

#[tokio::test]
async fn failed_carrier_leaves_the_number_draining() {
    let laptop = laptop(1).await;
    laptop.advance(1);
    laptop.faults("/account/numbers", 6, json!({"kind": "status", "status": 500})).await;
    let (status, body) = take_back(&laptop).await;
    assert_eq!((status, text(&body, "/type")), (503, "urn:maskline:problem:carrier-failed"));
    laptop.no_more_faults().await;
    let busy = laptop.send(Method::PATCH, &format!("/numbers/{NUMBER}"), r#"{"state": "ready"}"#).await;
    assert_eq!((busy.status, busy.retry_after()), (409, Some("60")), "{busy:?}");
    laptop.advance(61);
    assert_eq!(take_back(&laptop).await.0, 200);
}
