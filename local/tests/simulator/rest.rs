//! The Voice API: calls that the application creates, and calls that live.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use local::simulator::HttpMethod;
use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::ManualClock;

use crate::support::{App, CALLEE, CALLER, Vonage, answer, application_token, talk, texts};

const MASK: &str = "447451000001";
const DIALLED: &str = "447451000002";
const START: i64 = 1_800_000_000;

struct Account {
    app: App,
    vonage: Vonage,
    clock: ManualClock,
}

impl Account {
    async fn start() -> Self {
        let app = App::start().await;
        let clock = ManualClock::at(Timestamp::from_second(START).unwrap());
        let vonage = Vonage::start_for_at(&app.base, Arc::new(clock.clone())).await;
        vonage.rent_linked(&[MASK, DIALLED]).await;
        Self { app, vonage, clock }
    }

    /// Sends a request with a token of the application.
    async fn ask(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let request = self.vonage.client.request(method, format!("{}/v1/calls{path}", self.vonage.base));
        answer(request.bearer_auth(application_token(START)).json(body)).await
    }

    async fn hang_up(&self, leg: &Value) -> u16 {
        let leg = leg["uuid"].as_str().unwrap();
        self.ask(Method::PUT, &format!("/{leg}"), &json!({"action": "hangup"})).await.0
    }

    /// Returns the report of a call, after all that was asked of it before.
    async fn report(&self, call: &Value) -> Value {
        let path = format!("/simulator/calls/{}", call["conversation_uuid"].as_str().unwrap());
        let (status, report) = answer(self.vonage.get(&path)).await;
        assert_eq!(status, 200, "{report}");
        report
    }

    /// Places a call that lives, and waits until its legs accept commands.
    async fn connected(&self) -> Value {
        self.app.connects_from(MASK);
        let call = self.vonage.call(json!({"from": CALLER, "to": DIALLED, "lives": true})).await;
        self.clock.advance(SignedDuration::from_secs(2));
        call
    }
}

fn statuses(report: &Value) -> Vec<&str> {
    report["legs"].as_array().unwrap().iter().map(|leg| leg["status"].as_str().unwrap()).collect()
}

fn order(ncco: &Value) -> Value {
    json!({"to": [{"type": "phone", "number": CALLER}], "from": {"type": "phone", "number": MASK}, "ncco": ncco})
}

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

#[tokio::test]
async fn live_call_stays_up_until_both_legs_are_ended() {
    let account = Account::start().await;
    account.app.connects_from(MASK);
    let call = account.vonage.call(json!({"from": CALLER, "to": DIALLED, "lives": true})).await;
    assert_eq!(statuses(&call), ["answered", "answered"]);
    assert_eq!(account.app.received("/event").len(), 6, "all that has happened so far is known");
    let [inbound, outbound] = [&call["legs"][0], &call["legs"][1]];
    assert_eq!(account.hang_up(inbound).await, 400, "within two seconds of its creation");
    account.clock.advance(SignedDuration::from_secs(60));
    assert_eq!(account.hang_up(inbound).await, 204);
    assert_eq!(statuses(&account.report(&call).await), ["completed", "answered"], "the other leg stays up");
    assert_eq!(account.hang_up(inbound).await, 404);
    assert_eq!(account.hang_up(outbound).await, 204);
    let report = account.report(&call).await;
    assert_eq!(statuses(&report), ["completed", "completed"]);
    assert_eq!(report["legs"][0]["duration"], "60");
    assert_eq!(account.app.received("/event").len(), 8);
    assert_eq!(account.hang_up(outbound).await, 404);
}

#[tokio::test]
async fn users_of_a_live_call_can_hang_up() {
    let account = Account::start().await;
    for (body, by) in
        [(Value::Null, "caller"), (json!({"by": "caller"}), "caller"), (json!({"by": "callee"}), "callee")]
    {
        let call = account.connected().await;
        let path = format!("/simulator/calls/{}/hang-up", call["conversation_uuid"].as_str().unwrap());
        let url = format!("{}{path}", account.vonage.base);
        let request = account.vonage.client.post(url);
        let request = if body.is_null() { request } else { request.json(&body) };
        let (status, report) = answer(request).await;
        assert_eq!((status, statuses(&report)), (200, vec!["completed", "completed"]), "{by}");
        let end = account.app.received("/event").into_iter().rfind(|event| event.data["disconnected_by"] == "user");
        let direction = if by == "caller" { "inbound" } else { "outbound" };
        assert_eq!(end.unwrap().data["direction"], direction);
        assert_eq!(account.vonage.control("POST", &path, json!({})).await.0, 404);
    }
}

