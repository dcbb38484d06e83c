//! A proxy in front of DynamoDB that lets operations meet the faults that were ordered for them, and keeps a list of them.

use std::io;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Barrier;

use crate::connection::{self, Connection};
use crate::faults::{Asked, Faults, meet};

/// What is asked of DynamoDB.
#[derive(Clone, Debug, Default)]
pub struct Traffic(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    operations: Vec<String>,
    /// Where so many requests wait for one another.
    together: Option<Arc<Barrier>>,
}

impl Traffic {
    /// The operations since the last look, in the order in which they came.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.seen().operations)
    }

    /// Lets the next requests wait until `count` have come: that many are sent side by side, or none is answered.
    pub fn expect_together(&self, count: usize) {
        self.seen().together = Some(Arc::new(Barrier::new(count)));
    }

    async fn pass(&self, operation: &str) {
        let together = {
            let mut seen = self.seen();
            seen.operations.push(operation.to_owned());
            seen.together.clone()
        };
        if let Some(together) = together
            && together.wait().await.is_leader()
        {
            self.seen().together = None;
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().expect("no code panics while it holds what was seen")
    }
}

/// Serves the DynamoDB at `target` on `listener` until `stop` resolves.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    target: String,
    faults: Faults,
    traffic: Traffic,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let proxy = Proxy { target, http: crate::loopback_client(), faults, traffic };
    connection::serve(listener, Router::new().fallback(receive).with_state(proxy), stop).await
}

#[derive(Clone)]
struct Proxy {
    target: String,
    http: reqwest::Client,
    faults: Faults,
    traffic: Traffic,
}

async fn receive(
    State(proxy): State<Proxy>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let (request, body) = request.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else { return StatusCode::BAD_REQUEST.into_response() };
    let operation = operation(&request).to_owned();
    proxy.traffic.pass(&operation).await;
    let fault = proxy.faults.of_operation(&operation, |text| String::from_utf8_lossy(&body).contains(text));
    let asked = Asked::DynamoDb { transaction: fault.as_ref().and_then(|_| items_of_transaction(&body)) };
    // In a task of its own: what has arrived is carried out, also when nobody waits for the answer any more.
    let answer = async {
        match tokio::spawn(proxy.forward(request, body)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => StatusCode::BAD_GATEWAY.into_response(),
        }
    };
    match fault {
        None => answer.await,
        Some(fault) => meet(fault, asked, &connection, answer).await,
    }
}

impl Proxy {
    async fn forward(self, request: Parts, body: Bytes) -> reqwest::Result<Response> {
        let path = request.uri.path_and_query().map_or("/", |path| path.as_str());
        let forwarded = self.http.request(request.method.clone(), format!("{}{path}", self.target));
        let answer = forwarded.headers(request.headers).body(body).send().await?;
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        // The body goes on as a whole, however it came.
        headers.remove(header::TRANSFER_ENCODING);
        Ok((status, headers, answer.bytes().await?).into_response())
    }
}

/// The operation's name; empty if it is no request of DynamoDB's.
fn operation(request: &Parts) -> &str {
    let target = request.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    target.and_then(|target| target.rsplit('.').next()).unwrap_or_default()
}

fn items_of_transaction(body: &[u8]) -> Option<usize> {
    let request: Value = serde_json::from_slice(body).ok()?;
    Some(request.get("TransactItems")?.as_array()?.len())
}
