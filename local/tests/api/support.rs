//! `SUPPORT_PHONE`: the phone that strangers and late callers reach.

use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::clock::Clock;
use testkit::{Laptop, RIDER, string, text};

use crate::explained;

const SUPPORT: &str = "442079460000";
const SENTENCE: &str = "This number cannot connect you to anybody at the moment. Connecting you to our support.";

async fn with_support(more: &[(&str, &str)]) -> Laptop {
    let variables = [&[("SUPPORT_PHONE", "+442079460000"), ("MAX_CALL_SECONDS", "600")], more].concat();
    Laptop::builder().env(&variables).numbers("GB", 2).start().await
}

/// Returns the actions of a call. Nobody but who reaches the support phone hears that.
async fn call(laptop: &Laptop, from: &str, to: &str) -> Value {
    let (ncco, decision) = explained::call(laptop, from, to).await;
    assert_eq!(decision["outcome"] == "support", decision["hears"] == SENTENCE, "{decision}");
    ncco
}

#[tokio::test]
async fn strangers_and_late_callers_reach_the_support_phone() {
    let laptop = with_support(&[]).await;
    let created = laptop.create().await;
    let dials = string(&created["participants"][0]["dials"]);
    let connect = json!({"action": "connect", "from": dials, "timeout": 45, "limit": 550,
                         "endpoint": [{"type": "phone", "number": SUPPORT}]});
    assert_eq!(call(&laptop, "447700900555", &dials).await[1], connect);
    assert_ne!(call(&laptop, RIDER, &dials).await[1]["endpoint"][0]["number"], SUPPORT, "the conversation goes on");
    for hidden in ["anonymous", "alice"] {
        assert_eq!(call(&laptop, hidden, &dials).await.as_array().unwrap().len(), 1, "{hidden}");
    }
    assert_eq!(call(&laptop, SUPPORT, &dials).await.as_array().unwrap().len(), 1, "not to itself");
    let path = format!("/conversations/{}", text(&created, "/id"));
    for end in [path.clone(), format!("{path}?erase=true")] {
        laptop.delete(&end).await;
        assert_eq!(call(&laptop, RIDER, &dials).await[1], connect, "{end}");
    }
    // Of the past, only the table tells.
    laptop.advance(10);
    let at = laptop.clock.now() - SignedDuration::from_secs(5);
    let before = laptop.get(&format!("/decisions?from=447700900555&to={dials}&at={at}")).await.body;
    assert_eq!(before["outcome"], "unknown caller", "{before}");
}

#[tokio::test]
async fn legs_to_the_support_phone_are_of_no_conversation() {
    let laptop = with_support(&[]).await;
    let created = laptop.create().await;
    let dials = string(&created["participants"][0]["dials"]);
    let placed = laptop.call(json!({"from": "447700900555", "to": dials, "talk_seconds": 5})).await;
    assert_eq!(placed["phones"]["callee"]["number"], SUPPORT, "{placed}");
    assert!(placed["events"].as_array().unwrap().iter().all(|event| event["http_status"] == 204), "{placed}");
    assert!(laptop.table().await.legs.is_empty());
}

#[tokio::test]
async fn hidden_callers_reach_the_support_phone_only_if_they_may() {
    let laptop = with_support(&[("SUPPORT_PHONE_FOR_HIDDEN", "on")]).await;
    let created = laptop.create().await;
    let dials = text(&created, "/participants/0/dials");
    for hidden in ["anonymous", "alice"] {
        assert_eq!(call(&laptop, hidden, dials).await[1]["endpoint"][0]["number"], SUPPORT, "{hidden}");
    }
}
