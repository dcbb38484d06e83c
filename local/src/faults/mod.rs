//! Injected faults: rules by which requests to Vonage and to DynamoDB, and webhook deliveries, fail.
//!
//! `POST /simulator/faults` takes one rule:
//!
//! | member | |
//! |---|---|
//! | `path`, `operation` or `webhook` | the target: an endpoint of Vonage's API, an operation of DynamoDB (`"*"`: any), or a webhook |
//! | `contains` | text that must occur in the request; default: any request |
//! | `skip` | number of matching requests that succeed first; default 0 |
//! | `times` | number of matching requests that then fail; default 1 |
//! | `fault` | [`RequestFault`], or [`DeliveryFault`] for a webhook |
//!
//! If several rules match, the oldest applies.

mod delivery;
mod request;

use std::sync::{Arc, Mutex, MutexGuard};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use delivery::{DeliveryFault, WebhookKind};
pub use request::RequestFault;
pub(crate) use request::{FailingService, apply};

/// Vonage's endpoints, except the Application API, whose path contains the application's ID.
const PATHS: [&str; 12] = [
    "/number/search",
    "/number/buy",
    "/number/update",
    "/number/cancel",
    "/account/numbers",
    "/account/get-balance",
    "/identity-insights/v1/requests",
    "/ni/basic/json",
    "/sms/json",
    "/v1/messages",
    "/v1/redact/transaction",
    "/v2/applications",
];
const APPLICATIONS: &str = "/v2/applications/";
/// Prefix of the paths of the Voice API.
const CALLS: &str = "/v1/calls";

/// DynamoDB's operations on items.
pub(crate) const OPERATIONS: [&str; 10] = [
    "BatchGetItem",
    "BatchWriteItem",
    "DeleteItem",
    "GetItem",
    "PutItem",
    "Query",
    "Scan",
    "TransactGetItems",
    "TransactWriteItems",
    "UpdateItem",
];

/// The operation that can return stale data.
pub(crate) const STALE_OPERATION: &str = "GetItem";

const ANY: &str = "*";

/// The reason for which a fault rule is invalid.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRule(String);

impl From<serde_json::Error> for InvalidRule {
    fn from(error: serde_json::Error) -> Self {
        Self(format!("The body is not valid: {error}."))
    }
}

/// The active rules, shared by the services that apply them.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Rules>>);

#[derive(Debug, Default)]
struct Rules {
    requests: Vec<Rule<RequestFault>>,
    deliveries: Vec<Rule<DeliveryFault>>,
}

#[derive(Debug)]
struct Rule<F> {
    target: Target,
    contains: Option<String>,
    skip: u32,
    times: u32,
    fault: F,
    /// The rule as it was given.
    given: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Path(String),
    Operation(String),
    Webhook(WebhookKind),
}

impl Target {
    fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Path(any), Self::Path(_)) | (Self::Operation(any), Self::Operation(_)) if any == ANY => true,
            _ => self == other,
        }
    }
}

/// A rule in the format of `POST /simulator/faults`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultRule {
    path: Option<String>,
    operation: Option<String>,
    webhook: Option<WebhookKind>,
    contains: Option<String>,
    #[serde(default)]
    skip: u32,
    #[serde(default = "once")]
    times: u32,
    fault: Value,
}

fn once() -> u32 {
    1
}

impl FaultRule {
    fn target(&self) -> Result<Target, InvalidRule> {
        match (&self.path, &self.operation, self.webhook) {
            (Some(path), None, None) => {
                if path != ANY
                    && !PATHS.contains(&path.as_str())
                    && ![APPLICATIONS, CALLS].iter().any(|start| path.starts_with(start))
                {
                    let paths = PATHS.join(", ");
                    return Err(InvalidRule(format!(
                        "\"path\" must be one of: {paths}, {APPLICATIONS}ID, {CALLS}, {ANY}."
                    )));
                }
                Ok(Target::Path(path.clone()))
            }
            (None, Some(operation), None) => {
                if operation != ANY && !OPERATIONS.contains(&operation.as_str()) {
                    return Err(InvalidRule(format!(
                        "\"operation\" must be one of: {}, {ANY}.",
                        OPERATIONS.join(", ")
                    )));
                }
                Ok(Target::Operation(operation.clone()))
            }
            (None, None, Some(webhook)) => Ok(Target::Webhook(webhook)),
            _ => Err(InvalidRule("Exactly one of \"path\", \"operation\" and \"webhook\" is required.".to_owned())),
        }
    }

