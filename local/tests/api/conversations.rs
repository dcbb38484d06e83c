//! `GET` and `DELETE /conversations/{id}`.

use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, text};

#[tokio::test]
async fn get_returns_conversation_with_its_calls() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let path = format!("/conversations/{}", text(&conversation, "/id"));
    let mut expected = conversation.clone();
    expected["calls"] = json!([]);
    assert_eq!(laptop.get(&path).await.body, expected);

    laptop.call(json!({"from": RIDER, "to": conversation["participants"][0]["dials"], "talk_seconds": 42})).await;
    laptop.advance(1);
    laptop.call(json!({"from": DRIVER, "to": conversation["participants"][1]["dials"], "callee": "busy"})).await;
    let read = laptop.get(&path).await.body;
    let [answered, busy]: [Value; 2] = read["calls"].as_array().unwrap().clone().try_into().unwrap();
    assert_eq!((&answered["caller"], &answered["callee"]), (&json!(RIDER), &json!(DRIVER)));
    assert_eq!((&answered["duration"], &answered["currency"]), (&json!(42), &json!("EUR")));
    assert!(!answered["connected_at"].is_null() && !answered["ended_at"].is_null());
    let price = |value: &Value| text(value, "/price").parse::<rust_decimal::Decimal>().unwrap();
    let legs = answered["legs"].as_array().unwrap();
    assert_eq!(price(&answered), legs.iter().map(price).sum());
    assert!(price(&answered) > rust_decimal::Decimal::ZERO);
    assert_eq!(
        legs.iter()
            .map(|leg| (text(leg, "/direction"), text(leg, "/number"), text(leg, "/status")))
            .collect::<Vec<_>>(),
        [("inbound", RIDER, "completed"), ("outbound", DRIVER, "completed")]
    );
    assert_eq!((&busy["caller"], &busy["connected_at"]), (&json!(DRIVER), &Value::Null));
    assert_eq!((text(&busy, "/legs/1/status"), &busy["legs"][1]["sip_code"]), ("busy", &json!(486)));
}

#[tokio::test]
async fn get_returns_outcome_of_each_leg() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let dialled = &conversation["participants"][0]["dials"];
    for (callee, status, reason) in [
        ("rejects", "rejected", "declined"),
        ("unanswered", "unanswered", "timeout"),
        ("unreachable", "failed", "number_out_of_service"),
    ] {
        let placed = laptop.call(json!({"from": RIDER, "to": dialled, "callee": callee})).await;
        let read = laptop.get(&format!("/conversations/{}", text(&conversation, "/id"))).await.body;
        let calls = read["calls"].as_array().unwrap();
        let call = calls.iter().find(|call| call["conversation_uuid"] == placed["conversation_uuid"]).unwrap();
        assert_eq!((text(call, "/legs/1/status"), text(call, "/legs/1/reason")), (status, reason));
    }
}

#[tokio::test]
async fn second_end_returns_same_answer() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let path = format!("/conversations/{}", text(&conversation, "/id"));
    let (one, other) = tokio::join!(laptop.delete(&path), laptop.delete(&path));
    assert_eq!((one.status, other.status), (200, 200));
    assert_eq!(one.body["state"], "ended");
    laptop.advance(100);
    let again = laptop.delete(&path).await;
    assert_eq!((&one.body, &one.body), (&other.body, &again.body));
}

#[tokio::test]
async fn expired_conversation_stays_expired_after_end() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    laptop.advance(86_400);
    let ended = laptop.delete(&format!("/conversations/{}", text(&conversation, "/id"))).await;
    assert_eq!((&ended.body["state"], &ended.body["ended_at"]), (&json!("expired"), &Value::Null));
}

#[tokio::test]
async fn strangers_get_no_route_key_during_quarantine() {
    let laptop = Laptop::builder()
        .env(&[("MAX_CALL_SECONDS", "60"), ("QUARANTINE_SECONDS", "60")])
        .numbers("GB", 1)
        .start()
        .await;
    let conversation = laptop.create().await;
    laptop.delete(&format!("/conversations/{}", text(&conversation, "/id"))).await;
    let mut with_stranger = testkit::conversation();
    with_stranger["participants"][1]["number"] = json!("+447700900003");
    let create = async || laptop.post("/conversations", &with_stranger).await.status;
    laptop.advance(58);
    assert_eq!(create().await, 409);
    laptop.advance(2);
    assert_eq!(create().await, 201);
}

#[tokio::test]
async fn two_people_get_their_numbers_back_right_after_an_end() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let dials =
        |conversation: &Value| [0, 1].map(|side| text(&conversation["participants"][side], "/dials").to_owned());
    let mut order = testkit::conversation();
    order["quarantine"] = json!(200_000);
    let first = laptop.post("/conversations", &order).await.body;
    for _ in 0..3 {
        laptop.delete(&format!("/conversations/{}", text(&first, "/id"))).await;
        let again = laptop.create().await;
        assert_eq!(dials(&again), dials(&first));
        let call = laptop.call(json!({"from": DRIVER, "to": dials(&again)[1]})).await;
        assert_eq!(call["phones"]["callee"]["number"], RIDER);
        laptop.delete(&format!("/conversations/{}", text(&again, "/id"))).await;
    }
    // The longer quarantine of the first one still holds for others.
    laptop.advance(190_000);
    let mut with_stranger = testkit::conversation();
    with_stranger["participants"][1]["number"] = json!("+447700900003");
    let other = laptop.post("/conversations", &with_stranger).await.body;
    assert_ne!(dials(&other)[0], dials(&first)[0]);
}

#[tokio::test]
async fn get_returns_404_after_ttl_even_if_item_is_still_stored() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let path = format!("/conversations/{}", text(&conversation, "/id"));
    laptop.advance(86_400 + 86_400 + 30 * 86_400 - 1);
    assert_eq!(laptop.get(&path).await.body["state"], "expired");
    laptop.advance(1);
    assert_eq!((laptop.get(&path).await.status, laptop.delete(&path).await.status), (404, 404));
}

#[tokio::test]
async fn unknown_conversation_returns_404() {
    let laptop = Laptop::start().await;
    for id in ["01JD0000000000000000000000", "x", "..%2F..", "01jd0000000000000000000000"] {
        let path = format!("/conversations/{id}");
        for answer in [laptop.get(&path).await, laptop.delete(&path).await] {
            assert_eq!((answer.status, answer.content_type()), (404, "application/problem+json"), "{id}");
        }
    }
}
