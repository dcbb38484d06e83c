//! Many PINs at once.

use std::sync::Arc;

use serde_json::{Value, json};
use shared::clock::Clock;
use testkit::{DRIVER, Laptop, conversation, text};

use crate::sandboxes::{at_once, rounds};

const OTHER: &str = "447700900555";

async fn create() -> (Arc<Laptop>, Value) {
    create_with(json!({})).await
}

async fn create_with(fields: Value) -> (Arc<Laptop>, Value) {
    let laptop = Laptop::builder().env(&[("PINS", "on")]).numbers("GB", 2).dynamodb_from_environment().start().await;
    let mut order = conversation();
    (order["notify"], order["pin"]) = (json!(false), json!(true));
    order.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let created = laptop.post("/conversations", &order).await;
    assert_eq!(created.status, 201, "{created:?}");
    (Arc::new(laptop), created.body)
}

fn typed(created: &Value, call: usize, digits: &str) -> String {
    json!({"from": OTHER, "to": text(created, "/participants/0/dials"), "uuid": format!("u{call}"),
           "conversation_uuid": format!("CON-{call}"), "dtmf": {"digits": digits, "timed_out": false}})
    .to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn guesses_at_once_are_no_more_than_one_by_one() {
    for _ in 0..rounds() {
        let (laptop, created) = create().await;
        let of = |side: usize| text(&created, &format!("/participants/{side}/pin")).to_owned();
        let wrong =
            ["000000", "000001", "000002"].into_iter().find(|free| (0..2).all(|side| of(side) != *free)).unwrap();
        let answers = at_once((0..32).map(|call| {
            let (laptop, body) = (laptop.clone(), typed(&created, call, wrong));
            async move { laptop.signed_post("/webhooks/event/pin/1", &body).await }
        }))
        .await;
        assert!(
            answers.iter().all(|answer| answer.status == 503 || answer.body[1]["action"] == "input"),
            "{answers:?}"
        );
        let items = laptop.items().await;
        let counted = items.iter().filter(|item| text(item, "/pk/S").starts_with("CALL#")).count();
        assert!((1..=5).contains(&counted), "{counted} tries");
        let free_at = |item: &Value| text(item, "/free_at/N").parse::<i64>().unwrap();
        let own = items.iter().filter(|item| text(item, "/sk/S").starts_with("TRIES#"));
        let latest = own.map(free_at).max().unwrap() - laptop.clock.now().as_second();
        assert!(latest <= 5 * 3 * 3600, "{latest} s");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn right_pin_races_with_the_end_and_a_new_phone() {
    for _ in 0..rounds() {
        let (laptop, created) = create().await;
        let path = format!("/conversations/{}", text(&created, "/id"));
        let pin = text(&created, "/participants/0/pin").to_owned();
        let answers = at_once((0..8).map(|task| {
            // Each PIN is delivered twice.
            let (laptop, path, body) = (laptop.clone(), path.clone(), typed(&created, task / 2, &pin));
            async move {
                match task {
                    0 => laptop.patch(&path, &json!({"participants": [{"number": "+447700900077"}, null]})).await,
                    1 => laptop.delete(&format!("{path}?erase=true")).await,
                    _ => laptop.signed_post("/webhooks/event/pin/1", &body).await,
                }
            }
        }))
        .await;
        for answer in &answers[2..] {
            let connects = |action: &Value| action["action"] == "connect";
            let mut connects = answer.body.as_array().into_iter().flatten().filter(|action| connects(action));
            assert!(connects.all(|action| action["endpoint"][0]["number"] == DRIVER), "{answer:?}");
            assert!(answer.status == 200 || answer.status == 503, "{answer:?}");
        }
        assert_eq!(laptop.delete(&format!("{path}?erase=true")).await.status, 204);
        let items = laptop.items().await;
        assert!(!items.iter().any(|item| text(item, "/sk/S").starts_with("LEG#")), "no leg outlives the erasure");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn phone_of_many_calls_is_remembered_once() {
    for _ in 0..rounds() {
        let (laptop, created) = create_with(json!({"pin_remembers_phones": true})).await;
        let path = format!("/conversations/{}", text(&created, "/id"));
        let pin = text(&created, "/participants/0/pin").to_owned();
        let answers = at_once((0..9).map(|task| {
            let (laptop, path, body) = (laptop.clone(), path.clone(), typed(&created, task / 2, &pin));
            async move {
                match task {
                    8 => laptop.patch(&path, &json!({"blocked": "b"})).await,
                    _ => laptop.signed_post("/webhooks/event/pin/1", &body).await,
                }
            }
        }))
        .await;
        // Vonage asks again about a try that others held up.
        assert!(answers.iter().all(|answer| [200, 503].contains(&answer.status)), "{answers:?}");
        assert_eq!(answers[8].status, 200, "{answers:?}");
        let is = laptop.get(&path).await.body;
        let phones = is["participants"][0]["phones"].as_array().unwrap();
        assert!(phones.len() == 1 && phones[0]["number"] == OTHER && is["blocked"] == "b", "{is}");
        let told = laptop.call(json!({"from": OTHER, "to": text(&created, "/participants/0/dials")})).await;
        assert_eq!(told["phones"]["callee"]["number"], DRIVER, "{told}");
    }
}
