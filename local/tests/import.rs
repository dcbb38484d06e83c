//! `maskline import`.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clap::Parser;
use jiff::{SignedDuration, Timestamp};
use local::commands::{self, ApiCommand};
use reqwest::Method;
use serde_json::{Value, json};
use shared::config::Environment;
use testkit::{Laptop, text};

#[derive(Parser)]
struct CommandLine {
    #[command(subcommand)]
    command: ApiCommand,
}

/// An export in a folder of its own, with times around now.
struct Export {
    folder: PathBuf,
    file: PathBuf,
    source: &'static str,
}

impl Export {
    fn of(source: &'static str, name: &str) -> Self {
        let text =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exports").join(name)).unwrap();
        Self::with(source, &text)
    }

    fn with(source: &'static str, text: &str) -> Self {
        let from_now = |hours| (Timestamp::now() + SignedDuration::from_hours(hours)).to_string();
        let text = text.replace("IN_TWO_HOURS", &from_now(2)).replace("AN_HOUR_AGO", &from_now(-1));
        let folder = std::env::temp_dir().join(format!("maskline-import-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("export");
        std::fs::write(&file, text).unwrap();
        Self { folder, file, source }
    }

    fn arguments<'a>(&'a self, laptop: &'a Laptop, options: &[&'a str]) -> Vec<&'a str> {
        let command =
            ["maskline", "import", self.source, self.file.to_str().unwrap(), "--url", &laptop.stack.gateway_url];
        [&command, options].concat()
    }

    async fn text(&self, laptop: &Laptop, options: &[&str]) -> Result<String, String> {
        let line = CommandLine::try_parse_from(self.arguments(laptop, options)).map_err(|error| error.to_string())?;
        commands::answer(&line.command, &Environment::default()).await.map_err(|error| error.to_string())
    }

    async fn report(&self, laptop: &Laptop, options: &[&str]) -> Value {
        serde_json::from_str(&self.text(laptop, &[options, &["--json"]].concat()).await.unwrap()).unwrap()
    }

    /// Creates without text messages, and returns the results.
    async fn created(&self, laptop: &Laptop) -> Vec<String> {
        results(&self.report(laptop, &["--create", "--no-notify"]).await)
    }

    fn forget_progress(&self) {
        std::fs::remove_file(self.folder.join("export.imported")).unwrap();
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

fn sessions(report: &Value) -> &[Value] {
    report["sessions"].as_array().unwrap()
}

fn results(report: &Value) -> Vec<String> {
    sessions(report).iter().map(|session| text(session, "/result").to_owned()).collect()
}

/// Returns the conversations of a phone, by their references: all of them begin at the same moment of the laptop's clock.
async fn conversations(laptop: &Laptop, phone: &str) -> Vec<Value> {
    let mut list = laptop.get(&format!("/conversations?number=%2B{phone}")).await.body["conversations"]
        .as_array()
        .unwrap()
        .clone();
    list.sort_by_key(|conversation| conversation["reference"].to_string());
    list
}

fn seconds_left(conversation: &Value) -> i64 {
    let [created, ends] =
        ["/created_at", "/expires_at"].map(|name| text(conversation, name).parse::<Timestamp>().unwrap());
    ends.as_second() - created.as_second()
}

const DRIVER: &str = "447700900009";

#[tokio::test]
async fn report_says_what_becomes_of_each_session_and_creates_nothing() {
    let laptop = Laptop::start().await;
    let export = Export::of("twilio-proxy", "twilio-proxy.json");
    let before = laptop.items().await;
    let report = export.report(&laptop, &[]).await;
    let expected =
        ["needs_numbers", "needs_numbers", "needs_numbers", "left_out", "left_out", "left_out", "left_out", "left_out"];
    assert_eq!(results(&report), expected, "{report:#}");
    let pool = json!([{"country": "GB", "needed": 2, "ready": 0, "missing": 2, "currency": "EUR",
        "monthly_cost": {"from": "2.50", "to": "2.50"}, "initial_price": report["pool"][0]["initial_price"]}]);
    assert_eq!(report["pool"], pool, "{report:#}");
    let numbers: Vec<_> = report["old_numbers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|old| (text(old, "/number"), &old["dialled_by"]))
        .collect();
    assert_eq!(numbers, [("+447700900501", &json!(3)), ("+447700900502", &json!(3)), ("+447700900503", &json!(0))]);
    let told = export.text(&laptop, &[]).await.unwrap();
    for line in [
        "it is closed",
        "message-only",
        "its end is over",
        "it has 1 participants",
        "not a phone number",
        "ends after 170 days",
        "maskline numbers order GB 2",
        "People dial other numbers",
        "Nothing was created and nobody was texted",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert!(told.contains("3 wait for more numbers") && !told.contains("no number is free"), "{told}");
    for private in ["7700900001", "7700900009", "Alice", "messenger"] {
        assert!(!told.contains(private), "{private}: {told}");
    }
    laptop.rent("GB", 2).await;
    let ready = export.report(&laptop, &[]).await;
    assert_eq!(results(&ready)[..3], ["would_be_created"; 3]);
    assert_eq!((&ready["pool"][0]["missing"], &ready["pool"][0]["monthly_cost"]), (&json!(0), &Value::Null));
    assert!(before.is_empty() && conversations(&laptop, DRIVER).await.is_empty());
    assert!(!export.folder.join("export.imported").exists());
}

#[tokio::test]
async fn twilio_sessions_become_conversations_once() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let export = Export::of("twilio-proxy", "twilio-proxy.json");
    let report = export.report(&laptop, &["--create", "--notify"]).await;
    assert_eq!(results(&report)[..4], ["created", "created", "created", "left_out"], "{report:#}");
    let [first, second] = conversations(&laptop, DRIVER).await.try_into().unwrap();
    assert_eq!([&first["reference"], &second["reference"]], ["ride-1", "ride-2"]);
    assert_eq!(sessions(&report)[0]["conversation"], first["id"]);
    assert!((7100..=7200).contains(&seconds_left(&first)), "{first}");
    // An hour of its two is over, and a use gives it two again.
    assert!((3500..=3600).contains(&seconds_left(&second)), "{second}");
    assert_eq!(second["extend_on_use"], 7200, "{second}");
    let endless = &conversations(&laptop, "447700900003").await[0];
    assert_eq!((&endless["reference"], seconds_left(endless)), (&sessions(&report)[2]["session"], 14_688_000));
    assert_eq!((laptop.words(DRIVER).await.len(), laptop.words("447700900001").await.len()), (2, 1));
    assert!(
        laptop.words(DRIVER).await.iter().all(|words| !words.contains("Alice")),
        "a friendly name is shown to nobody"
    );

    let again = export.report(&laptop, &["--create", "--notify"]).await;
    assert_eq!(results(&again)[..3], ["created_earlier"; 3]);
    assert_eq!(sessions(&again)[0]["conversation"], first["id"]);
    let progress = std::fs::read_to_string(export.folder.join("export.imported")).unwrap();
    assert_eq!(progress.lines().count(), 3);
    assert!(!progress.contains("7700"), "{progress}");
    // The file is lost, and an ended one does not come back.
    export.forget_progress();
    laptop.delete(&format!("/conversations/{}", text(&first, "/id"))).await;
    assert_eq!(results(&export.report(&laptop, &["--create", "--notify"]).await)[..3], ["created_earlier"; 3]);
    assert_eq!((conversations(&laptop, DRIVER).await.len(), laptop.words(DRIVER).await.len()), (2, 2));
    laptop.table().await;
}

#[tokio::test]
async fn chime_sessions_become_conversations() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let export = Export::of("chime", "chime.json");
    let report = export.report(&laptop, &["--create", "--no-notify"]).await;
    assert_eq!(results(&report), ["created", "created", "left_out", "left_out", "left_out"], "{report:#}");
    assert_eq!(report["services"], 1);
    let [second, first] = conversations(&laptop, DRIVER).await.try_into().unwrap();
    assert_eq!(first["reference"], "ride 1");
    assert!((7100..=7200).contains(&seconds_left(&first)), "{first}");
    // Another one has its name too, and it has no end.
    assert_eq!(
        (text(&second, "/reference"), seconds_left(&second)),
        ("223a4bc5-67d8-901e-2f3g-h4ghjk56789l", 14_688_000)
    );
    let reasons: Vec<_> = sessions(&report)[2..].iter().map(|session| text(session, "/reason")).collect();
    assert!(
        reasons[0] == "its end is over" && reasons[1].contains("texts only") && reasons[2] == "it is closed",
        "{reasons:?}"
    );
    assert!(laptop.words(DRIVER).await.is_empty());
}

#[tokio::test]
async fn rows_become_conversations_with_labels_and_languages() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let export = Export::of("csv", "rides.csv");
    assert_eq!(export.created(&laptop).await, ["created", "created", "created", "left_out", "left_out"]);
    let [first, second] = conversations(&laptop, DRIVER).await.try_into().unwrap();
    let people: Vec<_> = first["participants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (text(one, "/label"), text(one, "/language")))
        .collect();
    assert_eq!(people, [("your rider", "en-GB"), ("your driver", "de")]);
    assert_eq!((text(&second, "/reference"), seconds_left(&second)), ("ride-2", 86_400));
    assert_eq!(conversations(&laptop, "447700900003").await[0]["participants"][0]["label"], "Robin, your rider");
    assert!(conversations(&laptop, "447700900005").await.is_empty());
}

#[tokio::test]
async fn import_that_lacks_numbers_goes_on_when_they_are_there() {
    let laptop = Laptop::builder().numbers("GB", 1).start().await;
    let export = Export::of("twilio-proxy", "twilio-proxy.json");
    let results = export.created(&laptop).await;
    assert_eq!(results[..3], ["created", "needs_numbers", "created"]);
    assert_eq!(laptop.get("/numbers").await.body["countries"][0]["ready"], 1, "it rents nothing");
    laptop.rent("GB", 2).await;
    assert_eq!(export.created(&laptop).await[..3], ["created_earlier", "created", "created_earlier"]);
    assert_eq!(conversations(&laptop, DRIVER).await.len(), 2);
}

#[tokio::test]
async fn import_goes_on_after_a_lost_answer_and_creates_none_twice() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let export = Export::of("twilio-proxy", "twilio-proxy.json");
    // What a process leaves that was killed after a creation and before it could remember it.
    let whole = export.created(&laptop).await;
    assert_eq!(whole[..3], ["created"; 3]);
    let file = export.folder.join("export.imported");
    let first_line = std::fs::read_to_string(&file).unwrap().lines().next().unwrap().to_owned();
    std::fs::write(&file, format!("{first_line}\n{{\"session\":\"KC0000")).unwrap();
    assert_eq!(export.created(&laptop).await[..3], ["created_earlier"; 3]);
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 3);
    assert_eq!(conversations(&laptop, DRIVER).await.len(), 2);
}

