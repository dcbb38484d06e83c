//! Crashes of the webhooks while they count a call, or a price for the costs of a tenant.

use create_conversation::CreateConversation;
use event_webhook::EventWebhook;
use message_webhook::MessageWebhook;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::domain::tenant_cost::Spent;
use shared::domain::usage::Usage;
use testkit::{Laptop, string};

use crate::events;
use crate::scenario::{Functions, Scenario, at_every_request, builder};

const PHONES: [&str; 2] = ["447700900001", "447700900002"];

/// Returns the last event of the callee's leg, signed now.
fn completed(laptop: &Laptop, mask: &str) -> Value {
    let body = json!({"from": mask, "to": PHONES[1], "uuid": "63f61863-4a51-4f6b-86e1-46edebcf9356",
                      "conversation_uuid": "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "direction": "outbound",
                      "status": "completed", "duration": "42", "price": "0.02"});
    events::leg(&body, &laptop.signature(Some(&body.to_string())))
}

#[tokio::test]
async fn event_that_comes_again_after_a_crash_counts_once() {
    at_every_request("POST /webhooks/event with a limit", 6, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 2).start().await;
        let body = json!({"participants": PHONES.map(|number| json!({"number": format!("+{number}")})),
                          "notify": false, "max_calls": 1});
        let created = Functions::of(&laptop).answer::<CreateConversation>(&events::creation(&body, None)).await.body;
        let mask = string(&created["participants"][1]["dials"]);
        let event = completed(&laptop, &mask);
        scenario.run(&laptop, async |functions| drop(functions.answer::<EventWebhook>(&event).await)).await;
        laptop.table().await;
        for _ in 0..2 {
            let answer = Functions::of(&laptop).answer::<EventWebhook>(&completed(&laptop, &mask)).await;
            assert_eq!(answer.status, 204, "{answer:?}");
        }
        let table = laptop.table().await;
        let usage: Vec<_> = table.usage.values().copied().collect();
        assert_eq!(usage, [Usage { calls: 1, seconds: 42, spend: "0.02".parse().unwrap() }]);
        assert!(table.routes.values().all(|route| route.exhausted), "{:?}", table.routes);
        scenario
    })
    .await;
}

/// Has a tenant pair the two phones.
async fn create_for_acme(laptop: &Laptop) -> Value {
    laptop.post("/t/acme/numbers", &json!({"country": "GB", "count": 2})).await;
    let participants = PHONES.map(|number| json!({"number": format!("+{number}")}));
    let order = json!({"participants": participants, "notify": false});
    let created = laptop.post("/t/acme/conversations", &order).await;
    assert_eq!(created.status, 201, "{created:?}");
    created.body
}

/// Returns the only sum of a tenant.
async fn spent(laptop: &Laptop) -> Spent {
    let costs: Vec<_> = laptop.table().await.tenant_costs.into_values().collect();
    assert_eq!(costs.len(), 1, "{costs:?}");
    costs[0]
}

#[tokio::test]
async fn price_of_a_tenant_counts_once_after_a_crash() {
    at_every_request("POST /webhooks/event of a tenant", 2, async |mut scenario: Scenario| {
        let laptop = builder().start().await;
        let mask = string(&create_for_acme(&laptop).await["participants"][1]["dials"]);
        let event = completed(&laptop, &mask);
        scenario.run(&laptop, async |functions| drop(functions.answer::<EventWebhook>(&event).await)).await;
        laptop.table().await;
        for _ in 0..2 {
            let answer = Functions::of(&laptop).answer::<EventWebhook>(&completed(&laptop, &mask)).await;
            assert_eq!(answer.status, 204, "{answer:?}");
        }
        let call_cost = "0.02".parse().unwrap();
        assert_eq!(spent(&laptop).await, Spent { seconds: 42, call_cost, ..Spent::default() });
        scenario
    })
    .await;
}

#[tokio::test]
async fn price_of_a_text_of_a_tenant_counts_once_after_a_crash() {
    at_every_request("POST /webhooks/message-status of a tenant", 3, async |mut scenario: Scenario| {
        let laptop = builder().env(&[("TEXTS_BY", "messages-api")]).start().await;
        let created = create_for_acme(&laptop).await;
        let to = created["participants"][0]["dials"].clone();
        laptop.text(json!({"from": PHONES[0], "to": to, "text": "I am at the station."})).await;
        let texts = laptop.get(&format!("/conversations/{}", string(&created["id"]))).await.body["texts"].clone();
        let body = json!({"message_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "to": PHONES[1], "from": to,
                          "status": "submitted", "channel": "sms", "timestamp": format!("{:.3}", laptop.clock.now()),
                          "client_ref": format!("{}.{}", string(&created["id"]), string(&texts[0]["id"])),
                          "usage": {"currency": "EUR", "price": "0.0333"}});
        let receipt = |laptop: &Laptop| events::receipt(&body, &laptop.signature(Some(&body.to_string())));
        let event = receipt(&laptop);
        scenario.run(&laptop, async |functions| drop(functions.answer::<MessageWebhook>(&event).await)).await;
        for _ in 0..2 {
            let answer = Functions::of(&laptop).answer::<MessageWebhook>(&receipt(&laptop)).await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        let text_cost = "0.0333".parse().unwrap();
        assert_eq!(spent(&laptop).await, Spent { texts: 1, text_cost, ..Spent::default() });
        scenario
    })
    .await;
}
