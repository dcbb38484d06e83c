use serde_json::json;

use super::*;

fn connect_with(changes: Value) -> Value {
    let mut connect = json!({
        "action": "connect", "from": "447451000001",
        "endpoint": [{"type": "phone", "number": "447700900001"}],
    });
    for (name, value) in changes.as_object().expect("changes are an object") {
        connect[name] = value.clone();
    }
    json!([connect])
}

#[test]
fn connect_without_times_has_vonages_defaults() {
    let actions = read(&connect_with(json!({}))).expect("valid");
    let [Action::Connect(connect)] = actions.as_slice() else {
        panic!("one connect is expected");
    };
    assert_eq!((connect.timeout, connect.limit), (60.0, 7_200.0));
    assert!(connect.webhook.is_none() && !connect.synchronous && connect.on_answer.is_none());
}

#[test]
fn times_may_be_numbers_in_strings() {
    let actions = read(&connect_with(json!({"timeout": "45"}))).expect("valid");
    assert!(matches!(&actions[0], Action::Connect(connect) if connect.timeout == 45.0));
}

#[test]
fn invalid_connect_is_refused() {
    let phone = json!({"type": "phone", "number": "447700900001"});
    for fault in [
        json!({"from": null}),
        json!({"from": "+447451000001"}),
        json!({"endpoint": phone}),
        json!({"endpoint": []}),
        json!({"endpoint": [phone, phone]}),
        json!({"endpoint": [{"type": "sip", "uri": "sip:a@example.com"}]}),
        json!({"endpoint": [{"type": "phone", "number": "+447700900001"}]}),
        json!({"endpoint": [{"type": "phone", "number": "07700900001"}]}),
        json!({"endpoint": [{"type": "phone"}]}),
        json!({"limit": 7201}),
        json!({"timeout": true}),
        json!({"eventUrl": "https://example.com/event"}),
        json!({"eventMethod": "PUT"}),
        json!({"eventType": "asynchronous"}),
        json!({"ringbackTone": ["https://example.com/a.mp3", "https://example.com/b.mp3"]}),
        json!({"ringbackTone": "tone.mp3"}),
        json!({"machineDetection": "stop"}),
        json!({"advancedMachineDetection": {"beep_timeout": 30}}),
        json!({"endpoint": [{"type": "phone", "number": "447700900001", "dtmfAnswer": "a"}]}),
        json!({"endpoint": [{"type": "phone", "number": "447700900001", "onAnswer": "https://example.com/a"}]}),
        json!({"endpoint": [{"type": "phone", "number": "447700900001", "onAnswer": {"url": ["https://a.example"]}}]}),
    ] {
        assert!(read(&connect_with(fault.clone())).is_err(), "{fault}");
    }
}

#[test]
fn talk_needs_a_text_of_at_most_1500_characters() {
    let talk = |text: Value| read(&json!([{"action": "talk", "text": text}]));
    assert!(talk(json!("a".repeat(1_500))).is_ok());
    assert!(talk(json!("a".repeat(1_501))).is_err());
    assert!(talk(json!("")).is_err());
    assert!(talk(json!(5)).is_err());
}

#[test]
fn only_an_array_of_known_actions_is_an_ncco() {
    assert!(read(&json!([])).is_ok());
    assert!(read(&json!([{"action": "record"}, {"action": "wait"}])).is_ok());
    assert!(read(&json!({"action": "talk", "text": "Hi"})).is_err());
    assert!(read(&json!([{"action": "hangup"}])).is_err());
    assert!(read(&json!(["talk"])).is_err());
    assert!(read(&json!([{"text": "Hi"}])).is_err());
}

#[test]
fn on_answer_may_name_its_ringback_in_two_ways() {
    for name in ["ringbackTone", "ringback"] {
        let on_answer = json!({"url": "https://example.com/whisper", name: "https://example.com/tone.mp3"});
        let endpoint = json!([{"type": "phone", "number": "447700900001", "onAnswer": on_answer}]);
        let actions = read(&connect_with(json!({"endpoint": endpoint}))).expect("valid");
        let Action::Connect(Connect { on_answer: Some(on_answer), .. }) = &actions[0] else {
            panic!("onAnswer is expected");
        };
        assert_eq!(on_answer.url, "https://example.com/whisper");
        assert_eq!(on_answer.ringback.as_deref(), Some("https://example.com/tone.mp3"));
    }
}

fn one(action: &str, members: Value) -> Result<Action, String> {
    let mut object = members;
    object["action"] = json!(action);
    read(&json!([object])).map(|mut actions| actions.remove(0))
}

