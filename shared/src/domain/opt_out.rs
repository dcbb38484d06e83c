//! Opt-outs: a person wants no texts from a virtual number. Carriers keep them by person and number, so they outlive conversations.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Reason of a text that was not sent because its reader has opted out, in words that are safe to show.
pub const OPTED_OUT: &str = "its reader has stopped texts from this number";

/// The wish of a person about the texts of a virtual number. Serialized as the table stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptOut {
    /// The time at which the person stopped them.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub since: Timestamp,
    /// The time at which the person took them again. It stays for a while, so that a stop which comes late changes nothing.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub lifted_at: Option<Timestamp>,
}

impl OptOut {
    /// Returns the time from which the person wants no texts, or `None` if texts are wanted.
    pub fn holds_since(self) -> Option<Timestamp> {
        self.lifted_at.is_none().then_some(self.since)
    }
}
