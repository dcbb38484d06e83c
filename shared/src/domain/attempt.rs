//! Attempts: the phones that one call tries, one after the other.

use std::fmt;

use jiff::Timestamp;

/// One attempt of a call to reach a side with several phones. It is part of addresses that Vonage calls back, as text, so events
/// that come twice and in any order mean the same attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The number of the attempt, from 1 on.
    pub number: u8,
    /// Index of the phone; see [`Participant::number_at`](crate::domain::conversation::Participant::number_at).
    pub phone: usize,
    /// The time of the first attempt of this call, to the second.
    pub since: Timestamp,
}

impl Attempt {
    /// Most attempts of one call.
    pub const MOST: u8 = 10;

    /// Most attempts of one call if nothing is said.
    pub const USUAL: u8 = 3;

    /// The shortest time for which another phone is worth ringing, in seconds.
    pub const LEAST_RING_SECONDS: u32 = 5;

    /// Creates the first attempt of a call, at `now`.
    pub fn first(phone: usize, now: Timestamp) -> Self {
        Self { number: 1, phone, since: Timestamp::from_second(now.as_second()).unwrap_or(now) }
    }

    /// Reads the text that [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let mut next = || parts.next().filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
        let (number, phone, since) = (next()?.parse().ok()?, next()?.parse().ok()?, next()?.parse().ok()?);
        let attempt = Self { number, phone, since: Timestamp::from_second(since).ok()? };
        (parts.next().is_none() && attempt.to_string() == text).then_some(attempt)
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.number, self.phone, self.since.as_second())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempt_is_read_as_it_was_written() {
        let attempt = Attempt { number: 2, phone: 1001, since: Timestamp::from_second(1_796_000_000).unwrap() };
        assert_eq!(attempt.to_string(), "2.1001.1796000000");
        assert_eq!(Attempt::parse("2.1001.1796000000"), Some(attempt));
        for bad in ["", "2", "2.1001", "2.1001.1796000000.1", "+2.1.1", "02.1.1", "2.-1.1", "300.1.1", "2.1.x"] {
            assert_eq!(Attempt::parse(bad), None, "{bad:?}");
        }
    }
}
