//! Calls that are up: lists them, hangs up, and what ends by itself.

use std::sync::Arc;

use local::gateway::CallControl;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, serve, string, text};

/// Has the rider call the driver, whose phone behaves like `callee`. The call stays up.
async fn live(laptop: &Laptop, conversation: &Value, callee: Value) -> Value {
    let dials = text(conversation, "/participants/0/dials");
    laptop.call(json!({"from": RIDER, "to": dials, "callee": callee, "lives": true})).await
}

fn path(conversation: &Value) -> String {
    format!("/conversations/{}", text(conversation, "/id"))
}

/// Returns the path of a call of the conversation.
fn path_of(conversation: &Value, call: &Value) -> String {
    format!("{}/calls/{}", path(conversation), text(call, "/conversation_uuid"))
}

/// Returns the statuses of the legs of a call, as the simulated Vonage knows them.
async fn statuses(laptop: &Laptop, call: &Value) -> Vec<String> {
    let report = laptop.simulator(&format!("calls/{}", text(call, "/conversation_uuid"))).await;
    let legs = report["legs"].as_array().unwrap().iter();
    legs.map(|leg| string(&leg["statuses"].as_array().unwrap().last().unwrap()["status"])).collect()
}

async fn calls_up(laptop: &Laptop, conversation: &Value) -> usize {
    let answer = laptop.get(&format!("{}/calls", path(conversation))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["calls"].as_array().unwrap().len()
}

#[tokio::test]
async fn both_legs_of_a_call_are_hung_up() {
    let laptop = Laptop::builder().env(&[("VONAGE_CALLS_INTERVAL_MS", "0")]).numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({})).await;
    assert_eq!(calls_up(&laptop, &created).await, 0);
    let call = live(&laptop, &created, json!("answers")).await;
    let listed = laptop.get(&format!("{}/calls", path(&created))).await.body;
    let legs = listed["calls"][0]["legs"].as_array().unwrap();
    assert_eq!((listed["calls"].as_array().unwrap().len(), legs.len()), (1, 2), "{listed}");
    let early = laptop.delete(&path_of(&created, &call)).await;
    assert_eq!((early.status, &early.body["ended"]), (202, &json!(false)), "within two seconds of its creation");
    laptop.advance(3);
    for _ in 0..2 {
        let answer = laptop.delete(&path_of(&created, &call)).await;
        assert_eq!((answer.status, &answer.body["ended"]), (200, &json!(true)), "{answer:?}");
        assert_eq!(statuses(&laptop, &call).await, ["completed", "completed"]);
    }
    assert_eq!(calls_up(&laptop, &created).await, 0);
}

#[tokio::test]
async fn ringing_call_is_hung_up() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({})).await;
    let call = live(&laptop, &created, json!("rings")).await;
    laptop.advance(3);
    assert_eq!(laptop.delete(&path_of(&created, &call)).await.status, 200);
    assert_eq!(statuses(&laptop, &call).await, ["completed", "cancelled"]);
}

#[tokio::test]
async fn call_of_another_conversation_is_spared() {
    let laptop = Laptop::builder().numbers("GB", 4).start().await;
    let (own, other) = (laptop.create_with(json!({})).await, laptop.create_with(json!({})).await);
    let call = live(&laptop, &own, json!("answers")).await;
    laptop.advance(3);
    assert_eq!(laptop.delete(&path_of(&other, &call)).await.status, 404);
    assert_eq!(laptop.delete(&format!("{}/calls/{RIDER}", path(&own))).await.status, 404);
    assert_eq!(statuses(&laptop, &call).await, ["answered", "answered"]);
    let ended = laptop.delete(&format!("{}?hang_up=true", path(&other))).await;
    assert_eq!((ended.status, &ended.body["state"]), (200, &json!("ended")));
    laptop.stack.background_runs_finished().await;
    assert_eq!(statuses(&laptop, &call).await, ["answered", "answered"]);
}

#[tokio::test]
async fn conversation_ends_with_its_calls_if_asked_to() {
    for (query, statuses_after) in [
        ("", ["answered", "answered"]),
        ("?hang_up=true", ["completed", "completed"]),
        ("?hang_up=true&erase=true", ["completed", "completed"]),
    ] {
        let laptop = Laptop::builder().numbers("GB", 2).start().await;
        let created = laptop.create_with(json!({})).await;
        let call = live(&laptop, &created, json!("answers")).await;
        laptop.advance(3);
        assert!(laptop.delete(&format!("{}{query}", path(&created))).await.status < 300, "{query}");
        laptop.stack.background_runs_finished().await;
        assert_eq!(statuses(&laptop, &call).await, statuses_after, "{query}");
        assert!(laptop.delete(&format!("{}{query}", path(&created))).await.status < 300, "{query}, sent again");
    }
}

