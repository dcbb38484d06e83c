//! Recorded calls: both are told, or both have agreed, before anything is recorded.

use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, conversation, text};

/// Has the rider call the driver, whose phone behaves like `callee`. Returns what happened and the recordings.
async fn ring(laptop: &Laptop, created: &Value, callee: Value, presses: Value) -> (Value, Vec<Value>) {
    let dials = text(created, "/participants/0/dials");
    let told = laptop.faultless_call(json!({"from": RIDER, "to": dials, "callee": callee, "presses": presses})).await;
    laptop.stack.background_runs_finished().await;
    let listed = laptop.get(&format!("/conversations/{}/recordings", text(created, "/id"))).await;
    (told, listed.body["recordings"].as_array().unwrap().clone())
}

fn heard(told: &Value) -> [String; 2] {
    [told["phones"]["caller"]["heard"].to_string(), told["callees"][0]["heard"].to_string()]
}

#[tokio::test]
async fn announced_call_is_recorded_once_both_have_heard_it() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({"recording": "announce"})).await;
    assert_eq!(created["recording"], "announce");
    let (told, recordings) = ring(&laptop, &created, json!("answers"), json!([])).await;
    assert!(heard(&told).iter().all(|words| words.contains("This call is recorded.")), "{told}");
    assert_eq!(told["phones"]["caller"]["connected"], true);
    let [recording] = &recordings[..] else { panic!("{recordings:?}") };
    assert_eq!((&recording["kind"], &recording["state"]), (&json!("call"), &json!("kept")));
    assert_eq!((&recording["called_by"], &recording["conversation_uuid"]), (&json!("a"), &told["conversation_uuid"]));
    assert!(laptop.texts(DRIVER).await.is_empty() && laptop.texts(RIDER).await.is_empty(), "the backend only");
    for callee in ["busy", "unanswered"] {
        let (_, recordings) = ring(&laptop, &created, json!(callee), json!([])).await;
        assert_eq!(recordings.len(), 1, "nothing is recorded of a call that nobody takes");
    }
}

#[tokio::test]
async fn call_is_recorded_only_if_both_agree() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    for guard in ["none", "press_1"] {
        let created = laptop.create_with(json!({"recording": "consent", "guard": guard})).await;
        let mut count = 0;
        let takes: &[&str] = if guard == "none" { &[] } else { &["1"] };
        for (caller, callee, is_recorded) in [
            (json!(["1"]), vec!["1"], true),
            (json!(["1"]), vec!["2"], false),
            (json!(["2"]), vec!["1"], false),
            (json!([null]), vec!["1"], false),
            (json!(["1"]), vec!["1"], true),
        ] {
            let presses: Vec<&str> = takes.iter().copied().chain(callee.clone()).collect();
            let does = json!({"does": "answers", "presses": presses});
            let (told, recordings) = ring(&laptop, &created, does, caller.clone()).await;
            count += usize::from(is_recorded);
            assert_eq!(recordings.len(), count, "{guard} {caller} {callee:?}: {told}");
            assert_eq!(told["phones"]["caller"]["connected"], true, "also without consent: {told}");
            let [caller, callee] = heard(&told);
            assert!(caller.contains("only recorded if both"), "{caller}");
            assert_eq!(callee.contains("Both of you have agreed"), is_recorded, "{callee}");
        }
    }
}

#[tokio::test]
async fn recorded_call_is_erased_with_its_conversation() {
    let laptop = Laptop::builder().env(&[("DEFAULT_RECORDING", "announce")]).numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({})).await;
    ring(&laptop, &created, json!("answers"), json!([])).await;
    assert_eq!(laptop.stack.bucket.keys().len(), 1);
    let path = format!("/conversations/{}?erase=true", text(&created, "/id"));
    assert_eq!(laptop.delete(&path).await.status, 204);
    laptop.stack.run_recordings_schedule().await.unwrap();
    assert!(laptop.stack.bucket.keys().is_empty());
    let off = laptop.create_with(json!({"recording": "off"})).await;
    assert_eq!(ring(&laptop, &off, json!("answers"), json!([])).await.1.len(), 0);
}

#[tokio::test]
async fn agreement_in_another_call_does_not_count() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({"recording": "consent"})).await;
    let id = text(&created, "/id");
    let pressed = |call: &str| json!({"uuid": "u", "conversation_uuid": call, "dtmf": {"digits": "1"}}).to_string();
    let consent = laptop.signed_post(&format!("/webhooks/event/{id}/consent-b"), &pressed("CON-1")).await;
    assert_eq!((consent.status, &consent.body[1]["action"]), (200, &json!("connect")));
    for (call, is_recorded) in [("CON-2", false), ("CON-1", true)] {
        let answer = laptop.signed_post(&format!("/webhooks/event/{id}/agree-b"), &pressed(call)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body.to_string().contains("\"record\""), is_recorded, "{call}: {answer:?}");
    }
    let refused = Laptop::builder().env(&[("RECORDING_DAYS", "0")]).start().await;
    let mut order = conversation();
    order["recording"] = json!("announce");
    let answer = refused.post("/conversations", &order).await;
    assert_eq!((answer.status, &answer.body["field"]), (422, &json!("recording")));
}
