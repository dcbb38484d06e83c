//! `maskline deploy`, as a process. Only `sam` and `aws` are scripts, because they need AWS: what they deploy is a gateway with the
//! parameters and the secret that they were given, and Vonage is the simulator.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use lambda_http::Service;
use local::gateway;
use local::stack::account::{API_KEY, API_SECRET, APPLICATION_ID, SIGNATURE_SECRET};
use serde_json::{Value, json};
use shared::config::Environment;
use testkit::{Answer, DRIVER, Laptop, RIDER, text};

/// The beginning of each program. With a file `cut` it kills who started it, before and after its work, and notes that there, so that
/// the next run gets further.
const PRELUDE: &str = r#"#!/bin/sh
dir="$(dirname "$0")"
echo "$(basename "$0") $*" >> "$dir/log"
nth=$(wc -l < "$dir/log" | tr -d ' ')
run="$PPID $(basename "$0") $1 $2"
echo "$run" >> "$dir/runs"
place="${run#* } $(grep -cxF "$run" "$dir/runs")"
cut() {
  [ -e "$dir/cut" ] && ! grep -qxF "$1 $place" "$dir/cut" || return 1
  echo "$1 $place" >> "$dir/cut"; kill -9 $PPID
}
cut before && exit
trap 'cut after' EXIT
"#;

/// Keeps the secret and its version in files.
const AWS: &str = r#"
missing() { echo "An error occurred ($1)" >&2; exit 254; }
case "$*" in
  --version) echo "aws-cli/2.31.4 Python/3.13" ;;
  "sts get-caller-identity "*) [ ! -e "$dir/logged-out" ] || missing ExpiredToken; echo '{"Account": "111122223333"}' ;;
  "configure get region"*) echo eu-west-2 ;;
  "configure export-credentials "*) echo '{"Version": 1, "AccessKeyId": "AKIAEXAMPLE", "SecretAccessKey": "secret/key"}' ;;
  "secretsmanager get-secret-value "*)
    [ -e "$dir/secret" ] || missing ResourceNotFoundException; printf '%s\t' "$(cat "$dir/version")"; cat "$dir/secret" ;;
  "secretsmanager "*)
    cat > "$dir/new"; echo "v$nth" > "$dir/version"; mv "$dir/new" "$dir/secret"; echo "{\"VersionId\": \"v$nth\"}" ;;
  "cloudformation describe-stacks "*)
    [ -e "$dir/stack.json" ] || missing "ValidationError): Stack with id $4 does not exist"; cat "$dir/stack.json" ;;
  "cloudformation wait "*) mv "$dir/after-wait.json" "$dir/stack.json" ;;
  *) missing "$*" ;;
esac
"#;

