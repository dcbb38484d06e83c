//! Crashes of the event webhook while it tells of a missed call.

use create_conversation::CreateConversation;
use event_webhook::EventWebhook;
use keep_recordings::KeepRecordings;
use serde_json::{Value, json};
use shared::service::call_texts::CALL_TEXTS_SOURCE;
use testkit::{Laptop, string};

use crate::events;
use crate::scenario::{Functions, Scenario, at_every_request, builder};

const PHONES: [&str; 2] = ["447700900001", "447700900002"];

/// Returns a webhook to the address of the conversation, signed now.
fn posted(laptop: &Laptop, id: &str, step: Option<&str>, body: &Value) -> Value {
    events::step(id, step, body, &laptop.signature(Some(&body.to_string())))
}

fn busy(mask: &str) -> Value {
    json!({"from": mask, "to": PHONES[1], "uuid": "63f61863-4a51-4f6b-86e1-46edebcf9356",
           "conversation_uuid": "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "direction": "outbound", "status": "busy"})
}

async fn create(laptop: &Laptop, fields: Value) -> Value {
    let mut body =
        json!({"participants": PHONES.map(|number| json!({"number": format!("+{number}")})), "notify": false});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Functions::of(laptop).answer::<CreateConversation>(&events::creation(&body, None)).await.body
}

#[tokio::test]
async fn missed_call_is_texted_once_at_most_after_a_crash() {
    at_every_request("POST /webhooks/event/{id} of a missed call", 6, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let created = create(&laptop, json!({"missed_calls": ["text"]})).await;
        let (id, mask) = (string(&created["id"]), string(&created["participants"][1]["dials"]));
        let event = posted(&laptop, &id, None, &busy(&mask));
        scenario.run(&laptop, async |functions| drop(functions.answer::<EventWebhook>(&event).await)).await;
        for _ in 0..2 {
            let event = posted(&laptop, &id, None, &busy(&mask));
            let answer = Functions::of(&laptop).answer::<EventWebhook>(&event).await;
            assert!(answer.status == 200 && answer.body[0]["action"] == "talk", "{answer:?}");
        }
        let texts = laptop.texts(PHONES[1]).await.len();
        assert!(texts <= 1, "{texts} text messages");
        scenario
    })
    .await;
}

/// A participant with a channel is texted by another function. Either of the two can die.
#[tokio::test]
async fn missed_call_on_a_channel_is_texted_once_at_most() {
    let settings = [("TEXTS_BY", "messages-api"), ("RCS_SENDER", "Rides")];
    let start = async || {
        let laptop = builder().env(&settings).numbers("GB", 2).start().await;
        let people =
            json!([{"number": format!("+{}", PHONES[0])}, {"number": format!("+{}", PHONES[1]), "channel": "rcs"}]);
        let created = create(&laptop, json!({"participants": people, "missed_calls": ["text"]})).await;
        (laptop, created)
    };
    let most = std::cell::Cell::new(0);
    let check = async |laptop: &Laptop| {
        laptop.stack.background_runs_finished().await;
        let texts = laptop.texts(PHONES[1]).await.len();
        assert!(texts <= 1, "{texts} text messages");
        most.set(most.get().max(texts));
    };
    at_every_request("POST /webhooks/event/{id} of a missed call with a channel", 2, async |mut scenario: Scenario| {
        let (laptop, created) = start().await;
        let (id, mask) = (string(&created["id"]), string(&created["participants"][1]["dials"]));
        let event = posted(&laptop, &id, None, &busy(&mask));
        scenario.run(&laptop, async |functions| drop(functions.answer::<EventWebhook>(&event).await)).await;
        for _ in 0..2 {
            let event = posted(&laptop, &id, None, &busy(&mask));
            let answer = Functions::of(&laptop).answer::<EventWebhook>(&event).await;
            assert!(answer.status == 200 && answer.body[0]["action"] == "talk", "{answer:?}");
        }
        check(&laptop).await;
        scenario
    })
    .await;
    assert_eq!(most.replace(0), 1);
    at_every_request("keep-recordings for a text about a call", 6, async |mut scenario: Scenario| {
        let (laptop, created) = start().await;
        let order = json!({"source": CALL_TEXTS_SOURCE, "conversation": created["id"], "to": "B", "about": "missed",
                           "at": laptop.clock_now()});
        let give = async |functions: &Functions| drop(functions.try_to_give::<KeepRecordings>(&order).await);
        scenario.run(&laptop, async |functions| give(&functions).await).await;
        // Lambda may deliver an event twice.
        give(&Functions::of(&laptop)).await;
        check(&laptop).await;
        scenario
    })
    .await;
    assert_eq!(most.get(), 1);
}

#[tokio::test]
async fn key_at_the_guard_counts_once_it_is_stored() {
    at_every_request("POST /webhooks/event/{id}/guard-b", 2, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let created = create(&laptop, json!({"guard": "press_1"})).await;
        let id = string(&created["id"]);
        let key = json!({"uuid": "u", "conversation_uuid": "CON-1", "dtmf": {"digits": "1", "timed_out": false}});
        let connected = std::cell::Cell::new(false);
        let event = posted(&laptop, &id, Some("guard-b"), &key);
        scenario
            .run(&laptop, async |functions| {
                let answer = functions.answer::<EventWebhook>(&event).await;
                connected.set(answer.status == 200);
            })
            .await;
        let after = json!({"conversation_uuid": "CON-1", "payload": {}});
        let answer =
            Functions::of(&laptop).answer::<EventWebhook>(&posted(&laptop, &id, Some("after-b"), &after)).await;
        // Without the answer Vonage asks again. What was answered is stored.
        assert!(!connected.get() || answer.status == 204, "{answer:?}");
        scenario
    })
    .await;
}

