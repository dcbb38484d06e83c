//! Clocks. Code receives the clock as an argument, so that tests can set the time.

use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};

/// A source of the current time.
pub trait Clock: Send + Sync {
    /// Returns the current time, with a precision of at least one millisecond.
    fn now(&self) -> Timestamp;
}

/// A clock that several parts of a process share.
pub type SharedClock = Arc<dyn Clock>;

/// Returns the system clock.
pub fn system() -> SharedClock {
    Arc::new(SystemClock)
}

/// The system clock.
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that stands still until [`ManualClock::advance`] moves it.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<Timestamp>>);

impl ManualClock {
    /// Creates a clock that stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(now)))
    }

    /// Moves the clock by a duration, which may be negative.
    pub fn advance(&self, by: SignedDuration) {
        *self.0.lock().expect("no panic while the clock is locked") += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("no panic while the clock is locked")
    }
}

/// Returns `time` without its fraction of a millisecond.
pub fn whole_millisecond(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

/// Returns `time` without its fraction of a second, which is the precision of the table and the API.
pub fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