/// Keeps the parameters in files, and changes the stack if one of them differs.
const SAM: &str = r#"
case "$1" in
  --version) echo "SAM CLI, version 1.170.0" ;;
  build) mkdir -p .aws-sam/build; cp "$3" .aws-sam/build/template.yaml ;;
  deploy)
    [ ! -e "$dir/refuse" ] || { echo "Error: Failed to create the changeset" >&2; exit 1; }
    [ -e "$3" ] || { echo "Error: no template $3" >&2; exit 1; }
    while [ "$1" != --parameter-overrides ]; do shift; done; shift
    mkdir -p "$dir/parameters"; changed=; [ -e "$dir/stack.json" ] || changed=yes
    for one; do
      value="${one#*=\"}"; value="${value%\"}"; file="$dir/parameters/${one%%=*}"
      [ "$(cat "$file" 2>/dev/null)" = "$value" ] && [ -e "$file" ] || { printf %s "$value" > "$file"; changed=yes; }
    done
    [ -n "$changed" ] || { echo "No changes to deploy."; exit 0; }
    list=; for file in "$dir"/parameters/*; do
      list="$list${list:+,}{\"ParameterKey\": \"$(basename "$file")\", \"ParameterValue\": \"$(cat "$file")\"}"
    done
    outputs="{\"OutputKey\": \"ApiUrl\", \"OutputValue\": \"$(cat "$dir/url")\"}"
    echo "{\"Stacks\": [{\"StackStatus\": \"UPDATE_COMPLETE\", \"CreationTime\": \"t0\", \"LastUpdatedTime\": \"t$nth\",
           \"Parameters\": [$list], \"Outputs\": [$outputs]}]}" > "$dir/new.json"
    mv "$dir/new.json" "$dir/stack.json"; echo deployed >> "$dir/deployments" ;;
esac
"#;

/// An AWS account with the stack that `sam` makes in it, and a Vonage account without an application and numbers.
struct Accounts {
    laptop: Laptop,
    folder: PathBuf,
}

impl Drop for Accounts {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The API behind the stack. It is started again if its parameters or its secret have changed.
struct Deployed {
    folder: PathBuf,
    environment: Environment,
    running: Mutex<Option<(String, Router)>>,
}

impl Deployed {
    fn router(&self) -> Option<Router> {
        let read = |file: &Path| std::fs::read_to_string(self.folder.join(file)).ok();
        read(Path::new("stack.json"))?;
        let secret = read(Path::new("secret"))?;
        let parameter = |name: &str| read(&Path::new("parameters").join(name));
        let (api_key, application) = (parameter("VonageApiKey")?, parameter("VonageApplicationId")?);
        let state = format!("{secret}{api_key}{application}");
        let mut running = self.running.lock().unwrap();
        if running.as_ref().is_none_or(|(of, _)| *of != state) {
            let secret: BTreeMap<String, String> = serde_json::from_str(&secret).unwrap();
            let variables = [
                ("VONAGE_API_KEY", api_key),
                ("VONAGE_APPLICATION_ID", application),
                ("VONAGE_API_SECRET", secret["api_secret"].clone()),
                ("VONAGE_SIGNATURE_SECRET", secret["signature_secret"].clone()),
                ("VONAGE_PRIVATE_KEY", secret["private_key"].clone()),
            ];
            let variables = variables.map(|(name, value)| (name.to_owned(), value));
            let environment = self.environment.clone().with(variables);
            let routes = gateway::routes(&environment, shared::clock::system()).unwrap();
            *running = Some((state, gateway::router(routes, &Default::default())));
        }
        running.as_ref().map(|(_, router)| router.clone())
    }
}

async fn serve(State(deployed): State<Arc<Deployed>>, request: Request) -> Response {
    match deployed.router() {
        Some(mut router) => router.call(request).await.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

impl Accounts {
    async fn open() -> Self {
        let laptop = Laptop::builder().machine_clock().start().await;
        let url = format!("{}/v2/applications/{APPLICATION_ID}", laptop.stack.vonage_url);
        let request = laptop.http.delete(url).basic_auth(API_KEY, Some(API_SECRET));
        assert_eq!(Answer::to(request).await.status, 204);
        let folder = std::env::temp_dir().join(format!("maskline-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        std::fs::copy(testkit::repository::root().join("template.yaml"), folder.join("template.yaml")).unwrap();
        for (name, script) in [("aws", AWS), ("sam", SAM), ("cargo-lambda", "")] {
            let program = folder.join(name);
            std::fs::write(&program, format!("{PRELUDE}{script}")).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        }
        let environment = laptop.stack.environment.clone();
        let deployed = Deployed { folder: folder.clone(), environment, running: Mutex::default() };
        let url = testkit::serve(Router::new().fallback(serve).with_state(Arc::new(deployed))).await;
        std::fs::write(folder.join("url"), url).unwrap();
        Self { laptop, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    fn credentials(&self) -> Vec<(&'static str, String)> {
        vec![
            ("VONAGE_API_KEY", API_KEY.to_owned()),
            ("VONAGE_API_SECRET", API_SECRET.to_owned()),
            ("VONAGE_SIGNATURE_SECRET", SIGNATURE_SECRET.to_owned()),
        ]
    }

    /// Runs the command with these variables, and with nobody at a terminal.
    async fn run_with(&self, options: &[&str], variables: Vec<(&'static str, String)>) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maskline"));
        command.arg("deploy").current_dir(&self.folder).env_clear().envs(variables);
        for program in ["aws", "sam", "cargo-lambda"] {
            command.arg(format!("--{program}")).arg(self.file(program));
        }
        let url = self.laptop.stack.vonage_url.as_str();
        command.args(options).env("PATH", std::env::var_os("PATH").unwrap());
        command.env("VONAGE_API_URL", url).env("VONAGE_REST_URL", url).env("VONAGE_INSIGHTS_URL", url);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    async fn run(&self, options: &[&str]) -> Output {
        self.run_with(options, self.credentials()).await
    }

    /// Returns the report of a run that succeeds.
    async fn report(&self, options: &[&str]) -> Value {
        let output = self.run(&[options, &["--json"]].concat()).await;
        assert!(output.status.success(), "{}", says(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    async fn applications(&self) -> usize {
        let listed = self.laptop.vonage_get("/v2/applications?page_size=100").await;
        listed.body["_embedded"]["applications"].as_array().unwrap().len()
    }

    /// Returns how many applications, numbers and changes of the stack there are.
    async fn made(&self) -> (usize, usize, usize) {
        let numbers = self.laptop.owned_numbers().await.len();
        (self.applications().await, numbers, self.read("deployments").lines().count())
    }
}

fn says(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The states of all steps.
fn states(report: &Value) -> Vec<(&str, &str)> {
    let steps = report["steps"].as_array().unwrap().iter();
    steps.map(|step| (text(step, "/step"), text(step, "/state"))).collect()
}

const PAIR: [&str; 3] = ["--call", "+44 7700 900001", "+44 7700 900002"];
const FULL: [&str; 5] = ["--apply", "--yes", PAIR[0], PAIR[1], PAIR[2]];

#[tokio::test]
async fn empty_accounts_are_deployed_to_the_first_call() {
    let accounts = Accounts::open().await;
    let plan = accounts.report(&PAIR).await;
    let names = ["application", "build", "deployment", "webhooks", "doctor", "numbers", "first_call"];
    assert_eq!(states(&plan), names.map(|name| (name, "planned")));
    assert_eq!((accounts.made().await, accounts.read("secret")), ((0, 0, 0), String::new()), "{plan}");
    assert!(!accounts.file("maskline-private.pem").exists() && !accounts.read("log").contains("sam build"));

    let done = accounts.report(&FULL).await;
    assert_eq!(states(&done), names.map(|name| (name, "done")));
    assert_eq!((accounts.made().await, text(&done, "/account")), ((1, 2, 1), "111122223333"));
    let shown = format!("{done}{}", accounts.read("log"));
    assert!(
        !shown.contains(API_SECRET) && !shown.contains(SIGNATURE_SECRET) && !shown.contains("PRIVATE KEY"),
        "{shown}"
    );
    assert!(accounts.read("log").contains("VonageSecretVersion=\"v"), "{}", accounts.read("log"));

    // The command has no clock but the machine's, and the conversation began by that.
    accounts.laptop.advance(Timestamp::now().duration_since(accounts.laptop.clock_now()).as_secs() + 1);
    let dials = text(&done, "/conversation/participants/0/dials");
    let call = accounts.laptop.faultless_call(json!({"from": RIDER, "to": dials, "talk_seconds": 42})).await;
    assert_eq!(call["phones"]["callee"]["number"], DRIVER, "{call}");
    assert!(call["events"].as_array().unwrap().iter().all(|event| event["http_status"] == 204), "{call}");
    let before = accounts.laptop.words(RIDER).await.len();
    let again = accounts.report(&[&FULL[..], &["--wait", "0s"]].concat()).await;
    let busy = ["build", "doctor"];
    assert_eq!(states(&again), names.map(|name| (name, if busy.contains(&name) { "done" } else { "unchanged" })));
    assert!(text(&again, "/steps/6/says").contains("first masked call"), "{again}");
    assert_eq!((accounts.made().await, &again["conversation"]["id"]), ((1, 2, 1), &done["conversation"]["id"]));
    assert_eq!(accounts.laptop.words(RIDER).await.len(), before, "nobody is texted again");
}

/// Each run is killed at the first place where none was killed before: ahead of and behind the work of each program.
#[tokio::test]
async fn interrupted_deployment_is_continued_and_makes_all_once() {
    let accounts = Accounts::open().await;
    std::fs::write(accounts.file("cut"), "").unwrap();
    loop {
        let output = accounts.run(&FULL).await;
        if output.status.success() {
            break;
        }
        assert_eq!(output.status.code(), None, "it was killed, and did not fail: {}", says(&output));
    }
    let cuts = accounts.read("cut");
    let places = ["aws secretsmanager create-secret 1", "sam build --template-file 1", "sam deploy --template-file 1"];
    for place in places.into_iter().chain(["aws configure export-credentials 1", "aws configure export-credentials 2"])
    {
        for moment in ["before", "after"] {
            assert!(cuts.lines().any(|cut| cut == format!("{moment} {place}")), "{moment} {place}: {cuts}");
        }
    }
    assert_eq!(accounts.made().await, (1, 2, 1), "{cuts}");
    let texts = accounts.laptop.words(RIDER).await;
    assert_eq!(texts.len(), 1, "{texts:?}");
}

#[tokio::test]
async fn everything_missing_is_told_at_once() {
    let accounts = Accounts::open().await;
    std::fs::write(accounts.file("logged-out"), "").unwrap();
    let folder = accounts.folder.to_str().unwrap();
    let options = ["--template", "/no/template.yaml", "--sam", "/no/sam", "--cargo-lambda", folder];
    let mut command = Command::new(env!("CARGO_BIN_EXE_maskline"));
    command.args(["deploy", "--aws", accounts.file("aws").to_str().unwrap()]).args(options).env_clear();
    let failed = command.env("PATH", std::env::var_os("PATH").unwrap()).output().unwrap();
    let told = says(&failed);
    for expected in
        ["sam: ", "pip install aws-sam-cli", "cargo-lambda: ", "credentials: ", "aws sso login", "/no/template.yaml"]
    {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    assert_eq!((failed.status.code(), accounts.made().await), (Some(1), (0, 0, 0)));
    std::fs::remove_file(accounts.file("logged-out")).unwrap();
    let unsaid = says(&accounts.run_with(&["--apply"], vec![]).await);
    for expected in ["VONAGE_API_KEY in the environment", "VONAGE_SIGNATURE_SECRET", "--country", "--numbers 0"] {
        assert!(unsaid.contains(expected), "{expected}: {unsaid}");
    }
    let unknown = says(&accounts.run(&["--set", "Brant=x"]).await);
    assert!(unknown.contains("no such parameter"), "{unknown}");
    assert_eq!(accounts.run(&["--set", "Brand"]).await.status.code(), Some(2));
}

#[tokio::test]
async fn refused_deployment_says_step_reason_and_way_on() {
    let accounts = Accounts::open().await;
    std::fs::write(accounts.file("refuse"), "").unwrap();
    let refused = accounts.run(&["--apply", "--numbers", "0"]).await;
    let told = says(&refused);
    for expected in [
        "Failed to create the changeset",
        "maskline: deployment: sam ended with",
        "describe-stack-events",
        "same command",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    assert_eq!((refused.status.code(), accounts.made().await), (Some(1), (1, 0, 0)));
    std::fs::remove_file(accounts.file("refuse")).unwrap();
    let archives = accounts.folder.to_str().unwrap();
    let done =
        accounts.report(&["--apply", "--numbers", "0", "--archives", archives, "--set", "Brand=Two Words"]).await;
    let expected = [("application", "unchanged"), ("deployment", "done"), ("webhooks", "done"), ("doctor", "done")];
    assert_eq!((states(&done), accounts.read("parameters/Brand")), (expected.to_vec(), "Two Words".to_owned()));
    assert_eq!(accounts.read("log").matches("sam build").count(), 1, "archives are not built");
}

#[tokio::test]
async fn numbers_are_rented_only_after_a_yes_to_their_price() {
    let accounts = Accounts::open().await;
    let options = ["--apply", "--country", "GB", "--numbers", "3"];
    let asked = accounts.run(&options).await;
    let told = says(&asked);
    assert!(told.contains("rent 3, for 3.75 EUR a month") && told.contains("--yes"), "{told}");
    assert_eq!((asked.status.code(), accounts.made().await), (Some(1), (1, 0, 1)));
    // The stack and the secret say what the environment does not.
    let done = accounts.run_with(&[&options[..], &["--yes"]].concat(), vec![]).await;
    assert!(done.status.success(), "{}", says(&done));
    assert_eq!(accounts.made().await, (1, 3, 1));
}

#[tokio::test]
async fn stack_that_changes_is_waited_for_and_a_broken_one_is_told() {
    let accounts = Accounts::open().await;
    let stack = |status: &str| json!({"Stacks": [{"StackStatus": status}]}).to_string();
    std::fs::write(accounts.file("stack.json"), stack("CREATE_IN_PROGRESS")).unwrap();
    std::fs::write(accounts.file("after-wait.json"), stack("ROLLBACK_COMPLETE")).unwrap();
    let told = says(&accounts.run(&["--numbers", "0"]).await);
    for expected in
        ["is CREATE_IN_PROGRESS; waiting", "stack: it is ROLLBACK_COMPLETE", "delete-stack", "Nothing was done"]
    {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    assert!(accounts.read("log").contains("wait stack-create-complete --stack-name maskline"));
}
