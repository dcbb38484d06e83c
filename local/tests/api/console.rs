//! The console of the laptop: its files, the trace that it follows, and its way to the simulator.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Laptop, RIDER};

use crate::event_stream::Arriving;

async fn laptop() -> Laptop {
    Laptop::builder().console().numbers("GB", 2).start().await
}

#[tokio::test]
async fn console_is_served_and_may_reach_no_other_origin() {
    let laptop = laptop().await;
    for (path, media_type) in [
        ("/console", "text/html; charset=utf-8"),
        ("/console/console.js", "text/javascript; charset=utf-8"),
        ("/console/console.css", "text/css; charset=utf-8"),
        ("/console/icon.svg", "image/svg+xml"),
    ] {
        let response = laptop.request(Method::GET, path).send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"].to_str().unwrap()),
            (200, &media_type)
        );
        let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'") && policy.contains("connect-src 'self'"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        assert!(!response.text().await.unwrap().is_empty(), "{path}: run `just console`");
    }
}

#[tokio::test]
async fn console_is_not_there_unless_it_is_asked_for() {
    let laptop = Laptop::start().await;
    assert_eq!(laptop.get("/console").await.status, 404);
}

#[tokio::test]
async fn trace_shows_a_call_from_the_phone_to_the_table() {
    let laptop = laptop().await;
    let mut trace = Arriving::open_at(&laptop, "/console/trace?after=0").await;
    let created = laptop.create().await;
    let dials = created["participants"][0]["dials"].clone();
    let call = json!({"from": RIDER, "to": dials, "lives": true});
    let placed = laptop.vonage(Method::POST, "/simulator/calls", call).await.body;
    let (mut seen, mut text) = (Vec::new(), String::new());
    while !seen.contains(&"call".to_owned()) {
        let (_, entry) = trace.next().await.unwrap();
        text.push_str(&entry.to_string());
        seen.push(match entry["kind"].as_str().unwrap() {
            "call" => {
                assert_eq!(entry["report"]["conversation_uuid"], placed["conversation_uuid"]);
                "call".to_owned()
            }
            _ => format!("{} {} {}", entry["from"].as_str().unwrap(), entry["name"].as_str().unwrap(), entry["status"]),
        });
    }
    for message in [
        "client POST /conversations 201",
        "function TransactWriteItems 200",
        "function POST /sms/json 200",
        "vonage POST /webhooks/answer 200",
    ] {
        assert!(seen.contains(&message.to_owned()), "{message}: {seen:?}");
    }
    assert!(text.contains("Connecting your call."), "the NCCO");
}

#[tokio::test]
async fn trace_shows_no_secret() {
    let laptop = laptop().await;
    let mut trace = Arriving::open_at(&laptop, "/console/trace?after=0").await;
    laptop.create().await;
    let secret = format!("a body with {}", local::stack::account::SIGNATURE_SECRET);
    let body = json!({"participants": [], "reference": secret});
    let request = laptop.request(Method::POST, "/conversations").bearer_auth("a.token.of-somebody").json(&body);
    request.send().await.unwrap();
    loop {
        let (_, entry) = trace.next().await.unwrap();
        let text = entry.to_string();
        use local::stack::account::{API_SECRET, HASH_KEY, SIGNATURE_SECRET};
        for secret in [
            API_SECRET,
            HASH_KEY,
            SIGNATURE_SECRET,
            "PRIVATE KEY",
            "AWS4-HMAC",
            "a.token",
            "eyJ0eXAiOiJKV1Q",
            "eyJhbGciOi",
        ] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        if text.contains("a body with (hidden)") {
            break;
        }
    }
}

#[tokio::test]
async fn trace_has_nothing_but_a_load_while_one_goes_on() {
    let laptop = laptop().await;
    let times = json!({"count": 0, "p50_ms": null, "p90_ms": null, "p99_ms": null, "most_ms": null});
    let sample = |seconds: u32, is_over: bool| {
        json!({"run": "01234567-89ab-4cde-8f01-23456789abcd", "seconds": seconds, "is_over": is_over, "created": 1, "refused": 0,
               "failed_creations": 0, "connected": 2, "failed": 0, "pool": {"ready": 2, "in_use": 1},
               "latency": {"creations": times, "answers": times, "ends": times}})
    };
    let tell = async |sample: Value| {
        let told = laptop.request(Method::POST, "/console/load").json(&sample).send().await;
        told.unwrap().status().as_u16()
    };
    // Nobody has looked yet.
    assert_eq!(tell(sample(1, false)).await, 204);
    let mut trace = Arriving::open_at(&laptop, "/console/trace?after=0").await;
    laptop.create().await;
    assert_eq!(tell(sample(2, true)).await, 204);
    let (_, first) = trace.next().await.unwrap();
    let (_, second) = trace.next().await.unwrap();
    assert_eq!([&first["kind"], &second["kind"]], ["load", "load"], "{second}");
    assert_eq!((&first["sample"]["seconds"], &second["sample"]["is_over"]), (&json!(1.0), &json!(true)));
    laptop.get("/conversations?number=%2B447700900001").await;
    assert_eq!(trace.next().await.unwrap().1["kind"], "message");
    assert_eq!(tell(json!({"seconds": 1})).await, 422);
}

#[tokio::test]
async fn console_reaches_the_phones_and_no_api_of_the_account() {
    let laptop = laptop().await;
    laptop.create().await;
    let texts = laptop.get(&format!("/console/simulator/messages?to={RIDER}")).await;
    assert_eq!((texts.status, texts.body["messages"].as_array().map(Vec::len)), (200, Some(1)));
    let refused = laptop.post("/console/simulator/calls", &Value::Null).await;
    assert_eq!(refused.status, 400);
    assert_eq!(laptop.get("/console/account/numbers").await.status, 404);
}
