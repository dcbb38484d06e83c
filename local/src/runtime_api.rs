//! Lambda's Runtime API on loopback, for one process of a function.
//!
//! Source: AWS Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes".

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

/// The tracing header of an invocation that has no other.
const TRACE: &str = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0";

/// The longest time to wait for a function, start or answer.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A function's process broke the protocol of the Runtime API.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeApiError {
    /// The Runtime API could not listen.
    #[error("the Runtime API cannot listen: {0}")]
    Io(#[from] std::io::Error),
    /// It answered without an event.
    #[error("the function answered without an event")]
    NotAsked,
    /// It asked for the next event instead of answering.
    #[error("the function did not answer its event")]
    NoAnswer,
    /// Its answer is not JSON.
    #[error("the function's answer is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// It reported an error, in its own words.
    #[error("the function failed: {0}")]
    Failed(String),
    /// It neither asked for an event nor answered one in time.
    #[error("the function sent nothing within {TIMEOUT:?}")]
    Silent,
}

/// The Runtime API of one process.
pub struct RuntimeApi {
    address: SocketAddr,
    invocations: mpsc::Sender<Invocation>,
    seen: mpsc::Receiver<Seen>,
    server: JoinHandle<()>,
}

/// An event, and the tracing header that comes with it.
struct Invocation {
    event: Bytes,
    trace: String,
}

/// A message of the process, with the time of its arrival.
enum Seen {
    AskedForNext(Instant),
    Answered(Instant, Bytes),
    Failed(String),
}

struct Shared {
    invocations: Mutex<mpsc::Receiver<Invocation>>,
    seen: mpsc::Sender<Seen>,
}

impl RuntimeApi {
    /// Listens on a free port.
    pub async fn start() -> Result<Self, RuntimeApiError> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (invocations, waiting) = mpsc::channel(1);
        let (saw, seen) = mpsc::channel(4);
        let shared = Arc::new(Shared { invocations: Mutex::new(waiting), seen: saw });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(answered))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(failed))
            .route("/2018-06-01/runtime/init/error", post(failed))
            .with_state(shared);
        let server = tokio::spawn(async move {
            // Small answers must leave at once: a delay here would be measured as the function's.
            let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
                let _ = stream.set_nodelay(true);
            });
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, invocations, seen, server })
    }

    /// Returns the value of `AWS_LAMBDA_RUNTIME_API` for the process.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Waits until the process asks for its next event, and returns that time.
    pub async fn asked_for_next(&mut self) -> Result<Instant, RuntimeApiError> {
        match self.receive().await? {
            Seen::AskedForNext(at) => Ok(at),
            Seen::Answered(..) => Err(RuntimeApiError::NotAsked),
            Seen::Failed(error) => Err(RuntimeApiError::Failed(error)),
        }
    }

    /// Sends an event to the waiting process, and returns its answer with the time of arrival.
    pub async fn invoke(&mut self, event: Bytes) -> Result<(Instant, Value), RuntimeApiError> {
        self.invoke_in_trace(event, TRACE).await
    }

    /// Like [`RuntimeApi::invoke`], with this tracing header.
    pub async fn invoke_in_trace(&mut self, event: Bytes, trace: &str) -> Result<(Instant, Value), RuntimeApiError> {
        let invocation = Invocation { event, trace: trace.to_owned() };
        self.invocations.send(invocation).await.map_err(|_| RuntimeApiError::Silent)?;
        match self.receive().await? {
            Seen::Answered(at, answer) => Ok((at, serde_json::from_slice(&answer)?)),
            Seen::AskedForNext(_) => Err(RuntimeApiError::NoAnswer),
            Seen::Failed(error) => Err(RuntimeApiError::Failed(error)),
        }
    }

    async fn receive(&mut self) -> Result<Seen, RuntimeApiError> {
        let seen = tokio::time::timeout(TIMEOUT, self.seen.recv()).await;
        seen.ok().flatten().ok_or(RuntimeApiError::Silent)
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn next(State(shared): State<Arc<Shared>>) -> Response {
    let _ = shared.seen.send(Seen::AskedForNext(Instant::now())).await;
    let Some(Invocation { event, trace }) = shared.invocations.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let deadline = SystemTime::now() + Duration::from_secs(60);
    let deadline = deadline.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis().to_string();
    let headers = [
        ("content-type", "application/json"),
        ("lambda-runtime-aws-request-id", "00000000-0000-4000-8000-00000000000a"),
        ("lambda-runtime-deadline-ms", deadline.as_str()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:maskline"),
        ("lambda-runtime-trace-id", trace.as_str()),
    ];
    (headers, event).into_response()
}

async fn answered(State(shared): State<Arc<Shared>>, answer: Bytes) -> StatusCode {
    let _ = shared.seen.send(Seen::Answered(Instant::now(), answer)).await;
    StatusCode::ACCEPTED
}

async fn failed(State(shared): State<Arc<Shared>>, error: String) -> StatusCode {
    let _ = shared.seen.send(Seen::Failed(error)).await;
    StatusCode::ACCEPTED
}
