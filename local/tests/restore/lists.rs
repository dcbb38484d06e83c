//! The lists of conversations in a table that was restored to an earlier time.

use std::sync::Arc;

use serde_json::json;
use testkit::{DRIVER, Laptop, RIDER, string, text};

const RESTORED: &str = "maskline-restored";
const LISTS: [(&str, &str); 1] = [("LIST_CONVERSATIONS", "on")];

#[tokio::test]
async fn after_a_repair_no_list_has_what_was_erased() {
    let laptop = Laptop::builder().env(&LISTS).numbers("GB", 3).start().await;
    let mut created = Vec::new();
    for other in [DRIVER, "447700900003"] {
        let participants = json!([{"number": format!("+{RIDER}")}, {"number": format!("+{other}")}]);
        let order = json!({"participants": participants, "reference": "ride of Ms Rider"});
        created.push(laptop.post("/conversations", &order).await.body);
    }
    laptop.copy_table(RESTORED).await;
    laptop.advance(1);
    let [erased, ended] = [&created[0], &created[1]].map(|conversation| string(&conversation["id"]));
    assert_eq!(laptop.delete(&format!("/conversations/{erased}?erase=true")).await.status, 204);
    assert_eq!(laptop.delete(&format!("/conversations/{ended}")).await.status, 200);

    let environment = laptop.stack.environment.clone().with([("TABLE_NAME".to_owned(), RESTORED.to_owned())]);
    local::restore::repair(&environment, Arc::new(laptop.clock.clone())).await.unwrap();
    let repaired = Laptop::builder().env(&LISTS).beside(&laptop, RESTORED).start().await;
    let masked_by = text(&created[1], "/participants/0/masked_by");
    for query in ["", "reference=ride%20of%20Ms%20Rider", &format!("masked_by=%2B{masked_by}")] {
        let listed = repaired.get(&format!("/conversations?{query}")).await;
        assert_eq!(listed.status, 200, "{query}: {listed:?}");
        let listed = listed.body;
        let ids: Vec<_> = listed["conversations"].as_array().unwrap().iter().map(|one| text(one, "/id")).collect();
        assert_eq!(ids, [&ended], "{query}: {listed}");
        assert_eq!(text(&listed, "/conversations/0/state"), "ended", "{query}: {listed}");
    }
    let keys = repaired.items().await.into_iter().map(|item| item["pk"].to_string() + &item["sk"].to_string());
    let of_lists: Vec<_> = keys.filter(|key| key.contains("LIST") && key.contains(&erased)).collect();
    assert!(of_lists.is_empty(), "{of_lists:?}");
    repaired.table().await;
}
