//! Synchronous connect: events within the call, and responses that replace the rest of it.

use local::simulator::HttpMethod;
use serde_json::{Value, json};

use crate::support::{App, CALLEE, CALLER, Vonage, linked, talk, texts};

const MASK: &str = "447451000001";
const DIALLED: &str = "447451000002";
const SECOND: &str = "447700900003";

fn connect(app: &App, number: &str) -> Value {
    json!({"action": "connect", "from": MASK, "eventType": "synchronous", "eventUrl": [format!("{}/leg", app.base)],
        "endpoint": [{"type": "phone", "number": number}]})
}

fn statuses(app: &App, path: &str) -> Vec<String> {
    app.received(path).iter().map(|event| event.data["status"].as_str().unwrap_or("none").to_owned()).collect()
}

async fn call(vonage: &Vonage, callee: &str) -> Value {
    vonage.call(json!({"from": CALLER, "to": DIALLED, "callee": callee})).await
}

#[tokio::test]
async fn failed_leg_is_replaced_by_the_response() {
    let (app, vonage) = linked(&[MASK, DIALLED]).await;
    for (callee, status) in [
        ("busy", "busy"),
        ("rejects", "rejected"),
        ("unanswered", "unanswered"),
        ("timeout", "timeout"),
        ("unreachable", "failed"),
    ] {
        app.answers(json!([connect(&app, CALLEE), talk("The rest")]));
        let before = app.received("/leg").len();
        let progress = if matches!(callee, "busy" | "unreachable") { 1 } else { 2 };
        for _ in 0..progress {
            app.replies("/leg", 204, "");
        }
        app.replies("/leg", 200, &json!([talk("They cannot talk now")]).to_string());
        let told = call(&vonage, callee).await;
        assert_eq!(texts(&told), ["They cannot talk now"], "{callee}");
        assert_eq!(statuses(&app, "/leg")[before..].last().unwrap(), status);
        assert_eq!((&told["nccos"][1]["about"], &told["nccos"][1]["url_kind"]), (&json!(status), &json!("event_url")));
        assert_eq!(told.get("error"), None, "{told}");
    }
    assert!(!statuses(&app, "/event").contains(&"busy".to_owned()), "the override takes them away");
}

#[tokio::test]
async fn empty_response_carries_on() {
    let (app, vonage) = linked(&[MASK, DIALLED]).await;
    for status in [200, 204] {
        app.answers(json!([connect(&app, CALLEE), talk("The rest")]));
        app.replies("/leg", 204, "");
        app.replies("/leg", status, "");
        assert_eq!(texts(&call(&vonage, "busy").await), ["The rest"]);
    }
}

#[tokio::test]
async fn next_phone_can_be_the_response_to_a_failure() {
    let (app, vonage) = linked(&[MASK, DIALLED]).await;
    app.answers(json!([connect(&app, CALLEE)]));
    app.replies("/leg", 204, "");
    app.replies("/leg", 200, &json!([connect(&app, SECOND)]).to_string());
    let callees = json!({format!("+{CALLEE}"): "busy", SECOND: {"does": "answers", "ring_seconds": 8}});
    let told = vonage.call(json!({"from": CALLER, "to": DIALLED, "callees": callees})).await;
    let reached: Vec<_> = told["callees"].as_array().unwrap().iter().map(|phone| &phone["joined"]).collect();
    assert_eq!(reached, [&json!(false), &json!(true)]);
    let phones = told["callees"].as_array().unwrap();
    assert_eq!((&phones[0]["rang"], &phones[1]["number"]), (&json!(false), &json!(SECOND)));
    assert_eq!(statuses(&app, "/leg"), ["started", "busy", "started", "ringing", "answered", "completed"]);
    assert_eq!(told["legs"][0]["duration"], "68", "eight seconds of ringing and a minute of talk");
}

#[tokio::test]
async fn events_of_a_synchronous_leg_come_within_the_call() {
    let (app, vonage) = linked(&[MASK, DIALLED]).await;
    let ask = json!({"action": "notify", "payload": {}, "eventUrl": [format!("{}/notify", app.base)]});
    app.answers(json!([connect(&app, CALLEE), ask]));
    vonage.call(json!({"from": CALLER, "to": DIALLED, "hangs_up": "callee"})).await;
    let order: Vec<_> = app.all_received().into_iter().map(|webhook| webhook.path).collect();
    let leg = ["/leg"; 4];
    assert_eq!(order[..6], [&["/answer"], &leg[..], &["/notify"]].concat());
    assert_eq!(statuses(&app, "/event"), ["started", "ringing", "answered", "completed"], "the caller's come later");
}

#[tokio::test]
async fn ncco_for_a_running_call_is_reported_as_an_error() {
    for (place, status) in ["started", "ringing", "answered", "completed"].into_iter().enumerate() {
        let (app, vonage) = linked(&[MASK, DIALLED]).await;
        app.answers(json!([connect(&app, CALLEE)]));
        for _ in 0..place {
            app.replies("/leg", 204, "");
        }
        app.replies("/leg", 200, &json!([talk("Never heard")]).to_string());
        let told = call(&vonage, "answers").await;
        let expected = format!("the response to \"{status}\" is an NCCO, which rewrites a running call");
        assert_eq!(told["error"], expected);
        let event = told["events"].as_array().unwrap().iter().find(|event| event["error"] == expected).unwrap();
        assert_eq!((&event["status"], texts(&told).len()), (&json!(status), 0));
    }
}

