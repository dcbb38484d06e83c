//! `maskline load`.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

use std::process::{Command, Output};

use axum::Router;
use axum::routing::any;
use clap::Parser;
use local::load::{self, LoadError, Report};
use local::settings::Settings;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Laptop, listen, text};
use tokio::sync::watch;

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    options: load::Arguments,
}

fn options(arguments: &[&str]) -> Result<load::Arguments, clap::Error> {
    Ok(CommandLine::try_parse_from(["load"].iter().chain(arguments))?.options)
}

async fn run(arguments: &[&str]) -> Result<Report, LoadError> {
    let (_count, interrupts) = watch::channel(0);
    load::run(&options(arguments).unwrap(), Settings::default(), interrupts).await
}

async fn on(laptop: &Laptop, arguments: &[&str]) -> Result<Report, LoadError> {
    run(&[arguments, &["--url", &laptop.stack.gateway_url]].concat()).await
}

const SMALL: [&str; 4] = ["--conversations", "12", "--calls-per-second", "400"];

/// Runs the program.
fn maskline(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_maskline")).args(arguments).env_clear().output().unwrap()
}

#[tokio::test]
async fn load_creates_calls_and_ends_every_conversation() {
    let laptop = Laptop::builder().console().start().await;
    let report = on(&laptop, &[&SMALL[..], &["--per-driver", "4"]].concat()).await.unwrap();
    assert!(report.is_good() && !report.ended_early, "{report}");
    let counts = &report.counts;
    assert_eq!((counts.created, counts.connected, counts.ended, counts.refused), (12, 24, 12, 0));
    let latency = report.latency;
    assert_eq!([latency.creations, latency.answers, latency.ends].map(|of| of.count), [12, 24, 12]);
    let [p50, p99] = [latency.answers.p50_ms, latency.answers.p99_ms].map(Option::unwrap);
    assert!(0.0 < p50 && p50 <= p99, "{report}");
    // A driver has four conversations, and each of them a number of its own until the quarantine is over.
    let pool = report.pool.unwrap();
    assert_eq!((pool.ready, pool.in_use), (4, 4));
    assert!(report.samples.last().unwrap().is_over);

    let listed = laptop.get("/numbers?country=GB").await.body;
    assert_eq!(listed["countries"][0]["ready"], 4);
    laptop.table().await;
}

#[tokio::test]
async fn pool_that_is_too_small_refuses_and_nothing_fails() {
    let laptop = Laptop::builder().console().start().await;
    let arguments = [&SMALL[..], &["--per-driver", "4", "--numbers", "1"]].concat();
    let report = on(&laptop, &arguments).await.unwrap();
    assert!(report.is_good(), "{report}");
    // Three drivers, and one number for each of them.
    assert_eq!((report.counts.created, report.counts.refused), (3, 9), "{report}");
    assert!(report.to_string().contains("9 were refused because no number was free"), "{report}");
}

#[tokio::test]
async fn second_load_on_the_same_stack_is_a_load_of_other_people() {
    let laptop = Laptop::builder().console().start().await;
    let arguments = [&SMALL[..], &["--per-driver", "2"]].concat();
    for _ in 0..2 {
        let report = on(&laptop, &arguments).await.unwrap();
        assert_eq!((report.counts.created, report.counts.refused), (12, 0), "{report}");
        assert_eq!(report.pool.unwrap().in_use, 2);
    }
}

#[tokio::test]
async fn load_needs_no_permission_to_see_real_numbers() {
    let laptop = Laptop::builder().console().env(&[("REVEAL_NUMBERS", "permitted")]).start().await;
    let report = on(&laptop, &SMALL).await.unwrap();
    assert!(report.is_good() && report.counts.connected == 24, "{report}");
}

#[tokio::test]
async fn failures_are_counted_by_their_reasons() {
    let laptop = Laptop::builder().console().start().await;
    // Vonage asks twice, and then the fallback.
    let lost = json!({"webhook": "answer_url", "times": 2, "fault": {"kind": "lose"}});
    assert_eq!(laptop.vonage(Method::POST, "/simulator/faults", lost).await.status, 204);
    let report = on(&laptop, &["--conversations", "1", "--calls-per-second", "400"]).await.unwrap();
    assert!(!report.is_good(), "{report}");
    assert!(report.to_string().contains("Failed 1 times: the answer webhook gave no answer."), "{report}");
    let counts = &report.counts;
    assert_eq!((counts.created, counts.connected, counts.ended, report.latency.answers.count), (1, 1, 1, 1));
}

