//! Traces of X-Ray: the id of the trace that an invocation belongs to, and the parts of it that are recorded.
//!
//! Lambda tells each invocation its trace, and if the trace is sampled. Of a sampled one, a subsegment for the invocation and one
//! for each request to another service go to X-Ray's daemon by UDP. Nothing waits for them. Of any other, nothing is measured and
//! no socket is opened. There is no SDK in it: those for OpenTelemetry are larger than a whole function here, and a start pays
//! for each byte.
//!
//! No subsegment has a phone number or a text: those for requests have names of operations and tables, and paths without the
//! parts that are values.
//!
//! Source: AWS X-Ray Developer Guide, "Segment documents".

mod daemon;
mod header;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use daemon::Daemon;
pub use header::{NAME as HEADER, TraceHeader};

/// The most requests of one invocation that are recorded. A schedule may send thousands, and X-Ray takes 500 KB for a trace.
pub const MOST_REQUESTS: u32 = 100;

tokio::task_local! {
    /// The trace of the invocation that this task works for.
    static TRACE: Option<Arc<Trace>>;
}

/// The place to which sampled traces are sent. The default sends none.
#[derive(Debug, Clone, Default)]
pub struct Tracer(Option<Arc<Daemon>>);

/// The trace that an invocation belongs to.
#[derive(Debug)]
struct Trace {
    header: TraceHeader,
    /// Present if the trace is sampled, and there is a daemon.
    recording: Option<Recording>,
}

/// The subsegment of an invocation, while the invocation runs.
#[derive(Debug)]
struct Recording {
    daemon: Arc<Daemon>,
    name: &'static str,
    id: String,
    began: Timestamp,
    /// The number of requests to other services so far.
    requests: AtomicU32,
    facts: Mutex<Facts>,
}

/// The facts that an invocation tells about itself at its end.
#[derive(Debug, Default)]
struct Facts {
    status: Option<u16>,
    annotations: Map<String, Value>,
}

/// A request to another service that is under way. Its subsegment is sent when this is dropped, also if the request is given up.
#[derive(Debug)]
pub struct Outgoing {
    trace: Arc<Trace>,
    began: Timestamp,
    target: Target,
    answer: OnceLock<Answer>,
}

/// The other service, and what it is asked for.
#[derive(Debug)]
pub enum Target {
    /// DynamoDB.
    Table {
        /// The operation, such as `GetItem`.
        operation: String,
        /// The name of the table, or of the first of several.
        table: String,
    },
    /// An HTTP API.
    Http {
        /// The method.
        method: String,
        /// The protocol.
        scheme: String,
        /// The host.
        host: String,
        /// The path, without what [`path_template`] leaves out.
        path: String,
    },
}

#[derive(Debug, Clone, Copy)]
struct Answer {
    status: u16,
    retries: u32,
}

impl Tracer {
    /// Sends traces to the daemon at this address, which is that of `AWS_XRAY_DAEMON_ADDRESS`. An address that cannot be read is
    /// no reason to answer no call: then there are no traces.
    pub fn new(address: Option<&str>) -> Self {
        Self(address.and_then(Daemon::at).map(Arc::new))
    }

    /// Runs the work of an invocation of the function `name`, as a part of the trace that the header names.
    pub async fn follow<T>(&self, name: &'static str, header: Option<&str>, work: impl Future<Output = T>) -> T {
        let trace = header.and_then(TraceHeader::parse).map(|header| Arc::new(self.begin(name, header)));
        let result = TRACE.scope(trace.clone(), work).await;
        if let Some(trace) = trace {
            trace.end();
        }
        result
    }

    fn begin(&self, name: &'static str, header: TraceHeader) -> Trace {
        // Without a parent the subsegment would belong to nothing.
        let is_recorded = header.is_sampled && header.parent.is_some();
        let recording = self.0.as_ref().filter(|_| is_recorded).map(|daemon| Recording {
            daemon: daemon.clone(),
            name,
            id: new_id(),
            began: Timestamp::now(),
            requests: AtomicU32::new(0),
            facts: Mutex::default(),
        });
        Trace { header, recording }
    }
}

impl Trace {
    fn end(&self) {
        let Some(recording) = &self.recording else { return };
        let facts = std::mem::take(&mut *recording.facts.lock().unwrap_or_else(PoisonError::into_inner));
        let mut annotations = facts.annotations;
        annotations.insert("requests".to_owned(), recording.requests.load(Ordering::Relaxed).into());
        let mut document = self.document(recording.began, recording.name);
        document["id"] = json!(recording.id);
        document["parent_id"] = json!(self.header.parent);
        document["annotations"] = annotations.into();
        mark(&mut document, facts.status);
        recording.daemon.send(&document);
    }

