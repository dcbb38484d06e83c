//! The pace of calls: Vonage connects so many calls in a second, and refuses the others.
//!
//! A call that is to be connected takes a turn from a queue that all sandboxes share. Turns are evenly spaced, so at most
//! [`Pace`] of them are in any second, wherever it begins.
//!
//! Nothing is written for a call while calls are far apart. Half of the pace is given out as shares: a sandbox with a share may
//! connect one call in a second without a turn, but only while the queue has been empty for a second. A queue that begins leaves
//! room for all shares, because each of them may have just been used.

use std::num::NonZeroU16;

use jiff::{SignedDuration, Timestamp};

/// The most calls that are connected in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace(NonZeroU16);

/// The turn of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is connected at this time, or at once if that is over.
    At(Timestamp),
    /// Too many others are before it, so it is not connected.
    TooMany,
}

/// The queue of the calls that wait, as a call finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Nobody waits: the call is connected now, and the turn after it is at this time.
    Empty(Timestamp),
    /// Others wait, and the call comes after them.
    Waiting,
    /// The call would wait for too long.
    Full,
}

/// The time for which Vonage counts calls together.
const COUNTED_TOGETHER: SignedDuration = SignedDuration::from_secs(1);

impl Pace {
    /// The highest pace. Each turn is a write of one item, and DynamoDB writes one item a thousand times in a second.
    pub const MOST: u16 = 500;

    /// The longest wait for a turn.
    pub const LONGEST_WAIT: SignedDuration = SignedDuration::from_secs(30);

    /// Creates a pace of so many calls in a second. `None` for 0, which is no limit.
    pub fn of(calls: u16) -> Option<Self> {
        NonZeroU16::new(calls).map(Self)
    }

    /// Returns the time between two turns, rounded up to a millisecond.
    pub fn interval(self) -> SignedDuration {
        SignedDuration::from_millis(1000_u16.div_ceil(self.0.get()).into())
    }

    /// Returns the number of shares. A pace of 1 has none.
    pub fn shares(self) -> u16 {
        self.0.get() / 2
    }

    /// True if a share may be used at `now`, when `next` is the time of the turn that is free next.
    pub fn is_quiet(next: Option<Timestamp>, now: Timestamp) -> bool {
        next.is_none_or(|next| next.duration_until(now) >= COUNTED_TOGETHER)
    }

    /// True if a share that was used at `last` may be used again.
    pub fn is_share_free(last: Timestamp, now: Timestamp) -> bool {
        last.duration_until(now) >= COUNTED_TOGETHER
    }

    /// Returns the queue that a call finds at `now`, when `next` is the time of the turn that is free next.
    pub fn queue(self, next: Option<Timestamp>, now: Timestamp) -> Queue {
        match next {
            Some(next) if now.duration_until(next) > Self::LONGEST_WAIT => Queue::Full,
            Some(next) if now <= next => Queue::Waiting,
            next => {
                let shares = if Self::is_quiet(next, now) { self.shares() } else { 0 };
                Queue::Empty(now + self.interval() * i32::from(shares + 1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + milliseconds).unwrap()
    }

    #[test]
    fn turns_and_shares_are_never_more_than_the_pace() {
        for calls in [1, 2, 3, 7, 30, Pace::MOST] {
            let pace = Pace::of(calls).unwrap();
            // All shares are used, and then many calls come at once.
            let mut times = vec![at(0); pace.shares().into()];
            let (mut next, now) = (None, at(0));
            for _ in 0..4 * calls {
                match pace.queue(next, now) {
                    Queue::Empty(following) => {
                        times.push(now);
                        next = Some(following);
                    }
                    Queue::Waiting => {
                        times.push(next.unwrap());
                        next = Some(next.unwrap() + pace.interval());
                    }
                    Queue::Full => panic!("4 s are not too long"),
                }
            }
            // And the shares are used again as soon as that is allowed.
            let quiet = next.unwrap() + COUNTED_TOGETHER;
            assert!(!Pace::is_quiet(next, quiet - SignedDuration::from_millis(1)) && Pace::is_quiet(next, quiet));
            times.extend(vec![quiet; pace.shares().into()]);
            for from in &times {
                let together = times.iter().filter(|time| (*from..*from + COUNTED_TOGETHER).contains(time)).count();
                assert!(together <= calls.into(), "{together} calls within a second at a pace of {calls}");
            }
        }
    }

    #[test]
    fn nobody_waits_longer_than_the_bound() {
        let pace = Pace::of(3).unwrap();
        let longest = at(0) + Pace::LONGEST_WAIT;
        assert_eq!(pace.queue(Some(longest), at(0)), Queue::Waiting);
        assert_eq!(pace.queue(Some(longest), at(-1)), Queue::Full);
        assert_eq!(pace.queue(Some(at(-500)), at(0)), Queue::Empty(at(334)), "no share was used in the last second");
        assert_eq!(pace.queue(None, at(0)), Queue::Empty(at(668)));
        assert_eq!((Pace::of(0), Pace::of(1).unwrap().shares()), (None, 0));
    }
}
