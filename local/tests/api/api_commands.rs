//! `maskline conversations`, `maskline numbers` and `maskline decide`.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use axum::Router;
use axum::extract::{Request, State};
use clap::Parser;
use local::commands::{self, ApiCommand};
use ring::{digest, hmac};
use serde_json::{Value, json};
use shared::config::Environment;
use testkit::{DRIVER, Laptop, RIDER, text};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

#[derive(Parser)]
struct CommandLine {
    #[command(subcommand)]
    command: ApiCommand,
}

/// Runs a command. Returns what it prints, or what it says about a failure.
async fn run(arguments: &[&str], environment: &Environment) -> Result<String, String> {
    let line = CommandLine::try_parse_from(["maskline"].iter().chain(arguments)).map_err(|error| error.to_string())?;
    commands::answer(&line.command, environment).await.map_err(|error| error.to_string())
}

async fn on(laptop: &Laptop, arguments: &[&str]) -> Result<String, String> {
    run(&[arguments, &["--url", &laptop.stack.gateway_url]].concat(), &Environment::default()).await
}

async fn json_of(laptop: &Laptop, arguments: &[&str]) -> Value {
    serde_json::from_str(&on(laptop, &[arguments, &["--json"]].concat()).await.unwrap()).unwrap()
}

const PAIR: [&str; 4] = ["conversations", "create", "+44 7700 900001", "+44 7700 900002"];

#[tokio::test]
async fn commands_tell_the_story_of_the_readme() {
    let laptop = Laptop::start().await;
    let empty = on(&laptop, &["numbers", "list"]).await.unwrap();
    assert!(empty.contains("maskline numbers order"), "{empty}");
    let planned = on(&laptop, &["numbers", "order", "GB", "2", "--dry-run"]).await.unwrap();
    assert!(planned.contains("Nothing was bought") && planned.contains("rent 2, for 2.50 EUR a month"), "{planned}");
    assert_eq!(on(&laptop, &["numbers", "list"]).await.unwrap(), empty);
    let ordered = on(&laptop, &["numbers", "order", "GB", "2"]).await.unwrap();
    assert!(ordered.starts_with("GB has 2 of 2 ordered numbers ready.\n  rented +4474"), "{ordered}");

    let words = ["--labels", "your rider", "your driver", "--expires-in", "1h30m", "--reference", "ride-42"];
    let created = on(&laptop, &[&PAIR[..], &words].concat()).await.unwrap();
    assert!(created.contains("is active until") && created.contains("your driver"), "{created}");
    let id = created.split_whitespace().nth(1).unwrap().to_owned();
    let listed = json_of(&laptop, &["conversations", "list", "+44 7700 900001"]).await;
    assert_eq!((&listed["conversations"][0]["id"], &listed["next"]), (&json!(id), &Value::Null));
    let dials = listed["conversations"][0]["participants"][0]["dials"].as_str().unwrap().to_owned();
    laptop.call(json!({"from": RIDER, "to": dials, "talk_seconds": 42})).await;
    let shown = on(&laptop, &["conversations", "get", &id]).await.unwrap();
    assert!(shown.contains("+447700900001  +447700900002") && shown.contains("42"), "{shown}");
    let decided = on(&laptop, &["decide", RIDER, &dials]).await.unwrap();
    assert!(decided.starts_with("routed: The caller has a live route"), "{decided}");

    on(&laptop, &["conversations", "update", &id, "--block", "a", "--set", "max_calls=5"]).await.unwrap();
    let blocked = json_of(&laptop, &["conversations", "get", &id]).await;
    assert_eq!((&blocked["blocked"], &blocked["max_calls"]), (&json!("a"), &json!(5)));
    on(&laptop, &["conversations", "update", &id, "--block", "none"]).await.unwrap();
    let texted = on(&laptop, &["conversations", "text", &id, "--to", "b", "Five minutes."]).await.unwrap();
    assert!(texted.ends_with("is sent.\n"), "{texted}");
    assert_eq!(laptop.words(DRIVER).await.last().unwrap(), "Five minutes.");
    let texts = on(&laptop, &["conversations", "texts", &id]).await.unwrap();
    assert!(texts.contains("backend") && texts.contains("sent"), "{texts}");
    let ended = on(&laptop, &["conversations", "end", &id]).await.unwrap();
    assert!(ended.contains("is ended since"), "{ended}");
    assert_eq!(on(&laptop, &["conversations", "erase", &id, "--yes"]).await.unwrap(), format!("{id} is erased.\n"));
    let gone = on(&laptop, &["conversations", "get", &id]).await.unwrap_err();
    assert!(gone.contains("not-found, 404"), "{gone}");
    laptop.table().await;
}

