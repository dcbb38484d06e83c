//! `maskline facade`: the API of Twilio Proxy and the proxy sessions of the Amazon Chime SDK, in front of a laptop stack.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

mod chime;
mod twilio;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{Method as AxumMethod, StatusCode};
use axum::response::{IntoResponse, Response};
use clap::Parser;
use local::commands::ApiCommand;
use local::commands::facade::{self, Facade};
use reqwest::Method;
use serde_json::Value;
use shared::config::Environment;
use testkit::{Laptop, RIDER};

/// The phones of rider and driver as a backend writes them.
const PHONES: [&str; 2] = ["+447700900001", "+447700900002"];

#[derive(Parser)]
struct CommandLine {
    #[command(subcommand)]
    command: ApiCommand,
}

/// Starts a façade by its command line.
async fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Facade, String> {
    let line = CommandLine::try_parse_from([&["maskline", "facade"], arguments].concat());
    let ApiCommand::Facade(group) = line.map_err(|error| error.to_string())?.command else { panic!("another command") };
    let environment: Environment = environment.iter().copied().collect();
    facade::start(&group, &environment).await.map_err(|error| error.to_string())
}

async fn conversations(laptop: &Laptop) -> Vec<Value> {
    laptop.get(&format!("/conversations?number=%2B{RIDER}")).await.body["conversations"].as_array().unwrap().clone()
}

/// Serves a way to the gateway on which the answers to the first `lost` creations get lost. Returns its URL.
async fn lossy(gateway: &str, lost: usize) -> String {
    let (gateway, lost, http) = (gateway.to_owned(), Arc::new(AtomicUsize::new(lost)), local::loopback_client());
    let forward = async move |request: Request| -> Response {
        let (parts, body) = request.into_parts();
        let method = Method::from_bytes(parts.method.as_str().as_bytes()).unwrap();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let mut sent = http.request(method, format!("{gateway}{}", parts.uri)).body(body);
        for name in ["content-type", "idempotency-key"] {
            if let Some(value) = parts.headers.get(name) {
                sent = sent.header(name, value.as_bytes());
            }
        }
        let answer = sent.send().await.unwrap();
        let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
        let body = answer.bytes().await.unwrap();
        let loses = |left: usize| left.checked_sub(1);
        if parts.method == AxumMethod::POST && lost.fetch_update(Ordering::SeqCst, Ordering::SeqCst, loses).is_ok() {
            return StatusCode::GATEWAY_TIMEOUT.into_response();
        }
        (status, Body::from(body)).into_response()
    };
    testkit::serve(Router::new().fallback(forward)).await
}
