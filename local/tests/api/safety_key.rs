//! The safety key: the caller presses `*` and `9`, and the other side is blocked.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, string, text};

async fn started() -> (Laptop, Value) {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({"safety_key": true})).await;
    (laptop, created)
}

fn path(conversation: &Value) -> String {
    format!("/conversations/{}", text(conversation, "/id"))
}

/// Has a side call and press these keys in the call.
async fn ring(laptop: &Laptop, created: &Value, side: usize, keys: &[&str]) -> Value {
    let participant = &created["participants"][side];
    let call = json!({"from": participant["number"], "to": participant["dials"], "presses_during_call": keys});
    let told = laptop.call(call).await;
    assert!(told.get("error").is_none(), "{told}");
    told
}

/// Returns the side that is blocked, and the number of times at which somebody pressed the key.
async fn state(laptop: &Laptop, created: &Value) -> (Value, usize) {
    let shown = laptop.get(&path(created)).await.body;
    let times = shown["safety_key_pressed_at"].as_array().into_iter().flatten();
    (shown["blocked"].clone(), times.filter(|time| time.is_string()).count())
}

/// Tells the webhook of keys on the rider's leg, `milliseconds` after noon, as Vonage does.
async fn key(laptop: &Laptop, created: &Value, keys: &str, milliseconds: u32) -> u16 {
    let at = format!("2026-11-22T12:00:{:02}.{:03}Z", milliseconds / 1_000, milliseconds % 1_000);
    let body = json!({"from": RIDER, "to": created["participants"][0]["dials"], "uuid": "u", "timestamp": at,
                      "conversation_uuid": "CON-1", "dtmf": {"digits": keys, "timed_out": false}});
    let id = text(created, "/id");
    laptop.signed_post(&format!("/webhooks/event/{id}/safety-b"), &body.to_string()).await.status
}

#[tokio::test]
async fn caller_who_presses_the_key_blocks_the_other_side() {
    let (laptop, created) = started().await;
    assert_eq!(created["safety_key"], true);
    let told = ring(&laptop, &created, 0, &["*9"]).await;
    assert_eq!(told["phones"]["caller"]["connected"], true);
    assert_eq!(state(&laptop, &created).await, (json!("b"), 1));
    let refused = ring(&laptop, &created, 1, &[]).await;
    assert!(refused["phones"]["callee"].is_null(), "{refused}");
    let heard = refused["phones"]["caller"]["heard"].to_string();
    assert!(heard.contains("Connecting your call.") && heard.contains("not available"), "neutral: {heard}");
    let own = ring(&laptop, &created, 0, &[]).await;
    assert_eq!(own["phones"]["callee"]["number"], DRIVER, "who pressed may still call");
    let shown = laptop.get(&path(&created)).await.body;
    assert_eq!(shown["calls"].as_array().unwrap().len(), 3, "each call once: {shown}");
    laptop.table().await;
}

#[tokio::test]
async fn keys_that_are_not_the_safety_key_block_nobody() {
    let (laptop, created) = started().await;
    for keys in ["9*", "*", "9", "123", "#9*#"] {
        ring(&laptop, &created, 0, &[keys]).await;
        assert_eq!(state(&laptop, &created).await, (Value::Null, 0), "{keys}");
    }
    let items = laptop.items().await;
    assert_eq!(key(&laptop, &created, "7", 0).await, 204);
    assert_eq!(laptop.items().await, items, "another key is not noted");
    for (keys, at) in [("*", 0), ("9", 6_000)] {
        assert_eq!(key(&laptop, &created, keys, at).await, 204);
    }
    assert_eq!(state(&laptop, &created).await, (Value::Null, 0), "too long after the star");
}

