//! `/webhooks/event`.

use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::clock::Clock;
use testkit::{Answer, DRIVER, Laptop, RIDER, text};

const CALL: &str = "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab";

/// Returns an event of the call from rider to driver, `seconds` after the conversation was created.
fn event(laptop: &Laptop, conversation: &Value, direction: &str, status: &str, seconds: i64) -> Value {
    let dials = |side: usize| text(&conversation["participants"][side], "/dials").to_owned();
    let (from, to, uuid) = match direction {
        "inbound" => (RIDER.to_owned(), dials(0), "0779a56d002f1c7f47f82ef5fe84ab79"),
        _ => (dials(1), DRIVER.to_owned(), "63f61863-4a51-4f6b-86e1-46edebcf9356"),
    };
    let timestamp = laptop.clock.now() + SignedDuration::from_secs(seconds);
    json!({"headers": {}, "from": from, "to": to, "uuid": uuid, "conversation_uuid": CALL, "status": status,
           "direction": direction, "timestamp": format!("{timestamp:.3}")})
}

async fn calls(laptop: &Laptop, conversation: &Value) -> Value {
    laptop.get(&format!("/conversations/{}", text(conversation, "/id"))).await.body["calls"].clone()
}

#[tokio::test]
async fn call_is_same_for_any_order_and_repetition_of_events() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let dialled = &conversation["participants"][0]["dials"];
    let mut outcomes = Vec::new();
    for order in ["in_order", "reversed", "twice"] {
        let placed = laptop.call(json!({"from": RIDER, "to": dialled, "events": order})).await;
        for event in placed["events"].as_array().unwrap() {
            assert_eq!(event["http_status"], 204);
        }
        let read = calls(&laptop, &conversation).await;
        let call =
            read.as_array().unwrap().iter().find(|call| call["conversation_uuid"] == placed["conversation_uuid"]);
        let facts = |leg: &Value| {
            (leg["direction"].clone(), leg["status"].clone(), leg["duration"].clone(), leg["price"].clone())
        };
        outcomes.push(call.unwrap()["legs"].as_array().unwrap().iter().map(facts).collect::<Vec<_>>());
    }
    assert_eq!(outcomes[0].len(), 2);
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "{outcomes:?}");
}

#[tokio::test]
async fn first_time_of_status_is_kept() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    for seconds in [5, 9] {
        assert_eq!(laptop.event(&event(&laptop, &conversation, "inbound", "answered", seconds)).await.status, 204);
    }
    let expected = event(&laptop, &conversation, "inbound", "answered", 5)["timestamp"].clone();
    let read = calls(&laptop, &conversation).await;
    let time = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(time(&read[0]["legs"][0]["statuses"]["answered"]), time(&expected));
}

#[tokio::test]
async fn every_status_of_leg_is_merged() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let statuses = [
        "started",
        "ringing",
        "answered",
        "completed",
        "busy",
        "cancelled",
        "timeout",
        "unanswered",
        "rejected",
        "failed",
        "human",
        "machine",
        "disconnected",
    ];
    for status in statuses {
        let mut event = event(&laptop, &conversation, "outbound", status, 1);
        if ["human", "machine"].contains(&status) {
            event["call_uuid"] = event["uuid"].take();
        }
        assert_eq!(laptop.event(&event).await.status, 204, "{status}");
    }
    let read = calls(&laptop, &conversation).await;
    assert_eq!(read[0]["legs"].as_array().unwrap().len(), 1);
    assert_eq!(read[0]["legs"][0]["statuses"].as_object().unwrap().len(), statuses.len());
}

