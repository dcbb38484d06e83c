//! The item by which a PIN is found.
//!
//! It says which conversation to read, and the conversation decides: only while it is active, has this PIN on this side, and the side
//! dials this number. So an end, an erasure and another PIN need no change of the item. It stays until the quarantine ends, and until
//! then nobody else gets the same PIN on the number.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::item::{self, Key};
use super::write::Write;
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::side::Side;

/// The item of a PIN.
#[derive(Serialize, Deserialize)]
pub(super) struct PinItem {
    pub(super) conversation: ConversationId,
    pub(super) side: Side,
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    quarantined_until: Timestamp,
}

/// Claims the PIN of a participant until the end of the conversation's quarantine. The condition fails while another conversation
/// has the same one on this number.
pub(super) fn claim(conversation: &Conversation, side: Side, now: Timestamp) -> Result<Option<Write>, StoreError> {
    let participant = conversation.participant(side);
    let Some(pin) = participant.pin.as_ref().filter(|_| conversation.direction.includes(side)) else { return Ok(None) };
    let quarantined_until = conversation.quarantined_until(conversation.expires_at);
    let body = PinItem { conversation: conversation.id, side, quarantined_until };
    let key = Key::Pin { number: &participant.sees, hash: pin.hash() };
    let put = Write::put(key.with(&body, Some(quarantined_until))?)
        .when("(attribute_not_exists(pk) OR quarantined_until <= :now OR conversation = :id)")
        .bind(":now", item::seconds(now))
        .bind(":id", item::string(conversation.id));
    Ok(Some(put))
}

/// Claims the PINs of both participants.
pub(super) fn claim_both(conversation: &Conversation, now: Timestamp) -> Result<Vec<Write>, StoreError> {
    Side::BOTH.into_iter().filter_map(|side| claim(conversation, side, now).transpose()).collect()
}

/// Claims the PINs that a change makes new, or needs for longer.
pub(super) fn changed(before: &Conversation, after: &Conversation, now: Timestamp) -> Result<Vec<Write>, StoreError> {
    let is_same = |side: Side| {
        let [old, new] = [before, after].map(|conversation| conversation.participant(side));
        old.pin == new.pin && old.sees == new.sees && after.expires_at <= before.expires_at
    };
    let sides = Side::BOTH.into_iter().filter(|side| !is_same(*side));
    sides.filter_map(|side| claim(after, side, now).transpose()).collect()
}
