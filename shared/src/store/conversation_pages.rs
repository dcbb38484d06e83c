//! The conversations of a phone, page by page.

use std::collections::HashMap;

use jiff::Timestamp;

use super::conversations::ConversationItem;
use super::item::{self, Item, Key, PARTICIPATION_PREFIX};
use super::participations::conversation_of;
use super::passed_over::PassedOver;
use super::{Store, StoreError};
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::phone::RealNumber;

/// A page of the conversations of a phone.
#[derive(Debug, Default)]
pub struct ConversationsPage {
    /// Those that are stored and can be read, newest first. There may be fewer than were asked for.
    pub conversations: Vec<Conversation>,
    /// The last one of the page, readable or not, if there are more behind it.
    pub next: Option<ConversationId>,
}

impl Store {
    /// Returns up to `limit` conversations that `phone` is or was in, the newest first, older than `before`. Those that are
    /// erased, past their retention at `now`, or unreadable are left out. Two consistent reads.
    pub async fn conversations_of(
        &self,
        phone: &RealNumber,
        before: Option<ConversationId>,
        limit: u16,
        now: Timestamp,
    ) -> Result<ConversationsPage, StoreError> {
        let partition = item::phone_partition(&phone.canonical());
        let before = before.map(item::participation);
        // One more shows that there are more.
        let page = self.query_page_backwards(partition, PARTICIPATION_PREFIX, before, limit.saturating_add(1)).await?;
        let (mut items, limit) = (page.0, usize::from(limit));
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).and_then(conversation_of);
        let mut passed_over = PassedOver::default();
        let mut readable =
            |item: &Item| passed_over.take(item::check_version(item)).and_then(|_| conversation_of(item));
        let ids: Vec<ConversationId> = items.iter().filter_map(&mut readable).collect();
        if ids.is_empty() {
            return Ok(ConversationsPage { conversations: Vec::new(), next });
        }
        let found = self.batch_get(ids.iter().map(|id| Key::Conversation(*id))).await?;
        let read = |item| Ok(ConversationItem::read(item, now)?.and_then(ConversationItem::into_present));
        let found = found.into_iter().filter_map(|item| passed_over.take(read(item)).flatten());
        let found = found.filter(|conversation| !self.retention.is_over(conversation, now));
        let mut found: HashMap<ConversationId, Conversation> = found.map(|found| (found.id, found)).collect();
        Ok(ConversationsPage { conversations: ids.iter().filter_map(|id| found.remove(id)).collect(), next })
    }
}
