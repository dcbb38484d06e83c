//! `POST /conversations` with `Idempotency-Key`: a replay is not carried out again.

use serde_json::{Value, json};
use testkit::{Answer, DRIVER, Laptop, RIDER, conversation, text};

async fn post(laptop: &Laptop, key: &str, order: &Value) -> Answer {
    laptop.post_with_key(key, order).await
}

#[tokio::test]
async fn replay_returns_same_conversation_without_second_text() {
    let laptop = Laptop::builder().numbers("GB", 4).start().await;
    let first = post(&laptop, "ride-42", &conversation()).await;
    let again = post(&laptop, "ride-42", &conversation()).await;
    assert_eq!((first.status, again.status), (201, 200));
    assert_eq!(first.body, again.body);
    let other_key = post(&laptop, "ride-43", &conversation()).await;
    assert_eq!(other_key.status, 201);
    assert_ne!(other_key.body["id"], first.body["id"]);
    for phone in [RIDER, DRIVER] {
        assert_eq!((laptop.texts(phone).await.len(), laptop.keys(phone).await.len()), (2, 2));
    }
}

#[tokio::test]
async fn replay_ignores_spaces_and_order_in_body() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let mut order = conversation();
    order["reference"] = json!("ride-42");
    let first = post(&laptop, "k", &order).await;
    let url = format!("{}/conversations", laptop.stack.gateway_url);
    let spaced = format!("{{ \"reference\":\"ride-42\", \"participants\": {} }}", order["participants"]);
    let again = Answer::to(laptop.http.post(url).header("idempotency-key", "k").body(spaced)).await;
    assert_eq!((again.status, &again.body["id"]), (200, &first.body["id"]));
}

#[tokio::test]
async fn stored_request_differs_with_the_secret_of_the_deployment() {
    let mut stored = Vec::new();
    for secret in ["a", "b"] {
        let laptop = Laptop::builder().env(&[("HASH_KEY", &secret.repeat(32))]).numbers("GB", 2).start().await;
        assert_eq!(post(&laptop, RIDER, &conversation()).await.status, 201);
        assert_eq!(post(&laptop, RIDER, &conversation()).await.status, 200);
        let items = laptop.items().await;
        let request = items.iter().find(|item| text(item, "/pk/S").starts_with("REQUEST#")).unwrap();
        stored.push([text(request, "/pk/S").to_owned(), text(request, "/fingerprint/S").to_owned()]);
    }
    assert!(stored[0].iter().zip(&stored[1]).all(|(one, other)| one != other), "{stored:?}");
}

#[tokio::test]
async fn idempotency_key_is_refused_with_other_body_or_too_long() {
    let laptop = Laptop::builder().numbers("GB", 4).start().await;
    post(&laptop, "k", &conversation()).await;
    let mut other = conversation();
    other["expires_in"] = json!(61);
    let refused = post(&laptop, "k", &other).await;
    assert_eq!((refused.status, text(&refused.body, "/type")), (422, "urn:maskline:problem:idempotency-key-reused"));
    assert_eq!(text(&refused.body, "/field"), "Idempotency-Key");
    for key in ["", &"k".repeat(256)] {
        let refused = post(&laptop, key, &other).await;
        assert_eq!((refused.status, text(&refused.body, "/field")), (422, "Idempotency-Key"));
    }
    assert_eq!(laptop.keys(RIDER).await.len(), 1);
}

#[tokio::test]
async fn concurrent_replays_create_one_conversation() {
    let laptop = Laptop::builder().numbers("GB", 4).start().await;
    let order = conversation();
    let run = || post(&laptop, "k", &order);
    let (a, b, c, d, e) = tokio::join!(run(), run(), run(), run(), run());
    let answers = [a, b, c, d, e];
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| answer.body["id"] == answers[0].body["id"]), "{answers:?}");
    for phone in [RIDER, DRIVER] {
        assert_eq!((laptop.texts(phone).await.len(), laptop.keys(phone).await.len()), (1, 1));
    }
}

#[tokio::test]
async fn concurrent_replays_share_last_number() {
    for key in ["a", "b", "c", "d"] {
        let laptop = Laptop::builder().env(&[("AUTO_RENT_MAX", "GB=9")]).numbers("GB", 1).start().await;
        let order = conversation();
        let (first, second) = tokio::join!(post(&laptop, key, &order), post(&laptop, key, &order));
        assert!([200, 201].contains(&first.status) && [200, 201].contains(&second.status), "{first:?} {second:?}");
        laptop.stack.background_runs_finished().await;
        assert_eq!((&first.body["id"], laptop.asked("/number/buy").await), (&second.body["id"], 1));
    }
}