#[tokio::test]
async fn list_takes_each_filter_of_the_api() {
    let laptop = Laptop::builder().env(&[("LIST_CONVERSATIONS", "on")]).numbers("GB", 2).start().await;
    let created = json_of(&laptop, &[&PAIR[..], &["--reference", "ride-42"]].concat()).await;
    let dials = text(&created, "/participants/0/dials").to_owned();
    let since = laptop.clock_now().to_string();
    for (options, count) in [
        (&[][..], 1),
        (&["--reference", "ride-42"], 1),
        (&["--reference", "ride-43"], 0),
        (&["--masked-by", &dials, "--state", "active"], 1),
        (&["--masked-by", &dials, "--state", "ended"], 0),
        (&["--created-from", &since], 1),
        (&["--created-until", &since], 0),
        (&["07700 900001", "--country", "GB", "--reference", "ride-42"], 1),
    ] {
        let listed = json_of(&laptop, &[&["conversations", "list"], options].concat()).await;
        assert_eq!(listed["conversations"].as_array().unwrap().len(), count, "{options:?}: {listed}");
    }
    let without = Laptop::start().await;
    let refused = on(&without, &["conversations", "list"]).await.unwrap_err();
    assert!(refused.contains("LIST_CONVERSATIONS"), "{refused}");
}

#[tokio::test]
async fn every_command_of_numbers_reaches_its_operation() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let pool = json_of(&laptop, &["numbers", "list", "--country", "GB", "--limit", "1"]).await;
    let number = text(&pool, "/countries/0/numbers/0/number").to_owned();
    let next = text(&pool, "/next").to_owned();
    let second = json_of(&laptop, &["numbers", "list", "--limit", "1", "--after", &next]).await;
    assert_ne!(second["countries"][0]["numbers"][0], pool["countries"][0]["numbers"][0]);
    let forecast = on(&laptop, &["numbers", "forecast", "25"]).await.unwrap();
    assert!(forecast.lines().nth(1).unwrap().split_whitespace().eq(["GB", "25", "25", "3", "22"]), "{forecast}");
    let shown = on(&laptop, &["numbers", "get", &number]).await.unwrap();
    assert!(shown.contains(&number), "{shown}");
    let refused = on(&laptop, &["numbers", "release", &number]).await.unwrap_err();
    assert!(refused.contains("--yes"), "{refused}");
    assert_eq!(json_of(&laptop, &["numbers", "list", "--state", "draining"]).await["countries"][0]["draining"], 0);
    let released = json_of(&laptop, &["numbers", "release", &number, "--yes"]).await;
    assert_eq!(released["state"], "draining");
    let planned = on(&laptop, &["numbers", "order", "GB", "4", "--dry-run"]).await.unwrap();
    assert!(planned.contains("rent 1, for 1.25 EUR") && planned.contains(&format!("take back {number}")), "{planned}");
    let taken_back = json_of(&laptop, &["numbers", "take-back", &number]).await;
    assert_eq!((&taken_back["number"], &taken_back["state"]), (&json!(number), &json!("ready")));
    assert!(on(&laptop, &["numbers", "take-back", "+447451999999"]).await.unwrap_err().contains("not-found, 404"));
}

#[tokio::test]
async fn notify_texts_those_who_did_not_get_the_number() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let created = json_of(&laptop, &[&PAIR[..], &["--no-notify"]].concat()).await;
    let id = text(&created, "/id").to_owned();
    on(&laptop, &["conversations", "notify", &id]).await.unwrap();
    assert_eq!((laptop.words(RIDER).await.len(), laptop.words(DRIVER).await.len()), (0, 0), "nothing has failed");
    let notified = on(&laptop, &["conversations", "notify", &id, "--to", "b"]).await.unwrap();
    assert!(notified.contains("off") && notified.contains("sent"), "{notified}");
    assert_eq!((laptop.words(RIDER).await.len(), laptop.words(DRIVER).await.len()), (0, 1));
}

