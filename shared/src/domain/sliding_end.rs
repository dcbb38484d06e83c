//! An end of a conversation that slides with each call and text.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::lifetime::Lifetime;

/// The sliding end of a conversation. Serialized as the table stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlidingEnd {
    /// The time from the last call or text to the end.
    #[serde(rename = "seconds")]
    pub after_use: Lifetime,
    /// The time beyond which the end does not slide.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub latest: Timestamp,
    /// The time from which calls and texts count: that of the request that set the end or this rule. So an event that comes late or
    /// again does not undo what the request wanted.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub since: Timestamp,
}

/// Part of the time after a use by which an end has to become later to be worth a write. So a busy conversation is not written
/// for each of its events.
const LEAST_GAIN: i32 = 10;

impl SlidingEnd {
    /// Creates the sliding end that is asked for at `now`. Without a latest end, it slides as far as the longest lifetime reaches.
    pub fn new(after_use: Lifetime, latest: Option<Timestamp>, now: Timestamp) -> Self {
        let latest = latest.unwrap_or_else(|| Self::farthest(now));
        Self { after_use, latest: second(latest), since: second(now) }
    }

    /// Returns the same rule for an end that a request set at `now`.
    pub fn renewed(self, now: Timestamp) -> Self {
        Self { since: second(now), ..self }
    }

    /// Returns the latest time to which an end may slide that is asked for at `now`.
    pub fn farthest(now: Timestamp) -> Timestamp {
        now.saturating_add(Lifetime::LONGEST.duration()).unwrap_or(Timestamp::MAX)
    }

    /// Returns the end after a call or text at `used_at`, if it is enough later than the present `end` to be worth a write.
    ///
    /// It depends on nothing but the time of the use. So one that is told twice or late does not move the end twice, and an end
    /// is never brought forward.
    pub fn moved(self, end: Timestamp, used_at: Timestamp) -> Option<Timestamp> {
        let due = second(used_at).saturating_add(self.after_use.duration()).ok()?;
        let counts = self.since <= used_at && due.duration_since(end) >= self.after_use.duration() / LEAST_GAIN;
        Some(due.min(self.latest)).filter(|moved| counts && end < *moved)
    }
}

/// Returns a time without the part of its second, as the table stores it.
fn second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn sliding(latest: i64) -> SlidingEnd {
        SlidingEnd::new(Lifetime::try_from(1_000).unwrap(), Some(at(latest)), at(0))
    }

    #[test]
    fn end_moves_by_a_tenth_at_least_and_never_back() {
        let moved = |used_at| sliding(100_000).moved(at(2_000), at(used_at));
        for (used_at, end) in [(0, None), (1_000, None), (1_099, None), (1_100, Some(2_100)), (1_999, Some(2_999))] {
            assert_eq!(moved(used_at), end.map(at), "{used_at}");
        }
    }

    #[test]
    fn end_moves_to_the_latest_one_and_not_beyond() {
        let moved = |end, used_at| sliding(2_050).moved(at(end), at(used_at));
        assert_eq!(moved(2_000, 1_500), Some(at(2_050)));
        assert_eq!(moved(2_050, 1_900), None);
        assert_eq!(moved(3_000, 2_500), None, "a request has set a later one");
    }

    #[test]
    fn use_before_a_request_does_not_undo_it() {
        let renewed = sliding(100_000).renewed(at(1_500));
        assert_eq!([1_499, 1_500].map(|used_at| renewed.moved(at(1_600), at(used_at))), [None, Some(at(2_500))]);
    }

    #[test]
    fn same_use_moves_the_end_once() {
        let moved = sliding(100_000).moved(at(2_000), at(1_500)).unwrap();
        assert_eq!(sliding(100_000).moved(moved, at(1_500)), None);
        assert_eq!(sliding(100_000).moved(moved, at(1_200)), None, "and an earlier one that comes late not at all");
    }
}
