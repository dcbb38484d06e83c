//! `maskline decide`.

use std::fmt::Write;

use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::api::{Api, Call};
use super::table::cell;
use super::{CommandError, printed};

/// A call that is only thought of.
#[derive(Debug, Args)]
pub struct Question {
    /// The phone that calls
    from: String,
    /// The virtual number that it dials
    to: String,
    /// Time of the call, such as 2026-11-25T22:30:00Z; by default now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

pub(super) async fn run(question: &Question, api: &Api, as_json: bool) -> Result<String, CommandError> {
    let Question { from, to, at } = question;
    let call = Call::new(Method::GET, &["decisions"]).query("from", Some(from)).query("to", Some(to));
    Ok(printed(&api.send(call.query("at", at.as_ref())).await?, as_json, decision))
}

fn decision(answer: &Value) -> String {
    let mut text = format!("{}: {}\n", cell(&answer["outcome"]), cell(&answer["rule"]));
    if !answer["hears"].is_null() {
        let _ = writeln!(text, "The caller hears: \"{}\"", cell(&answer["hears"]));
    }
    if !answer["conversation"].is_null() {
        let _ = writeln!(text, "Conversation {}", cell(&answer["conversation"]));
    }
    if answer["certain"] == false {
        let _ = writeln!(text, "This is not certain. {}", cell(&answer["doubt"]));
    }
    text
}
