//! Conversations of the same two people that follow each other without a quarantine, so that calls of one may go on in the next.

use jiff::{SignedDuration, Timestamp};

use crate::domain::call_limits::CallLimits;
use crate::domain::conversation::ConversationId;

/// Returns those of `previous` conversations, latest first, whose calls may still go on at `time` after the next one had
/// begun: at `since` for the first of them. Each had ended when the next one began.
pub fn overlapping(
    mut since: Timestamp,
    previous: impl Iterator<Item = ConversationId>,
    time: Timestamp,
) -> impl Iterator<Item = ConversationId> {
    let longest_call = SignedDuration::from_secs(CallLimits::MAX_CALL_SECONDS.into());
    previous.take_while(move |id| {
        let may_go_on = time < since + longest_call;
        since = id.created_at();
        may_go_on
    })
}
