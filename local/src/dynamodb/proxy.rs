//! A proxy in front of DynamoDB that injects the requested faults, counts operations, and records what functions ask for.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

use super::Dynamodb;
use super::access::AccessLog;
use super::capacity::CapacityQuery;
use super::changes::Changes;
use crate::connection::{self, Connection};
use crate::faults::{FailingService, Faults, STALE_OPERATION, apply};
use crate::trace::{self, Party, Trace};
use crate::traffic::{self, Counted, Service, Traffic, Usage};

/// Serves a proxy on `listener` until `stop` resolves.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    listener: TcpListener,
    proxy: Proxy,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    connection::serve(listener, Router::new().fallback(receive).with_state(proxy), stop).await
}

/// A proxy in front of the DynamoDB at `target`.
#[derive(Clone)]
pub struct Proxy {
    /// `http://…` of DynamoDB.
    pub target: String,
    /// The embedded DynamoDB, if it is the one at `target`. Requests that it carries out are not sent there, which would take
    /// longer than the work.
    pub embedded: Option<Dynamodb>,
    /// The client that forwards requests.
    pub http: reqwest::Client,
    /// The faults to inject.
    pub faults: Faults,
    /// The count of requests.
    pub traffic: Traffic,
    /// The record of what functions ask for, if there is one.
    pub access_log: Option<Arc<AccessLog>>,
    /// The trace of requests.
    pub trace: Trace,
    /// The reader of what writes change, if somebody wants to know.
    pub changes: Option<Arc<Changes>>,
}

async fn receive(
    State(proxy): State<Proxy>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let (request, body) = request.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else { return StatusCode::BAD_REQUEST.into_response() };
    let operation = operation(&request).to_owned();
    if let Some(Err(error)) = proxy.access_log.as_ref().map(|log| log.record(&request.headers, &operation, &body)) {
        tracing::error!(cause = %error, "an access to DynamoDB was not recorded");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let length = traffic::request_length(&request.method, &request.uri, &request.headers, body.len());
    let counted = proxy.traffic.request(Service::Dynamodb, &operation, length).await;
    let contains = |text: &str| String::from_utf8_lossy(&body).contains(text);
    let asked = proxy.trace.ask(
        Party::Function,
        Party::Table,
        &operation,
        || json!({"function": function(&request), "body": trace::body(&body)}),
    );
    let fault = proxy.faults.take_for_operation(&operation, || may_be_stale(&operation, &body), contains);
    let service = FailingService::DynamoDb { transaction: fault.as_ref().and_then(|_| items_of_transaction(&body)) };
    // In a task of its own: an operation that has arrived is carried out even if its sender stops waiting.
    let answer = async {
        match tokio::spawn(proxy.forward(request, body, counted)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => StatusCode::BAD_GATEWAY.into_response(),
        }
    };
    let answer = match fault {
        None => answer.await,
        Some(fault) => apply(fault, service, &connection, answer).await,
    };
    match asked {
        Some(asked) => trace::answered(asked, answer).await,
        None => answer,
    }
}

/// Returns the function that asks: on the laptop its session token is its name.
fn function(request: &Parts) -> Option<&str> {
    request.headers.get(super::access::TOKEN).and_then(|token| token.to_str().ok())
}

impl Proxy {
    async fn forward(self, mut request: Parts, body: Bytes, counted: Counted) -> reqwest::Result<Response> {
        let query = if counted.is_watched() { CapacityQuery::of(operation(&request), &body) } else { None };
        let operation = operation(&request).to_owned();
        let asked = query.as_ref().map_or(&body, |query| &query.body);
        let answer = async {
            // Without a signature, a request is refused.
            let embedded = self.embedded.as_ref().filter(|_| request.headers.contains_key(header::AUTHORIZATION));
            if let Some(answer) = embedded.and_then(|embedded| embedded.carry_out(&operation, asked)) {
                return Ok((StatusCode::OK, answer_headers(answer.as_bytes()), answer.into()));
            }
            let path = request.uri.path_and_query().map_or("/", |path| path.as_str());
            let forwarded = self.http.request(request.method, format!("{}{path}", self.target));
            request.headers.remove(header::CONTENT_LENGTH);
            let answer = forwarded.headers(request.headers).body(asked.clone()).send().await?;
            Ok::<_, reqwest::Error>((answer.status(), answer.headers().clone(), answer.bytes().await?))
        };
        let answer = match &self.changes {
            Some(changes) => changes.around(&operation, &body, answer).await,
            None => answer.await,
        };
        let (status, mut headers, mut body) = answer?;
        // The body is passed on in one piece, even if it arrived in chunks.
        headers.remove(header::TRANSFER_ENCODING);
        let mut usage = Usage::default();
        if let Some(query) = query {
            (body, usage) = query.answer(body);
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
            headers.insert(CHECKSUM, HeaderValue::from(crc32fast::hash(&body)));
        }
        usage.bytes_in = traffic::answer_length(status, &headers, body.len()) as u64;
        counted.answer(usage);
        Ok((status, headers, body).into_response())
    }
}

/// Returns the headers of an answer with this body, as DynamoDB has them.
fn answer_headers(body: &[u8]) -> HeaderMap {
    let id: String = [Uuid::new_v4(), Uuid::new_v4()].iter().map(|id| id.as_simple().to_string()).collect();
    let id = HeaderValue::try_from(id[..ID_LENGTH].to_uppercase());
    HeaderMap::from_iter(
        [
            Some((header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"))),
            Some((header::CONTENT_LENGTH, body.len().into())),
            Some((CHECKSUM, crc32fast::hash(body).into())),
            id.ok().map(|id| (HeaderName::from_static("x-amzn-requestid"), id)),
        ]
        .into_iter()
        .flatten(),
    )
}

/// The number of characters of DynamoDB's request ids.
const ID_LENGTH: usize = 52;

/// The header with the CRC-32 of DynamoDB's answer.
const CHECKSUM: HeaderName = HeaderName::from_static("x-amz-crc32");

/// Returns the operation's name, empty for a request that is not DynamoDB's.
fn operation(request: &Parts) -> &str {
    let target = request.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    target.and_then(|target| target.rsplit('.').next()).unwrap_or_default()
}

/// True if DynamoDB may answer with data that is up to about a second old.
fn may_be_stale(operation: &str, body: &[u8]) -> bool {
    let is_consistent = || serde_json::from_slice::<Value>(body).is_ok_and(|request| request["ConsistentRead"] == true);
    operation == STALE_OPERATION && !is_consistent()
}

fn items_of_transaction(body: &[u8]) -> Option<usize> {
    let request: Value = serde_json::from_slice(body).ok()?;
    Some(request.get("TransactItems")?.as_array()?.len())
}
