//! `PATCH {"blocked": …}`: calls of a blocked side are not connected, and it does not hear why.

use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, conversation, string, text};

const UNAVAILABLE: &str =
    "Sorry, the person whom you are calling is not available at the moment, so your call cannot be connected. Goodbye.";

fn path(conversation: &Value) -> String {
    format!("/conversations/{}", text(conversation, "/id"))
}

async fn block(laptop: &Laptop, conversation: &Value, blocked: Value) -> Value {
    let answer = laptop.patch(&path(conversation), &json!({"blocked": blocked})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body.get("blocked"), Some(&blocked).filter(|blocked| !blocked.is_null()));
    assert_eq!(laptop.get(&path(conversation)).await.body.get("blocked"), answer.body.get("blocked"));
    answer.body
}

/// True for each side whose call is connected. One that is not hears only that the other person is not available.
async fn connected(laptop: &Laptop, conversation: &Value) -> [bool; 2] {
    let now = laptop.get(&path(conversation)).await.body;
    let mut connected = [false; 2];
    for side in [0, 1] {
        let participant = &now["participants"][side];
        let Some(dials) = participant["dials"].as_str() else { continue };
        let call = laptop.call(json!({"from": participant["number"], "to": dials, "talk_seconds": 5})).await;
        let asked = laptop.get(&format!("/decisions?from={}&to={dials}", text(participant, "/number"))).await.body;
        connected[side] = !call["phones"]["callee"].is_null();
        if connected[side] {
            assert_eq!(asked["outcome"], "routed");
        } else {
            assert_eq!(call["phones"]["caller"]["heard"], json!(["Connecting your call.", UNAVAILABLE]));
            assert_eq!((&asked["outcome"], &asked["items"][1]["blocked"]), (&json!("blocked"), &now["blocked"]));
        }
    }
    connected
}

#[tokio::test]
async fn blocked_side_is_not_connected_until_that_is_undone() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create().await;
    assert_eq!((created.get("blocked"), connected(&laptop, &created).await), (None, [true, true]));
    for (blocked, connects) in [
        (json!("a"), [false, true]),
        (json!("b"), [true, false]),
        (json!("both"), [false, false]),
        (Value::Null, [true, true]),
    ] {
        block(&laptop, &created, blocked.clone()).await;
        assert_eq!(connected(&laptop, &created).await, connects, "{blocked}");
        // Sent again, it changes nothing.
        let before = laptop.items().await;
        block(&laptop, &created, blocked.clone()).await;
        assert_eq!(laptop.items().await, before, "{blocked}");
        laptop.table().await;
    }
}

#[tokio::test]
async fn other_changes_keep_the_block() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let created = laptop.create().await;
    block(&laptop, &created, json!("a")).await;
    for change in [
        json!({"expires_in": 172_800}),
        json!({"max_calls": 100}),
        json!({"participants": [null, {"number": "+447700900009"}]}),
        json!({"participants": [{"number": "+447700900008"}, null]}),
        json!({"participants": [{"number": format!("+{RIDER}")}, null]}),
    ] {
        let changed = laptop.patch(&path(&created), &change).await;
        assert_eq!((changed.status, &changed.body["blocked"]), (200, &json!("a")), "{change}");
        assert_eq!(connected(&laptop, &created).await, [false, true], "{change}");
    }
    let lost = string(&created["participants"][0]["dials"]);
    laptop.vonage_form("/number/cancel", &[("country", "GB"), ("msisdn", &lost)]).await;
    laptop.run_schedule().await;
    assert_ne!(laptop.get(&path(&created)).await.body["participants"][0]["dials"], json!(lost));
    assert_eq!(connected(&laptop, &created).await, [false, true], "on another number");
    laptop.table().await;
}

#[tokio::test]
async fn block_comes_with_other_changes_in_one_request() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create().await;
    let change = json!({"blocked": "b", "expires_in": 600, "participants": [null, {"number": "+447700900009"}]});
    let changed = laptop.patch(&path(&created), &change).await;
    assert_eq!((changed.status, &changed.body["blocked"]), (200, &json!("b")));
    assert_eq!(connected(&laptop, &created).await, [true, false]);
    let changed = laptop.patch(&path(&created), &json!({"blocked": null, "expires_in": 600})).await;
    assert_eq!((changed.status, changed.body.get("blocked")), (200, None));
    assert_eq!(connected(&laptop, &created).await, [true, true]);
}

#[tokio::test]
async fn side_that_dials_in_one_way_is_blocked_too() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let mut order = conversation();
    order["direction"] = json!("b_to_a");
    let created = laptop.post("/conversations", &order).await.body;
    assert_eq!(created["participants"][1]["number"], DRIVER);
    for (blocked, connects) in [(json!("b"), false), (json!("a"), true), (json!("both"), false), (Value::Null, true)] {
        block(&laptop, &created, blocked.clone()).await;
        assert_eq!(connected(&laptop, &created).await, [false, connects], "{blocked}");
        laptop.table().await;
    }
}

#[tokio::test]
async fn block_that_makes_no_sense_or_comes_late_is_refused() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create().await;
    for blocked in [json!("A"), json!("none"), json!(true), json!(["a"])] {
        let refused = laptop.patch(&path(&created), &json!({"blocked": blocked})).await;
        assert_eq!((refused.status, &refused.body["field"]), (422, &json!("blocked")), "{refused:?}");
    }
    let mut order = conversation();
    order["blocked"] = json!("a");
    assert_eq!(laptop.post("/conversations", &order).await.status, 422, "a conversation begins without a block");
    block(&laptop, &created, json!("a")).await;
    laptop.delete(&path(&created)).await;
    let late = laptop.patch(&path(&created), &json!({"blocked": null})).await;
    assert_eq!((late.status, text(&late.body, "/type")), (409, "urn:maskline:problem:conversation-ended"));
    let dials = text(&created, "/participants/0/dials");
    let decision = laptop.get(&format!("/decisions?from={RIDER}&to={dials}")).await.body;
    assert_eq!(decision["outcome"], "ended", "a conversation that is over says so to all");
    assert_eq!(laptop.delete(&format!("{}?erase=true", path(&created))).await.status, 204);
    laptop.table().await;
    // The next conversation of the same two people begins without it.
    let next = laptop.create().await;
    assert_eq!(connected(&laptop, &next).await, [true, true]);
}