    fn rule<F: DeserializeOwned>(self, target: Target, given: Value) -> Result<Rule<F>, InvalidRule> {
        let fault = serde_json::from_value(self.fault)?;
        Ok(Rule { target, contains: self.contains, skip: self.skip, times: self.times, fault, given })
    }
}

impl<F> Rule<F> {
    /// Returns the rule as it was given, with what is left of its counts.
    fn left(&self) -> Value {
        let mut left = self.given.clone();
        (left["skip"], left["times"]) = (self.skip.into(), self.times.into());
        left
    }
}

impl Faults {
    /// Adds a rule in the format of `POST /simulator/faults`.
    pub fn add(&self, rule: &[u8]) -> Result<(), InvalidRule> {
        let given: FaultRule = serde_json::from_slice(rule)?;
        let as_given = serde_json::from_slice(rule)?;
        match given.target()? {
            Target::Webhook(webhook) => {
                let rule: Rule<DeliveryFault> = given.rule(Target::Webhook(webhook), as_given)?;
                if !rule.fault.applies_to(webhook) {
                    return Err(InvalidRule(
                        "Only an event can be reordered or withheld: this webhook needs a response.".to_owned(),
                    ));
                }
                self.rules().deliveries.push(rule);
            }
            target => {
                let rule: Rule<RequestFault> = given.rule(target, as_given)?;
                if matches!(rule.target, Target::Path(_)) && rule.fault.is_for_dynamodb() {
                    return Err(InvalidRule("Only DynamoDB has this fault: give an \"operation\".".to_owned()));
                }
                let may_be_stale = |operation: &String| [STALE_OPERATION, ANY].contains(&operation.as_str());
                if rule.fault.is_stale() && !matches!(&rule.target, Target::Operation(name) if may_be_stale(name)) {
                    return Err(InvalidRule(format!("Only {STALE_OPERATION} can return stale data.")));
                }
                self.rules().requests.push(rule);
            }
        }
        Ok(())
    }

    /// Returns the rules that still wait for requests, each with what is left of its `skip` and `times`.
    pub fn waiting(&self) -> Vec<Value> {
        let rules = self.rules();
        rules.requests.iter().map(Rule::left).chain(rules.deliveries.iter().map(Rule::left)).collect()
    }

    /// Removes all rules.
    pub fn clear(&self) {
        *self.rules() = Rules::default();
    }

    /// Returns the fault of a request to this endpoint of Vonage, and counts it. `contains` searches a text in the
    /// request.
    pub(crate) fn take_for_endpoint(&self, path: &str, contains: impl Fn(&str) -> bool) -> Option<RequestFault> {
        take(&mut self.rules().requests, &Target::Path(path.to_owned()), contains, |_| true)
    }

    /// Returns the fault of a request to this operation of DynamoDB, and counts it. `may_be_stale` is true for an
    /// eventually consistent read. `contains` searches a text in the request.
    pub(crate) fn take_for_operation(
        &self,
        operation: &str,
        may_be_stale: impl Fn() -> bool,
        contains: impl Fn(&str) -> bool,
    ) -> Option<RequestFault> {
        let target = Target::Operation(operation.to_owned());
        take(&mut self.rules().requests, &target, contains, |fault| !fault.is_stale() || may_be_stale())
    }

    /// Returns the fault of a webhook delivery, and counts it. `contains` searches a text in the webhook.
    pub(crate) fn take_for_webhook(
        &self,
        webhook: WebhookKind,
        contains: impl Fn(&str) -> bool,
    ) -> Option<DeliveryFault> {
        take(&mut self.rules().deliveries, &Target::Webhook(webhook), contains, |_| true)
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.0.lock().expect("no code panics while it has the lock of the rules")
    }
}

/// Returns the fault of the oldest matching rule and counts it. A rule is removed after its last fault.
fn take<F: Clone>(
    rules: &mut Vec<Rule<F>>,
    target: &Target,
    contains: impl Fn(&str) -> bool,
    is_possible: impl Fn(&F) -> bool,
) -> Option<F> {
    let matches = |rule: &Rule<F>| {
        let is_meant = rule.target.includes(target) && rule.contains.as_ref().is_none_or(|text| contains(text));
        is_meant && is_possible(&rule.fault)
    };
    let mut taken = None;
    for rule in rules.iter_mut().filter(|rule| matches(rule)) {
        if rule.skip > 0 {
            rule.skip -= 1;
        } else if rule.times > 0 {
            rule.times -= 1;
            taken = Some(rule.fault.clone());
            break;
        }
    }
    rules.retain(|rule| rule.times > 0);
    taken
}
