//! `record`, and the files that it leaves.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::clock::ManualClock;

use crate::support::{App, CALLEE, CALLER, Vonage, answer, application_token, linked, talk, texts};

const MASK: &str = "447451000001";
const DIALLED: &str = "447451000002";
const START: i64 = 1_800_000_000;

fn record(app: &App, members: Value) -> Value {
    let mut record = json!({"action": "record", "eventUrl": [format!("{}/recorded", app.base)]});
    record.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    record
}

async fn call(vonage: &Vonage, more: Value) -> Value {
    let mut request = json!({"from": CALLER, "to": DIALLED});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    vonage.call(request).await
}

#[tokio::test]
async fn recording_event_has_a_url_and_neither_status_nor_number() {
    let (app, vonage) = linked(&[DIALLED]).await;
    app.answers(json!([record(&app, json!({"endOnSilence": 3, "timeOut": 60, "beepStart": true}))]));
    let told = call(&vonage, json!({"message_seconds": 7})).await;
    let event = app.received("/recorded").remove(0).data;
    assert_eq!(event, told["recordings"][0]);
    let names: Vec<_> = event.as_object().unwrap().keys().map(String::as_str).collect();
    let expected =
        ["conversation_uuid", "end_time", "recording_url", "recording_uuid", "size", "start_time", "timestamp"];
    assert_eq!(names, expected);
    let time = |name: &str| event[name].as_str().unwrap().parse::<Timestamp>().unwrap();
    assert_eq!(time("end_time").duration_since(time("start_time")).as_secs(), 10);
    assert!(event["recording_url"].as_str().unwrap().starts_with(&format!("{}/v1/files/", vonage.base)));
}

#[tokio::test]
async fn only_a_record_without_an_end_lets_the_call_go_on() {
    let (app, vonage) = linked(&[MASK, DIALLED]).await;
    let connect = json!({"action": "connect", "from": MASK, "endpoint": [{"type": "phone", "number": CALLEE}]});
    for (members, more, seconds) in [
        (json!({}), json!({}), "63"),
        (json!({"timeOut": 30}), json!({}), "93"),
        (json!({"timeOut": 30}), json!({"message_seconds": 10}), "93"),
        (json!({"endOnSilence": 5}), json!({"message_seconds": 10}), "78"),
        (json!({"endOnSilence": 5, "timeOut": 12}), json!({"message_seconds": 10}), "75"),
        (json!({"endOnKey": "#"}), json!({"message_seconds": 10, "presses": ["#"]}), "74"),
    ] {
        app.answers(json!([record(&app, members.clone()), connect]));
        let told = call(&vonage, more).await;
        assert_eq!(told["legs"][0]["duration"], seconds, "{members}");
        assert_eq!(told["recordings"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn hang_up_ends_a_recording() {
    let (app, vonage) = linked(&[DIALLED]).await;
    for (members, more) in [
        (json!({"endOnKey": "#"}), json!({"talk_seconds": 9})),
        (json!({"endOnSilence": 10}), json!({"message_seconds": 60, "leaves": {"at": 9}})),
    ] {
        app.answers(json!([record(&app, members), talk("Thank you")]));
        let told = call(&vonage, more).await;
        assert_eq!((texts(&told).len(), &told["legs"][0]["duration"]), (0, &json!("9")));
        assert_eq!(told["recordings"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn file_is_audio_for_the_application_for_30_days() {
    let app = App::start().await;
    let clock = ManualClock::at(Timestamp::from_second(START).unwrap());
    let vonage = Vonage::start_for_at(&app.base, Arc::new(clock.clone())).await;
    vonage.rent_linked(&[DIALLED]).await;
    let fetch =
        async |url: &str, now: i64| vonage.client.get(url).bearer_auth(application_token(now)).send().await.unwrap();
    let mut urls = Vec::new();
    for (format, content_type, magic) in
        [("wav", "audio/wav", b"RIFF".as_slice()), ("mp3", "audio/mpeg", &[0xff, 0xf3])]
    {
        app.answers(json!([record(&app, json!({"format": format, "timeOut": 5}))]));
        let told = call(&vonage, json!({})).await;
        let url = told["recordings"][0]["recording_url"].as_str().unwrap().to_owned();
        let file = fetch(&url, START).await;
        assert_eq!((file.status().as_u16(), &file.headers()["content-type"]), (200, &content_type.parse().unwrap()));
        let body = file.bytes().await.unwrap();
        assert!(body.starts_with(magic) && told["recordings"][0]["size"] == body.len());
        urls.push(url);
    }
    for request in [vonage.client.get(&urls[0]), vonage.client.get(&urls[0]).bearer_auth("token")] {
        let (status, problem) = answer(request).await;
        assert_eq!((status, &problem["type"]), (401, &json!("UNAUTHORIZED")));
    }
    assert_eq!(fetch(&format!("{}/v1/files/unknown", vonage.base), START).await.status(), 404);
    clock.advance(SignedDuration::from_hours(30 * 24 - 1));
    assert_eq!(fetch(&urls[0], START + 30 * 86_400 - 3600).await.status(), 200);
    clock.advance(SignedDuration::from_hours(1));
    assert_eq!(fetch(&urls[0], START + 30 * 86_400).await.status(), 404);
}
