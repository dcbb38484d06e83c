//! Crashes while a request places a call.

use control_call::ControlCall;
use create_conversation::CreateConversation;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Laptop, string, text};

use crate::events;
use crate::scenario::{Functions, Scenario, at_every_request, builder};

const PHONES: [&str; 2] = ["447700900001", "447700900002"];

/// Returns the number of calls that Vonage has placed: each has sent events.
async fn placed(laptop: &Laptop, conversation: &Value, call: &Value) -> usize {
    laptop.simulator(&format!("calls/{}", text(call, "/conversation_uuid"))).await;
    let read = laptop.get(&format!("/conversations/{}", text(conversation, "/id"))).await.body;
    read["calls"].as_array().unwrap().len()
}

#[tokio::test]
async fn request_places_one_call_whatever_fails() {
    at_every_request("POST /conversations/{id}/calls", 5, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let silent = json!({"callee": "voicemail"});
        assert_eq!(laptop.vonage(Method::PUT, "/simulator/created-calls", silent).await.status, 204);
        let body =
            json!({"participants": PHONES.map(|number| json!({"number": format!("+{number}")})), "notify": false});
        let created = Functions::of(&laptop).answer::<CreateConversation>(&events::creation(&body, None)).await.body;
        let gateway = laptop.stack.gateway_url.strip_prefix("http://").unwrap();
        let event = events::place(&string(&created["id"]), "a", "ride-1", gateway);
        scenario.run(&laptop, async |functions| drop(functions.answer::<ControlCall>(&event).await)).await;
        // Nothing of that run is under way any more.
        laptop.advance(121);
        let answer = Functions::of(&laptop).answer::<ControlCall>(&event).await;
        assert!([200, 201].contains(&answer.status), "{answer:?}");
        let again = Functions::of(&laptop).answer::<ControlCall>(&event).await;
        assert_eq!((again.status, &again.body), (200, &answer.body));
        assert_eq!(placed(&laptop, &created, &answer.body).await, 1);
        scenario
    })
    .await;
}
