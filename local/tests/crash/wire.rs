//! The wire on which a function's requests go out, to DynamoDB and to Vonage alike. It can be cut at any request, or
//! bring a failure in place of the answer.

use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use local::stack::Stack;
use shared::config::Environment;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What happens to a run.
#[derive(Clone, Copy, Debug)]
pub struct Mishap {
    /// At its how-manieth request, from 1.
    pub request: usize,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The run dies, and the request is not carried out.
    DeathBefore,
    /// The run dies; the request was carried out.
    DeathAfter,
    /// The answer is a failure, and the request was not carried out.
    FailureBefore,
    /// The answer is a failure; the request was carried out.
    FailureAfter,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::DeathBefore, Self::DeathAfter, Self::FailureBefore, Self::FailureAfter];

    pub fn is_death(self) -> bool {
        matches!(self, Self::DeathBefore | Self::DeathAfter)
    }

    fn is_carried_out(self) -> bool {
        matches!(self, Self::DeathAfter | Self::FailureAfter)
    }
}

impl fmt::Display for Mishap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} request {}", self.kind, self.request)
    }
}

/// The wire of one run.
#[derive(Clone)]
pub struct Wire {
    http: reqwest::Client,
    dynamodb_url: String,
    vonage_url: String,
    mishap: Mishap,
    /// What has been asked, in order.
    asked: Arc<Mutex<Vec<String>>>,
    is_cut: watch::Sender<bool>,
    /// How many requests are on their way.
    in_flight: watch::Sender<usize>,
}

/// What becomes of a request.
#[derive(Clone, Copy)]
struct Fate {
    is_carried_out: bool,
    answer: Answer,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Own,
    Failure,
    None,
}

impl Wire {
    /// A wire with a mishap on it, and the environment of the function that is to use it.
    pub async fn lay(stack: &Stack, mishap: Mishap) -> (Self, Environment) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let wire = Self {
            http: local::loopback_client(),
            dynamodb_url: stack.dynamodb_url.clone(),
            vonage_url: stack.vonage_url.clone(),
            mishap,
            asked: Arc::default(),
            is_cut: watch::Sender::new(false),
            in_flight: watch::Sender::new(0),
        };
        let router = Router::new().fallback(receive).with_state(wire.clone());
        tokio::spawn(async { axum::serve(listener, router).await });
        let urls = ["AWS_ENDPOINT_URL_DYNAMODB", "VONAGE_API_URL", "VONAGE_REST_URL"];
        let environment = stack.environment.clone().with(urls.map(|name| (name.to_owned(), url.clone())));
        (wire, environment)
    }

    /// Comes back when the wire is cut.
    pub async fn is_cut(&self) {
        self.is_cut.subscribe().wait_for(|is_cut| *is_cut).await.unwrap();
    }

    /// Comes back when what was sent before the cut is carried out.
    pub async fn at_rest(&self) {
        self.in_flight.subscribe().wait_for(|count| *count == 0).await.unwrap();
    }

    /// What has been asked, in order; what came after the cut is not in here.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn fate(&self, request: &Parts) -> Fate {
        let Mishap { request: place, kind } = self.mishap;
        let mut asked = self.asked.lock().unwrap();
        if asked.len() >= place && kind.is_death() {
            // What the run had begun to send when it died.
            return Fate { is_carried_out: false, answer: Answer::None };
        }
        asked.push(name(request));
        let fate = match asked.len() == place {
            false => Fate { is_carried_out: true, answer: Answer::Own },
            true if kind.is_death() => Fate { is_carried_out: kind.is_carried_out(), answer: Answer::None },
            true => Fate { is_carried_out: kind.is_carried_out(), answer: Answer::Failure },
        };
        if fate.is_carried_out {
            self.in_flight.send_modify(|count| *count += 1);
        }
        fate
    }

    async fn carry(self, request: Parts, body: Bytes) -> Response {
        let target = if is_for_dynamodb(&request) { &self.dynamodb_url } else { &self.vonage_url };
        let request = self.http.request(request.method, format!("{target}{}", request.uri)).headers(request.headers);
        let answer = request.body(body).send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        let answer = (status, headers, answer.bytes().await.unwrap()).into_response();
        self.in_flight.send_modify(|count| *count -= 1);
        answer
    }
}

async fn receive(State(wire): State<Wire>, request: Request) -> Response {
    let (request, body) = request.into_parts();
    // One that is not there as a whole was never sent: its sender has died over it.
    let Ok(body) = to_bytes(body, usize::MAX).await else { return pending().await };
    let fate = wire.fate(&request);
    let mut answer = StatusCode::INTERNAL_SERVER_ERROR.into_response();
    if fate.is_carried_out {
        // In a task of its own: what was sent arrives, also when its sender is dead by then.
        let own = tokio::spawn(wire.clone().carry(request, body)).await.unwrap();
        if fate.answer == Answer::Own {
            answer = own;
        }
    }
    if fate.answer == Answer::None {
        wire.is_cut.send_replace(true);
        return pending().await;
    }
    answer
}

fn is_for_dynamodb(request: &Parts) -> bool {
    request.headers.contains_key("x-amz-target")
}

/// The operation of DynamoDB or the path of Vonage's API.
fn name(request: &Parts) -> String {
    let operation = request.headers.get("x-amz-target").map(|target| target.to_str().unwrap());
    operation.and_then(|target| target.rsplit('.').next()).unwrap_or_else(|| request.uri.path()).to_owned()
}
