//! The lists of conversations by reference and number, and that of all.

use shared::domain::conversation::Conversation;
use shared::domain::listing::{ListKey, ReferenceHash};
use shared::domain::phone::VirtualNumber;
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

/// True if a conversation has to be in the list with this partition.
fn is_in(list: &str, is: &Conversation) -> bool {
    match list.split_once('#') {
        Some(("NUMBER", digits)) => {
            is.participants.iter().any(|participant| participant.all_seen().any(|number| number.as_str() == digits))
        }
        // The model has computed the hash when the conversation was created.
        Some(("REFERENCE", hash)) => reference_hash(is).is_some_and(|own| own.as_str() == hash),
        Some(("ALL", part)) => {
            let (owner, part) = part.split_once('#').map_or((None, part), |(owner, part)| (Some(owner), part));
            let is_owner = owner.is_none_or(|owner| is.owner.tenant().is_some_and(|tenant| tenant.as_str() == owner));
            is_owner && part == (is.id.last_byte() % 4).to_string()
        }
        _ => false,
    }
}

/// Returns the number of lists in which a conversation has to be: that of all, that of all of its tenant, that of its reference, and
/// those of its numbers, also of those that it had before.
fn count_lists(is: &Conversation) -> usize {
    1 + usize::from(!is.owner.is_deployment()) + usize::from(is.reference.is_some()) + masks(is).len()
}

fn masks(is: &Conversation) -> Vec<&VirtualNumber> {
    let mut masks: Vec<_> = is.participants.iter().flat_map(|participant| participant.all_seen()).collect();
    masks.sort_unstable();
    masks.dedup();
    masks
}

fn reference_hash(is: &Conversation) -> Option<&ReferenceHash> {
    is.listed.as_ref()?.reference.as_ref()
}

/// Checks that each conversation is in all of its lists, with the numbers that it had before, and that an erased one is in none.
pub fn check_lists(model: &Model, table: &Table) -> Verdict {
    let mut known = 0;
    for (list, id) in &table.lists {
        match model.conversations.get(id) {
            Some(conversation) => {
                ensure(is_in(list, &conversation.expected), || format!("{id:?} is in the list {list}"))?;
                known += 1;
            }
            // What the TTL has taken away is no erasure.
            None => ensure(!model.erased.contains_key(id), || format!("the erased {id:?} is in the list {list}"))?,
        }
    }
    // All that are there are right, so none is missing if there are as many as there should be.
    let expected: usize = model.conversations.values().map(|found| count_lists(&found.expected)).sum();
    if known == expected {
        return Ok(());
    }
    let lists = |is: &Conversation| table.lists.iter().filter(|(_, id)| *id == is.id).count();
    let missing = model.conversations.values().find(|found| lists(&found.expected) < count_lists(&found.expected));
    Err(format!("{missing:?} is missing in a list"))
}
