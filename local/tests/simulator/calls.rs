//! Calls: what each callee does, what the phones show and hear, and the events of each leg.

use local::simulator::HttpMethod;
use serde_json::{Value, json};

use crate::support::{App, CALLEE, CALLER, Vonage, answer, without_times};

const MASK: &str = "447451000001";
const DIALLED: &str = "447451000002";

async fn linked() -> (App, Vonage) {
    let app = App::start().await;
    let vonage = Vonage::start_for(&app.base, HttpMethod::Post).await;
    vonage.rent_linked(&[MASK, DIALLED]).await;
    (app, vonage)
}

fn events(call: &Value) -> Vec<&str> {
    let events = call["events"].as_array().unwrap();
    events.iter().map(|event| event["status"].as_str().unwrap()).collect()
}

fn statuses(leg: &Value) -> Vec<&str> {
    let statuses = leg["statuses"].as_array().unwrap();
    statuses.iter().map(|status| status["status"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn answered_call_is_heard_shown_priced_and_reported() {
    let (app, vonage) = linked().await;
    app.connects_from(MASK);
    let before: f64 = vonage.balance().await.parse().unwrap();
    let call = vonage.call(json!({"from": CALLER, "to": "+44 7451 000002", "talk_seconds": 30})).await;
    let phones = json!({
        "caller": {"number": CALLER, "dialled": DIALLED, "heard": ["Please hold, we connect you now"],
            "connected": true},
        "callee": {"number": CALLEE, "display": MASK, "rang": true, "answered": true},
    });
    assert_eq!(call["phones"], phones);
    assert_eq!(call["answered_by"], "answer_url");
    let webhooks = json!([{"url_kind": "answer_url", "attempt": 1, "status": 200}]);
    assert_eq!(without_times(&call["webhooks"]), webhooks);
    assert_eq!(call["ncco"][1]["action"], "connect");
    let [inbound, outbound] = call["legs"].as_array().unwrap().as_slice() else {
        panic!("two legs are expected");
    };
    for leg in [inbound, outbound] {
        assert_eq!(statuses(leg), ["started", "ringing", "answered", "completed"]);
        assert_eq!(leg["status"], "completed");
    }
    // Six words take 2.4 seconds, the phone rings for three.
    assert_eq!((inbound["duration"].as_str(), outbound["duration"].as_str()), (Some("36"), Some("30")));
    assert_eq!(outbound["price"], "0.01200000");
    assert_eq!(outbound["direction"], "outbound");
    assert_eq!((outbound["from"].as_str(), outbound["to"].as_str()), (Some(MASK), Some(CALLEE)));
    let expected = ["started", "ringing", "answered", "started", "ringing", "answered", "completed", "completed"];
    assert_eq!(events(&call), expected);
    assert!(call["events"].as_array().unwrap().iter().all(|event| event["http_status"] == 204));
    let after: f64 = vonage.balance().await.parse().unwrap();
    assert!((before - after - 0.0147).abs() < 1e-9, "{before} {after}");
}

#[tokio::test]
async fn events_match_vonages_format() {
    let (app, vonage) = linked().await;
    app.connects_from(MASK);
    let call = vonage.call(json!({"from": CALLER, "to": DIALLED, "talk_seconds": 12})).await;
    let received = app.received("/event");
    assert_eq!(received.len(), 8);
    let started = &received[0].data;
    let uuid = call["legs"][0]["uuid"].as_str().unwrap();
    assert!(uuid.len() == 32 && !uuid.contains('-'));
    let expected = json!({"headers": {}, "from": CALLER, "to": DIALLED, "uuid": uuid,
        "conversation_uuid": call["conversation_uuid"], "status": "started", "direction": "inbound",
        "timestamp": started["timestamp"]});
    assert_eq!(*started, expected);
    let answered = &received[5].data;
    assert!(["start_time", "rate", "network"].iter().all(|name| answered.get(*name) == Some(&Value::Null)));
    let completed = &received[6].data;
    let (start, end) = (completed["start_time"].as_str().unwrap(), completed["end_time"].as_str().unwrap());
    assert!(start.ends_with(".000Z") && end.ends_with(".000Z") && start.len() == 24, "{start}");
    let expected = json!({"headers": {}, "from": MASK, "to": CALLEE, "uuid": call["legs"][1]["uuid"],
        "conversation_uuid": call["conversation_uuid"], "status": "completed", "direction": "outbound",
        "timestamp": completed["timestamp"], "start_time": start, "end_time": end, "duration": "12",
        "rate": "0.02400000", "price": "0.00480000", "network": "23410", "sip_code": 200,
        "disconnected_by": "platform"});
    assert_eq!(*completed, expected);
    assert_eq!(received[7].data["disconnected_by"], "user");
    assert!(call["conversation_uuid"].as_str().unwrap().starts_with("CON-"));
}

#[tokio::test]
async fn each_callee_outcome_ends_the_outbound_leg() {
    let (app, vonage) = linked().await;
    for (callee, status, detail, sip_code, rang) in [
        ("busy", "busy", Value::Null, 486, false),
        ("rejects", "rejected", json!("declined"), 603, true),
        ("unanswered", "unanswered", json!("timeout"), 480, true),
        ("unreachable", "failed", json!("number_out_of_service"), 404, false),
    ] {
        app.connects_from(MASK);
        let call = vonage.call(json!({"from": CALLER, "to": DIALLED, "callee": callee})).await;
        let leg = &call["legs"][1];
        assert_eq!((&leg["status"], &leg["detail"]), (&json!(status), &detail), "{callee}");
        assert_eq!(call["phones"]["callee"]["rang"], rang, "{callee}");
        assert_eq!(call["phones"]["callee"]["answered"], false);
        assert_eq!(call["phones"]["caller"]["connected"], false);
        let received = app.received("/event");
        let event = received.iter().find(|event| event.data["status"] == status).unwrap();
        assert_eq!((&event.data["sip_code"], &event.data["detail"]), (&json!(sip_code), &detail));
        assert_eq!(call["legs"][0]["status"], "completed");
    }
}

#[tokio::test]
async fn ncco_continues_after_connect_reaches_timeout_or_limit() {
    let (app, vonage) = linked().await;
    let ncco = json!([
        {"action": "connect", "from": MASK, "timeout": 20, "limit": 90,
            "endpoint": [{"type": "phone", "number": CALLEE}]},
        {"action": "wait", "timeout": 5},
        {"action": "record"},
        {"action": "stream", "streamUrl": ["https://example.com/sound.mp3"]},
        {"action": "talk", "text": "Good bye"},
    ]);
    app.answers(ncco.clone());
    let call = vonage.call(json!({"from": CALLER, "to": DIALLED, "callee": "unanswered"})).await;
    // 20 s of ringing, 5 s of waiting, 5 s of sound, two words.
    assert_eq!(call["legs"][0]["duration"], "31");
    assert_eq!(call["phones"]["caller"]["heard"], json!(["Good bye"]));
    app.answers(ncco.clone());
    let call = vonage.call(json!({"from": CALLER, "to": DIALLED, "talk_seconds": 600})).await;
    assert_eq!(call["legs"][1]["duration"], "90");
    assert_eq!(call["phones"]["caller"]["heard"], json!(["Good bye"]));
    app.answers(ncco.clone());
    let call = vonage.call(json!({"from": CALLER, "to": DIALLED, "hangs_up": "callee"})).await;
    assert_eq!(call["phones"]["caller"]["heard"], json!(["Good bye"]));
    app.answers(ncco);
    let call = vonage.call(json!({"from": CALLER, "to": DIALLED, "hangs_up": "caller"})).await;
    assert_eq!(call["phones"]["caller"]["heard"], json!([]));
}

#[tokio::test]
async fn connect_can_send_its_events_elsewhere() {
    let (app, vonage) = linked().await;
    app.answers(json!([{"action": "connect", "from": MASK, "eventUrl": [format!("{}/own", app.base)],
        "eventMethod": "GET", "endpoint": [{"type": "phone", "number": CALLEE}]}]));
    vonage.call(json!({"from": CALLER, "to": DIALLED})).await;
    assert_eq!(app.received("/event").len(), 4);
    let own = app.received("/own");
    assert_eq!(own.len(), 4);
    let last = &own[3];
    assert_eq!((last.method.as_str(), last.data["duration"].as_str()), ("GET", Some("60")));
    assert_eq!(last.claims.as_ref().unwrap().get("payload_hash"), None);
}

#[tokio::test]
async fn display_shows_an_owned_number_a_leaked_one_or_unknown() {
    let (app, vonage) = linked().await;
    for (from, display) in [(MASK, MASK), (CALLER, CALLER), ("447700900555", "unknown")] {
        app.connects_from(from);
        let call = vonage.call(json!({"from": format!("+{CALLER}"), "to": DIALLED})).await;
        assert_eq!(call["phones"]["callee"]["display"], display);
    }
}

#[tokio::test]
async fn connect_to_a_linked_number_reaches_nobody() {
    let (app, vonage) = linked().await;
    let endpoint = json!([{"type": "phone", "number": DIALLED}]);
    app.answers(json!([{"action": "connect", "from": MASK, "endpoint": endpoint}]));
    let call = vonage.call(json!({"from": CALLER, "to": DIALLED})).await;
    assert_eq!(call["legs"][1]["status"], "failed");
    assert_eq!(app.received("/answer").len(), 1);
}

#[tokio::test]
async fn unlinked_number_is_not_in_service() {
    let (app, vonage) = linked().await;
    vonage.buy("GB", "447451000003").await;
    let forward =
        [("country", "GB"), ("msisdn", DIALLED), ("voiceCallbackType", "tel"), ("voiceCallbackValue", CALLER)];
    assert_eq!(answer(vonage.form("/number/update", &forward)).await.0, 200);
    for to in ["447451000003", "447451000004", DIALLED, "nonsense"] {
        let call = vonage.call(json!({"from": CALLER, "to": to})).await;
        let heard = call["phones"]["caller"]["heard"][0].as_str().unwrap();
        assert!(heard.contains("not in service"));
        assert_eq!((&call["legs"], &call["webhooks"], &call["ncco"]), (&json!([]), &json!([]), &Value::Null));
    }
    assert!(app.received("/answer").is_empty() && app.received("/event").is_empty());
}

#[tokio::test]
async fn events_can_arrive_reversed_or_twice() {
    let (app, vonage) = linked().await;
    let call = vonage.call(json!({"from": CALLER, "to": DIALLED, "events": "reversed"})).await;
    assert_eq!(events(&call), ["completed", "answered", "ringing", "started"]);
    let call = vonage.call(json!({"from": CALLER, "to": DIALLED, "events": "twice"})).await;
    assert_eq!(events(&call)[..4], ["started", "started", "ringing", "ringing"]);
    assert_eq!(app.received("/event").len(), 12);
}

#[tokio::test]
async fn event_is_resent_once_after_a_5xx() {
    let (app, vonage) = linked().await;
    for status in [500, 204, 503, 502, 404] {
        app.takes_event_with(status);
    }
    let call = vonage.call(json!({"from": CALLER, "to": DIALLED})).await;
    let answers: Vec<_> = call["events"].as_array().unwrap().iter().map(|event| &event["http_status"]).collect();
    assert_eq!(answers, [204, 502, 404, 204]);
    assert_eq!(app.received("/event").len(), 6);
}
