//! Calls that a request places, and words that are spoken into calls.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, DRIVER, Laptop, RIDER, string, text};

/// Has a call placed that begins at the phone of this side.
async fn place(laptop: &Laptop, conversation: &Value, from: &str, key: &str) -> Answer {
    let path = format!("/conversations/{}/calls", text(conversation, "/id"));
    let request = laptop.request(Method::POST, &path).header("Idempotency-Key", key);
    laptop.answer(request.body(json!({"from": from}).to_string())).await
}

/// Sets the behaviour of the phones in placed calls.
async fn phones(laptop: &Laptop, script: Value) {
    assert_eq!(laptop.vonage(Method::PUT, "/simulator/created-calls", script).await.status, 204);
}

async fn report(laptop: &Laptop, placed: &Answer) -> Value {
    laptop.simulator(&format!("calls/{}", text(&placed.body, "/conversation_uuid"))).await
}

/// Returns the legs that the simulated Vonage has.
async fn legs(laptop: &Laptop) -> Vec<Value> {
    laptop.simulator("requests?path=/v1/calls").await["requests"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|request| request["method"] == "POST")
        .cloned()
        .collect()
}

#[tokio::test]
async fn placed_call_connects_both_behind_their_masks() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({})).await;
    phones(&laptop, json!({"callees": {RIDER: {"does": "answers", "presses": ["1"]}}, "talk_seconds": 42})).await;
    let placed = place(&laptop, &created, "a", "ride-1").await;
    assert_eq!(placed.status, 201, "{placed:?}");
    let told = report(&laptop, &placed).await;
    assert_eq!(told["error"], Value::Null, "{told}");
    let (first, second) = (&told["placed_to"], &told["callees"][0]);
    assert_eq!((&first["number"], &first["display"]), (&json!(RIDER), &created["participants"][0]["dials"]));
    assert_eq!((&second["number"], &second["display"]), (&json!(DRIVER), &created["participants"][1]["dials"]));
    let heard = first["heard"].to_string();
    assert!(heard.contains("Call from your driver.") && heard.contains("Connecting your call."), "{heard}");
    assert!(!told["nccos"].to_string().contains(RIDER), "{told}");

    let read = laptop.get(&format!("/conversations/{}", text(&created, "/id"))).await.body;
    let call = &read["calls"][0];
    assert_eq!((&call["caller"], &call["callee"]), (&json!(RIDER), &json!(DRIVER)), "{read}");
    assert_eq!((&call["duration"], &call["legs"][0]["placed"]), (&json!(42), &json!(true)), "{read}");
    assert_eq!(read["calls"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn only_key_1_on_the_first_phone_calls_the_second() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({"missed_calls": ["text"]})).await;
    for (nth, first) in [
        json!("voicemail"),
        json!("declines"),
        json!({"does": "answers", "presses": ["2"]}),
        json!("busy"),
        json!("unanswered"),
    ]
    .into_iter()
    .enumerate()
    {
        phones(&laptop, json!({"callees": {RIDER: first}})).await;
        laptop.advance(2);
        let placed = place(&laptop, &created, "a", &format!("ride-{nth}")).await;
        assert_eq!(placed.status, 201, "{placed:?}");
        let told = report(&laptop, &placed).await;
        assert_eq!((&told["callees"], &told["error"]), (&json!([]), &Value::Null), "{first}: {told}");
    }
    assert!(laptop.texts(RIDER).await.is_empty() && laptop.texts(DRIVER).await.is_empty(), "nobody missed a call");
}

#[tokio::test]
async fn same_request_places_one_call() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({})).await;
    let first = place(&laptop, &created, "b", "ride-1").await;
    let again = place(&laptop, &created, "b", "ride-1").await;
    assert_eq!((first.status, again.status, &first.body), (201, 200, &again.body));
    assert_eq!(place(&laptop, &created, "a", "ride-1").await.status, 422, "another body");
    assert_eq!(legs(&laptop).await.len(), 1);
    let path = format!("/conversations/{}/calls", text(&created, "/id"));
    let without = laptop.post(&path, &json!({"from": "a"})).await;
    assert_eq!((without.status, text(&without.body, "/field")), (422, "Idempotency-Key"));
    laptop.advance(2);
    assert_eq!(place(&laptop, &created, "b", "ride-2").await.status, 201, "another request");
    laptop.delete(&format!("/conversations/{}", text(&created, "/id"))).await;
    assert_eq!(place(&laptop, &created, "b", "ride-1").await.body, first.body, "also after the end");
}

#[tokio::test]
async fn call_that_would_not_be_connected_is_not_placed() {
    let laptop = Laptop::builder().numbers("GB", 4).start().await;
    let one_way = laptop.create_with(json!({"direction": "a_to_b"})).await;
    let refused = place(&laptop, &one_way, "b", "1").await;
    assert_eq!((refused.status, text(&refused.body, "/type")), (409, "urn:maskline:problem:not-connected"));
    let blocked = laptop.create_with(json!({})).await;
    let path = format!("/conversations/{}", text(&blocked, "/id"));
    laptop.patch(&path, &json!({"blocked": "a"})).await;
    assert_eq!(place(&laptop, &blocked, "a", "2").await.body["outcome"], "blocked");
    laptop.delete(&path).await;
    assert_eq!(place(&laptop, &blocked, "b", "3").await.body["outcome"], "ended");
    assert_eq!(laptop.asked("/v1/calls").await, 0);
    assert_eq!(place(&laptop, &one_way, "a", "4").await.status, 201);
}

