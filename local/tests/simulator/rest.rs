//! The Voice API: calls that the application creates, and the legs that it shows.

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

use crate::account::{Account, DIALLED, MASK, START, order, statuses};
use crate::support::{CALLEE, CALLER, answer, application_token, talk, texts};

#[tokio::test]
async fn created_call_rings_a_phone_and_performs_its_ncco() {
    let account = Account::start().await;
    let app = &account.app;
    let script = json!({"callees": {CALLER: {"presses": ["1"]}}, "talk_seconds": 30});
    assert_eq!(account.vonage.control("PUT", "/simulator/created-calls", script).await.0, 204);
    let prompt = json!({"action": "input", "type": ["dtmf"], "dtmf": {"maxDigits": 1},
        "eventUrl": [format!("{}/accepted", app.base)]});
    let connect = json!([{"action": "connect", "from": DIALLED, "endpoint": [{"type": "phone", "number": CALLEE}]}]);
    app.replies("/accepted", 200, &connect.to_string());
    let mut order = order(&json!([talk("Robin waits. Press 1."), prompt]));
    order["event_url"] = json!([format!("{}/own", app.base)]);
    let (status, created) = account.ask(Method::POST, "", &order).await;
    assert_eq!((status, &created["status"], &created["direction"]), (201, &json!("started"), &json!("outbound")));
    let report = account.report(&created).await;
    let first = &report["placed_to"];
    assert_eq!((&first["number"], &first["display"]), (&json!(CALLER), &json!(MASK)));
    assert_eq!((&first["heard"], &first["pressed"]), (&json!(["Robin waits. Press 1."]), &json!(["1"])));
    assert_eq!((&first["joined"], &report["legs"][1]["duration"]), (&json!(true), &json!("30")));
    assert_eq!((&report["callees"][0]["joined"], statuses(&report)), (&json!(true), vec!["completed", "completed"]));
    let own: Vec<_> = app.received("/own").into_iter().map(|event| event.data["status"].clone()).collect();
    assert_eq!(own, ["started", "ringing", "answered", "completed"]);
    let started = &app.received("/own")[0].data;
    assert_eq!((&started["from"], &started["to"], &started["uuid"]), (&json!(MASK), &json!(CALLER), &created["uuid"]));
}

#[tokio::test]
async fn created_call_can_ask_an_answer_url() {
    let account = Account::start().await;
    account.app.replies("/first", 200, &json!([talk("Hello")]).to_string());
    let mut order = order(&Value::Null);
    order.as_object_mut().unwrap().remove("ncco");
    order["answer_url"] = json!([format!("{}/first", account.app.base)]);
    let (_, created) = account.ask(Method::POST, "", &order).await;
    let report = account.report(&created).await;
    assert_eq!((texts(&report), &report["answered_by"]), (vec!["Hello".to_owned()], &json!("answer_url")));
    let asked = account.app.received("/first").remove(0);
    assert_eq!(
        (asked.method.as_str(), &asked.data["uuid"], &asked.data["from"]),
        ("GET", &created["uuid"], &json!(MASK))
    );
}

#[tokio::test]
async fn created_call_that_nobody_answers_ends_with_its_status() {
    let account = Account::start().await;
    for (callee, status, duration) in
        [("busy", "busy", 0), ("unanswered", "unanswered", 20), ("rejects", "rejected", 3)]
    {
        account.vonage.control("PUT", "/simulator/created-calls", json!({"callee": callee})).await;
        let mut order = order(&json!([talk("Hello")]));
        order["ringing_timer"] = json!(20);
        let (_, created) = account.ask(Method::POST, "", &order).await;
        let report = account.report(&created).await;
        assert_eq!((statuses(&report), texts(&report).len()), (vec![status], 0));
        let time = |place: usize| {
            report["legs"][0]["statuses"][place]["timestamp"].as_str().unwrap().parse::<Timestamp>().unwrap()
        };
        let last = report["legs"][0]["statuses"].as_array().unwrap().len() - 1;
        assert_eq!(time(last).duration_since(time(0)).as_secs(), duration, "{callee}");
        account.clock.advance(SignedDuration::from_secs(1));
    }
}

#[tokio::test]
async fn length_timer_ends_a_call() {
    let account = Account::start().await;
    let mut order = order(&json!([{"action": "wait", "timeout": 25}, talk("Never heard")]));
    order["length_timer"] = json!(20);
    let (_, created) = account.ask(Method::POST, "", &order).await;
    let report = account.report(&created).await;
    assert_eq!((&report["legs"][0]["duration"], texts(&report).len()), (&json!("20"), 0));
}

