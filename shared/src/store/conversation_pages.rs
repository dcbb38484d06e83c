//! The conversations of a list, page by page.
//!
//! The key of an item of a list has the id of a conversation, which begins with the time of its creation. So a list is in the order of
//! time, and an id, or a time, is a place in every list.

use std::collections::HashMap;

use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};

use super::conversations::ConversationItem;
use super::item::{self, Item, Key};
use super::participations::conversation_of;
use super::passed_over::PassedOver;
use super::{Store, StoreError};
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::listing::{List, Part, ReferenceHash};
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::tenant::Owner;

/// Number of items that a request of a tenant reads at once, to find its own among those of others.
const READ_AT_ONCE: u16 = 1000;

/// Maximum number of such reads for one page.
const READS: usize = 5;

/// The list that a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedList {
    /// The conversations that a phone is or was in.
    Phone(RealNumber),
    /// Those with a reference.
    Reference(ReferenceHash),
    /// Those in which a virtual number masks or masked somebody.
    MaskedBy(VirtualNumber),
    /// All.
    All,
}

impl WantedList {
    /// Returns the partitions of the list. Those of all conversations are the owner's own; the others are shared.
    fn partitions(&self, scope: Owner) -> Vec<String> {
        match self {
            Self::Phone(phone) => vec![item::phone_partition(&phone.canonical())],
            Self::Reference(hash) => vec![item::list_partition(&List::Reference(hash.clone()))],
            Self::MaskedBy(number) => vec![item::list_partition(&List::MaskedBy(number.clone()))],
            Self::All => Part::all().map(|part| item::list_partition(&List::All(scope, part))).collect(),
        }
    }
}

/// The page of a list that a request asks for.
#[derive(Debug, Clone, Copy)]
pub struct WantedPage {
    /// Largest number of conversations.
    pub limit: u16,
    /// The page has conversations whose ids are smaller than this one.
    pub before: Option<ConversationId>,
    /// It has those that were created at this time or later. All, if there is none.
    pub created_from: Option<Timestamp>,
    /// It has those that were created before this time.
    pub created_until: Option<Timestamp>,
}

impl WantedPage {
    /// Creates the first page of a whole list.
    pub fn first(limit: u16) -> Self {
        Self { limit, before: None, created_from: None, created_until: None }
    }

    /// Returns the smallest and the largest id that it may have. `None` if it can have none.
    fn ids(&self) -> Option<[ConversationId; 2]> {
        let before = self.before.into_iter().chain(self.created_until.map(ConversationId::first_at)).min();
        let last = before.map_or(Some(ConversationId::LAST), ConversationId::previous)?;
        let first = self.created_from.map_or(ConversationId::FIRST, ConversationId::first_at);
        (first <= last).then_some([first, last])
    }
}

/// A page of the conversations of a list.
#[derive(Debug, Default)]
pub struct ConversationsPage {
    /// Those that are stored and can be read, newest first. There may be fewer than were asked for.
    pub conversations: Vec<Conversation>,
    /// The id before which the next page begins, if there may be more.
    pub next: Option<ConversationId>,
}

impl Store {
    /// Returns a page of the conversations of `list` that `scope` sees, the newest first. Those that are erased, past their retention at
    /// `now`, or unreadable are left out. Two consistent reads one after the other, the first of each of its parts; for a tenant more, if
    /// a shared list has thousands of conversations of others.
    pub async fn listed_conversations(
        &self,
        scope: Owner,
        list: &WantedList,
        page: WantedPage,
        now: Timestamp,
    ) -> Result<ConversationsPage, StoreError> {
        let (items, next) = self.latest_listed(scope, list, page).await?;
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

    /// Returns the items of a page, and the id before which the next one begins. Those of other owners are in no page, and none of them
    /// is the place where a page ends.
    async fn latest_listed(
        &self,
        scope: Owner,
        list: &WantedList,
        page: WantedPage,
    ) -> Result<(Vec<Item>, Option<ConversationId>), StoreError> {
        let Some([first, mut last]) = page.ids() else { return Ok((Vec::new(), None)) };
        let (partitions, limit) = (list.partitions(scope), usize::from(page.limit));
        // One more shows that there are more.
        let is_shared = !scope.is_deployment() && *list != WantedList::All;
        let at_once = if is_shared { READ_AT_ONCE } else { page.limit.saturating_add(1) };
        let is_seen = |item: &Item| scope.is_deployment() || item::owner(item) == Some(scope);
        let (mut seen, mut oldest) = (Vec::new(), None);
        for _ in 0..READS {
            let range = [first, last].map(item::listed);
            let read = |partition: &String| self.query_range_backwards(partition.clone(), range.clone(), at_once);
            let parts = try_join_all(partitions.iter().map(read)).await?;
            let is_end = parts.iter().all(|(_, more)| !more);
            let mut items: Vec<Item> = parts.into_iter().flat_map(|(items, _)| items).collect();
            items.sort_unstable_by(|a, b| item::sort_key(b).cmp(item::sort_key(a)));
            oldest = items.iter().rev().find_map(conversation_of);
            seen.extend(items.into_iter().filter(is_seen));
            if seen.len() > limit {
                seen.truncate(limit);
                let next = seen.last().and_then(conversation_of);
                return Ok((seen, next));
            }
            match oldest.and_then(ConversationId::previous) {
                Some(older) if !is_end && first <= older => last = older,
                _ => return Ok((seen, None)),
            }
        }
        // The time of the oldest one tells nothing about it. What is of the same millisecond is on the next page.
        let millisecond = SignedDuration::from_millis(1);
        let behind = |oldest: ConversationId| oldest.created_at().saturating_add(millisecond).unwrap_or(Timestamp::MAX);
        let next = oldest.map(|oldest| ConversationId::first_at(behind(oldest)));
        seen.retain(|item| conversation_of(item) >= next);
        Ok((seen, next))
    }
}
