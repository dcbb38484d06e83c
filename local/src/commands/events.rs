//! `maskline events`.

use std::fmt::Write;

use clap::{ArgGroup, Args, Subcommand};
use jiff::Timestamp;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::api::{Api, Call};
use super::deployment::{self, DeploymentError};
use super::table::cell;
use super::{CommandError, Target, fields, printed};
use crate::aws_command::AwsCommand;
use crate::output::show;

/// A command for events.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the events as they happen: those of the laptop stack until it stops, or those of a deployment with EventLogDays
    Tail {
        #[command(flatten)]
        beginning: Beginning,
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

/// The first event that is printed; by default the next one.
#[derive(Debug, Clone, Args)]
pub struct Beginning {
    /// On the laptop: begin after so many events since the start of the stack; 0 prints those of before too
    #[arg(long, value_name = "POSITION", conflicts_with = "since")]
    after: Option<u64>,
    /// Begin at this time: 2026-11-25T20:00:00Z, or a length such as 2h, which means two hours ago
    #[arg(long, value_name = "TIME", value_parser = fields::time)]
    since: Option<Timestamp>,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  maskline events tail --after 0
  maskline events tail --profile production --since 2h
  maskline events tail --type 'Leg finished' --json | jq -r .detail.duration
  maskline events replay --conversation 01M8…
  maskline events replay --from 2h --profile production";

/// The events that are printed, and how.
pub(super) struct Following<'a, W> {
    /// The first one.
    pub(super) beginning: &'a Beginning,
    /// True for an event that is printed.
    pub(super) is_wanted: W,
    /// Writes an event for people, on one line.
    pub(super) told: fn(&Value) -> String,
}

impl<W: Fn(&Value) -> bool> Following<'_, W> {
    /// Prints an event, if it is wanted.
    fn print(&self, event: &str, as_json: bool) -> Result<(), CommandError> {
        let event = serde_json::from_str::<Value>(event).ok().filter(&self.is_wanted);
        let Some(event) = event.filter(|event| self.beginning.has(event)) else { return Ok(()) };
        Ok(show(&if as_json { format!("{event}\n") } else { (self.told)(&event) })?)
    }
}

impl Beginning {
    /// True if the event is not of before.
    fn has(&self, event: &Value) -> bool {
        let time = event["time"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
        self.since.is_none_or(|since| time.is_none_or(|time| time >= since))
    }
}

/// Prints the events as they come.
pub(super) async fn show_events(
    following: Following<'_, impl Fn(&Value) -> bool>,
    target: &Target,
    connect: impl FnOnce() -> Result<Api, CommandError>,
) -> Result<(), CommandError> {
    if let Some(aws) = target.aws() {
        return show_log(&following, &aws, target);
    }
    let Beginning { after, since } = following.beginning;
    let call = Call::new(Method::GET, &["events"]).query("after", after.or(since.map(|_| 0)));
    let mut response = connect()?.stream(call).await?;
    let mut lines = Lines::default();
    while let Some(line) = lines.next(&mut response).await? {
        if let Some(event) = line.strip_prefix("data:") {
            following.print(event, target.json)?;
        }
    }
    Ok(())
}

/// Prints the events of a deployment as they come to the log in which it keeps them. No API has them.
fn show_log(
    following: &Following<'_, impl Fn(&Value) -> bool>,
    aws: &AwsCommand<'_>,
    target: &Target,
) -> Result<(), CommandError> {
    if following.beginning.after.is_some() {
        let reason =
            "the events of a deployment have no positions; give --since in place of --after, such as --since 2h";
        return Err(CommandError::Value(reason.to_owned()));
    }
    let log = deployment::event_log(aws, target.stack())?;
    // The program reads no fraction of a second that is longer than a microsecond.
    let since = following.beginning.since.unwrap_or_else(Timestamp::now);
    let since = format!("{since:.0}");
    let options = ["logs", "tail", &log, "--follow", "--format", "short", "--since", &since];
    let ended = aws.follow(&options, |line| {
        // The time comes first.
        line.find('{').map_or(Ok(()), |begin| following.print(&line[begin..], target.json))
    })?;
    if ended.success() { Ok(()) } else { Err(DeploymentError::Ended(ended).into()) }
}

pub(super) async fn run(
    command: &Command,
    target: &Target,
    connect: impl FnOnce() -> Result<Api, CommandError>,
) -> Result<(), CommandError> {
    match command {
        Command::Tail { beginning, kind } => {
            let is_wanted = |event: &Value| kind.as_ref().is_none_or(|kind| event["detail-type"] == kind.as_str());
            show_events(Following { beginning, is_wanted, told }, target, connect).await
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