#[tokio::test]
async fn invalid_order_is_refused_with_its_parameter() {
    let account = Account::start().await;
    let phone = json!({"type": "phone", "number": CALLER});
    for (name, value) in [
        ("to", json!(phone)),
        ("to", json!([phone, phone])),
        ("to", json!([{"type": "phone", "number": "+447700900001"}])),
        ("from", Value::Null),
        ("random_from_number", json!(true)),
        ("ncco", json!([{"action": "hangup"}])),
        ("ncco", json!({"action": "talk", "text": "Hi"})),
        ("answer_url", json!("https://example.com/answer")),
        ("event_url", json!("https://example.com/event")),
        ("event_method", json!("PUT")),
        ("ringing_timer", json!(121)),
        ("length_timer", json!(0)),
        ("length_timer", json!("60")),
        ("machine_detection", json!("yes")),
    ] {
        let mut order = order(&json!([talk("Hi")]));
        order[name] = value.clone();
        let (status, problem) = account.ask(Method::POST, "", &order).await;
        assert_eq!(status, 400, "{name} {value}");
        assert!(problem["invalid_parameters"][name].is_string(), "{problem}");
    }
}

#[tokio::test]
async fn api_refuses_strangers_other_regions_and_a_fourth_call() {
    let account = Account::start().await;
    let url = format!("{}/v1/calls", account.vonage.base);
    assert_eq!(answer(account.vonage.client.get(&url)).await.0, 401);
    assert_eq!(answer(account.vonage.client.get(&url).bearer_auth("token")).await.0, 401);
    for (host, status) in [("api-us-3.vonage.com", 404), ("api-eu-3.vonage.com", 200), ("api.nexmo.com", 200)] {
        let request = account.vonage.client.get(&url).bearer_auth(application_token(START)).header("host", host);
        assert_eq!(answer(request).await.0, status, "{host}");
    }
    let order = order(&json!([talk("Hi")]));
    for status in [201, 201, 201, 429] {
        assert_eq!(account.ask(Method::POST, "", &order).await.0, status);
    }
    account.clock.advance(SignedDuration::from_secs(1));
    assert_eq!(account.ask(Method::POST, "", &order).await.0, 201);
}

#[tokio::test]
async fn legs_are_shown_and_listed_with_filters() {
    let account = Account::start().await;
    account.app.connects_from(MASK);
    let call = account.vonage.call(json!({"from": CALLER, "to": DIALLED, "talk_seconds": 30})).await;
    account.vonage.call(json!({"from": CALLER, "to": DIALLED})).await;
    let uuid = call["legs"][1]["uuid"].as_str().unwrap();
    let (_, leg) = account.ask(Method::GET, &format!("/{uuid}"), &Value::Null).await;
    let expected = json!({"_links": {"self": {"href": format!("/calls/{uuid}")}}, "uuid": uuid,
        "conversation_uuid": call["conversation_uuid"], "to": {"type": "phone", "number": CALLEE},
        "from": {"type": "phone", "number": MASK}, "status": "completed", "direction": "outbound",
        "rate": "0.02400000", "price": "0.01200000", "network": "23410", "duration": "30",
        "start_time": "2027-01-15 08:00:05", "end_time": "2027-01-15 08:00:35"});
    assert_eq!(leg, expected);
    assert_eq!(account.ask(Method::GET, "/unknown", &Value::Null).await.0, 404);
    let conversation = format!("conversation_uuid={}", call["conversation_uuid"].as_str().unwrap());
    for (query, count, shown) in [
        (conversation.as_str(), 2, 2),
        ("status=completed", 3, 3),
        ("status=answered", 0, 0),
        ("page_size=2&record_index=2", 3, 1),
        ("date_start=2027-01-15T08:00:00Z&date_end=2027-01-15T09:00:00Z", 3, 3),
        ("date_start=2027-01-15T09:00:00Z", 0, 0),
    ] {
        let (status, list) = account.ask(Method::GET, &format!("?{query}"), &Value::Null).await;
        let calls = list["_embedded"]["calls"].as_array().unwrap().len();
        assert_eq!((status, &list["count"], calls), (200, &json!(count), shown), "{query}");
    }
    for query in ["page_size=101", "page_size=0", "record_index=x", "date_start=yesterday"] {
        assert_eq!(account.ask(Method::GET, &format!("?{query}"), &Value::Null).await.0, 400, "{query}");
    }
}
