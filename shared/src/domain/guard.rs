//! The guard of a call: what has to happen on the callee's phone before the two people are connected.
//!
//! A greeting of a voicemail gives away the callee's name. So does a phone that screens calls with a machine, if that machine is
//! connected.

use serde::{Deserialize, Serialize};

/// The guard of a conversation's calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// Whatever picks up is connected.
    #[default]
    None,
    /// The callee hears who calls, and has to press 1. A voicemail never presses, and a phone that screens calls shows the words to
    /// its owner.
    #[serde(rename = "press_1")]
    Press1,
    /// The carrier listens for a machine, and hangs up on one. It takes seconds of silence, short greetings pass, and phones that
    /// screen calls are hung up on: best effort.
    Detect,
}

impl Guard {
    /// True if there is no guard.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}
