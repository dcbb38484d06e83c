//! Crashes of the event webhook while the backend decides about a call.

use create_conversation::CreateConversation;
use event_webhook::EventWebhook;
use local::decision_backend::{DecisionBackend, Reply};
use serde_json::{Value, json};
use testkit::{Laptop, string};

use crate::events;
use crate::scenario::{Functions, Scenario, at_every_request, builder};

const PHONES: [&str; 2] = ["447700900001", "447700900002"];

async fn start(reply: Reply) -> (DecisionBackend, Laptop, String) {
    let backend = DecisionBackend::start(reply).await.unwrap();
    let laptop = builder().env(&backend.variables()).env(&[("DECISION_TIME_LIMIT_MS", "3000")]);
    let laptop = laptop.numbers("GB", 2).start().await;
    let participants = PHONES.map(|number| json!({"number": format!("+{number}")}));
    let decision = json!({"url": backend.url, "on_failure": "refuse"});
    let body = json!({"participants": participants, "notify": false, "decision": decision});
    let created = Functions::of(&laptop).answer::<CreateConversation>(&events::creation(&body, None)).await.body;
    (backend, laptop, string(&created["id"]))
}

/// Returns the webhook that asks for the decision, signed now.
fn asked(laptop: &Laptop, id: &str) -> Value {
    let body = json!({"conversation_uuid": "CON-1", "payload": {"about": "a decision"}});
    events::step(id, Some("decide-b"), &body, &laptop.signature(Some(&body.to_string())))
}

#[tokio::test]
async fn decision_asked_again_after_a_crash_connects_the_two() {
    at_every_request("POST /webhooks/event/{id}/decide-b", 4, async |mut scenario: Scenario| {
        let (backend, laptop, id) = start(Reply::Json(json!({"action": "connect", "cache_seconds": 600}))).await;
        let event = asked(&laptop, &id);
        scenario.run(&laptop, async |functions| drop(functions.answer::<EventWebhook>(&event).await)).await;
        for _ in 0..2 {
            let again = Functions::of(&laptop).answer::<EventWebhook>(&asked(&laptop, &id)).await;
            assert_eq!((again.status, &again.body[1]["endpoint"][0]["number"]), (200, &json!(PHONES[1])), "{again:?}");
        }
        let ids: Vec<_> = backend.received().iter().map(|question| question.headers["webhook-id"].clone()).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "the backend can tell that it is the same call: {ids:?}");
        laptop.table().await;
        scenario
    })
    .await;
}

#[tokio::test]
async fn crash_before_the_answer_of_the_backend_changes_nothing() {
    let (backend, laptop, id) = start(Reply::Never).await;
    let event = asked(&laptop, &id);
    let functions = Functions::of(&laptop);
    tokio::select! {
        () = backend.has_received(1) => {}
        answer = functions.answer::<EventWebhook>(&event) => panic!("{answer:?}"),
    }
    backend.replies(Reply::Json(json!({"action": "connect"})));
    let again = Functions::of(&laptop).answer::<EventWebhook>(&asked(&laptop, &id)).await;
    assert_eq!((again.status, &again.body[1]["endpoint"][0]["number"]), (200, &json!(PHONES[1])), "{again:?}");
}