#[tokio::test]
async fn session_that_another_import_has_just_created_is_left_to_it() {
    let laptop = Laptop::builder().numbers("GB", 3).start().await;
    let export = Export::of("twilio-proxy", "twilio-proxy.json");
    // The other one has sent another rest of its time, and under a reference that the list does not show for this session.
    let session = text(&sessions(&export.report(&laptop, &[]).await)[0], "/session").to_owned();
    let participants = json!([{"number": "+447700900001"}, {"number": format!("+{DRIVER}")}]);
    let key = format!("import-twilio-proxy-{session}");
    let body = json!({"participants": participants, "notify": false, "expires_in": 600});
    assert_eq!(laptop.post_with_key(&key, &body).await.status, 201);
    assert_eq!(export.created(&laptop).await[..3], ["created_earlier", "created", "created"]);
    assert_eq!(conversations(&laptop, "447700900001").await.len(), 1);
}

#[tokio::test]
async fn two_imports_at_once_create_each_conversation_once() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    let export = Export::of("twilio-proxy", "twilio-proxy.json");
    let other = export.folder.join("other.imported");
    let other = ["--create", "--no-notify", "--progress", other.to_str().unwrap()];
    let (one, two) = tokio::join!(export.created(&laptop), export.report(&laptop, &other));
    for (one, two) in one.iter().zip(results(&two)).take(3) {
        assert!(
            ["created", "created_earlier"].contains(&one.as_str())
                && ["created", "created_earlier"].contains(&two.as_str()),
            "{one} {two}"
        );
    }
    assert_eq!(
        (conversations(&laptop, DRIVER).await.len(), conversations(&laptop, "447700900003").await.len()),
        (2, 1)
    );
    laptop.table().await;
}