#[tokio::test]
async fn end_before_the_key_connects_nobody() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({})).await;
    let id = text(&created, "/id");
    let key = json!({"uuid": "u", "conversation_uuid": "CON-1", "dtmf": {"digits": "1"}}).to_string();
    let join = format!("/webhooks/event/{id}/join-a");
    assert_eq!(laptop.signed_post(&join, &key).await.body[1]["action"], "connect");
    laptop.delete(&format!("/conversations/{id}")).await;
    let ended = laptop.signed_post(&join, &key).await;
    assert!(ended.status == 200 && !ended.body.to_string().contains("connect\""), "{ended:?}");
}

#[tokio::test]
async fn call_whose_answer_is_lost_is_found_and_not_repeated() {
    let laptop = Laptop::builder().env(&[("VONAGE_TIME_LIMIT_MS", "400")]).numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({})).await;
    for (nth, kind) in ["close_after", "hang_after", "truncated"].into_iter().enumerate() {
        laptop.advance(3);
        laptop.fault("/v1/calls", json!({"kind": kind})).await;
        let placed = place(&laptop, &created, "a", kind).await;
        assert_eq!(placed.status, 201, "{kind}: {placed:?}");
        assert_eq!(legs(&laptop).await.len(), nth + 1, "{kind}");
        let again = place(&laptop, &created, "a", kind).await;
        assert_eq!((again.status, again.body), (200, placed.body));
    }
}

#[tokio::test]
async fn request_that_vonage_did_not_carry_out_may_be_sent_again() {
    let laptop = Laptop::builder().env(&[("VONAGE_TIME_LIMIT_MS", "400")]).numbers("GB", 2).start().await;
    let created = laptop.create_with(json!({})).await;
    laptop.faults("/v1/calls", 3, json!({"kind": "status", "status": 429})).await;
    assert_eq!(place(&laptop, &created, "a", "1").await.status, 503);
    laptop.no_more_faults().await;
    assert_eq!(place(&laptop, &created, "a", "1").await.status, 201, "it was certainly not carried out");
    // Nothing tells that this one was not.
    laptop.advance(3);
    laptop.fault("/v1/calls", json!({"kind": "hang"})).await;
    assert_eq!(place(&laptop, &created, "a", "2").await.status, 503);
    let soon = place(&laptop, &created, "a", "2").await;
    assert_eq!(
        (soon.status, text(&soon.body, "/type")),
        (503, "urn:maskline:problem:contended"),
        "it may be under way"
    );
    laptop.advance(121);
    assert_eq!(place(&laptop, &created, "a", "2").await.status, 201);
}

#[tokio::test]
async fn words_are_spoken_to_each_in_their_voice() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let participants =
        json!([{"number": format!("+{RIDER}"), "language": "de"}, {"number": format!("+{DRIVER}"), "language": "fr"}]);
    let created = laptop.create_with(json!({"participants": participants})).await;
    let dials = text(&created, "/participants/0/dials");
    let call = laptop.call(json!({"from": RIDER, "to": dials, "lives": true})).await;
    laptop.advance(3);
    let call = text(&call, "/conversation_uuid");
    let path = format!("/conversations/{}/calls/{call}/talk", text(&created, "/id"));
    let both = laptop.post(&path, &json!({"sentence": "call.goodbye"})).await;
    assert_eq!((both.status, &both.body["heard_by"]), (200, &json!(["a", "b"])), "{both:?}");
    let one = laptop.post(&path, &json!({"text": "Gate 12 is open.", "to": "b"})).await;
    assert_eq!(one.body["heard_by"], json!(["b"]));
    let told = laptop.simulator(&format!("calls/{call}")).await;
    let heard = [&told["phones"]["caller"]["heard"], &told["callees"][0]["heard"]].map(Value::to_string);
    assert!(heard[0].contains("Auf Wiederhören.") && !heard[0].contains("Gate"), "{heard:?}");
    assert!(heard[1].contains("Au revoir.") && heard[1].contains("Gate 12 is open."), "{heard:?}");
    for wrong in [
        json!({}),
        json!({"text": "Call 07700 900001."}),
        json!({"sentence": "call.minutes-left"}),
        json!({"text": "a", "sentence": "call.goodbye"}),
    ] {
        assert_eq!(laptop.post(&path, &wrong).await.status, 422, "{wrong}");
    }
    assert_eq!(laptop.post(&path.replace(call, "CON-1"), &json!({"sentence": "call.goodbye"})).await.status, 404);
    let requests = laptop.simulator("requests").await["requests"].clone();
    let voices = requests.as_array().unwrap().iter().filter(|request| string(&request["path"]).ends_with("/talk"));
    assert_eq!(voices.count(), 3);
}
