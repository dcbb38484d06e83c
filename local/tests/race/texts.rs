//! Many texts at once, and one text many times at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use testkit::{Answer, DRIVER, Laptop, RIDER, conversation, text};
use uuid::Uuid;

use crate::sandboxes::{at_once, rounds};

async fn create() -> (Arc<Laptop>, Value) {
    create_by("sms-api").await
}

/// Creates a conversation whose texts this API sends.
async fn create_by(api: &str) -> (Arc<Laptop>, Value) {
    let laptop = Laptop::builder().env(&[("TEXTS_BY", api)]).numbers("GB", 2);
    let laptop = laptop.dynamodb_from_environment().start().await;
    let mut order = conversation();
    order["notify"] = json!(false);
    let created = laptop.post("/conversations", &order).await;
    assert_eq!(created.status, 201, "{created:?}");
    (Arc::new(laptop), created.body)
}

fn message(conversation: &Value, id: &str, words: &str) -> Value {
    json!({"channel": "sms", "message_uuid": id, "from": RIDER, "to": text(conversation, "/participants/0/dials"),
           "text": words})
}

/// Delivers a text until it is taken, as Vonage does. Returns the answers.
async fn deliver(laptop: &Laptop, message: &Value) -> Vec<Answer> {
    let mut answers = Vec::new();
    for _ in 0..50 {
        let answer = laptop.signed_post("/webhooks/message", &message.to_string()).await;
        assert!([200, 409, 503].contains(&answer.status), "{answer:?}");
        let is_taken = answer.status == 200;
        answers.push(answer);
        if is_taken {
            return answers;
        }
    }
    panic!("{answers:?}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thirty_two_texts_at_once_all_arrive_once() {
    for _ in 0..rounds() {
        let (laptop, created) = create().await;
        at_once((0..32).map(|nth| {
            let message = message(&created, &Uuid::new_v4().to_string(), &format!("text {nth}"));
            let laptop = laptop.clone();
            async move { deliver(&laptop, &message).await.len() }
        }))
        .await;
        let received = laptop.texts(DRIVER).await;
        let words: BTreeSet<_> = received.iter().map(|message| text(message, "/text")).collect();
        assert_eq!((received.len(), words.len()), (32, 32), "{received:?}");
        laptop.table().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn same_text_eight_times_at_once_arrives_once() {
    for nth in 0..2 * rounds() {
        let (laptop, created) = create_by(["sms-api", "messages-api"][nth % 2]).await;
        let message = message(&created, &Uuid::new_v4().to_string(), "only once");
        at_once((0..8).map(|_| {
            let (laptop, message) = (laptop.clone(), message.clone());
            async move { deliver(&laptop, &message).await.len() }
        }))
        .await;
        assert_eq!(laptop.texts(DRIVER).await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn same_picture_eight_times_at_once_arrives_once() {
    let people = ["12025550101", "12025550102"];
    for _ in 0..rounds() {
        let laptop = Laptop::builder().env(&[("TEXTS_BY", "messages-api")]).numbers("US", 2);
        let laptop = Arc::new(laptop.dynamodb_from_environment().start().await);
        let order =
            json!({"participants": people.map(|phone| json!({"number": format!("+{phone}")})), "notify": false});
        let created = laptop.post("/conversations", &order).await.body;
        let mut message = message(&created, &Uuid::new_v4().to_string(), "");
        message.as_object_mut().unwrap().remove("text");
        message["from"] = json!(people[0]);
        (message["channel"], message["message_type"]) = (json!("mms"), json!("image"));
        message["image"] = json!({"url": "https://api-us.nexmo.com/v3/media/1b456509-974c-458b-aafa-45fc48a4d976"});
        at_once((0..8).map(|_| {
            let (laptop, message) = (laptop.clone(), message.clone());
            async move { deliver(&laptop, &message).await.len() }
        }))
        .await;
        let received = laptop.texts(people[1]).await;
        assert_eq!((received.len(), &received[0]["files"][0]["type"]), (1, &json!("image")), "{received:?}");
        laptop.table().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn same_chat_eight_times_at_once_arrives_once() {
    let senders = [("TEXTS_BY", "messages-api"), ("WHATSAPP_SENDER", "447700900099")];
    for _ in 0..rounds() {
        let laptop = Laptop::builder().env(&senders).numbers("GB", 2);
        let laptop = Arc::new(laptop.dynamodb_from_environment().start().await);
        let mut order = conversation();
        order["notify"] = json!(false);
        let created = laptop.post("/conversations", &order).await.body;
        let mut message = message(&created, &Uuid::new_v4().to_string(), "only once");
        (message["channel"], message["to"]) = (json!("whatsapp"), json!("447700900099"));
        message["message_type"] = json!("text");
        at_once((0..8).map(|_| {
            let (laptop, message) = (laptop.clone(), message.clone());
            async move { deliver(&laptop, &message).await.len() }
        }))
        .await;
        assert_eq!(laptop.words(DRIVER).await, ["only once"]);
        laptop.table().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn strangers_text_at_once_is_explained_once() {
    for _ in 0..rounds() {
        let (laptop, created) = create().await;
        let stranger = "447700900077";
        at_once((0..8).map(|nth| {
            let mut message = message(&created, &Uuid::new_v4().to_string(), &format!("text {nth}"));
            message["from"] = json!(stranger);
            let laptop = laptop.clone();
            async move { deliver(&laptop, &message).await.len() }
        }))
        .await;
        assert_eq!(laptop.texts(stranger).await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn texts_race_with_the_end_and_the_erasure() {
    for _ in 0..rounds() {
        let (laptop, created) = create().await;
        let path = format!("/conversations/{}", text(&created, "/id"));
        at_once((0..10).map(|task| {
            let message = message(&created, &Uuid::new_v4().to_string(), &format!("text {task}"));
            let (laptop, path) = (laptop.clone(), path.clone());
            async move {
                match task {
                    0 => drop(laptop.delete(&path).await),
                    1 => drop(laptop.delete(&format!("{path}?erase=true")).await),
                    _ => drop(deliver(&laptop, &message).await),
                }
            }
        }))
        .await;
        laptop.delete(&format!("{path}?erase=true")).await;
        assert!(laptop.texts(DRIVER).await.len() <= 8);
        let items = laptop.items().await;
        assert!(!items.iter().any(|item| text(item, "/pk/S").starts_with("TEXTS#")), "{items:?}");
        laptop.table().await;
    }
}

/// Returns the driver's key word, which stops the texts that the rider's reach the driver by.
fn stop(conversation: &Value) -> Value {
    let mut message = message(conversation, &Uuid::new_v4().to_string(), "STOP");
    (message["from"], message["to"]) = (json!(DRIVER), conversation["participants"][1]["dials"].clone());
    message
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_text_follows_a_stop_that_was_taken() {
    for _ in 0..rounds() {
        let (laptop, created) = create().await;
        at_once((0..8).map(|task| {
            let words = message(&created, &Uuid::new_v4().to_string(), &format!("text {task}"));
            let message = if task == 0 { stop(&created) } else { words };
            let laptop = laptop.clone();
            async move { deliver(&laptop, &message).await.len() }
        }))
        .await;
        let received = laptop.texts(DRIVER).await;
        let confirmed = received.iter().filter(|text_| text(text_, "/text").starts_with("You get no more")).count();
        assert_eq!(confirmed, 1, "{received:?}");
        let shown = laptop.get(&format!("/conversations/{}", text(&created, "/id"))).await.body;
        let texts = shown["texts"].as_array().unwrap().clone();
        let of_state = |state: &str| texts.iter().filter(|text| text["state"] == state).count();
        assert_eq!((of_state("sent") + of_state("failed"), of_state("sent")), (7, received.len() - 1), "{shown}");
        let late = message(&created, &Uuid::new_v4().to_string(), "after it");
        deliver(&laptop, &late).await;
        assert_eq!(laptop.texts(DRIVER).await.len(), received.len());
        laptop.table().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stops_at_once_are_confirmed_once() {
    for _ in 0..rounds() {
        let (laptop, created) = create().await;
        let same = stop(&created);
        at_once((0..8).map(|task| {
            let message = if task < 4 { same.clone() } else { stop(&created) };
            let laptop = laptop.clone();
            async move { deliver(&laptop, &message).await.len() }
        }))
        .await;
        assert_eq!((laptop.texts(DRIVER).await.len(), laptop.texts(RIDER).await.len()), (1, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_equal_requests_of_the_backend_write_one_text() {
    for _ in 0..rounds() {
        let (laptop, created) = create().await;
        let path = format!("/conversations/{}/texts", text(&created, "/id"));
        let write = async |laptop: &Laptop| {
            let request = laptop.request(reqwest::Method::POST, &path).header("Idempotency-Key", "ride-1");
            laptop.answer(request.body(json!({"to": "b", "text": "only once"}).to_string())).await
        };
        let answers = at_once((0..16).map(|_| {
            let (laptop, path) = (laptop.clone(), path.clone());
            async move {
                let request = laptop.request(reqwest::Method::POST, &path).header("Idempotency-Key", "ride-1");
                laptop.answer(request.body(json!({"to": "b", "text": "only once"}).to_string())).await
            }
        }))
        .await;
        assert!(answers.iter().all(|answer| [200, 201, 409, 503].contains(&answer.status)), "{answers:?}");
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:?}");
        assert_eq!(laptop.texts(DRIVER).await.len(), 1);
        let again = write(&laptop).await;
        assert_eq!((again.status, &again.body["state"]), (200, &json!("sent")));
        laptop.table().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn texts_at_once_do_not_pass_the_limit_of_an_hour() {
    for _ in 0..rounds() {
        let (laptop, created) = create().await;
        at_once((0..8).map(|task| {
            let (laptop, created) = (laptop.clone(), created.clone());
            async move {
                for nth in 0..9 {
                    let words = format!("text {task} {nth}");
                    deliver(&laptop, &message(&created, &Uuid::new_v4().to_string(), &words)).await;
                }
            }
        }))
        .await;
        let (received, told) = (laptop.texts(DRIVER).await.len(), laptop.texts(RIDER).await.len());
        assert_eq!((received, told), (60, 1), "72 were written");
    }
}

/// Creates a conversation with invitations.
async fn invite() -> (Arc<Laptop>, Value) {
    let laptop = Arc::new(Laptop::builder().numbers("GB", 2).dynamodb_from_environment().start().await);
    let created = laptop.create().await;
    (laptop, created)
}

/// Sends all receipts until each is taken, as Vonage does.
async fn send_receipts(laptop: &Laptop) {
    for _ in 0..50 {
        let told = laptop.receipts(json!({"keep": true})).await;
        if told.iter().all(|receipt| receipt["deliveries"] == json!([200])) {
            return;
        }
    }
    panic!("a receipt is never taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn receipts_of_invitations_race_with_changes_and_the_end() {
    for _ in 0..rounds() {
        let (laptop, created) = invite().await;
        let path = format!("/conversations/{}", text(&created, "/id"));
        at_once((0..10).map(|task| {
            let words = message(&created, &Uuid::new_v4().to_string(), &format!("text {task}"));
            let (laptop, path) = (laptop.clone(), path.clone());
            async move {
                match task {
                    0 => drop(laptop.patch(&path, &json!({"blocked": "a"})).await),
                    1 => drop(laptop.delete(&path).await),
                    2..5 => drop(deliver(&laptop, &words).await),
                    _ => send_receipts(&laptop).await,
                }
            }
        }))
        .await;
        let shown = laptop.get(&path).await.body;
        let states = [0, 1].map(|side| shown["participants"][side]["notification"].clone());
        assert_eq!(states, ["delivered", "delivered"], "{shown}");
        laptop.table().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn receipts_of_invitations_race_with_the_erasure() {
    for _ in 0..rounds() {
        let (laptop, created) = invite().await;
        let path = format!("/conversations/{}?erase=true", text(&created, "/id"));
        at_once((0..6).map(|task| {
            let (laptop, path) = (laptop.clone(), path.clone());
            async move {
                match task {
                    0 => drop(laptop.delete(&path).await),
                    _ => send_receipts(&laptop).await,
                }
            }
        }))
        .await;
        let items = laptop.items().await;
        assert!(!items.iter().any(|item| item.get("invitation_receipts").is_some()), "{items:?}");
        let redacted = items.iter().filter(|item| text(item, "/sk/S").starts_with("sms#")).count();
        assert_eq!(redacted, 2, "both text messages: {items:?}");
        laptop.table().await;
    }
}
