//! Webhooks of Vonage with real numbers in wrong fields.

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::Answer;

use crate::laptop::{DRIVER, RIDER, STRANGER, assert_nothing_leaked, builder, check_ncco, create, signed};

/// The rider's number in several spellings.
const SPELLINGS: [&str; 6] =
    [RIDER, "+447700900147", "44 7700 900147", "44-7700-900147", "CON-447700900147", "07700900147"];

#[tokio::test]
async fn number_in_any_field_of_webhook_is_not_logged_or_stored() {
    let laptop = builder().numbers("GB", 2).start().await;
    let dialled = create(&laptop).await["participants"][0]["dials"].clone();
    let said = json!({"from": RIDER, "to": dialled, "uuid": "0779a56d002f1c7f47f82ef5fe84ab79", "status": "completed",
                      "conversation_uuid": "CON-c39bc0bb-3bbc-4a44-9ae0-26dcfe2e36a9", "direction": "inbound",
                      "timestamp": Timestamp::now().to_string(), "detail": "declined", "disconnected_by": "user",
                      "network": "23410", "sip_code": 200, "reason": "x"});
    for name in said.as_object().unwrap().keys().filter(|name| !["from", "to"].contains(&name.as_str())) {
        for value in SPELLINGS.map(Value::from).into_iter().chain([json!(447_700_900_147_u64), json!([RIDER])]) {
            let mut event = said.clone();
            event[name] = value.clone();
            assert_eq!(signed(&laptop, "/webhooks/event", &event).await.status, 204, "{name} {value}");
            let Answer { status, body: ncco, .. } = signed(&laptop, "/webhooks/answer", &event).await;
            assert_eq!(status, 200, "{name} {value}");
            check_ncco(&ncco, Some(DRIVER));
            assert_eq!(signed(&laptop, "/webhooks/fallback", &event).await.status, 200);
        }
    }
    let mut event = said.clone();
    event[RIDER] = json!({RIDER: RIDER});
    assert_eq!(signed(&laptop, "/webhooks/event", &event).await.status, 204);
    assert_nothing_leaked(&laptop).await;
}

#[tokio::test]
async fn caller_id_in_any_spelling_is_not_logged_or_stored() {
    let laptop = builder().numbers("GB", 2).start().await;
    let dialled = create(&laptop).await["participants"][0]["dials"].clone();
    let read = ["+{}", "00{}", "tel:+{}", "{}@203.0.113.5", "0{national}", "0{national}@203.0.113.5"];
    let unclear = ["{}x", "tel:+{};ext=1", "{}, {}", "alice {}", "[{}]", "x{national}"];
    for (spelling, reaches) in read.map(|one| (one, Some(DRIVER))).into_iter().chain(unclear.map(|one| (one, None))) {
        let from = spelling.replace("{}", RIDER).replace("{national}", &RIDER[2..]);
        let call = json!({"from": from, "to": dialled, "uuid": format!("leg-{RIDER}"), "status": "answered",
                          "conversation_uuid": format!("CON-{RIDER}"), "direction": "inbound",
                          "timestamp": Timestamp::now().to_string()});
        let Answer { status, body: ncco, .. } = signed(&laptop, "/webhooks/answer", &call).await;
        assert_eq!(status, 200, "{from}");
        check_ncco(&ncco, reaches);
        assert_eq!(signed(&laptop, "/webhooks/event", &call).await.status, 204, "{from}");
    }
    assert_nothing_leaked(&laptop).await;
}

#[tokio::test]
async fn refused_webhook_leaks_no_number() {
    let laptop = builder().numbers("GB", 2).start().await;
    let dialled = create(&laptop).await["participants"][0]["dials"].as_str().unwrap().to_owned();
    let query = format!("from=%2B{RIDER}&to={dialled}&{STRANGER}=1");
    for path in ["answer", "fallback"] {
        let unsigned = laptop.send(Method::GET, &format!("/webhooks/{path}?{query}"), "").await;
        assert_eq!(unsigned.status, if path == "fallback" { 200 } else { 503 });
        let request = laptop.request(Method::GET, &format!("/webhooks/{path}?{query}"));
        let Answer { status, body: ncco, .. } = laptop.answer(request.bearer_auth(laptop.signature(None))).await;
        assert_eq!(status, 200);
        check_ncco(&ncco, (path == "answer").then_some(DRIVER));
    }
    let tokens = [RIDER.to_owned(), format!("Bearer {RIDER}"), format!("Bearer {RIDER}.{RIDER}.{RIDER}")];
    for (token, path) in tokens.iter().flat_map(|token| ["answer", "fallback", "event"].map(|path| (token, path))) {
        let request = laptop.request(Method::POST, &format!("/webhooks/{path}?{query}")).header("authorization", token);
        let answer = laptop.answer(request.body(json!({"from": RIDER}).to_string())).await;
        assert_eq!(answer.status, if path == "fallback" { 200 } else { 401 });
    }
    for body in [RIDER.to_owned(), format!("\"{RIDER}\""), format!("[{RIDER}]"), format!("{{\"from\": {RIDER}")] {
        for path in ["answer", "event"] {
            let answer = laptop.signed_post(&format!("/webhooks/{path}"), &body).await;
            assert_eq!(answer.status, 400, "{body}");
        }
    }
    assert_nothing_leaked(&laptop).await;
}
