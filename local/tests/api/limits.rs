//! Limits of the cost of a conversation: the length of its calls, and the phones that they reach.

use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, conversation, text};

async fn refused_number(laptop: &Laptop, number: &str, country: &Value) -> Value {
    let mut order = conversation();
    order["participants"][1] = json!({"number": number, "country": country});
    let answer = laptop.post("/conversations", &order).await;
    assert_eq!((answer.status, answer.content_type()), (422, "application/problem+json"), "{answer:?}");
    answer.body
}

#[tokio::test]
async fn conversation_can_have_shorter_calls_than_deployment() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let mut order = conversation();
    (order["max_call_seconds"], order["ring_seconds"], order["quarantine"]) = (json!(300), json!(20), json!(300));
    let conversation = laptop.post("/conversations", &order).await.body;
    assert_eq!((&conversation["max_call_seconds"], &conversation["ring_seconds"]), (&json!(300), &json!(20)));
    let call =
        laptop.call(json!({"from": RIDER, "to": conversation["participants"][0]["dials"], "talk_seconds": 3600})).await;
    assert_eq!((&call["ncco"][1]["timeout"], &call["ncco"][1]["limit"]), (&json!(20), &json!(275)));
    assert_eq!(call["legs"][1]["duration"], "275", "Vonage ends it");
    let unanswered = json!({"from": DRIVER, "to": conversation["participants"][1]["dials"], "callee": "unanswered"});
    assert_eq!(laptop.call(unanswered).await["legs"][1]["status"], "unanswered");
}

#[tokio::test]
async fn limits_of_deployment_are_default() {
    let laptop = Laptop::builder().env(&[("MAX_CALL_SECONDS", "600")]).numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    assert_eq!((&conversation["max_call_seconds"], &conversation["ring_seconds"]), (&json!(600), &json!(45)));
    for (field, value) in [
        ("max_call_seconds", json!(59)),
        ("max_call_seconds", json!(601)),
        ("max_call_seconds", json!("600")),
        ("ring_seconds", json!(9)),
        ("ring_seconds", json!(121)),
        ("quarantine", json!(599)),
    ] {
        let mut order = testkit::conversation();
        order[field] = value;
        let answer = laptop.post("/conversations", &order).await;
        assert_eq!((answer.status, &answer.body["field"]), (422, &json!(field)), "{order}");
    }
}

#[tokio::test]
async fn premium_number_is_refused_without_lookup() {
    let laptop = Laptop::builder().env(&[("NUMBER_LOOKUP", "number-insight")]).numbers("GB", 2).start().await;
    for (number, country, why) in [
        ("+44 9012 345678", Value::Null, "Premium-rate"),
        ("0901 234 5678", json!("GB"), "Premium-rate"),
        ("+1 900 234 5678", Value::Null, "Premium-rate"),
        ("+49 180 1234567", Value::Null, "Shared-cost"),
        ("+44 70 1234 5678", Value::Null, "Personal"),
        ("+979 1 2345 6789", Value::Null, "International"),
        ("+881 6 1234 5678", Value::Null, "International"),
        ("+49 22833", Value::Null, "Short"),
    ] {
        let problem = refused_number(&laptop, number, &country).await;
        let expected = ("urn:maskline:problem:number-not-callable", "participants[1].number");
        assert_eq!((text(&problem, "/type"), text(&problem, "/field")), expected, "{number}");
        assert!(text(&problem, "/detail").starts_with(why), "{problem}");
    }
    assert_eq!(laptop.asked("/ni/basic/json").await, 0);
}

#[tokio::test]
async fn phone_of_other_country_is_refused() {
    let laptop = Laptop::builder().env(&[("CALLABLE_COUNTRIES", "GB,US")]).numbers("GB", 2).start().await;
    let problem = refused_number(&laptop, "+33 6 44 63 00 01", &Value::Null).await;
    assert_eq!(text(&problem, "/type"), "urn:maskline:problem:number-not-callable");
    let conversation = laptop.create().await;
    let path = format!("/conversations/{}", text(&conversation, "/id"));
    for number in ["+33 6 44 63 00 01", "+44 9012 345678"] {
        let answer = laptop.patch(&path, &json!({"participants": [null, {"number": number}]})).await;
        assert_eq!((answer.status, text(&answer.body, "/field")), (422, "participants[1].number"), "{answer:?}");
        assert_eq!(text(&answer.body, "/type"), "urn:maskline:problem:number-not-callable");
    }
    assert_eq!(laptop.get(&path).await.body["participants"], conversation["participants"]);
}

const NOT_CALLABLE: &str = "urn:maskline:problem:number-not-callable";
const FRENCH: &str = "+33 6 44 63 00 01";

