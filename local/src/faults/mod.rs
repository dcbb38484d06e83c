//! Faults on demand: which requests to Vonage and to DynamoDB, and which webhooks, go wrong, how often, and how.
//!
//! `POST /simulator/faults` takes one rule:
//!
//! | member | |
//! |---|---|
//! | `path`, `operation` or `webhook` | what the rule is about: an endpoint of Vonage's API, an operation of DynamoDB's (`"*"` means any), or one of the application's webhooks |
//! | `contains` | text that must occur in the request |
//! | `skip` | how many of those go through first; default 0 |
//! | `times` | how many then meet the fault; default 1 |
//! | `fault` | [`RequestFault`], or [`DeliveryFault`] for a webhook |
//!
//! Of several rules that fit, the oldest counts.

mod delivery;
mod request;

use std::sync::{Arc, Mutex, MutexGuard};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use delivery::{DeliveryFault, WebhookKind};
pub use request::RequestFault;
pub(crate) use request::{Asked, meet};

/// Vonage's endpoints, without the Application API's, which has the application in its path.
const PATHS: [&str; 8] = [
    "/number/search",
    "/number/buy",
    "/number/update",
    "/number/cancel",
    "/account/numbers",
    "/ni/basic/json",
    "/sms/json",
    "/v1/redact/transaction",
];
const APPLICATIONS: &str = "/v2/applications/";

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

/// The one that can find what is out of date.
pub(crate) const STALE_OPERATION: &str = "GetItem";

const ANY: &str = "*";

/// A rule that cannot be followed, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadRule(String);

impl From<serde_json::Error> for BadRule {
    fn from(error: serde_json::Error) -> Self {
        Self(format!("The body is not as expected: {error}."))
    }
}

/// The rules in force, for all who are to follow them.
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
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

impl Order {
    fn target(&self) -> Result<Target, BadRule> {
        match (&self.path, &self.operation, self.webhook) {
            (Some(path), None, None) => {
                if path != ANY && !PATHS.contains(&path.as_str()) && !path.starts_with(APPLICATIONS) {
                    let paths = PATHS.join(", ");
                    return Err(BadRule(format!("\"path\" must be one of: {paths}, {APPLICATIONS}ID, {ANY}.")));
                }
                Ok(Target::Path(path.clone()))
            }
            (None, Some(operation), None) => {
                if operation != ANY && !OPERATIONS.contains(&operation.as_str()) {
                    return Err(BadRule(format!("\"operation\" must be one of: {}, {ANY}.", OPERATIONS.join(", "))));
                }
                Ok(Target::Operation(operation.clone()))
            }
            (None, None, Some(webhook)) => Ok(Target::Webhook(webhook)),
            _ => Err(BadRule("One of \"path\", \"operation\" and \"webhook\" is expected.".to_owned())),
        }
    }

    fn rule<F: DeserializeOwned>(self, target: Target) -> Result<Rule<F>, BadRule> {
        let fault = serde_json::from_value(self.fault)?;
        Ok(Rule { target, contains: self.contains, skip: self.skip, times: self.times, fault })
    }
}

impl Faults {
    /// Adds a rule, in JSON.
    pub fn order(&self, rule: &[u8]) -> Result<(), BadRule> {
        let order: Order = serde_json::from_slice(rule)?;
        match order.target()? {
            Target::Webhook(webhook) => {
                let rule: Rule<DeliveryFault> = order.rule(Target::Webhook(webhook))?;
                if !rule.fault.befalls(webhook) {
                    return Err(BadRule("Only an event can come later than others: this needs an answer.".to_owned()));
                }
                self.rules().deliveries.push(rule);
            }
            target => {
                let rule: Rule<RequestFault> = order.rule(target)?;
                if matches!(rule.target, Target::Path(_)) && rule.fault.is_dynamodbs() {
                    return Err(BadRule("This is a failure of DynamoDB's; name an \"operation\".".to_owned()));
                }
                let may_be_stale = |operation: &String| [STALE_OPERATION, ANY].contains(&operation.as_str());
                if rule.fault.is_stale() && !matches!(&rule.target, Target::Operation(name) if may_be_stale(name)) {
                    return Err(BadRule(format!("Only {STALE_OPERATION} can find what is out of date.")));
                }
                self.rules().requests.push(rule);
            }
        }
        Ok(())
    }

    /// Lets everything go well from now on.
    pub fn clear(&self) {
        *self.rules() = Rules::default();
    }

    /// The fault that a request to this endpoint of Vonage's meets; `contains` tells whether a text occurs in it.
    pub(crate) fn of_endpoint(&self, path: &str, contains: impl Fn(&str) -> bool) -> Option<RequestFault> {
        take(&mut self.rules().requests, &Target::Path(path.to_owned()), contains, |_| true)
    }

    /// The fault that this operation of DynamoDB's meets; `may_be_stale` tells whether it can find what is out of date.
    pub(crate) fn of_operation(
        &self,
        operation: &str,
        may_be_stale: impl Fn() -> bool,
        contains: impl Fn(&str) -> bool,
    ) -> Option<RequestFault> {
        let target = Target::Operation(operation.to_owned());
        take(&mut self.rules().requests, &target, contains, |fault| !fault.is_stale() || may_be_stale())
    }

    /// The fault that a webhook meets.
    pub(crate) fn of_webhook(&self, webhook: WebhookKind, contains: impl Fn(&str) -> bool) -> Option<DeliveryFault> {
        take(&mut self.rules().deliveries, &Target::Webhook(webhook), contains, |_| true)
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.0.lock().expect("no code panics while it holds the rules")
    }
}

/// Finds the fault and counts it against its rule.
fn take<F: Clone>(
    rules: &mut Vec<Rule<F>>,
    target: &Target,
    contains: impl Fn(&str) -> bool,
    can_be: impl Fn(&F) -> bool,
) -> Option<F> {
    let fits = |rule: &Rule<F>| {
        let is_meant = rule.target.includes(target) && rule.contains.as_ref().is_none_or(|text| contains(text));
        is_meant && can_be(&rule.fault)
    };
    let mut taken = None;
    for rule in rules.iter_mut().filter(|rule| fits(rule)) {
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
