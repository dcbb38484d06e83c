//! PINs in a table that was restored to an earlier time.

use std::sync::Arc;

use serde_json::{Value, json};
use testkit::{Laptop, string, text};

const RESTORED: &str = "maskline-restored";

fn people(first: usize) -> [String; 2] {
    [first, first + 1].map(|person| format!("447700900{person:03}"))
}

async fn create(laptop: &Laptop, first: usize) -> Value {
    let participants = people(first).map(|digits| json!({"number": format!("+{digits}")}));
    let order = json!({"participants": participants, "notify": false, "pin": true, "expires_in": 3600});
    let created = laptop.post("/conversations", &order).await;
    assert_eq!(created.status, 201, "{created:?}");
    created.body
}

/// Returns the phone that the first participant of a conversation reaches with the PIN and a hidden number.
async fn reached(laptop: &Laptop, conversation: &Value) -> Option<String> {
    let typed = json!({"from": "anonymous", "to": conversation["participants"][0]["dials"], "uuid": "u",
                       "conversation_uuid": format!("CON-{}", uuid::Uuid::new_v4()),
                       "dtmf": {"digits": conversation["participants"][0]["pin"], "timed_out": false}});
    let answer = laptop.signed_post("/webhooks/event/pin/1", &typed.to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body[1]["endpoint"][0]["number"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn after_a_repair_a_pin_leads_to_its_live_conversation_only() {
    let laptop = Laptop::builder().env(&[("PINS", "on")]).numbers("GB", 2).start().await;
    let [live, torn, ended, extended, moved] = [
        create(&laptop, 1).await,
        create(&laptop, 3).await,
        create(&laptop, 5).await,
        create(&laptop, 7).await,
        create(&laptop, 9).await,
    ];
    laptop.copy_table(RESTORED).await;
    let path = |body: &Value| format!("/conversations/{}", text(body, "/id"));
    assert_eq!(laptop.delete(&path(&ended)).await.status, 200);
    assert_eq!(laptop.patch(&path(&extended), &json!({"expires_in": 500_000})).await.status, 200);
    let phone = json!({"participants": [{"number": "+447700900099"}, null]});
    let moved_since = laptop.patch(&path(&moved), &phone).await.body;
    assert_ne!(moved_since["participants"][0]["pin"], moved["participants"][0]["pin"]);
    let since = create(&laptop, 11).await;
    // A backup may have only a part of a transaction.
    let of_torn = laptop
        .items()
        .await
        .into_iter()
        .filter(|item| text(item, "/pk/S").starts_with("PIN#") && item["conversation"]["S"] == torn["id"]);
    let mut lost = 0;
    for item in of_torn {
        let key = json!({"pk": item["pk"], "sk": item["sk"]});
        assert_eq!(laptop.dynamodb("DeleteItem", json!({"TableName": RESTORED, "Key": key})).await.status, 200);
        lost += 1;
    }
    assert_eq!(lost, 2);

    let environment = laptop.stack.environment.clone().with([("TABLE_NAME".to_owned(), RESTORED.to_owned())]);
    let builder = || Laptop::builder().env(&[("PINS", "on")]).beside(&laptop, RESTORED);
    for _ in 0..2 {
        let restored = local::restore::repair(&environment, Arc::new(laptop.clock.clone())).await.unwrap();
        assert!(restored.failed.is_empty() && restored.unreadable == 0, "{restored:?}");
        let repaired = builder().start().await;
        for (what, conversation, callee) in [
            ("live", &live, Some(people(1)[1].clone())),
            ("torn", &torn, Some(people(3)[1].clone())),
            ("extended", &extended, Some(people(7)[1].clone())),
            ("ended", &ended, None),
            ("moved", &moved, None),
            ("moved, as it was", &moved_since, None),
            ("unknown", &since, None),
        ] {
            assert_eq!(reached(&repaired, conversation).await, callee, "{what}");
        }
        let claimed = repaired.items().await;
        let of = |one: &Value| {
            claimed
                .iter()
                .filter(|item| item["conversation"]["S"] == one["id"] && text(item, "/pk/S").starts_with("PIN#"))
                .map(|item| string(&item["quarantined_until"]["N"]))
                .max()
        };
        assert!(of(&extended) > of(&live), "it is claimed for as long as the conversation needs it");
    }
}
