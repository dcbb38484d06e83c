//! What every function is, and how Lambda runs it.

use std::convert::Infallible;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use lambda_http::request::LambdaRequest;
use lambda_http::{
    Adapter, Body, Context, Error, LambdaEvent, Request, RequestExt, Response, Service, lambda_runtime, service_fn,
};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::clock::{self, SharedClock};
use crate::config::{ConfigError, Environment};
use crate::http::Problem;
use crate::telemetry;

/// A function behind the HTTP API.
pub trait HttpFunction: Sized + Send + Sync + 'static {
    /// Its name, as in the template and in logs.
    const NAME: &'static str;

    /// Reads its configuration and connects what it needs. Sends nothing.
    fn start(env: &Environment, clock: SharedClock) -> impl Future<Output = Result<Self, ConfigError>> + Send;

    /// Decodes a request, does the one thing, and encodes the answer.
    fn handle(&self, request: Request) -> impl Future<Output = Result<Response<Body>, Problem>> + Send;

    /// Answers a request whatever happens, and logs what did.
    fn answer(&self, request: Request) -> impl Future<Output = Response<Body>> + Send {
        async move {
            let started = Instant::now();
            let method = request.method().clone();
            let result = self.handle(request).await;
            let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            if let Err(problem) = &result {
                let cause = problem.chain();
                if problem.is_failure() {
                    tracing::error!(function = Self::NAME, %method, cause, "request failed");
                } else {
                    tracing::info!(function = Self::NAME, %method, cause, "request refused");
                }
            }
            let response = result.unwrap_or_else(Problem::into_response);
            tracing::info!(function = Self::NAME, %method, status = response.status().as_u16(), duration_ms, "answered");
            response
        }
    }
}

/// Starts a function and answers what Lambda gives it.
pub async fn run<F: HttpFunction>() -> Result<(), Error> {
    let function = start::<F>().await?;
    let function = &function;
    lambda_http::run(service_fn(move |request| async move { Ok::<_, Infallible>(function.answer(request).await) }))
        .await
}

async fn start<F: HttpFunction>() -> Result<F, Error> {
    telemetry::init(F::NAME);
    let function = F::start(&Environment::of_process(), clock::system()).await.inspect_err(|error| {
        tracing::error!(function = F::NAME, cause = %error, "the function cannot start");
    })?;
    Ok(function)
}

/// A function that a schedule starts too.
pub trait ScheduledFunction: HttpFunction {
    /// Does what is to be done from time to time, with nothing begun that could not end before `ends_at`, and tells what
    /// that was. Failures are in there too: the next time is the retry.
    fn tick(&self, ends_at: Option<Timestamp>) -> impl Future<Output = Value> + Send;
}

/// Starts a function and answers what Lambda gives it: requests, and EventBridge's ticks.
pub async fn run_scheduled<F: ScheduledFunction>() -> Result<(), Error> {
    let function = start::<F>().await?;
    let function = &function;
    lambda_runtime::run(service_fn(move |event| answer_event(function, event))).await
}

/// What the function answers to an event, be it a request or a tick.
pub async fn answer_event<F: ScheduledFunction>(
    function: &F,
    event: LambdaEvent<Box<RawValue>>,
) -> Result<Value, Error> {
    #[derive(Deserialize)]
    struct Tick {
        source: Option<String>,
    }
    let LambdaEvent { payload, context } = event;
    let tick: Tick = serde_json::from_str(payload.get())?;
    if tick.source.as_deref() == Some("aws.events") {
        // Boxed, because its type is deeper than the compiler likes.
        let report = Box::pin(function.tick(deadline(&context))).await;
        tracing::info!(function = F::NAME, %report, "the schedule has run");
        return Ok(report);
    }
    let request: LambdaRequest = serde_json::from_str(payload.get())?;
    let handler = service_fn(async |request| Ok::<_, Infallible>(function.answer(request).await));
    let Ok(answer) = Adapter::from(handler).call(LambdaEvent::new(request, context)).await;
    Ok(serde_json::to_value(answer)?)
}

/// How long the HTTP API waits for an answer: 30 s, less the way there and back.
const API_PATIENCE: SignedDuration = SignedDuration::from_secs(28);

/// Until when a request that is answered from `now` on has to be answered. None outside Lambda.
pub fn ends_at(request: &Request, now: Timestamp) -> Option<Timestamp> {
    Some(deadline(request.lambda_context_ref()?)?.min(now + API_PATIENCE))
}

/// When Lambda ends the function.
fn deadline(context: &Context) -> Option<Timestamp> {
    let end = i64::try_from(context.deadline).ok().filter(|end| *end > 0)?;
    Timestamp::from_millisecond(end).ok()
}
