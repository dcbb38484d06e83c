//! `maskline events`.

use std::fmt::Write;

use clap::{ArgGroup, Subcommand};
use jiff::Timestamp;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::api::{Api, Call};
use super::table::cell;
use super::{CommandError, Target, fields, printed};
use crate::output::show;

/// A command for events.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the events of the laptop stack as they happen, until it stops
    Tail {
        /// Begin after so many events since the start of the stack; 0 prints those of before too
        #[arg(long, value_name = "POSITION")]
        after: Option<u64>,
        /// Only events of this type, such as `Leg finished`
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
    },
    /// Have events of the last 14 days delivered to the backend at WEBHOOK_URL once more
    #[command(group = ArgGroup::new("which").required(true).multiple(true).args(["conversation", "from"]))]
    Replay {
        /// Only events of this conversation; without --from, all of them
        #[arg(long, value_name = "ID")]
        conversation: Option<String>,
        /// Events from this time on: 2026-11-25T20:00:00Z, or a length such as 2h, which means two hours ago
        #[arg(long, value_name = "TIME", value_parser = fields::time)]
        from: Option<Timestamp>,
        /// Events until this time; now, if it is not given
        #[arg(long, value_name = "TIME", value_parser = fields::time)]
        until: Option<Timestamp>,
    },
}

pub(super) const EXAMPLES: &str = "\
Examples:
  maskline events tail --after 0
  maskline events tail --type 'Leg finished' --json | jq -r .detail.duration
  maskline events replay --conversation 01M8…
  maskline events replay --from 2h --profile production";

/// The events that are printed, and how.
pub(super) struct Following<W> {
    /// The position after which they begin.
    pub(super) after: Option<u64>,
    /// True for an event that is printed.
    pub(super) is_wanted: W,
    /// Writes an event for people, on one line.
    pub(super) told: fn(&Value) -> String,
}

/// Prints the events of the laptop stack as they come. Those of a deployment are on its EventBridge bus, and no API has them.
pub(super) async fn show_events(
    following: Following<impl Fn(&Value) -> bool>,
    target: &Target,
    connect: impl FnOnce() -> Result<Api, CommandError>,
) -> Result<(), CommandError> {
    if target.profile.is_some() || target.stack.is_some() {
        let reason = "a deployment has its events on its EventBridge bus, where a rule gets them: docs/events.md";
        return Err(CommandError::Value(reason.to_owned()));
    }
    let call = Call::new(Method::GET, &["events"]).query("after", following.after);
    let mut response = connect()?.stream(call).await?;
    let mut lines = Lines::default();
    while let Some(line) = lines.next(&mut response).await? {
        let event = line.strip_prefix("data:").and_then(|data| serde_json::from_str::<Value>(data).ok());
        if let Some(event) = event.filter(&following.is_wanted) {
            show(&if target.json { format!("{event}\n") } else { (following.told)(&event) })?;
        }
    }
    Ok(())
}

pub(super) async fn run(
    command: &Command,
    target: &Target,
    connect: impl FnOnce() -> Result<Api, CommandError>,
) -> Result<(), CommandError> {
    match command {
        Command::Tail { after, kind } => {
            let is_wanted = |event: &Value| kind.as_ref().is_none_or(|kind| event["detail-type"] == kind.as_str());
            show_events(Following { after: *after, is_wanted, told }, target, connect).await
        }
        Command::Replay { conversation, from, until } => {
            let given = [("conversation", json!(conversation)), ("from", json!(from)), ("until", json!(until))];
            let given = given.into_iter().filter(|(_, value)| !value.is_null());
            let body = Value::Object(given.map(|(name, value)| (name.to_owned(), value)).collect());
            let call = Call::new(Method::POST, &["events", "replay"]).body(&body);
            Ok(show(&printed(&connect()?.send(call).await?, target.json, replayed))?)
        }
    }
}

fn replayed(answer: &Value) -> String {
    let [from, until] = ["from", "until"].map(|name| cell(&answer[name]));
    let of = answer["conversation"].as_str().map(|id| format!(" of the conversation {id}")).unwrap_or_default();
    format!("The events{of} from {from} to {until} are delivered again, as {}.\n", cell(&answer["replay"]))
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
