//! Keys of a call that arrive at the same time as each other and as other changes.

use std::sync::Arc;

use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, conversation, text};

use crate::sandboxes::{at_once, rounds};

async fn start() -> (Arc<Laptop>, Value) {
    let laptop = Laptop::builder().numbers("GB", 2).dynamodb_from_environment().start().await;
    let mut order = conversation();
    (order["notify"], order["safety_key"]) = (json!(false), json!(true));
    let created = laptop.post("/conversations", &order).await;
    assert_eq!(created.status, 201, "{created:?}");
    (Arc::new(laptop), created.body)
}

/// Returns the webhook of a key on the rider's leg.
fn key(created: &Value, digit: &str, second: usize) -> (String, String) {
    let body = json!({"from": RIDER, "to": created["participants"][0]["dials"], "uuid": "u", "conversation_uuid": "CON-1",
                      "dtmf": {"digits": digit}, "timestamp": format!("2026-11-22T12:00:{second:02}Z")});
    (format!("/webhooks/event/{}/safety-b", text(created, "/id")), body.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn both_keys_at_once_and_twice_block_once() {
    for _ in 0..rounds() {
        let (laptop, created) = start().await;
        let answers = at_once((0..4).map(|task| {
            let (digit, second) = if task % 2 == 0 { ("*", 1) } else { ("9", 2) };
            let (laptop, (path, body)) = (laptop.clone(), key(&created, digit, second));
            async move { laptop.signed_post(&path, &body).await }
        }))
        .await;
        assert!(answers.iter().all(|answer| answer.status == 204), "{answers:?}");
        let path = format!("/conversations/{}", text(&created, "/id"));
        assert_eq!(laptop.get(&path).await.body["blocked"], "b");
        let items = laptop.items().await;
        let stored = items.iter().find(|item| item["sk"]["S"] == "CONVERSATION").unwrap();
        assert_eq!(stored["revision"]["N"], "1", "one change");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn press_survives_changes_and_leaves_nothing_of_erased_call() {
    for erases in [false, true].into_iter().cycle().take(2 * rounds()) {
        let (laptop, created) = start().await;
        let path = format!("/conversations/{}", text(&created, "/id"));
        let answers = at_once((0..8).map(|task| {
            let (laptop, path, press) = (laptop.clone(), path.clone(), key(&created, "*9", 5));
            async move {
                let answer = match task {
                    0 if erases => laptop.delete(&format!("{path}?erase=true")).await,
                    1 | 2 => laptop.patch(&path, &json!({"expires_in": 600 + task})).await,
                    3 => laptop.patch(&path, &json!({"participants": [null, {"number": "+447700900077"}]})).await,
                    _ => laptop.signed_post(&press.0, &press.1).await,
                };
                assert!(answer.status < 500 || answer.status == 503, "{task}: {answer:?}");
                answer.status
            }
        }))
        .await;
        drop(answers);
        // Vonage tells of it again.
        let press = key(&created, "*9", 5);
        assert_eq!(laptop.signed_post(&press.0, &press.1).await.status, 204);
        if erases {
            let id = text(&created, "/id");
            let left: Vec<_> = laptop.items().await.into_iter().filter(|item| item.to_string().contains(id)).collect();
            assert!(left.iter().all(|item| item["star_keys"].is_null()), "{left:?}");
            continue;
        }
        assert_eq!(laptop.get(&path).await.body["blocked"], "b");
        for from in [DRIVER, "447700900077"] {
            let call = laptop.call(json!({"from": from, "to": created["participants"][1]["dials"]})).await;
            assert!(call["phones"]["callee"].is_null(), "{call}");
        }
        laptop.table().await;
    }
}
