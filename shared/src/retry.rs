//! Pauses between attempts that lost a race.

use std::time::Duration;

/// Waits a random time before attempt `attempt + 1`: up to 10 ms at first, and twice as long each time up to 320 ms.
pub(crate) async fn pause(attempt: u32) {
    let longest = 10u64 << attempt.min(5);
    tokio::time::sleep(Duration::from_millis(fastrand::u64(..=longest))).await;
}
