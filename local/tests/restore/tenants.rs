//! The costs and the words of a tenant in a table that was restored to an earlier time.

use std::sync::Arc;

use serde_json::{Value, json};
use shared::domain::tenant_cost::Spent;
use testkit::{DRIVER, Laptop, conversation, string};

const RESTORED: &str = "maskline-restored";

/// Returns the last event of the callee's leg of a call.
fn completed(laptop: &Laptop, conversation: &Value, uuid: &str) -> Value {
    json!({"from": conversation["participants"][1]["dials"], "to": DRIVER, "status": "completed", "uuid": uuid,
           "timestamp": format!("{:.3}", laptop.clock_now()), "conversation_uuid": "CON-1", "direction": "outbound",
           "duration": "42", "price": "0.02"})
}

async fn spent(laptop: &Laptop) -> Spent {
    let costs: Vec<_> = laptop.table().await.tenant_costs.into_values().collect();
    assert_eq!(costs.len(), 1, "{costs:?}");
    costs[0]
}

fn of_calls(count: i64) -> Spent {
    Spent { seconds: 42 * count, call_cost: rust_decimal::Decimal::new(2 * count, 2), ..Spent::default() }
}

#[tokio::test]
async fn after_a_repair_each_price_counts_once() {
    let laptop = Laptop::start().await;
    laptop.post("/t/acme/numbers", &json!({"country": "GB", "count": 2})).await;
    let created = laptop.post("/t/acme/conversations", &conversation()).await.body;
    let [before, since] = ["leg-1", "leg-2"].map(|uuid| completed(&laptop, &created, uuid));
    assert_eq!(laptop.event(&before).await.status, 204);
    laptop.copy_table(RESTORED).await;
    laptop.advance(1);
    assert_eq!(laptop.event(&since).await.status, 204);
    assert_eq!(spent(&laptop).await, of_calls(2));
    let environment = laptop.stack.environment.clone().with([("TABLE_NAME".to_owned(), RESTORED.to_owned())]);
    local::restore::repair(&environment, Arc::new(laptop.clock.clone())).await.unwrap();
    let repaired = Laptop::builder().beside(&laptop, RESTORED).start().await;
    assert_eq!(spent(&repaired).await, of_calls(1), "sums and legs are of the same moment");
    // Vonage repeats both for a while.
    for event in [&since, &before, &since] {
        assert_eq!(repaired.event(event).await.status, 204);
    }
    assert_eq!(spent(&repaired).await, of_calls(2));
    let shown = repaired.get("/tenants/acme").await.body;
    assert_eq!(string(&shown["spent"][0]["call_cost"]), "0.04", "{shown}");
}

#[tokio::test]
async fn after_a_repair_a_receiver_hears_the_words_of_the_tenant() {
    let words = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tenant-words.json");
    let env = [("BRAND", "Rides"), ("WORDS_FILE", words)];
    let laptop = Laptop::builder().env(&env).start().await;
    laptop.post("/t/acme/numbers", &json!({"country": "GB", "count": 2})).await;
    laptop.copy_table(RESTORED).await;
    let mut order = conversation();
    order["direction"] = json!("a_to_b");
    let created = laptop.post("/t/acme/conversations", &order).await.body;
    let environment = laptop.stack.environment.clone().with([("TABLE_NAME".to_owned(), RESTORED.to_owned())]);
    let done = local::restore::repair(&environment, Arc::new(laptop.clock.clone())).await.unwrap();
    assert!(done.kept_keys > 0, "{done:?}");
    let repaired = Laptop::builder().env(&env).beside(&laptop, RESTORED).start().await;
    let call = repaired.call(json!({"from": DRIVER, "to": created["participants"][0]["masked_by"]})).await;
    let heard = call["phones"]["caller"]["heard"].to_string();
    assert!(heard.contains("Acme Rides only calls you."), "{call}");
}
