//! Eventually consistent reads can be out of date. Participants are connected all the same, and never to a stranger.

use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::Clock;
use testkit::{Answer, DRIVER, Laptop, RIDER, text};

const NEW_PHONE: &str = "447700900009";

/// Starts a laptop with one number, so that all conversations of the rider have the same route key.
async fn laptop() -> Laptop {
    Laptop::builder().numbers("GB", 1).start().await
}

/// Creates a conversation of the rider with `other`: one minute, and a quarantine of one minute.
async fn pair(laptop: &Laptop, other: &str) -> Value {
    let order = json!({"participants": [{"number": format!("+{RIDER}")}, {"number": format!("+{other}")}],
                       "expires_in": 60, "quarantine": 60, "max_call_seconds": 60, "notify": false});
    let created = laptop.post("/conversations", &order).await;
    assert_eq!(created.status, 201, "{created:?}");
    created.body
}

fn dials(conversation: &Value) -> &str {
    text(conversation, "/participants/0/dials")
}

fn path(conversation: &Value) -> String {
    format!("/conversations/{}", text(conversation, "/id"))
}

/// Returns the item of the rider's route as it is now.
async fn route(laptop: &Laptop, dialled: &str) -> Value {
    let key = json!({"pk": {"S": format!("CALLER#{RIDER}")}, "sk": {"S": format!("NUMBER#{dialled}")}});
    let request = json!({"TableName": "maskline", "Key": key, "ConsistentRead": true});
    laptop.dynamodb("GetItem", request).await.body["Item"].clone()
}

/// Makes the next eventually consistent read return this item, or none.
async fn next_read_finds(laptop: &Laptop, item: Option<&Value>) {
    let rule = json!({"operation": "GetItem", "fault": {"kind": "stale", "item": item}});
    assert_eq!(laptop.vonage(Method::POST, "/simulator/faults", rule).await.status, 204);
}

/// Returns the phone that the rider's call reaches, or the message if it is refused.
async fn call(laptop: &Laptop, dialled: &str) -> Result<String, String> {
    let body = json!({"from": RIDER, "to": dialled}).to_string();
    let Answer { status, body: ncco, .. } = laptop.signed_post("/webhooks/answer", &body).await;
    assert_eq!(status, 200, "{ncco}");
    match ncco[1]["endpoint"][0]["number"].as_str() {
        Some(reached) => Ok(reached.to_owned()),
        None => Err(text(&ncco, "/0/text").to_owned()),
    }
}

fn has_ended(outcome: Result<String, String>) -> bool {
    outcome.is_err_and(|said| said.contains("has ended"))
}

#[tokio::test]
async fn call_is_connected_just_after_creation() {
    let laptop = laptop().await;
    let conversation = pair(&laptop, DRIVER).await;
    next_read_finds(&laptop, None).await;
    assert_eq!(call(&laptop, dials(&conversation)).await.as_deref(), Ok(DRIVER));
}

#[tokio::test]
async fn call_just_after_end_reaches_only_same_conversation() {
    for erase in ["", "?erase=true"] {
        let laptop = laptop().await;
        let conversation = pair(&laptop, DRIVER).await;
        let live = route(&laptop, dials(&conversation)).await;
        assert!(laptop.delete(&(path(&conversation) + erase)).await.status < 300);
        next_read_finds(&laptop, Some(&live)).await;
        assert_eq!(call(&laptop, dials(&conversation)).await.as_deref(), Ok(DRIVER));
        assert!(has_ended(call(&laptop, dials(&conversation)).await), "a moment later");
        next_read_finds(&laptop, None).await;
        assert!(has_ended(call(&laptop, dials(&conversation)).await));
    }
}

#[tokio::test]
async fn call_just_after_phone_change_reaches_at_worst_old_phone() {
    let laptop = laptop().await;
    let conversation = pair(&laptop, DRIVER).await;
    let before = route(&laptop, dials(&conversation)).await;
    let change = json!({"participants": [null, {"number": format!("+{NEW_PHONE}")}]});
    assert_eq!(laptop.patch(&path(&conversation), &change).await.status, 200);
    next_read_finds(&laptop, Some(&before)).await;
    assert_eq!(call(&laptop, dials(&conversation)).await.as_deref(), Ok(DRIVER));
    assert_eq!(call(&laptop, dials(&conversation)).await.as_deref(), Ok(NEW_PHONE));
}

#[tokio::test]
async fn call_is_connected_just_after_extension() {
    let laptop = laptop().await;
    let conversation = pair(&laptop, DRIVER).await;
    let before = route(&laptop, dials(&conversation)).await;
    assert_eq!(laptop.patch(&path(&conversation), &json!({"expires_in": 600})).await.status, 200);
    laptop.advance(61);
    next_read_finds(&laptop, Some(&before)).await;
    assert_eq!(call(&laptop, dials(&conversation)).await.as_deref(), Ok(DRIVER));
}

