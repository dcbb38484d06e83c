//! A stand-in for API Gateway and for the services that start functions. Each HTTP request becomes an event of payload
//! format 2.0, which `lambda_http` decodes for the function, and the function's JSON becomes the HTTP response.

pub mod bus;
pub mod event_stream;
pub mod invoke;
pub mod objects;
mod payload;
pub mod pipe;
pub mod queue;
mod signing;

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, RawPathParams, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use axum::routing::{MethodFilter, get, on};
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, BoxFuture, Context, LambdaEvent, Service, service_fn};
use serde_json::{Value, json};
use shared::clock::SharedClock;
use shared::config::{ConfigError, Environment};
use shared::edge::function::{HttpFunction, ScheduledFunction};
use shared::edge::http::Problem;
use shared::xray::{HEADER as TRACE_HEADER, TraceHeader, Tracer};

use crate::simulator::USER_AGENT as VONAGE_AGENT;
use crate::trace::{self, Party, Trace};
use payload::ApiRequest;
pub use signing::{SignError, sign_event};

/// The largest body that API Gateway accepts, in bytes.
const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;

/// A function, from the JSON of an event to the JSON of its response.
type Invoke = Arc<dyn Fn(Value) -> BoxFuture<'static, Result<Value, serde_json::Error>> + Send + Sync>;

/// A route of the HTTP API and the function behind it.
#[derive(Clone)]
pub struct Route {
    /// The HTTP method.
    pub method: MethodFilter,
    /// The path, with parameters as API Gateway writes them: `/conversations/{id}`.
    pub path: &'static str,
    /// The route as API Gateway names it: `GET /conversations/{id}`.
    pub key: String,
    /// The function's name.
    pub function: &'static str,
    invoke: Invoke,
}

/// The names of all functions.
pub const FUNCTIONS: [&str; 12] = [
    answer_webhook::AnswerWebhook::NAME,
    fallback_webhook::NAME,
    event_webhook::EventWebhook::NAME,
    message_webhook::MessageWebhook::NAME,
    create_conversation::CreateConversation::NAME,
    get_conversation::GetConversation::NAME,
    update_conversation::UpdateConversation::NAME,
    end_conversation::EndConversation::NAME,
    provision_numbers::ProvisionNumbers::NAME,
    control_call::ControlCall::NAME,
    keep_recordings::KeepRecordings::NAME,
    deliver_event::DeliverEvent::NAME,
];