#[tokio::test]
async fn import_gives_up_when_the_api_fails_and_leaves_the_rest() {
    let laptop = Laptop::builder().numbers("GB", 5).start().await;
    let rows: String = (1..=5).map(|nth| format!("+44770090000{nth},+447700900009,ride-{nth}\n")).collect();
    let export = Export::with("csv", &format!("first,second,reference\n{rows}"));
    let down = json!({"operation": "TransactWriteItems", "fault": {"kind": "error", "code": "AccessDeniedException"}, "times": 1000});
    assert_eq!(laptop.vonage(Method::POST, "/simulator/faults", down).await.status, 204);
    let report = export.report(&laptop, &["--create", "--no-notify"]).await;
    assert_eq!(results(&report), ["later"; 5], "{report:#}");
    assert_eq!(text(&sessions(&report)[4], "/reason"), "the requests before it failed");
    laptop.no_more_faults().await;
    assert_eq!(export.created(&laptop).await, ["created"; 5]);
    assert_eq!(conversations(&laptop, DRIVER).await.len(), 5);
}

#[tokio::test]
async fn refusal_is_told_and_left_for_the_next_run() {
    let laptop = Laptop::builder().env(&[("CALLABLE_COUNTRIES", "GB")]).numbers("GB", 2).start().await;
    let export = Export::with(
        "csv",
        "first,second,reference\n+14155550123,+447700900009,ride-1\n+447700900001,+447700900009,ride-2\n",
    );
    for options in [&[][..], &["--create", "--no-notify"]] {
        let report = export.report(&laptop, options).await;
        let refused = &sessions(&report)[0];
        assert_eq!(text(refused, "/result"), "refused", "{report:#}");
        assert!(text(refused, "/reason").contains("number-not-callable"), "{refused}");
    }
    assert_eq!(conversations(&laptop, DRIVER).await.len(), 1);
}