/// Creates two conversations one after the other on one route key. The first has expired, was ended, or was erased.
/// Returns its route while it was live and after its end, and the second conversation.
async fn key_given_again(laptop: &Laptop, end: Option<&str>) -> (Vec<Value>, Value) {
    let first = pair(laptop, DRIVER).await;
    let mut found = vec![route(laptop, dials(&first)).await];
    match end {
        Some(how) => assert!(laptop.delete(&(path(&first) + how)).await.status < 300),
        None => laptop.advance(60),
    }
    found.push(route(laptop, dials(&first)).await);
    laptop.advance(60);
    let next = pair(laptop, NEW_PHONE).await;
    assert_eq!(dials(&next), dials(&first));
    (found, next)
}

#[tokio::test]
async fn call_on_reused_route_key_reaches_new_conversation() {
    for end in [None, Some(""), Some("?erase=true")] {
        let laptop = laptop().await;
        let (found, next) = key_given_again(&laptop, end).await;
        // A read that finds the state before the end is older than the quarantine, unless the conversation expired.
        let old = if end.is_none() { &found[..] } else { &found[1..] };
        for item in old.iter().map(Some).chain([None]) {
            next_read_finds(&laptop, item).await;
            assert_eq!(call(&laptop, dials(&next)).await.as_deref(), Ok(NEW_PHONE), "{end:?} {item:?}");
        }
    }
}

/// Returns an event of a call of the rider, `seconds` from now.
async fn happen(laptop: &Laptop, dialled: &str, status: &str, seconds: i64) {
    let timestamp = laptop.clock.now() + SignedDuration::from_secs(seconds);
    let event = json!({"from": RIDER, "to": dialled, "uuid": "leg", "conversation_uuid": "CON-1", "status": status,
                       "direction": "inbound", "timestamp": format!("{timestamp:.3}")});
    assert_eq!(laptop.event(&event).await.status, 204);
}

/// Returns the statuses of the only leg of the conversation.
async fn statuses(laptop: &Laptop, conversation: &Value) -> Vec<String> {
    let read = laptop.get(&path(conversation)).await.body;
    let statuses = read["calls"][0]["legs"][0]["statuses"].as_object();
    statuses.into_iter().flatten().map(|(status, _)| status.clone()).collect()
}

#[tokio::test]
async fn event_is_merged_just_after_creation() {
    let laptop = laptop().await;
    let conversation = pair(&laptop, DRIVER).await;
    next_read_finds(&laptop, None).await;
    happen(&laptop, dials(&conversation), "started", 0).await;
    assert_eq!(statuses(&laptop, &conversation).await, ["started"]);
}

#[tokio::test]
async fn event_on_reused_route_key_is_of_new_conversation() {
    for end in [None, Some(""), Some("?erase=true")] {
        let laptop = laptop().await;
        let (found, next) = key_given_again(&laptop, end).await;
        next_read_finds(&laptop, Some(&found[1])).await;
        happen(&laptop, dials(&next), "started", 1).await;
        next_read_finds(&laptop, None).await;
        happen(&laptop, dials(&next), "ringing", 2).await;
        happen(&laptop, dials(&next), "completed", -1).await;
        let mut known = statuses(&laptop, &next).await;
        known.sort();
        assert_eq!(known, ["ringing", "started"], "{end:?}: the last one is of before");
    }
}

#[tokio::test]
async fn consistent_reads_are_never_stale() {
    let laptop = laptop().await;
    let conversation = pair(&laptop, DRIVER).await;
    next_read_finds(&laptop, None).await;
    assert!(route(&laptop, dials(&conversation)).await.is_object());
    // The settings of the number are looked at beside the second look.
    for looks in [&[0.5, 0.5, 1.0] as &[f64], &[0.5]] {
        laptop.stack.traffic.watch();
        assert_eq!(call(&laptop, dials(&conversation)).await.as_deref(), Ok(DRIVER));
        let mut units: Vec<_> = laptop.stack.traffic.take().iter().map(|exchange| exchange.usage.read_units).collect();
        units.sort_by(f64::total_cmp);
        assert_eq!(units, looks, "the rule is about the next call's first look, and used up by it");
    }
    for rule in [
        json!({"operation": "Query", "fault": {"kind": "stale"}}),
        json!({"path": "*", "fault": {"kind": "stale"}}),
        json!({"operation": "GetItem", "fault": {"kind": "stale", "key": {}}}),
    ] {
        assert_eq!(laptop.vonage(Method::POST, "/simulator/faults", rule.clone()).await.status, 400, "{rule}");
    }
}
