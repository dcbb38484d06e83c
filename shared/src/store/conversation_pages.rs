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
use crate::domain::tenant::Owner;

/// Number of participations that a request of a tenant reads at once, to find its own.
const PAGE: u16 = 1000;

/// A page of the conversations of a phone.
#[derive(Debug, Default)]
pub struct ConversationsPage {
    /// Those that are stored and can be read, newest first. There may be fewer than were asked for.
    pub conversations: Vec<Conversation>,
    /// The last one of the page, readable or not, if there are more behind it.
    pub next: Option<ConversationId>,
}

impl Store {
    /// Returns up to `limit` conversations that `phone` is or was in and that `scope` sees, the newest first, older than `before`.
    /// Those that are erased, past their retention at `now`, or unreadable are left out. Two consistent reads, or more for a tenant
    /// if the phone has thousands of conversations of others.
    pub async fn conversations_of(
        &self,
        scope: Owner,
        phone: &RealNumber,
        before: Option<ConversationId>,
        limit: u16,
        now: Timestamp,
    ) -> Result<ConversationsPage, StoreError> {
        let partition = item::phone_partition(&phone.canonical());
        let before = before.map(item::participation);
        // One more shows that there are more.
        let mut items = self.latest_participations(scope, partition, before, limit.saturating_add(1)).await?;
        let limit = usize::from(limit);
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
        let found = found.filter(|conversation| scope.sees(conversation.owner));
        let found = found.filter(|conversation| !self.retention.is_over(conversation, now));
        let mut found: HashMap<ConversationId, Conversation> = found.map(|found| (found.id, found)).collect();
        Ok(ConversationsPage { conversations: ids.iter().filter_map(|id| found.remove(id)).collect(), next })
    }

    /// Returns the latest `limit` participations of a partition that `scope` sees, behind the sort key `before`. Those of others are
    /// in no answer, and none of them is the place where a page ends.
    async fn latest_participations(
        &self,
        scope: Owner,
        partition: String,
        mut before: Option<String>,
        limit: u16,
    ) -> Result<Vec<Item>, StoreError> {
        if scope.is_deployment() {
            return Ok(self.query_page_backwards(partition, PARTICIPATION_PREFIX, before, limit).await?.0);
        }
        let mut seen = Vec::new();
        while seen.len() < usize::from(limit) {
            let page = self.query_page_backwards(partition.clone(), PARTICIPATION_PREFIX, before, PAGE).await?;
            before = page.0.last().map(|item| item::sort_key(item).to_owned()).filter(|_| page.1);
            seen.extend(page.0.into_iter().filter(|item| item::owner(item) == Some(scope)));
            if before.is_none() {
                break;
            }
        }
        seen.truncate(limit.into());
        Ok(seen)
    }
}
