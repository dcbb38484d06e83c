//! Crashes of the event webhook while it looks up a PIN.

use create_conversation::CreateConversation;
use event_webhook::EventWebhook;
use serde_json::{Value, json};
use testkit::{Laptop, string};

use crate::events;
use crate::scenario::{Functions, Scenario, at_every_request, builder};

const PHONES: [&str; 2] = ["447700900001", "447700900002"];

/// A phone of no conversation.
const OTHER: &str = "447700900555";

/// Returns the webhook of a PIN, signed now.
fn typed(laptop: &Laptop, from: &str, dialled: &str, nth: u8, digits: &str) -> Value {
    let body = json!({"from": from, "to": dialled, "uuid": "u", "conversation_uuid": "CON-1",
                      "dtmf": {"digits": digits, "timed_out": false}});
    events::pin(nth, &body, &laptop.signature(Some(&body.to_string())))
}

#[tokio::test]
async fn pin_typed_again_after_a_crash_connects_to_the_same_person() {
    at_every_request("POST /webhooks/event/pin/{nth}", 7, async |mut scenario: Scenario| {
        let laptop = builder().env(&[("PINS", "on")]).numbers("GB", 2).start().await;
        let participants = PHONES.map(|number| json!({"number": format!("+{number}")}));
        let body = json!({"participants": participants, "notify": false, "pin": true});
        let created = Functions::of(&laptop).answer::<CreateConversation>(&events::creation(&body, None)).await.body;
        let [dials, pin] = ["dials", "pin"].map(|name| string(&created["participants"][0][name]));
        let event = typed(&laptop, "anonymous", &dials, 1, &pin);
        scenario.run(&laptop, async |functions| drop(functions.answer::<EventWebhook>(&event).await)).await;
        for _ in 0..2 {
            let again =
                Functions::of(&laptop).answer::<EventWebhook>(&typed(&laptop, "anonymous", &dials, 1, &pin)).await;
            assert_eq!((again.status, &again.body[1]["endpoint"][0]["number"]), (200, &json!(PHONES[1])), "{again:?}");
        }
        let items = laptop.items().await;
        let legs = items.iter().filter(|item| item["sk"]["S"].as_str().unwrap().starts_with("LEG#"));
        assert_eq!(legs.count(), 1);
        scenario
    })
    .await;
}

#[tokio::test]
async fn phone_remembered_in_a_crash_is_there_once() {
    at_every_request("POST /webhooks/event/pin/{nth}", 10, async |mut scenario: Scenario| {
        let laptop = builder().env(&[("PINS", "on")]).numbers("GB", 2).start().await;
        let participants = PHONES.map(|number| json!({"number": format!("+{number}")}));
        let body = json!({"participants": participants, "notify": false, "pin": true, "pin_remembers_phones": true});
        let created = Functions::of(&laptop).answer::<CreateConversation>(&events::creation(&body, None)).await.body;
        let [dials, pin] = ["dials", "pin"].map(|name| string(&created["participants"][0][name]));
        let typed = || typed(&laptop, OTHER, &dials, 1, &pin);
        let event = typed();
        scenario.run(&laptop, async |functions| drop(functions.answer::<EventWebhook>(&event).await)).await;
        let again = Functions::of(&laptop).answer::<EventWebhook>(&typed()).await;
        assert_eq!((again.status, &again.body[1]["endpoint"][0]["number"]), (200, &json!(PHONES[1])), "{again:?}");
        let told = laptop.call(json!({"from": OTHER, "to": dials})).await;
        assert_eq!(told["phones"]["callee"]["number"], PHONES[1], "{told}");
        let path = format!("/conversations/{}", string(&created["id"]));
        let phones = laptop.get(&path).await.body["participants"][0]["phones"].clone();
        assert_eq!(phones.as_array().unwrap().len(), 1, "{phones}");
        scenario
    })
    .await;
}
