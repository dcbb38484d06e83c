//! `maskline setup`.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use local::gateway;
use local::setup::{self, Report};
use local::stack::account::{API_KEY, API_SECRET, APPLICATION_ID, SIGNATURE_SECRET};
use reqwest::Method;
use serde_json::{Value, json};
use shared::config::Environment;
use testkit::{Answer, DRIVER, Laptop, RIDER, text};
use tokio::net::TcpListener;

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    arguments: setup::Arguments,
}

/// A stack whose account has no application, and a folder for the key.
struct Fresh {
    laptop: Laptop,
    folder: PathBuf,
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Fresh {
    async fn start() -> Self {
        let laptop = Laptop::builder().machine_clock().start().await;
        let url = format!("{}/v2/applications/{APPLICATION_ID}", laptop.stack.vonage_url);
        let request = laptop.http.delete(url).basic_auth(API_KEY, Some(API_SECRET));
        assert_eq!(Answer::to(request).await.status, 204);
        let folder = std::env::temp_dir().join(format!("maskline-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        Self { laptop, folder }
    }

    fn key_file(&self) -> PathBuf {
        self.folder.join("key.pem")
    }

    fn environment(&self) -> Environment {
        let url = self.laptop.stack.vonage_url.as_str();
        [
            ("VONAGE_API_KEY", API_KEY),
            ("VONAGE_API_SECRET", API_SECRET),
            ("VONAGE_SIGNATURE_SECRET", SIGNATURE_SECRET),
            ("VONAGE_API_URL", url),
            ("VONAGE_REST_URL", url),
            ("VONAGE_INSIGHTS_URL", url),
        ]
        .into_iter()
        .collect()
    }

    async fn run(&self, options: &[&str]) -> Result<Report, String> {
        let key = self.key_file();
        let usual = ["setup", "--private-key", key.to_str().unwrap()];
        let line = CommandLine::parse_from(usual.iter().chain(options));
        setup::run(&line.arguments, &self.environment()).await
    }

    async fn applications(&self) -> Vec<Value> {
        let listed = self.laptop.vonage_get("/v2/applications?page_size=100").await;
        listed.body["_embedded"]["applications"].as_array().unwrap().clone()
    }
}

/// From an account without an application to the first call, in the order of docs/setup.md.
#[tokio::test]
async fn empty_account_is_set_up_for_a_call() {
    let fresh = Fresh::start().await;
    let plan = fresh.run(&[]).await.unwrap();
    assert_eq!((fresh.applications().await.len(), fresh.key_file().exists()), (0, false), "{plan}");
    assert!(plan.to_string().contains("--apply") && !plan.to_string().contains("BEGIN"), "{plan}");
    let made = fresh.run(&["--apply"]).await.unwrap();
    let report = made.json();
    let id = text(&report, "/application/id").to_owned();
    assert_eq!((text(&report, "/state"), text(&report, "/private_key/state")), ("made", "made"));
    let key = std::fs::read_to_string(fresh.key_file()).unwrap();
    assert!(made.to_string().contains("aws secretsmanager create-secret"), "{made}");
    for shown in [made.to_string(), report.to_string()] {
        assert!(!shown.contains(API_SECRET) && !shown.contains("PRIVATE KEY"), "{shown}");
    }
    let again = fresh.run(&["--apply"]).await.unwrap().json();
    assert_eq!((text(&again, "/state"), text(&again, "/private_key/state")), ("unchanged", "kept"));

    // What `sam deploy` makes of it.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let deployed = [
        ("VONAGE_APPLICATION_ID", id.clone()),
        ("VONAGE_PRIVATE_KEY", key),
        ("NUMBER_LOOKUP", "identity-insights".into()),
    ];
    let deployed = deployed.map(|(name, value)| (name.to_owned(), value));
    let environment = fresh.laptop.stack.environment.clone().with(deployed);
    let router = gateway::router(gateway::routes(&environment, shared::clock::system()).unwrap(), &Default::default());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });

    let led = fresh.run(&["--apply", "--public-url", &url]).await.unwrap().json();
    assert_eq!((text(&led, "/state"), text(&led, "/application/id")), ("updated", id.as_str()));
    let send = |path: &'static str, body: Value| Answer::to(fresh.laptop.http.post(format!("{url}{path}")).json(&body));
    assert_eq!(send("/numbers", json!({"country": "GB", "count": 2})).await.body["ready"], 2);
    // The lookup is signed with the new key.
    let created = send("/conversations", testkit::conversation()).await;
    assert_eq!(created.status, 201, "{created:?}");
    let call = fresh.laptop.call(json!({"from": RIDER, "to": created.body["participants"][0]["dials"]})).await;
    assert_eq!(call["phones"]["callee"]["number"], DRIVER, "{call}");
    assert_eq!(fresh.applications().await.len(), 1);
    server.abort();
}

