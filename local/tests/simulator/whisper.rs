//! `onAnswer`: what a called phone hears before it is joined, and how phones behave at it.

use local::simulator::HttpMethod;
use serde_json::{Value, json};

use crate::support::{App, CALLEE, CALLER, Vonage, linked, talk, texts, without_times};

const MASK: &str = "447451000001";
const DIALLED: &str = "447451000002";
const WHISPER: &str = "Robin from the taxi calls. Press 1 to accept.";
const GOODBYE: &str = "Goodbye.";

fn connect(app: &App) -> Value {
    let on_answer = json!({"url": format!("{}/whisper?token=abc", app.base),
        "ringbackTone": "https://example.com/tone.mp3"});
    json!({"action": "connect", "from": MASK,
        "endpoint": [{"type": "phone", "number": CALLEE, "onAnswer": on_answer}]})
}

fn guard(app: &App) -> Value {
    json!([talk(WHISPER), {"action": "input", "type": ["dtmf"], "dtmf": {"maxDigits": 1, "timeOut": 5},
        "eventUrl": [format!("{}/guard", app.base)]}])
}

/// Starts an application that connects with a whisper, accepts the key 1, and leads all others to a dead end.
async fn guarded(digits: &str) -> (App, Vonage) {
    let (app, vonage) = linked(&[MASK, DIALLED]).await;
    app.answers(json!([connect(&app), talk("They cannot talk now")]));
    app.replies("/whisper", 200, &guard(&app).to_string());
    let declined = json!([talk(GOODBYE), {"action": "wait", "timeout": 7200}]);
    let reply = if digits == "1" { String::new() } else { declined.to_string() };
    app.replies("/guard", 200, &reply);
    (app, vonage)
}

async fn call(vonage: &Vonage, callee: Value) -> Value {
    vonage.call(json!({"from": CALLER, "to": DIALLED, "callee": callee, "hangs_up": "callee"})).await
}

#[tokio::test]
async fn accepted_call_is_joined_after_the_whisper() {
    let (app, vonage) = guarded("1").await;
    let told = call(&vonage, json!({"does": "answers", "presses": ["1"]})).await;
    let phone = &told["callees"][0];
    assert_eq!(
        (&phone["joined"], &phone["heard"], &phone["pressed"]),
        (&json!(true), &json!([WHISPER]), &json!(["1"]))
    );
    let caller = &told["phones"]["caller"];
    assert_eq!((&caller["connected"], &caller["streams"]), (&json!(true), &json!(["https://example.com/tone.mp3"])));
    assert_eq!(texts(&told), ["They cannot talk now"], "the whisper is for the called phone alone");
    let asked = app.received("/guard").remove(0).data;
    assert_eq!((&asked["uuid"], &asked["to"], &asked["from"]), (&phone["leg"], &json!(CALLEE), &json!(MASK)));
    assert_eq!(asked["dtmf"]["digits"], "1");
}

#[tokio::test]
async fn phone_that_does_not_accept_is_not_joined() {
    for (callee, digits) in [
        (json!("answers"), ""),
        (json!("declines"), ""),
        (json!({"does": "declines", "presses": ["2"]}), "2"),
        (json!("voicemail"), ""),
    ] {
        let (app, vonage) = guarded(digits).await;
        let told = call(&vonage, callee.clone()).await;
        let phone = &told["callees"][0];
        assert_eq!((&phone["answered"], &phone["joined"]), (&json!(true), &json!(false)), "{callee}");
        assert_eq!(phone["heard"], json!([WHISPER, GOODBYE]));
        assert_eq!(app.received("/guard")[0].data["dtmf"], json!({"digits": digits, "timed_out": digits.is_empty()}));
        assert_eq!(
            (texts(&told), told["legs"][1]["status"].as_str()),
            (vec!["They cannot talk now".to_owned()], Some("completed"))
        );
        let leg = app
            .received("/event")
            .into_iter()
            .find(|event| event.data["direction"] == "outbound" && event.data["status"] == "completed");
        assert_eq!(leg.unwrap().data["disconnected_by"], "user", "{callee}");
    }
}

#[tokio::test]
async fn screening_phone_shows_the_whisper_as_the_reason() {
    for (owner, joined) in [("accepts", true), ("declines", false)] {
        let (app, vonage) = guarded("1").await;
        let told = call(&vonage, json!({"does": "screens", "owner": owner, "presses": ["1"]})).await;
        let phone = &told["callees"][0];
        assert_eq!((&phone["shown_reason"], &phone["joined"]), (&json!(WHISPER), &json!(joined)));
        assert_eq!(app.received("/guard").len(), usize::from(joined), "who declines hangs up");
        assert_eq!(told["phones"]["caller"]["connected"], joined);
    }
}