#[tokio::test]
async fn request_of_a_file_and_its_key_are_sent_as_they_are() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let file = std::env::temp_dir().join(format!("maskline-{}.json", uuid::Uuid::new_v4()));
    std::fs::write(&file, testkit::conversation().to_string()).unwrap();
    let arguments = ["conversations", "create", "--body", file.to_str().unwrap(), "--idempotency-key", "ride-42"];
    let (first, again) = (json_of(&laptop, &arguments).await, json_of(&laptop, &arguments).await);
    assert_eq!(first["id"], again["id"]);
    let changed = on(&laptop, &[&arguments[..], &["--expires-in", "2h"]].concat()).await.unwrap_err();
    assert!(changed.contains("idempotency-key-reused, 422"), "{changed}");
    std::fs::write(&file, "[]").unwrap();
    let wrong = on(&laptop, &arguments).await.unwrap_err();
    assert!(wrong.contains(file.to_str().unwrap()), "{wrong}");
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test]
async fn refusal_names_its_field_and_reason() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let refused = on(&laptop, &["conversations", "create", "+44 7700 900001", "+44 123"]).await.unwrap_err();
    assert!(refused.starts_with("participants[1].number: ") && refused.ends_with("(invalid-value, 422)"), "{refused}");
    for wrong in [
        &["conversations", "create", "+447700900001"][..],
        &["conversations", "create"],
        &["conversations", "update", "01M81PZXZPCX9PBRT5SWKY25Z7"],
        &["conversations", "call", "01M81PZXZPCX9PBRT5SWKY25Z7"],
        &["conversations", "list", "+447700900001", "--stack", "x"],
        &["conversations", "list", "--country", "GB"],
        &["conversations", "list", "--created-from", "yesterday"],
        &["numbers", "order", "GB", "2", "--pattern", "7", "--area-code", "020"],
        &["numbers", "order", "GB", "many"],
        &["events", "replay"],
        &["events", "replay", "--until", "2h"],
        &["events", "replay", "--from", "yesterday"],
    ] {
        assert!(on(&laptop, wrong).await.is_err_and(|error| error.contains("--help")), "{wrong:?}");
    }
}

#[tokio::test]
async fn stack_that_does_not_run_is_told_with_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let failed = run(&["numbers", "list", "--url", &url], &Environment::default()).await.unwrap_err();
    assert!(failed.contains(&url) && failed.contains("did not answer"), "{failed}");
    let wrong = run(&["numbers", "list", "--url", "api.example"], &Environment::default()).await.unwrap_err();
    assert!(wrong.contains("`api.example` is not a URL"), "{wrong}");
}

/// A request as it arrived.
struct Arrived {
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// A deployment that answers every request with an empty object.
async fn deployment() -> (String, mpsc::UnboundedReceiver<Arrived>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let answer = |State(sender): State<mpsc::UnboundedSender<Arrived>>, request: Request| async move {
        let (parts, body) = request.into_parts();
        let header = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
            (name.to_string(), value.to_str().unwrap().to_owned())
        };
        let headers = parts.headers.iter().map(header).collect();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec();
        let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default().to_owned());
        sender.send(Arrived { method: parts.method.to_string(), path, query, headers, body }).unwrap();
        "{}"
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(sender);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, receiver)
}

#[tokio::test]
async fn token_of_the_environment_is_sent() {
    let (url, mut arrived) = deployment().await;
    let environment: Environment = [("MASKLINE_TOKEN", "eyJ.e30.x")].into_iter().collect();
    run(&["numbers", "list", "--url", &url], &environment).await.unwrap();
    assert_eq!(arrived.recv().await.unwrap().headers["authorization"], "Bearer eyJ.e30.x");
}

