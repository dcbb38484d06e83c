//! All that goes well.

use reqwest::Method;
use serde_json::{Value, json};

use crate::laptop::{DRIVER, Laptop, NEW_PHONE, RIDER, STRANGER, answer, assert_nothing_was_logged, listen, order};

#[tokio::test]
async fn the_demo_logs_no_real_number() {
    listen();
    local::demo::run().await.unwrap();
    assert_nothing_was_logged();
}

#[tokio::test]
async fn a_conversation_from_its_first_text_to_its_end_leaves_no_real_number_behind() {
    let laptop = Laptop::start(&[("HEADROOM", "GB=1"), ("AUTO_RENT_MAX", "GB=5")]).await.with_numbers(2).await;
    let conversation = laptop.create().await;
    let path = format!("/conversations/{}", conversation["id"].as_str().unwrap());
    let dials = [0, 1].map(|side| conversation["participants"][side]["dials"].clone());
    laptop.call(json!(RIDER), &dials[0], Some(DRIVER)).await;
    laptop.call(json!(format!(" {DRIVER}")), &dials[1], Some(RIDER)).await;
    for callee in ["busy", "rejects", "unreachable", "unanswered"] {
        let call = json!({"from": RIDER, "to": dials[0], "callee": callee});
        laptop.simulator(Method::POST, "calls", call).await;
    }
    for stranger in [json!(STRANGER), json!("anonymous"), json!("+44 7700 900369"), Value::Null] {
        laptop.call(stranger, &dials[0], None).await;
    }
    let new_phone = json!({"participants": [null, {"number": "07700 900471", "country": "GB"}], "expires_in": 3600});
    assert_eq!(laptop.send(Method::PATCH, &path, new_phone.to_string()).await.0, 200);
    laptop.call(json!(RIDER), &dials[0], Some(NEW_PHONE)).await;
    laptop.call(json!(DRIVER), &dials[1], None).await;
    assert_eq!(laptop.send(Method::GET, &path, "").await.1["calls"].as_array().unwrap().len(), 8);

    // With a key that is a number, twice; and a second conversation, for which a number is rented on the fly.
    let mut other = order();
    other["participants"][1]["number"] = json!("07700 900369");
    for status in [201, 200] {
        let request = laptop.request(Method::POST, "/conversations").header("Idempotency-Key", "+44 7700 900147");
        assert_eq!(answer(request.body(other.to_string())).await.0, status);
    }
    laptop.stack.run_schedule().await.unwrap();
    assert_eq!(laptop.send(Method::DELETE, &path, "").await.0, 200);
    laptop.call(json!(RIDER), &dials[0], None).await;
    assert_eq!(laptop.send(Method::DELETE, &format!("{path}?erase=true"), "").await.0, 204);
    laptop.call(json!(RIDER), &dials[0], None).await;
    laptop.stack.run_schedule().await.unwrap();
    let dialled = dials[0].as_str().unwrap();
    assert_eq!(laptop.send(Method::DELETE, &format!("/numbers/{dialled}"), "").await.0, 200);
    laptop.assert_nothing_leaked().await;
}
