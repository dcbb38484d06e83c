//! Many calls to one side with several phones at once, of which Vonage tells several times.

use std::sync::Arc;

use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, conversation, text};

use crate::sandboxes::{at_once, rounds};

const SECOND: &str = "447700900012";
const THIRD: &str = "447700900013";

async fn create(fields: Value) -> (Arc<Laptop>, Value) {
    let laptop = Laptop::builder().numbers("GB", 4).dynamodb_from_environment().start().await;
    let mut order = conversation();
    order["notify"] = json!(false);
    order["participants"][1]["phones"] =
        [SECOND, THIRD].iter().map(|number| json!({"number": format!("+{number}")})).collect();
    order.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let created = laptop.post("/conversations", &order).await;
    assert_eq!(created.status, 201, "{created:?}");
    (Arc::new(laptop), created.body)
}

/// Returns the answer of the answer webhook to a call of the rider.
async fn answered(laptop: &Laptop, created: &Value, call: usize) -> Value {
    let dialled = text(created, "/participants/0/dials");
    let body =
        json!({"from": RIDER, "to": dialled, "uuid": format!("in{call}"), "conversation_uuid": format!("CON-{call}")});
    laptop.signed_post("/webhooks/answer", &body.to_string()).await.body
}

/// Returns the path of the events of the leg that an action connects, and its phone.
fn leg(connect: &Value) -> (String, String) {
    let url = text(connect, "/eventUrl/0");
    let path = &url[url.find("/webhooks/").unwrap()..];
    (path.to_owned(), text(connect, "/endpoint/0/number").to_owned())
}

/// Tells that nobody took a leg.
async fn missed(laptop: &Laptop, created: &Value, call: usize, (path, phone): &(String, String)) -> testkit::Answer {
    let mask = text(created, "/participants/1/dials");
    let event = json!({"from": mask, "to": phone, "uuid": format!("leg{}-{call}", &phone[10..]), "direction": "outbound",
                       "conversation_uuid": format!("CON-{call}"), "status": "unanswered"});
    // A write that conflicts too often is refused, and Vonage sends the event again.
    for _ in 0..20 {
        let answer = laptop.signed_post(path, &event.to_string()).await;
        if answer.status != 503 {
            return answer;
        }
    }
    panic!("{event} is always refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thirty_two_calls_at_once_each_try_all_phones() {
    for _ in 0..rounds() {
        let (laptop, created) = create(json!({"missed_calls": ["text"], "max_calls": 100})).await;
        let created = Arc::new(created);
        let tried = at_once((0..32).map(|call| {
            let (laptop, created) = (laptop.clone(), created.clone());
            async move {
                let mut next = answered(&laptop, &created, call).await[1].clone();
                let mut phones = Vec::new();
                while next["action"] == "connect" {
                    let leg = leg(&next);
                    phones.push(leg.1.clone());
                    let (one, two) =
                        tokio::join!(missed(&laptop, &created, call, &leg), missed(&laptop, &created, call, &leg));
                    assert_eq!((one.status, &one.body), (200, &two.body), "{one:?}");
                    next = one.body[0].clone();
                }
                phones
            }
        }))
        .await;
        assert!(tried.iter().all(|phones| *phones == [DRIVER, SECOND, THIRD]), "{tried:?}");
        assert_eq!(laptop.texts(DRIVER).await.len(), 1, "after the last attempt, once in a burst");
        let read = laptop.get(&format!("/conversations/{}", text(&created, "/id"))).await.body;
        assert_eq!(read["usage"]["calls"], 32, "{read}");
        laptop.table().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn attempts_race_with_the_end_of_the_conversation() {
    for _ in 0..rounds() {
        let (laptop, created) = create(json!({})).await;
        let (created, first) = (Arc::new(created.clone()), leg(&answered(&laptop, &created, 0).await[1]));
        let path = format!("/conversations/{}", text(&created, "/id"));
        let answers = at_once((0..16).map(|task| {
            let (laptop, created, first, path) = (laptop.clone(), created.clone(), first.clone(), path.clone());
            async move {
                match task {
                    0 => laptop.delete(&path).await,
                    _ => missed(&laptop, &created, task, &first).await,
                }
            }
        }))
        .await;
        for answer in &answers[1..] {
            let is_next = answer.body[0]["endpoint"][0]["number"] == SECOND;
            assert!(answer.status == 204 || answer.status == 200 && is_next, "{answer:?}");
        }
        assert_eq!(missed(&laptop, &created, 99, &first).await.status, 204, "it has ended");
        laptop.table().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sides_that_share_a_phone_get_different_numbers() {
    for _ in 0..rounds() {
        let laptop = Arc::new(Laptop::builder().numbers("GB", 8).dynamodb_from_environment().start().await);
        let created = at_once((0..8).map(|nth| {
            let laptop = laptop.clone();
            async move {
                let participant = |number: String| json!({"number": number});
                let mut order = json!({"notify": false, "participants": [
                    participant(format!("+4477009003{nth:02}")), participant(format!("+4477009004{nth:02}"))]});
                order["participants"][1]["phones"] = json!([participant(format!("+{THIRD}"))]);
                laptop.post("/conversations", &order).await
            }
        }))
        .await;
        let mut dials: Vec<_> = created.iter().map(|answer| text(&answer.body, "/participants/1/dials")).collect();
        dials.sort_unstable();
        dials.dedup();
        assert_eq!(dials.len(), 8, "{created:?}");
        laptop.table().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn members_who_join_at_once_race_with_calls_and_the_end() {
    for round in 0..rounds() {
        let (laptop, created) = create(json!({})).await;
        let (created, first) = (Arc::new(created.clone()), leg(&answered(&laptop, &created, 0).await[1]));
        let path = format!("/conversations/{}", text(&created, "/id"));
        let answers = at_once((0..12).map(|task| {
            let (laptop, created, first, path) = (laptop.clone(), created.clone(), first.clone(), path.clone());
            async move {
                let joins = json!([{"number": format!("+4477009005{task:02}"), "name": "Anna"}]);
                match task {
                    0 if round % 2 == 0 => laptop.delete(&path).await,
                    0..8 => laptop.patch(&path, &json!({"participants": [null, {"phones": joins}]})).await,
                    _ => missed(&laptop, &created, task, &first).await,
                }
            }
        }))
        .await;
        for answer in &answers {
            assert!(matches!(answer.status, 200 | 204 | 409 | 503), "{answer:?}");
        }
        // It checks that exactly the present phones have live routes.
        let table = laptop.table().await;
        let [conversation] = table.conversations.as_slice() else { panic!("{:?}", table.conversations) };
        assert!(conversation.participants[1].present().count() <= 2, "{conversation:?}");
    }
}
