//! Crashes of the command that repairs a restored table.

use create_conversation::CreateConversation;
use end_conversation::EndConversation;
use serde_json::{Value, json};
use testkit::{Laptop, string};
use update_conversation::UpdateConversation;

use crate::events;
use crate::scenario::{Functions, Scenario, at_every_request, builder};

const RESTORED: &str = "restored";

fn people(first: usize) -> [String; 2] {
    [first, first + 1].map(|person| format!("447700900{person:03}"))
}

async fn create(functions: &Functions, first: usize) -> Value {
    let participants = people(first).map(|digits| json!({"number": format!("+{digits}")}));
    let body = json!({"participants": participants, "notify": false});
    let created = functions.answer::<CreateConversation>(&events::creation(&body, None)).await;
    assert_eq!(created.status, 201, "{created:?}");
    created.body
}

/// Returns what the caller hears, or `None` if the call is connected.
async fn heard(laptop: &Laptop, from: &str, to: &str) -> Option<String> {
    let call = json!({"from": from, "to": to, "uuid": "u", "conversation_uuid": "CON-1"});
    let answer = laptop.signed_post("/webhooks/answer", &call.to_string()).await.body;
    answer[1].is_null().then(|| string(&answer[0]["text"]))
}

#[tokio::test]
async fn repeated_repair_finishes_one_after_a_crash() {
    at_every_request("maskline restore", 25, async |mut scenario: Scenario| {
        // On a shared DynamoDB the tables of all stacks are side by side.
        let restored = format!("{RESTORED}-{}", uuid::Uuid::new_v4());
        let laptop = builder().env(&[("NUMBER_LOOKUP", "numbering-plan")]).numbers("GB", 2).start().await;
        let functions = Functions::of(&laptop);
        let [kept, ended, erased, moved] = [
            create(&functions, 1).await,
            create(&functions, 3).await,
            create(&functions, 5).await,
            create(&functions, 7).await,
        ];
        laptop.copy_table(&restored).await;
        let id = |body: &Value| string(&body["id"]);
        functions.answer::<EndConversation>(&events::end(&id(&ended))).await;
        functions.answer::<EndConversation>(&events::erasure(&id(&erased))).await;
        let change = json!({"participants": [{"number": "+447700900099"}, null]});
        functions.answer::<UpdateConversation>(&events::change(&id(&moved), &change)).await;
        let since = create(&functions, 9).await;

        scenario.run(&laptop, async |functions| drop(functions.restore(&restored).await)).await;
        let done = Functions::of(&laptop).restore(&restored).await.unwrap();
        assert!(done.is_complete(), "{done:?}");
        assert_eq!(done.ended_by_restore.iter().map(ToString::to_string).collect::<Vec<_>>(), [id(&moved)]);

        let repaired = Laptop::builder().beside(&laptop, &restored).start().await;
        repaired.table().await;
        let called = async |body: &Value, first: usize| {
            let [a, b] = people(first);
            let dials = |side: usize| string(&body["participants"][side]["dials"]);
            [heard(&repaired, &a, &dials(0)).await, heard(&repaired, &b, &dials(1)).await]
        };
        assert_eq!(called(&kept, 1).await, [None, None]);
        for (body, first) in [(&ended, 3), (&erased, 5), (&moved, 7), (&since, 9)] {
            let [a, b] = called(body, first).await.map(Option::unwrap_or_default);
            assert!(a.contains("has ended") && b.contains("has ended"), "{first}: {a} {b}");
        }
        let new_phone = heard(&repaired, "447700900099", moved["participants"][0]["dials"].as_str().unwrap()).await;
        assert!(new_phone.is_some_and(|words| words.contains("has ended")), "the phone that the table did not know");
        assert_eq!(repaired.get(&format!("/conversations/{}", id(&erased))).await.status, 404);
        let again = Functions::of(&laptop).restore(&restored).await.unwrap();
        assert_eq!((again.brought_up, again.kept_keys, again.erased), (0, 0, 0), "{again:?}");
        scenario
    })
    .await;
}