#[tokio::test]
async fn event_without_leg_changes_nothing() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let dtmf = {
        let mut event = event(&laptop, &conversation, "inbound", "", 1);
        event.as_object_mut().unwrap().remove("status");
        event["dtmf"] = json!({"digits": "1", "timed_out": false});
        event
    };
    let mut stranger = event(&laptop, &conversation, "inbound", "answered", 1);
    stranger["from"] = json!("447700900003");
    let mut withheld = event(&laptop, &conversation, "inbound", "answered", 1);
    withheld["from"] = json!("anonymous");
    for body in [
        json!({"conversation_uuid_from": CALL, "conversation_uuid_to": "CON-2", "uuid": "u", "timestamp": "2026-11-22T12:00:00.000Z"}),
        json!({"recording_url": "https://api.nexmo.com/v1/files/1", "recording_uuid": "r", "size": 1, "conversation_uuid": CALL}),
        json!({"reason": "Syntax error in NCCO. Invalid value type or action.", "conversation_uuid": CALL, "timestamp": "2026-11-22T12:00:00.000Z"}),
        json!({"payload": {"a": 1}, "conversation_uuid": CALL}),
        json!({"speech": {"results": []}, "conversation_uuid": CALL}),
        json!({"status": "transcribed", "conversation_uuid": CALL}),
        json!({}),
        dtmf,
        stranger,
        withheld,
    ] {
        let answer = laptop.event(&body).await;
        assert_eq!((answer.status, &answer.body), (204, &Value::Null), "{body}");
    }
    assert_eq!(calls(&laptop, &conversation).await, json!([]));
}

#[tokio::test]
async fn event_from_before_conversation_is_ignored() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    assert_eq!(laptop.event(&event(&laptop, &conversation, "inbound", "completed", -1)).await.status, 204);
    assert_eq!(calls(&laptop, &conversation).await, json!([]));
}

#[tokio::test]
async fn last_event_is_merged_after_conversation_ended() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    laptop.event(&event(&laptop, &conversation, "inbound", "answered", 1)).await;
    laptop.delete(&format!("/conversations/{}", text(&conversation, "/id"))).await;
    laptop.event(&event(&laptop, &conversation, "inbound", "completed", 7200)).await;
    assert_eq!(calls(&laptop, &conversation).await[0]["legs"][0]["status"], "completed");
}

#[tokio::test]
async fn longest_call_ends_before_shortest_quarantine() {
    let laptop = Laptop::builder()
        .env(&[("MAX_CALL_SECONDS", "60"), ("QUARANTINE_SECONDS", "60")])
        .numbers("GB", 2)
        .start()
        .await;
    let mut order = testkit::conversation();
    order["expires_in"] = json!(60);
    let first = laptop.post("/conversations", &order).await.body;
    laptop.advance(59);
    let dialled = &first["participants"][0]["dials"];
    let call = laptop.call(json!({"from": RIDER, "to": dialled, "talk_seconds": 7200})).await;
    let connect = &call["ncco"][1];
    let longest = connect["timeout"].as_i64().unwrap() + connect["limit"].as_i64().unwrap();
    assert!(longest < 60, "{connect}");
    // The last event of the call, as late as it can happen, and the next conversation on the same route keys.
    laptop.advance(61);
    let next = laptop.post("/conversations", &order).await.body;
    assert_eq!(next["participants"][0]["dials"], *dialled);
    laptop.event(&event(&laptop, &first, "inbound", "completed", -1)).await;
    assert_eq!(calls(&laptop, &next).await, json!([]));
}

#[tokio::test]
async fn unsigned_event_changes_nothing() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let body = event(&laptop, &conversation, "inbound", "answered", 1).to_string();
    let url = format!("{}/webhooks/event", laptop.stack.gateway_url);
    assert_eq!(Answer::to(laptop.http.post(&url).body(body.clone())).await.status, 401);
    assert_eq!(
        Answer::to(laptop.http.post(&url).bearer_auth(laptop.signature(Some("{}"))).body(body)).await.status,
        401
    );
    assert_eq!(calls(&laptop, &conversation).await, json!([]));
}

#[tokio::test]
async fn event_returns_503_when_table_is_unavailable() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let conversation = laptop.create().await;
    let broken = Laptop::builder().env(&[("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9")]).start().await;
    assert_eq!(broken.event(&event(&laptop, &conversation, "inbound", "answered", 1)).await.status, 503);
}