#[tokio::test]
async fn keys_count_once_in_any_order_and_repetition() {
    for events in [
        &[("*", 1_000), ("9", 1_400)][..],
        &[("9", 1_400), ("*", 1_000)],
        &[("*", 1_000), ("*", 1_000), ("9", 1_400), ("9", 1_400), ("*", 1_000)],
        &[("*", 1_000), ("*", 2_000), ("9", 1_400)],
        &[("*9", 1_000), ("*9", 1_000)],
    ] {
        let (laptop, created) = started().await;
        for (keys, at) in events {
            assert_eq!(key(&laptop, &created, keys, *at).await, 204);
        }
        assert_eq!(state(&laptop, &created).await, (json!("b"), 1), "{events:?}");
        // Undone, it stays undone, however often the same press is told.
        assert_eq!(laptop.patch(&path(&created), &json!({"blocked": null})).await.status, 200);
        for (keys, at) in events {
            assert_eq!(key(&laptop, &created, keys, *at).await, 204);
        }
        assert_eq!(state(&laptop, &created).await, (Value::Null, 1), "{events:?}");
        for (keys, at) in [("*", 30_000), ("9", 30_300)] {
            assert_eq!(key(&laptop, &created, keys, at).await, 204);
        }
        assert_eq!(state(&laptop, &created).await, (json!("b"), 1), "another press blocks again: {events:?}");
    }
}

#[tokio::test]
async fn call_with_the_safety_key_is_hung_up() {
    let laptop = Laptop::builder().env(&[("VONAGE_CALLS_INTERVAL_MS", "50")]).numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({"safety_key": true})).await;
    let dials = text(&created, "/participants/1/dials");
    let call = laptop.call(json!({"from": DRIVER, "to": dials, "lives": true})).await;
    let report = format!("calls/{}", text(&call, "/conversation_uuid"));
    laptop.advance(3);
    let press = async |keys: &str| {
        let pressed = laptop.vonage(Method::POST, &format!("/simulator/{report}/press"), json!({"keys": keys})).await;
        assert_eq!(pressed.status, 200, "{pressed:?}");
        laptop.stack.background_runs_finished().await;
        let legs = laptop.simulator(&report).await["legs"].as_array().unwrap().clone();
        legs.iter()
            .map(|leg| string(&leg["statuses"].as_array().unwrap().last().unwrap()["status"]))
            .collect::<Vec<_>>()
    };
    assert_eq!(press("12*").await, ["answered", "answered"]);
    assert_eq!(press("9").await, ["completed", "completed"]);
    assert_eq!(state(&laptop, &created).await, (json!("a"), 1));
}

#[tokio::test]
async fn both_sides_may_press_and_without_call_control_too() {
    let variables = [("CALL_CONTROL", "off"), ("DEFAULT_SAFETY_KEY", "on")];
    let laptop = Laptop::builder().env(&variables).numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({})).await;
    ring(&laptop, &created, 0, &["*9"]).await;
    assert_eq!(laptop.patch(&path(&created), &json!({"blocked": null})).await.status, 200);
    ring(&laptop, &created, 1, &["*", "9"]).await;
    assert_eq!(state(&laptop, &created).await, (json!("a"), 2));
    assert_eq!(laptop.patch(&path(&created), &json!({"blocked": "b"})).await.status, 200);
    let off = laptop.create_with(json!({"safety_key": false})).await;
    assert!(off.get("safety_key").is_none());
}

#[tokio::test]
async fn safety_key_is_turned_on_and_off_by_a_change() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({})).await;
    let listens = async || {
        let told = ring(&laptop, &created, 0, &[]).await;
        told["ncco"].as_array().unwrap().iter().any(|action| action["mode"] == "asynchronous")
    };
    assert!(!listens().await, "off by default");
    for is_on in [true, false] {
        let changed = laptop.patch(&path(&created), &json!({"safety_key": is_on})).await;
        assert_eq!((changed.status, listens().await), (200, is_on), "{changed:?}");
    }
    let refused = laptop.patch(&path(&created), &json!({"safety_key": "yes"})).await;
    assert_eq!((refused.status, &refused.body["field"]), (422, &json!("safety_key")));
}

