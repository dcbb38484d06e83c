//! The trace of the laptop: what Vonage, the gateway, the functions and the table say to each other, and what is on the phones.
//! The console draws it. It has real numbers, as everything has that the simulator shows, and no secret.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::to_bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::feed::Feed;
use crate::load::Sample;

/// Number of entries that are kept.
const KEPT: usize = 2_000;

/// Headers that carry credentials.
const CREDENTIALS: [&str; 3] = ["authorization", "x-amz-security-token", "cookie"];

/// The time after a sample of a load in which nothing else is recorded, unless it is the last one. There is one each second.
const LOAD_GOES_ON: Duration = Duration::from_secs(5);

/// Text in the place of a secret.
const HIDDEN: &str = "(hidden)";

/// A participant of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Party {
    /// The simulated Vonage.
    Vonage,
    /// Whoever else uses the API, such as a backend.
    Client,
    /// The HTTP API.
    Gateway,
    /// A Lambda function.
    Function,
    /// DynamoDB.
    Table,
}

/// The trace. Nothing is recorded until somebody looks, so that it costs those nothing who do not.
#[derive(Clone, Default)]
pub struct Trace(Option<Arc<Recorder>>);

struct Recorder {
    feed: Feed<Arc<str>>,
    /// True from the first look on.
    is_watched: AtomicBool,
    since: Instant,
    /// Milliseconds after `since` until which only a load is recorded: its messages would push everything else out, and cost it time.
    only_load_until: AtomicU64,
    /// Texts that no entry shows.
    secrets: Vec<String>,
}

/// A request whose answer has not come yet.
pub struct Asked {
    recorder: Arc<Recorder>,
    began: Instant,
    entry: Map<String, Value>,
}

impl Trace {
    /// Creates a trace that shows none of `secrets`.
    pub fn without(secrets: impl IntoIterator<Item = String>) -> Self {
        let secrets = secrets.into_iter().filter(|secret| !secret.is_empty()).collect();
        Self(Some(Arc::new(Recorder {
            feed: Feed::keeping(KEPT),
            is_watched: AtomicBool::new(false),
            since: Instant::now(),
            only_load_until: AtomicU64::new(0),
            secrets,
        })))
    }

    /// Returns the entries as they come, each in JSON, and records from now on; none if there is no trace.
    pub fn watch(&self) -> Option<Feed<Arc<str>>> {
        let recorder = self.0.as_ref()?;
        recorder.is_watched.store(true, Ordering::Relaxed);
        Some(recorder.feed.clone())
    }

    fn recorder(&self) -> Option<&Arc<Recorder>> {
        self.0.as_ref().filter(|recorder| recorder.is_watched.load(Ordering::Relaxed) && !recorder.is_under_load())
    }

    /// Begins the entry of a request. `detail` is called only if it is recorded.
    pub fn ask(&self, from: Party, to: Party, name: &str, detail: impl FnOnce() -> Value) -> Option<Asked> {
        let recorder = self.recorder()?.clone();
        let entry = json!({
            "kind": "message",
            "at": Timestamp::now().as_microsecond(),
            "from": from,
            "to": to,
            "name": name,
            "detail": detail(),
        });
        let Value::Object(entry) = entry else { return None };
        Some(Asked { recorder, began: Instant::now(), entry })
    }

    /// Records the state of a call of the simulator. `report` is called only if it is recorded.
    pub fn call<T: Serialize>(&self, report: impl FnOnce() -> T) {
        if let Some(recorder) = self.recorder() {
            recorder.put(&json!({"kind": "call", "report": report()}));
        }
    }

    /// Records how a load goes, also if nobody looks yet.
    pub fn load(&self, sample: &Sample) {
        if let Some(recorder) = &self.0 {
            let until = if sample.is_over { Duration::ZERO } else { recorder.since.elapsed() + LOAD_GOES_ON };
            recorder.only_load_until.store(until.as_millis() as u64, Ordering::Relaxed);
            recorder.put(&json!({"kind": "load", "sample": sample}));
        }
    }
}

impl Asked {
    /// Records the request with its answer.
    pub fn answered(mut self, status: StatusCode, answer: Value) {
        self.entry.insert("microseconds".into(), json!(self.began.elapsed().as_micros() as u64));
        self.entry.insert("status".into(), json!(status.as_u16()));
        self.entry.insert("answer".into(), answer);
        self.recorder.put(&Value::Object(self.entry));
    }
}

impl Recorder {
    fn is_under_load(&self) -> bool {
        self.since.elapsed().as_millis() < self.only_load_until.load(Ordering::Relaxed).into()
    }

    fn put(&self, entry: &Value) {
        let mut text = entry.to_string();
        for secret in &self.secrets {
            // As it is written within JSON, where a key in PEM has escaped line ends.
            let written = Value::from(secret.as_str()).to_string();
            text = text.replace(written.trim_matches('"'), HIDDEN);
        }
        self.feed.put(text.into());
    }
}

/// Records the request with this answer, and passes the answer on.
pub(crate) async fn answered(asked: Asked, answer: Response) -> Response {
    let (parts, bytes) = answer.into_parts();
    let bytes = to_bytes(bytes, usize::MAX).await.unwrap_or_default();
    asked.answered(parts.status, body(&bytes));
    Response::from_parts(parts, bytes.into())
}

/// Returns headers for an entry, without credentials.
pub fn headers(headers: &HeaderMap) -> Value {
    let shown = headers.iter().map(|(name, value)| {
        let value = if CREDENTIALS.contains(&name.as_str()) {
            HIDDEN.into()
        } else {
            String::from_utf8_lossy(value.as_bytes())
        };
        (name.to_string(), Value::from(value))
    });
    shown.collect::<Map<_, _>>().into()
}

/// Returns an API Gateway event for an entry, without credentials.
pub fn event(event: &Value) -> Value {
    let mut event = event.clone();
    for (name, value) in event["headers"].as_object_mut().into_iter().flatten() {
        if CREDENTIALS.contains(&name.as_str()) {
            *value = HIDDEN.into();
        }
    }
    if let Some(cookies) = event.get_mut("cookies") {
        *cookies = HIDDEN.into();
    }
    event
}

/// Returns a body for an entry: JSON as it is, everything else as text.
pub fn body(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into())
}
