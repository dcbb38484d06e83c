//! Retention: the times after which the table deletes what was never erased.
//!
//! A conversation that is past its retention is erased by the schedule; see [`RetentionPass`](super::RetentionPass). What the table
//! deletes by itself is only a net behind that: it is later than any retention, and it has to be, because only an erasure makes the
//! carrier redact its records.

use jiff::{SignedDuration, Timestamp};

use crate::domain::conversation::Conversation;
use crate::domain::retention::Retention;

/// Time for which a route stays after its quarantine, so that the same two people get the same numbers again.
pub const ROUTES_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Time for which the note of an erased conversation stays after its erasure and its quarantine.
const NOTE_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Time after the quarantine after which the table deletes a leg or a sum of usage that no erasure has deleted: ten years. A
/// conversation may be extended without end, and no change of it rewrites its legs, so this is far beyond what people do; of
/// one that lives longer the oldest legs go first. Vonage deletes its own record of a call after 13 months.
const LEGS_KEPT: SignedDuration = SignedDuration::from_hours(3653 * 24);

/// Days that the schedule has for the erasure of a conversation with the longest retention.
const MARGIN_DAYS: u16 = 30;

/// Returns the time from which the table may delete the conversation if the schedule has not erased it: 30 days after the longest
/// retention that a deployment can have. So a longer `RETENTION_DAYS` also holds for what is stored.
pub(super) fn deleted_after(conversation: &Conversation) -> Timestamp {
    Retention::LONGEST.with_margin(MARGIN_DAYS).end(conversation.rests_until())
}

/// Returns the time from which the table may delete a leg or a sum of usage that is written while the quarantine of its
/// conversation is to end at `rests_until`.
pub(super) fn leg_deleted_after(rests_until: Timestamp) -> Timestamp {
    rests_until.saturating_add(LEGS_KEPT).unwrap_or(Timestamp::MAX)
}

/// Returns the time until which an erased conversation is remembered.
pub(super) fn note_kept_until(conversation: &Conversation, now: Timestamp) -> Timestamp {
    conversation.rests_until().max(now).saturating_add(NOTE_KEPT).unwrap_or(Timestamp::MAX)
}
