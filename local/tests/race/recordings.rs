//! Many deliveries, runs and erasures of one message at once.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, conversation, text};

use crate::sandboxes::{at_once, rounds};

/// Starts a laptop with a conversation, and returns it with the event of a message that its rider left, which is not told yet.
async fn left_message() -> (Arc<Laptop>, String, Value) {
    let laptop = Laptop::builder().numbers("GB", 2).dynamodb_from_environment().start().await;
    let mut order = conversation();
    (order["notify"], order["missed_calls"]) = (json!(false), json!(["voicemail"]));
    let created = laptop.post("/conversations", &order).await;
    assert_eq!(created.status, 201, "{created:?}");
    let dials = text(&created.body, "/participants/0/dials");
    let rule = json!({"webhook": "event_url", "contains": "recording_url", "fault": {"kind": "lose"}});
    assert_eq!(laptop.vonage(Method::POST, "/simulator/faults", rule).await.status, 204);
    let call = json!({"from": RIDER, "to": dials, "callee": "busy", "presses": ["2"]});
    let told = laptop.call(call).await;
    (Arc::new(laptop), text(&created.body, "/id").to_owned(), told["recordings"][0].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn message_that_is_told_sixteen_times_at_once_is_texted_once() {
    for _ in 0..rounds() {
        let (laptop, id, event) = left_message().await;
        let path = format!("/webhooks/event/{id}/voicemail-b");
        let answers = at_once((0..16).map(|_| {
            let (laptop, path, event) = (laptop.clone(), path.clone(), event.to_string());
            async move { laptop.signed_post(&path, &event).await.status }
        }))
        .await;
        assert!(answers.contains(&204) && answers.iter().all(|status| [204, 503].contains(status)), "{answers:?}");
        laptop.stack.background_runs_finished().await;
        laptop.advance(3600);
        at_once((0..4).map(|_| {
            let laptop = laptop.clone();
            async move { laptop.stack.run_recordings_schedule().await.map(drop).unwrap() }
        }))
        .await;
        assert_eq!(laptop.texts(DRIVER).await.len(), 1);
        assert_eq!(laptop.stack.bucket.keys().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_file_outlives_an_erasure_that_races_with_its_fetch() {
    for _ in 0..rounds() {
        let (laptop, id, event) = left_message().await;
        let path = format!("/webhooks/event/{id}/voicemail-b");
        at_once((0..4).map(|task| {
            let (laptop, path, event, id) = (laptop.clone(), path.clone(), event.to_string(), id.clone());
            async move {
                match task {
                    0 => drop(laptop.delete(&format!("/conversations/{id}?erase=true")).await),
                    1 => drop(laptop.stack.run_recordings_schedule().await.unwrap()),
                    _ => drop(laptop.signed_post(&path, &event).await),
                }
            }
        }))
        .await;
        laptop.stack.background_runs_finished().await;
        for _ in 0..3 {
            laptop.advance(4 * 3600);
            laptop.delete(&format!("/conversations/{id}?erase=true")).await;
            laptop.stack.run_erasure_schedule().await.unwrap();
            laptop.stack.run_recordings_schedule().await.unwrap();
        }
        assert!(laptop.stack.bucket.keys().is_empty() && laptop.texts(DRIVER).await.len() <= 1);
        let left = laptop.items().await.into_iter().filter(|item| text(item, "/pk/S").starts_with("RECORDING"));
        assert_eq!(left.count(), 0);
    }
}
