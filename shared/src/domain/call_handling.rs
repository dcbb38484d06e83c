//! The handling of a conversation's calls beyond a plain connection.

use serde::{Deserialize, Serialize};

use crate::domain::guard::Guard;
use crate::domain::missed_calls::MissedCalls;

/// The handling of calls. Serialized as the table stores it, in a conversation and in its routes, so that the answer to a call needs
/// no second read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallHandling {
    /// What is done about a call that is not taken.
    #[serde(default, skip_serializing_if = "MissedCalls::is_none")]
    pub missed_calls: MissedCalls,
    /// What has to happen on the callee's phone first.
    #[serde(default, skip_serializing_if = "Guard::is_none")]
    pub guard: Guard,
}

impl CallHandling {
    /// True if calls are just connected.
    pub fn is_plain(&self) -> bool {
        self.missed_calls.is_none() && self.guard.is_none()
    }
}
