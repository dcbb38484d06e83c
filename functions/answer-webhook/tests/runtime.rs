//! The built bootstrap with a stand-in for the Lambda Runtime API.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use local::runtime_api::RuntimeApi;
use local::settings::Settings;
use local::stack::{Options, Stack};
use serde_json::{Value, json};
use shared::config::Environment;

fn bootstrap(environment: &Environment, runtime_api: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_answer-webhook"));
    command
        .env_clear()
        .envs(environment.iter())
        .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
        .env("AWS_LAMBDA_FUNCTION_NAME", "answer-webhook")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_LOG_LEVEL", "TRACE")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Gives the bootstrap an event, and returns its answer.
async fn invoke(api: &mut RuntimeApi, event: Value) -> Value {
    api.asked_for_next().await.unwrap();
    api.invoke(event.to_string().into()).await.unwrap().1
}

fn event(name: &str) -> Value {
    let file = format!("{}/../../events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let event = std::fs::read_to_string(file).unwrap();
    let signed = local::gateway::sign_event(&event, &Settings::default()).unwrap();
    serde_json::from_str(&signed).unwrap()
}

#[tokio::test]
async fn bootstrap_answers_event_and_logs_no_number() {
    let stack = Stack::start(Options::default()).await.unwrap();
    let http = local::loopback_client();
    let order = json!({"participants": [{"number": "+447700900001"}, {"number": "+447700900002"}]});
    for (path, body) in [("/numbers", json!({"country": "GB", "count": 2})), ("/conversations", order)] {
        let sent = http.post(format!("{}{path}", stack.gateway_url)).json(&body).send().await.unwrap();
        assert!(sent.status().is_success(), "{path}");
    }
    let mut api = RuntimeApi::start().await.unwrap();
    let mut process = bootstrap(&stack.environment, &api.address()).spawn().unwrap();

    let answer = invoke(&mut api, event("answer-webhook-rider-calls")).await;
    assert_eq!((&answer["statusCode"], &answer["isBase64Encoded"]), (&json!(200), &json!(false)));
    assert_eq!(answer["headers"]["content-type"], "application/json");
    let ncco: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(ncco[1]["endpoint"][0]["number"], "447700900002");
    assert_eq!(invoke(&mut api, event("answer-webhook-withheld-caller")).await["statusCode"], 200);

    process.kill().unwrap();
    let written = process.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(written.stderr).unwrap(), "");
    let logs = String::from_utf8(written.stdout).unwrap();
    let lines: Vec<Value> = logs.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        assert!(line["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{line}");
        assert!(!line.to_string().contains("7700900"), "{line}");
    }
    let facts = |line: &Value| (line["route"].clone(), line["status"].clone(), line["outcome"].clone());
    let answered: Vec<_> = lines.iter().filter(|line| line["message"] == "request answered").map(facts).collect();
    let expected = [
        (json!("POST /webhooks/answer"), json!(200), json!("routed")),
        (json!("POST /webhooks/answer"), json!(200), json!("no caller id")),
    ];
    assert_eq!(answered, expected, "{logs}");
    let [routed, ..] = lines.as_slice() else { panic!("{logs}") };
    assert_eq!(routed["call.conversation_uuid"], "CON-c39bc0bb-3bbc-4a44-9ae0-26dcfe2e36a9");
    assert!(routed["duration_ms"].is_f64() && routed["conversation.id"].is_string() && routed["calls_routed"] == 1);
    stack.stop().await;
}

#[tokio::test]
async fn sampled_event_is_traced_from_log_line_to_call() {
    let stack = Stack::start(Options::default()).await.unwrap();
    let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
    daemon.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let address = [("AWS_XRAY_DAEMON_ADDRESS".to_owned(), daemon.local_addr().unwrap().to_string())];
    let mut api = RuntimeApi::start().await.unwrap();
    let process = bootstrap(&stack.environment.clone().with(address), &api.address()).spawn().unwrap();
    let [unsampled, sampled] = ["1-5759e988-000000000000000000000000", "1-5759e988-bd862e3fe1be46a994272793"];
    for (root, is_sampled) in [(unsampled, 0), (sampled, 1)] {
        api.asked_for_next().await.unwrap();
        let event = event("answer-webhook-rider-calls").to_string().into();
        let trace = format!("Root={root};Parent=53995c3f42cd8ad8;Sampled={is_sampled}");
        assert_eq!(api.invoke_in_trace(event, &trace).await.unwrap().1["statusCode"], 200);
    }
    let lines = log_lines(process);
    let answered = lines.iter().filter(|line| line["message"] == "request answered");
    let calls: Vec<_> = answered.map(|line| (&line["trace_id"], &line["call.conversation_uuid"])).collect();
    let call = json!("CON-c39bc0bb-3bbc-4a44-9ae0-26dcfe2e36a9");
    assert_eq!(calls, [(&json!(unsampled), &call), (&json!(sampled), &call)]);
    loop {
        let mut message = [0; 4096];
        let length = daemon.recv(&mut message).unwrap();
        let (_, document) = std::str::from_utf8(&message[..length]).unwrap().split_once('\n').unwrap();
        let document: Value = serde_json::from_str(document).unwrap();
        assert_eq!(document["trace_id"], sampled, "the first one is not sent");
        if document["name"] == "answer-webhook" {
            assert_eq!(document["annotations"]["call"], call);
            break;
        }
        assert_eq!(document["aws"]["operation"], "GetItem");
    }
    stack.stop().await;
}

/// Returns a process's log lines, and ends it.
fn log_lines(mut process: Child) -> Vec<Value> {
    process.kill().unwrap();
    let logs = String::from_utf8(process.wait_with_output().unwrap().stdout).unwrap();
    logs.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn unsigned_webhook_is_no_failure_of_the_function() {
    let stack = Stack::start(Options::default()).await.unwrap();
    let mut api = RuntimeApi::start().await.unwrap();
    let process = bootstrap(&stack.environment, &api.address()).spawn().unwrap();
    let mut unsigned = event("answer-webhook-rider-calls");
    unsigned["headers"].as_object_mut().unwrap().remove("authorization");
    let mut wrong = event("answer-webhook-rider-calls");
    wrong["headers"]["authorization"] = json!("Bearer a.b.c");
    assert_eq!(invoke(&mut api, unsigned).await["statusCode"], 503);
    assert_eq!(invoke(&mut api, wrong).await["statusCode"], 401);
    let lines = log_lines(process);
    let metrics = ["failures", "signatures_refused", "unsigned_webhooks"];
    let counts = |line: &Value| metrics.map(|name| line.get(name).and_then(Value::as_u64));
    let lines: Vec<_> = lines.iter().filter(|line| line["message"] == "request answered").collect();
    assert!(lines.iter().all(|line| line["level"] == "INFO"), "{lines:?}");
    assert_eq!(lines.into_iter().map(counts).collect::<Vec<_>>(), [[None, Some(1), Some(1)], [None, Some(1), None]]);
    stack.stop().await;
}

#[tokio::test]
async fn malformed_log_level_stops_bootstrap() {
    let stack = Stack::start(Options::default()).await.unwrap();
    let mut command = bootstrap(&stack.environment, "127.0.0.1:9");
    let stopped = command.env("AWS_LAMBDA_LOG_LEVEL", "LOUD").output().unwrap();
    let logs = String::from_utf8(stopped.stdout).unwrap();
    assert!(!stopped.status.success() && logs.contains("AWS_LAMBDA_LOG_LEVEL is malformed"), "{logs}");
    stack.stop().await;
}

#[tokio::test]
async fn bootstrap_names_missing_variable() {
    let set = ["TABLE_NAME", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    let environment = set.map(|name| (name, "set")).into_iter().collect();
    let stopped = bootstrap(&environment, "127.0.0.1:9").output().unwrap();
    assert!(!stopped.status.success());
    let logs = String::from_utf8(stopped.stdout).unwrap();
    assert!(logs.contains("VONAGE_SIGNATURE_SECRET is not set"), "{logs}");
}

#[tokio::test]
async fn bootstrap_connects_to_table_during_start() {
    let stack = Stack::start(Options::default()).await.unwrap();
    stack.traffic.watch();
    let mut api = RuntimeApi::start().await.unwrap();
    let mut process = bootstrap(&stack.environment, &api.address()).spawn().unwrap();
    // A wrong signature needs no read, so the only one is that of the start.
    let mut wrong = event("answer-webhook-rider-calls");
    wrong["headers"]["authorization"] = json!("Bearer a.b.c");
    assert_eq!(invoke(&mut api, wrong).await["statusCode"], 401);
    let reads: Vec<String> = stack.traffic.take().into_iter().map(|exchange| exchange.name).collect();
    assert_eq!(reads, ["GetItem"]);
    process.kill().unwrap();
    process.wait().unwrap();
    stack.stop().await;
}

#[tokio::test]
async fn bootstrap_starts_without_table() {
    let stack = Stack::start(Options::default()).await.unwrap();
    let unreachable = [("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9"), ("DYNAMODB_TIME_LIMIT_MS", "100")];
    let environment = unreachable.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let environment = stack.environment.clone().with(environment);
    let mut api = RuntimeApi::start().await.unwrap();
    let mut process = bootstrap(&environment, &api.address()).spawn().unwrap();
    assert_eq!(invoke(&mut api, event("answer-webhook-rider-calls")).await["statusCode"], 503);
    assert_eq!(invoke(&mut api, event("answer-webhook-withheld-caller")).await["statusCode"], 503);
    process.kill().unwrap();
    process.wait().unwrap();
    stack.stop().await;
}
