//! Many calls to one person at once, of which Vonage tells several times.

use std::sync::Arc;

use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, conversation, text};

use crate::sandboxes::{at_once, rounds};

async fn create(fields: Value) -> (Arc<Laptop>, Value) {
    let laptop = Laptop::builder().numbers("GB", 2).dynamodb_from_environment().start().await;
    let mut order = conversation();
    order["notify"] = json!(false);
    order.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let created = laptop.post("/conversations", &order).await;
    assert_eq!(created.status, 201, "{created:?}");
    (Arc::new(laptop), created.body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thirty_two_missed_calls_at_once_send_one_text() {
    for _ in 0..rounds() {
        let (laptop, created) = create(json!({"missed_calls": ["text"]})).await;
        let path = format!("/webhooks/event/{}", text(&created, "/id"));
        let mask = text(&created, "/participants/1/dials").to_owned();
        let answers = at_once((0..32).map(|call| {
            let event = json!({"from": mask, "to": DRIVER, "uuid": format!("u{call}"), "direction": "outbound",
                               "conversation_uuid": format!("CON-{}", call % 16), "status": "unanswered"});
            let (laptop, path) = (laptop.clone(), path.clone());
            async move { laptop.signed_post(&path, &event.to_string()).await }
        }))
        .await;
        // A claim that conflicts too often is refused, and Vonage sends the event again.
        assert!(answers.iter().any(|answer| answer.status == 200), "{answers:?}");
        let others = answers.iter().filter(|answer| answer.status != 200);
        assert!(others.clone().all(|answer| answer.status == 503), "{others:?}", others = others.collect::<Vec<_>>());
        assert_eq!(laptop.texts(DRIVER).await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn missed_call_races_with_the_end_and_new_phones() {
    for _ in 0..rounds() {
        let (laptop, created) = create(json!({"missed_calls": ["text", "call_back"], "guard": "press_1"})).await;
        let id = text(&created, "/id").to_owned();
        let mask = text(&created, "/participants/1/dials").to_owned();
        let new_phone = "447700900077";
        let answers = at_once((0..8).map(|task| {
            let (laptop, id, mask) = (laptop.clone(), id.clone(), mask.clone());
            async move {
                let conversation = format!("/conversations/{id}");
                let busy = json!({"from": mask, "to": DRIVER, "uuid": format!("u{task}"), "direction": "outbound",
                                  "conversation_uuid": "CON-1", "status": "busy"});
                let key = json!({"uuid": "u", "conversation_uuid": "CON-2", "dtmf": {"digits": "1"}});
                let answer = match task {
                    0 => {
                        laptop
                            .patch(&conversation, &json!({"participants": [null, {"number": format!("+{new_phone}")}]}))
                            .await
                    }
                    1 => laptop.delete(&conversation).await,
                    2 => laptop.delete(&format!("{conversation}?erase=true")).await,
                    3 => laptop.signed_post(&format!("/webhooks/event/{id}/menu-b"), &key.to_string()).await,
                    4 => laptop.signed_post(&format!("/webhooks/event/{id}/guard-b"), &key.to_string()).await,
                    _ => laptop.signed_post(&format!("/webhooks/event/{id}"), &busy.to_string()).await,
                };
                assert!(answer.status < 500 || answer.status == 503, "{task}: {answer:?}");
            }
        }))
        .await;
        drop(answers);
        // Whoever was texted is the participant, once for each kind. Nothing of the erased conversation is left.
        let (old, new) = (laptop.texts(DRIVER).await, laptop.texts(new_phone).await);
        assert!(old.len() + new.len() <= 4 && laptop.texts(RIDER).await.is_empty(), "{old:?} {new:?}");
        laptop.delete(&format!("/conversations/{id}?erase=true")).await;
        // An event that came at the same time may have stored its leg. It is deleted an hour later.
        laptop.advance(61 * 60);
        laptop.stack.run_erasure_schedule().await.unwrap();
        let left: Vec<_> = laptop.items().await.into_iter().filter(|item| item.to_string().contains(&id)).collect();
        assert!(left.iter().all(|item| !item.to_string().contains("LEG#")), "{left:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn presses_about_lost_property_at_once_connect_only_who_agreed() {
    for _ in 0..rounds() {
        let (laptop, created) = create(json!({"lost_property": true})).await;
        let id = text(&created, "/id").to_owned();
        assert_eq!(laptop.delete(&format!("/conversations/{id}")).await.status, 200);
        let answers = at_once((0..16).map(|call| {
            let (side, from, step) = if call % 4 == 3 { (1, DRIVER, "late-a") } else { (0, RIDER, "late-b") };
            let key = json!({"from": from, "to": created["participants"][side]["dials"], "uuid": format!("u{call}"),
                             "conversation_uuid": format!("CON-{call}"), "dtmf": {"digits": "1"}});
            let (laptop, path) = (laptop.clone(), format!("/webhooks/event/{id}/{step}"));
            async move { (from, laptop.signed_post(&path, &key.to_string()).await) }
        }))
        .await;
        for (from, answer) in &answers {
            assert!(answer.status == 200 || answer.status == 503, "{answer:?}");
            let connected = answer.body.as_array().into_iter().flatten().find(|action| action["action"] == "connect");
            let other = if *from == RIDER { DRIVER } else { RIDER };
            assert!(connected.is_none_or(|action| action["endpoint"][0]["number"] == other), "{answer:?}");
        }
        // Only who asked first is waited for, or both did at the same moment.
        let texts = [laptop.texts(RIDER).await.len(), laptop.texts(DRIVER).await.len()];
        assert!(texts.iter().all(|count| *count <= 1) && texts.iter().sum::<usize>() >= 1, "{texts:?}");
    }
}
