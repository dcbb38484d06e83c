//! The handling of a conversation's calls beyond a plain connection.

use serde::{Deserialize, Serialize};

use crate::domain::call_recording::CallRecording;
use crate::domain::decision_url::OnFailure;
use crate::domain::guard::Guard;
use crate::domain::missed_calls::{LONGEST_MESSAGE, Measure, MissedCalls};

/// The handling of calls. Serialized as the table stores it, in a conversation and in its routes, so that the answer to a call needs
/// no second read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallHandling {
    /// The measures about a call that is not taken.
    #[serde(default, skip_serializing_if = "MissedCalls::is_none")]
    pub missed_calls: MissedCalls,
    /// The guard on the callee's phone.
    #[serde(default, skip_serializing_if = "Guard::is_none")]
    pub guard: Guard,
    /// The recording of calls.
    #[serde(default, skip_serializing_if = "CallRecording::is_off")]
    pub recording: CallRecording,
    /// True if the caller may press the [safety key](crate::domain::safety_key) in a call.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub safety_key: bool,
    /// Most phones of a side that one call tries. One, if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u8>,
    /// Seconds from the first ring of a call until no further phone is tried. If there is none, each attempt may ring for as long as
    /// a call may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ring_seconds: Option<u32>,
    /// The fate of a call about which the backend gives no answer. The backend is not asked, if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<OnFailure>,
}

impl CallHandling {
    /// The longest time that all attempts of a call may ring together, in seconds.
    pub const MOST_RING_SECONDS: u32 = 600;

    /// True if nothing is different from a plain connection.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// True if somebody hears words about a call beyond its announcement.
    pub fn has_words(&self) -> bool {
        !self.missed_calls.is_none() || !self.guard.is_none()
    }

    /// True if the callee hears something before the connection.
    pub fn whispers(&self) -> bool {
        self.guard == Guard::Press1 || !self.recording.is_off()
    }

    /// True if Vonage has to know where to ask or tell about a call beyond its events: if it is more than a plain connection.
    pub fn needs_addresses(&self) -> bool {
        self.has_words() || self.whispers() || self.safety_key || self.decision.is_some()
    }

    /// Returns the most phones that one call tries.
    pub fn attempts(self) -> u8 {
        self.max_attempts.unwrap_or(1)
    }

    /// Returns the seconds from the first ring of a call until no further phone is tried, if one phone rings for that long.
    pub fn ring_seconds(self, of_one: u32) -> u32 {
        let all = of_one.saturating_mul(self.attempts().into());
        self.max_ring_seconds.map_or(all, |most| most.min(all))
    }

    /// Returns the longest time that the guard takes, in seconds: its words, the wait for a key, and the answer.
    pub fn guard_seconds(self) -> u32 {
        match self.guard {
            Guard::None => 0,
            Guard::Press1 => 25,
            Guard::Detect => 10,
        }
    }

    /// Returns the longest time that the words and the menu after a missed call take, in seconds.
    pub fn menu_seconds(self) -> u32 {
        match (self.missed_calls.includes(Measure::Voicemail), self.missed_calls.includes(Measure::CallBack)) {
            // Also the words before and after the message.
            (true, _) => 45 + LONGEST_MESSAGE,
            (false, true) => 25,
            (false, false) => 10,
        }
    }

    /// True if a conversation with this handling may have recordings.
    pub fn records(self) -> bool {
        self.missed_calls.includes(Measure::Voicemail) || !self.recording.is_off()
    }
}
