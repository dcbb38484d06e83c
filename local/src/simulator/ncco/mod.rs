//! Decoding and validation of an NCCO (Nexmo Call Control Object), the list of actions in the response of a webhook.
//!
//! Source: Vonage Voice API, NCCO reference, and Vonage's JSON schema of an NCCO.

mod actions;
mod connect;
mod fields;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use serde_json::Value;

pub(super) use actions::{Dtmf, Format, Input, Notify, Record};
pub(super) use connect::{Connect, MachineDetection, OnAnswer};
use fields::Fields;

/// `reason` of the `error` event that Vonage sends for an invalid NCCO.
pub(super) const SYNTAX_ERROR: &str = "Syntax error in NCCO. Invalid value type or action.";
/// Actions of Vonage that have no effect on a simulated call.
const IGNORED: [&str; 2] = ["pay", "transfer"];

/// One action of an NCCO.
#[derive(Clone, Debug)]
pub(super) enum Action {
    /// Speaks, `loops` times; 0 means endlessly. A key of the next `input` may end it.
    Talk {
        text: String,
        loops: u64,
        barge_in: bool,
    },
    /// Plays a sound, `loops` times; 0 means endlessly. A key of the next `input` may end it.
    Stream {
        url: String,
        loops: u64,
        barge_in: bool,
    },
    /// Waits in silence.
    Wait {
        seconds: f64,
    },
    /// Calls a phone and connects it to the caller.
    Connect(Connect),
    /// Listens to keys.
    Input(Input),
    Record(Record),
    /// Asks a webhook for the rest of the call.
    Notify(Notify),
    /// Waits in a conference in which nobody else is.
    Conversation {
        music: Option<String>,
    },
    /// An action without effect here.
    Ignored,
}

/// A decoder of NCCOs that appends each of them to a file, if it has one, so that a program can compare them with Vonage's own
/// models.
pub(super) struct NccoReader {
    log: Option<PathBuf>,
}

impl NccoReader {
    /// Creates a decoder. `log` is a file that several processes may share.
    pub(super) fn new(log: Option<PathBuf>) -> Self {
        Self { log }
    }

    /// Decodes an NCCO.
    ///
    /// # Errors
    /// Returns the fault, in words for the developer. Vonage itself only reports [`SYNTAX_ERROR`].
    pub(super) fn read(&self, ncco: &Value) -> Result<Vec<Action>, String> {
        if let Some(log) = &self.log {
            let file = OpenOptions::new().append(true).create(true).open(log);
            // One write: other processes append their lines before it or after it.
            let written = file.and_then(|mut file| file.write_all(format!("{ncco}\n").as_bytes()));
            written.map_err(|error| format!("the log of NCCOs cannot be written: {error}"))?;
        }
        read(ncco)
    }
}

fn read(ncco: &Value) -> Result<Vec<Action>, String> {
    let actions = ncco.as_array().ok_or("an NCCO is an array of actions")?;
    let read_action =
        |(index, action): (usize, &Value)| action_of(action).map_err(|reason| format!("action {index}: {reason}"));
    actions.iter().enumerate().map(read_action).collect()
}

fn action_of(action: &Value) -> Result<Action, String> {
    let fields = action.as_object().ok_or("an action is an object")?;
    let name = fields.get("action").and_then(Value::as_str);
    let fields = Fields(fields);
    match name.ok_or("\"action\" is missing")? {
        "talk" => actions::talk(fields),
        "stream" => actions::stream(fields),
        "wait" => Ok(Action::Wait { seconds: fields.seconds("timeout", 10.0, 0.1)? }),
        "connect" => connect::read(fields).map(Action::Connect),
        "conversation" => actions::conversation(fields),
        "input" => actions::input(fields).map(Action::Input),
        "record" => actions::record(fields).map(Action::Record),
        "notify" => actions::notify(fields).map(Action::Notify),
        name if IGNORED.contains(&name) => Ok(Action::Ignored),
        name => Err(format!("there is no action \"{name}\"")),
    }
}

#[cfg(test)]
mod tests;
