//! Decisions of the backend, many at once.

use std::sync::Arc;

use local::decision_backend::{DecisionBackend, Reply};
use serde_json::{Value, json};
use testkit::{Answer, DRIVER, Laptop, conversation, text};

use crate::sandboxes::{at_once, rounds};

async fn create(backend: &DecisionBackend) -> (Arc<Laptop>, Value) {
    let laptop = Laptop::builder().env(&backend.variables()).numbers("GB", 2).dynamodb_from_environment();
    let laptop = laptop.start().await;
    let mut order = conversation();
    (order["notify"], order["decision"]) = (json!(false), json!({"url": backend.url, "on_failure": "refuse"}));
    let created = laptop.post("/conversations", &order).await;
    assert_eq!(created.status, 201, "{created:?}");
    (Arc::new(laptop), created.body)
}

async fn decide(laptop: &Laptop, created: &Value, call: usize) -> Answer {
    let body = json!({"conversation_uuid": format!("CON-{call}"), "payload": {"about": "a decision"}});
    let path = format!("/webhooks/event/{}/decide-b", text(created, "/id"));
    laptop.signed_post(&path, &body.to_string()).await
}

/// Returns the phones that an answer connects to.
fn connects(answer: &Answer) -> Vec<&Value> {
    let actions = answer.body.as_array().into_iter().flatten();
    actions.filter(|action| action["action"] == "connect").map(|action| &action["endpoint"][0]["number"]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn decisions_at_once_connect_the_two_and_leave_one_memory() {
    for _ in 0..rounds() {
        let verdict = json!({"action": "connect", "cache_seconds": 60});
        let backend = DecisionBackend::start(Reply::Json(verdict)).await.unwrap();
        let (laptop, created) = create(&backend).await;
        let answers = at_once((0..32).map(|call| {
            let (laptop, created) = (laptop.clone(), created.clone());
            // Each question comes twice.
            async move { decide(&laptop, &created, call / 2).await }
        }))
        .await;
        for answer in &answers {
            assert!(answer.status == 503 || connects(answer) == [DRIVER], "{answer:?}");
        }
        let asked = backend.received().len();
        assert_eq!(connects(&decide(&laptop, &created, 32).await), [DRIVER]);
        assert_eq!(backend.received().len(), asked, "the answer is remembered");
        laptop.table().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn block_wins_against_decisions_at_once() {
    for _ in 0..rounds() {
        let verdict = json!({"action": "connect", "cache_seconds": 60});
        let backend = DecisionBackend::start(Reply::Json(verdict)).await.unwrap();
        let (laptop, created) = create(&backend).await;
        let path = format!("/conversations/{}", text(&created, "/id"));
        let answers = at_once((0..33).map(|task| {
            let (laptop, created, path) = (laptop.clone(), created.clone(), path.clone());
            async move {
                match task {
                    0 => laptop.patch(&path, &json!({"blocked": "a"})).await,
                    call => decide(&laptop, &created, call).await,
                }
            }
        }))
        .await;
        assert!(answers[1..].iter().all(|answer| connects(answer).iter().all(|number| *number == DRIVER)));
        assert_eq!(answers[0].status, 200, "{:?}", answers[0]);
        let late = decide(&laptop, &created, 99).await;
        assert!(late.status == 200 && connects(&late).is_empty(), "{late:?}");
        laptop.table().await;
    }
}
