//! The recording of calls. Nobody is recorded who has not been told.

use serde::{Deserialize, Serialize};

/// The recording of a conversation's calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallRecording {
    /// No call is recorded.
    #[default]
    Off,
    /// Both hear before they are connected that the call is recorded.
    Announce,
    /// Both are asked before they are connected, and the call is recorded only if both press 1.
    Consent,
}

impl CallRecording {
    /// True if no call is recorded.
    pub fn is_off(&self) -> bool {
        *self == Self::Off
    }

    /// Returns the longest time that its words and keys take on both phones, in seconds.
    pub fn seconds(self) -> u32 {
        match self {
            Self::Off => 0,
            Self::Announce => 10,
            Self::Consent => 50,
        }
    }
}
