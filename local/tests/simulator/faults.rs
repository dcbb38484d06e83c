//! Faults on demand, the log of requests, and the simulator's own error answers.

use serde_json::{Value, json};

use crate::support::{App, CALLER, KEY, SECRET, Vonage, answer};

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
async fn status_fault_replaces_one_answer_and_executes_nothing() {
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
async fn status_fault_can_send_retry_after_or_follow_execution() {
    let vonage = Vonage::start().await;
    vonage.fault(rule(json!({"kind": "status", "status": 429, "retry_after": 7}))).await;
    let refused = vonage.form("/number/buy", &buy_form("447451000001")).send().await.unwrap();
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"7".parse().unwrap()));
    assert_eq!(owned(&vonage).await, 0);
    vonage.fault(rule(json!({"kind": "status_after", "status": 502}))).await;
    assert_eq!(vonage.buy("GB", "447451000001").await.0, 502);
    assert_eq!(owned(&vonage).await, 1);
}

#[tokio::test]
async fn truncated_answer_is_cut_short_after_execution() {
    let vonage = Vonage::start().await;
    vonage.fault(rule(json!({"kind": "truncated"}))).await;
    let mut response = vonage.form("/number/buy", &buy_form("447451000001")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let announced: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let first = response.chunk().await.unwrap().unwrap();
    assert_eq!(first.len(), announced / 2);
    assert!(response.chunk().await.is_err(), "the rest never comes");
    assert_eq!(owned(&vonage).await, 1);
}

#[tokio::test]
async fn rule_can_target_any_endpoint() {
    let vonage = Vonage::start().await;
    vonage.fault(json!({"path": "*", "times": 2, "fault": {"kind": "status", "status": 503}})).await;
    assert_eq!(vonage.buy("GB", "447451000001").await.0, 503);
    assert_eq!(answer(vonage.get("/account/numbers")).await.0, 503);
    assert_eq!(answer(vonage.get("/account/numbers")).await.0, 200);
}

/// Starts a simulator whose application connects nobody, with one linked number.
async fn with_an_application() -> (Vonage, App) {
    let app = App::start().await;
    let vonage = Vonage::start_for(&app.base, local::simulator::HttpMethod::Post).await;
    vonage.rent_linked(&["447451000001"]).await;
    (vonage, app)
}

async fn call(vonage: &Vonage) -> Value {
    vonage.call(json!({"from": CALLER, "to": "447451000001"})).await
}

fn webhook(webhook: &str, contains: &str, fault: Value) -> Value {
    json!({"webhook": webhook, "contains": contains, "fault": fault})
}

/// Returns the statuses of the events received so far.
fn arrived(app: &App) -> Vec<String> {
    app.received("/event").iter().map(|event| event.data["status"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn event_can_be_lost_doubled_reordered_or_delayed() {
    let usual = ["started", "ringing", "answered", "completed"];
    for (fault, expected) in [
        (json!({"kind": "lose"}), &["started", "answered", "completed"] as &[&str]),
        (json!({"kind": "lose_answer"}), &["started", "ringing", "ringing", "answered", "completed"]),
        (json!({"kind": "unsigned"}), &["started", "ringing", "answered", "completed"]),
        (json!({"kind": "duplicate"}), &["started", "ringing", "ringing", "answered", "completed"]),
        (json!({"kind": "at_once"}), &["started", "ringing", "ringing", "answered", "completed"]),
        (json!({"kind": "later", "by": 1}), &["started", "answered", "ringing", "completed"]),
        (json!({"kind": "later", "by": 9}), &["started", "answered", "completed", "ringing"]),
        (json!({"kind": "delay", "milliseconds": 1}), &["started", "answered", "completed", "ringing"]),
        (json!({"kind": "hold"}), &["started", "answered", "completed"]),
    ] {
        let (vonage, app) = with_an_application().await;
        vonage.fault(webhook("event_url", "ringing", fault.clone())).await;
        let told = call(&vonage).await;
        assert_eq!(arrived(&app), expected, "{fault}");
        let befell = told["events"].as_array().unwrap().iter().filter(|event| event["fault"] == fault);
        assert!(befell.clone().count() > 0 && befell.clone().all(|event| event["status"] == "ringing"), "{told}");
        let (_, released) = vonage.control("POST", "/simulator/release", Value::Null).await;
        let held = fault["kind"] == "hold";
        assert_eq!(released.as_array().unwrap().len(), usize::from(held), "{fault}");
        assert_eq!(arrived(&app).len(), expected.len() + usize::from(held));
        let again = call(&vonage).await;
        assert_eq!(arrived(&app)[expected.len() + usize::from(held)..], usual, "the next call: {again}");
    }
}

#[tokio::test]
async fn at_once_fault_delivers_two_copies_together() {
    let (vonage, app) = with_an_application().await;
    app.waits_for_two();
    vonage.fault(webhook("answer_url", CALLER, json!({"kind": "at_once"}))).await;
    vonage.fault(webhook("event_url", "completed", json!({"kind": "at_once"}))).await;
    let told = call(&vonage).await;
    assert_eq!(told["answered_by"], "answer_url");
    assert_eq!((app.received("/answer").len(), arrived(&app).len()), (2, 5));
}

#[tokio::test]
async fn unsigned_webhook_comes_signed_only_after_a_5xx() {
    for (status, signed) in [(503, &[false, true] as &[bool]), (401, &[false])] {
        let (vonage, app) = with_an_application().await;
        vonage.fault(webhook("answer_url", "", json!({"kind": "unsigned"}))).await;
        app.answers_with(status, "");
        call(&vonage).await;
        let received: Vec<_> = app.received("/answer").iter().map(|answer| answer.claims.is_some()).collect();
        assert_eq!(received, signed, "{status}");
    }
    let (vonage, app) = with_an_application().await;
    vonage.fault(webhook("event_url", "ringing", json!({"kind": "unsigned"}))).await;
    app.takes_event_with(204);
    app.takes_event_with(503);
    call(&vonage).await;
    let ringing = app.received("/event").into_iter().filter(|event| event.data["status"] == "ringing");
    assert_eq!(ringing.map(|event| event.claims.is_some()).collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn lost_answer_is_retried_before_the_fallback() {
    for (kind, arrives) in [("lose", 0), ("lose_answer", 1)] {
        let (vonage, app) = with_an_application().await;
        vonage.fault(webhook("answer_url", "", json!({"kind": kind}))).await;
        let told = call(&vonage).await;
        assert_eq!((&told["answered_by"], app.received("/answer").len()), (&json!("answer_url"), arrives + 1));
        let rule = json!({"webhook": "answer_url", "times": 2, "fault": {"kind": kind}});
        vonage.fault(rule).await;
        let told = call(&vonage).await;
        assert_eq!((&told["answered_by"], app.received("/fallback").len()), (&json!("fallback_answer_url"), 1));
        assert_eq!(app.received("/fallback")[0].data["reason"], "Connection closed.");
    }
}

#[tokio::test]
async fn fault_can_return_a_body_that_is_not_json() {
    let vonage = Vonage::start().await;
    vonage.fault(rule(json!({"kind": "not_json"}))).await;
    assert_eq!(vonage.buy("GB", "447451000001").await, (200, Value::Null));
    assert_eq!(owned(&vonage).await, 0);
}

#[tokio::test]
async fn connection_can_close_before_or_after_execution() {
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
async fn hanging_request_gets_no_answer_but_may_be_executed() {
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
async fn hanging_request_does_not_block_shutdown() {
    let vonage = Vonage::start().await;
    vonage.fault(rule(json!({"kind": "hang"}))).await;
    let request = vonage.form("/number/buy", &buy_form("447451000001"));
    let hanging = tokio::spawn(request.send());
    // The request has arrived once it is in the log.
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
async fn rule_skips_counts_and_matches_raw_or_decoded_text() {
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
async fn waiting_rules_are_shown_with_what_is_left_of_them() {
    let vonage = Vonage::start().await;
    let rules = [
        json!({"path": "/account/numbers", "skip": 1, "times": 2, "fault": {"kind": "status", "status": 503}}),
        json!({"webhook": "event_url", "contains": "completed", "fault": {"kind": "duplicate"}}),
    ];
    for rule in rules.clone() {
        assert_eq!(vonage.control("POST", "/simulator/faults", rule).await.0, 204);
    }
    answer(vonage.get("/account/numbers")).await;
    answer(vonage.get("/account/numbers")).await;
    let [mut first, mut second] = rules;
    (first["skip"], first["times"]) = (json!(0), json!(1));
    (second["skip"], second["times"]) = (json!(0), json!(1));
    let shown = || async { answer(vonage.get("/simulator/faults")).await.1 };
    assert_eq!(shown().await, json!({"faults": [first, second]}));
    vonage.control("DELETE", "/simulator/faults", Value::Null).await;
    assert_eq!(shown().await, json!({"faults": []}));
}

#[tokio::test]
async fn balance_is_set_as_text_or_number() {
    let vonage = Vonage::start().await;
    for (balance, shown) in [(json!(0), "0"), (json!("10.50"), "10.50"), (json!(2.5), "2.5")] {
        let (status, account) = vonage.control("PUT", "/simulator/account", json!({"balance": balance})).await;
        assert_eq!((status, &account["balance"], &account["redact"]), (200, &json!(shown), &json!(true)));
    }
}

#[tokio::test]
async fn simulator_endpoints_explain_invalid_requests() {
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
        ("POST", "/simulator/faults", json!({"operation": "Explode", "fault": {"kind": "hang"}}), 400),
        ("POST", "/simulator/faults", json!({"webhook": "event_url", "fault": {"kind": "hang"}}), 400),
        ("POST", "/simulator/faults", json!({"webhook": "answer_url", "fault": {"kind": "hold"}}), 400),
        ("POST", "/simulator/faults", json!({"path": "*", "fault": {"kind": "error", "code": "X"}}), 400),
        ("POST", "/simulator/faults", json!({"path": "*", "operation": "*", "fault": {"kind": "hang"}}), 400),
        ("POST", "/simulator/faults", json!({"fault": {"kind": "hang"}}), 400),
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
fn settings_debug_output_hides_secrets() {
    use local::simulator::{Application, HttpMethod, Settings, Webhook};
    let webhook = Webhook { address: "http://127.0.0.1/".into(), http_method: HttpMethod::Post };
    let settings = Settings {
        api_key: KEY.into(),
        api_secret: SECRET.into(),
        signature_secret: "hush".into(),
        application: Application {
            id: "id".into(),
            public_key: String::new(),
            answer: webhook.clone(),
            fallback_answer: None,
            event: webhook,
            inbound: None,
            status: None,
        },
        balance: 1.into(),
        linked_numbers: Vec::new(),
        senders: vec![],
        clock: shared::clock::system(),
        faults: Default::default(),
        traffic: Default::default(),
        ncco_log: None,
        trace: Default::default(),
    };
    let shown = format!("{settings:?}");
    assert!(shown.contains(KEY) && !shown.contains(SECRET) && !shown.contains("hush"));
}