/// Runs the program in a thread, because it asks a stack of this process.
async fn maskline(arguments: Vec<String>) -> Output {
    let run = move || Command::new(env!("CARGO_BIN_EXE_maskline")).args(arguments).env_clear().output().unwrap();
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_code_says_whether_something_is_left() {
    let laptop = Laptop::builder().numbers("GB", 1).start().await;
    let export = Export::of("twilio-proxy", "twilio-proxy.json");
    let run = async |options: &[&str]| {
        let arguments = export.arguments(&laptop, options).into_iter().skip(1).map(str::to_owned).collect();
        let output = maskline(arguments).await;
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(run(&[]).await.0, Some(0));
    let (code, told, errors) = run(&["--create", "--no-notify"]).await;
    assert!(
        code == Some(1) && told.contains("1 wait for more numbers") && errors.contains("something is left to do"),
        "{told}{errors}"
    );
    laptop.rent("GB", 2).await;
    let (code, told, errors) = run(&["--create", "--no-notify"]).await;
    assert!(code == Some(0) && told.contains("2 created by an earlier import") && errors.is_empty(), "{told}{errors}");
    for wrong in [&["--create"][..], &["--notify"], &["--create", "--notify", "--no-notify"], &["--country", "UK"]] {
        assert_eq!(run(wrong).await.0, Some(2), "{wrong:?}");
    }
}

#[tokio::test]
async fn file_that_is_no_export_is_refused_without_its_contents() {
    let laptop = Laptop::start().await;
    for (source, contents, expected) in [
        ("twilio-proxy", "first,second\n+447700900001,", "line 1 is no JSON"),
        ("twilio-proxy", r#"{"participants": []}"#, "neither a Session (KC…) nor a PhoneNumber"),
        ("chime", r#"{"sid": "+447700900001"}"#, "neither a ProxySession nor a PhoneNumber"),
        ("csv", "first,phone\n", "there is no column phone"),
    ] {
        let export = Export::with(source, contents);
        let refused = export.text(&laptop, &[]).await.unwrap_err();
        assert!(refused.contains(expected) && !refused.contains("7700"), "{refused}");
    }
}