#[tokio::test]
async fn owner_who_decides_late_is_prompted_again() {
    let (app, vonage) = linked(&[MASK, DIALLED]).await;
    app.answers(json!([connect(&app)]));
    app.replies("/whisper", 200, &guard(&app).to_string());
    app.replies("/guard", 200, &guard(&app).to_string());
    let callee = json!({"does": "screens", "presses": ["1"], "decides_after": 14});
    let told = call(&vonage, callee).await;
    let phone = &told["callees"][0];
    assert_eq!((&phone["pressed"], &phone["joined"]), (&json!(["", "1"]), &json!(true)));
    assert_eq!(phone["shown_reason"], format!("{WHISPER} {WHISPER}"));
}

#[tokio::test]
async fn lost_on_answer_is_asked_again() {
    let (app, vonage) = guarded("1").await;
    let fault = json!({"webhook": "on_answer", "fault": {"kind": "lose"}});
    vonage.fault(fault).await;
    let told = call(&vonage, json!({"presses": ["1"]})).await;
    assert_eq!((app.received("/whisper").len(), &told["callees"][0]["joined"]), (1, &json!(true)));
    let attempts: Vec<_> = told["webhooks"].as_array().unwrap().iter().map(|ask| &ask["attempt"]).collect();
    assert_eq!(attempts, [1, 1, 2, 1]);
}

#[tokio::test]
async fn voicemail_without_a_guard_greets_the_caller() {
    let (app, vonage) = linked(&[MASK, DIALLED]).await;
    app.connects_from(MASK);
    let callee = json!({"does": "voicemail", "greeting": "This is Robin", "hangs_up_after": 20});
    let told = vonage.call(json!({"from": CALLER, "to": DIALLED, "callee": callee})).await;
    assert_eq!(texts(&told)[1], "This is Robin");
    assert_eq!((&told["callees"][0]["joined"], &told["legs"][1]["duration"]), (&json!(true), &json!("20")));
    let (_, vonage) = guarded("").await;
    let told = call(&vonage, json!({"does": "voicemail"})).await;
    assert_eq!(told["callees"][0]["recorded"], json!([WHISPER, GOODBYE]));
    assert!(!told["phones"]["caller"]["heard"].to_string().contains("Robin"), "{told}");
}

#[tokio::test]
async fn on_answer_can_be_asked_in_each_undocumented_way() {
    for (method, signed) in [("GET", true), ("GET", false), ("POST", true), ("POST", false)] {
        let (app, vonage) = guarded("1").await;
        let told = vonage
            .call(json!({"from": CALLER, "to": DIALLED, "callee": {"presses": ["1"]},
                "on_answer": {"method": method, "signed": signed}}))
            .await;
        let asked = app.received("/whisper").remove(0);
        assert_eq!((asked.method.as_str(), asked.claims.is_some()), (method, signed));
        let mut expected = json!({"from": MASK, "to": CALLEE, "uuid": told["callees"][0]["leg"],
            "conversation_uuid": told["conversation_uuid"]});
        if method == "GET" {
            expected["token"] = json!("abc");
        }
        assert_eq!(asked.data, expected);
        assert_eq!(
            without_times(&told["webhooks"])[1],
            json!({"url_kind": "on_answer", "about": "on_answer", "attempt": 1, "status": 200})
        );
    }
}

