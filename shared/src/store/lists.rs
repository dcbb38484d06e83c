//! The lists of conversations other than those of phones: one item for each list that a conversation is in.
//!
//! They are written in the transaction that creates the conversation, if it is to be listed, and in the one that gives it another
//! number. The transaction that deletes the last of an erased conversation deletes them. As with a
//! [participation](super::participations), the TTL is only a net, so no change of the end rewrites them.

use serde::Serialize;

use super::StoreError;
use super::item::Key;
use super::retention::leg_deleted_after;
use super::write::Write;
use crate::domain::conversation::Conversation;
use crate::domain::listing::List;
use crate::domain::tenant::Owner;

/// The content of an item besides its key.
#[derive(Serialize)]
struct ListedItem {
    #[serde(rename = "tenant", skip_serializing_if = "Owner::is_deployment")]
    owner: Owner,
}

/// Returns the write that puts a conversation into a list.
fn put(conversation: &Conversation, list: &List) -> Result<Write, StoreError> {
    let (key, body) = (Key::Listed { list, conversation: conversation.id }, ListedItem { owner: conversation.owner });
    Ok(Write::put(key.with(&body, Some(leg_deleted_after(conversation.rests_until())))?))
}

/// Returns the writes that put a new conversation into its lists.
pub(super) fn created(conversation: &Conversation) -> Result<Vec<Write>, StoreError> {
    conversation.lists().iter().map(|list| put(conversation, list)).collect()
}

/// Returns the writes that put a conversation into the lists of the numbers that it gets. It stays in those of the old ones.
pub(super) fn of_new_masks([before, after]: [&Conversation; 2]) -> Result<Vec<Write>, StoreError> {
    after.lists().difference(&before.lists()).map(|list| put(after, list)).collect()
}

/// Returns the deletions of a conversation from all of its lists.
pub(super) fn deleted(conversation: &Conversation) -> Vec<Write> {
    let delete = |list: &List| Write::delete(Key::Listed { list, conversation: conversation.id });
    conversation.lists().iter().map(delete).collect()
}
