//! All faults that can be injected, and the requests that they apply to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use local::traffic::{Exchange, Service};
use serde_json::{Value, json};

/// The requests that a fault applies to: the member of the rule (`path`, `operation` or `webhook`) and its value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target(pub &'static str, pub String);

impl Target {
    pub fn path(path: &str) -> Self {
        Self("path", path.to_owned())
    }

    pub fn operation(operation: &str) -> Self {
        Self("operation", operation.to_owned())
    }

    pub fn webhook(webhook: &str) -> Self {
        Self("webhook", webhook.to_owned())
    }

    /// The target of one request.
    pub fn of(exchange: &Exchange) -> Self {
        match exchange.service {
            Service::Dynamodb => Self::operation(&exchange.name),
            Service::Vonage => Self::path(&exchange.name),
        }
    }

    /// All faults that apply to this target.
    pub fn faults(&self) -> Vec<Value> {
        match self.0 {
            "path" => [of_requests(), of_vonage()].concat(),
            "operation" if self.1 == "GetItem" => [of_requests(), of_dynamodb(), of_reads()].concat(),
            "operation" => [of_requests(), of_dynamodb()].concat(),
            _ if self.1 == "event_url" => [of_webhooks(), of_events()].concat(),
            _ => of_webhooks(),
        }
    }

    /// The rule that injects `fault` into `times` requests after the first `skip` ones.
    pub fn rule(&self, fault: &Value, skip: u32, times: u32) -> Value {
        json!({self.0: self.1, "skip": skip, "times": times, "fault": fault})
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.1)
    }
}

/// The targets that each step of the flow uses.
pub type RequestsByStep = BTreeMap<&'static str, BTreeSet<Target>>;

fn of_requests() -> Vec<Value> {
    vec![
        json!({"kind": "status", "status": 500}),
        json!({"kind": "status", "status": 503}),
        json!({"kind": "status_after", "status": 500}),
        json!({"kind": "not_json"}),
        json!({"kind": "truncated"}),
        json!({"kind": "delay", "milliseconds": 1}),
        json!({"kind": "hang"}),
        json!({"kind": "hang_after"}),
        json!({"kind": "close_before"}),
        json!({"kind": "close_after"}),
    ]
}

fn of_vonage() -> Vec<Value> {
    vec![
        json!({"kind": "status", "status": 401}),
        json!({"kind": "status", "status": 420}),
        json!({"kind": "status", "status": 429}),
        json!({"kind": "status", "status": 429, "retry_after": 0}),
        json!({"kind": "status", "status": 429, "retry_after": 3600}),
    ]
}

fn of_dynamodb() -> Vec<Value> {
    vec![
        json!({"kind": "error", "code": "ProvisionedThroughputExceededException"}),
        json!({"kind": "error", "code": "ThrottlingException"}),
        json!({"kind": "error", "code": "RequestLimitExceeded"}),
        json!({"kind": "cancelled", "reason": "ThrottlingError"}),
        json!({"kind": "cancelled", "reason": "TransactionConflict"}),
    ]
}

fn of_reads() -> Vec<Value> {
    vec![json!({"kind": "stale"})]
}

fn of_webhooks() -> Vec<Value> {
    vec![
        json!({"kind": "lose"}),
        json!({"kind": "lose_answer"}),
        json!({"kind": "unsigned"}),
        json!({"kind": "duplicate"}),
        json!({"kind": "at_once"}),
        json!({"kind": "delay", "milliseconds": 1}),
    ]
}

fn of_events() -> Vec<Value> {
    vec![json!({"kind": "later", "by": 1}), json!({"kind": "later", "by": 100}), json!({"kind": "hold"})]
}

/// True if the fault blocks a request until its time limit.
pub fn hangs(fault: &Value) -> bool {
    fault["kind"].as_str().unwrap().starts_with("hang")
}