#[tokio::test]
async fn replay_does_not_repeat_partly_accepted_text() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let parts =
        json!({"message-count": "2", "messages": [{"status": "0"}, {"status": "1", "error-text": "throttled"}]});
    laptop.faults("/sms/json", 2, json!({"kind": "status", "status": 200, "body": parts})).await;
    for _ in 0..2 {
        let answer = post(&laptop, "k", &conversation()).await;
        assert_eq!(answer.body["participants"][1]["notification"], "unknown");
    }
    assert_eq!(laptop.asked("/sms/json").await, 2);
}

#[tokio::test]
async fn replay_does_not_ask_carrier() {
    let laptop = Laptop::builder().env(&[("NUMBER_LOOKUP", "number-insight")]).numbers("GB", 2).start().await;
    let first = post(&laptop, "k", &conversation()).await;
    // The verdicts of the first request do not hold any more.
    let route = json!({"TableName": "maskline", "ProjectionExpression": "pk, sk"});
    let routes = laptop.dynamodb("Scan", route).await.body["Items"].take();
    for key in routes.as_array().unwrap().iter().filter(|key| key["pk"]["S"].as_str().unwrap().starts_with("CALLER#")) {
        let forget = json!({"TableName": "maskline", "Key": key, "UpdateExpression": "REMOVE looked_up"});
        laptop.dynamodb("UpdateItem", forget).await;
    }
    let again = post(&laptop, "k", &conversation()).await;
    assert_eq!((&again.body["id"], laptop.asked("/ni/basic/json").await), (&first.body["id"], 2));
}

#[tokio::test]
async fn replay_sends_only_failed_text() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let barred = json!({"message-count": "1", "messages": [{"status": "9", "error-text": "quota"}]});
    let fault =
        json!({"path": "/sms/json", "contains": RIDER, "fault": {"kind": "status", "status": 200, "body": barred}});
    laptop.vonage(reqwest::Method::POST, "/simulator/faults", fault).await;
    let first = post(&laptop, "k", &conversation()).await;
    assert_eq!(first.body["participants"][0]["notification"], "failed");
    for _ in 0..2 {
        let again = post(&laptop, "k", &conversation()).await;
        let fates = [0, 1].map(|side| again.body["participants"][side]["notification"].clone());
        assert_eq!((again.status, fates), (200, [json!("sent"), json!("sent")]));
    }
    assert_eq!((laptop.texts(RIDER).await.len(), laptop.texts(DRIVER).await.len()), (1, 1));
}

#[tokio::test]
async fn replay_does_not_repeat_text_of_unknown_outcome() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    laptop.faults("/sms/json", 2, json!({"kind": "close_after"})).await;
    for _ in 0..2 {
        let answer = post(&laptop, "k", &conversation()).await;
        assert_eq!(answer.body["participants"][0]["notification"], "unknown", "{answer:?}");
    }
    assert_eq!((laptop.texts(RIDER).await.len(), laptop.asked("/sms/json").await), (1, 2));
}

#[tokio::test]
async fn replay_is_answered_while_carrier_fails_and_after_end() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let failing = json!({"message-count": "1", "messages": [{"status": "9", "error-text": "quota"}]});
    laptop.faults("/sms/json", 2, json!({"kind": "status", "status": 200, "body": failing})).await;
    let first = post(&laptop, "k", &conversation()).await;
    laptop.delete(&format!("/conversations/{}", text(&first.body, "/id"))).await;
    laptop.faults("/sms/json", 2, json!({"kind": "status", "status": 500})).await;
    let again = post(&laptop, "k", &conversation()).await;
    assert_eq!((again.status, text(&again.body, "/state")), (200, "ended"));
    assert!(laptop.texts(RIDER).await.is_empty());
}

#[tokio::test]
async fn refused_create_can_be_repeated_with_same_key() {
    let laptop = Laptop::start().await;
    assert_eq!(post(&laptop, "k", &conversation()).await.status, 409);
    laptop.rent("GB", 1).await;
    assert_eq!(post(&laptop, "k", &conversation()).await.status, 201);
}
