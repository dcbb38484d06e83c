//! Participations: the conversations that a phone is or was in, one item each in the partition of the phone.
//!
//! Whatever stores a conversation with a phone writes these items in the same transaction, and the transaction that deletes the
//! last of an erased conversation deletes them. So a phone has a participation as long as the item of a conversation names it.
//! Their TTL is only a net, as that of legs is, so no change of the conversation's end rewrites them.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::item::{self, Item, Key, LISTED_PREFIX, TENANT};
use super::retention::leg_deleted_after;
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::phone::RealNumber;

/// Maximum number of participations that a transaction writes besides other items. Nobody has so many phones.
pub(super) const PER_TRANSACTION: usize = 90;

/// Attribute of the time from which the phone is in the conversation, in milliseconds since 1970.
const SINCE: &str = "since";

/// A page of the participations of a phone.
#[derive(Debug, Default)]
pub struct ParticipationsPage {
    /// The conversations that the phone was in by the time that was asked for, oldest first.
    pub conversations: Vec<ConversationId>,
    /// The last one that was read, if there may be more behind it.
    pub next: Option<ConversationId>,
}

/// Returns the phones that the participants of a conversation have and had, each in its canonical spelling.
fn phones(conversation: &Conversation) -> BTreeSet<RealNumber> {
    let participants = conversation.participants.iter();
    participants.flat_map(|participant| participant.all_numbers()).map(|phone| phone.canonical().into_owned()).collect()
}

/// Returns the write that lists a conversation under a phone that is in it from `since` on. A phone that comes back keeps its
/// time.
fn list(conversation: &Conversation, phone: &RealNumber, since: Timestamp) -> Write {
    let list = Write::update(Key::Participation { phone, conversation: conversation.id });
    let list = match conversation.owner.tenant() {
        Some(tenant) => list.set(format!("{TENANT} = :tenant")).bind(":tenant", item::string(tenant)),
        None => list,
    };
    list.set(format!("{SINCE} = if_not_exists({SINCE}, :since)"))
        .set_ttl(leg_deleted_after(conversation.rests_until()))
        .bind(":since", AttributeValue::N(since.as_millisecond().to_string()))
}

/// Returns the writes that list a new conversation under both phones.
pub(super) fn created(conversation: &Conversation) -> Vec<Write> {
    let since = conversation.id.created_at();
    phones(conversation).iter().map(|phone| list(conversation, phone, since)).collect()
}

/// Returns the write that lists a conversation under the phone that it gets at `now`, if it gets one.
pub(super) fn of_new_phones(before: &Conversation, after: &Conversation, now: Timestamp) -> Vec<Write> {
    phones(after).difference(&phones(before)).map(|phone| list(after, phone, now)).collect()
}

/// Returns the deletions of all participations of a conversation.
pub(super) fn deleted(conversation: &Conversation) -> Vec<Write> {
    let id = conversation.id;
    let delete = |phone: &RealNumber| Write::delete(Key::Participation { phone, conversation: id });
    phones(conversation).iter().map(delete).collect()
}

impl Store {
    /// Returns a page of the conversations that `phone` was in by `time`, oldest first, from the one behind `after` on. The
    /// keys alone tell them, so that unreadable items are among them. One consistent read of up to `limit` items.
    pub async fn participations(
        &self,
        phone: &RealNumber,
        after: Option<ConversationId>,
        limit: u16,
        time: Timestamp,
    ) -> Result<ParticipationsPage, StoreError> {
        let partition = item::phone_partition(&phone.canonical());
        let after = after.map(item::listed);
        let (items, more) = self.query_page(partition, LISTED_PREFIX, after, limit).await?;
        // Later ones are behind this one.
        let last = items.last().and_then(conversation_of).filter(|last| last.created_at() <= time);
        let was_in_it = |item: &&Item| since(item).is_none_or(|since| since <= time);
        let ids = items.iter().filter(was_in_it).filter_map(conversation_of);
        let conversations = ids.filter(|id| id.created_at() <= time).collect();
        Ok(ParticipationsPage { conversations, next: last.filter(|_| more) })
    }

    /// Deletes the participation of a phone in a conversation that is erased or not stored any more.
    pub async fn forget_participation(&self, phone: &RealNumber, id: ConversationId) -> Result<(), StoreError> {
        let delete = Write::delete(Key::Participation { phone: &phone.canonical(), conversation: id });
        self.transact_settled(vec![delete]).await.map(drop)
    }
}

/// Returns the conversation in the sort key of a participation, or of an item of any other list.
pub(super) fn conversation_of(item: &Item) -> Option<ConversationId> {
    ConversationId::try_from(item::sort_key(item).strip_prefix(LISTED_PREFIX)?).ok()
}

fn since(item: &Item) -> Option<Timestamp> {
    Timestamp::from_millisecond(item.get(SINCE)?.as_n().ok()?.parse().ok()?).ok()
}
