//! The lists of conversations by reference and number, and that of all.

use std::collections::BTreeSet;

use shared::domain::conversation::{Conversation, ConversationId};
use shared::domain::listing::ListKey;
use shared::domain::tenant::Owner;
use shared::domain::text::Reference;

use crate::model::{Model, Verdict, ensure};
use crate::table::Table;

pub fn list_key() -> ListKey {
    ListKey::new("secret")
}

/// Returns the reference of a creation: that of others, one of its own, or none.
pub fn reference(attempt: u32) -> Option<Reference> {
    let text = match attempt % 3 {
        0 => return None,
        1 => "often".to_owned(),
        _ => format!("ride-{attempt}"),
    };
    Reference::try_from(text).ok()
}

/// Returns the partitions of the lists in which a conversation has to be.
fn lists_of(is: &Conversation) -> BTreeSet<(String, ConversationId)> {
    let reference = is.reference.as_ref().map(|text| format!("REFERENCE#{}", list_key().hash(text).as_str()));
    let numbers = is.participants.iter().flat_map(|participant| participant.all_seen());
    let part = is.id.last_byte() % 4;
    let of_tenant = match is.owner {
        Owner::Deployment => None,
        Owner::Tenant(tenant) => Some(format!("ALL#{tenant}#{part}")),
    };
    let all = std::iter::once(format!("ALL#{part}")).chain(of_tenant).chain(reference);
    all.chain(numbers.map(|number| format!("NUMBER#{number}"))).map(|list| (list, is.id)).collect()
}

/// Checks that each conversation is in all of its lists, with the numbers that it had before, and that an erased one is in none.
pub fn check_lists(model: &Model, table: &Table) -> Verdict {
    let mut expected = BTreeSet::new();
    for conversation in model.conversations.values() {
        expected.extend(lists_of(&conversation.expected));
    }
    let missing = expected.difference(&table.lists).next();
    ensure(missing.is_none(), || format!("{missing:?} is missing in its list"))?;
    // What the TTL has taken away is no erasure.
    let is_swept = |id: &ConversationId| !model.conversations.contains_key(id) && !model.erased.contains_key(id);
    let stray = table.lists.difference(&expected).find(|(_, id)| !is_swept(id));
    ensure(stray.is_none(), || format!("{stray:?} is in a list"))
}
