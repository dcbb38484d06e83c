//! Lists of conversations, beside creations with the same reference and erasures.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use testkit::{Laptop, string, text};

use crate::sandboxes::{at_once, phone, rounds, start};

/// Number of conversations that are created at the same time.
const CREATED: usize = 16;

async fn create(laptop: Arc<Laptop>, nth: usize) -> String {
    let participants = [2 * nth, 2 * nth + 1].map(|person| json!({"number": format!("+{}", phone(person))}));
    let order = json!({"participants": participants, "notify": false, "reference": "often"});
    let created = laptop.post("/conversations", &order).await;
    assert_eq!(created.status, 201, "{created:?}");
    string(&created.body["id"])
}

/// Returns the ids of all pages of a list.
async fn listed(laptop: &Laptop, query: &str) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = laptop.get(&format!("/conversations?{query}&limit=3{cursor}")).await;
        assert_eq!(page.status, 200, "{page:?}");
        let page: Value = page.body;
        found.extend(page["conversations"].as_array().unwrap().iter().map(|one| string(&one["id"])));
        if page["next"].is_null() {
            return found;
        }
        cursor = format!("&cursor={}", text(&page, "/next"));
    }
}

enum Operation {
    Erase(String),
    List(&'static str),
}

/// Returns what was listed.
async fn perform(laptop: Arc<Laptop>, operation: Operation) -> Option<Vec<String>> {
    match operation {
        Operation::Erase(id) => {
            assert_eq!(laptop.delete(&format!("/conversations/{id}?erase=true")).await.status, 204);
            None
        }
        Operation::List(query) => Some(listed(&laptop, query).await),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lists_have_each_conversation_once_beside_erasures() {
    for _ in 0..rounds() {
        let (laptop, _sandboxes) = start(&[("LIST_CONVERSATIONS", "on")]).await;
        laptop.rent("GB", 4).await;
        let laptop = Arc::new(laptop);
        let created = at_once((0..CREATED).map(|nth| create(laptop.clone(), nth))).await;
        let all: BTreeSet<String> = created.iter().cloned().collect();
        for query in ["", "reference=often"] {
            let found = listed(&laptop, query).await;
            assert_eq!(found.len(), CREATED, "{query}");
            assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), all, "{query}");
        }
        let (erased, kept) = created.split_at(CREATED / 2);
        let lists = ["", "reference=often", "state=active"].map(Operation::List);
        let operations = erased.iter().cloned().map(Operation::Erase).chain(lists);
        let seen = at_once(operations.map(|operation| perform(laptop.clone(), operation))).await;
        for found in seen.into_iter().flatten() {
            let once: BTreeSet<_> = found.iter().collect();
            assert_eq!(once.len(), found.len(), "{found:?}");
            assert!(kept.iter().all(|id| once.contains(id)), "one that is kept is missing: {found:?}");
        }
        for query in ["", "reference=often"] {
            let found: BTreeSet<_> = listed(&laptop, query).await.into_iter().collect();
            assert_eq!(found, kept.iter().cloned().collect(), "{query}");
        }
        assert_eq!(laptop.table().await.lists.len(), 4 * kept.len());
    }
}
