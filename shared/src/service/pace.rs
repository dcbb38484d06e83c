//! Turns of calls at a deployment with a [`Pace`].

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::clock::{SharedClock, whole_millisecond};
use crate::domain::pace::{Pace, Turn};
use crate::store::{Store, StoreError};

/// Time for which a sandbox takes a share.
const SHARE_LASTS: SignedDuration = SignedDuration::from_mins(10);

/// Time for which a sandbox that got no share asks for none.
const ASKS_AGAIN_AFTER: SignedDuration = SignedDuration::from_mins(1);

/// Largest difference between the clocks of two sandboxes.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(5);

/// Gives calls their turns.
pub struct Pacer {
    store: Store,
    pace: Pace,
    clock: SharedClock,
    share: Mutex<Share>,
}

/// The share of this sandbox.
#[derive(Debug, Clone, Copy)]
struct Share {
    /// The end of the share.
    until: Timestamp,
    /// The time of the last call that used it.
    used_at: Timestamp,
    /// The time from which another share is asked for.
    asks_at: Timestamp,
}

impl Pacer {
    /// Creates the pacer of a sandbox, which has no share yet.
    pub fn new(store: Store, pace: Pace, clock: SharedClock) -> Self {
        let never = Timestamp::UNIX_EPOCH;
        Self { store, pace, clock, share: Mutex::new(Share { until: never, used_at: never, asks_at: never }) }
    }

    /// Returns the turn of a call that is to be connected. One read, and one write unless a share of this sandbox will do.
    ///
    /// An unreadable queue makes nobody wait: Vonage has its own limit.
    pub async fn turn(&self) -> Result<Turn, StoreError> {
        let now = whole_millisecond(self.clock.now());
        let next = match self.store.next_turn().await {
            Err(StoreError::Unreadable(..)) => return Ok(Turn::At(now)),
            next => next?,
        };
        if Pace::is_quiet(next, now) && (self.uses_share(now) || self.takes_share(now).await?) {
            return Ok(Turn::At(now));
        }
        self.store.take_turn(self.pace, next, now).await
    }

    /// Uses the share for a call, if there is one that was not used in the last second.
    fn uses_share(&self, now: Timestamp) -> bool {
        let mut share = self.share.lock().unwrap_or_else(PoisonError::into_inner);
        let is_free = now < share.until && Pace::is_share_free(share.used_at, now);
        if is_free {
            share.used_at = now;
        }
        is_free
    }

    /// Takes a share and uses it for a call, unless this sandbox has one or has asked in vain a moment ago.
    async fn takes_share(&self, now: Timestamp) -> Result<bool, StoreError> {
        {
            let mut share = self.share.lock().unwrap_or_else(PoisonError::into_inner);
            if self.pace.shares() == 0 || now < share.until || now < share.asks_at {
                return Ok(false);
            }
            share.asks_at = now + ASKS_AGAIN_AFTER;
        }
        let (number, until) = (fastrand::u16(..self.pace.shares()), now + SHARE_LASTS);
        if !self.store.take_share(number, until, now).await? {
            return Ok(false);
        }
        let mut share = self.share.lock().unwrap_or_else(PoisonError::into_inner);
        (share.until, share.used_at) = (until - CLOCKS_DIFFER, now);
        Ok(true)
    }
}
