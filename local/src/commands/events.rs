//! `maskline events`.

use std::fmt::Write;

use clap::Subcommand;
use reqwest::{Method, Response};
use serde_json::Value;

use super::api::{Api, Call};
use super::table::cell;
use super::{CommandError, Target};
use crate::output::show;

/// A command for the events of the laptop stack. Those of a deployment are on its EventBridge bus.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print events as they happen, until the stack stops
    Tail {
        /// Begin after so many events since the start of the stack; 0 prints those of before too
        #[arg(long, value_name = "POSITION")]
        after: Option<u64>,
        /// Only events of this type, such as `Leg finished`
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
    },
}

pub(super) const EXAMPLES: &str = "\
Examples:
  maskline events tail --after 0
  maskline events tail --type 'Leg finished' --json | jq -r .detail.duration";

/// Says where the events of a deployment are: no API has them.
pub(super) fn refuse_deployment(target: &Target) -> Result<(), CommandError> {
    if target.profile.is_some() || target.stack.is_some() {
        let reason = "a deployment has its events on its EventBridge bus, where a rule gets them: docs/events.md";
        return Err(CommandError::Value(reason.to_owned()));
    }
    Ok(())
}

pub(super) async fn run(command: &Command, api: &Api, as_json: bool) -> Result<(), CommandError> {
    let Command::Tail { after, kind } = command;
    let mut response = api.stream(Call::new(Method::GET, &["events"]).query("after", *after)).await?;
    let mut lines = Lines::default();
    while let Some(line) = lines.next(&mut response).await? {
        let event = line.strip_prefix("data:").and_then(|data| serde_json::from_str::<Value>(data).ok());
        let Some(event) = event.filter(|event| kind.as_ref().is_none_or(|kind| event["detail-type"] == kind.as_str()))
        else {
            continue;
        };
        show(&if as_json { format!("{event}\n") } else { told(&event) })?;
    }
    Ok(())
}

/// The lines of an answer that arrives in pieces.
#[derive(Default)]
struct Lines {
    arrived: Vec<u8>,
}

impl Lines {
    async fn next(&mut self, response: &mut Response) -> Result<Option<String>, CommandError> {
        loop {
            if let Some(end) = self.arrived.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.arrived.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()));
            }
            match response.chunk().await {
                Ok(Some(chunk)) => self.arrived.extend_from_slice(&chunk),
                // The stack has stopped, in whatever way.
                Ok(None) | Err(_) => return Ok(None),
            }
        }
    }
}

/// Returns an event on one line: its time, its type, and what it says.
fn told(event: &Value) -> String {
    let mut line = format!("{}  {}", cell(&event["time"]), cell(&event["detail-type"]));
    for (name, value) in event["detail"].as_object().into_iter().flatten() {
        let value = if value.is_object() { value.to_string() } else { cell(value) };
        if name != "sequence" && !value.trim_matches(',').is_empty() {
            let _ = write!(line, "  {name}={value}");
        }
    }
    line + "\n"
}
