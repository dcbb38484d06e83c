//! Calls that live: what their users and the Voice API do with them.

use jiff::SignedDuration;
use local::simulator::HttpMethod;
use reqwest::Method;
use serde_json::{Value, json};

use crate::account::{Account, DIALLED, MASK, order, statuses};
use crate::support::{App, CALLEE, CALLER, Vonage, answer, talk, texts};

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
async fn hang_up_of_an_ended_leg_spares_the_next_one() {
    let account = Account::start().await;
    let call = account.connected().await;
    let [inbound, first] = [&call["legs"][0], &call["legs"][1]];
    let next = json!([{"action": "connect", "from": MASK, "endpoint": [{"type": "phone", "number": "447700900003"}]}]);
    account.app.answers(next.clone());
    account.app.answers(next);
    account.app.waits_for_two();
    let url = format!("{}/answer", account.app.base);
    let transfer = json!({"action": "transfer", "destination": {"type": "ncco", "url": [url]}});
    let path = format!("/{}", inbound["uuid"].as_str().unwrap());
    assert_eq!(account.ask(Method::PUT, &path, &transfer).await.0, 204);
    // The transfer waits for its NCCO, so the leg is still up.
    assert_eq!(account.hang_up(first).await, 204);
    assert_eq!(answer(account.vonage.client.get(&url)).await.0, 200);
    account.app.waits_no_more();
    assert_eq!(statuses(&account.report(&call).await), ["answered", "completed", "answered"]);
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
async fn ringing_phone_waits_for_its_user_or_a_hang_up() {
    let account = Account::start().await;
    for (way, status, rest) in
        [("answer", "answered", 0), ("reject", "rejected", 1), ("hang up", "cancelled", 1), ("caller", "cancelled", 0)]
    {
        let connect = json!({"action": "connect", "from": MASK, "endpoint": [{"type": "phone", "number": CALLEE}]});
        account.app.answers(json!([connect, talk("The rest")]));
        let request = json!({"from": CALLER, "to": DIALLED, "lives": true, "callee": "rings"});
        let call = account.vonage.call(request).await;
        assert_eq!(statuses(&call), ["answered", "ringing"]);
        account.clock.advance(SignedDuration::from_secs(2));
        let path = format!("/simulator/calls/{}", call["conversation_uuid"].as_str().unwrap());
        let control = async |path: String, body| account.vonage.control("POST", &path, body).await.0;
        let done = match way {
            "answer" => control(format!("{path}/answer"), Value::Null).await,
            "reject" => control(format!("{path}/hang-up"), json!({"by": "callee"})).await,
            "hang up" => account.hang_up(&call["legs"][1]).await - 4,
            _ => control(format!("{path}/hang-up"), json!({"by": "caller"})).await,
        };
        let report = account.report(&call).await;
        assert_eq!((done, statuses(&report)[1], texts(&report).len()), (200, status, rest), "{way}");
        if way == "answer" {
            assert_eq!(account.hang_up(&call["legs"][1]).await, 204);
            assert_eq!(texts(&account.report(&call).await), ["The rest"]);
        }
    }
}

#[tokio::test]
async fn created_call_can_be_ended_while_it_rings() {
    let account = Account::start().await;
    let script = json!({"callee": "rings", "lives": true});
    assert_eq!(account.vonage.control("PUT", "/simulator/created-calls", script).await.0, 204);
    for (way, status) in [("hang up", "cancelled"), ("reject", "rejected")] {
        let (_, created) = account.ask(Method::POST, "", &order(&json!([talk("Hello")]))).await;
        assert_eq!(statuses(&account.report(&created).await), ["ringing"]);
        account.clock.advance(SignedDuration::from_secs(2));
        if way == "hang up" {
            assert_eq!(account.hang_up(&created).await, 204);
        } else {
            let path = format!("/simulator/calls/{}/hang-up", created["conversation_uuid"].as_str().unwrap());
            assert_eq!(account.vonage.control("POST", &path, json!({})).await.0, 200);
        }
        let report = account.report(&created).await;
        assert_eq!((statuses(&report), texts(&report).len()), (vec![status], 0));
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
