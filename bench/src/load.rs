//! The laptop stack under load: throughput, latency and errors of answers and creations.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use jiff::Timestamp;
use local::load::Latencies;
use local::simulator::sign_webhook;
use local::stack::account;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::BenchError;
use crate::process::Service;
use crate::programs::cargo_build;

/// Number of concurrent connections.
const CONNECTIONS: usize = 64;

/// The result of a load.
#[derive(Debug, Deserialize, Serialize)]
pub struct Throughput {
    /// The kind of request.
    pub what: &'static str,
    /// Number of requests.
    pub requests: usize,
    /// Number of requests with a wrong answer or none.
    pub errors: usize,
    /// Answers a second, with the client on the same machine.
    pub per_second: f64,
    /// Answers a second of the stack's CPU time.
    pub per_core_second: f64,
    /// Median latency in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile of the latency in milliseconds.
    pub p99_ms: f64,
}

/// Measures this many answers and creations of `stack`, or of one that it builds for release.
pub async fn run(stack: Option<PathBuf>, answers: usize, creations: usize) -> Result<Vec<Throughput>, BenchError> {
    let file = match stack {
        Some(file) => file,
        None => cargo_build("local")?,
    };
    let arguments = ["--port", "0", "--dynamodb-port", "0", "--vonage-port", "0"];
    let (service, gateway) = Service::start(&file, &arguments, "Maskline ").await?;
    let http = local::loopback_client();
    let post = async |path: &str, body: Value| {
        let answer = http.post(format!("{gateway}{path}")).json(&body).send().await?.error_for_status()?;
        answer.json::<Value>().await
    };
    post("/numbers", json!({"country": "GB", "count": 2})).await?;
    let pair = json!({"participants": [{"number": "+447700900001"}, {"number": "+447700900002"}], "notify": false});
    let conversation = post("/conversations", pair).await?;

    let dials = conversation["participants"][0]["dials"].as_str().unwrap_or_default().trim_start_matches('+');
    let call = json!({"from": "447700900001", "to": dials, "uuid": "aaaa",
                      "conversation_uuid": "CON-aaaaaaaa-bbbb-cccc-dddd-0123456789ab"});
    let call = call.to_string();
    let body = Some(call.as_bytes());
    let (secret, key, application) = (account::SIGNATURE_SECRET, account::API_KEY, account::APPLICATION_ID);
    let token =
        sign_webhook(secret, key, application, body, Timestamp::now()).map_err(local::gateway::SignError::from)?;
    let ask = http.post(format!("{gateway}/webhooks/answer")).bearer_auth(token);
    let ask = ask.header("content-type", "application/json").body(call);
    let answered = load(&service, "answer", answers, move |_| ask.try_clone(), "\"connect\"").await?;

    let url = format!("{gateway}/conversations");
    let creation = move |n: usize| {
        let people = [format!("+447911{n:06}"), format!("+447912{n:06}")].map(|number| json!({"number": number}));
        Some(http.post(&url).json(&json!({"participants": people, "notify": false})))
    };
    let created = load(&service, "creation", creations, creation, "\"active\"").await?;
    service.stop().await?;
    Ok(vec![answered, created])
}

/// Sends the requests over all connections, and searches each answer for `expected`.
async fn load(
    service: &Service,
    what: &'static str,
    requests: usize,
    request: impl Fn(usize) -> Option<reqwest::RequestBuilder> + Send + Sync + 'static,
    expected: &'static str,
) -> Result<Throughput, BenchError> {
    let (request, next) = (Arc::new(request), Arc::new(AtomicUsize::new(0)));
    let (started, cpu) = (Instant::now(), service.cpu_time()?);
    let mut askers = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (request, next) = (request.clone(), next.clone());
        askers.spawn(async move {
            let mut right = Latencies::default();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= requests {
                    return right;
                }
                let asked = Instant::now();
                let answer = async { request(n)?.send().await.ok()?.text().await.ok() };
                if answer.await.is_some_and(|answer| answer.contains(expected)) {
                    right.record(asked.elapsed());
                }
            }
        });
    }
    let mut right = Latencies::default();
    askers.join_all().await.iter().for_each(|of_one| right.add(of_one));
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), (service.cpu_time()? - cpu).as_secs_f64());
    let percentile = |percent| right.percentile_ms(percent).unwrap_or(f64::NAN);
    Ok(Throughput {
        what,
        requests,
        errors: requests - right.count() as usize,
        per_second: right.count() as f64 / seconds,
        per_core_second: right.count() as f64 / cpu,
        p50_ms: percentile(50.0),
        p99_ms: percentile(99.0),
    })
}
