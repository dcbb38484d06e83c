//! What every function is, and how Lambda runs it.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use lambda_http::http::Method;
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_http::{
    Adapter, Body, Context, Error, LambdaEvent, Request, RequestExt, Response, Service, lambda_runtime, service_fn,
};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::clock::{self, SharedClock};
use crate::config::{ConfigError, Environment};
use crate::domain::conversation::ConversationId;
use crate::edge::http::Problem;
use crate::edge::telemetry;

/// A function behind the HTTP API.
pub trait HttpFunction: Sized + Send + Sync + 'static {
    /// Its name, as in the template and in logs.
    const NAME: &'static str;

    /// Reads its configuration. Sends nothing.
    fn start(env: &Environment, clock: SharedClock) -> Result<Self, ConfigError>;

    /// Makes the connections that its requests will need, while Lambda starts it: then no caller waits for them, and they
    /// are made on a whole processor, whatever share of one the function has later. A failure is for the first request to
    /// meet again.
    fn warm_up(&self) -> impl Future<Output = ()> + Send;

    /// Decodes a request, does the one thing, and encodes the answer; `line` is told what it turned out to be.
    fn handle(
        &self,
        request: Request,
        line: &mut RequestLine,
    ) -> impl Future<Output = Result<Response<Body>, Problem>> + Send;

    /// Answers a request whatever happens, and logs what did.
    fn answer(&self, request: Request) -> impl Future<Output = Response<Body>> + Send {
        async move {
            let started = Instant::now();
            let mut line = RequestLine::of(&request);
            let patience = patience(&request);
            let handled = caught(Box::pin(self.handle(request, &mut line)));
            let result = match patience {
                Some(patience) => {
                    tokio::time::timeout(patience, handled).await.unwrap_or_else(|_| Err(Problem::out_of_time()))
                }
                None => handled.await,
            };
            line.write(Self::NAME, &result, started.elapsed());
            result.unwrap_or_else(Problem::into_response)
        }
    }
}

/// What the log line of a request tells, beside its status and how long it took.
#[derive(Debug)]
pub struct RequestLine {
    method: Method,
    route: Option<String>,
    request_id: Option<String>,
    /// What came of it, in a word or three; of a failure, the kind of problem.
    pub outcome: &'static str,
    /// The conversation that it was about.
    pub conversation: Option<ConversationId>,
    /// Vonage's id of the call that it was about.
    pub call: Option<String>,
}

impl RequestLine {
    fn of(request: &Request) -> Self {
        let route = match request.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => context.route_key.clone(),
            _ => None,
        };
        // The laptop gives none.
        let request_id = request.lambda_context_ref().map(|context| context.request_id.clone());
        let request_id = request_id.filter(|id| !id.is_empty());
        let method = request.method().clone();
        Self { method, route, request_id, outcome: "done", conversation: None, call: None }
    }

    /// The one line of a request. Its metrics are what the deployment's alarms and dashboard count.
    fn write(&self, function: &'static str, result: &Result<Response<Body>, Problem>, took: Duration) {
        let status = match result {
            Ok(response) => response.status(),
            Err(problem) => problem.status(),
        };
        let outcome = result.as_ref().map_or_else(Problem::kind, |_| self.outcome);
        let once = |happened: bool| happened.then_some(1u64);
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    $level,
                    function,
                    method = %self.method,
                    route = self.route.as_deref(),
                    request_id = self.request_id.as_deref(),
                    status = status.as_u16(),
                    outcome,
                    duration_ms = took.as_micros() as f64 / 1000.0,
                    conversation.id = self.conversation.map(tracing::field::display),
                    call.conversation_uuid = self.call.as_deref(),
                    cause = result.as_ref().err().map(Problem::chain),
                    failures = once(status.is_server_error()),
                    calls_routed = once(outcome == RequestLine::ROUTED),
                    unknown_callers = once(outcome == RequestLine::UNKNOWN_CALLER),
                    signatures_refused = once(outcome == Problem::NOT_SIGNED),
                    "answered"
                )
            };
        }
        if status.is_server_error() {
            line!(tracing::Level::ERROR);
        } else {
            line!(tracing::Level::INFO);
        }
    }

    /// The outcome of a call that leads to the other participant.
    pub const ROUTED: &'static str = "routed";
    /// The outcome of a call whose caller has no conversation on the dialled number.
    pub const UNKNOWN_CALLER: &'static str = "unknown caller";
}

/// A panic is a failure of one request, and none of the process.
async fn caught(
    mut handled: Pin<Box<impl Future<Output = Result<Response<Body>, Problem>>>>,
) -> Result<Response<Body>, Problem> {
    std::future::poll_fn(|context| {
        // What the panic left half done belongs to this request and is dropped with it.
        catch_unwind(AssertUnwindSafe(|| handled.as_mut().poll(context)))
            .unwrap_or_else(|_| std::task::Poll::Ready(Err(Problem::internal())))
    })
    .await
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
    let function = F::start(&Environment::of_process(), clock::system()).inspect_err(|error| {
        tracing::error!(function = F::NAME, cause = %error, "the function cannot start");
    })?;
    function.warm_up().await;
    Ok(function)
}