/// Starts every function with `env` and returns the routes of the HTTP API, the same as in the template.
pub fn routes(env: &Environment, clock: SharedClock) -> Result<Vec<Route>, ConfigError> {
    let mut routes = Routes { env, clock, routes: Vec::new() };
    routes.add::<answer_webhook::AnswerWebhook>(&[("GET", "/webhooks/answer"), ("POST", "/webhooks/answer")])?;
    routes.add_fallback(&[("GET", "/webhooks/fallback"), ("POST", "/webhooks/fallback")]);
    routes.add::<event_webhook::EventWebhook>(&[
        ("POST", "/webhooks/event"),
        ("POST", "/webhooks/event/{id}"),
        ("POST", "/webhooks/event/{id}/{step}"),
        ("POST", "/webhooks/event/pin/{nth}"),
        ("POST", "/webhooks/event/standing/{attempt}"),
        ("GET", "/webhooks/whisper/{token}"),
        ("POST", "/webhooks/whisper/{token}"),
    ])?;
    routes.add::<message_webhook::MessageWebhook>(&[
        ("POST", "/conversations/{id}/texts"),
        ("POST", "/t/{tenant}/conversations/{id}/texts"),
        ("GET", "/webhooks/message"),
        ("POST", "/webhooks/message"),
        ("GET", "/webhooks/message-status"),
        ("POST", "/webhooks/message-status"),
    ])?;
    routes.add::<create_conversation::CreateConversation>(&[
        ("POST", "/conversations"),
        ("POST", "/t/{tenant}/conversations"),
        ("POST", "/conversations/{id}/notifications"),
        ("POST", "/t/{tenant}/conversations/{id}/notifications"),
    ])?;
    routes.add::<get_conversation::GetConversation>(&[
        ("GET", "/conversations"),
        ("GET", "/conversations/{id}"),
        ("GET", "/conversations/{id}/texts"),
        ("GET", "/conversations/{id}/recordings"),
        ("GET", "/conversations/{id}/recordings/{recording}"),
        ("GET", "/t/{tenant}/conversations"),
        ("GET", "/t/{tenant}/conversations/{id}"),
        ("GET", "/t/{tenant}/conversations/{id}/texts"),
        ("GET", "/t/{tenant}/conversations/{id}/recordings"),
        ("GET", "/t/{tenant}/conversations/{id}/recordings/{recording}"),
        ("GET", "/recordings/{token}"),
        ("GET", "/cards/{card}"),
        ("GET", "/decisions"),
    ])?;
    routes.add::<end_conversation::EndConversation>(&[
        ("DELETE", "/conversations/{id}"),
        ("DELETE", "/t/{tenant}/conversations/{id}"),
        ("POST", "/erasures"),
        ("GET", "/erasures/{id}"),
    ])?;
    routes.add::<update_conversation::UpdateConversation>(&[
        ("PATCH", "/conversations/{id}"),
        ("PATCH", "/t/{tenant}/conversations/{id}"),
    ])?;
    routes.add::<provision_numbers::ProvisionNumbers>(&[
        ("POST", "/numbers"),
        ("GET", "/numbers"),
        ("GET", "/numbers/requirements"),
        ("GET", "/numbers/{number}"),
        ("PATCH", "/numbers/{number}"),
        ("DELETE", "/numbers/{number}"),
        ("POST", "/numbers/{number}/rotate"),
        ("GET", "/tenants"),
        ("GET", "/tenants/{tenant}"),
        ("PUT", "/tenants/{tenant}"),
        ("POST", "/t/{tenant}/numbers"),
        ("GET", "/t/{tenant}/numbers"),
        ("GET", "/t/{tenant}/numbers/{number}"),
        ("PATCH", "/t/{tenant}/numbers/{number}"),
        ("DELETE", "/t/{tenant}/numbers/{number}"),
        ("POST", "/t/{tenant}/numbers/{number}/rotate"),
        ("POST", "/setup"),
    ])?;
    routes.add::<control_call::ControlCall>(&[
        ("GET", "/conversations/{id}/calls"),
        ("POST", "/conversations/{id}/calls"),
        ("DELETE", "/conversations/{id}/calls/{call}"),
        ("POST", "/conversations/{id}/calls/{call}/talk"),
        ("GET", "/t/{tenant}/conversations/{id}/calls"),
        ("POST", "/t/{tenant}/conversations/{id}/calls"),
        ("DELETE", "/t/{tenant}/conversations/{id}/calls/{call}"),
        ("POST", "/t/{tenant}/conversations/{id}/calls/{call}/talk"),
    ])?;
    routes.add::<deliver_event::DeliverEvent>(&[("POST", "/events/replay")])?;
    Ok(routes.routes)
}

/// A stand-in for a schedule of EventBridge: a function and the event that it gets.
pub struct Schedule<F> {
    function: F,
    event: Value,
    tracer: Tracer,
}

/// The schedule of the pool's upkeep.
pub type NumbersSchedule = Schedule<provision_numbers::ProvisionNumbers>;

/// The schedule of erasures and redactions.
pub type ErasureSchedule = Schedule<end_conversation::EndConversation>;

/// The function that ends calls, invoked by others, and its schedule of warnings.
pub type CallControl = Schedule<control_call::ControlCall>;

/// The schedule of recordings.
pub type RecordingsSchedule = Schedule<keep_recordings::KeepRecordings>;

/// The function that delivers events, which a queue invokes.
pub type DeliveryFunction = Schedule<deliver_event::DeliverEvent>;

