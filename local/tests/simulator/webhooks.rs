//! The answer webhook: its two formats, its signature, retries, the fallback, and invalid NCCOs.

use local::simulator::HttpMethod;
use serde_json::{Value, json};

use crate::support::{APPLICATION, App, CALLER, KEY, Vonage, answer, without_times};

const DIALLED: &str = "447451000001";
const TALK: &str = r#"[{"action":"talk","text":"Please call again shortly"}]"#;

async fn linked(http_method: HttpMethod) -> (App, Vonage) {
    let app = App::start().await;
    let vonage = Vonage::start_for(&app.base, http_method).await;
    vonage.rent_linked(&[DIALLED]).await;
    (app, vonage)
}

async fn call(vonage: &Vonage) -> Value {
    vonage.call(json!({"from": CALLER, "to": DIALLED})).await
}

#[tokio::test]
async fn get_and_post_carry_the_same_signed_fields() {
    for (http_method, name) in [(HttpMethod::Get, "GET"), (HttpMethod::Post, "POST")] {
        let (app, vonage) = linked(http_method).await;
        let call = call(&vonage).await;
        let received = app.received("/answer").remove(0);
        assert_eq!(received.method, name);
        let expected = json!({"from": CALLER, "to": DIALLED, "uuid": call["legs"][0]["uuid"],
            "conversation_uuid": call["conversation_uuid"], "endpoint_type": "phone",
            "region_url": "https://api-eu-3.vonage.com"});
        assert_eq!(received.data, expected);
        let claims = received.claims.unwrap();
        let known = [&claims["iss"], &claims["api_key"], &claims["application_id"]];
        assert_eq!(known, ["Vonage", KEY, APPLICATION]);
        assert_eq!(claims.get("payload_hash").is_some(), name == "POST");
        let age = jiff::Timestamp::now().as_second() - claims["iat"].as_i64().unwrap();
        assert!((0..60).contains(&age));
    }
}

#[tokio::test]
async fn caller_number_is_passed_on_unchanged_or_omitted() {
    let (app, vonage) = linked(HttpMethod::Post).await;
    vonage.call(json!({"from": " anonymous", "to": DIALLED})).await;
    let call = vonage.call(json!({"to": DIALLED})).await;
    let received = app.received("/answer");
    assert_eq!(received[0].data["from"], " anonymous");
    assert_eq!(received[1].data.get("from"), None);
    assert_eq!(call["phones"]["caller"]["number"], Value::Null);
}

#[tokio::test]
async fn answer_url_is_retried_once_after_a_transient_failure() {
    for status in [429, 503, 504] {
        let (app, vonage) = linked(HttpMethod::Post).await;
        app.answers_with(status, "");
        app.answers_with(200, TALK);
        let call = call(&vonage).await;
        assert_eq!(call["answered_by"], "answer_url");
        let attempts = json!([
            {"url_kind": "answer_url", "attempt": 1, "status": status, "error": format!("HTTP status {status}.")},
            {"url_kind": "answer_url", "attempt": 2, "status": 200},
        ]);
        assert_eq!(without_times(&call["webhooks"]), attempts);
    }
}

#[tokio::test]
async fn fallback_gets_the_reason_after_503_twice() {
    let (app, vonage) = linked(HttpMethod::Post).await;
    app.answers_with(503, "");
    app.answers_with(503, "");
    app.falls_back_with(503, "");
    app.falls_back_with(200, TALK);
    let call = call(&vonage).await;
    assert_eq!(call["answered_by"], "fallback_answer_url");
    assert_eq!(call["phones"]["caller"]["heard"], json!(["Please call again shortly"]));
    assert_eq!((app.received("/answer").len(), app.received("/fallback").len()), (2, 2));
    let data = &app.received("/fallback")[0].data;
    assert_eq!(data["reason"], "HTTP status 503.");
    assert_eq!(data["original_request"]["url"], format!("{}/answer", app.base));
    assert_eq!((&data["from"], &data["uuid"]), (&json!(CALLER), &call["legs"][0]["uuid"]));
}

#[tokio::test]
async fn fallback_is_asked_at_once_after_other_errors() {
    let (app, vonage) = linked(HttpMethod::Get).await;
    app.answers_with(500, "");
    app.falls_back_with(200, TALK);
    let call = call(&vonage).await;
    assert_eq!(call["answered_by"], "fallback_answer_url");
    assert_eq!(app.received("/answer").len(), 1);
    assert!(app.received("/fallback")[0].data["original_request"].as_str().unwrap().contains("/answer"));
}

#[tokio::test]
async fn call_ends_when_no_webhook_answers() {
    let vonage = Vonage::start().await;
    vonage.rent_linked(&[DIALLED]).await;
    let call = call(&vonage).await;
    let attempts = call["webhooks"].as_array().unwrap();
    assert_eq!(attempts.len(), 4);
    assert!(attempts.iter().all(|attempt| attempt["status"].is_null() && attempt["error"] == "Connection closed."));
    assert_eq!((&call["answered_by"], &call["ncco"]), (&Value::Null, &Value::Null));
    assert_eq!(call["legs"][0]["status"], "failed");
    assert!(call["events"].as_array().unwrap().iter().all(|event| event["http_status"].is_null()));
}

#[tokio::test]
async fn slow_answer_counts_as_no_answer() {
    let (app, vonage) = linked(HttpMethod::Post).await;
    let url = format!("/v2/applications/{APPLICATION}");
    let (_, mut application) = answer(vonage.get(&url)).await;
    let webhook = &mut application["capabilities"]["voice"]["webhooks"]["answer_url"];
    webhook["socket_timeout"] = json!(1000);
    webhook["connect_timeout"] = json!(300);
    let replace = vonage.client.put(format!("{}{url}", vonage.base));
    let replace = replace.basic_auth(KEY, Some(crate::support::SECRET)).json(&application);
    assert_eq!(answer(replace).await.0, 200);
    app.answers_with(0, "");
    app.answers_with(200, TALK);
    let call = call(&vonage).await;
    assert_eq!(call["webhooks"][0]["error"], "Timeout.");
    assert_eq!(call["webhooks"][1]["status"], 200);
}

#[tokio::test]
async fn invalid_ncco_ends_the_call_with_an_error_event() {
    let (app, vonage) = linked(HttpMethod::Post).await;
    for body in [
        r#"{"action":"talk","text":"Hi"}"#,
        r#"[{"action":"hangup"}]"#,
        r#"[{"action":"talk"}]"#,
        r#"[{"action":"connect","endpoint":[{"type":"phone","number":"447700900002"}]}]"#,
        "not json",
        "",
    ] {
        app.answers_with(200, body);
        let call = call(&vonage).await;
        assert_eq!(call["legs"][0]["status"], "failed", "{body}");
        assert!(call["webhooks"][0]["error"].as_str().unwrap().starts_with("invalid NCCO: "));
        assert!(call["events"].as_array().unwrap().iter().any(|event| event["status"] == "error"));
        let mut errors = app.received("/event").into_iter().filter(|event| event.data.get("reason").is_some());
        let error = errors.next_back().unwrap().data;
        let expected = json!({"reason": "Syntax error in NCCO. Invalid value type or action.",
            "conversation_uuid": call["conversation_uuid"], "timestamp": error["timestamp"]});
        assert_eq!(error, expected);
    }
    assert!(app.received("/fallback").is_empty());
}
