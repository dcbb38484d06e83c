//! Retention: the time for which a conversation stays readable after its quarantine. Then it is erased.

use jiff::{SignedDuration, Timestamp};

use crate::domain::conversation::Conversation;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Time for which conversations stay readable after their quarantine, in whole days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention(SignedDuration);

impl Retention {
    /// Largest number of days.
    pub const MAX_DAYS: u16 = 365;

    /// The longest one that a deployment can have.
    pub const LONGEST: Self = Self::of_days(Self::MAX_DAYS);

    /// Creates a retention of so many days.
    pub const fn of_days(days: u16) -> Self {
        Self(SignedDuration::from_hours(24 * days as i64))
    }

    /// Returns the end of the retention of a conversation whose quarantine ends at `quarantined_until`.
    pub fn end(self, quarantined_until: Timestamp) -> Timestamp {
        quarantined_until.saturating_add(self.0).unwrap_or(Timestamp::MAX)
    }

    /// Returns the latest end of a quarantine after which the retention is over at `now`.
    pub fn cut_off(self, now: Timestamp) -> Timestamp {
        now.saturating_sub(self.0).unwrap_or(Timestamp::MIN)
    }

    /// True if the conversation is not readable any more at `now`, and is to be erased.
    pub fn is_over(self, conversation: &Conversation, now: Timestamp) -> bool {
        self.end(conversation.rests_until()) <= now
    }

    /// Returns the same with so many days more.
    pub fn with_margin(self, days: u16) -> Self {
        Self(self.0 + DAY * i32::from(days))
    }
}
