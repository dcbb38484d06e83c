//! Sending a request again: when that is safe, after what pause, and within what time.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::error::VonageError;

/// What a request does at Vonage, which decides after which failures it may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Idempotency {
    /// It only reads: after any failure that may pass.
    Safe,
    /// It buys, texts or changes something: only if it is certain that it was not carried out.
    Unsafe,
}

impl Idempotency {
    fn allows_again(self, error: &VonageError) -> bool {
        let not_carried_out = matches!(error, VonageError::RateLimited { .. } | VonageError::Unreachable(_));
        not_carried_out || self == Self::Safe && error.outcome_is_unknown()
    }
}

/// How often a request is sent at most.
const MOST: u32 = 3;

/// A share of the time limit, in percent.
const ATTEMPT: u32 = 60;
const CONNECT: u32 = 30;
/// What has to be left for another attempt: one that is cut short would make a known outcome an unknown one.
const LEAST: u32 = 30;

fn percent(percent: u32, of: Duration) -> Duration {
    of * percent / 100
}

/// How long making a connection may take, of the time that a request has in all.
pub(super) fn connect_limit(time_limit: Duration) -> Duration {
    percent(CONNECT, time_limit)
}

/// The attempts at one request, which together keep to its time limit.
#[derive(Debug)]
pub(super) struct RetryBudget<'a> {
    path: &'a str,
    idempotency: Idempotency,
    time_limit: Duration,
    left: Duration,
    made: u32,
    began: Instant,
}

impl<'a> RetryBudget<'a> {
    pub(super) fn new(path: &'a str, idempotency: Idempotency, time_limit: Duration) -> Self {
        Self { path, idempotency, time_limit, left: time_limit, made: 0, began: Instant::now() }
    }

    /// How many attempts have been made.
    pub(super) fn made(&self) -> u32 {
        self.made
    }

    /// Begins an attempt, and gives how long it may take.
    pub(super) fn begin(&mut self) -> Duration {
        self.began = Instant::now();
        self.made += 1;
        self.left.min(percent(ATTEMPT, self.time_limit))
    }

    /// Whether the request may be sent again after an attempt that failed and a pause of `pause`, which counts.
    pub(super) fn may_retry(&mut self, error: &VonageError, pause: Duration) -> bool {
        tracing::warn!(path = self.path, attempt = self.made, cause = %error, vonage_errors = 1u64, "Vonage failed");
        self.left = self.left.saturating_sub(self.began.elapsed() + pause);
        self.made < MOST && self.idempotency.allows_again(error) && self.left >= percent(LEAST, self.time_limit)
    }

    /// Makes attempts, each of which is told how long it may take, until one of them settles the request.
    pub(super) async fn make<T, Attempt: Future<Output = Result<T, VonageError>>>(
        mut self,
        attempt: impl Fn(Duration) -> Attempt,
    ) -> Result<T, VonageError> {
        loop {
            let limit = self.begin();
            let outcome = attempt(limit).await;
            if let Some(settled) = self.settle(outcome).await {
                return settled;
            }
        }
    }

    /// What the request has come to; none, after a pause, if it is to be sent again.
    pub(super) async fn settle<T>(&mut self, outcome: Result<T, VonageError>) -> Option<Result<T, VonageError>> {
        let Err(error) = outcome else { return Some(outcome) };
        let pause = pause(&error, self.made);
        if !self.may_retry(&error, pause) {
            return Some(Err(error));
        }
        sleep(pause).await;
        None
    }
}

/// The pause after attempt number `made`, at random so that many do not come back together: as long as Vonage says and
/// up to a quarter of a second more, or else half a second when it is asked too often, and next to nothing when a
/// connection broke, as one does that was idle for too long.
fn pause(error: &VonageError, made: u32) -> Duration {
    let at_random = |longest: u64| Duration::from_millis(fastrand::u64(..=longest));
    let doubled = 1 << (made - 1).min(5);
    match error {
        VonageError::RateLimited { retry_after: Some(after) } => *after + at_random(250),
        VonageError::RateLimited { retry_after: None } => {
            Duration::from_millis(500 * doubled) + at_random(250 * doubled)
        }
        _ => at_random(100 * doubled),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    fn too_often(retry_after: Option<u64>) -> VonageError {
        VonageError::RateLimited { retry_after: retry_after.map(Duration::from_secs) }
    }

    /// Lets each attempt take so long and fail in that way: how many there were, and how long all of it took.
    async fn fail(idempotency: Idempotency, takes: Duration, error: impl Fn() -> VonageError) -> (u32, f64) {
        let (start, made) = (Instant::now(), Cell::new(0));
        let attempt = async |limit| {
            made.set(made.get() + 1);
            sleep(takes.min(limit)).await;
            Err::<(), _>(error())
        };
        RetryBudget::new("/path", idempotency, LIMIT).make(attempt).await.unwrap_err();
        (made.get(), start.elapsed().as_secs_f64())
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_was_certainly_not_carried_out_is_sent_again_if_it_has_an_effect() {
        for (error, read, lasting) in [
            ((|| too_often(None)) as fn() -> VonageError, 3, 3),
            (|| VonageError::Failed(500), 3, 1),
            (|| VonageError::NotUnderstood(None), 3, 1),
            (|| VonageError::Partly(Vec::new()), 3, 1),
            (|| VonageError::Unauthorized, 1, 1),
            (|| VonageError::refused("420", "method failed"), 1, 1),
        ] {
            let made = async |idempotency| fail(idempotency, Duration::ZERO, error).await.0;
            assert_eq!(
                (made(Idempotency::Safe).await, made(Idempotency::Unsafe).await),
                (read, lasting),
                "{:?}",
                error()
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn all_attempts_together_keep_to_the_time_limit() {
        let (made, took) = fail(Idempotency::Safe, Duration::MAX, || VonageError::Failed(0)).await;
        assert_eq!(made, 2, "three fifths of the time, and what is left");
        assert!((4.9..=5.0).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_pause_is_what_vonage_asks_for_if_that_fits_in() {
        for (retry_after, attempts, at_least, at_most) in
            [(Some(1), 3, 2.0, 2.51), (Some(2), 2, 2.0, 2.26), (Some(4), 1, 0.0, 0.0), (None, 3, 1.5, 2.26)]
        {
            let (made, took) = fail(Idempotency::Unsafe, Duration::ZERO, || too_often(retry_after)).await;
            assert_eq!(made, attempts, "{retry_after:?}");
            assert!((at_least..=at_most).contains(&took), "{retry_after:?}: {took}");
        }
    }
}