impl<F: ScheduledFunction> Schedule<F> {
    /// Starts the function.
    pub fn new(env: &Environment, clock: SharedClock, event: Value) -> Result<Self, ConfigError> {
        Ok(Self { function: F::start(&with_role::<F>(env), clock)?, event, tracer: tracer(env) })
    }

    /// Runs the function with its event, as EventBridge does, and returns its report.
    pub async fn tick(&self) -> Result<Value, lambda_http::Error> {
        self.run(&self.event).await
    }

    /// Runs the function with another event, and returns its report.
    pub async fn run(&self, event: &Value) -> Result<Value, lambda_http::Error> {
        self.run_in_trace(event, None).await
    }

    /// Like [`Schedule::run`], as a part of the trace that the tracing header of an invocation names.
    async fn run_in_trace(&self, event: &Value, header: Option<&str>) -> Result<Value, lambda_http::Error> {
        let event = LambdaEvent::new(serde_json::value::to_raw_value(event)?, context(header));
        shared::edge::function::answer_event(&self.function, event, &self.tracer).await
    }
}

/// Returns the context of an invocation, with an id of its own and without a deadline. As in Lambda, it belongs to the trace of its
/// tracing header, or else to a new one, and has a segment of its own in it. A new one is not sampled.
fn context(header: Option<&str>) -> Context {
    let random = |digits: usize| uuid::Uuid::new_v4().simple().to_string()[32 - digits..].to_owned();
    let new = || TraceHeader {
        root: format!("1-{:08x}-{}", jiff::Timestamp::now().as_second(), random(24)),
        parent: None,
        is_sampled: false,
    };
    let upstream = header.and_then(TraceHeader::parse).unwrap_or_else(new);
    let mut context = Context::default();
    context.request_id = uuid::Uuid::new_v4().to_string();
    context.xray_trace_id = Some(TraceHeader { parent: Some(random(16)), ..upstream }.to_string());
    context
}

/// Returns the place to which functions with this environment send their traces.
fn tracer(env: &Environment) -> Tracer {
    Tracer::new(env.xray_daemon().as_deref())
}

/// Returns the environment of a function, which has a role of its own: its session token says whose requests are.
fn with_role<F: HttpFunction>(env: &Environment) -> Environment {
    env.clone().with([("AWS_SESSION_TOKEN".to_owned(), F::NAME.to_owned())])
}

struct Routes<'a> {
    env: &'a Environment,
    clock: SharedClock,
    routes: Vec<Route>,
}

impl Routes<'_> {
    fn add<F: HttpFunction>(&mut self, paths: &[(&'static str, &'static str)]) -> Result<(), ConfigError> {
        let invoke = invoke(F::start(&with_role::<F>(self.env), self.clock.clone())?, tracer(self.env));
        self.add_invoke(F::NAME, invoke, paths);
        Ok(())
    }

    /// Adds the one function that needs no configuration to start.
    fn add_fallback(&mut self, paths: &[(&'static str, &'static str)]) {
        let answer = fallback_webhook::answer(self.env.optional("DEFAULT_LANGUAGE").as_deref());
        let invoke: Invoke = Arc::new(move |_| {
            let (function, outcome) = (fallback_webhook::NAME, fallback_webhook::OUTCOME);
            tracing::info!(function, outcome, "request answered");
            Box::pin(async move { serde_json::to_value(answer) })
        });
        self.add_invoke(fallback_webhook::NAME, invoke, paths);
    }

    fn add_invoke(&mut self, function: &'static str, invoke: Invoke, paths: &[(&'static str, &'static str)]) {
        for (method, path) in paths {
            self.routes.push(Route {
                method: match *method {
                    "GET" => MethodFilter::GET,
                    "POST" => MethodFilter::POST,
                    "PATCH" => MethodFilter::PATCH,
                    "PUT" => MethodFilter::PUT,
                    _ => MethodFilter::DELETE,
                },
                path,
                key: format!("{method} {path}"),
                function,
                invoke: invoke.clone(),
            });
        }
    }
}

