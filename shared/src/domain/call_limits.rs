//! Limits of a call's length.
//!
//! A conversation and its routes store the limits that applied when it was created. So no call is longer than the quarantine
//! that was chosen with them, and the answer webhook needs no second read.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// The limits of each call of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallLimits {
    /// The longest call, from the announcement to the end of the talk, in seconds.
    pub max_call_seconds: u32,
    /// Ringing time of the callee's phone, in seconds.
    pub ring_seconds: u32,
}

impl CallLimits {
    /// Upper limit of the announcement that the caller hears before the other phone rings.
    const ANNOUNCEMENT_SECONDS: u32 = 5;
    /// Longer than people let a phone ring.
    const MAX_RING_SECONDS: u32 = 120;
    const MIN_RING_SECONDS: u32 = 10;

    /// The longest call that Vonage allows, in seconds.
    pub const MAX_CALL_SECONDS: u32 = 7200;
    /// The shortest limit that can be chosen, in seconds.
    pub const MIN_CALL_SECONDS: u32 = 60;

    /// Returns limits with the usual ringing time: a third of the call, at most 45 seconds.
    pub fn with_max_call(max_call_seconds: u32) -> Self {
        Self { max_call_seconds, ring_seconds: (max_call_seconds / 3).min(45) }
    }

    /// Returns the ringing times that can be chosen, in seconds: at most half of the call, so that there is time to talk.
    pub fn allowed_ring_seconds(self) -> RangeInclusive<u32> {
        Self::MIN_RING_SECONDS..=(self.max_call_seconds / 2).min(Self::MAX_RING_SECONDS)
    }

    /// Returns the time left to talk, in seconds, after the announcement and the ringing.
    pub fn talk_seconds(self) -> u32 {
        self.max_call_seconds.saturating_sub(self.ring_seconds + Self::ANNOUNCEMENT_SECONDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcement_ringing_and_talk_fit_into_the_longest_call() {
        for (max_call_seconds, ring_seconds, talk_seconds) in [(60, 20, 35), (7200, 45, 7150)] {
            let limits = CallLimits::with_max_call(max_call_seconds);
            assert_eq!((limits.ring_seconds, limits.talk_seconds()), (ring_seconds, talk_seconds));
        }
    }

    #[test]
    fn longest_ringing_leaves_time_to_talk() {
        for max_call_seconds in CallLimits::MIN_CALL_SECONDS..=CallLimits::MAX_CALL_SECONDS {
            let usual = CallLimits::with_max_call(max_call_seconds);
            assert!(usual.allowed_ring_seconds().contains(&usual.ring_seconds), "{max_call_seconds}");
            let longest = CallLimits { ring_seconds: *usual.allowed_ring_seconds().end(), ..usual };
            assert!(longest.talk_seconds() >= 25, "{max_call_seconds}");
        }
    }
}
