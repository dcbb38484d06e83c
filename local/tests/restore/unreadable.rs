//! Items of the journal and of the restored table that cannot be read.

use std::sync::Arc;

use serde_json::{Value, json};
use shared::clock::Clock;
use shared::domain::conversation::ConversationId;
use shared::domain::phone::PhoneNumber;
use shared::store::Store;
use testkit::{Laptop, text};

const RESTORED: &str = "restored";

fn order(first: usize) -> Value {
    let people = [first, first + 1].map(|person| json!({"number": format!("+447700900{person:03}")}));
    json!({"participants": people, "notify": false})
}

async fn create(laptop: &Laptop, first: usize) -> (ConversationId, Value) {
    let created = laptop.post("/conversations", &order(first)).await;
    assert_eq!(created.status, 201, "{created:?}");
    (text(&created.body, "/id").try_into().unwrap(), created.body)
}

/// Replaces an item by one of a version that nobody has written yet.
async fn spoil(laptop: &Laptop, table: &str, id: ConversationId, sk: &str) {
    let key = json!({"pk": {"S": format!("CONVERSATION#{id}")}, "sk": {"S": sk}});
    let update = json!({"TableName": table, "Key": key, "UpdateExpression": "SET v = :v",
                        "ConditionExpression": "attribute_exists(pk)", "ExpressionAttributeValues": {":v": {"N": "99"}}});
    let spoiled = laptop.dynamodb("UpdateItem", update).await;
    assert_eq!(spoiled.status, 200, "{spoiled:?}");
}

#[tokio::test]
async fn unreadable_item_is_reported_and_the_rest_repaired() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let [ended, erased, spoiled_there, spoiled] =
        [create(&laptop, 1).await, create(&laptop, 3).await, create(&laptop, 5).await, create(&laptop, 7).await];
    laptop.copy_table(RESTORED).await;
    for (id, _) in [&ended, &spoiled_there, &spoiled] {
        assert_eq!(laptop.delete(&format!("/conversations/{id}")).await.status, 200);
    }
    assert_eq!(laptop.delete(&format!("/conversations/{}?erase=true", erased.0)).await.status, 204);
    let (since, _) = create(&laptop, 9).await;
    create(&laptop, 11).await;
    spoil(&laptop, "maskline-journal", spoiled.0, "CHANGE").await;
    spoil(&laptop, "maskline-journal", since, "KEYS").await;
    spoil(&laptop, RESTORED, spoiled_there.0, "CONVERSATION").await;

    let environment = laptop.stack.environment.clone().with([("TABLE_NAME".to_owned(), RESTORED.to_owned())]);
    let clock = || Arc::new(laptop.clock.clone());
    let restored = local::restore::repair(&environment, clock()).await.unwrap();
    assert!(!restored.is_complete());
    assert_eq!(restored.failed, [spoiled_there.0, spoiled.0, since].into(), "{restored:?}");
    assert_eq!((restored.brought_up, restored.erased, restored.kept_keys), (2, 1, 2), "the rest: {restored:?}");
    assert!(restored.unreadable >= 3 && restored.is_pool_compared, "{restored:?}");
    let report = local::restore::report(&restored);
    assert!(report.contains(&since.to_string()) && !report.contains("447700900"), "{report}");
}

#[tokio::test]
async fn conversation_with_a_number_of_a_later_one_is_ended() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let long = async |people: [usize; 2]| {
        let people = people.map(|person| json!({"number": format!("+447700900{person:03}")}));
        let order = json!({"participants": people, "notify": false, "expires_in": 1_000_000});
        let created = laptop.post("/conversations", &order).await;
        assert_eq!(created.status, 201, "{created:?}");
        created.body
    };
    let body = long([1, 2]).await;
    let id = text(&body, "/id").try_into().unwrap();
    laptop.copy_table(RESTORED).await;
    // It ended, and another conversation has got its number after the quarantine. But nobody can read that it ended.
    assert_eq!(laptop.delete(&format!("/conversations/{id}")).await.status, 200);
    spoil(&laptop, "maskline-journal", id, "CHANGE").await;
    laptop.advance(86_401);
    let dials = |body: &Value| text(body, "/participants/0/dials").to_owned();
    let mut next = long([1, 20]).await;
    if dials(&next) != dials(&body) {
        next = long([1, 21]).await;
    }
    assert_eq!(dials(&next), dials(&body));

    let environment = laptop.stack.environment.clone().with([("TABLE_NAME".to_owned(), RESTORED.to_owned())]);
    let store = Store::connect(&environment).unwrap();
    let [caller, number] = ["447700900001", &dials(&body)].map(|digits| PhoneNumber::try_from(digits).unwrap());
    let (caller, number) = (caller.into(), number.into());
    let owner = async || store.key_owner(&caller, &number).await.unwrap().unwrap();
    assert!(owner().await.is_live(laptop.clock.now()), "it would lead to a person from before");
    let done = local::restore::repair(&environment, Arc::new(laptop.clock.clone())).await.unwrap();
    assert_eq!((done.failed, done.ended_by_restore), ([id].into(), [id].into()));
    let owner = owner().await;
    assert!(owner.is_in_use(laptop.clock.now()) && !owner.is_live(laptop.clock.now()), "{owner:?}");
    assert_eq!(owner.conversation(), Some(text(&next, "/id").try_into().unwrap()));
}