#[tokio::test]
async fn set_up_that_was_cut_is_finished_by_the_next() {
    let fresh = Fresh::start().await;
    for kind in ["close_before", "close_after"] {
        let fault = json!({"path": "/v2/applications", "contains": "improve_ai", "times": 3, "fault": {"kind": kind}});
        assert_eq!(fresh.laptop.vonage(Method::POST, "/simulator/faults", fault).await.status, 204);
        let _ = fresh.run(&["--apply"]).await;
        fresh.laptop.no_more_faults().await;
        assert!(fresh.key_file().exists(), "the key is kept before the application is made");
    }
    let key = std::fs::read_to_string(fresh.key_file()).unwrap();
    let done = fresh.run(&["--apply"]).await.unwrap().json();
    assert_eq!((text(&done, "/state"), fresh.applications().await.len()), ("unchanged", 1), "{done}");
    assert_eq!(std::fs::read_to_string(fresh.key_file()).unwrap(), key, "the first key stays");
}

#[tokio::test]
async fn application_with_other_key_is_refused_with_the_way_out() {
    let fresh = Fresh::start().await;
    fresh.run(&["--apply"]).await.unwrap();
    std::fs::remove_file(fresh.key_file()).unwrap();
    let kept = fresh.run(&["--apply"]).await.unwrap().json();
    assert_eq!((text(&kept, "/state"), text(&kept, "/private_key/state")), ("unchanged", "not_needed"));
    let replaced = fresh.run(&["--apply", "--replace-key"]).await.unwrap().json();
    assert_eq!((text(&replaced, "/changes/0/what"), text(&replaced, "/private_key/state")), ("public_key", "made"));
    std::fs::write(fresh.key_file(), local::stack::account::PRIVATE_KEY).unwrap();
    let refused = fresh.run(&["--apply"]).await.unwrap_err();
    assert!(refused.contains("another public key") && refused.contains("--replace-key"), "{refused}");
}

/// A program that keeps secrets as files, with the arguments of `aws`.
const AWS: &str = r#"#!/bin/sh
file="$(dirname "$0")/stored"
echo "$@" >> "$(dirname "$0")/arguments"
case "$2" in
  get-secret-value) [ -e "$file" ] || { echo "An error occurred (ResourceNotFoundException)" >&2; exit 254; }
    printf 'now\t'; cat "$file" ;;
  create-secret) [ ! -e "$file" ] || exit 1; cat > "$file"; echo '{"VersionId": "first"}' ;;
  put-secret-value) [ -e "$file" ] || exit 1; cat > "$file"; echo '{"VersionId": "second"}' ;;
esac
"#;

#[cfg(unix)]
fn aws(folder: &Path) -> String {
    use std::os::unix::fs::PermissionsExt;

    let program = folder.join("aws");
    std::fs::write(&program, AWS).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    program.to_str().unwrap().to_owned()
}

#[cfg(unix)]
#[tokio::test]
async fn secrets_are_stored_once_and_never_in_arguments() {
    let fresh = Fresh::start().await;
    let program = aws(&fresh.folder);
    let stored = fresh.folder.join("stored");
    let options = ["--secret", "maskline/vonage", "--aws", &program];
    let with_apply = [&options[..], &["--apply"]].concat();
    let plan = fresh.run(&options).await.unwrap().json();
    let members = ["api_secret", "signature_secret", "private_key", "signature_secret_2"];
    assert_eq!((&plan["secret"]["state"]["would_be"], stored.exists()), (&json!(members), false));
    let done = fresh.run(&with_apply).await.unwrap().json();
    assert_eq!(done["secret"]["state"]["written"]["version"], "first");
    let read = || serde_json::from_str::<Value>(&std::fs::read_to_string(&stored).unwrap()).unwrap();
    let key = std::fs::read_to_string(fresh.key_file()).unwrap();
    let expected = json!({"api_secret": API_SECRET, "signature_secret": SIGNATURE_SECRET,
        "signature_secret_2": SIGNATURE_SECRET, "private_key": key});
    assert_eq!(read(), expected);
    assert_eq!(fresh.run(&with_apply).await.unwrap().json()["secret"]["state"], "unchanged");
    let mut other = expected.clone();
    (other["decision_secret"], other["api_secret"]) = (json!("whsec_"), json!("old"));
    std::fs::write(&stored, other.to_string()).unwrap();
    let done = fresh.run(&with_apply).await.unwrap().json();
    assert_eq!(done["secret"]["state"]["written"], json!({"members": ["api_secret"], "version": "second"}));
    assert_eq!((&read()["decision_secret"], &read()["api_secret"]), (&json!("whsec_"), &json!(API_SECRET)));
    let arguments = std::fs::read_to_string(fresh.folder.join("arguments")).unwrap();
    assert!(!arguments.contains(API_SECRET) && !arguments.contains("PRIVATE"), "{arguments}");
}

#[test]
fn command_without_credentials_says_which_and_where() {
    let run =
        |arguments: &[&str]| Command::new(env!("CARGO_BIN_EXE_maskline")).args(arguments).env_clear().output().unwrap();
    let failed = run(&["setup"]);
    let says = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(failed.status.code(), Some(1));
    assert!(says.contains("VONAGE_API_KEY") && says.contains("Dashboard"), "{says}");
    let help = String::from_utf8(run(&["setup", "--help"]).stdout).unwrap();
    for taught in ["--apply", "VONAGE_API_SECRET", "--public-url", "Example"] {
        assert!(help.contains(taught), "{taught}: {help}");
    }
    assert_eq!(run(&["setup", "--no-such-option"]).status.code(), Some(2));
}
