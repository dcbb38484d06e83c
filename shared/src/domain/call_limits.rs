//! Limits of a call's length.
//!
//! A conversation and its routes store the limits that applied when it was created. So no call is longer than the quarantine
//! that was chosen with them, and the answer webhook needs no second read.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::domain::call_handling::CallHandling;

/// The limits of each call of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallLimits {
    /// The longest call, from the announcement to the end of the talk, in seconds.
    pub max_call_seconds: u32,
    /// Ringing time of the callee's phone, in seconds.
    pub ring_seconds: u32,
    /// Minutes before the end of a call's limit at which both people hear how much is left. 0 is no warning.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub warn_minutes: u8,
}

fn is_zero(minutes: &u8) -> bool {
    *minutes == 0
}

impl CallLimits {
    /// Upper limit of the announcement that the caller hears before the other phone rings.
    const ANNOUNCEMENT_SECONDS: u32 = 5;
    /// Longer than people let a phone ring.
    const MAX_RING_SECONDS: u32 = 120;
    const MIN_RING_SECONDS: u32 = 10;
    const LEAST_TALK_SECONDS: u32 = 10;

    /// The earliest warning before the end of a call's limit, in minutes.
    pub const MAX_WARN_MINUTES: u8 = 5;
    /// Least time from the answer to a warning, in seconds. A caller who may talk for only a little longer has heard so at the beginning.
    const BEFORE_WARNING_SECONDS: u32 = 10;

    /// The longest call that Vonage allows, in seconds.
    pub const MAX_CALL_SECONDS: u32 = 7200;
    /// The shortest limit that can be chosen, in seconds.
    pub const MIN_CALL_SECONDS: u32 = 60;

    /// Returns limits with the usual ringing time: a third of the call, at most 45 seconds.
    pub fn with_max_call(max_call_seconds: u32) -> Self {
        Self { max_call_seconds, ring_seconds: (max_call_seconds / 3).min(45), warn_minutes: 0 }
    }

    /// Returns the ringing times that can be chosen, in seconds: at most half of the call, so that there is time to talk.
    pub fn allowed_ring_seconds(self) -> RangeInclusive<u32> {
        Self::MIN_RING_SECONDS..=(self.max_call_seconds / 2).min(Self::MAX_RING_SECONDS)
    }

    /// Returns the time left to talk, in seconds, after the announcement, the ringing of all attempts and the guard.
    pub fn talk_seconds(self, handling: CallHandling) -> u32 {
        self.max_call_seconds.saturating_sub(self.seconds_to_connect(handling))
    }

    /// Returns the seconds from the answer to the warning, for a call that may last for this number of seconds. `None` without one.
    pub fn seconds_to_warning(self, talk: u32) -> Option<u32> {
        let warning = u32::from(self.warn_minutes) * 60;
        let before = talk.checked_sub(warning).filter(|before| *before >= Self::BEFORE_WARNING_SECONDS);
        before.filter(|_| warning > 0)
    }

    /// Returns the shortest longest call with this ringing time and handling, in seconds: in it there is time to talk, or for the
    /// words after a missed call.
    pub fn least_call_seconds(self, handling: CallHandling) -> u32 {
        self.seconds_to_connect(handling) + handling.menu_seconds().max(Self::LEAST_TALK_SECONDS)
    }

    fn seconds_to_connect(self, handling: CallHandling) -> u32 {
        Self::ANNOUNCEMENT_SECONDS
            + handling.ring_seconds(self.ring_seconds)
            + handling.guard_seconds()
            + handling.recording.seconds()
    }

    /// Longest time for which a caller hears how long the call may last, in seconds.
    const NOTICE_SECONDS: u32 = 6;

    /// Returns the time to talk of a call of which `left` seconds are left, and true if that cuts it short.
    pub fn talk_seconds_within(self, left: Option<u32>, handling: CallHandling) -> (u32, bool) {
        let talk = self.talk_seconds(handling);
        match left.filter(|left| *left < talk) {
            // The caller hears about it first, and the whole call stays within its limit.
            Some(left) => (left.min(talk.saturating_sub(Self::NOTICE_SECONDS)).max(1), true),
            None => (talk, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::guard::Guard;
    use crate::domain::missed_calls::Measure;

    #[test]
    fn announcement_ringing_and_talk_fit_into_the_longest_call() {
        for (max_call_seconds, ring_seconds, talk_seconds) in [(60, 20, 35), (7200, 45, 7150)] {
            let limits = CallLimits::with_max_call(max_call_seconds);
            let talk = limits.talk_seconds(CallHandling::default());
            assert_eq!((limits.ring_seconds, talk), (ring_seconds, talk_seconds));
        }
    }

    #[test]
    fn call_that_is_cut_short_has_time_for_the_notice() {
        let limits = CallLimits::with_max_call(7200);
        let within = |left| limits.talk_seconds_within(left, CallHandling::default());
        assert_eq!([None, Some(7150), Some(9000)].map(within), [(7150, false); 3]);
        assert_eq!(
            [Some(7149), Some(7144), Some(7143), Some(1)].map(within),
            [(7144, true), (7144, true), (7143, true), (1, true)]
        );
    }

    #[test]
    fn longest_ringing_leaves_time_to_talk() {
        for max_call_seconds in CallLimits::MIN_CALL_SECONDS..=CallLimits::MAX_CALL_SECONDS {
            let usual = CallLimits::with_max_call(max_call_seconds);
            assert!(usual.allowed_ring_seconds().contains(&usual.ring_seconds), "{max_call_seconds}");
            let longest = CallLimits { ring_seconds: *usual.allowed_ring_seconds().end(), ..usual };
            assert!(longest.talk_seconds(CallHandling::default()) >= 25, "{max_call_seconds}");
        }
    }

    #[test]
    fn warning_comes_before_the_end_of_calls_that_are_long_enough() {
        let limits = CallLimits { warn_minutes: 1, ..CallLimits::with_max_call(7200) };
        assert_eq!([7150, 70, 69, 5].map(|talk| limits.seconds_to_warning(talk)), [Some(7090), Some(10), None, None]);
        assert_eq!(CallLimits::with_max_call(7200).seconds_to_warning(7150), None);
    }

    #[test]
    fn guard_and_menu_are_part_of_the_longest_call() {
        let limits = CallLimits { max_call_seconds: 120, ring_seconds: 30, warn_minutes: 0 };
        let guarded = CallHandling { guard: Guard::Press1, ..CallHandling::default() };
        let asked = CallHandling { missed_calls: vec![Measure::CallBack].into(), ..guarded };
        assert_eq!((limits.talk_seconds(CallHandling::default()), limits.talk_seconds(guarded)), (85, 60));
        assert_eq!(limits.talk_seconds(asked), 60, "a call is either taken or missed");
        assert_eq!((limits.least_call_seconds(guarded), limits.least_call_seconds(asked)), (70, 85));
    }
}
