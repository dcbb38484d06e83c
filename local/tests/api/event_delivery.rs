//! `WEBHOOK_URL`: events are delivered to a backend, signed, again after failures, and once more on request.

use std::collections::BTreeSet;

use axum::http::HeaderMap;
use jiff::Timestamp;
use local::decision_backend::{DecisionBackend as Backend, Received, Reply};
use local::stack::account::WEBHOOK_SECRET;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use testkit::{Builder, Laptop, RIDER, check_event, text};

use crate::change_events::examples;

/// The pause after the first attempt, with the most that chance adds, in seconds.
const FIRST_PAUSE: i64 = 6;

/// The longest pause, with the most that chance adds, in seconds.
const LONGEST_PAUSE: i64 = 3 * 3600 * 6 / 5;

fn to(backend: &Backend) -> Builder {
    Laptop::builder().numbers("GB", 2).env(&[("WEBHOOK_URL", &backend.url), ("WEBHOOK_TIME_LIMIT_MS", "200")])
}

async fn backend(reply: Reply) -> Backend {
    Backend::start(reply).await.unwrap()
}

/// Has the rider text the driver, which is one event. Returns the id of the conversation.
async fn one_event(laptop: &Laptop) -> String {
    let created = laptop.create_with(json!({})).await;
    laptop.text(json!({"from": RIDER, "to": created["participants"][0]["dials"], "text": "on my way"})).await;
    text(&created, "/id").to_owned()
}

async fn deliver(laptop: &Laptop) {
    laptop.stack.run_deliveries().await.unwrap();
}

fn header<'a>(received: &'a Received, name: &str) -> &'a str {
    received.headers[name].to_str().unwrap()
}

fn body(received: &Received) -> Value {
    serde_json::from_str(&received.body).unwrap()
}

/// Returns the events that wait and those that were given up.
fn left(laptop: &Laptop) -> (usize, usize) {
    let queue = laptop.stack.delivery_queue().unwrap();
    (queue.waiting().len(), queue.dead_letters().len())
}

/// Verifies a signature as a receiver does whose clock is that of the laptop.
fn verifies(received: &Received, secret: &str) -> bool {
    let (id, at) = (header(received, "webhook-id"), header(received, "webhook-timestamp").parse().unwrap());
    let expected = Webhook::new(secret).unwrap().sign(id, at, received.body.as_bytes()).unwrap();
    header(received, "webhook-signature").split(' ').any(|signature| signature == expected)
}

#[tokio::test]
async fn each_event_arrives_once_and_signed() {
    let backend = backend(Reply::Raw(204, String::new())).await;
    let laptop = to(&backend).machine_clock().start().await;
    let conversation = one_event(&laptop).await;
    laptop.receipts(json!({})).await;
    deliver(&laptop).await;
    deliver(&laptop).await;
    let received = backend.received();
    let kinds: Vec<_> = received.iter().map(|received| body(received)["type"].clone()).collect();
    assert_eq!(kinds, ["text.relayed", "text.delivered"]);
    for (received, on_bus) in received.iter().zip(laptop.stack.bus.events()) {
        let headers: HeaderMap = received.headers.clone();
        Webhook::new(WEBHOOK_SECRET).unwrap().verify(received.body.as_bytes(), &headers).unwrap();
        assert_eq!(header(received, "content-type"), "application/json");
        let body = body(received);
        assert_eq!((&body["data"], text(&body, "/data/conversation")), (&on_bus["detail"], conversation.as_str()));
        let at: Timestamp = text(&body, "/timestamp").parse().unwrap();
        assert_eq!(at.as_second().to_string(), header(received, "webhook-timestamp"));
    }
    assert_eq!(left(&laptop), (0, 0));
}

#[tokio::test]
async fn every_event_of_the_docs_is_delivered_as_its_schema_says() {
    let backend = backend(Reply::Raw(200, "taken".to_owned())).await;
    let laptop = to(&backend).machine_clock().start().await;
    for example in examples() {
        laptop.stack.bus.put(example);
    }
    deliver(&laptop).await;
    let received = backend.received();
    assert_eq!(received.len(), examples().len());
    for received in &received {
        Webhook::new(WEBHOOK_SECRET).unwrap().verify(received.body.as_bytes(), &received.headers).unwrap();
        let body = body(received);
        let detail_type = text(&body, "/type").replace(['.', '_'], " ");
        let detail_type = detail_type[..1].to_uppercase() + &detail_type[1..];
        check_event(&json!({"detail-type": detail_type, "detail": body["data"]}));
    }
}

