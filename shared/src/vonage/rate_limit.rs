//! A pace for requests to an API that takes only so many.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// Gives turns at least an interval apart, to all who ask.
#[derive(Debug)]
pub(super) struct RateLimiter {
    interval: Duration,
    next: Mutex<Option<Instant>>,
}

impl RateLimiter {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, next: Mutex::new(None) }
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// Waits for the next turn. Those who wait get theirs in the order in which they came.
    pub(super) async fn turn(&self) {
        let mut next = self.next.lock().await;
        if let Some(next) = *next {
            sleep_until(next).await;
        }
        *next = Some(Instant::now() + self.interval);
    }

    /// Leaves out as many turns as makes twice the pause of the attempt before, and `at_least` what Vonage asks for, with
    /// up to half of it more, so that several processes do not come back together.
    pub(super) async fn slow_down(&self, attempt: u32, at_least: Duration) {
        let pause = (self.interval * 2u32.saturating_pow(attempt.min(5))).max(at_least);
        let later = Instant::now() + pause + pause.mul_f64(fastrand::f64() / 2.0);
        let mut next = self.next.lock().await;
        *next = Some(next.map_or(later, |next| next.max(later)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn turns_are_an_interval_apart_whoever_asks() {
        let (pace, start) = (RateLimiter::new(Duration::from_secs(1)), Instant::now());
        let turn = async || {
            pace.turn().await;
            start.elapsed().as_secs()
        };
        assert_eq!(tokio::join!(turn(), turn(), turn()), (0, 1, 2));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(turn().await, 12, "a pause is not saved up");
        assert_eq!(turn().await, 13);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_turn_too_many_the_next_one_comes_later_each_time() {
        let pace = RateLimiter::new(Duration::from_secs(1));
        for (attempt, asked, at_least, at_most) in
            [(1, 0, 2.0, 3.0), (2, 0, 4.0, 6.0), (3, 0, 8.0, 12.0), (1, 4, 4.0, 6.0)]
        {
            let start = Instant::now();
            pace.slow_down(attempt, Duration::from_secs(asked)).await;
            pace.turn().await;
            let waited = start.elapsed().as_secs_f64();
            assert!((at_least..=at_most + 0.01).contains(&waited), "{attempt}: {waited}");
        }
    }
}
