//! Crashes while calls are ended, and while people are warned of an end.

use control_call::ControlCall;
use end_conversation::EndConversation;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Laptop, string, text};

use crate::events;
use crate::scenario::{Functions, Scenario, at_every_request, builder};

const PHONES: [&str; 2] = ["447700900001", "447700900002"];

/// Creates a conversation with these fields, and places a call in it that stays up.
async fn live(laptop: &Laptop, fields: Value) -> (String, String) {
    let mut body =
        json!({"participants": PHONES.map(|number| json!({"number": format!("+{number}")})), "notify": false});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let created = laptop.post("/conversations", &body).await.body;
    let dials = text(&created, "/participants/0/dials");
    let call = laptop.call(json!({"from": PHONES[0], "to": dials, "lives": true})).await;
    laptop.advance(3);
    (string(&created["id"]), string(&call["conversation_uuid"]))
}

async fn report(laptop: &Laptop, call: &str) -> Value {
    laptop.simulator(&format!("calls/{call}")).await
}

/// True if both legs of a call have ended.
async fn is_over(laptop: &Laptop, call: &str) -> bool {
    let report = report(laptop, call).await;
    let last = |leg: &Value| leg["statuses"].as_array().unwrap().last().unwrap()["status"].clone();
    report["legs"].as_array().unwrap().iter().all(|leg| last(leg) == "completed")
}

#[tokio::test]
async fn end_with_calls_that_is_repeated_ends_them() {
    at_every_request("DELETE /conversations/{id}?hang_up=true", 3, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let (id, call) = live(&laptop, json!({})).await;
        let mut event = events::end(&id);
        event["rawQueryString"] = json!("hang_up=true");
        event["queryStringParameters"] = json!({"hang_up": "true"});
        scenario.run(&laptop, async |functions| drop(functions.answer::<EndConversation>(&event).await)).await;
        let answer = Functions::of(&laptop).answer::<EndConversation>(&event).await;
        assert_eq!((answer.status, &answer.body["state"]), (200, &json!("ended")));
        laptop.stack.background_runs_finished().await;
        assert!(is_over(&laptop, &call).await);
        scenario
    })
    .await;
}

#[tokio::test]
async fn event_that_comes_again_ends_what_is_left() {
    at_every_request("control-call ends calls", 5, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let (id, call) = live(&laptop, json!({})).await;
        let event = json!({"source": "maskline.hang-up", "conversation": id});
        scenario.run(&laptop, async |functions| drop(functions.try_to_give::<ControlCall>(&event).await)).await;
        let report = Functions::of(&laptop).try_to_give::<ControlCall>(&event).await.unwrap();
        assert_eq!(report, json!({"left": 0}));
        assert!(is_over(&laptop, &call).await);
        scenario
    })
    .await;
}

#[tokio::test]
async fn warning_is_spoken_once_at_most() {
    at_every_request("control-call warns of an end", 5, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let (_, call) = live(&laptop, json!({"warn_minutes": 1, "max_call_seconds": 900})).await;
        // Between the warning and the limit.
        laptop.advance(800);
        let tick = json!({"source": "aws.events"});
        scenario.run(&laptop, async |functions| drop(functions.try_to_give::<ControlCall>(&tick).await)).await;
        for _ in 0..2 {
            Functions::of(&laptop).try_to_give::<ControlCall>(&tick).await.unwrap();
        }
        let report = report(&laptop, &call).await;
        for heard in [&report["phones"]["caller"]["heard"], &report["callees"][0]["heard"]] {
            assert!(heard.to_string().matches("Minutes left").count() <= 1, "{heard}");
        }
        assert_eq!(laptop.vonage(Method::DELETE, "/simulator/faults", Value::Null).await.status, 204);
        scenario
    })
    .await;
}
