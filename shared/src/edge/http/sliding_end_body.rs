//! The fields of a body about an end that slides.

use jiff::Timestamp;

use super::Problem;
use crate::domain::sliding_end::SlidingEnd;

/// Checks the latest end that a request at `now` asks for: in the future, and no later than the longest lifetime reaches.
pub fn check_latest_end(latest: Option<Timestamp>, now: Timestamp) -> Result<(), Problem> {
    let is_right = |latest: Timestamp| now < latest && latest <= SlidingEnd::farthest(now);
    if latest.is_none_or(is_right) {
        return Ok(());
    }
    Err(Problem::invalid("latest_end", "Must be in the future, and at most 170 days from now."))
}
