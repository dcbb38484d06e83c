//! The same request to place a call, many times at once.

use std::sync::Arc;

use reqwest::Method;
use serde_json::json;
use testkit::{Laptop, conversation, text};

use crate::sandboxes::{at_once, rounds};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_equal_requests_place_one_call() {
    for _ in 0..rounds() {
        let laptop = Laptop::builder().numbers("GB", 2).dynamodb_from_environment().start().await;
        let laptop = Arc::new(laptop);
        let mut order = conversation();
        order["notify"] = json!(false);
        let created = laptop.post("/conversations", &order).await.body;
        let path = format!("/conversations/{}/calls", text(&created, "/id"));
        let answers = at_once((0..16).map(|_| {
            let (laptop, path) = (laptop.clone(), path.clone());
            async move {
                let request = laptop.request(Method::POST, &path).header("Idempotency-Key", "ride-1");
                laptop.answer(request.body(json!({"from": "a"}).to_string())).await
            }
        }))
        .await;
        let calls: Vec<_> = answers.iter().filter(|answer| answer.status < 300).map(|answer| &answer.body).collect();
        assert!(!calls.is_empty() && calls.iter().all(|call| *call == calls[0]), "{answers:?}");
        assert!(answers.iter().all(|answer| [200, 201, 503].contains(&answer.status)), "{answers:?}");
        let requests = laptop.simulator("requests?path=/v1/calls").await["requests"].as_array().unwrap().clone();
        assert_eq!(requests.iter().filter(|request| request["method"] == "POST").count(), 1);
        let again = laptop.request(Method::POST, &path).header("Idempotency-Key", "ride-1");
        let again = laptop.answer(again.body(json!({"from": "a"}).to_string())).await;
        assert_eq!((again.status, &again.body), (200, calls[0]));
    }
}
