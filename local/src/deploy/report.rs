//! The result of a deployment, or of its plan, for people and as JSON.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

/// The fate of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// It would be done.
    Planned,
    /// It is done.
    Done,
    /// There was nothing to do.
    Unchanged,
}

/// The outcome of a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Outcome {
    pub(super) step: &'static str,
    pub(super) state: State,
    /// The outcome in words; several lines, maybe.
    pub(super) says: String,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Planned => "would",
            State::Done => "done",
            State::Unchanged => "as is",
        };
        let mut lines = self.says.trim_end().lines();
        writeln!(f, "{state:<6} {}: {}", self.step, lines.next().unwrap_or_default())?;
        lines.try_for_each(|line| if line.is_empty() { writeln!(f) } else { writeln!(f, "         {line}") })
    }
}

/// All outcomes.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) dry_run: bool,
    pub(super) account: &'a str,
    pub(super) region: &'a str,
    pub(super) stack: &'a str,
    pub(super) api_url: Option<&'a str>,
    pub(super) steps: &'a [Outcome],
    /// The first conversation, as the API shows it.
    pub(super) conversation: Option<&'a Value>,
}

impl Report<'_> {
    pub(super) fn json(&self) -> Value {
        let Self { dry_run, account, region, stack, api_url, steps, conversation } = self;
        json!({"dry_run": dry_run, "account": account, "region": region, "stack": stack, "api_url": api_url, "steps": steps,
               "conversation": conversation})
    }
}
