//! Recordings: messages that callers leave after a missed call, and recorded calls.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::conversation::ConversationId;
use crate::domain::side::Side;

/// Time for which the carrier keeps a recording. Source: Vonage Voice API, "Recording".
pub const KEPT_BY_CARRIER: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Time for which a link to a recording in a text message works.
pub const LINK_LIFETIME: SignedDuration = SignedDuration::from_hours(3 * 24);

/// Time after a message was left in which the other one is still told of it.
pub const NEWS: SignedDuration = SignedDuration::from_hours(24);

/// The carrier's id of a recording. It is part of addresses and of the names of files, so it consists of ASCII letters, digits and
/// `-`, and has 8 to 64 characters. It is no phone number: it has a letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RecordingId(String);

/// The text is no id of a recording.
#[derive(Debug, thiserror::Error)]
#[error("not the id of a recording")]
pub struct NotARecordingId;

impl RecordingId {
    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RecordingId {
    type Error = NotARecordingId;

    fn try_from(text: String) -> Result<Self, NotARecordingId> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let is_number = !text.bytes().any(|byte| byte.is_ascii_alphabetic());
        if (8..=64).contains(&text.len()) && is_plain && !is_number { Ok(Self(text)) } else { Err(NotARecordingId) }
    }
}

impl TryFrom<&str> for RecordingId {
    type Error = NotARecordingId;

    fn try_from(text: &str) -> Result<Self, NotARecordingId> {
        text.to_owned().try_into()
    }
}

impl From<RecordingId> for String {
    fn from(id: RecordingId) -> Self {
        id.0
    }
}

/// The content of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingKind {
    /// A message that the caller left after a missed call.
    Voicemail,
    /// A call.
    Call,
}

/// The state of a recording's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingState {
    /// It is still to be fetched from the carrier.
    Waiting,
    /// It is in the deployment's own store.
    Kept,
    /// The carrier never gave it.
    Failed,
}

impl RecordingState {
    /// Returns its name in the API and in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Kept => "kept",
            Self::Failed => "failed",
        }
    }
}

/// A recording of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// The conversation.
    pub conversation: ConversationId,
    /// The id.
    pub id: RecordingId,
    /// Its content.
    pub kind: RecordingKind,
    /// The state of its file.
    pub state: RecordingState,
    /// The side that made the call.
    pub caller: Side,
    /// The carrier's id of the call: its `conversation_uuid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// The carrier's address of the file.
    pub url: String,
    /// Size of the file in bytes, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Duration in seconds, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<u32>,
    /// Time of its end.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub made_at: Timestamp,
    /// Time from which it is no longer kept, if it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "jiff::fmt::serde::timestamp::second::optional")]
    pub kept_until: Option<Timestamp>,
}

impl Recording {
    /// Returns the name of its file: ids only, so that it tells nothing about people.
    pub fn file(&self) -> String {
        file(self.conversation, &self.id)
    }

    /// True if its file can be read at `now`.
    pub fn is_readable(&self, now: Timestamp) -> bool {
        self.state == RecordingState::Kept && self.kept_until.is_some_and(|until| now < until)
    }
}

/// Returns the name of the file of a recording.
pub fn file(conversation: ConversationId, id: &RecordingId) -> String {
    format!("{conversation}/{}.mp3", id.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_plain_and_no_phone_number() {
        for good in ["aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "63f618634a51"] {
            assert_eq!(RecordingId::try_from(good).unwrap().as_str(), good);
        }
        let long = "a".repeat(65);
        for bad in [
            "",
            "short",
            "447700900001",
            "4477-00900001",
            "../../../etc",
            "aaaa/bbbb",
            "aaaa#bbbb",
            "é2345678",
            long.as_str(),
        ] {
            assert!(RecordingId::try_from(bad).is_err(), "{bad}");
        }
    }
}
