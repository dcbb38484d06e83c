//! The end of a conversation while a call of it is answered, and warnings by several runs at once.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, text};

use crate::sandboxes::{at_once, rounds};

async fn create(fields: Value) -> (Arc<Laptop>, Value) {
    let laptop = Laptop::builder().numbers("GB", 2).dynamodb_from_environment().start().await;
    let mut order =
        json!({"participants": [{"number": format!("+{RIDER}")}, {"number": format!("+{DRIVER}")}], "notify": false});
    order.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let created = laptop.post("/conversations", &order).await;
    assert_eq!(created.status, 201, "{created:?}");
    (Arc::new(laptop), created.body)
}

async fn live(laptop: &Laptop, conversation: &Value) -> String {
    let dials = text(conversation, "/participants/0/dials");
    let call = laptop.call(json!({"from": RIDER, "to": dials, "lives": true})).await;
    laptop.advance(3);
    text(&call, "/conversation_uuid").to_owned()
}

async fn report(laptop: &Laptop, call: &str) -> Value {
    laptop.simulator(&format!("calls/{call}")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_call_outlives_an_end_with_its_calls() {
    for _ in 0..rounds() {
        let (laptop, created) = create(json!({})).await;
        let hold = json!({"webhook": "event_url", "times": 100, "fault": {"kind": "hold"}});
        assert_eq!(laptop.vonage(Method::POST, "/simulator/faults", hold).await.status, 204);
        let call = live(&laptop, &created).await;
        laptop.no_more_faults().await;
        let path = format!("/conversations/{}?hang_up=true", text(&created, "/id"));
        let statuses = at_once((0..2).map(|task| {
            let (laptop, path) = (laptop.clone(), path.clone());
            async move {
                match task {
                    0 => laptop.delete(&path).await.status,
                    _ => laptop.vonage(Method::POST, "/simulator/release", Value::Null).await.status,
                }
            }
        }))
        .await;
        assert_eq!(statuses, [200, 200]);
        laptop.stack.background_runs_finished().await;
        let report = report(&laptop, &call).await;
        for leg in report["legs"].as_array().unwrap() {
            assert_eq!(leg["statuses"].as_array().unwrap().last().unwrap()["status"], "completed", "{report}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_runs_at_once_speak_one_warning() {
    for _ in 0..rounds() {
        let (laptop, created) = create(json!({"warn_minutes": 1, "max_call_seconds": 300})).await;
        let call = live(&laptop, &created).await;
        laptop.advance(210);
        let reports = at_once((0..8).map(|_| {
            let laptop = laptop.clone();
            async move { laptop.stack.run_warnings().await.unwrap() }
        }))
        .await;
        let spoken: u64 = reports.iter().map(|report| report["spoken"].as_u64().unwrap()).sum();
        assert_eq!(spoken, 1, "{reports:?}");
        let report = report(&laptop, &call).await;
        assert_eq!(report["phones"]["caller"]["heard"].to_string().matches("Minutes left").count(), 1, "{report}");
    }
}
