//! A small backend that answers at a decision URL, or gets events, for the demo and for tests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// A secret with which the questions to this backend are signed. It protects nothing.
pub const SECRET: &str = "whsec_bGFwdG9wLWRlY2lzaW9uLXNlY3JldC1vZi0zMi1i";

/// The backend. It listens until it is dropped.
#[derive(Debug)]
pub struct DecisionBackend {
    /// Its decision URL.
    pub url: String,
    shared: Arc<Shared>,
    server: tokio::task::JoinHandle<()>,
}

/// A question that it got.
#[derive(Debug, Clone)]
pub struct Received {
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

/// Its answer to every question.
#[derive(Debug, Clone)]
pub enum Reply {
    /// 200 with this JSON.
    Json(Value),
    /// This status and this body.
    Raw(u16, String),
    /// A redirect to this address.
    Redirect(String),
    /// This status, and `Retry-After` with these seconds.
    Later(u16, u64),
    /// None: the connection stays open.
    Never,
}

#[derive(Debug)]
struct Shared {
    reply: Mutex<Reply>,
    received: Mutex<Vec<Received>>,
    count: watch::Sender<usize>,
}

impl DecisionBackend {
    /// Starts a backend on a free port of this machine.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(reply: Reply) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/decide", listener.local_addr()?);
        let (count, _) = watch::channel(0);
        let shared = Arc::new(Shared { reply: Mutex::new(reply), received: Mutex::default(), count });
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let server = tokio::spawn(async { _ = axum::serve(listener, router).await });
        Ok(Self { url, shared, server })
    }

    /// Returns the variables of functions that may ask this backend.
    pub fn variables(&self) -> [(&'static str, &str); 3] {
        [("DECISIONS", "on"), ("DECISION_URLS", &self.url), ("DECISION_SECRET", SECRET)]
    }

    /// Sets the answer to further questions.
    pub fn replies(&self, reply: Reply) {
        *lock(&self.shared.reply) = reply;
    }

    /// Returns the questions so far.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.shared.received).clone()
    }

    /// Waits until it has got this number of questions.
    pub async fn has_received(&self, questions: usize) {
        // An error means that the backend was dropped.
        let _ = self.shared.count.subscribe().wait_for(|count| *count >= questions).await;
    }
}

impl Drop for DecisionBackend {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let body = String::from_utf8_lossy(&body).into_owned();
    lock(&shared.received).push(Received { headers, body });
    shared.count.send_modify(|count| *count += 1);
    let reply = lock(&shared.reply).clone();
    match reply {
        Reply::Json(body) => axum::Json(body).into_response(),
        Reply::Raw(status, body) => (StatusCode::from_u16(status).unwrap_or_default(), body).into_response(),
        Reply::Redirect(to) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response(),
        Reply::Later(status, seconds) => {
            let status = StatusCode::from_u16(status).unwrap_or_default();
            (status, [(header::RETRY_AFTER, seconds.to_string())]).into_response()
        }
        Reply::Never => std::future::pending().await,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