#[tokio::test]
async fn key_in_a_live_call_can_end_it() {
    let account = Account::start().await;
    let listen = json!({"action": "input", "type": ["dtmf"], "mode": "asynchronous",
        "eventUrl": [format!("{}/key", account.app.base)]});
    let connect = json!({"action": "connect", "from": MASK, "endpoint": [{"type": "phone", "number": CALLEE}]});
    account.app.answers(json!([listen, connect]));
    let call = account.vonage.call(json!({"from": CALLER, "to": DIALLED, "lives": true})).await;
    account.clock.advance(SignedDuration::from_secs(2));
    let path = format!("/simulator/calls/{}/press", call["conversation_uuid"].as_str().unwrap());
    assert_eq!(account.vonage.control("POST", &path, json!({"keys": "9a"})).await.0, 400);
    for by in ["caller", "callee"] {
        assert_eq!(account.vonage.control("POST", &path, json!({"keys": "*9", "by": by})).await.0, 200);
    }
    let keys: Vec<_> = account.app.received("/key").iter().map(|key| key.data["dtmf"]["digits"].clone()).collect();
    assert_eq!(keys, ["*", "9"], "only the caller's leg has the input");
    for leg in call["legs"].as_array().unwrap() {
        assert_eq!(account.hang_up(leg).await, 204);
    }
    assert_eq!(statuses(&account.report(&call).await), ["completed", "completed"]);
    assert_eq!(account.vonage.control("POST", &path, json!({"keys": "1"})).await.0, 404);
}

#[tokio::test]
async fn words_can_be_spoken_into_one_leg() {
    let account = Account::start().await;
    let call = account.connected().await;
    let leg = call["legs"][1]["uuid"].as_str().unwrap();
    let path = format!("/{leg}/talk");
    let (status, started) = account.ask(Method::PUT, &path, &json!({"text": "One minute is left"})).await;
    assert_eq!((status, started), (200, json!({"message": "Talk started", "uuid": leg})));
    let (status, stopped) = account.ask(Method::DELETE, &path, &Value::Null).await;
    assert_eq!((status, &stopped["message"]), (200, &json!("Talk stopped")));
    assert_eq!(account.ask(Method::PUT, &path, &json!({})).await.0, 400);
    let report = account.report(&call).await;
    assert_eq!(report["callees"][0]["heard"], json!(["One minute is left"]));
    assert!(!texts(&report).contains(&"One minute is left".to_owned()));
}

#[tokio::test]
async fn transferred_leg_performs_another_ncco_elsewhere() {
    let account = Account::start().await;
    for (place, by_url) in [(0, false), (0, true), (1, false)] {
        let call = account.connected().await;
        let leg = call["legs"][place]["uuid"].as_str().unwrap();
        let goodbye = json!([talk("This call ends here")]);
        let destination = if by_url {
            account.app.replies("/next", 200, &goodbye.to_string());
            json!({"type": "ncco", "url": [format!("{}/next", account.app.base)]})
        } else {
            json!({"type": "ncco", "ncco": goodbye})
        };
        let transfer = json!({"action": "transfer", "destination": destination});
        assert_eq!(account.ask(Method::PUT, &format!("/{leg}"), &transfer).await.0, 204);
        let report = account.report(&call).await;
        assert_eq!(statuses(&report), ["completed", "completed"]);
        let heard = if place == 0 {
            report["phones"]["caller"]["heard"].clone()
        } else {
            report["callees"][0]["heard"].clone()
        };
        assert_eq!(heard.as_array().unwrap().last().unwrap(), "This call ends here");
        let event =
            account.app.received("/event").into_iter().rfind(|event| event.data.get("conversation_uuid_to").is_some());
        let data = event.unwrap().data;
        assert_eq!((&data["conversation_uuid_from"], &data["uuid"]), (&call["conversation_uuid"], &json!(leg)));
        assert_ne!(data["conversation_uuid_from"], data["conversation_uuid_to"]);
    }
    let call = account.connected().await;
    let leg = call["legs"][0]["uuid"].as_str().unwrap();
    for destination in [json!({}), json!({"type": "ncco"}), json!({"type": "ncco", "url": "https://example.com"})] {
        let transfer = json!({"action": "transfer", "destination": destination});
        assert_eq!(account.ask(Method::PUT, &format!("/{leg}"), &transfer).await.0, 400, "{destination}");
    }
    assert_eq!(account.ask(Method::PUT, &format!("/{leg}"), &json!({"action": "sing"})).await.0, 400);
    assert_eq!(account.ask(Method::PUT, &format!("/{leg}"), &json!({"action": "mute"})).await.0, 204);
}

#[tokio::test]
async fn live_call_waits_on_hold_too() {
    let account = Account::start().await;
    account.app.answers(json!([{"action": "conversation", "name": "hold"}]));
    let call = account.vonage.call(json!({"from": CALLER, "to": DIALLED, "lives": true})).await;
    assert_eq!(statuses(&call), ["answered"]);
    account.clock.advance(SignedDuration::from_secs(2));
    assert_eq!(account.hang_up(&call["legs"][0]).await, 204);
    assert_eq!(statuses(&account.report(&call).await), ["completed"]);
}

#[tokio::test]
async fn call_that_never_comes_up_is_reported_at_its_end() {
    let app = App::start().await;
    let vonage = Vonage::start_for(&app.base, HttpMethod::Post).await;
    vonage.rent_linked(&[MASK, DIALLED]).await;
    app.connects_from(MASK);
    let call = vonage.call(json!({"from": CALLER, "to": DIALLED, "callee": "busy", "lives": true})).await;
    assert_eq!(statuses(&call), ["completed", "busy"]);
    assert_eq!(vonage.control("GET", "/simulator/calls/unknown", Value::Null).await.0, 404);
}
