//! A stand-in for X-Ray's daemon, which checks each document that it gets.
//!
//! Source: AWS X-Ray Developer Guide, "Sending trace data" and "Segment documents".

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The largest document that X-Ray takes, in bytes.
const MOST_BYTES: usize = 64 * 1024;

/// The longest time to wait for a document.
const PATIENCE: Duration = Duration::from_secs(60);

/// A socket on this machine that gets traces.
pub struct TraceCollector {
    socket: UdpSocket,
    address: String,
}

impl TraceCollector {
    /// Listens on a free port.
    pub fn listen() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap().to_string();
        Self { socket, address }
    }

    /// Returns the value of `AWS_XRAY_DAEMON_ADDRESS`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the documents that have arrived since the last one.
    pub fn arrived(&self) -> Vec<Value> {
        std::iter::from_fn(|| self.receive()).collect()
    }

    /// Waits for the subsegment of an invocation of `function`, and returns the documents until then. It is the last one.
    pub async fn invocation(&self, function: &str) -> Vec<Value> {
        let (mut documents, began): (Vec<Value>, _) = (Vec::new(), Instant::now());
        while documents.last().is_none_or(|last| last["name"] != function) {
            match self.receive() {
                Some(document) => documents.push(document),
                None => tokio::task::yield_now().await,
            }
            assert!(began.elapsed() < PATIENCE, "{function} sends no subsegment of its own: {documents:?}");
        }
        documents
    }

    fn receive(&self) -> Option<Value> {
        let mut message = vec![0; 2 * MOST_BYTES];
        let length = match self.socket.recv(&mut message) {
            Ok(length) => length,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return None;
            }
        };
        let message = std::str::from_utf8(&message[..length]).unwrap();
        let (preamble, document) = message.split_once('\n').unwrap();
        assert_eq!(preamble, r#"{"format": "json", "version": 1}"#);
        assert!(document.len() <= MOST_BYTES, "{} bytes", document.len());
        let document = serde_json::from_str(document).unwrap();
        check(&document);
        Some(document)
    }
}

/// Fails unless `document` is a subsegment in X-Ray's form.
fn check(document: &Value) {
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_short = |value: &Value| value.as_str().is_some_and(|text| (1..=250).contains(&text.len()));
    for (name, value) in document.as_object().unwrap() {
        let is_valid = match name.as_str() {
            "type" => value == "subsegment",
            "id" | "parent_id" => value.as_str().is_some_and(|id| id.len() == 16 && is_hex(id)),
            "trace_id" => {
                let parts: Vec<_> = value.as_str().unwrap_or_default().split('-').collect();
                matches!(parts[..], ["1", time, random]
                    if time.len() == 8 && random.len() == 24 && is_hex(time) && is_hex(random))
            }
            "name" => {
                let is_allowed = |letter: char| letter.is_alphanumeric() || r" _.:/%&#=+\-@".contains(letter);
                value.as_str().is_some_and(|name| (1..=200).contains(&name.len()) && name.chars().all(is_allowed))
            }
            "start_time" => value.as_f64().is_some_and(|began| began > 1.5e9),
            "end_time" => value.as_f64() >= document["start_time"].as_f64(),
            "namespace" => value == "aws" || value == "remote",
            "error" | "fault" | "throttle" => value.is_boolean(),
            "http" => value.as_object().unwrap().iter().all(|(name, value)| match name.as_str() {
                "request" => value.as_object().unwrap().values().all(is_short),
                "response" => value["status"].as_u64().is_some_and(|status| (100..600).contains(&status)),
                _ => false,
            }),
            "aws" => value.as_object().unwrap().iter().all(|(name, value)| match name.as_str() {
                "operation" | "table_name" => is_short(value),
                "retries" => value.is_u64(),
                _ => false,
            }),
            "annotations" => value.as_object().unwrap().iter().all(|(name, value)| {
                name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                    && (value.is_u64() || is_short(value))
            }),
            _ => false,
        };
        assert!(is_valid, "{name} of {document}");
    }
    for required in ["type", "id", "parent_id", "trace_id", "name", "start_time", "end_time"] {
        assert!(document.get(required).is_some(), "{required} is missing in {document}");
    }
}