#[tokio::test]
async fn key_in_a_placed_call_is_that_of_its_first_phone() {
    let (laptop, created) = started().await;
    let id = text(&created, "/id");
    let mask = &created["participants"][0]["dials"];
    let body = json!({"from": mask, "to": RIDER, "uuid": "u", "conversation_uuid": "CON-1", "dtmf": {"digits": "*9"},
                      "timestamp": "2026-11-22T12:00:00.000Z"});
    let answer = laptop.signed_post(&format!("/webhooks/event/{id}/safety-b"), &body.to_string()).await;
    assert_eq!(answer.status, 204);
    assert_eq!(state(&laptop, &created).await, (json!("b"), 1));
    let leg = laptop.get(&path(&created)).await.body["calls"][0]["legs"][0].clone();
    assert_eq!((&leg["number"], &leg["direction"]), (&json!(RIDER), &json!("outbound")), "{leg}");
}

#[tokio::test]
async fn key_in_a_call_about_lost_property_ends_such_calls() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({"safety_key": true, "lost_property": true})).await;
    assert_eq!(laptop.delete(&path(&created)).await.status, 200);
    let late = async |side: usize, keys: &[&str]| {
        let participant = &created["participants"][side];
        let call = json!({"from": participant["number"], "to": participant["dials"], "presses": ["1"],
                          "presses_during_call": keys});
        laptop.call(call).await["phones"]["callee"]["number"].clone()
    };
    assert_eq!(late(0, &[]).await, Value::Null);
    assert_eq!(late(1, &[]).await, RIDER);
    assert_eq!(late(1, &["*9"]).await, RIDER);
    assert_eq!(state(&laptop, &created).await, (Value::Null, 1));
    for side in [0, 1] {
        assert_eq!(late(side, &[]).await, Value::Null, "nobody is connected any more");
    }
}

#[tokio::test]
async fn key_after_the_end_is_noted_and_after_the_erasure_is_not() {
    let (laptop, created) = started().await;
    assert_eq!(laptop.delete(&path(&created)).await.status, 200);
    assert_eq!(key(&laptop, &created, "*9", 0).await, 204);
    assert_eq!(state(&laptop, &created).await, (Value::Null, 1), "nothing is left to block");
    assert_eq!(laptop.delete(&format!("{}?erase=true", path(&created))).await.status, 204);
    let items = laptop.items().await;
    assert_eq!(key(&laptop, &created, "*9", 9_000).await, 204);
    assert_eq!(laptop.items().await, items);
    let unsigned = laptop.request(Method::POST, &format!("/webhooks/event/{}/safety-b", text(&created, "/id")));
    assert_eq!(laptop.answer(unsigned.body("{}")).await.status, 503, "Vonage sends it again, signed");
}

#[tokio::test]
async fn callee_who_calls_back_presses_the_key_while_it_rings() {
    let (laptop, created) = started().await;
    assert_eq!(ring(&laptop, &created, 0, &[]).await["phones"]["callee"]["number"], DRIVER);
    let call =
        json!({"from": DRIVER, "to": created["participants"][1]["dials"], "uuid": "v", "conversation_uuid": "CON-2"});
    let answer = laptop.signed_post("/webhooks/answer", &call.to_string()).await.body;
    assert_eq!((&answer[1]["mode"], &answer[2]["action"]), (&json!("asynchronous"), &json!("connect")), "{answer}");
    let url = text(&answer, "/1/eventUrl/0");
    // No event of the call has arrived, and nobody has answered.
    let mut pressed = call.clone();
    pressed["dtmf"] = json!({"digits": "*9", "timed_out": false});
    let told = laptop.signed_post(&url[url.find("/webhooks").unwrap()..], &pressed.to_string()).await;
    assert_eq!((told.status, state(&laptop, &created).await), (204, (json!("a"), 1)));
    let shown = laptop.get(&path(&created)).await.body;
    assert_eq!(shown["safety_key_pressed_at"][0], Value::Null, "{shown}");
}