#[test]
fn input_waits_three_seconds_for_four_keys_by_default() {
    let input = |members| match one("input", members) {
        Ok(Action::Input(input)) => input.dtmf,
        other => panic!("an input is expected: {other:?}"),
    };
    let usual = Dtmf { max_digits: 4, timeout: 3.0, submit_on_hash: false };
    assert_eq!(input(json!({"type": ["dtmf"]})), Some(usual));
    let settings = json!({"maxDigits": 20, "timeOut": 10, "submitOnHash": true});
    let most = Dtmf { max_digits: 20, timeout: 10.0, submit_on_hash: true };
    assert_eq!(input(json!({"type": ["dtmf"], "dtmf": settings})), Some(most));
    assert_eq!(input(json!({"type": ["dtmf"], "mode": "asynchronous"})), None);
}

#[test]
fn invalid_input_is_refused() {
    for fault in [
        json!({}),
        json!({"type": "dtmf"}),
        json!({"type": []}),
        json!({"type": ["speech"]}),
        json!({"type": ["dtmf", "speech"]}),
        json!({"type": ["dtmf"], "maxDigits": 6}),
        json!({"type": ["dtmf"], "dtmf": {"maxDigits": 21}}),
        json!({"type": ["dtmf"], "dtmf": {"maxDigits": 1.5}}),
        json!({"type": ["dtmf"], "dtmf": {"timeOut": 11}}),
        json!({"type": ["dtmf"], "dtmf": {"submitOnHash": 1}}),
        json!({"type": ["dtmf"], "eventUrl": "https://example.com/input"}),
        json!({"type": ["dtmf"], "mode": "both"}),
        json!({"type": ["dtmf"], "mode": "asynchronous", "dtmf": {"maxDigits": 1}}),
    ] {
        assert!(one("input", fault.clone()).is_err(), "{fault}");
    }
}

#[test]
fn any_end_condition_makes_record_block() {
    let record = |members| match one("record", members) {
        Ok(Action::Record(record)) => record,
        other => panic!("a record is expected: {other:?}"),
    };
    assert!(record(json!({"beepStart": true})).is_asynchronous());
    for end in [json!({"endOnSilence": 3}), json!({"endOnKey": "#"}), json!({"timeOut": 60})] {
        assert!(!record(end.clone()).is_asynchronous(), "{end}");
    }
    assert_eq!(record(json!({})).format, Format::Mp3);
    assert_eq!(record(json!({"split": "conversation", "channels": 3})).format, Format::Wav);
}

#[test]
fn invalid_record_is_refused() {
    for fault in [
        json!({"format": "flac"}),
        json!({"format": "ogg"}),
        json!({"endOnSilence": 2}),
        json!({"endOnSilence": 11}),
        json!({"endOnKey": "##"}),
        json!({"endOnKey": "a"}),
        json!({"endOnKey": 1}),
        json!({"timeOut": 2}),
        json!({"timeOut": 7201}),
        json!({"channels": 2}),
        json!({"channels": 33, "split": "conversation"}),
        json!({"split": "yes"}),
        json!({"eventUrl": ["https://example.com/a", "https://example.com/b"]}),
    ] {
        assert!(one("record", fault.clone()).is_err(), "{fault}");
    }
}

#[test]
fn other_actions_are_as_strict() {
    for (action, fault) in [
        ("talk", json!({"text": "Hi", "style": -1})),
        ("talk", json!({"text": "Hi", "style": 1.5})),
        ("talk", json!({"text": "Hi", "premium": "perhaps"})),
        ("talk", json!({"text": "Hi", "bargeIn": 1})),
        ("talk", json!({"text": "Hi", "language": "English"})),
        ("talk", json!({"text": "Hi", "level": 2})),
        ("talk", json!({"text": "Hi", "loop": -1})),
        ("stream", json!({})),
        ("stream", json!({"streamUrl": "https://example.com/a.mp3"})),
        ("stream", json!({"streamUrl": ["ftp://example.com/a.mp3"]})),
        ("stream", json!({"streamUrl": ["https://example.com/a.mp3"], "level": -2})),
        ("wait", json!({"timeout": 0})),
        ("wait", json!({"timeout": 7201})),
        ("conversation", json!({})),
        ("conversation", json!({"name": "hold", "startOnEnter": "no thanks"})),
        ("conversation", json!({"name": "hold", "musicOnHoldUrl": "music.mp3"})),
        ("conversation", json!({"name": "hold", "canHear": "all"})),
        ("conversation", json!({"name": "hold", "canSpeak": ["leg"], "mute": true})),
        ("notify", json!({"payload": {}})),
        ("notify", json!({"payload": "text", "eventUrl": ["https://example.com/n"]})),
        ("notify", json!({"payload": {}, "eventUrl": []})),
    ] {
        assert!(one(action, fault.clone()).is_err(), "{action} {fault}");
    }
    let talk = json!({"text": "Hi", "language": "es-419", "style": 2, "premium": true, "bargeIn": true, "loop": 0});
    assert!(matches!(one("talk", talk), Ok(Action::Talk { loops: 0, barge_in: true, .. })));
    assert!(one("conversation", json!({"name": "hold", "musicOnHoldUrl": ["https://example.com/m.mp3"]})).is_ok());
}