/// Returns status and type of the answer to a conversation with this number.
async fn create_with(laptop: &Laptop, number: &str) -> (u16, String) {
    let mut order = conversation();
    order["participants"][1] = json!({"number": number});
    let answer = laptop.post("/conversations", &order).await;
    (answer.status, answer.body["type"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn phone_of_calling_code_without_numbers_is_refused() {
    let laptop = Laptop::builder().env(&[("NUMBER_LOOKUP", "number-insight")]).numbers("GB", 2).start().await;
    let path = format!("/conversations/{}", text(&laptop.create().await, "/id"));
    let asked = laptop.asked("/ni/basic/json").await;
    let problem = refused_number(&laptop, FRENCH, &Value::Null).await;
    assert_eq!((text(&problem, "/type"), text(&problem, "/field")), (NOT_CALLABLE, "participants[1].number"));
    assert!(text(&problem, "/detail").contains("CALLABLE_COUNTRIES"), "{problem}");
    let answer = laptop.patch(&path, &json!({"participants": [null, {"number": FRENCH}]})).await;
    assert_eq!((answer.status, text(&answer.body, "/type")), (422, NOT_CALLABLE), "{answer:?}");
    assert_eq!(laptop.asked("/ni/basic/json").await, asked, "nothing was paid for");
}

#[tokio::test]
async fn phone_that_shares_a_calling_code_is_callable() {
    let laptop = Laptop::builder().numbers("GB", 2).numbers("US", 2).start().await;
    for neighbour in ["+44 7797 900001", "+1 416 555 0123"] {
        assert_eq!(create_with(&laptop, neighbour).await, (201, String::new()), "{neighbour}");
    }
}

#[tokio::test]
async fn every_country_is_callable_if_configured() {
    let laptop = Laptop::builder().env(&[("CALLABLE_COUNTRIES", "*")]).numbers("GB", 2).start().await;
    assert_eq!(create_with(&laptop, FRENCH).await.0, 409, "the pool has no number of France");
    assert_eq!(refused_number(&laptop, "+1 900 234 5678", &Value::Null).await["type"], NOT_CALLABLE);
}

#[tokio::test]
async fn country_to_be_rented_without_order_is_callable() {
    for (max, expected) in [("FR=1", 503), ("FR=0", 422)] {
        let laptop = Laptop::builder().env(&[("AUTO_RENT_MAX", max)]).numbers("GB", 2).start().await;
        assert_eq!(create_with(&laptop, FRENCH).await.0, expected, "{max}");
    }
}

#[tokio::test]
async fn country_on_order_or_without_ready_number_is_callable() {
    let laptop = Laptop::builder().numbers("GB", 2).numbers("US", 1).start().await;
    // Vonage sells no number of Monaco here, so the order stays open.
    let ordered = laptop.post("/numbers", &json!({"country": "MC", "count": 1})).await;
    assert!(ordered.status < 400, "{ordered:?}");
    assert_eq!(create_with(&laptop, "+377 6 12 34 56 78").await.0, 409);
    assert_eq!(laptop.delete("/numbers/12015550100").await.status, 200, "it drains");
    assert_eq!(create_with(&laptop, "+1 201 555 0123").await.0, 409);
    laptop.advance(3600);
    laptop.run_schedule().await;
    assert_eq!(create_with(&laptop, "+1 201 555 0123").await, (422, NOT_CALLABLE.to_owned()), "it is released");
}

#[tokio::test]
async fn pool_without_numbers_refuses_no_country() {
    let laptop = Laptop::start().await;
    assert_eq!(create_with(&laptop, FRENCH).await, (409, "urn:maskline:problem:no-number-free".to_owned()));
}

#[tokio::test]
async fn call_from_number_of_pool_is_refused() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let conversation = laptop.create().await;
    let [rider_dials, driver_dials] = [0, 1].map(|side| text(&conversation, &format!("/participants/{side}/dials")));
    // This happens when the driver's phone forwards its calls to a number of the pool.
    for dialled in [rider_dials, driver_dials, "447451000003"] {
        for caller in [rider_dials, driver_dials, "447451000003"] {
            let call = laptop.call(json!({"from": caller, "to": dialled})).await;
            assert_eq!((&call["answered_by"], &call["phones"]["callee"]), (&json!("answer_url"), &Value::Null));
        }
    }
    let problem = refused_number(&laptop, "+447451000003", &Value::Null).await;
    assert_eq!(text(&problem, "/type"), "urn:maskline:problem:invalid-value");
    let path = format!("/conversations/{}", text(&conversation, "/id"));
    let changed = laptop.patch(&path, &json!({"participants": [null, {"number": "+447451000003"}]})).await;
    assert_eq!(changed.status, 422);
}
