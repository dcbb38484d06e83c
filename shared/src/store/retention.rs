//! Retention: the times after which the table may delete items.

use jiff::{SignedDuration, Timestamp};

use crate::domain::conversation::Conversation;

/// Time for which a conversation and its calls stay readable after the quarantine.
pub(super) const RECORDS_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Returns the time from which the table may delete the conversation. TTL deletion is late, so readers compare the time
/// themselves.
pub(super) fn kept_until(conversation: &Conversation) -> Timestamp {
    let end = conversation.ended_at.unwrap_or(conversation.expires_at);
    conversation.quarantined_until(end) + RECORDS_KEPT
}
