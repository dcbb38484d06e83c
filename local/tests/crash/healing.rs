//! Crashes of the schedule while it heals a conversation on a lost number, and of a rotation.

use std::collections::BTreeSet;

use create_conversation::CreateConversation;
use provision_numbers::ProvisionNumbers;
use serde_json::{Value, json};
use shared::domain::conversation::Notification;
use shared::domain::side::Side;
use testkit::{Laptop, string};

use crate::events;
use crate::scenario::{Functions, Scenario, at_every_request, builder};

const RIDER: &str = "447700900001";

/// Returns the numbers that texts of a change name, one for each text message to the rider.
async fn changes(laptop: &Laptop) -> Vec<String> {
    let messages = laptop.simulator("messages").await["messages"].as_array().unwrap().clone();
    let about_change = |message: &&Value| message["to"] == RIDER && string(&message["text"]).contains("has changed");
    messages.iter().filter(about_change).map(|message| string(&message["from"])).collect()
}

/// Checks that the rider has left this number once, and was told at most once. Returns the texts.
async fn moved_once(laptop: &Laptop, old: &str) -> Vec<String> {
    let table = laptop.table().await;
    let [conversation] = &table.conversations[..] else { panic!("{:?}", table.conversations) };
    let rider = conversation.participant(Side::A);
    assert_eq!(rider.previously_seen.iter().map(ToString::to_string).collect::<Vec<_>>(), [old]);
    assert_eq!((conversation.revision, table.routes.len(), table.heals.len()), (1, 3, 0));
    let texts = changes(laptop).await;
    match &rider.notification {
        Notification::Sent => assert_eq!(texts, [rider.sees.to_string()]),
        Notification::Failed(_) => assert_eq!(texts, [""; 0]),
        Notification::Unknown(_) => assert!(texts.len() <= 1, "{texts:?}"),
        other => panic!("{other:?}"),
    }
    texts
}

/// Returns the kinds of the events so far.
fn kinds(laptop: &Laptop) -> BTreeSet<(String, String)> {
    let events = laptop.stack.bus.events();
    let healed = |event: &Value| {
        let detail = &event["detail"];
        detail["healed"].as_str().or(detail["moved"].as_str()).unwrap_or_default().to_owned()
    };
    events.iter().map(|event| (string(&event["detail-type"]), healed(event))).collect()
}

/// Creates a conversation, and returns the number that the rider dials.
async fn dialled(laptop: &Laptop) -> String {
    let body = json!({"participants": [{"number": format!("+{RIDER}")}, {"number": "+447700900002"}]});
    let created = Functions::of(laptop).answer::<CreateConversation>(&events::creation(&body, None)).await;
    assert_eq!(created.status, 201, "{created:?}");
    string(&created.body["participants"][0]["dials"])
}

/// Checks that the next run of the schedule sends no text and no event.
async fn assert_that_is_all(laptop: &Laptop, texts: Vec<String>) {
    let before = laptop.stack.bus.events().len();
    laptop.advance(61);
    Functions::of(laptop).tick().await;
    assert_eq!((changes(laptop).await, laptop.stack.bus.events().len()), (texts, before));
}

#[tokio::test]
async fn conversation_is_healed_once_in_spite_of_a_crash() {
    at_every_request("the schedule, healing", 25, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 3).start().await;
        let old = dialled(&laptop).await;
        let taken = laptop.vonage_form("/number/cancel", &[("country", "GB"), ("msisdn", &old)]).await;
        assert_eq!(taken.status, 200);
        scenario.run(&laptop, async |functions| drop(functions.tick().await)).await;
        laptop.table().await;
        Functions::of(&laptop).tick().await;

        let texts = moved_once(&laptop, &old).await;
        let expected = [("Dialled number lost", "true"), ("Number lost", "")];
        assert_eq!(kinds(&laptop), expected.map(|(kind, healed)| (kind.to_owned(), healed.to_owned())).into());

        assert_that_is_all(&laptop, texts).await;
        scenario
    })
    .await;
}

#[tokio::test]
async fn rotation_is_done_once_in_spite_of_a_crash() {
    at_every_request("a rotation, and the schedule after it", 25, async |mut scenario: Scenario| {
        let laptop = builder().numbers("GB", 3).start().await;
        let old = dialled(&laptop).await;
        let rotate = events::rotate(&old);
        scenario
            .run(&laptop, async |functions| {
                functions.answer::<ProvisionNumbers>(&rotate).await;
                drop(functions.tick().await);
            })
            .await;
        laptop.table().await;
        assert_eq!(Functions::of(&laptop).answer::<ProvisionNumbers>(&rotate).await.status, 200);
        Functions::of(&laptop).tick().await;

        let texts = moved_once(&laptop, &old).await;
        let expected = [("Dialled number rotated", "true"), ("Number rotated", "")];
        assert_eq!(kinds(&laptop), expected.map(|(kind, moved)| (kind.to_owned(), moved.to_owned())).into());
        assert_that_is_all(&laptop, texts).await;
        scenario
    })
    .await;
}
