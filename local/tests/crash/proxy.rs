//! A proxy for the requests of one run to DynamoDB, Vonage, the bucket and the event bus. At one request it either cuts the run off or
//! answers with a failure. DynamoDB then fails for the rest of the run.

use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use local::gateway::objects;
use local::stack::Stack;
use shared::config::Environment;
use tokio::sync::watch;

/// A fault of a run.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Number of the request, counted from 1.
    pub request: usize,
    pub kind: FaultKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The run crashes, and the request is not carried out.
    CrashBefore,
    /// The run crashes after the request was carried out.
    CrashAfter,
    /// The answer is a failure, and the request was not carried out.
    FailureBefore,
    /// The answer is a failure although the request was carried out.
    FailureAfter,
    /// The table fails from this request on.
    TableFailsBefore,
    /// The table carries out this request, but answers it and all later ones with a failure.
    TableFailsAfter,
}

impl FaultKind {
    /// The kinds of faults that a request to Vonage can meet.
    pub const OF_VONAGE: [Self; 4] = [Self::CrashBefore, Self::CrashAfter, Self::FailureBefore, Self::FailureAfter];
    /// The kinds of faults that a request to the table can meet. The AWS SDK hides a single failure by a retry.
    pub const OF_TABLE: [Self; 4] =
        [Self::CrashBefore, Self::CrashAfter, Self::TableFailsBefore, Self::TableFailsAfter];

    fn is_crash(self) -> bool {
        matches!(self, Self::CrashBefore | Self::CrashAfter)
    }

    fn is_lasting(self) -> bool {
        matches!(self, Self::TableFailsBefore | Self::TableFailsAfter)
    }

    fn is_carried_out(self) -> bool {
        matches!(self, Self::CrashAfter | Self::FailureAfter | Self::TableFailsAfter)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} request {}", self.kind, self.request)
    }
}

/// The proxy of one run.
#[derive(Clone)]
pub struct Proxy {
    http: reqwest::Client,
    dynamodb_url: String,
    vonage_url: String,
    bus_url: String,
    fault: Fault,
    /// Names of all requests up to the crash, in order.
    requests: Arc<Mutex<Vec<String>>>,
    crashed: watch::Sender<bool>,
    /// Number of requests that are being carried out.
    in_flight: watch::Sender<usize>,
}

/// The treatment of one request.
#[derive(Clone, Copy)]
struct Routing {
    is_carried_out: bool,
    answer: Answer,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Own,
    Failure,
    None,
}

impl Proxy {
    /// Starts a proxy with a fault. Returns it with the environment of the function that has to use it.
    pub async fn start(stack: &Stack, fault: Fault) -> (Self, Environment) {
        let proxy = Self {
            http: local::loopback_client(),
            dynamodb_url: stack.dynamodb_url.clone(),
            vonage_url: stack.vonage_url.clone(),
            bus_url: stack.gateway_url.clone(),
            fault,
            requests: Arc::default(),
            crashed: watch::Sender::new(false),
            in_flight: watch::Sender::new(0),
        };
        let url = testkit::serve(Router::new().fallback(receive).with_state(proxy.clone())).await;
        let urls = ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_EVENTBRIDGE", "VONAGE_API_URL", "VONAGE_REST_URL"];
        let bucket = ("AWS_ENDPOINT_URL_S3".to_owned(), format!("{url}{}", objects::PATH));
        let urls = urls.map(|name| (name.to_owned(), url.clone())).into_iter().chain([bucket]);
        let environment = stack.environment.clone().with(urls);
        (proxy, environment)
    }

    /// Waits for the crash.
    pub async fn until_crash(&self) {
        self.crashed.subscribe().wait_for(|crashed| *crashed).await.unwrap();
    }

    /// Waits until all forwarded requests are carried out.
    pub async fn until_idle(&self) {
        self.in_flight.subscribe().wait_for(|count| *count == 0).await.unwrap();
    }

    /// Names of all requests up to the crash, in order.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    fn route(&self, request: &Parts) -> Routing {
        let Fault { request: position, kind } = self.fault;
        let mut requests = self.requests.lock().unwrap();
        if requests.len() >= position && kind.is_crash() {
            // The run was already sending this request when it crashed.
            return Routing { is_carried_out: false, answer: Answer::None };
        }
        requests.push(name(request));
        if requests.len() > position
            && kind.is_lasting()
            && aws_target(request).is_some_and(|target| target.starts_with("DynamoDB"))
        {
            return Routing { is_carried_out: false, answer: Answer::Failure };
        }
        let routing = match requests.len() == position {
            false => Routing { is_carried_out: true, answer: Answer::Own },
            true if kind.is_crash() => Routing { is_carried_out: kind.is_carried_out(), answer: Answer::None },
            true => Routing { is_carried_out: kind.is_carried_out(), answer: Answer::Failure },
        };
        if routing.is_carried_out {
            self.in_flight.send_modify(|count| *count += 1);
        }
        routing
    }

    async fn carry(self, request: Parts, body: Bytes) -> Response {
        let target = match aws_target(&request) {
            Some(target) if target.starts_with("AWSEvents") => &self.bus_url,
            Some(_) => &self.dynamodb_url,
            None if request.uri.path().starts_with(objects::PATH) => &self.bus_url,
            None => &self.vonage_url,
        };
        let request = self.http.request(request.method, format!("{target}{}", request.uri)).headers(request.headers);
        let answer = request.body(body).send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        let answer = (status, headers, answer.bytes().await.unwrap()).into_response();
        self.in_flight.send_modify(|count| *count -= 1);
        answer
    }
}

async fn receive(State(proxy): State<Proxy>, request: Request) -> Response {
    let (request, body) = request.into_parts();
    // An incomplete request was never sent, because its sender crashed.
    let Ok(body) = to_bytes(body, usize::MAX).await else { return pending().await };
    let routing = proxy.route(&request);
    let mut answer = StatusCode::INTERNAL_SERVER_ERROR.into_response();
    if routing.is_carried_out {
        // Runs in a separate task: a forwarded request is carried out even if its sender has crashed.
        let own = tokio::spawn(proxy.clone().carry(request, body)).await.unwrap();
        if routing.answer == Answer::Own {
            answer = own;
        }
    }
    if routing.answer == Answer::None {
        proxy.crashed.send_replace(true);
        return pending().await;
    }
    answer
}

/// The API and the operation of a request to AWS.
fn aws_target(request: &Parts) -> Option<&str> {
    request.headers.get("x-amz-target").map(|target| target.to_str().unwrap())
}

/// The operation of AWS, or the path at Vonage.
fn name(request: &Parts) -> String {
    let operation = aws_target(request);
    operation.and_then(|target| target.rsplit('.').next()).unwrap_or_else(|| request.uri.path()).to_owned()
}