fn invoke<F: HttpFunction>(function: F, tracer: Tracer) -> Invoke {
    let traced = Arc::new((function, tracer));
    Arc::new(move |event| {
        let traced = traced.clone();
        Box::pin(async move {
            let context = context(event["headers"][TRACE_HEADER].as_str());
            let event: LambdaRequest = serde_json::from_str(&event.to_string())?;
            let handler = service_fn(move |request| {
                let traced = traced.clone();
                async move {
                    let (function, tracer) = &*traced;
                    Ok::<_, Infallible>(function.answer_traced(request, tracer).await)
                }
            });
            let Ok(answer) = Adapter::from(handler).call(LambdaEvent::new(event, context)).await;
            serde_json::to_value(answer)
        })
    })
}

impl Route {
    /// Runs the function with an event, as Lambda does, and returns its response.
    pub async fn invoke(&self, event: Value) -> Result<Value, serde_json::Error> {
        (self.invoke)(event).await
    }
}

/// The HTTP API over `routes`, with a page that lists them, which API Gateway does not have. Requests are recorded in `trace`.
pub fn router(routes: Vec<Route>, trace: &Trace) -> Router {
    let listed: Vec<&str> = routes.iter().map(|route| route.key.as_str()).collect();
    let page = format!("Maskline on a laptop. docs/api.md explains these routes.\n\n{}\n", listed.join("\n"));
    let mut router = Router::new().route("/", get(|| async { page }));
    for route in routes {
        router = router.route(route.path, on(route.method, answer).with_state((Arc::new(route), trace.clone())));
    }
    let not_found =
        || async { refused(Problem::not_found("There is no such path. docs/openapi.yaml has all of them.")) };
    let not_allowed = || async { refused(not_allowed()) };
    router.fallback(not_found).method_not_allowed_fallback(not_allowed).layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
}

async fn answer(
    State((route, trace)): State<(Arc<Route>, Trace)>,
    parameters: RawPathParams,
    request: Request,
) -> Response<Body> {
    if request.method() == Method::HEAD {
        // The router takes it for a GET. API Gateway has no such route.
        return refused(not_allowed());
    }
    let parameters = parameters.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY_BYTES).await else {
        let detail = format!("A body may have at most {MAX_BODY_BYTES} bytes.");
        return refused(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "Body too large", detail));
    };
    let event = ApiRequest { route_key: &route.key, parameters, parts: &parts, body: &body }.event();
    let asked = trace.ask(sender(&parts.headers), Party::Gateway, &route.key, || {
        let http = json!({"headers": trace::headers(&parts.headers), "body": trace::body(&body)});
        json!({"function": route.function, "path": parts.uri.to_string(), "http": http, "event": trace::event(&event)})
    });
    // In a task of its own, so that a panic becomes a response, as in Lambda.
    let answer = tokio::spawn(async move { route.invoke(event).await }).await.ok().and_then(Result::ok);
    let response = answer.as_ref().and_then(payload::response).unwrap_or_else(internal_error);
    if let Some(asked) = asked {
        asked.answered(response.status(), shown(answer));
    }
    response
}

/// Returns whose request it is: the simulator names itself.
fn sender(headers: &HeaderMap) -> Party {
    let agent = headers.get("user-agent").map(HeaderValue::as_bytes);
    if agent == Some(VONAGE_AGENT.as_bytes()) { Party::Vonage } else { Party::Client }
}

/// Returns a function's answer with its body as JSON, if it is JSON.
fn shown(answer: Option<Value>) -> Value {
    let mut answer = answer.unwrap_or_default();
    if let Some(body) = answer["body"].as_str() {
        answer["body"] = trace::body(body.as_bytes());
    }
    answer
}

fn not_allowed() -> Problem {
    let detail = "This path has other methods. docs/openapi.yaml has all of them.";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
}

/// Answers a request that reaches no function. API Gateway answers with a `message` of its own.
fn refused(problem: Problem) -> Response<Body> {
    problem.into_response().map(|body| Body::from(body.to_vec()))
}

fn internal_error() -> Response<Body> {
    message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}

fn message(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(json!({ "message": text }).to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    response
}