/// A function that a schedule starts too.
pub trait ScheduledFunction: HttpFunction {
    /// Does what is to be done from time to time, with nothing begun that could not end before `ends_at`, and tells what
    /// that was. Failures are in there too: the next time is the retry. `event` is the schedule's.
    fn tick(&self, event: Value, ends_at: Option<Timestamp>) -> impl Future<Output = Value> + Send;
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
        let event = serde_json::from_str(payload.get())?;
        let report = Box::pin(function.tick(event, deadline(&context))).await;
        tracing::info!(function = F::NAME, %report, "the schedule has run");
        return Ok(report);
    }
    let request: LambdaRequest = serde_json::from_str(payload.get())?;
    let handler = service_fn(async |request| Ok::<_, Infallible>(function.answer(request).await));
    let Ok(answer) = Adapter::from(handler).call(LambdaEvent::new(request, context)).await;
    Ok(serde_json::to_value(answer)?)
}

/// How long the HTTP API waits for an answer: 30 s, less the way there and back.
const API_WAITS: SignedDuration = SignedDuration::from_millis(29_000);

/// Within what time a request is to be done, so that it is not cut off.
const API_PATIENCE: SignedDuration = SignedDuration::from_secs(28);

/// What a function's time is cut short by, so that an answer still gets out.
const TO_ANSWER: SignedDuration = SignedDuration::from_millis(200);

/// Until when a request that is answered from `now` on has to be answered. None outside Lambda.
pub fn ends_at(request: &Request, now: Timestamp) -> Option<Timestamp> {
    Some(deadline(request.lambda_context_ref()?)?.min(now + API_PATIENCE))
}

/// How long a request may be handled before nobody waits for its answer: Lambda ends the function, or API Gateway gives up. What is cut off there stands
/// as it would after a crash, and every function can be sent again after one.
fn patience(request: &Request) -> Option<Duration> {
    let ends_at = deadline(request.lambda_context_ref()?)?.min(Timestamp::now() + API_WAITS) - TO_ANSWER;
    Some(ends_at.duration_since(Timestamp::now()).try_into().unwrap_or(Duration::ZERO))
}

/// When Lambda ends the function.
fn deadline(context: &Context) -> Option<Timestamp> {
    let end = i64::try_from(context.deadline).ok().filter(|end| *end > 0)?;
    Timestamp::from_millisecond(end).ok()
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use lambda_http::http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::edge::http;

    /// Panics, hangs, or answers, as the path says.
    struct Moody;

    impl HttpFunction for Moody {
        const NAME: &'static str = "moody";

        fn start(_: &Environment, _: SharedClock) -> Result<Self, ConfigError> {
            Ok(Self)
        }

        async fn warm_up(&self) {}

        async fn handle(&self, request: Request, line: &mut RequestLine) -> Result<Response<Body>, Problem> {
            match request.uri().path() {
                "/panics" => panic!("over +44 7700 900001"),
                "/panics/later" => {
                    tokio::task::yield_now().await;
                    panic!("later")
                }
                "/hangs" => pending().await,
                _ => {
                    line.outcome = "well";
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

    /// Status and body of the answer to an event of API Gateway, with so many milliseconds left.
    async fn ask(path: &str, left_ms: u64) -> (u64, Value) {
        let event = json!({"version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "headers": {},
                           "requestContext": {"http": {"method": "GET", "path": path}}, "isBase64Encoded": false});
        let mut context = Context::default();
        context.deadline = u64::try_from(Timestamp::now().as_millisecond()).unwrap() + left_ms;
        let event = LambdaEvent::new(serde_json::value::to_raw_value(&event).unwrap(), context);
        let answer = answer_event(&Moody, event).await.unwrap();
        (answer["statusCode"].as_u64().unwrap(), serde_json::from_str(answer["body"].as_str().unwrap()).unwrap())
    }

    #[tokio::test]
    async fn a_panic_is_500_without_its_message_and_the_next_request_works() {
        for path in ["/panics", "/panics/later"] {
            let (status, body) = ask(path, 60_000).await;
            assert_eq!((status, &body["type"]), (500, &json!("urn:maskline:problem:internal-error")));
            assert!(!body.to_string().contains("7700"));
            assert_eq!(ask("/", 60_000).await, (200, json!("well")));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_hangs_is_503_while_lambda_still_waits() {
        let (asked, before_the_deadline) = (tokio::time::Instant::now(), Duration::from_millis(60_000 - 200));
        let (status, body) = ask("/hangs", 60_000).await;
        assert_eq!((status, &body["type"]), (503, &json!("urn:maskline:problem:out-of-time")));
        assert!(asked.elapsed() <= before_the_deadline + Duration::from_millis(1));
        assert_eq!(ask("/hangs", 100).await.0, 503);
        assert_eq!(ask("/", 60_000).await.0, 200);
    }
}
