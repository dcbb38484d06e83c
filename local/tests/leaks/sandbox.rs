//! Functions in separate processes, run as their bootstraps run them. Their whole standard output and standard error is
//! searched, with their start, a panic and their end.

use std::process::{Child, Command, Stdio};

use answer_webhook::AnswerWebhook;
use create_conversation::CreateConversation;
use event_webhook::EventWebhook;
use lambda_http::{Body, Request, Response};
use local::runtime_api::{RuntimeApi, RuntimeApiError};
use serde_json::{Value, json};
use shared::clock::SharedClock;
use shared::config::{ConfigError, Environment};
use shared::edge::function::{HttpFunction, run};
use shared::edge::http::Problem;
use shared::edge::request_log::RequestLog;
use testkit::TraceCollector;

use crate::laptop::{REAL, RIDER, builder, conversation, create};

/// A function that panics with a number in the message.
struct Panicking;

impl HttpFunction for Panicking {
    const NAME: &'static str = "panicking";

    fn start(_: &Environment, _: SharedClock) -> Result<Self, ConfigError> {
        Ok(Self)
    }

    async fn warm_up(&self) {}

    async fn handle(&self, request: Request, _: &mut RequestLog) -> Result<Response<Body>, Problem> {
        panic!("over {RIDER} and {request:?}")
    }
}

const FUNCTION: &str = "LEAKS_FUNCTION";

#[tokio::test]
#[ignore = "the process that the tests here start"]
async fn bootstrap() {
    match std::env::var(FUNCTION).unwrap().as_str() {
        AnswerWebhook::NAME => run::<AnswerWebhook>().await.unwrap(),
        EventWebhook::NAME => run::<EventWebhook>().await.unwrap(),
        CreateConversation::NAME => run::<CreateConversation>().await.unwrap(),
        _ => run::<Panicking>().await.unwrap(),
    }
}

/// A process of a function, with the Runtime API that serves it.
struct Sandbox {
    process: Child,
    api: RuntimeApi,
}

impl Sandbox {
    async fn start(function: &str, environment: &Environment) -> Self {
        let api = RuntimeApi::start().await.unwrap();
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sandbox::bootstrap", "--ignored", "--nocapture"])
            .env_clear()
            .envs(environment.iter())
            .env(FUNCTION, function)
            .env("AWS_SESSION_TOKEN", function)
            .env("AWS_LAMBDA_RUNTIME_API", api.address())
            .env("AWS_LAMBDA_FUNCTION_NAME", function)
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_LOG_LEVEL", "TRACE")
            .env("RUST_LOG", "trace")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { process, api }
    }

    /// Invokes the function in a trace that is recorded, and returns what it posts to Lambda: its answer or its error.
    async fn invoke(&mut self, event: Value) -> String {
        const TRACE: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
        self.api.asked_for_next().await.unwrap();
        match self.api.invoke_in_trace(event.to_string().into(), TRACE).await {
            Ok((_, answer)) => answer.to_string(),
            Err(RuntimeApiError::Failed(error)) => error,
            Err(error) => panic!("{error}"),
        }
    }

    /// Ends the process, and returns all that it wrote.
    fn end(mut self) -> String {
        self.process.kill().unwrap();
        let written = self.process.wait_with_output().unwrap();
        [written.stdout, written.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat()
    }
}

fn event(method: &str, path: &str, query: &str, body: &str) -> Value {
    let token = testkit::signature((method == "POST").then_some(body), jiff::Timestamp::now());
    json!({
        "version": "2.0", "routeKey": format!("{method} {path}"), "rawPath": path, "rawQueryString": query,
        "headers": {"authorization": format!("Bearer {token}"), "host": "127.0.0.1", "idempotency-key": RIDER},
        "requestContext": {"http": {"method": method, "path": path}, "stage": "$default"},
        "body": body, "isBase64Encoded": false,
    })
}

#[tokio::test]
async fn process_writes_no_real_number_for_any_request() {
    let laptop = builder().numbers("GB", 2).start().await;
    let dialled = create(&laptop).await["participants"][0]["dials"].as_str().unwrap().to_owned();
    let said = json!({"from": RIDER, "to": dialled, "uuid": "u", "conversation_uuid": "CON-1", "status": "answered",
                      "timestamp": jiff::Timestamp::now().to_string(), "direction": "inbound"})
    .to_string();
    let query = format!("from={RIDER}&to={dialled}&conversation_uuid={RIDER}");
    let broken = &said[..said.len() - 1];
    let asked = [
        ("answer-webhook", event("POST", "/webhooks/answer", "", &said), "200"),
        ("answer-webhook", event("GET", "/webhooks/answer", &query, ""), "200"),
        ("answer-webhook", event("POST", "/webhooks/answer", &query, broken), "400"),
        ("event-webhook", event("POST", "/webhooks/event", "", &said), "204"),
        ("event-webhook", event("POST", "/webhooks/event", "", broken), "400"),
        ("create-conversation", event("POST", "/conversations", "", &conversation().to_string()), "201"),
        ("create-conversation", event("POST", "/conversations", &query, &said), "422"),
        ("panicking", event("POST", "/conversations", &query, &said), "500"),
        ("panicking", event("GET", &format!("/conversations/{RIDER}"), &query, ""), "500"),
    ];
    for function in ["answer-webhook", "event-webhook", "create-conversation", "panicking"] {
        let collector = TraceCollector::listen();
        let daemon = [("AWS_XRAY_DAEMON_ADDRESS".to_owned(), collector.address().to_owned())];
        let mut sandbox = Sandbox::start(function, &laptop.stack.environment.clone().with(daemon)).await;
        let (mut lines, mut traces) = (0, Vec::new());
        for (_, event, status) in asked.iter().filter(|(meant, ..)| *meant == function) {
            let answer = sandbox.invoke(event.clone()).await;
            assert!(answer.contains(&format!("\"statusCode\":{status}")), "{function} {answer}");
            if *status >= "400" {
                REAL.assert_no_leak("an answer", &answer);
            }
            lines += 1;
            traces.extend(collector.arrived());
        }
        // Events that are no requests, and one with an invalid URL.
        for event in [json!({"number": RIDER}), json!(RIDER), event("GET", "/numbers", &format!("<{RIDER}>"), "")] {
            REAL.assert_no_leak("an answer", &sandbox.invoke(event).await);
        }
        let written = sandbox.end();
        assert!(written.matches("\"message\":\"request ").count() >= lines, "{written}");
        REAL.assert_log_has_no_leak(&written);
        traces.extend(collector.arrived());
        assert!(traces.iter().filter(|document| document["name"] == *function).count() >= lines, "{traces:?}");
        REAL.assert_no_leak("a trace", &json!(traces).to_string());
    }
}