#[tokio::test]
async fn pipes_and_functions_share_one_way_to_the_backend() {
    let backend = backend(Reply::Raw(200, String::new())).await;
    let laptop = to(&backend).pipes().start().await;
    let mut arriving = crate::event_stream::Arriving::open_at(&laptop, "/events?after=0").await;
    let created = laptop.create_with(json!({})).await;
    let (_, event) = arriving.next().await.unwrap();
    assert_eq!(event["detail"]["id"], created["id"]);
    deliver(&laptop).await;
    assert_eq!(body(&backend.received()[0])["type"], "conversation.changed");
}

#[tokio::test]
async fn failed_event_comes_again_with_its_id_and_a_new_time() {
    let backend = backend(Reply::Raw(500, String::new())).await;
    let laptop = to(&backend).start().await;
    one_event(&laptop).await;
    deliver(&laptop).await;
    deliver(&laptop).await;
    assert_eq!((backend.received().len(), left(&laptop)), (1, (1, 0)), "not before its time");
    backend.replies(Reply::Raw(200, String::new()));
    laptop.advance(FIRST_PAUSE);
    deliver(&laptop).await;
    let [first, second] = backend.received().try_into().unwrap();
    assert_eq!((header(&first, "webhook-id"), &first.body), (header(&second, "webhook-id"), &second.body));
    assert_ne!(header(&first, "webhook-timestamp"), header(&second, "webhook-timestamp"));
    assert!(verifies(&first, WEBHOOK_SECRET) && verifies(&second, WEBHOOK_SECRET));
    assert_eq!(left(&laptop), (0, 0));
}

#[tokio::test]
async fn only_success_is_success() {
    let elsewhere = backend(Reply::Raw(200, String::new())).await;
    let backend = backend(Reply::Redirect(elsewhere.url.clone())).await;
    let laptop = to(&backend).start().await;
    one_event(&laptop).await;
    let replies = [Reply::Raw(404, String::new()), Reply::Raw(429, String::new()), Reply::Never];
    for (nth, reply) in [Reply::Redirect(elsewhere.url.clone())].into_iter().chain(replies).enumerate() {
        backend.replies(reply);
        deliver(&laptop).await;
        assert_eq!((backend.received().len(), left(&laptop)), (nth + 1, (1, 0)));
        laptop.advance(LONGEST_PAUSE);
    }
    assert_eq!(elsewhere.received().len(), 0, "a redirect was followed");
    backend.replies(Reply::Raw(299, String::new()));
    deliver(&laptop).await;
    assert_eq!(left(&laptop), (0, 0));
}

#[tokio::test]
async fn event_waits_for_a_backend_that_is_down() {
    let gone = backend(Reply::Never).await;
    let url = gone.url.clone();
    drop(gone);
    let laptop = Laptop::builder().numbers("GB", 2).env(&[("WEBHOOK_URL", &url)]).start().await;
    one_event(&laptop).await;
    deliver(&laptop).await;
    assert_eq!(left(&laptop), (1, 0));
}

#[tokio::test]
async fn backend_is_asked_no_sooner_than_it_says() {
    let backend = backend(Reply::Later(503, 120)).await;
    let laptop = to(&backend).start().await;
    one_event(&laptop).await;
    for (pause, attempts) in [(0, 1), (FIRST_PAUSE, 1), (120 - FIRST_PAUSE, 2)] {
        laptop.advance(pause);
        deliver(&laptop).await;
        assert_eq!(backend.received().len(), attempts, "after {pause} s more");
    }
}

