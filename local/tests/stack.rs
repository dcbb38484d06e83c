//! Start and stop of the stack, as in `cargo run`.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

use std::process::{Command, Output};

use local::settings::Settings;
use local::stack::{Options, Stack, StartError, account};
use serde_json::{Value, json};
use shared::config::{DefaultValue, Source, VARIABLES};

async fn post(url: String, body: Value) -> Value {
    let http = local::loopback_client();
    http.post(url).json(&body).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn table_in_file_is_used_again_with_its_numbers() {
    let directory = std::env::temp_dir().join(format!("maskline-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&directory).unwrap();
    let start = || Stack::start(Options { data: Some(directory.join("table.db")), ..Options::default() });

    let first = start().await.unwrap();
    post(format!("{}/numbers", first.gateway_url), json!({"country": "GB", "count": 2})).await;
    let order = json!({"participants": [{"number": "+447700900001"}, {"number": "+447700900002"}]});
    let conversation = post(format!("{}/conversations", first.gateway_url), order).await;
    first.stop().await;

    let second = start().await.unwrap();
    let dialled = &conversation["participants"][0]["dials"];
    let call =
        post(format!("{}/simulator/calls", second.vonage_url), json!({"from": "447700900001", "to": dialled})).await;
    assert_eq!(call["phones"]["caller"]["connected"], true, "{call}");
    let again = post(format!("{}/numbers", second.gateway_url), json!({"country": "GB", "count": 3})).await;
    assert_eq!(again["added"][0]["number"], "+447451000003", "{again}");
    second.stop().await;
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn data_file_of_another_process_or_program_is_refused() {
    let directory = std::env::temp_dir().join(format!("maskline-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&directory).unwrap();
    let file = |name: &str| directory.join(name);
    let start = |file: &std::path::Path| Stack::start(Options { data: Some(file.to_owned()), ..Options::default() });

    let first = start(&file("table.db")).await.unwrap();
    let open = rusqlite::Connection::open(file("foreign.db")).unwrap();
    open.execute("CREATE TABLE orders (id)", []).unwrap();
    drop(open);
    std::fs::write(file("damaged.db"), [7; 5000]).unwrap();
    let folder = directory.join("no/such/folder.db");
    for (file, reason) in [
        (file("table.db"), "in use by another process"),
        (file("foreign.db"), "database of another program"),
        (file("damaged.db"), "cannot be used: file is not a database"),
        (folder, "cannot be used: No such file"),
    ] {
        let before = std::fs::read(&file).ok();
        let refused = start(&file).await.err().unwrap().to_string();
        assert!(refused.contains(reason) && refused.contains(file.to_str().unwrap()), "{refused}");
        assert!(refused.contains("in use") || std::fs::read(&file).ok() == before, "the file has changed: {refused}");
    }
    first.stop().await;
    start(&file("table.db")).await.unwrap().stop().await;
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn gateway_lists_its_routes_and_has_none_for_head() {
    let stack = Stack::start(Options::default()).await.unwrap();
    let http = local::loopback_client();
    let page = http.get(&stack.gateway_url).send().await.unwrap().text().await.unwrap();
    assert!(page.lines().any(|line| line == "PATCH /conversations/{id}"), "{page}");
    let head = http.head(format!("{}/numbers", stack.gateway_url)).send().await.unwrap();
    assert_eq!(head.status(), 405);
    stack.stop().await;
}

#[test]
fn only_webhooks_are_signed() {
    let event = concat!(env!("CARGO_MANIFEST_DIR"), "/../events/create-conversation.json");
    let refused = laptop(&["sign", event], &[]);
    let reason = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && reason.contains("/conversations, which is no webhook"), "{reason}");
}

#[tokio::test]
async fn start_names_flag_of_occupied_port() {
    let first = Stack::start(Options::default()).await.unwrap();
    let port = first.vonage_url.rsplit(':').next().unwrap().parse().unwrap();
    let Err(error) = Stack::start(Options { vonage_port: port, ..Options::default() }).await else {
        panic!("it started")
    };
    assert!(matches!(error, StartError::Port { .. }));
    assert!(error.to_string().contains("--vonage-port"), "{error}");
}

/// Starts and stops a stack, and returns true if nothing listens at its addresses afterwards.
async fn falls_silent() -> bool {
    let stack = Stack::start(Options::default()).await.unwrap();
    let addresses = [&stack.gateway_url, &stack.dynamodb_url, &stack.vonage_url]
        .map(|url| url.trim_start_matches("http://").to_owned());
    stack.stop().await;
    let mut listening = 0;
    for address in addresses {
        listening += usize::from(tokio::net::TcpStream::connect(&address).await.is_ok());
    }
    listening == 0
}

#[tokio::test]
async fn stack_does_not_listen_after_stop() {
    // Another process may take a port as soon as it is free, but not each time.
    assert!(falls_silent().await || falls_silent().await || falls_silent().await);
}

#[tokio::test]
async fn start_names_missing_variable_of_function() {
    let environment = vec![("VONAGE_APPLICATION_ID".to_owned(), String::new())];
    let Err(error) = Stack::start(Options { environment, ..Options::default() }).await else { panic!("it started") };
    assert!(error.to_string().contains("VONAGE_APPLICATION_ID"), "{error}");
}

fn settings(variables: &[(&str, &str)]) -> Settings {
    Settings::of(&variables.iter().copied().collect())
}

async fn start_with(variables: &[(&str, &str)]) -> Result<Stack, StartError> {
    Stack::start(Options { settings: settings(variables), ..Options::default() }).await
}

/// A file of words with a sentence that needs a brand.
const WORDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/words.json");

/// Runs `cargo run` with only these variables in its environment.
fn laptop(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maskline"));
    command.args(arguments).env_clear().envs(variables.iter().copied()).output().unwrap()
}

#[tokio::test]
async fn every_setting_of_environment_reaches_functions() {
    // Values that every function accepts and that are nobody's default.
    let values = [
        ("JOURNAL_TABLE_NAME", "journal-of-the-environment"),
        ("DYNAMODB_TIME_LIMIT_MS", "59999"),
        ("VONAGE_SIGNATURE_MAX_AGE_SECONDS", "299"),
        ("PUBLIC_URL", "https://calls.company.example"),
        ("VONAGE_TIME_LIMIT_MS", "4999"),
        ("VONAGE_NUMBERS_INTERVAL_MS", "1"),
        ("CALL_CONTROL", "on"),
        ("VONAGE_REGION", "eu-west"),
        ("VONAGE_CALLS_INTERVAL_MS", "999"),
        ("MAX_CALL_SECONDS", "71"),
        ("QUARANTINE_SECONDS", "72"),
        ("RETENTION_DAYS", "29"),
        ("LIST_CONVERSATIONS", "on"),
        ("HASH_KEY", "a-hash-key-of-the-environment-itself"),
        ("DEFAULT_MAX_CALLS", "63"),
        ("DEFAULT_MAX_CALLS_PER_DAY", "9"),
        ("DEFAULT_MAX_MINUTES", "64"),
        ("DEFAULT_MAX_SPEND_EUR", "6.50"),
        ("DEFAULT_WARN_MINUTES", "1"),
        ("DEFAULT_GUARD", "press_1"),
        ("DEFAULT_MISSED_CALLS", "text"),
        ("RECORDING_DAYS", "31"),
        ("DEFAULT_RECORDING", "announce"),
        ("DEFAULT_SAFETY_KEY", "on"),
        ("DEFAULT_TEXT_MASKING", "redact"),
        ("QUIET_HOURS", "02:00-03:00 Europe/London"),
        ("TEXTS_BY", "messages-api"),
        ("WHATSAPP_SENDER", "447700900099"),
        ("WHATSAPP_TEMPLATES", r#"{"text": "ride_text"}"#),
        ("RCS_SENDER", "Rides"),
        ("KEEP_TEXTS", "on"),
        ("DEFAULT_LOST_PROPERTY", "on"),
        ("VONAGE_RECORDING_DOMAINS", "nexmo.com"),
        ("DEFAULT_LANGUAGE", "de"),
        ("BRAND", "Rides"),
        ("WORDS_FILE", WORDS),
        ("SUPPORT_PHONE", "+442079460000"),
        ("SUPPORT_PHONE_FOR_HIDDEN", "on"),
        ("PINS", "on"),
        ("DECISIONS", "all"),
        ("DECISION_URLS", "https://backend.example/decide"),
        ("DECISION_SECRET", local::decision_backend::SECRET),
        ("DECISION_TIME_LIMIT_MS", "999"),
        ("WEBHOOK_URL", "https://backend.example/events"),
        ("WEBHOOK_SECRET", local::decision_backend::SECRET),
        ("WEBHOOK_TIME_LIMIT_MS", "14999"),
        ("MAX_CALLS_PER_SECOND", "30"),
        ("NUMBER_LOOKUP", "identity-insights"),
        ("WHEN_LOOKUP_FAILS", "refuse"),
        ("CALLABLE_COUNTRIES", "GB,FR"),
        ("FALLBACK_COUNTRIES", "GB"),
        ("AUTO_RENT_MAX", "GB=3"),
        ("HEADROOM", "GB=1"),
        ("HEAL_LOST_NUMBERS", "off"),
        ("ROTATE_UNHEALTHY", "on"),
        ("TENANT_CLAIM", "tenant"),
        ("REVEAL_NUMBERS", "permitted"),
        ("REVEAL_ROLES", "arn:aws:iam::111122223333:role/support-lead"),
        ("LOOKUP_CARRIER", "on"),
        ("MONTHLY_BUDGET_EUR", "12.50"),
        ("SSL_CERT_FILE", concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/src/store/amazon_roots.pem")),
        ("AWS_LAMBDA_LOG_LEVEL", "WARN"),
        ("AWS_XRAY_DAEMON_ADDRESS", "127.0.0.1:2000"),
    ];
    let given: Vec<(&str, &str)> = VARIABLES
        .iter()
        .map(|variable| (variable.name, values.iter().find(|(name, _)| *name == variable.name)))
        .map(|(name, value)| (name, value.map_or("of-the-environment", |(_, value)| *value)))
        .collect();
    let stack = start_with(&given).await.unwrap();
    let own = |name: &str| stack.environment.optional(name).unwrap();
    for (name, value) in &given {
        let of_a_service = name.starts_with("AWS_ENDPOINT") || name.starts_with("VONAGE_") && name.contains("_URL");
        let is_taken = ["AWS_LAMBDA_LOG_LEVEL", "AWS_XRAY_DAEMON_ADDRESS"].contains(name);
        let of_lambda = name.starts_with("AWS_") && !is_taken;
        match *name {
            "AWS_SESSION_TOKEN" => assert_eq!(stack.environment.optional(name), None),
            "PROVISION_FUNCTION_NAME" => assert_eq!(own(name), "provision-numbers"),
            "CONTROL_FUNCTION_NAME" => assert_eq!(own(name), "control-call"),
            "KEEP_RECORDINGS_FUNCTION_NAME" => assert_eq!(own(name), "keep-recordings"),
            "RECORDINGS_BUCKET" => assert_eq!(own(name), "maskline-recordings"),
            "EVENT_BUS_NAME" => assert_eq!(own(name), "maskline"),
            "EVENT_BUS_ARN" | "EVENT_ARCHIVE_ARN" | "WEBHOOK_RULE_ARN" | "DELIVERY_QUEUE_URL"
            | "GIVEN_UP_QUEUE_URL" => {
                assert!(own(name).contains("maskline") && own(name) != *value, "{name}");
            }
            "VONAGE_PRIVATE_KEY" => assert_eq!(own(name), account::PRIVATE_KEY),
            _ if of_a_service => assert!(own(name).starts_with("http://127.0.0.1:"), "{name}"),
            _ if of_lambda => assert_ne!(own(name), *value, "{name}"),
            _ => assert_eq!(own(name), *value, "{name}"),
        }
    }
    stack.stop().await;
}

#[tokio::test]
async fn settings_of_environment_change_what_functions_do() {
    let rules = [("FALLBACK_COUNTRIES", "GB"), ("CALLABLE_COUNTRIES", "FR"), ("MAX_CALL_SECONDS", "60")];
    let stack = start_with(&rules).await.unwrap();
    post(format!("{}/numbers", stack.gateway_url), json!({"country": "GB", "count": 2})).await;
    let conversations = format!("{}/conversations", stack.gateway_url);
    // The shortest quarantine is the longest call.
    let of =
        |first: &str, second: &str| json!({"participants": [{"number": first}, {"number": second}], "quarantine": 60});
    let french = post(conversations.clone(), of("+33612345678", "+33612345679")).await;
    assert!(french["participants"][0]["dials"].as_str().unwrap().starts_with("+44"), "{french}");
    let british = post(conversations, of("+447700900001", "+447700900002")).await;
    assert_eq!(british["type"], "urn:maskline:problem:number-not-callable", "{british}");
    stack.stop().await;
}

#[tokio::test]
async fn malformed_setting_ends_start_with_message_of_function() {
    let malformed = [
        ("JOURNAL_TABLE_NAME", "maskline", "must be another table than TABLE_NAME"),
        ("DYNAMODB_TIME_LIMIT_MS", "99", "must be from 100 to 60000 milliseconds"),
        ("VONAGE_SIGNATURE_MAX_AGE_SECONDS", "0", "must be from 1 to"),
        ("VONAGE_TIME_LIMIT_MS", "5 s", "must be from 50 to 20000 milliseconds"),
        ("VONAGE_NUMBERS_INTERVAL_MS", "-1", "must be from 0 to 10000 milliseconds"),
        ("MAX_CALL_SECONDS", "59", "must be from 60 to 7200 seconds"),
        ("REVEAL_NUMBERS", "some", "must be all or permitted"),
        ("REVEAL_ROLES", "arn:aws:iam::111122223333:role/support-lead", "needs REVEAL_NUMBERS=permitted"),
        ("RECORDING_DAYS", "366", "must be from 0 to 365 days"),
        ("VONAGE_RECORDING_DOMAINS", "com", "must be a list of domains such as nexmo.com,vonage.com"),
        ("DEFAULT_MISSED_CALLS", "sing", "must be a list of say, text, call_back and voicemail"),
        ("QUARANTINE_SECONDS", "a day", "must be from 7200 to 2592000 seconds"),
        ("DECISIONS", "always", "must be on, all or off"),
        ("WEBHOOK_URL", "http://backend.example/", "must be an https URL of a named host"),
        ("NUMBER_LOOKUP", "Number Insight", "must be identity-insights, number-insight or numbering-plan"),
        ("LOOKUP_CARRIER", "on", "must be off unless NUMBER_LOOKUP is identity-insights"),
        ("LOOKUP_CARRIER", "yes", "must be on or off"),
        ("WHEN_LOOKUP_FAILS", "ignore", "must be accept or refuse"),
        ("CALLABLE_COUNTRIES", "Britain", "must be a list such as GB,US"),
        ("FALLBACK_COUNTRIES", "gb", "must be a list such as GB,US"),
        ("FALLBACK_COUNTRIES", "US,UK", "perhaps GB is meant"),
        ("CALLABLE_COUNTRIES", "XX", "not the code of a country"),
        ("CALLABLE_COUNTRIES", "GB,*", "must be a list such as GB,US"),
        ("AUTO_RENT_MAX", "UK=20", "perhaps GB is meant"),
        ("HEADROOM", "GB=1,EN=2", "perhaps GB is meant"),
        ("AUTO_RENT_MAX", "20", "must be a list such as GB=20,US=5"),
        ("HEADROOM", "GB", "must be a list such as GB=20,US=5"),
        ("MONTHLY_BUDGET_EUR", "-1", "must be an amount in EUR"),
        ("SSL_CERT_FILE", "/no/such/file", "must be the path of a readable file"),
        ("DEFAULT_LANGUAGE", "english", "must be a language tag such as en or pt-BR"),
        ("DEFAULT_LANGUAGE", "ja", "must be a language that has words, which are ar, de, en, es, fr, hi, it, pt"),
        ("BRAND", "a\nb", "must be visible text of 1 to 40 characters"),
        ("WORDS_FILE", "/no/such/file", "must be the path of a readable file"),
        ("WORDS_FILE", WORDS, "tests/words.json: en, call.connecting: has {brand}, but BRAND is not set"),
    ];
    for (name, value, expected) in malformed {
        let Err(error) = start_with(&[(name, value)]).await else { panic!("it started with {name}={value}") };
        let message = error.to_string();
        assert!(message.contains(name) && message.contains(expected), "{name}: {message}");
    }
    let ports = ["--port", "0", "--dynamodb-port", "0", "--vonage-port", "0"];
    for (name, value, _) in [("HEADROOM", "UK=1", ""), ("AWS_LAMBDA_LOG_LEVEL", "LOUD", "")] {
        let stopped = laptop(&ports, &[(name, value)]);
        let message = String::from_utf8(stopped.stderr).unwrap();
        assert!(!stopped.status.success() && message.contains(&format!("{name} is malformed: must be")), "{message}");
    }
}

#[test]
fn start_warns_of_variable_without_effect() {
    // The malformed one ends the start.
    let variables = [("VONAGE_API_URL", "https://api.nexmo.com"), ("HEADROOM", "2")];
    let stopped = laptop(&["--port", "0", "--dynamodb-port", "0", "--vonage-port", "0"], &variables);
    let log = String::from_utf8(stopped.stderr).unwrap();
    assert!(log.contains("without effect") && log.contains("VONAGE_API_URL"), "{log}");
}

#[tokio::test]
async fn simulated_account_is_that_of_environment() {
    let account = [
        ("VONAGE_API_KEY", "deadbeef"),
        ("VONAGE_API_SECRET", "another-api-secret"),
        ("VONAGE_SIGNATURE_SECRET", "another-signature-secret"),
        ("VONAGE_APPLICATION_ID", "00000000-0000-4000-8000-000000000002"),
    ];
    let stack = start_with(&account).await.unwrap();
    post(format!("{}/numbers", stack.gateway_url), json!({"country": "GB", "count": 2})).await;
    let order = json!({"participants": [{"number": "+447700900001"}, {"number": "+447700900002"}]});
    let conversation = post(format!("{}/conversations", stack.gateway_url), order).await;
    let dialled = &conversation["participants"][0]["dials"];
    let call =
        post(format!("{}/simulator/calls", stack.vonage_url), json!({"from": "447700900001", "to": dialled})).await;
    assert_eq!(call["phones"]["caller"]["connected"], true, "{call}");
    stack.stop().await;

    let event = concat!(env!("CARGO_MANIFEST_DIR"), "/../events/answer-webhook-rider-calls.json");
    let token = |account: &[(&str, &str)]| {
        let signed: Value = serde_json::from_slice(&laptop(&["sign", event], account).stdout).unwrap();
        signed["headers"]["authorization"].as_str().unwrap().trim_start_matches("Bearer ").to_owned()
    };
    let mut checks = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
    checks.required_spec_claims.clear();
    let key = jsonwebtoken::DecodingKey::from_secret(b"another-signature-secret");
    let claims = |token: String| jsonwebtoken::decode::<Value>(token, &key, &checks);
    assert_eq!(claims(token(&account)).unwrap().claims["api_key"], "deadbeef");
    assert!(claims(token(&[])).is_err());
}

#[test]
fn console_command_prints_the_address_of_the_page() {
    let shown = laptop(&["console", "--port", "3100"], &[]);
    assert_eq!((shown.status.code(), shown.stdout), (Some(0), b"http://127.0.0.1:3100/console\n".to_vec()));
}

#[test]
fn words_command_shows_contents_or_every_fault() {
    let good = laptop(&["words", WORDS], &[("BRAND", "Rides")]);
    let report = String::from_utf8(good.stdout).unwrap();
    assert!(good.status.success(), "{report}");
    for line in ["de: 1 sentence, 1 voice", "nl: 2 sentences, 1 voice", "  text.invitation: 1 part"] {
        assert!(report.lines().any(|shown| shown == line), "{line}: {report}");
    }
    assert!(report.contains("because it lacks them: call.caller-hidden, "), "{report}");
    assert!(!report.contains("let it speak before"), "{report}");

    let file = std::env::temp_dir().join(format!("maskline-words-{}.json", uuid::Uuid::new_v4()));
    let words = json!({
        "en": {"call.ended": "{brand}", "call.over": "Over."},
        "xx": {"voice": {"language": "xx-XX"}, "text.invitation": "No number."},
    });
    std::fs::write(&file, words.to_string()).unwrap();
    let bad = laptop(&["words", file.to_str().unwrap()], &[]);
    let faults = String::from_utf8(bad.stderr).unwrap();
    let (name, fault) = (file.display(), |fault: &str| faults.contains(&format!("{}: {fault}", file.display())));
    assert!(!bad.status.success() && fault("en, call.ended: has {brand}, but BRAND is not set"), "{name} {faults}");
    assert!(fault("en, call.over: is no key of a sentence or a voice"), "{faults}");
    assert!(fault("xx, text.invitation: lacks the placeholder {number}"), "{faults}");
    std::fs::write(&file, json!({"xx": {"voice": {"language": "xx-XX"}}}).to_string()).unwrap();
    let odd = laptop(&["words", file.to_str().unwrap()], &[]);
    assert!(String::from_utf8(odd.stdout).unwrap().contains("xx-XX is not in Vonage's description of its API"));
    std::fs::remove_file(&file).unwrap();
    assert!(!laptop(&["words", file.to_str().unwrap()], &[]).status.success());
}

#[test]
fn settings_name_variables_without_effect_and_skip_empty_ones() {
    let given = settings(&[("VONAGE_API_URL", "https://api.nexmo.com"), ("HEADROOM", ""), ("HOME", "/root")]);
    assert_eq!(given.unused(), ["VONAGE_API_URL"]);
    assert_eq!(given.taken().iter().count(), 0);
    let of_template = VARIABLES.iter().filter(|variable| matches!(variable.source, Source::Parameter(_)));
    let optional = of_template.filter(|variable| variable.default != DefaultValue::Required);
    for variable in optional.filter(|variable| !variable.name.ends_with("_URL")) {
        assert_eq!(settings(&[(variable.name, "1")]).unused(), [""; 0], "{}", variable.name);
    }
}
