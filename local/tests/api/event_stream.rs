//! `GET /events` of the laptop, the pipes behind it, and `maskline events`.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use local::decision_backend::{DecisionBackend, Reply};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use testkit::{Laptop, RIDER, conversation, text};

use crate::change_events::{Stream, events};

/// Server-sent events as they arrive.
pub struct Arriving {
    response: Response,
    text: String,
}

impl Arriving {
    /// Opens another stream of the laptop.
    pub async fn open_at(laptop: &Laptop, path: &str) -> Self {
        Self::of(laptop.http.get(format!("{}{path}", laptop.stack.gateway_url))).await
    }

    async fn open(laptop: &Laptop, query: &str, last: Option<u64>) -> Self {
        let request = laptop.http.get(format!("{}/events{query}", laptop.stack.gateway_url));
        Self::of(last.into_iter().fold(request, |request, last| request.header("Last-Event-ID", last))).await
    }

    async fn of(request: RequestBuilder) -> Self {
        let response = request.timeout(Duration::from_secs(60)).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// Returns the position and the JSON of the next event; none at the end.
    pub async fn next(&mut self) -> Option<(u64, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                let read = field("id:")
                    .map(|id| (id.parse().unwrap(), serde_json::from_str(field("data:").unwrap()).unwrap()));
                self.text = rest.to_owned();
                if read.is_some() {
                    return read;
                }
                continue;
            }
            let chunk = self.response.chunk().await.ok().flatten()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn take(&mut self, count: usize) -> Vec<(u64, Value)> {
        let mut taken = Vec::new();
        while taken.len() < count {
            taken.push(self.next().await.unwrap());
        }
        taken
    }
}

#[tokio::test]
async fn laptop_has_the_events_that_the_tables_stream_makes() {
    let laptop = Laptop::builder().pipes().numbers("GB", 3).start().await;
    let stream = Stream::open(&laptop).await;
    let mut order = conversation();
    (order["reference"], order["max_calls"]) = (json!("ride-42"), json!(1));
    let created = laptop.post("/conversations", &order).await.body;
    let path = format!("/conversations/{}", text(&created, "/id"));
    laptop.call(json!({"from": RIDER, "to": created["participants"][0]["dials"]})).await;
    laptop.patch(&path, &json!({"blocked": "a", "expires_in": 7200})).await;
    laptop.text(json!({"from": RIDER, "to": created["participants"][0]["dials"], "text": "on my way"})).await;
    laptop.delete(&format!("{path}?erase=true")).await;
    let (conversations, legs) = events(&stream).await;
    assert!(conversations.len() > 4 && legs.len() == 2, "{conversations:?} {legs:?}");

    let mut arriving = Arriving::open(&laptop, "?after=0", None).await;
    let (mut seen, mut last) = ([Vec::new(), Vec::new()], 0);
    while seen[0].len() < conversations.len() || seen[1].len() < legs.len() {
        let (position, event) = arriving.next().await.unwrap();
        assert_eq!(position, last + 1);
        last = position;
        assert!(event["source"] == "maskline" && event["id"].is_string() && event["time"].is_string(), "{event}");
        match text(&event, "/detail-type") {
            "Conversation changed" => seen[0].push(event["detail"].clone()),
            "Leg finished" => seen[1].push(event["detail"].clone()),
            _ => {}
        }
    }
    let without_sequence = |mut events: Vec<Value>| {
        events.iter_mut().for_each(|event| event["sequence"] = Value::Null);
        events
    };
    let grows =
        |events: &[Value]| events.iter().map(|event| text(event, "/sequence").parse::<u64>().unwrap()).is_sorted();
    assert!(grows(&seen[0]) && grows(&seen[1]), "{seen:?}");
    let [of_conversations, of_legs] = seen.map(without_sequence);
    assert_eq!(of_conversations, without_sequence(conversations));
    assert_eq!(of_legs, without_sequence(legs));
}

#[tokio::test]
async fn reader_that_comes_back_misses_nothing_until_the_stop() {
    let laptop = Laptop::builder().pipes().numbers("GB", 2).start().await;
    let created = laptop.create().await;
    let mut first = Arriving::open(&laptop, "?after=0", None).await;
    let before = first.take(2).await;
    drop(first);
    let mut new = Arriving::open(&laptop, "", None).await;
    laptop.delete(&format!("/conversations/{}", text(&created, "/id"))).await;
    let mut again = Arriving::open(&laptop, "", Some(before[0].0)).await;
    let (repeated, end) = (again.next().await.unwrap(), again.next().await.unwrap());
    assert_eq!((&repeated, &end), (&before[1], &new.next().await.unwrap()));
    assert_ne!(end.1["detail"]["ended_at"], "");
    let stopped = laptop.stack.stop();
    let ((), next) = tokio::join!(stopped, new.next());
    assert_eq!(next, None);
}

#[tokio::test]
async fn without_pipes_the_bus_has_only_what_functions_put() {
    let laptop = Laptop::builder().numbers("GB", 2).start().await;
    laptop.create().await;
    assert_eq!(laptop.stack.bus.events(), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn command_prints_each_event_until_the_stack_stops() {
    let laptop = Laptop::builder().pipes().numbers("GB", 2).start().await;
    let url = laptop.stack.gateway_url.clone();
    let tail = |options: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maskline"));
        command.args(["events", "tail", "--after", "0", "--url", &url]).args(options).env_clear();
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let created = laptop.create().await;
    laptop.call(json!({"from": RIDER, "to": created["participants"][0]["dials"], "talk_seconds": 42})).await;
    let mut people = tail(&[]);
    let mut lines = BufReader::new(people.stdout.take().unwrap()).lines();
    let first = tokio::task::block_in_place(|| lines.next().unwrap().unwrap());
    assert!(first.contains("Conversation changed  ") && first.contains("change=INSERT"), "{first}");
    let mut legs = tail(&["--type", "Leg finished", "--json"]);
    let mut read = BufReader::new(legs.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let line = tokio::task::block_in_place(|| read.next().unwrap().unwrap());
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["detail-type"], "Leg finished");
    }
    laptop.stack.stop().await;
    for mut running in [people, legs] {
        assert!(tokio::task::block_in_place(|| running.wait().unwrap()).success());
    }
}

/// Runs the program with these arguments and an empty environment.
fn maskline(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_maskline")).args(arguments).env_clear().output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_tail_tells_each_phones_part_of_a_call() {
    let laptop = Laptop::builder().pipes().numbers("GB", 2).start().await;
    let url = laptop.stack.gateway_url.clone();
    let created = laptop.create().await;
    laptop.call(json!({"from": RIDER, "to": created["participants"][0]["dials"], "talk_seconds": 42})).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_maskline"));
    command.args(["calls", "tail", "--after", "0", "--url", &url]).env_clear().stdout(Stdio::piped());
    let mut running = command.spawn().unwrap();
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
    let mut told = tokio::task::block_in_place(|| [lines.next().unwrap().unwrap(), lines.next().unwrap().unwrap()]);
    told.sort_unstable_by_key(|line| line.contains("B was called"));
    assert!(told[0].contains("A called") && told[1].contains("B was called"), "{told:?}");
    assert!(told[1].contains("completed  42 s") && told[1].contains(text(&created, "/id")), "{told:?}");
    laptop.stack.stop().await;
    assert!(tokio::task::block_in_place(|| running.wait().unwrap()).success());
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_command_says_what_is_delivered_again() {
    let backend = DecisionBackend::start(Reply::Raw(200, String::new())).await.unwrap();
    let laptop = Laptop::builder().machine_clock().numbers("GB", 2).env(&[("WEBHOOK_URL", &backend.url)]).start().await;
    let created = laptop.create_with(json!({})).await;
    laptop.text(json!({"from": RIDER, "to": created["participants"][0]["dials"], "text": "on my way"})).await;
    laptop.stack.run_deliveries().await.unwrap();
    let url = laptop.stack.gateway_url.clone();
    for (which, times) in [(["--conversation", text(&created, "/id")], 2), (["--from", "2h"], 3)] {
        let output =
            tokio::task::block_in_place(|| maskline(&[&["events", "replay", "--url", &url], &which[..]].concat()));
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && said.starts_with("The events") && said.contains("delivered again"),
            "{said}"
        );
        laptop.stack.run_deliveries().await.unwrap();
        assert_eq!(backend.received().len(), times);
    }
}

#[test]
fn demo_ends_quietly_when_nobody_reads_it() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maskline"));
    let mut running = command.arg("demo").env_clear().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(running.stdout.take());
    let output = running.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(0), String::new()));
}