#[tokio::test]
async fn event_is_given_up_and_kept_after_a_day() {
    let backend = backend(Reply::Raw(500, String::new())).await;
    let laptop = to(&backend).start().await;
    one_event(&laptop).await;
    let begun = header_time(&laptop, &backend).await;
    while left(&laptop) == (1, 0) {
        laptop.advance(FIRST_PAUSE);
        deliver(&laptop).await;
    }
    assert_eq!(left(&laptop), (0, 1));
    let received = backend.received();
    assert!((13..=17).contains(&received.len()), "{} attempts", received.len());
    let ids: BTreeSet<_> = received.iter().map(|received| header(received, "webhook-id")).collect();
    assert_eq!(ids.len(), 1);
    let last: i64 = header(received.last().unwrap(), "webhook-timestamp").parse().unwrap();
    assert!((86_400..86_400 + FIRST_PAUSE).contains(&(last - begun)), "{} s", last - begun);
    let dead = laptop.stack.delivery_queue().unwrap().dead_letters();
    assert_eq!(dead[0]["detail"], body(&received[0])["data"]);
}

/// Delivers what is there. Returns the time of the first attempt.
async fn header_time(laptop: &Laptop, backend: &Backend) -> i64 {
    deliver(laptop).await;
    header(&backend.received()[0], "webhook-timestamp").parse().unwrap()
}

#[tokio::test]
async fn backend_that_is_gone_is_not_asked_again_for_an_event() {
    let backend = backend(Reply::Raw(410, String::new())).await;
    let laptop = to(&backend).start().await;
    one_event(&laptop).await;
    deliver(&laptop).await;
    laptop.advance(LONGEST_PAUSE);
    deliver(&laptop).await;
    assert_eq!((backend.received().len(), left(&laptop)), (1, (0, 1)));
}

#[tokio::test]
async fn event_whose_function_was_killed_comes_again() {
    let backend = backend(Reply::Never).await;
    let laptop = to(&backend).env(&[("WEBHOOK_TIME_LIMIT_MS", "20000")]).start().await;
    one_event(&laptop).await;
    tokio::select! {
        () = deliver(&laptop) => panic!("nobody answers"),
        () = backend.has_received(1) => {}
    }
    backend.replies(Reply::Raw(200, String::new()));
    deliver(&laptop).await;
    assert_eq!(backend.received().len(), 1, "another function has it, for all that the queue knows");
    laptop.advance(180);
    deliver(&laptop).await;
    let [first, second] = backend.received().try_into().unwrap();
    assert_eq!(header(&first, "webhook-id"), header(&second, "webhook-id"));
    assert_eq!(left(&laptop), (0, 0));
}

#[tokio::test]
async fn event_comes_again_although_the_queue_does_not_answer() {
    let backend = backend(Reply::Raw(500, String::new())).await;
    let laptop = to(&backend).env(&[("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:9")]).start().await;
    one_event(&laptop).await;
    deliver(&laptop).await;
    laptop.advance(179);
    deliver(&laptop).await;
    assert_eq!(backend.received().len(), 1);
    backend.replies(Reply::Raw(410, String::new()));
    laptop.advance(1);
    deliver(&laptop).await;
    assert_eq!((backend.received().len(), left(&laptop)), (2, (1, 0)), "no dead letter is lost either");
}

#[tokio::test]
async fn one_event_that_fails_holds_up_no_other() {
    let backend = backend(Reply::Raw(500, String::new())).await;
    let laptop = to(&backend).start().await;
    one_event(&laptop).await;
    deliver(&laptop).await;
    backend.replies(Reply::Raw(200, String::new()));
    laptop.receipts(json!({})).await;
    deliver(&laptop).await;
    let kinds: Vec<_> = backend.received().iter().map(|received| body(received)["type"].clone()).collect();
    assert_eq!(kinds, ["text.relayed", "text.delivered"]);
    assert_eq!(left(&laptop), (1, 0));
}

#[tokio::test]
async fn event_that_is_on_the_bus_twice_has_one_id() {
    let backend = backend(Reply::Raw(200, String::new())).await;
    let laptop = to(&backend).start().await;
    one_event(&laptop).await;
    laptop.advance(60);
    laptop.stack.bus.put(laptop.stack.bus.events()[0].clone());
    laptop.receipts(json!({})).await;
    deliver(&laptop).await;
    let received = backend.received();
    let ids: BTreeSet<_> = received.iter().map(|received| header(received, "webhook-id")).collect();
    assert_eq!((received.len(), ids.len()), (3, 2));
}

