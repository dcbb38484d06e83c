//! The wire on which a function's requests go out, to DynamoDB and to Vonage alike. It can be cut at any request.

use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use local::stack::Stack;
use shared::config::Environment;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Where a run dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// At its how-manieth request, from 1.
    pub request: usize,
    pub moment: Moment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The request is not carried out.
    Before,
    /// It is carried out, and its answer does not come.
    After,
}

impl Moment {
    pub const BOTH: [Self; 2] = [Self::Before, Self::After];
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = if self.moment == Moment::Before { "before" } else { "after" };
        write!(f, "{moment} request {}", self.request)
    }
}

/// The wire of one run.
#[derive(Clone)]
pub struct Wire {
    http: reqwest::Client,
    dynamodb_url: String,
    vonage_url: String,
    cut: Cut,
    /// What has been asked, in order.
    asked: Arc<Mutex<Vec<String>>>,
    is_cut: watch::Sender<bool>,
    /// How many requests are on their way.
    in_flight: watch::Sender<usize>,
}

enum Fate {
    Answered,
    /// Carried out, and nobody hears of it.
    Unheard,
    Lost,
}

impl Wire {
    /// A wire for a run that is to die at `cut`, and the environment of the function that is to use it.
    pub async fn lay(stack: &Stack, cut: Cut) -> (Self, Environment) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let wire = Self {
            http: local::loopback_client(),
            dynamodb_url: stack.dynamodb_url.clone(),
            vonage_url: stack.vonage_url.clone(),
            cut,
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
        let mut asked = self.asked.lock().unwrap();
        if asked.len() == self.cut.request {
            return Fate::Lost;
        }
        asked.push(name(request));
        let fate = match self.cut {
            Cut { request, .. } if asked.len() < request => Fate::Answered,
            Cut { moment: Moment::After, .. } => Fate::Unheard,
            Cut { moment: Moment::Before, .. } => {
                self.is_cut.send_replace(true);
                return Fate::Lost;
            }
        };
        self.in_flight.send_modify(|count| *count += 1);
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
    if let Fate::Lost = fate {
        return pending().await;
    }
    // In a task of its own: what was sent arrives, also when its sender is dead by then.
    let answer = tokio::spawn(wire.clone().carry(request, body)).await.unwrap();
    if let Fate::Unheard = fate {
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