#[tokio::test]
async fn unreachable_event_url_is_asked_twice_then_the_fallback() {
    let (app, vonage) = linked(&[MASK, DIALLED]).await;
    app.answers(json!([connect(&app, CALLEE), talk("The rest")]));
    for status in [204, 503, 503] {
        app.replies("/leg", status, "");
    }
    app.falls_back_with(503, "");
    app.falls_back_with(200, &json!([talk("Please call later")]).to_string());
    let told = call(&vonage, "busy").await;
    assert_eq!(texts(&told), ["Please call later"]);
    let busy = |path| app.received(path).iter().filter(|event| event.data["status"] == "busy").count();
    assert_eq!((busy("/leg"), busy("/fallback")), (2, 2));
    let asked = app.received("/fallback").remove(0).data;
    assert_eq!(asked["reason"], "HTTP status 503.");
    assert_eq!(asked["original_request"], json!({"url": format!("{}/leg", app.base), "type": "event"}));
    assert_eq!(asked["uuid"], told["legs"][1]["uuid"]);
}

#[tokio::test]
async fn flow_carries_on_when_no_webhook_answers() {
    let (app, vonage) = linked(&[MASK, DIALLED]).await;
    app.answers(json!([connect(&app, CALLEE), talk("The rest")]));
    for status in [204, 503, 503] {
        app.replies("/leg", status, "");
    }
    app.falls_back_with(500, "");
    let told = call(&vonage, "busy").await;
    assert_eq!(texts(&told), ["The rest"]);
    let attempts: Vec<_> = told["webhooks"].as_array().unwrap().iter().map(|attempt| &attempt["url_kind"]).collect();
    assert_eq!(attempts, ["answer_url", "event_url", "event_url", "fallback_answer_url"]);
    assert_eq!(told["webhooks"][1]["about"], "busy");
}

#[tokio::test]
async fn invalid_response_to_a_failure_ends_the_call() {
    let (app, vonage) = linked(&[MASK, DIALLED]).await;
    app.answers(json!([connect(&app, CALLEE), talk("The rest")]));
    app.replies("/leg", 204, "");
    app.replies("/leg", 200, r#"[{"action":"hangup"}]"#);
    let told = call(&vonage, "busy").await;
    assert!(texts(&told).is_empty());
    assert!(told["error"].as_str().unwrap().starts_with("invalid NCCO: "), "{told}");
    assert_eq!(app.received("/event").iter().filter(|event| event.data.get("reason").is_some()).count(), 1);
    assert_eq!(told["legs"][0]["status"], "completed");
}

#[tokio::test]
async fn synchronous_events_can_come_twice_and_first_response_counts() {
    let (app, vonage) = linked(&[MASK, DIALLED]).await;
    app.answers(json!([connect(&app, CALLEE), talk("The rest")]));
    for reply in ["", "", &json!([talk("First")]).to_string(), &json!([talk("Second")]).to_string()] {
        app.replies("/leg", 200, reply);
    }
    let told = vonage.call(json!({"from": CALLER, "to": DIALLED, "callee": "busy", "events": "twice"})).await;
    assert_eq!(texts(&told), ["First"]);
    assert_eq!(statuses(&app, "/leg"), ["started", "started", "busy", "busy"]);
}

#[tokio::test]
async fn synchronous_events_meet_faults() {
    for (contains, fault, expected) in [
        ("ringing", json!({"kind": "lose"}), ["started", "answered", "completed"].as_slice()),
        ("ringing", json!({"kind": "duplicate"}), &["started", "ringing", "ringing", "answered", "completed"]),
        ("started", json!({"kind": "later", "by": 2}), &["ringing", "answered", "started", "completed"]),
        ("started", json!({"kind": "later", "by": 9}), &["ringing", "answered", "completed", "started"]),
        ("started", json!({"kind": "delay", "milliseconds": 1}), &["ringing", "answered", "completed", "started"]),
        ("answered", json!({"kind": "hold"}), &["started", "ringing", "completed"]),
    ] {
        let (app, vonage) = linked(&[MASK, DIALLED]).await;
        app.answers(json!([connect(&app, CALLEE)]));
        let contains = format!("\"status\":\"{contains}\",");
        let rule = json!({"webhook": "event_url", "contains": contains, "fault": fault});
        vonage.fault(rule).await;
        call(&vonage, "answers").await;
        assert_eq!(statuses(&app, "/leg"), expected, "{fault}");
    }
}

#[tokio::test]
async fn lost_answer_to_a_failure_is_asked_again() {
    let (app, vonage) = linked(&[MASK, DIALLED]).await;
    app.answers(json!([connect(&app, CALLEE), talk("The rest")]));
    for reply in ["", &json!([talk("Lost")]).to_string(), &json!([talk("Busy")]).to_string()] {
        app.replies("/leg", 200, reply);
    }
    vonage.fault(json!({"webhook": "event_url", "contains": "busy", "fault": {"kind": "lose_answer"}})).await;
    let told = call(&vonage, "busy").await;
    assert_eq!(
        (texts(&told), statuses(&app, "/leg")),
        (vec!["Busy".to_owned()], vec!["started", "busy", "busy"].into_iter().map(str::to_owned).collect())
    );
}

#[tokio::test]
async fn synchronous_event_can_be_a_get() {
    let app = App::start().await;
    let vonage = Vonage::start_for(&app.base, HttpMethod::Get).await;
    vonage.rent_linked(&[MASK, DIALLED]).await;
    let mut connect = connect(&app, CALLEE);
    connect["eventMethod"] = json!("GET");
    app.answers(json!([connect]));
    app.replies("/leg", 204, "");
    app.replies("/leg", 200, &json!([talk("Busy")]).to_string());
    assert_eq!(texts(&call(&vonage, "busy").await), ["Busy"]);
    assert_eq!(app.received("/leg")[1].method, "GET");
}
