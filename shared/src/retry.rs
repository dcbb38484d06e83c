//! Repetition of attempts that lost a race against concurrent changes.

use std::ops::ControlFlow;
use std::time::Duration;

/// Repeats `attempt` until it breaks with a value or fails. `Continue` means that it lost a race: after a pause it is
/// repeated. Returns the error `contended` if `max` attempts have lost.
pub(crate) async fn contended<T, E, F: Future<Output = Result<ControlFlow<T>, E>>>(
    max: u32,
    contended: E,
    mut attempt: impl FnMut() -> F,
) -> Result<T, E> {
    for nth in 0..max {
        if nth > 0 {
            pause(nth - 1).await;
        }
        if let ControlFlow::Break(value) = attempt().await? {
            return Ok(value);
        }
    }
    Err(contended)
}

/// Sleeps for a random time after attempt `attempt` (from 0): up to 10 ms, doubled with each attempt up to 320 ms.
pub(crate) async fn pause(attempt: u32) {
    let longest = 10u64 << attempt.min(5);
    tokio::time::sleep(Duration::from_millis(fastrand::u64(..=longest))).await;
}
