//! Spacing of the requests to an API that limits their rate.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// A queue of turns that start at least `interval` apart.
#[derive(Debug)]
pub(super) struct RateLimiter {
    interval: Duration,
    backoff: Duration,
    next: Mutex<Option<Instant>>,
}

impl RateLimiter {
    /// Creates a limiter whose turns start at least `interval` apart. After a rate limit error the next turn is at
    /// least twice `backoff` away.
    pub(super) fn new(interval: Duration, backoff: Duration) -> Self {
        Self { interval, backoff, next: Mutex::new(None) }
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// Waits for the next turn. Turns are given in the order of the calls.
    pub(super) async fn turn(&self) {
        let mut next = self.next.lock().await;
        if let Some(next) = *next {
            sleep_until(next).await;
        }
        *next = Some(Instant::now() + self.interval);
    }

    /// Delays the next turn after a rate limit error in attempt number `attempt`: twice as long as after the attempt
    /// before, and at least `at_least`. Up to half of it is added at random, so that several processes do not continue
    /// at the same moment.
    pub(super) async fn slow_down(&self, attempt: u32, at_least: Duration) {
        let pause = (self.backoff * 2u32.saturating_pow(attempt.min(5))).max(at_least);
        let later = Instant::now() + pause + pause.mul_f64(fastrand::f64() / 2.0);
        let mut next = self.next.lock().await;
        *next = Some(next.map_or(later, |next| next.max(later)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn turns_start_an_interval_apart() {
        let (limiter, start) = (RateLimiter::new(SECOND, SECOND), Instant::now());
        let turn = async || {
            limiter.turn().await;
            start.elapsed().as_secs()
        };
        assert_eq!(tokio::join!(turn(), turn(), turn()), (0, 1, 2));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(turn().await, 12, "unused turns are not saved");
        assert_eq!(turn().await, 13);
    }

    #[tokio::test(start_paused = true)]
    async fn next_turn_is_later_after_each_rate_limit_error() {
        let limiter = RateLimiter::new(SECOND, SECOND);
        for (attempt, asked, at_least, at_most) in
            [(1, 0, 2.0, 3.0), (2, 0, 4.0, 6.0), (3, 0, 8.0, 12.0), (1, 4, 4.0, 6.0)]
        {
            let start = Instant::now();
            limiter.slow_down(attempt, Duration::from_secs(asked)).await;
            limiter.turn().await;
            let waited = start.elapsed().as_secs_f64();
            assert!((at_least..=at_most + 0.01).contains(&waited), "{attempt}: {waited}");
        }
    }
}
