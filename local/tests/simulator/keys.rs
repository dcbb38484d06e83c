//! `input`, `notify`, and the scripts of a caller.

use serde_json::{Value, json};

use crate::support::{App, CALLEE, CALLER, Vonage, linked, talk, texts};

const MASK: &str = "447451000001";
const DIALLED: &str = "447451000002";

fn input(app: &App, dtmf: Value) -> Value {
    json!({"action": "input", "type": ["dtmf"], "dtmf": dtmf, "eventUrl": [format!("{}/input", app.base)]})
}

async fn call(vonage: &Vonage, presses: Value) -> Value {
    vonage.call(json!({"from": CALLER, "to": DIALLED, "presses": presses})).await
}

#[tokio::test]
async fn input_event_matches_vonages_format() {
    let (app, vonage) = linked(&[DIALLED]).await;
    app.answers(json!([input(&app, json!({"maxDigits": 6, "timeOut": 10}))]));
    let told = call(&vonage, json!(["123456"])).await;
    let received = app.received("/input").remove(0);
    let expected = json!({"dtmf": {"digits": "123456", "timed_out": false}, "from": CALLER, "to": DIALLED,
        "uuid": told["legs"][0]["uuid"], "conversation_uuid": told["conversation_uuid"],
        "timestamp": received.data["timestamp"]});
    assert_eq!((received.data, received.claims.is_some()), (expected, true));
    assert_eq!(told["phones"]["caller"]["pressed"], json!(["123456"]));
}

#[tokio::test]
async fn input_ends_by_number_of_keys_hash_or_time() {
    let (app, vonage) = linked(&[DIALLED]).await;
    for (dtmf, keys, digits, timed_out, seconds) in [
        (json!({}), json!("12345"), "1234", false, "2"),
        (json!({}), Value::Null, "", true, "3"),
        (json!({}), json!("12"), "12", true, "4"),
        (json!({"submitOnHash": true}), json!("12#"), "12", false, "2"),
        (json!({"maxDigits": 6, "timeOut": 10}), json!("12345"), "12345", true, "13"),
    ] {
        app.answers(json!([input(&app, dtmf)]));
        let told = call(&vonage, json!([keys])).await;
        let taken = app.received("/input").pop().unwrap().data["dtmf"].clone();
        assert_eq!(taken, json!({"digits": digits, "timed_out": timed_out}));
        assert_eq!(told["legs"][0]["duration"], seconds, "{keys}");
    }
}

#[tokio::test]
async fn response_to_input_replaces_the_rest() {
    let (app, vonage) = linked(&[DIALLED]).await;
    let ask = input(&app, json!({"maxDigits": 1}));
    app.answers(json!([talk("Press 1"), ask, talk("The rest")]));
    app.replies("/input", 200, &json!([talk("Once more"), ask, talk("Another rest")]).to_string());
    app.replies("/input", 200, &json!([talk("Thank you")]).to_string());
    let told = call(&vonage, json!([null, "1"])).await;
    assert_eq!(texts(&told), ["Press 1", "Once more", "Thank you"]);
    assert_eq!(told["phones"]["caller"]["pressed"], json!(["", "1"]));
    let about: Vec<_> = told["nccos"].as_array().unwrap().iter().map(|ncco| &ncco["about"]).collect();
    assert_eq!(about, ["answer", "input", "input"]);
    app.answers(json!([ask, talk("The rest")]));
    app.replies("/input", 204, "");
    assert_eq!(texts(&call(&vonage, json!(["1"])).await), ["The rest"]);
}

#[tokio::test]
async fn failing_input_webhook_leads_to_the_fallback() {
    let (app, vonage) = linked(&[DIALLED]).await;
    app.answers(json!([input(&app, json!({})), talk("The rest")]));
    app.replies("/input", 503, "");
    app.replies("/input", 503, "");
    app.falls_back_with(200, &json!([talk("Sorry")]).to_string());
    let told = call(&vonage, json!(["1234"])).await;
    assert_eq!((texts(&told), app.received("/input").len()), (vec!["Sorry".to_owned()], 2));
    let asked = app.received("/fallback").remove(0).data;
    assert_eq!(asked["original_request"], json!({"url": format!("{}/input", app.base), "type": "event"}));
    assert_eq!((&asked["dtmf"]["digits"], &asked["reason"]), (&json!("1234"), &json!("HTTP status 503.")));
    app.answers(json!([input(&app, json!({})), talk("The rest")]));
    app.replies("/input", 500, "");
    app.falls_back_with(500, "");
    assert_eq!(texts(&call(&vonage, json!(["1234"])).await), ["The rest"]);
}

#[tokio::test]
async fn input_without_an_address_asks_the_event_url() {
    let (app, vonage) = linked(&[DIALLED]).await;
    app.answers(json!([{"action": "input", "type": ["dtmf"]}]));
    app.replies("/event", 200, &json!([talk("Thank you")]).to_string());
    assert_eq!(texts(&call(&vonage, json!(["1234"])).await), ["Thank you"]);
    assert!(app.received("/event")[0].data.get("status").is_none());
}