#[tokio::test]
async fn failing_on_answer_is_served_by_the_fallback() {
    let (app, vonage) = linked(&[MASK, DIALLED]).await;
    let url = format!("{}/whisper?token=abc", app.base);
    for (replies, reason) in [
        (vec![(503, ""), (503, "")], "HTTP status 503."),
        (vec![(404, "")], "HTTP status 404."),
        (vec![(200, r#"[{"action":"hangup"}]"#)], "Invalid NCCO."),
        (vec![(204, "")], "Invalid NCCO."),
    ] {
        app.answers(json!([connect(&app)]));
        for (status, body) in &replies {
            app.replies("/whisper", *status, body);
        }
        let before = app.received("/whisper").len();
        app.falls_back_with(200, &json!([talk("Hello")]).to_string());
        let request = json!({"from": CALLER, "to": DIALLED, "on_answer": {"type": "on_answer"}});
        let told = vonage.call(request).await;
        assert_eq!(app.received("/whisper").len() - before, replies.len(), "{reason}");
        assert_eq!((&told["callees"][0]["heard"], &told["callees"][0]["joined"]), (&json!(["Hello"]), &json!(true)));
        let asked = app.received("/fallback").pop().unwrap().data;
        assert_eq!((&asked["reason"], &asked["uuid"]), (&json!(reason), &told["callees"][0]["leg"]));
        assert_eq!(asked["original_request"], json!({"url": url, "type": "on_answer"}));
    }
}

#[tokio::test]
async fn phone_is_not_joined_if_nobody_says_what_it_hears() {
    let (app, vonage) = linked(&[MASK, DIALLED]).await;
    app.answers(json!([connect(&app), talk("The rest")]));
    app.replies("/whisper", 500, "");
    app.falls_back_with(500, "");
    let told = call(&vonage, json!("answers")).await;
    assert_eq!((&told["callees"][0]["joined"], texts(&told)), (&json!(false), vec!["The rest".to_owned()]));
}

#[tokio::test]
async fn leg_on_hold_is_not_joined() {
    let (app, vonage) = linked(&[MASK, DIALLED]).await;
    let music = "https://example.com/music.mp3";
    for end in [
        json!({"action": "conversation", "name": "hold", "musicOnHoldUrl": [music]}),
        json!({"action": "stream", "streamUrl": [music], "loop": 0}),
    ] {
        app.answers(json!([connect(&app), talk("The rest")]));
        app.replies("/whisper", 200, &json!([talk("Please wait"), end]).to_string());
        let told = call(&vonage, json!({"does": "answers", "hangs_up_after": 12})).await;
        let phone = &told["callees"][0];
        assert_eq!((&phone["joined"], &phone["streams"]), (&json!(false), &json!([music])));
        assert_eq!((&told["legs"][1]["duration"], texts(&told)), (&json!("12"), vec!["The rest".to_owned()]));
    }
}

#[tokio::test]
async fn caller_who_hangs_up_during_the_whisper_ends_both_legs() {
    let (app, vonage) = guarded("1").await;
    let request = json!({"from": CALLER, "to": DIALLED, "callee": {"presses": ["1"]}, "leaves": {"at": 5}});
    let told = vonage.call(request).await;
    assert_eq!((&told["callees"][0]["joined"], texts(&told).len()), (&json!(false), 0));
    let ends: Vec<_> = app.received("/event").into_iter().filter(|event| event.data["status"] == "completed").collect();
    let by: Vec<_> = ends.iter().map(|end| (&end.data["direction"], &end.data["disconnected_by"])).collect();
    assert_eq!(by, [(&json!("outbound"), &json!("platform")), (&json!("inbound"), &json!("user"))]);
    assert!(app.received("/guard").is_empty());
}

#[tokio::test]
async fn machine_detection_tells_or_ends_a_machine() {
    let app = App::start().await;
    let vonage = Vonage::start_for(&app.base, HttpMethod::Post).await;
    vonage.rent_linked(&[MASK, DIALLED]).await;
    let standard = |behavior: &str| json!({"machineDetection": behavior});
    let advanced = |behavior: &str, mode: &str| json!({"machineDetection": "continue", "advancedMachineDetection": {"behavior": behavior, "mode": mode}});
    for (callee, detection, status, heard, seconds) in [
        ("answers", standard("hangup"), "human", 0, "60"),
        ("answers", advanced("hangup", "detect"), "human", 0, "64"),
        // Those that do not wait come too late for the greeting.
        ("voicemail", standard("hangup"), "machine", 1, "4"),
        ("voicemail", advanced("hangup", "default"), "machine", 1, "4"),
        ("voicemail", advanced("hangup", "detect"), "machine", 0, "4"),
        ("screens", advanced("hangup", "detect_beep"), "machine", 0, "4"),
        ("voicemail", advanced("continue", "detect"), "machine", 1, "30"),
    ] {
        let mut connect = json!({"action": "connect", "from": MASK,
            "endpoint": [{"type": "phone", "number": CALLEE}]});
        connect.as_object_mut().unwrap().extend(detection.as_object().unwrap().clone());
        app.answers(json!([connect]));
        let told = call(&vonage, json!(callee)).await;
        assert_eq!(
            (texts(&told).len(), &told["legs"][1]["duration"]),
            (heard, &json!(seconds)),
            "{callee} {detection}"
        );
        let found = app.received("/event").into_iter().rfind(|event| event.data.get("call_uuid").is_some()).unwrap();
        assert_eq!((&found.data["status"], &found.data["call_uuid"]), (&json!(status), &told["callees"][0]["leg"]));
        assert_eq!(found.data.get("uuid"), None);
    }
}
