//! The duration of a conversation.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// Duration of a conversation in whole seconds: 60 s to 170 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Lifetime(SignedDuration);

/// The seconds are not within the limits of [`Lifetime`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be from {} to {} seconds (170 days)", Lifetime::MIN_SECONDS, Lifetime::MAX_SECONDS)]
pub struct NotALifetime;

impl Lifetime {
    const MIN_SECONDS: u64 = 60;
    const MAX_SECONDS: u64 = 170 * 86_400;

    /// The longest one.
    pub const LONGEST: Self = Self(SignedDuration::from_secs(Self::MAX_SECONDS as i64));

    /// Returns the duration.
    pub fn duration(self) -> SignedDuration {
        self.0
    }
}

impl From<Lifetime> for u64 {
    fn from(lifetime: Lifetime) -> Self {
        lifetime.0.as_secs().unsigned_abs()
    }
}

impl Default for Lifetime {
    /// One day.
    fn default() -> Self {
        Self(SignedDuration::from_hours(24))
    }
}

impl TryFrom<u64> for Lifetime {
    type Error = NotALifetime;

    fn try_from(seconds: u64) -> Result<Self, NotALifetime> {
        match i64::try_from(seconds) {
            Ok(signed) if (Self::MIN_SECONDS..=Self::MAX_SECONDS).contains(&seconds) => {
                Ok(Self(SignedDuration::from_secs(signed)))
            }
            _ => Err(NotALifetime),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetime_is_a_minute_to_170_days() {
        for (seconds, good) in [(59, false), (60, true), (14_688_000, true), (14_688_001, false), (u64::MAX, false)] {
            assert_eq!(Lifetime::try_from(seconds).is_ok(), good, "{seconds}");
        }
    }
}
