//! `maskline calls`.

use clap::Subcommand;
use serde_json::Value;

use super::api::Api;
use super::events::{Beginning, Following, show_events};
use super::table::cell;
use super::{CommandError, Target};

/// A command for calls.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print each phone's part of a call when it has ended: on the laptop until the stack stops, or in a deployment with EventLogDays
    Tail {
        #[command(flatten)]
        beginning: Beginning,
        /// Only calls of this conversation
        #[arg(long, value_name = "ID")]
        conversation: Option<String>,
    },
}

pub(super) const EXAMPLES: &str = "\
Examples:
  maskline calls tail
  maskline calls tail --profile production --since 1h
  maskline calls tail --after 0 --conversation 01M8… --json | jq -r .detail.price

The calls of a conversation with their phones, also in a deployment: maskline conversations get ID";

pub(super) async fn run(
    command: &Command,
    target: &Target,
    connect: impl FnOnce() -> Result<Api, CommandError>,
) -> Result<(), CommandError> {
    let Command::Tail { beginning, conversation } = command;
    let is_wanted = |event: &Value| {
        event["detail-type"] == "Leg finished"
            && conversation.as_ref().is_none_or(|id| event["detail"]["conversation"] == id.as_str())
    };
    show_events(Following { beginning, is_wanted, told }, target, connect).await
}

/// Returns the end of a leg on one line.
fn told(event: &Value) -> String {
    let leg = &event["detail"];
    let [side, ended, seconds, price, reason] =
        ["side", "ended", "duration", "price", "reason"].map(|name| cell(&leg[name]));
    let did = if leg["direction"] == "inbound" { "called" } else { "was called" };
    let mut line = format!("{}  {}  {side} {did:<10}  {ended}", cell(&event["time"]), cell(&leg["conversation"]));
    for (value, unit) in [(seconds, " s"), (price, " EUR"), (reason, "")] {
        if !value.is_empty() {
            line = format!("{line}  {value}{unit}");
        }
    }
    line + "\n"
}
