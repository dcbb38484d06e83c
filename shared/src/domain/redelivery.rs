//! The next attempt to deliver an event that the backend did not take.
//!
//! Source: Standard Webhooks 1.0.0, "Deliverability and reliability": exponential back-off with jitter.

use jiff::SignedDuration;

/// Time after an event for which it is tried.
pub const TRIED_FOR: SignedDuration = SignedDuration::from_hours(24);

/// The pause after the first attempt. Each further one is three times as long.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(5);

/// The longest pause, unless the backend asks for a longer one. A queue of SQS hides a message for 12 hours at most.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(3);

/// The longest pause that a backend can ask for.
const LONGEST_ASKED: SignedDuration = SignedDuration::from_hours(11);

/// An attempt that failed.
#[derive(Debug, Clone, Copy)]
pub struct FailedAttempt {
    /// Its number; 1 is the first one.
    pub nth: u32,
    /// The time since the event came into the queue.
    pub age: SignedDuration,
    /// The pause that the backend asks for.
    pub asked_pause: Option<SignedDuration>,
}

impl FailedAttempt {
    /// Returns the pause until the next attempt; `None` if this was the last one. `jitter`, 0 to 1, makes the pause up to a fifth
    /// longer, so that what failed together does not come back together. The pause has whole seconds, and the last attempt is at the
    /// end of [`TRIED_FOR`].
    pub fn next_pause(self, jitter: f64) -> Option<SignedDuration> {
        let left = TRIED_FOR - self.age;
        if left <= SignedDuration::ZERO {
            return None;
        }
        // The factor is above the longest pause long before it overflows.
        let factor = 3i32.saturating_pow(self.nth.saturating_sub(1).min(12));
        let pause = FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE);
        let pause = pause + SignedDuration::from_secs_f64(pause.as_secs_f64() * jitter.clamp(0.0, 1.0) / 5.0);
        let asked = self.asked_pause.unwrap_or(SignedDuration::ZERO).min(LONGEST_ASKED);
        let pause = pause.max(asked).min(left);
        Some(SignedDuration::from_secs(pause.as_secs() + i64::from(pause.subsec_nanos() > 0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the ages, in seconds, at which an event is tried whose backend is down and asks for nothing.
    fn attempts(jitter: f64) -> Vec<i64> {
        let (mut age, mut ages) = (SignedDuration::ZERO, vec![0]);
        for nth in 1.. {
            let Some(pause) = (FailedAttempt { nth, age, asked_pause: None }).next_pause(jitter) else { break };
            age += pause;
            ages.push(age.as_secs());
        }
        ages
    }

    #[test]
    fn event_is_tried_for_a_day_with_growing_pauses() {
        let usual = attempts(0.0);
        assert_eq!(usual[..9], [0, 5, 20, 65, 200, 605, 1820, 5465, 16_265]);
        let pauses: Vec<_> = usual.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(pauses[..pauses.len() - 1].is_sorted(), "{pauses:?}");
        for ages in [usual, attempts(0.5), attempts(1.0)] {
            assert_eq!(*ages.last().unwrap(), 86_400);
            assert!((13..=16).contains(&ages.len()), "{ages:?}");
        }
    }

    #[test]
    fn backend_can_ask_for_a_longer_pause_but_for_no_later_end() {
        let failed = |age, asked: i64| FailedAttempt {
            nth: 1,
            age: SignedDuration::from_hours(age),
            asked_pause: Some(SignedDuration::from_secs(asked)),
        };
        let pause = |age, asked| failed(age, asked).next_pause(0.0).map(|pause| pause.as_secs());
        assert_eq!((pause(0, 1), pause(0, 120)), (Some(5), Some(120)));
        assert_eq!((pause(0, i64::MAX), pause(23, 86_400)), (Some(11 * 3600), Some(3600)));
        assert_eq!(pause(24, 60), None);
    }

    #[test]
    fn attempts_without_number_or_end_have_a_pause() {
        for nth in [0, 1, u32::MAX] {
            let age = SignedDuration::from_secs(-3);
            let pause = FailedAttempt { nth, age, asked_pause: None }.next_pause(7.0);
            assert!(pause.is_some_and(|pause| pause >= FIRST_PAUSE && pause <= LONGEST_PAUSE * 2), "{pause:?}");
        }
    }
}