#[tokio::test]
async fn interrupt_ends_what_is_there_and_begins_nothing() {
    let laptop = Laptop::builder().console().start().await;
    let (count, interrupts) = watch::channel(0);
    // A conversation a minute: the first one only.
    let url = laptop.stack.gateway_url.clone();
    let slow =
        options(&["--conversations", "100", "--calls-per-second", "0.1", "--numbers", "2", "--url", &url]).unwrap();
    let load = tokio::spawn(async move { load::run(&slow, Settings::default(), interrupts).await });
    while laptop.get("/numbers?country=GB").await.body["countries"][0]["high_water"] != 1 {
        tokio::task::yield_now().await;
    }
    // The second call is ten seconds away, and the next conversation twenty.
    count.send_replace(1);
    let report = load.await.unwrap().unwrap();
    let counts = &report.counts;
    assert_eq!((report.ended_early, counts.created, counts.ended, counts.failed.len()), (true, 1, 1, 0), "{report}");
    assert!(report.to_string().contains("ended early"), "{report}");
}

#[tokio::test]
async fn what_is_no_laptop_stack_gets_one_question_and_nothing_else() {
    let (listener, url) = listen().await;
    let (asked, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let answer = move |request: axum::extract::Request| {
        asked.send(format!("{} {}", request.method(), request.uri())).unwrap();
        // As a deployment would: API Gateway has no such path.
        async { (axum::http::StatusCode::NOT_FOUND, r#"{"message":"Not Found"}"#) }
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(answer))).await });
    let refused = run(&["--url", &url]).await.unwrap_err();
    assert!(
        matches!(refused, LoadError::NotALaptop(_)) && refused.to_string().contains("nothing was begun"),
        "{refused}"
    );
    assert_eq!(requests.recv().await.unwrap(), "GET /console/simulator/account");
    assert!(requests.try_recv().is_err(), "there was another request");

    for deployment in ["https://abc123.execute-api.eu-west-2.amazonaws.com", "calls.company.example"] {
        assert!(matches!(run(&["--url", deployment]).await, Err(LoadError::NotALaptop(_))), "{deployment}");
    }
    // A stack of a test, without the console.
    let laptop = Laptop::start().await;
    assert!(matches!(on(&laptop, &SMALL).await, Err(LoadError::NotALaptop(_))));
    assert_eq!(laptop.get("/numbers").await.body["countries"], json!([]));
}

#[test]
fn wrong_options_are_refused() {
    for wrong in [
        &["--own", "--url", "http://127.0.0.1:3000"][..],
        &["--conversations", "0"],
        &["--conversations", "1000001"],
        &["--calls-per-second", "0"],
        &["--calls-per-second", "NaN"],
        &["--per-driver", "0"],
        &["--numbers", "0"],
        &["--profile", "production"],
        &["--stack", "maskline"],
    ] {
        assert_eq!(options(wrong).unwrap_err().exit_code(), 2, "{wrong:?}");
    }
    assert_eq!(maskline(&["load", "--own", "--url", "http://127.0.0.1:3000"]).status.code(), Some(2));
}

#[test]
fn program_loads_a_stack_of_its_own_and_writes_a_page() {
    let page = std::env::temp_dir().join(format!("maskline-load-{}.html", uuid::Uuid::new_v4()));
    let file = page.to_str().unwrap();
    let done = maskline(&[&["load", "--own", "--json", "--plot", file], &SMALL[..], &["--per-driver", "2"]].concat());
    let errors = String::from_utf8(done.stderr).unwrap();
    assert_eq!((done.status.code(), errors.as_str()), (Some(0), ""), "no progress but on a terminal");
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&report["created"], &report["own_stack"], &report["failed"]), (&json!(12), &json!(true), &json!({})));
    assert!(text(&report, "/url").starts_with("http://127.0.0.1:"));
    let html = std::fs::read_to_string(&page).unwrap();
    std::fs::remove_file(&page).unwrap();
    assert_eq!(html.matches("role=\"img\"").count(), 4, "{html}");
    for elsewhere in ["src=", "href=", "url(", "@import", "<script"] {
        assert!(!html.contains(elsewhere), "the page needs {elsewhere}");
    }
    assert!(html.contains("12 of 12 conversations") && !html.contains("NaN"), "{html}");

    let nowhere = page.join("no/such/folder.html");
    let refused = maskline(&["load", "--own", "--plot", nowhere.to_str().unwrap()]);
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("no/such/folder.html"));
}
