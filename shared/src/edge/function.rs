//! Functions, and how Lambda runs them.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures_util::FutureExt;
use jiff::Timestamp;
use lambda_http::request::LambdaRequest;
use lambda_http::{
    Adapter, Body, Error, LambdaEvent, Request, RequestExt, Response, Service, lambda_runtime, service_fn,
};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;
use tracing::level_filters::LevelFilter;

use crate::clock::{self, SharedClock};
use crate::config::{ConfigError, Environment};
use crate::edge::http::{Problem, TenantClaim};
use crate::edge::request_log::RequestLog;
use crate::edge::{deadline, telemetry};
use crate::xray::Tracer;

/// A function behind the HTTP API.
pub trait HttpFunction: Sized + Send + Sync + 'static {
    /// Name of the function in the template and in logs.
    const NAME: &'static str;

    /// Reads the function's configuration. Sends no request.
    fn start(env: &Environment, clock: SharedClock) -> Result<Self, ConfigError>;

    /// Opens the connections that requests will need.
    ///
    /// Lambda gives a starting function a whole processor, and no caller waits for it yet. A connection that fails is
    /// opened again by the first request.
    fn warm_up(&self) -> impl Future<Output = ()> + Send;

    /// Returns the claim that says which requests a token may send, if the deployment has one. Only a function behind routes that
    /// take tokens has to.
    fn tenant_claim(&self) -> Option<&TenantClaim> {
        None
    }

    /// Decodes a request, carries it out and encodes the answer. Fills in the request's log line.
    fn handle(
        &self,
        request: Request,
        log: &mut RequestLog,
    ) -> impl Future<Output = Result<Response<Body>, Problem>> + Send;

    /// Handles a request and writes its log line. A panic and a missed deadline become answers too.
    fn answer(&self, request: Request) -> impl Future<Output = Response<Body>> + Send {
        async move {
            let started = Instant::now();
            let mut log = RequestLog::new(&request);
            let time_left = deadline::time_left(&request);
            let is_permitted = self.tenant_claim().map_or(Ok(()), |claim| claim.check(&request));
            let handle = async {
                is_permitted?;
                self.handle(request, &mut log).await
            };
            // State that a panic leaves half-changed belongs to this request and is dropped with it.
            let handled = AssertUnwindSafe(handle).catch_unwind();
            let handled = match time_left {
                Some(time_left) => tokio::time::timeout(time_left, handled).await,
                None => Ok(handled.await),
            };
            let result = match handled {
                Ok(Ok(result)) => result,
                Ok(Err(_panic)) => Err(Problem::internal()),
                Err(_elapsed) => Err(Problem::out_of_time()),
            };
            log.write(Self::NAME, &result, started.elapsed());
            let mut response = result.unwrap_or_else(Problem::into_response);
            log.sign(&mut response);
            response
        }
    }

    /// Like [`HttpFunction::answer`], as a part of the trace that Lambda names for the request.
    fn answer_traced(&self, request: Request, tracer: &Tracer) -> impl Future<Output = Response<Body>> + Send {
        async move {
            let header = request.lambda_context_ref().and_then(|context| context.xray_trace_id.clone());
            tracer.follow(Self::NAME, header.as_deref(), self.answer(request)).await
        }
    }
}

/// A function that a schedule or a queue invokes too.
pub trait ScheduledFunction: HttpFunction {
    /// Carries out the scheduled work and returns a report for the log. Starts nothing that could not end before
    /// `deadline`. The report includes failures: the next run is their retry. `event` is the schedule's event, or a queue's.
    fn tick(&self, event: Value, deadline: Option<Timestamp>) -> impl Future<Output = Value> + Send;

    /// True if this report leaves work that no later run would do, so that Lambda has to deliver the event again.
    fn has_to_come_again(_report: &Value) -> bool {
        false
    }
}

/// Starts a function and answers the requests that Lambda passes to it.
pub async fn run<F: HttpFunction>() -> Result<(), Error> {
    let (function, tracer) = &start::<F>().await?;
    let answer = move |request| async move { Ok::<_, Infallible>(function.answer_traced(request, tracer).await) };
    lambda_http::run(service_fn(answer)).await
}

/// Starts a function and answers the requests and scheduled events that Lambda passes to it.
pub async fn run_scheduled<F: ScheduledFunction>() -> Result<(), Error> {
    let (function, tracer) = &start::<F>().await?;
    lambda_runtime::run(service_fn(move |event| answer_event(function, event, tracer))).await
}

async fn start<F: HttpFunction>() -> Result<(F, Tracer), Error> {
    let environment = Environment::of_process();
    let level = telemetry::level(&environment);
    telemetry::init(F::NAME, *level.as_ref().unwrap_or(&LevelFilter::INFO));
    let function = level.and_then(|_| F::start(&environment, clock::system())).inspect_err(|error| {
        tracing::error!(function = F::NAME, cause = %error, "function start failed");
    })?;
    function.warm_up().await;
    Ok((function, Tracer::new(environment.xray_daemon().as_deref())))
}

