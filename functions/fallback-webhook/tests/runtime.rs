//! The built bootstrap with a stand-in for the Lambda Runtime API, and the packages that are linked into it.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

use std::process::{Command, Stdio};

use local::runtime_api::RuntimeApi;
use serde_json::{Value, json};

#[tokio::test]
async fn bootstrap_answers_any_event_without_configuration() {
    let mut api = RuntimeApi::start().await.unwrap();
    // Variables of Lambda itself, and nothing else: no table, no secret, no credentials, no region.
    let mut process = Command::new(env!("CARGO_BIN_EXE_fallback-webhook"))
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", api.address())
        .env("AWS_LAMBDA_FUNCTION_NAME", "fallback-webhook")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events/fallback-webhook.json");
    let usual: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let mut garbage = usual.clone();
    garbage["body"] = json!("\u{0}{not json");
    let deep: Value = serde_json::from_str(&format!("{}{}", "[".repeat(100), "]".repeat(100))).unwrap();
    let events = [usual, garbage, json!({}), json!(null), json!("447700900001"), json!([1e300, "x"]), deep];
    let expected = json!({"statusCode": 200, "headers": {"content-type": "application/json"},
                          "body": fallback_webhook::answer(None).body, "isBase64Encoded": false});
    for event in &events {
        api.asked_for_next().await.unwrap();
        assert_eq!(api.invoke(event.to_string().into()).await.unwrap().1, expected, "{event}");
    }
    process.kill().unwrap();
    let written = process.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(written.stderr).unwrap(), "");
    let logs = String::from_utf8(written.stdout).unwrap();
    let lines: Vec<Value> = logs.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), events.len(), "{logs}");
    for line in lines {
        assert_eq!((&line["message"], &line["outcome"]), (&json!("request answered"), &json!("asked to try again")));
        assert_eq!(line["trace_id"], "1-5bef4de7-ad49b0e87f6ef6c87fc2e700");
        assert!(!line.to_string().contains("7700900"), "{line}");
    }
}

#[test]
fn log_line_has_only_plain_ids() {
    for (trace, id) in [
        (Some("Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700"), "1-5bef4de7-ad49b0e87f6ef6c87fc2e700"),
        (Some("Root=\"},{\""), ""),
        (Some("Sampled=1"), ""),
        (None, ""),
    ] {
        let line: Value = serde_json::from_str(&fallback_webhook::log_line("\"", trace)).unwrap();
        assert_eq!((&line["trace_id"], &line["request_id"]), (&json!(id), &json!("")));
    }
}

/// Returns the one action of an answer.
fn action(language: Option<&str>) -> Value {
    let ncco: Value = serde_json::from_str(fallback_webhook::answer(language).body).unwrap();
    let [action] = ncco.as_array().unwrap().as_slice() else { panic!("{ncco}") };
    action.clone()
}

#[test]
fn ncco_talks_as_the_catalogue_does() {
    for shipped in shared::domain::words::shipped::all() {
        let (action, entries) = (action(Some(shipped.tag)), shipped.entries());
        assert_eq!((&action["action"], &action["text"]), (&json!("talk"), &entries["fallback.problem"]));
        assert_eq!(action["language"], entries["voice"]["language"]);
    }
}

#[test]
fn any_value_of_the_language_has_an_answer() {
    let of = |language| action(language)["language"].clone();
    for (language, voice) in [
        (None, "en-GB"),
        (Some("de-AT"), "de-DE"),
        (Some("PT-br"), "pt-BR"),
        (Some("pl"), "en-GB"),
        (Some(""), "en-GB"),
        (Some("-"), "en-GB"),
        (Some("日本"), "en-GB"),
    ] {
        assert_eq!(of(language), voice, "{language:?}");
    }
}

#[test]
fn binary_has_neither_aws_sdk_nor_http_client() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--package", "fallback-webhook", "--edges", "normal", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let packages = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.status.success() && packages.contains("lambda_runtime "), "{packages}");
    // The runtime has a client of its own, for Lambda's Runtime API: without TLS.
    for kind in ["aws-", "reqwest", "rustls", "ring ", "shared ", "tracing-subscriber "] {
        assert!(!packages.lines().any(|line| line.starts_with(kind)), "{kind} is linked:\n{packages}");
    }
}
