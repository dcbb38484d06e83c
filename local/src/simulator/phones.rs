//! The phones of the simulated network: dialled digits, and received text messages.

use jiff::Timestamp;
use serde::Serialize;

/// Returns the digits of a number in any notation.
pub(super) fn digits(written: &str) -> String {
    written.chars().filter(char::is_ascii_digit).collect()
}

/// A text message as its recipient sees it. Its parts are joined.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ReceivedMessage {
    /// The `message-id` of its first part.
    pub(super) message_id: String,
    pub(super) from: String,
    /// E.164 digits.
    pub(super) to: String,
    pub(super) text: String,
    /// The channel, if it is not SMS or MMS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) channel: Option<&'static str>,
    /// The files of an MMS, as they were sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) files: Vec<serde_json::Value>,
    /// The name of the template whose variables are the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) template: Option<String>,
    pub(super) received_at: Timestamp,
    /// The `message-id` of each part that is not redacted yet.
    #[serde(skip)]
    pub(super) parts: Vec<String>,
}

/// Replacement of redacted data.
const REDACTED: &str = "REDACTED";

/// The messages of all phones, oldest first.
#[derive(Debug, Default)]
pub(super) struct Inboxes {
    messages: Vec<ReceivedMessage>,
}

impl Inboxes {
    pub(super) fn deliver(&mut self, message: ReceivedMessage) {
        self.messages.push(message);
    }

    /// Marks a part as redacted, and removes the personal data of its message after the last part.
    pub(super) fn redact(&mut self, part: &str) {
        for message in self.messages.iter_mut().filter(|message| message.parts.iter().any(|id| id == part)) {
            message.parts.retain(|id| id != part);
            if message.parts.is_empty() {
                (message.to, message.text) = (REDACTED.to_owned(), REDACTED.to_owned());
                message.files.clear();
            }
        }
    }

    /// Returns the messages of one phone, or of all phones, oldest first.
    pub(super) fn messages(&self, to: Option<&str>) -> Vec<ReceivedMessage> {
        let is_meant = |message: &&ReceivedMessage| to.is_none_or(|to| message.to == to);
        self.messages.iter().filter(is_meant).cloned().collect()
    }
}
