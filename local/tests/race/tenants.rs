//! Two tenants on one account, at the same time.

use std::collections::BTreeSet;

use serde_json::json;
use testkit::{Laptop, conversation, string};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn tenants_order_and_create_at_once_and_share_nothing() {
    let laptop = std::sync::Arc::new(Laptop::builder().numbers("GB", 3).start().await);
    let mut orders = JoinSet::new();
    for nth in 0..6 {
        let (laptop, tenant) = (laptop.clone(), ["acme", "beta"][nth % 2]);
        orders.spawn(async move {
            let ordered = laptop.post(&format!("/t/{tenant}/numbers"), &json!({"country": "GB", "count": 3})).await;
            assert_eq!(ordered.status, 200, "{ordered:?}");
        });
    }
    orders.join_all().await;
    laptop.run_orders().await;
    assert_eq!(laptop.settled_pool().await.len(), 9, "three for each, and no more");
    let mut creations = JoinSet::new();
    for nth in 0..12 {
        let (laptop, path) = (laptop.clone(), ["", "/t/acme", "/t/beta"][nth % 3]);
        creations.spawn(async move {
            let created = laptop.post(&format!("{path}/conversations"), &conversation()).await;
            let dials = [0, 1].map(|side| created.body["participants"][side].get("dials").map(string));
            (path, created.status, dials)
        });
    }
    let created = creations.join_all().await;
    for path in ["", "/t/acme", "/t/beta"] {
        let of_path: Vec<_> = created.iter().filter(|(of, ..)| *of == path).collect();
        // The rider needs a number for each conversation, and each owner has three.
        assert_eq!(of_path.iter().filter(|(_, status, _)| *status == 201).count(), 3, "{of_path:?}");
        let dialled: BTreeSet<_> = of_path.iter().flat_map(|(_, _, dials)| dials.iter().flatten()).collect();
        assert_eq!(dialled.len(), 3, "{of_path:?}");
    }
    laptop.table().await;
}
