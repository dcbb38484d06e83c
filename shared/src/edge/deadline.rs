//! Deadlines of requests and of scheduled runs.
//!
//! A request has two. At the first one its work must be done. At the second one it is cut off, so that an answer still
//! reaches the client.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lambda_http::{Context, Request, RequestExt};

/// Time for which API Gateway waits for an answer: 30 s, less the time on the network.
const API_DEADLINE: SignedDuration = SignedDuration::from_secs(29);

/// Time within which the work of a request must be done. It is shorter than [`API_DEADLINE`], so that work which heeds it
/// is not cut off.
const WORK_DEADLINE: SignedDuration = SignedDuration::from_secs(28);

/// Time before the end of the function that is kept free for the answer.
const RESERVED_FOR_ANSWER: SignedDuration = SignedDuration::from_millis(200);

/// Returns the time by which the work of a request that came in at `now` must be done. `None` outside Lambda.
pub fn of_work(request: &Request, now: Timestamp) -> Option<Timestamp> {
    Some(of_function(request.lambda_context_ref()?)?.min(now + WORK_DEADLINE))
}

/// Returns the time that is left until a request is cut off, because Lambda ends the function or API Gateway stops
/// waiting. `None` outside Lambda.
///
/// A request that is cut off leaves the same state as a crash. Every request can be repeated after a crash.
pub(super) fn time_left(request: &Request) -> Option<Duration> {
    let now = Timestamp::now();
    let deadline = of_function(request.lambda_context_ref()?)?.min(now + API_DEADLINE) - RESERVED_FOR_ANSWER;
    Some(deadline.duration_since(now).try_into().unwrap_or(Duration::ZERO))
}

/// Returns the time at which Lambda ends the function. `None` outside Lambda.
pub(super) fn of_function(context: &Context) -> Option<Timestamp> {
    let deadline = i64::try_from(context.deadline).ok().filter(|deadline| *deadline > 0)?;
    Timestamp::from_millisecond(deadline).ok()
}