/// Answers an event: a request, a tick of the schedule, or messages of a queue. It is a part of the trace that Lambda names for it.
pub async fn answer_event<F: ScheduledFunction>(
    function: &F,
    event: LambdaEvent<Box<RawValue>>,
    tracer: &Tracer,
) -> Result<Value, Error> {
    #[derive(Deserialize)]
    struct Tick {
        source: Option<String>,
        /// The messages of a queue.
        #[serde(rename = "Records")]
        records: Option<IgnoredAny>,
    }
    let LambdaEvent { payload, context } = event;
    let tick: Tick = serde_json::from_str(payload.get())?;
    if tick.source.is_some() || tick.records.is_some() {
        let event = serde_json::from_str(payload.get())?;
        let run = async {
            // Boxed, because the type of this future is too deep for the compiler's recursion limit.
            let report = Box::pin(function.tick(event, deadline::of_function(&context))).await;
            tracing::info!(function = F::NAME, %report, "run finished");
            report
        };
        let report = tracer.follow(F::NAME, context.xray_trace_id.as_deref(), run).await;
        return if F::has_to_come_again(&report) { Err(report.to_string().into()) } else { Ok(report) };
    }
    let request: LambdaRequest = serde_json::from_str(payload.get())?;
    let handler = service_fn(async |request| Ok::<_, Infallible>(function.answer_traced(request, tracer).await));
    let Ok(answer) = Adapter::from(handler).call(LambdaEvent::new(request, context)).await;
    Ok(serde_json::to_value(answer)?)
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use lambda_http::Context;
    use lambda_http::http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::edge::http;

    /// A function that panics, hangs or answers, depending on the path.
    struct Moody;

    impl HttpFunction for Moody {
        const NAME: &'static str = "moody";

        fn start(_: &Environment, _: SharedClock) -> Result<Self, ConfigError> {
            Ok(Self)
        }

        async fn warm_up(&self) {}

        async fn handle(&self, request: Request, log: &mut RequestLog) -> Result<Response<Body>, Problem> {
            match request.uri().path() {
                "/panics" => panic!("over +44 7700 900001"),
                "/panics/later" => {
                    tokio::task::yield_now().await;
                    panic!("later")
                }
                "/hangs" => pending().await,
                _ => {
                    log.outcome = "well";
                    Ok(http::json(StatusCode::OK, &json!("well")))
                }
            }
        }
    }

    impl ScheduledFunction for Moody {
        async fn tick(&self, _: Value, _: Option<Timestamp>) -> Value {
            json!("ticked")
        }
    }

    /// Returns status and body of the answer to an event of API Gateway, with `left_ms` until Lambda ends the function.
    async fn ask(path: &str, left_ms: u64) -> (u64, Value) {
        let event = json!({"version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "headers": {},
                           "requestContext": {"http": {"method": "GET", "path": path}}, "isBase64Encoded": false});
        let mut context = Context::default();
        context.deadline = u64::try_from(Timestamp::now().as_millisecond()).unwrap() + left_ms;
        let event = LambdaEvent::new(serde_json::value::to_raw_value(&event).unwrap(), context);
        let answer = answer_event(&Moody, event, &Tracer::default()).await.unwrap();
        (answer["statusCode"].as_u64().unwrap(), serde_json::from_str(answer["body"].as_str().unwrap()).unwrap())
    }

    #[tokio::test]
    async fn a_panic_is_answered_with_500_without_its_message() {
        for path in ["/panics", "/panics/later"] {
            let (status, body) = ask(path, 60_000).await;
            assert_eq!((status, &body["type"]), (500, &json!("urn:maskline:problem:internal-error")));
            assert!(!body.to_string().contains("7700"));
            assert_eq!(ask("/", 60_000).await, (200, json!("well")));
        }
    }

    #[tokio::test]
    async fn every_answer_has_the_id_of_its_request() {
        for path in ["/", "/panics"] {
            let event = json!({"version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "headers": {},
                               "requestContext": {"http": {"method": "GET", "path": path}}, "isBase64Encoded": false});
            let mut context = Context::default();
            context.request_id = "4e5f".to_owned();
            let event = LambdaEvent::new(serde_json::value::to_raw_value(&event).unwrap(), context);
            let answer = answer_event(&Moody, event, &Tracer::default()).await.unwrap();
            assert_eq!(answer["headers"]["x-request-id"], "4e5f", "{path}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_hangs_is_answered_with_503_in_time() {
        let (asked, before_the_deadline) = (tokio::time::Instant::now(), Duration::from_millis(60_000 - 200));
        let (status, body) = ask("/hangs", 60_000).await;
        assert_eq!((status, &body["type"]), (503, &json!("urn:maskline:problem:out-of-time")));
        assert!(asked.elapsed() <= before_the_deadline + Duration::from_millis(1));
        assert_eq!(ask("/hangs", 100).await.0, 503);
        assert_eq!(ask("/", 60_000).await.0, 200);
    }
}
