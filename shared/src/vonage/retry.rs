//! Retries of a request to Vonage: after which errors, after which pause, and within which time.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::error::VonageError;
use super::rate_limit::RateLimiter;

/// The effect of sending a request twice, which decides after which errors it may be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Idempotency {
    /// Twice has the same effect as once. Retried after every transient error.
    Safe,
    /// It rents a number, sends a text message or changes a setting. Retried only if it was certainly not carried out.
    Unsafe,
}

impl Idempotency {
    fn allows_retry_after(self, error: &VonageError) -> bool {
        let not_carried_out = matches!(error, VonageError::RateLimited { .. } | VonageError::Unreachable(_));
        not_carried_out || self == Self::Safe && error.outcome_is_unknown()
    }
}

/// The most attempts at one request.
const MAX_ATTEMPTS: u32 = 3;

/// The longest time for one attempt, in percent of the request's time limit.
const ATTEMPT_PERCENT: u32 = 60;
/// The longest time for making a connection, in percent of the request's time limit.
const CONNECT_PERCENT: u32 = 30;
/// The time that must be left for another attempt, in percent of the request's time limit. An attempt that is cut short
/// would replace an error whose outcome is known with one whose outcome is not.
const RETRY_PERCENT: u32 = 30;

fn percent(percent: u32, of: Duration) -> Duration {
    of * percent / 100
}

/// Returns the longest time for making a connection, for requests with this time limit.
pub(super) fn connect_limit(time_limit: Duration) -> Duration {
    percent(CONNECT_PERCENT, time_limit)
}

/// The time limit of one request, shared by its attempts and the pauses between them.
#[derive(Debug)]
pub(super) struct RetryBudget<'a> {
    path: &'a str,
    idempotency: Idempotency,
    time_limit: Duration,
    rate_limiter: Option<&'a RateLimiter>,
}

impl<'a> RetryBudget<'a> {
    /// Creates the budget of a request to `path`, which each attempt sends in a turn of `rate_limiter`, if there is
    /// one. The wait for a turn does not count against `time_limit`.
    pub(super) fn new(
        path: &'a str,
        idempotency: Idempotency,
        time_limit: Duration,
        rate_limiter: Option<&'a RateLimiter>,
    ) -> Self {
        Self { path, idempotency, time_limit, rate_limiter }
    }

    /// Calls `attempt`, with the longest time that it may take, until it succeeds or may not be retried.
    pub(super) async fn run<T, Attempt: Future<Output = Result<T, VonageError>>>(
        self,
        attempt: impl Fn(Duration) -> Attempt,
    ) -> Result<T, VonageError> {
        let (mut left, mut attempts) = (self.time_limit, 0);
        loop {
            if let Some(rate_limiter) = self.rate_limiter {
                rate_limiter.turn().await;
            }
            let started = Instant::now();
            attempts += 1;
            let error = match attempt(left.min(percent(ATTEMPT_PERCENT, self.time_limit))).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let path = self.path;
            tracing::warn!(path, attempt = attempts, cause = %error, vonage_errors = 1u64, "request to Vonage failed");
            let pause = self.pause(&error, attempts);
            left = left.saturating_sub(started.elapsed() + pause);
            let has_time = left >= percent(RETRY_PERCENT, self.time_limit);
            if attempts == MAX_ATTEMPTS || !has_time || !self.idempotency.allows_retry_after(&error) {
                return Err(error);
            }
            match self.rate_limiter {
                None => sleep(pause).await,
                Some(limiter) if matches!(error, VonageError::RateLimited { .. }) => {
                    limiter.slow_down(attempts, pause).await;
                }
                Some(_) => {}
            }
        }
    }

