//! Crashes while a call tries several phones.

use create_conversation::CreateConversation;
use event_webhook::EventWebhook;
use serde_json::{Value, json};
use testkit::{Laptop, string};
use update_conversation::UpdateConversation;

use crate::events;
use crate::scenario::{Functions, Scenario, at_every_request, builder};

const PHONES: [&str; 3] = ["447700900001", "447700900002", "447700900003"];

fn order(key: &str) -> Value {
    let [rider, driver, second] = PHONES.map(|number| json!({"number": format!("+{number}")}));
    let mut driver = driver;
    driver["phones"] = json!([second]);
    let body = json!({"participants": [rider, driver], "notify": false, "max_calls": 10});
    events::creation(&body, Some(key))
}

#[tokio::test]
async fn next_phone_is_the_same_after_a_crash() {
    at_every_request("POST /webhooks/event/{id}/leg-b-1", 6, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let created = Functions::of(&laptop).answer::<CreateConversation>(&order("one")).await.body;
        let (id, mask) = (string(&created["id"]), string(&created["participants"][1]["dials"]));
        let busy = json!({"from": mask, "to": PHONES[1], "uuid": "63f61863-4a51-4f6b-86e1-46edebcf9356",
                          "conversation_uuid": "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "direction": "outbound",
                          "status": "busy"});
        let step = format!("leg-b-1.0.{}", created_second(&laptop));
        let event = || events::step(&id, Some(&step), &busy, &laptop.signature(Some(&busy.to_string())));
        scenario.run(&laptop, async |functions| drop(functions.answer::<EventWebhook>(&event()).await)).await;
        for _ in 0..2 {
            let answer = Functions::of(&laptop).answer::<EventWebhook>(&event()).await;
            assert_eq!(
                (answer.status, &answer.body[0]["endpoint"][0]["number"]),
                (200, &json!(PHONES[2])),
                "{answer:?}"
            );
        }
        let table = laptop.table().await;
        assert_eq!(table.usage[&id.as_str().try_into().unwrap()].calls, 1, "counted once");
        scenario
    })
    .await;
}

fn created_second(laptop: &Laptop) -> i64 {
    use shared::clock::Clock;
    laptop.clock.now().as_second()
}

#[tokio::test]
async fn conversation_has_all_phones_or_none_after_a_crash() {
    at_every_request("POST /conversations with a further phone", 8, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        scenario
            .run(&laptop, async |functions| drop(functions.answer::<CreateConversation>(&order("two")).await))
            .await;
        // It checks that each phone has its route.
        laptop.table().await;
        let created = Functions::of(&laptop).answer::<CreateConversation>(&order("two")).await;
        assert!(matches!(created.status, 200 | 201), "{created:?}");
        assert_eq!(laptop.table().await.conversations.len(), 1);
        scenario
    })
    .await;
}

#[tokio::test]
async fn member_joins_wholly_or_not_at_all_after_a_crash() {
    at_every_request("PATCH /conversations/{id} of a team", 5, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let created = Functions::of(&laptop).answer::<CreateConversation>(&order("three")).await.body;
        let id = string(&created["id"]);
        let joins = json!({"participants": [null, {"phones": [{"number": "+447700900004", "name": "Anna"}]}]});
        let change = events::change(&id, &joins);
        scenario.run(&laptop, async |functions| drop(functions.answer::<UpdateConversation>(&change).await)).await;
        // It checks that each present phone has its route, and each that has left is in quarantine.
        laptop.table().await;
        let changed = Functions::of(&laptop).answer::<UpdateConversation>(&change).await;
        assert_eq!(
            (changed.status, &changed.body["participants"][1]["phones"][0]["number"]),
            (200, &json!("447700900004"))
        );
        let table = laptop.table().await;
        assert_eq!(table.conversations[0].participants[1].further.len(), 2, "it joined once");
        scenario
    })
    .await;
}
