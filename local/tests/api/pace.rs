//! `MAX_CALLS_PER_SECOND`: calls that wait for their turn.

use local::traffic::{Service, Usage};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{DRIVER, Laptop, RIDER, string, text};

async fn paced(calls: &str, more: &[(&str, &str)]) -> Laptop {
    Laptop::builder().env(&[&[("MAX_CALLS_PER_SECOND", calls)], more].concat()).numbers("GB", 2).start().await
}

fn dials(created: &Value) -> String {
    string(&created["participants"][0]["dials"])
}

/// Returns the actions of a call of the rider up to its turn.
async fn call(laptop: &Laptop, created: &Value) -> Value {
    let body = json!({"from": RIDER, "to": dials(created), "uuid": "u", "conversation_uuid": "CON-1"});
    laptop.signed_post("/webhooks/answer", &body.to_string()).await.body
}

/// Asks for the turn as Vonage does at a `notify`.
async fn turn(laptop: &Laptop, notify: &Value) -> Value {
    let url = text(notify, "/eventUrl/0");
    let path = &url[url.find("/webhooks").unwrap()..];
    let body =
        json!({"payload": notify["payload"], "conversation_uuid": "CON-1", "timestamp": "2026-11-22T12:00:00.000Z"});
    let answer = laptop.signed_post(path, &body.to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

/// Returns the wait before a connection, in seconds.
fn waited(next: &Value) -> f64 {
    if next[0]["action"] == "wait" { next[0]["timeout"].as_f64().unwrap() } else { 0.0 }
}

/// Asks for turns until one is not at once, and returns what comes next then.
async fn wait(laptop: &Laptop, notify: &Value) -> Value {
    for _ in 0..200 {
        let next = turn(laptop, notify).await;
        if next[0]["action"] != "connect" {
            return next;
        }
    }
    panic!("nobody waits");
}

#[tokio::test]
async fn without_a_pace_a_call_is_connected_by_its_answer() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create().await;
    let answer = call(&laptop, &created).await;
    let said = json!({"action": "talk", "text": "Connecting your call.", "language": "en-GB"});
    assert_eq!((&answer[0], &answer[1]["action"], answer.as_array().unwrap().len()), (&said, &json!("connect"), 2));
    // A call that was answered before the pace was turned off goes on.
    let notify = json!({"eventUrl": ["http://here/webhooks/event/turn"],
                        "payload": {"then": [{"action": "connect", "limit": 9}], "hold": {}, "too_many": {}}});
    assert_eq!(turn(&laptop, &notify).await, json!([{"action": "connect", "limit": 9}]));
    assert!(laptop.items().await.iter().all(|item| text(item, "/pk/S") != "PACE"));
}

#[tokio::test]
async fn far_below_the_pace_a_call_writes_nothing() {
    let laptop = paced("30", &[]).await;
    let created = laptop.create().await;
    let answer = call(&laptop, &created).await;
    assert_eq!(turn(&laptop, &answer[1]).await[0]["action"], "connect", "it takes a share");
    for _ in 0..10 {
        laptop.advance(2);
        laptop.stack.traffic.watch();
        let answer = call(&laptop, &created).await;
        assert_eq!(turn(&laptop, &answer[1]).await[0]["endpoint"][0]["number"], DRIVER);
        laptop.stack.traffic.settled().await;
        let usage = Usage::of(Service::Dynamodb, &laptop.stack.traffic.take());
        assert_eq!((usage.requests, usage.write_units), (2, 0.0), "a route and the queue are read");
    }
    laptop.advance(11 * 60);
    turn(&laptop, &answer[1]).await;
    let items = laptop.items().await;
    let kinds: Vec<_> =
        items.iter().filter(|item| text(item, "/pk/S") == "PACE").map(|item| text(item, "/sk/S")).collect();
    assert!(kinds.iter().all(|kind| kind.starts_with("SHARE#")) && (1..=2).contains(&kinds.len()), "{kinds:?}");
}

#[tokio::test]
async fn calls_above_the_pace_are_connected_one_after_the_other() {
    let laptop = paced("2", &[]).await;
    let created = laptop.create_with(json!({"safety_key": true})).await;
    let answer = call(&laptop, &created).await;
    assert_eq!(answer[0]["text"], "Connecting your call.", "nobody waits for the first words");
    let mut turns = Vec::new();
    for _ in 0..8 {
        turns.push(turn(&laptop, &answer[1]).await);
    }
    let waits: Vec<_> = turns.iter().map(waited).collect();
    assert_eq!(waits, [0.0, 0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5], "a share, and then turns");
    let limit = |next: &Value| next.as_array().unwrap().last().unwrap()["limit"].as_u64().unwrap();
    assert_eq!(limit(&turns[0]) - limit(&turns[7]), 4, "the wait is a part of the longest call");
    assert_eq!((&turns[7][1]["mode"], &turns[7][2]["action"]), (&json!("asynchronous"), &json!("connect")));
    // A second later the turns before have passed.
    laptop.advance(1);
    assert_eq!(turn(&laptop, &answer[1]).await[0]["timeout"], 3.0);
    laptop.advance(60);
    assert_eq!(turn(&laptop, &answer[1]).await[1]["action"], "connect");
}

#[tokio::test]
async fn longer_wait_begins_with_words_and_has_a_bound() {
    let laptop = paced("1", &[]).await;
    let created = laptop
        .create_with(json!({"participants": [{"number": format!("+{RIDER}"), "language": "de"},
                                                             {"number": format!("+{DRIVER}")}]}))
        .await;
    let answer = call(&laptop, &created).await;
    for seconds in 0..=30 {
        let next = turn(&laptop, &answer[1]).await;
        if seconds <= 6 {
            assert_eq!(waited(&next), f64::from(seconds));
            continue;
        }
        assert_eq!(
            (&next[0]["text"], &next[1]["action"]),
            (&json!("Alle Leitungen sind belegt. Bitte bleiben Sie dran."), &json!("notify"))
        );
        let last = turn(&laptop, &next[1]).await;
        assert_eq!((&last[0]["timeout"], &last[1]["action"]), (&json!(f64::from(seconds)), &json!("connect")));
    }
    let refused = turn(&laptop, &answer[1]).await;
    assert!(text(&refused, "/0/text").contains("rufen Sie in einer Minute noch einmal an"), "{refused}");
    assert_eq!(refused.as_array().unwrap().len(), 1);
    let told = laptop.call(json!({"from": RIDER, "to": dials(&created)})).await;
    assert!(told["phones"]["callee"].is_null() && told["error"].is_null(), "{told}");
    laptop.advance(20);
    let told = laptop.call(json!({"from": RIDER, "to": dials(&created)})).await;
    let heard = told["phones"]["caller"]["heard"].to_string();
    assert!(told["phones"]["caller"]["connected"] == true && heard.contains("Bitte bleiben Sie dran"), "{told}");
}

#[tokio::test]
async fn every_way_to_a_connection_takes_a_turn() {
    let laptop = paced("1", &[("SUPPORT_PHONE", "+442079460000"), ("PINS", "on")]).await;
    let phones = json!([{"number": format!("+{RIDER}")}, {"number": format!("+{DRIVER}"), "phones": [{"number": "+447700900007"}]}]);
    let created = laptop.create_with(json!({"participants": phones, "pin": true, "lost_property": true})).await;
    let turns = async || {
        let asked = laptop.asked("/webhooks/event/turn").await;
        assert_eq!(asked, 0, "they are sent to the gateway");
        let items = laptop.items().await;
        let item = items.iter().find(|item| text(item, "/pk/S") == "PACE");
        item.map_or(0, |item| text(item, "/next_at/N").parse::<i64>().unwrap())
    };
    let pin = text(&created, "/participants/0/pin");
    for (what, calls, call) in [
        ("further phones", 2, json!({"from": RIDER, "callees": {DRIVER: "busy"}})),
        ("a PIN", 1, json!({"from": "anonymous", "presses": [pin]})),
        ("the support phone", 1, json!({"from": "447700900555", "presses": ["#"]})),
    ] {
        laptop.advance(60);
        let before = turns().await.max(shared::clock::Clock::now(&laptop.clock).as_millisecond());
        let mut call = call;
        call["to"] = json!(dials(&created));
        let told = laptop.call(call).await;
        assert!(told["phones"]["caller"]["connected"] == true && told["error"].is_null(), "{what}: {told}");
        assert_eq!(turns().await - before, calls * 1000, "{what}");
    }
}

#[tokio::test]
async fn placed_call_takes_a_turn_and_is_refused_if_that_is_late() {
    let laptop = paced("1", &[]).await;
    let created = laptop.create().await;
    let path = format!("/conversations/{}/calls", text(&created, "/id"));
    let place = async |key: &str| {
        let request = laptop.request(Method::POST, &path).header("Idempotency-Key", key);
        laptop.answer(request.body(json!({"from": "a"}).to_string())).await
    };
    assert_eq!(place("1").await.status, 201);
    let answer = call(&laptop, &created).await;
    wait(&laptop, &answer[1]).await;
    for _ in 0..3 {
        turn(&laptop, &answer[1]).await;
    }
    let refused = place("2").await;
    assert_eq!((refused.status, text(&refused.body, "/type").ends_with(":too-many-calls")), (503, true), "{refused:?}");
    assert!(refused.retry_after().unwrap().parse::<u32>().unwrap() > 2);
    assert_eq!(place("1").await.status, 200, "what was placed is found without a turn");
    laptop.advance(60);
    assert_eq!(place("2").await.status, 201, "a request that was refused may come again");
}

#[tokio::test]
async fn decisions_are_the_same_with_a_pace() {
    let mut told = Vec::new();
    for calls in ["0", "1"] {
        let laptop = paced(calls, &[]).await;
        let created = laptop.create().await;
        let answer = laptop.get(&format!("/decisions?from={RIDER}&to={}", dials(&created))).await.body;
        assert_eq!(answer["outcome"], "routed", "{answer}");
        told.push((answer["hears"].clone(), answer["connects"].clone()));
    }
    assert_eq!(told[0], told[1]);
}

#[tokio::test]
async fn unreadable_queue_makes_nobody_wait() {
    let laptop = paced("1", &[]).await;
    let created = laptop.create().await;
    let answer = call(&laptop, &created).await;
    for item in [
        json!({"pk": {"S": "PACE"}, "sk": {"S": "TURNS"}, "next_at": {"S": "soon"}}),
        json!({"pk": {"S": "PACE"}, "sk": {"S": "TURNS"}, "next_at": {"N": "1"}, "v": {"N": "99"}}),
    ] {
        laptop.dynamodb("PutItem", json!({"TableName": "maskline", "Item": item})).await;
        for _ in 0..3 {
            assert_eq!(turn(&laptop, &answer[1]).await[0]["action"], "connect");
        }
    }
    let bad = laptop.signed_post("/webhooks/event/turn", r#"{"payload": {"then": 1}}"#).await;
    assert_eq!(bad.status, 400, "{bad:?}");
    let unsigned = laptop.post("/webhooks/event/turn", &json!({"payload": {}})).await;
    assert_eq!(unsigned.status, 503, "{unsigned:?}");
}
