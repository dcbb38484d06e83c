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
    /// The phones of the attempts before this one, so that none is called twice, whatever changes meanwhile.
    earlier: [Option<u16>; Self::MOST as usize - 1],
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
        let since = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Self { number: 1, phone, since, earlier: Default::default() }
    }

    /// Returns the attempt after this one, at `phone`.
    pub fn next(self, phone: usize) -> Self {
        let mut earlier = self.earlier;
        if let Some(place) = earlier.iter_mut().find(|place| place.is_none()) {
            *place = u16::try_from(self.phone).ok();
        }
        Self { number: self.number + 1, phone, since: self.since, earlier }
    }

    /// Returns the phones that the call has tried up to this attempt.
    pub fn phones(&self) -> impl Iterator<Item = usize> {
        self.earlier.into_iter().flatten().map(usize::from).chain([self.phone])
    }

    /// Reads the text that [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let mut next = || parts.next().filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
        let (number, phone, since) = (next()?.parse().ok()?, next()?.parse().ok()?, next()?.parse().ok()?);
        let (since, mut earlier) = (Timestamp::from_second(since).ok()?, [None; Self::MOST as usize - 1]);
        for place in &mut earlier {
            *place = next().map(str::parse).transpose().ok()?;
        }
        let attempt = Self { number, phone, since, earlier };
        (attempt.to_string() == text).then_some(attempt)
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.number, self.phone, self.since.as_second())?;
        self.earlier.iter().flatten().try_for_each(|phone| write!(f, ".{phone}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempt_is_read_as_it_was_written() {
        let first = Attempt::first(0, Timestamp::from_second(1_796_000_000).unwrap());
        let third = first.next(1_001).next(1_003);
        for (attempt, text) in [(first, "1.0.1796000000"), (third, "3.1003.1796000000.0.1001")] {
            assert_eq!(attempt.to_string(), text);
            assert_eq!(Attempt::parse(text), Some(attempt));
        }
        assert_eq!(third.phones().collect::<Vec<_>>(), [0, 1_001, 1_003]);
        let older = Attempt::parse("2.1001.1796000000").unwrap();
        assert_eq!((older.number, older.phones().count()), (2, 1), "an older release wrote it");
        let most = (1..Attempt::MOST).fold(first, |attempt, nth| attempt.next(nth.into()));
        assert_eq!(Attempt::parse(&most.to_string()), Some(most));
        for bad in [
            "",
            "2",
            "2.1001",
            "2.1001.1796000000.x",
            "2.1001.1796000000.",
            "+2.1.1",
            "02.1.1",
            "2.-1.1",
            "300.1.1",
            "2.1.x",
            &format!("{most}.1"),
        ] {
            assert_eq!(Attempt::parse(bad), None, "{bad:?}");
        }
    }
}