#[tokio::test]
async fn call_answered_after_the_end_is_hung_up() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    for direction in ["both", "a_to_b"] {
        let created = laptop.create_with(json!({"direction": direction})).await;
        let hold = json!({"webhook": "event_url", "times": 100, "fault": {"kind": "hold"}});
        assert_eq!(laptop.vonage(Method::POST, "/simulator/faults", hold).await.status, 204);
        let call = live(&laptop, &created, json!("answers")).await;
        laptop.advance(3);
        // No event of it has come, so the end cannot know of it.
        assert_eq!(laptop.delete(&format!("{}?hang_up=true", path(&created))).await.status, 200);
        laptop.stack.background_runs_finished().await;
        assert_eq!(statuses(&laptop, &call).await, ["answered", "answered"]);
        laptop.no_more_faults().await;
        assert_eq!(laptop.vonage(Method::POST, "/simulator/release", Value::Null).await.status, 200);
        laptop.stack.background_runs_finished().await;
        assert_eq!(statuses(&laptop, &call).await, ["completed", "completed"], "{direction}");
    }
}

#[tokio::test]
async fn callee_who_declines_is_hung_up() {
    let laptop = Laptop::builder().env(&[("VONAGE_CALLS_INTERVAL_MS", "50")]).numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({"guard": "press_1"})).await;
    let call = live(&laptop, &created, json!({"does": "answers", "presses": ["2"]})).await;
    assert_eq!(statuses(&laptop, &call).await, ["answered", "answered"], "the callee waits alone");
    laptop.advance(3);
    laptop.stack.background_runs_finished().await;
    assert_eq!(statuses(&laptop, &call).await[1], "completed");
    let report = laptop.simulator(&format!("calls/{}", text(&call, "/conversation_uuid"))).await;
    assert!(report["phones"]["caller"]["heard"].to_string().contains("Nobody answers"), "{report}");
}

#[tokio::test]
async fn without_private_key_nothing_else_changes() {
    let laptop = Laptop::builder().env(&[("CALL_CONTROL", "off")]).numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({"guard": "press_1"})).await;
    let call = live(&laptop, &created, json!({"does": "answers", "presses": ["2"]})).await;
    laptop.advance(3);
    let off = [
        laptop.get(&format!("{}/calls", path(&created))).await,
        laptop.delete(&path_of(&created, &call)).await,
        laptop.delete(&format!("{}?hang_up=true", path(&created))).await,
    ];
    for answer in off {
        assert_eq!((answer.status, text(&answer.body, "/type")), (409, "urn:maskline:problem:call-control-off"));
        assert!(text(&answer.body, "/detail").contains("CallControl=on"));
    }
    assert_eq!(laptop.get(&path(&created)).await.body["state"], "active");
    laptop.stack.background_runs_finished().await;
    assert_eq!(statuses(&laptop, &call).await, ["answered", "answered"], "the callee waits alone");
    assert_eq!(laptop.asked("/v1/calls").await, 0);
}

#[tokio::test]
async fn other_regions_are_asked_about_a_call() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({})).await;
    let call = live(&laptop, &created, json!("answers")).await;
    laptop.advance(3);
    let elsewhere = serve(axum::Router::new()).await;
    let urls = format!("{elsewhere},{}", laptop.stack.vonage_url);
    let variables = [("VONAGE_API_URL", elsewhere.as_str()), ("VONAGE_VOICE_URLS", urls.as_str())];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let environment = laptop.stack.environment.clone().with(variables);
    let control = CallControl::new(&environment, Arc::new(laptop.clock.clone()), Value::Null).unwrap();
    let event = json!({"source": "maskline.hang-up", "conversation": created["id"]});
    assert_eq!(control.run(&event).await.unwrap(), json!({"left": 0}));
    assert_eq!(statuses(&laptop, &call).await, ["completed", "completed"]);
}

#[tokio::test]
async fn event_comes_again_while_a_call_is_up() {
    let laptop = Laptop::builder().env(&[("VONAGE_CALLS_INTERVAL_MS", "0")]).numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({})).await;
    let call = live(&laptop, &created, json!("answers")).await;
    let event = json!({"source": "maskline.hang-up", "conversation": created["id"]});
    assert!(laptop.stack.run_control(&event).await.is_err(), "its legs are too new");
    laptop.advance(3);
    laptop.faults("/v1/calls", 10, json!({"kind": "status", "status": 503})).await;
    assert!(laptop.stack.run_control(&event).await.is_err(), "Vonage fails");
    laptop.no_more_faults().await;
    assert_eq!(laptop.stack.run_control(&event).await.unwrap(), json!({"left": 0}));
    assert_eq!(statuses(&laptop, &call).await, ["completed", "completed"]);
    assert_eq!(
        laptop.call(json!({"from": DRIVER, "to": created["participants"][1]["dials"]})).await["phones"]["callee"]["number"],
        RIDER
    );
}
