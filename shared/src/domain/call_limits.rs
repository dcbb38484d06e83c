//! How long a call may take. A conversation and its routes hold the limits that were in force when it was created: so no
//! call outlasts the quarantine that was chosen with them, and answering one needs no other place to read them from.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// The limits of each call of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallLimits {
    /// The longest call, from the first thing said to the end of the talk, in seconds.
    pub max_call_seconds: u32,
    /// For how long the called phone rings, in seconds.
    pub ring_seconds: u32,
}

impl CallLimits {
    /// What is said to a caller before the other phone rings takes no longer.
    const SAID_SECONDS: u32 = 5;
    /// Longer than anybody lets a phone ring.
    const MAX_RING_SECONDS: u32 = 120;
    const MIN_RING_SECONDS: u32 = 10;

    /// The longest call, in seconds: Vonage's own limit.
    pub const MAX_CALL_SECONDS: u32 = 7200;
    /// The shortest limit of a call, in seconds.
    pub const MIN_CALL_SECONDS: u32 = 60;

    /// With a ringing of the usual length.
    pub fn with_max_call(max_call_seconds: u32) -> Self {
        Self { max_call_seconds, ring_seconds: (max_call_seconds / 3).min(45) }
    }

    /// For how long a phone may be told to ring: at most half of the call, so that there is time left to talk.
    pub fn allowed_ring_seconds(self) -> RangeInclusive<u32> {
        Self::MIN_RING_SECONDS..=(self.max_call_seconds / 2).min(Self::MAX_RING_SECONDS)
    }

    /// For how long the two may talk, in seconds: what is said and the ringing come before that.
    pub fn talk_seconds(self) -> u32 {
        self.max_call_seconds.saturating_sub(self.ring_seconds + Self::SAID_SECONDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_the_ringing_and_the_talk_fit_into_the_longest_call() {
        for (max_call_seconds, ring_seconds, talk_seconds) in [(60, 20, 35), (7200, 45, 7150)] {
            let limits = CallLimits::with_max_call(max_call_seconds);
            assert_eq!((limits.ring_seconds, limits.talk_seconds()), (ring_seconds, talk_seconds));
        }
    }

    #[test]
    fn there_is_time_to_talk_however_long_it_rings() {
        for max_call_seconds in CallLimits::MIN_CALL_SECONDS..=CallLimits::MAX_CALL_SECONDS {
            let usual = CallLimits::with_max_call(max_call_seconds);
            assert!(usual.allowed_ring_seconds().contains(&usual.ring_seconds), "{max_call_seconds}");
            let longest = CallLimits { ring_seconds: *usual.allowed_ring_seconds().end(), ..usual };
            assert!(longest.talk_seconds() >= 25, "{max_call_seconds}");
        }
    }
}
