//! A stand-in for Lambda's Invoke API, for the functions that others invoke.
//!
//! Source: AWS Lambda API Reference, "Invoke".

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::post;
use serde_json::Value;
use shared::edge::function::{HttpFunction, ScheduledFunction};
use shared::xray::HEADER as TRACE_HEADER;
use tokio::sync::watch;

use super::{CallControl, NumbersSchedule, RecordingsSchedule, Schedule, message};

/// The functions that run in the background, started by [`router`].
#[derive(Clone)]
pub struct BackgroundRuns {
    running: watch::Sender<usize>,
    stopped: watch::Receiver<bool>,
}

impl BackgroundRuns {
    /// Runs that are dropped when `stopped` says so.
    pub fn new(stopped: watch::Receiver<bool>) -> Self {
        Self { running: watch::Sender::new(0), stopped }
    }

    /// Waits until no function runs in the background.
    pub async fn finished(&self) {
        // The sender is part of `self`, so this cannot fail.
        let _ = self.running.subscribe().wait_for(|running| *running == 0).await;
    }

    fn spawn(&self, run: impl Future<Output = ()> + Send + 'static) {
        /// Counts a run, also one that panics.
        struct Running(watch::Sender<usize>);
        impl Drop for Running {
            fn drop(&mut self) {
                self.0.send_modify(|running| *running -= 1);
            }
        }
        self.running.send_modify(|running| *running += 1);
        let running = Running(self.running.clone());
        let mut stopped = self.stopped.clone();
        tokio::spawn(async move {
            let _running = running;
            tokio::select! {
                () = run => {}
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
        });
    }
}

#[derive(Clone)]
struct Invocations {
    numbers: Arc<NumbersSchedule>,
    control: Arc<CallControl>,
    recordings: Arc<RecordingsSchedule>,
    runs: BackgroundRuns,
}

/// The Invoke API: answers 202 and gives the event to the function of its name in the background. Lambda delivers the event of a
/// failed invocation again after minutes; this one logs the failure.
pub fn router(
    numbers: Arc<NumbersSchedule>,
    control: Arc<CallControl>,
    recordings: Arc<RecordingsSchedule>,
    runs: BackgroundRuns,
) -> Router {
    let path = "/2015-03-31/functions/{name}/invocations";
    Router::new().route(path, post(invoke).with_state(Invocations { numbers, control, recordings, runs }))
}

async fn invoke(
    State(Invocations { numbers, control, recordings, runs }): State<Invocations>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<axum::body::Body> {
    const INVOKED: [&str; 3] = [
        provision_numbers::ProvisionNumbers::NAME,
        control_call::ControlCall::NAME,
        keep_recordings::KeepRecordings::NAME,
    ];
    if !INVOKED.contains(&&*name) {
        return message(StatusCode::NOT_FOUND, "Function not found");
    }
    let is_signed = headers.get("authorization").is_some_and(|value| value.as_bytes().starts_with(b"AWS4-HMAC-SHA256"));
    if !is_signed {
        return message(StatusCode::FORBIDDEN, "Missing Authentication Token");
    }
    let is_asynchronous = headers.get("x-amz-invocation-type").is_some_and(|kind| kind == "Event");
    let event = serde_json::from_slice::<Value>(&body);
    let (true, Ok(event)) = (is_asynchronous, event) else {
        return message(StatusCode::BAD_REQUEST, "An event in JSON of the invocation type Event is expected");
    };
    let trace = headers.get(TRACE_HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned);
    match &*name {
        control_call::ControlCall::NAME => runs.spawn(run(control, event, trace)),
        keep_recordings::KeepRecordings::NAME => runs.spawn(run(recordings, event, trace)),
        _ => runs.spawn(run(numbers, event, trace)),
    }
    message(StatusCode::ACCEPTED, "Accepted")
}

async fn run<F: ScheduledFunction>(function: Arc<Schedule<F>>, event: Value, trace: Option<String>) {
    if let Err(error) = function.run_in_trace(&event, trace.as_deref()).await {
        tracing::error!(cause = %error, "asynchronous invocation failed");
    }
}