#[tokio::test]
async fn key_can_end_a_prompt_that_its_input_follows() {
    let (app, vonage) = linked(&[DIALLED]).await;
    let mut prompt = talk("Please enter the six digits that we have sent you in a text");
    prompt["bargeIn"] = json!(true);
    for (keys, seconds) in [(json!("1"), "2"), (Value::Null, "9")] {
        app.answers(json!([prompt, input(&app, json!({"maxDigits": 1}))]));
        assert_eq!(call(&vonage, json!([keys])).await["legs"][0]["duration"], seconds, "{keys}");
    }
}

#[tokio::test]
async fn asynchronous_input_sends_each_key_of_the_call() {
    let (app, vonage) = linked(&[MASK, DIALLED]).await;
    let listen = json!({"action": "input", "type": ["dtmf"], "mode": "asynchronous",
        "eventUrl": [format!("{}/key", app.base)]});
    let connect = json!({"action": "connect", "from": MASK, "endpoint": [{"type": "phone", "number": CALLEE}]});
    let request = json!({"from": CALLER, "to": DIALLED, "presses_during_call": ["*9"]});
    app.answers(json!([listen, connect]));
    let told = vonage.call(request.clone()).await;
    let keys: Vec<_> = app.received("/key").iter().map(|key| key.data["dtmf"]["digits"].clone()).collect();
    assert_eq!(keys, ["*", "9"]);
    assert_eq!((&told["legs"][0]["duration"], told.get("error")), (&json!("63"), None), "it does not block");
    app.answers(json!([connect]));
    vonage.call(request.clone()).await;
    assert_eq!(app.received("/key").len(), 2, "nobody listens");
    app.answers(json!([listen, connect]));
    app.replies("/key", 200, "[]");
    assert!(vonage.call(request).await["error"].as_str().unwrap().contains("\"input\" is an NCCO"));
}

#[tokio::test]
async fn notify_sends_its_payload_and_takes_an_ncco() {
    let (app, vonage) = linked(&[DIALLED]).await;
    let notify = json!({"action": "notify", "payload": {"place": 3}, "eventUrl": [format!("{}/notify", app.base)]});
    app.answers(json!([notify, talk("The rest")]));
    app.replies("/notify", 200, &json!([talk("It is your turn")]).to_string());
    let told = call(&vonage, json!([])).await;
    assert_eq!(texts(&told), ["It is your turn"]);
    let data = app.received("/notify").remove(0).data;
    let expected = json!({"payload": {"place": 3}, "conversation_uuid": told["conversation_uuid"],
        "timestamp": data["timestamp"]});
    assert_eq!(data, expected);
    app.answers(json!([notify, talk("The rest")]));
    assert_eq!(texts(&call(&vonage, json!([])).await), ["The rest"]);
}

#[tokio::test]
async fn caller_can_hang_up_around_a_step_or_at_a_time() {
    let (app, vonage) = linked(&[MASK, DIALLED]).await;
    let connect = json!({"action": "connect", "from": MASK, "endpoint": [{"type": "phone", "number": CALLEE}]});
    for (leaves, heard, called, callee) in [
        (json!({"before": 1}), 0, 0, ""),
        (json!({"after": 1}), 1, 0, ""),
        (json!({"before": 2}), 1, 0, ""),
        // Two seconds of talk, three of ringing.
        (json!({"at": 1}), 1, 0, ""),
        (json!({"at": 3}), 1, 1, "cancelled"),
        (json!({"at": 10}), 1, 1, "completed"),
        (json!({"after": 2}), 1, 1, "completed"),
    ] {
        app.answers(json!([talk("One two three four five"), connect, talk("The rest")]));
        let request = json!({"from": CALLER, "to": DIALLED, "hangs_up": "callee", "leaves": leaves});
        let told = vonage.call(request).await;
        assert_eq!(texts(&told).len(), heard, "{leaves}");
        let legs = told["legs"].as_array().unwrap();
        assert_eq!(legs.len(), 1 + called, "{leaves}");
        assert_eq!(
            (&legs[0]["status"], legs.get(1).map_or("", |leg| leg["status"].as_str().unwrap())),
            (&json!("completed"), callee)
        );
        let end = app.received("/event").pop().unwrap().data;
        assert_eq!((&end["direction"], &end["disconnected_by"]), (&json!("inbound"), &json!("user")), "{leaves}");
    }
}

#[tokio::test]
async fn application_that_asks_for_ever_is_stopped() {
    let (app, vonage) = linked(&[DIALLED]).await;
    let ask = json!([input(&app, json!({"maxDigits": 1}))]).to_string();
    app.answers_with(200, &ask);
    for _ in 0..600 {
        app.replies("/input", 200, &ask);
    }
    let told = call(&vonage, json!([])).await;
    assert_eq!(told["error"], "the call has more than 500 actions");
    assert_eq!((app.received("/input").len(), &told["legs"][0]["status"]), (500, &json!("completed")));
}

#[tokio::test]
async fn unknown_behaviour_or_key_is_refused() {
    let (_, vonage) = linked(&[DIALLED]).await;
    for fault in [
        json!({"callee": "sleeps"}),
        json!({"callee": {"does": "answers", "shouts": true}}),
        json!({"callees": {CALLEE: {"presses": ["1a"]}}}),
        json!({"presses": [1]}),
        json!({"leaves": {"during": 1}}),
    ] {
        let mut request = json!({"from": CALLER, "to": DIALLED});
        request.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
        assert_eq!(vonage.control("POST", "/simulator/calls", request).await.0, 400, "{fault}");
    }
}
