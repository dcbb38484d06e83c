//! Faults on demand, the log of requests, and the simulator's own error answers.

use serde_json::{Value, json};

use crate::support::{KEY, SECRET, Vonage, answer};

fn rule(fault: Value) -> Value {
    json!({"path": "/number/buy", "fault": fault})
}

fn buy_form(number: &'static str) -> [(&'static str, &'static str); 2] {
    [("country", "GB"), ("msisdn", number)]
}

async fn owned(vonage: &Vonage) -> u64 {
    let (_, owned) = answer(vonage.get("/account/numbers")).await;
    owned["count"].as_u64().unwrap_or(0)
}

#[tokio::test]
async fn a_status_replaces_the_answer_once_and_executes_nothing() {
    let vonage = Vonage::start().await;
    vonage.fault(rule(json!({"kind": "status", "status": 429}))).await;
    let usual = json!({"error-code": "429", "error-code-label": "too many requests"});
    assert_eq!(vonage.buy("GB", "447451000001").await, (429, usual));
    assert_eq!(owned(&vonage).await, 0);
    assert_eq!(vonage.buy("GB", "447451000001").await.0, 200);
    let fault = json!({"kind": "status", "status": 500, "body": [1, "two"]});
    vonage.fault(rule(fault)).await;
    assert_eq!(vonage.buy("GB", "447451000002").await, (500, json!([1, "two"])));
}

#[tokio::test]
async fn a_fault_can_give_a_body_that_is_not_json() {
    let vonage = Vonage::start().await;
    vonage.fault(rule(json!({"kind": "not_json"}))).await;
    assert_eq!(vonage.buy("GB", "447451000001").await, (200, Value::Null));
    assert_eq!(owned(&vonage).await, 0);
}

#[tokio::test]
async fn a_closed_connection_has_no_answer_and_may_have_executed_the_request() {
    let vonage = Vonage::start().await;
    for (kind, executed) in [("close_before", 0), ("close_after", 1)] {
        vonage.fault(rule(json!({"kind": kind}))).await;
        let request = vonage.form("/number/buy", &buy_form("447451000001"));
        let error = request.send().await.unwrap_err();
        assert!(error.is_request() && !error.is_timeout(), "{error:?}");
        assert_eq!(owned(&vonage).await, executed, "{kind}");
    }
}

#[tokio::test]
async fn a_hanging_request_is_never_answered_and_may_have_been_executed() {
    let vonage = Vonage::start().await;
    let patience = std::time::Duration::from_millis(300);
    for (kind, executed) in [("hang", 0), ("hang_after", 1)] {
        vonage.fault(rule(json!({"kind": kind}))).await;
        let request = vonage.form("/number/buy", &buy_form("447451000001"));
        let error = request.timeout(patience).send().await.unwrap_err();
        assert!(error.is_timeout());
        assert_eq!(owned(&vonage).await, executed, "{kind}");
    }
}

#[tokio::test]
async fn a_hanging_request_does_not_keep_the_simulator_from_stopping() {
    let vonage = Vonage::start().await;
    vonage.fault(rule(json!({"kind": "hang"}))).await;
    let request = vonage.form("/number/buy", &buy_form("447451000001"));
    let hanging = tokio::spawn(request.send());
    // The log tells when the request has arrived.
    loop {
        let (_, log) = answer(vonage.get("/simulator/requests")).await;
        if log["requests"][0].is_object() {
            break;
        }
        tokio::task::yield_now().await;
    }
    vonage.stop().await;
    assert_eq!(hanging.await.unwrap().unwrap().status(), 503);
}

#[tokio::test]
async fn a_rule_skips_counts_and_matches_text_sent_or_decoded() {
    let vonage = Vonage::start().await;
    let fault = json!({"kind": "status", "status": 503});
    let mut search = json!({"path": "/number/search", "contains": "country=FR", "skip": 1, "times": 2});
    search["fault"] = fault.clone();
    vonage.fault(search).await;
    let mut text = json!({"path": "/sms/json", "contains": "Hi & bye"});
    text["fault"] = fault;
    vonage.fault(text).await;
    let mut statuses = Vec::new();
    for country in ["FR", "GB", "FR", "FR", "FR"] {
        let request = vonage.get(&format!("/number/search?country={country}"));
        statuses.push(answer(request).await.0);
    }
    assert_eq!(statuses, [200, 200, 503, 503, 200]);
    for (text, expected) in [("Hi", 200), ("Hi & bye", 503), ("Hi & bye", 200)] {
        let form = [("from", "A"), ("to", "447700900001"), ("text", text)];
        assert_eq!(answer(vonage.form("/sms/json", &form)).await.0, expected);
    }
}