    /// Returns the pause after attempt number `attempts`, as far as it counts against the time limit. It is random, so
    /// that many clients do not retry at the same moment. After a broken connection, such as one that was idle for too
    /// long, it is short. With a rate limiter, the next turn is the pause, and only Vonage's `Retry-After` counts.
    fn pause(&self, error: &VonageError, attempts: u32) -> Duration {
        let jitter = |max_millis: u64| Duration::from_millis(fastrand::u64(..=max_millis));
        let factor = 1 << (attempts - 1).min(5);
        match (error, self.rate_limiter) {
            (VonageError::RateLimited { retry_after }, Some(_)) => retry_after.unwrap_or_default(),
            (_, Some(_)) => Duration::ZERO,
            (VonageError::RateLimited { retry_after: Some(after) }, None) => *after + jitter(250),
            (VonageError::RateLimited { retry_after: None }, None) => {
                Duration::from_millis(500 * factor) + jitter(250 * factor)
            }
            (_, None) => jitter(100 * factor),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    fn rate_limited(retry_after: Option<u64>) -> VonageError {
        VonageError::RateLimited { retry_after: retry_after.map(Duration::from_secs) }
    }

    /// Runs attempts that take up to `takes` and then fail, and returns their number and the seconds that all took.
    async fn fail_at_rate(
        rate_limiter: Option<&RateLimiter>,
        idempotency: Idempotency,
        takes: Duration,
        error: impl Fn() -> VonageError,
    ) -> (u32, f64) {
        let (start, attempts) = (Instant::now(), Cell::new(0));
        let attempt = async |limit| {
            attempts.set(attempts.get() + 1);
            sleep(takes.min(limit)).await;
            Err::<(), _>(error())
        };
        RetryBudget::new("/path", idempotency, LIMIT, rate_limiter).run(attempt).await.unwrap_err();
        (attempts.get(), start.elapsed().as_secs_f64())
    }

    async fn fail(idempotency: Idempotency, takes: Duration, error: impl Fn() -> VonageError) -> (u32, f64) {
        fail_at_rate(None, idempotency, takes, error).await
    }

    #[tokio::test(start_paused = true)]
    async fn unsafe_request_is_retried_only_if_it_was_not_carried_out() {
        for (error, safe, not_safe) in [
            ((|| rate_limited(None)) as fn() -> VonageError, 3, 3),
            (|| VonageError::Failed(500), 3, 1),
            (|| VonageError::NotUnderstood(None), 3, 1),
            (|| VonageError::Partial(Vec::new()), 3, 1),
            (|| VonageError::Unauthorized, 1, 1),
            (|| VonageError::refused("420", "method failed"), 1, 1),
        ] {
            let attempts = async |idempotency| fail(idempotency, Duration::ZERO, error).await.0;
            let made = (attempts(Idempotency::Safe).await, attempts(Idempotency::Unsafe).await);
            assert_eq!(made, (safe, not_safe), "{:?}", error());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_together_stay_within_the_time_limit() {
        let (attempts, took) = fail(Idempotency::Safe, Duration::MAX, || VonageError::Failed(0)).await;
        assert_eq!(attempts, 2, "60 % of the time, then the rest");
        assert!((4.9..=5.0).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn pause_follows_retry_after_if_the_time_allows() {
        for (retry_after, expected, at_least, at_most) in
            [(Some(1), 3, 2.0, 2.51), (Some(2), 2, 2.0, 2.26), (Some(4), 1, 0.0, 0.0), (None, 3, 1.5, 2.26)]
        {
            let (attempts, took) = fail(Idempotency::Unsafe, Duration::ZERO, || rate_limited(retry_after)).await;
            assert_eq!(attempts, expected, "{retry_after:?}");
            assert!((at_least..=at_most).contains(&took), "{retry_after:?}: {took}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn wait_for_a_turn_does_not_count_against_the_time_limit() {
        let interval = Duration::from_secs(4);
        for (error, expected, at_least, at_most) in [
            ((|| VonageError::Failed(500)) as fn() -> VonageError, 3, 8.0, 8.01),
            // The limiter waits 8 to 12 seconds, then 16 to 24.
            (|| rate_limited(None), 3, 24.0, 36.01),
            // Vonage's own pause counts.
            (|| rate_limited(Some(4)), 1, 0.0, 0.0),
        ] {
            let limiter = RateLimiter::new(interval, interval);
            let (attempts, took) = fail_at_rate(Some(&limiter), Idempotency::Safe, Duration::ZERO, error).await;
            assert_eq!(attempts, expected, "{:?}", error());
            assert!((at_least..=at_most).contains(&took), "{:?}: {took}", error());
        }
    }
}
