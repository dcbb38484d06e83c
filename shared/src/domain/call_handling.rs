//! The handling of a conversation's calls beyond a plain connection.

use serde::{Deserialize, Serialize};

use crate::domain::guard::Guard;
use crate::domain::missed_calls::{Measure, MissedCalls};

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
}

impl CallHandling {
    /// True if calls are just connected.
    pub fn is_plain(&self) -> bool {
        self.missed_calls.is_none() && self.guard.is_none()
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
        if self.missed_calls.includes(Measure::CallBack) { 25 } else { 10 }
    }
}