#[tokio::test]
async fn both_secrets_sign_while_one_replaces_the_other() {
    const NEW: &str = "whsec_bmV3LWxhcHRvcC13ZWJob29rLXNlY3JldC1vZi0zMi1i";
    let backend = backend(Reply::Raw(200, String::new())).await;
    let secrets = format!("{NEW},{WEBHOOK_SECRET}");
    let laptop = to(&backend).env(&[("WEBHOOK_SECRET", &secrets)]).start().await;
    one_event(&laptop).await;
    deliver(&laptop).await;
    let received = &backend.received()[0];
    assert!(verifies(received, NEW) && verifies(received, WEBHOOK_SECRET));
    assert!(!verifies(received, "whsec_b3RoZXItbGFwdG9wLXdlYmhvb2stc2VjcmV0LTMyLWI="));
}

#[tokio::test]
async fn replay_brings_the_events_of_a_conversation_or_of_a_time() {
    let backend = backend(Reply::Raw(200, String::new())).await;
    let laptop = to(&backend).start().await;
    let begun = laptop.clock_now();
    let first = one_event(&laptop).await;
    laptop.advance(60);
    let between = laptop.clock_now();
    laptop.advance(60);
    let second =
        laptop.create_with(json!({"participants": [{"number": "+447700900003"}, {"number": "+447700900004"}]})).await;
    laptop.text(json!({"from": "447700900003", "to": second["participants"][0]["dials"], "text": "here"})).await;
    let second = text(&second, "/id").to_owned();
    laptop.advance(60);
    deliver(&laptop).await;
    let delivered = backend.received();
    assert_eq!(delivered.len(), 2);
    let mut seen = delivered.len();
    for (order, expected) in [
        (json!({"conversation": first}), vec![&first]),
        (json!({"conversation": second}), vec![&second]),
        (json!({"from": begun}), vec![&first, &second]),
        (json!({"from": begun, "until": between}), vec![&first]),
        (json!({"from": between}), vec![&second]),
        (json!({"from": between, "conversation": first}), vec![]),
    ] {
        let answer = laptop.post("/events/replay", &order).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        assert!(text(&answer.body, "/from") < text(&answer.body, "/until"), "{answer:?}");
        deliver(&laptop).await;
        let again = backend.received().split_off(seen);
        let of: Vec<_> = again.iter().map(|received| text(&body(received), "/data/conversation").to_owned()).collect();
        assert_eq!(of.iter().collect::<Vec<_>>(), expected, "{order}");
        for received in &again {
            let before = delivered.iter().find(|before| before.body == received.body).unwrap();
            assert_eq!(header(before, "webhook-id"), header(received, "webhook-id"));
        }
        seen += again.len();
    }
    assert_eq!(left(&laptop), (0, 0));
    assert_eq!(laptop.stack.bus.events().len(), 2, "other rules of the bus do not see a replay");
}

#[tokio::test]
async fn replay_of_nothing_that_is_kept_is_refused() {
    let backend = backend(Reply::Raw(200, String::new())).await;
    let laptop = to(&backend).start().await;
    let now = laptop.clock_now();
    let hours = |hours: i64| json!((now + jiff::SignedDuration::from_hours(hours)).to_string());
    for (order, status, field) in [
        (json!({}), 400, Value::Null),
        (json!({"until": hours(-1)}), 400, Value::Null),
        (json!({"from": hours(1)}), 422, json!("from")),
        (json!({"from": hours(-1), "until": hours(1)}), 422, json!("until")),
        (json!({"from": hours(-1), "until": hours(-2)}), 422, json!("from")),
        (json!({"from": hours(-1000), "until": hours(-999)}), 422, json!("until")),
        (json!({"from": "yesterday"}), 422, json!("from")),
        (json!({"conversation": "ride-42"}), 422, json!("conversation")),
        (json!({"after": hours(-1)}), 422, json!("after")),
    ] {
        let answer = laptop.post("/events/replay", &order).await;
        assert_eq!((answer.status, &answer.body["field"]), (status, &field), "{order}: {answer:?}");
    }
}

#[tokio::test]
async fn without_a_url_nothing_is_queued_and_a_replay_is_refused() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = one_event(&laptop).await;
    assert!(laptop.stack.delivery_queue().is_none());
    let answer = laptop.post("/events/replay", &json!({"conversation": conversation})).await;
    assert_eq!((answer.status, text(&answer.body, "/type")), (409, "urn:maskline:problem:webhook-off"));
}