#[tokio::test]
async fn safety_key_blocks_and_hangs_up_after_a_crash() {
    at_every_request("POST /webhooks/event/{id}/safety-b", 4, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let created = create(&laptop, json!({"safety_key": true})).await;
        let id = string(&created["id"]);
        let key = json!({"from": PHONES[0], "to": created["participants"][0]["dials"], "uuid": "u",
                         "conversation_uuid": "CON-1", "dtmf": {"digits": "*9", "timed_out": false},
                         "timestamp": "2026-11-22T12:00:00.000Z"});
        let event = posted(&laptop, &id, Some("safety-b"), &key);
        let taken = std::cell::Cell::new(false);
        scenario
            .run(&laptop, async |functions| taken.set(functions.answer::<EventWebhook>(&event).await.status == 204))
            .await;
        let path = format!("/conversations/{id}");
        // What was answered is done. What was not, Vonage tells again.
        assert!(!taken.get() || laptop.get(&path).await.body["blocked"] == "b");
        let event = posted(&laptop, &id, Some("safety-b"), &key);
        assert_eq!(Functions::of(&laptop).answer::<EventWebhook>(&event).await.status, 204);
        assert_eq!(laptop.get(&path).await.body["blocked"], "b");
        scenario
    })
    .await;
}

#[tokio::test]
async fn lost_property_is_texted_once_at_most_after_a_crash() {
    at_every_request("POST /webhooks/event/{id}/late-b", 4, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let created = create(&laptop, json!({"lost_property": true})).await;
        let id = string(&created["id"]);
        assert_eq!(laptop.delete(&format!("/conversations/{id}")).await.status, 200);
        let key = json!({"from": PHONES[0], "to": created["participants"][0]["dials"], "uuid": "u",
                         "conversation_uuid": "CON-1", "dtmf": {"digits": "1", "timed_out": false}});
        let event = posted(&laptop, &id, Some("late-b"), &key);
        scenario.run(&laptop, async |functions| drop(functions.answer::<EventWebhook>(&event).await)).await;
        for _ in 0..2 {
            let event = posted(&laptop, &id, Some("late-b"), &key);
            let answer = Functions::of(&laptop).answer::<EventWebhook>(&event).await;
            assert!(answer.status == 200 && answer.body[0]["action"] == "talk", "{answer:?}");
            assert!(answer.body[1].is_null(), "nobody is connected: {answer:?}");
        }
        let texts = laptop.texts(PHONES[1]).await.len();
        assert!(texts <= 1, "{texts} text messages");
        scenario
    })
    .await;
}