/// A program that answers as `aws` does, for the profile `production`.
#[cfg(unix)]
fn aws(folder: &std::path::Path, url: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let script = format!(
        r#"#!/bin/sh
case "$*" in
  "cloudformation describe-stacks --stack-name calls "*" --profile production") echo '{url}' ;;
  "configure get region --profile production") echo eu-west-2 ;;
  "configure export-credentials --format process --profile production")
    echo '{{"Version": 1, "AccessKeyId": "AKIAEXAMPLE", "SecretAccessKey": "secret/key", "SessionToken": "session"}}' ;;
  *) echo "Unable to locate $*" >&2; exit 255 ;;
esac
"#
    );
    let program = folder.join("aws");
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    program.to_str().unwrap().to_owned()
}

/// Signs a request again, as the AWS documentation says: "Create a signed AWS API request".
fn signature(request: &Arrived, secret: &str) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let hash = |bytes: &[u8]| hex(digest::digest(&digest::SHA256, bytes).as_ref());
    let signed = request.headers["authorization"].split("SignedHeaders=").nth(1).unwrap();
    let signed = signed.split(',').next().unwrap();
    let headers: String = signed.split(';').map(|name| format!("{name}:{}\n", request.headers[name].trim())).collect();
    let mut query: Vec<&str> = request.query.split('&').collect();
    query.sort_unstable();
    let parts = [&request.method, &request.path, &query.join("&"), &headers, signed, &hash(&request.body)];
    let time = &request.headers["x-amz-date"];
    let scope = format!("{}/eu-west-2/execute-api/aws4_request", &time[..8]);
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hash(parts.join("\n").as_bytes()));
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in scope.split('/').chain([text.as_str()]) {
        key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes()).as_ref().to_vec();
    }
    hex(&key)
}

#[cfg(unix)]
#[tokio::test]
async fn requests_to_a_deployment_are_signed_by_its_profile() {
    let (url, mut arrived) = deployment().await;
    let folder = std::env::temp_dir().join(format!("maskline-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&folder).unwrap();
    // The output of a stack is an https URL; here the listener has no certificate.
    let program = aws(&folder, &url);
    let profile = ["--profile", "production", "--aws", &program];
    let of_url = [&profile[..], &["--url", &url]].concat();
    let listing = ["conversations", "list", "+44 7700 900001", "--limit", "5"];
    for command in [&listing[..], &PAIR, &["conversations", "end", "01M81PZXZPCX9PBRT5SWKY25Z7"]] {
        run(&[command, &of_url].concat(), &Environment::default()).await.unwrap();
        let request = arrived.recv().await.unwrap();
        let authorization = &request.headers["authorization"];
        assert!(authorization.contains(&format!("Signature={}", signature(&request, "secret/key"))), "{authorization}");
        assert_eq!(request.headers["x-amz-security-token"], "session");
    }
    let by_stack = [&listing[..], &profile, &["--stack", "calls"]].concat();
    let refused = run(&by_stack, &Environment::default()).await.unwrap_err();
    assert!(refused.contains("no output ApiUrl"), "an URL without TLS is none: {refused}");
    let unknown = [&listing[..], &["--profile", "other", "--aws", &program]].concat();
    let refused = run(&unknown, &Environment::default()).await.unwrap_err();
    assert!(refused.starts_with("the stack cannot be read: Unable to locate"), "{refused}");
    let missing = [&listing[..], &["--profile", "other", "--aws", "/no/such/program"]].concat();
    let refused = run(&missing, &Environment::default()).await.unwrap_err();
    assert!(refused.contains("install the AWS command line"), "{refused}");
    std::fs::remove_dir_all(&folder).unwrap();
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maskline"));
    command.args(arguments).env_clear();
    command
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    for wrong in [
        &["--port", "3099", "demo"][..],
        &["--data", "x.db", "numbers", "list"],
        &["demo", "--data", "x.db"],
        &["restore", "--copy", "x.db"],
    ] {
        let refused = program(wrong).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{wrong:?}: {refused:?}");
    }
}

#[test]
fn reader_that_goes_away_ends_the_program_quietly() {
    let mut printing = program(&["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(printing.stdout.take());
    let ended = printing.wait_with_output().unwrap();
    assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let printed = String::from_utf8(program(&["completions", shell]).output().unwrap().stdout).unwrap();
        assert!(printed.contains("conversations") && printed.contains("requirements"), "{shell}");
    }
}