    /// Returns what every subsegment has.
    fn document(&self, began: Timestamp, name: &str) -> Value {
        let seconds = |time: Timestamp| time.as_microsecond() as f64 / 1e6;
        let end = Timestamp::now().max(began);
        json!({"type": "subsegment", "trace_id": self.header.root, "name": name,
               "start_time": seconds(began), "end_time": seconds(end)})
    }
}

impl Outgoing {
    /// Takes the HTTP status of the answer, and how often the request was sent again before.
    pub fn answered(&self, status: u16, retries: u32) {
        let _ = self.answer.set(Answer { status, retries });
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        let Some(recording) = &self.trace.recording else { return };
        let answer = self.answer.get();
        let status = answer.map(|answer| answer.status);
        let response = status.map(|status| json!({"status": status}));
        let mut document = match &self.target {
            Target::Table { operation, table } => {
                let mut document = self.trace.document(self.began, "DynamoDB");
                document["namespace"] = json!("aws");
                document["aws"] = json!({"operation": operation, "table_name": table});
                if let Some(answer) = answer {
                    document["aws"]["retries"] = json!(answer.retries);
                }
                document["http"] = response.map_or(json!({}), |response| json!({"response": response}));
                document
            }
            Target::Http { method, scheme, host, path } => {
                let mut document = self.trace.document(self.began, host);
                let request = json!({"method": method, "url": format!("{scheme}://{host}{path}")});
                document["namespace"] = json!("remote");
                document["http"] = json!({"request": request});
                if let Some(response) = response {
                    document["http"]["response"] = response;
                }
                document
            }
        };
        document["id"] = json!(new_id());
        document["parent_id"] = json!(recording.id);
        // No answer is a failure of the other side.
        mark(&mut document, Some(status.unwrap_or(500)));
        recording.daemon.send(&document);
    }
}

/// Marks the subsegment of a failure, as X-Ray distinguishes them.
fn mark(document: &mut Value, status: Option<u16>) {
    match status {
        Some(429) => (document["throttle"], document["error"]) = (json!(true), json!(true)),
        Some(400..=499) => document["error"] = json!(true),
        Some(500..) => document["fault"] = json!(true),
        _ => {}
    }
}

/// Returns the id of the trace that this task works for.
pub fn trace_id() -> Option<String> {
    current().map(|trace| trace.header.root.clone())
}

/// Returns the tracing header for a request that goes on with the trace of this task, such as the invocation of another function.
pub fn header_to_pass_on() -> Option<String> {
    let trace = current()?;
    let own = trace.recording.as_ref().map(|recording| recording.id.clone());
    Some(TraceHeader { parent: own.or_else(|| trace.header.parent.clone()), ..trace.header.clone() }.to_string())
}

/// Begins a request to another service. `None`, at no cost, if the trace of this task is not recorded, or has enough.
pub fn outgoing(target: impl FnOnce() -> Target) -> Option<Outgoing> {
    let trace = current()?;
    let before = trace.recording.as_ref()?.requests.fetch_add(1, Ordering::Relaxed);
    (before < MOST_REQUESTS).then(|| Outgoing {
        began: Timestamp::now(),
        target: target(),
        answer: OnceLock::new(),
        trace,
    })
}

/// Takes the HTTP status with which the invocation of this task ends, and annotations by which its trace is found. They are asked
/// for only if the trace is recorded.
pub fn conclude<const N: usize>(status: u16, annotations: impl FnOnce() -> [(&'static str, Option<String>); N]) {
    let Some(trace) = current() else { return };
    let Some(recording) = &trace.recording else { return };
    let mut facts = recording.facts.lock().unwrap_or_else(PoisonError::into_inner);
    facts.status = Some(status);
    facts.annotations.insert("status".to_owned(), status.into());
    let given = annotations().into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
    facts.annotations.extend(given);
}

/// Returns a path in which `{id}` stands for each part that may be a value: all with a digit, but for versions such as `v1`.
pub fn path_template(path: &str) -> String {
    let is_version = |part: &str| {
        part.strip_prefix('v')
            .is_some_and(|number| number.len() == 1 && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let is_word = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphabetic() || b"-_.".contains(&byte));
    let shown = path.split('/').map(|part| if is_version(part) || is_word(part) { part } else { "{id}" });
    shown.collect::<Vec<_>>().join("/")
}

fn current() -> Option<Arc<Trace>> {
    TRACE.try_with(Clone::clone).ok().flatten()
}

fn new_id() -> String {
    format!("{:016x}", fastrand::u64(..))
}

#[cfg(test)]
mod tests;
