//! Crashes of the event webhook while it counts a call.

use create_conversation::CreateConversation;
use event_webhook::EventWebhook;
use serde_json::{Value, json};
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