#[tokio::test]
async fn faults_can_be_cleared() {
    let vonage = Vonage::start().await;
    vonage.fault(rule(json!({"kind": "hang"}))).await;
    let (status, _) = vonage.control("DELETE", "/simulator/faults", Value::Null).await;
    assert_eq!(status, 204);
    assert_eq!(vonage.buy("GB", "447451000001").await.0, 200);
}

#[tokio::test]
async fn every_vonage_request_is_logged_without_secrets() {
    let vonage = Vonage::start().await;
    vonage.fault(rule(json!({"kind": "status", "status": 500}))).await;
    vonage.buy("GB", "447451000001").await;
    let legacy = [("country", "GB"), ("api_key", KEY), ("api_secret", SECRET)];
    let url = format!("{}/number/search", vonage.base);
    answer(vonage.client.get(url).query(&legacy)).await;
    let (_, log) = answer(vonage.get("/simulator/requests")).await;
    let expected = json!({"requests": [
        {"method": "POST", "path": "/number/buy", "parameters": {"country": "GB", "msisdn": "447451000001"}},
        {"method": "GET", "path": "/number/search", "parameters": {"country": "GB"}},
    ]});
    assert_eq!(log, expected);
    let (_, log) = answer(vonage.get("/simulator/requests?path=/number/search")).await;
    assert_eq!(log["requests"].as_array().unwrap().len(), 1);
    vonage.control("DELETE", "/simulator/requests", Value::Null).await;
    let (_, log) = answer(vonage.get("/simulator/requests")).await;
    assert_eq!(log, json!({"requests": []}));
}

#[tokio::test]
async fn the_simulators_own_endpoints_say_what_is_wrong() {
    let vonage = Vonage::start().await;
    for (method, path, body, status) in [
        ("POST", "/simulator/calls", json!({"from": "1"}), 400),
        ("POST", "/simulator/calls", json!({"to": "1", "colour": "red"}), 400),
        ("POST", "/simulator/calls", json!({"to": "1", "callee": "sleeps"}), 400),
        ("PUT", "/simulator/account", json!({"balance": "much"}), 400),
        ("PUT", "/simulator/account", json!({"balance": "1", "key": 1}), 400),
        ("POST", "/simulator/faults", rule(json!({"kind": "explode"})), 400),
        ("POST", "/simulator/faults", rule(json!({"kind": "hang", "status": 1})), 400),
        ("POST", "/simulator/faults", rule(json!({"kind": "status", "status": 99})), 400),
        ("POST", "/simulator/faults", json!({"path": "/simulator/calls", "fault": {"kind": "hang"}}), 400),
        ("GET", "/simulator/messages?from=1", Value::Null, 400),
        ("GET", "/simulator/requests?colour=red", Value::Null, 400),
        ("GET", "/simulator/nothing", Value::Null, 404),
        ("DELETE", "/simulator/account", Value::Null, 405),
    ] {
        let (code, problem) = vonage.control(method, path, body).await;
        assert_eq!(code, status, "{method} {path} {problem}");
        assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
    }
}

#[test]
fn settings_do_not_show_their_secrets() {
    use local::simulator::{Application, HttpMethod, Settings, Webhook};
    let webhook = Webhook { address: "http://127.0.0.1/".into(), http_method: HttpMethod::Post };
    let settings = Settings {
        api_key: KEY.into(),
        api_secret: SECRET.into(),
        signature_secret: "hush".into(),
        application: Application { id: "id".into(), answer: webhook.clone(), fallback_answer: None, event: webhook },
        balance: 1.into(),
        linked_numbers: Vec::new(),
        clock: shared::clock::system(),
    };
    let shown = format!("{settings:?}");
    assert!(shown.contains(KEY) && !shown.contains(SECRET) && !shown.contains("hush"));
}