/// A program that answers as `aws` does, for two stacks: `calls` keeps a log of its events, and `silent` does not.
#[cfg(unix)]
fn aws(folder: &std::path::Path) -> String {
    use std::os::unix::fs::PermissionsExt;
    let script = r#"#!/bin/sh
case "$*" in
  "cloudformation describe-stacks --stack-name calls "*"'EventLogName'"*" --profile production") echo /aws/events/calls ;;
  "cloudformation describe-stacks --stack-name silent "*" --profile production") echo None ;;
  "logs tail /aws/events/calls --follow --format short --since 2026-11-25T20:00:00Z --profile production") cat "${0%/*}/events" ;;
  *) echo "Unable to do $*" >&2; exit 255 ;;
esac
"#;
    let program = folder.join("aws");
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    program.to_str().unwrap().to_owned()
}

#[cfg(unix)]
#[test]
fn events_and_calls_of_a_deployment_are_read_from_its_log() {
    let folder = std::env::temp_dir().join(format!("maskline-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&folder).unwrap();
    let leg =
        json!({"conversation": "01M8", "side": "B", "direction": "outbound", "ended": "completed", "duration": "42"});
    let event = |kind: &str, time: &str, detail: &Value| {
        json!({"version": "0", "detail-type": kind, "source": "maskline", "time": time, "detail": detail}).to_string()
    };
    let changed = event("Conversation changed", "2026-11-25T20:00:01Z", &json!({"change": "INSERT"}));
    let (early, finished) =
        (event("Leg finished", "2026-11-25T19:59:59Z", &leg), event("Leg finished", "2026-11-25T20:00:43Z", &leg));
    let log = [early, changed, "no event".to_owned(), finished.clone()];
    let log: String = log.iter().map(|line| format!("2026-11-25T20:00:44 {line}\n")).collect();
    std::fs::write(folder.join("events"), log).unwrap();
    let program = aws(&folder);
    let of_stack = |command: &[&str], stack: &str| {
        let output = maskline(&[command, &["--profile", "production", "--stack", stack, "--aws", &program]].concat());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let since = ["--since", "2026-11-25T20:00:00Z"];
    let with = |command: &[&'static str]| [command, &since[..]].concat();
    let (is_good, told, _) = of_stack(&with(&["events", "tail"]), "calls");
    assert_eq!((is_good, told.lines().count()), (true, 2), "{told}");
    assert!(told.starts_with("2026-11-25T20:00:01Z  Conversation changed  change=INSERT\n"), "{told}");
    let (_, told, _) = of_stack(&with(&["events", "tail", "--json", "--type", "Leg finished"]), "calls");
    assert_eq!(told, format!("{finished}\n"));
    let (_, told, _) = of_stack(&with(&["calls", "tail", "--conversation", "01M8"]), "calls");
    assert_eq!(told, "2026-11-25T20:00:43Z  01M8  B was called  completed  42 s\n");

    for (command, stack, reason) in [
        (
            with(&["events", "tail"]),
            "silent",
            "the stack silent keeps no log of its events; deploy it with the parameter EventLogDays",
        ),
        (vec!["calls", "tail", "--after", "0"], "calls", "give --since in place of --after"),
        (vec!["events", "tail", "--since", "2026-11-25T21:00:00Z"], "calls", "Unable to do logs tail"),
        (vec!["events", "tail", "--since", "2026-11-25T21:00:00Z"], "calls", "aws has ended with exit status: 255"),
        (vec!["events", "tail"], "other", "the stack cannot be read: Unable to do cloudformation"),
    ] {
        let (is_good, _, said) = of_stack(&command, stack);
        assert!(!is_good && said.contains(reason), "{command:?}: {said}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn events_since_a_time_are_those_of_the_laptop_too() {
    let laptop = Laptop::builder().machine_clock().pipes().numbers("GB", 2).start().await;
    laptop.create().await;
    laptop.advance(3600);
    let later = laptop.clock_now().to_string();
    laptop.create_with(json!({"reference": "later"})).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_maskline"));
    command.args(["events", "tail", "--since", &later, "--url", &laptop.stack.gateway_url]).env_clear();
    let mut running = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
    let first = tokio::task::block_in_place(|| lines.next().unwrap().unwrap());
    assert!(first.contains("reference=later"), "{first}");
    laptop.stack.stop().await;
    assert!(tokio::task::block_in_place(|| running.wait().unwrap()).success());
}
