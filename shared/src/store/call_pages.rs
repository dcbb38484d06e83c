//! A conversation with a page of its calls.
//!
//! The legs of a call are next to each other, because their keys begin with its id. So a page ends between two calls. Pages
//! come in the order of these ids, which Vonage chooses at random; the time at which a call begins is in no key, because its
//! events come in any order.

use jiff::Timestamp;

use super::conversations::ConversationItem;
use super::item::{self, Item, Key};
use super::passed_over::PassedOver;
use super::usage::UsageAsRead;
use super::{Store, StoreError, legs};
use crate::domain::call::Leg;
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::usage::Tally;

/// The page of a conversation's calls that is asked for.
#[derive(Debug, Clone, Copy)]
pub struct CallsQuery<'a> {
    /// Largest number of calls.
    pub limit: u16,
    /// The last call of the page before: its `conversation_uuid`.
    pub after: Option<&'a str>,
}

/// A conversation with a page of its calls.
#[derive(Debug)]
pub struct CallsPage {
    /// The conversation.
    pub conversation: Conversation,
    /// All legs of the page's calls that can be read.
    pub legs: Vec<Leg>,
    /// The usage of the conversation.
    pub usage: Tally,
    /// The `conversation_uuid` of the last call of the page, if there are more.
    pub next: Option<String>,
}

/// The items of a conversation's partition that were read, in order.
#[derive(Default)]
struct ReadItems {
    conversation: Option<Item>,
    usage: Option<Item>,
    /// Each call that was read: its `conversation_uuid` and its legs.
    calls: Vec<(String, Vec<Item>)>,
}

/// Number of items that are read at a time of a call with more legs than its page would have.
const LONG_CALL: u16 = 100;

/// The character behind `#`, which comes after the id of a call in the key of a leg.
const BEHIND_THE_LEGS: char = '$';

impl Store {
    /// Returns a conversation with a page of its calls, unless it is erased or past its retention at `now`.
    ///
    /// For the first page that is one consistent query, and one more read for the usage if it is behind calls that were not
    /// read. For the others it is a query and a read in parallel. They read about two legs for each call of the page.
    pub async fn conversation_with_calls(
        &self,
        id: ConversationId,
        page: CallsQuery<'_>,
        now: Timestamp,
    ) -> Result<Option<CallsPage>, StoreError> {
        let ((mut read, more), own) = match page.after {
            None => (self.read_calls(id, item::BEFORE_CONVERSATION.to_owned(), page.limit).await?, Vec::new()),
            Some(call) => {
                let start = format!("{}{call}{BEHIND_THE_LEGS}", item::LEG_PREFIX);
                tokio::try_join!(
                    self.read_calls(id, start, page.limit),
                    self.batch_get([Key::Conversation(id), Key::Usage(id)])
                )?
            }
        };
        own.into_iter().for_each(|item| read.add(item));
        let found = read.conversation.take().map(|item| ConversationItem::read(item, now)).transpose()?.flatten();
        let found = found.and_then(ConversationItem::into_present);
        let readable = found.filter(|conversation| !self.retention.is_over(conversation, now));
        let Some(conversation) = readable else { return Ok(None) };
        let mut passed_over = PassedOver::default();
        let usage = match (read.usage.take(), page.after) {
            (None, None) if more && !conversation.usage_limits.is_none() => {
                self.batch_get([Key::Usage(id)]).await?.pop()
            }
            (usage, _) => usage,
        };
        let usage = usage.and_then(|usage| passed_over.take(UsageAsRead::read(&usage))).unwrap_or_default().tally;
        let next = read.cut(page.limit.into(), more);
        let items = read.calls.into_iter().flat_map(|(_, legs)| legs);
        let legs = items.filter_map(|item| passed_over.take(legs::read(item))).collect();
        Ok(Some(CallsPage { conversation, legs, usage, next }))
    }

    /// Reads a conversation's items behind the sort key `start`, as many as a page of `limit` calls needs if each has two legs.
    /// It goes on until at least one call is complete. True if there may be more legs.
    async fn read_calls(&self, id: ConversationId, start: String, limit: u16) -> Result<(ReadItems, bool), StoreError> {
        // The conversation, the usage, and a leg of the next call, which shows that the last one is complete.
        let mut items_needed = limit.saturating_mul(2).saturating_add(3);
        let (mut read, mut after) = (ReadItems::default(), start);
        loop {
            let partition = item::conversation_partition(id);
            let (items, more) = self.query_behind(partition, &after, items_needed).await?;
            let last = items.last().map(|item| item::sort_key(item).to_owned());
            items.into_iter().for_each(|item| read.add(item));
            // The usage is behind all legs.
            let more = more && read.usage.is_none();
            match last {
                Some(last) if more && read.calls.len() < 2 => (after, items_needed) = (last, LONG_CALL),
                _ => return Ok((read, more)),
            }
        }
    }
}

impl ReadItems {
    fn add(&mut self, item: Item) {
        let call = legs::ids(&item).map(|(call, _)| call.to_owned());
        match (call, item::sort_key(&item)) {
            (Some(call), _) => match self.calls.last_mut() {
                Some((last, legs)) if *last == call => legs.push(item),
                _ => self.calls.push((call, vec![item])),
            },
            (None, item::USAGE) => self.usage = Some(item),
            (None, item::CONVERSATION) => self.conversation = Some(item),
            // The key of a leg without an id.
            (None, _) => {}
        }
    }

    /// Keeps up to `limit` calls that are complete. Returns the last one if there are others behind it.
    fn cut(&mut self, limit: usize, more: bool) -> Option<String> {
        if more {
            // Some of its legs may not have been read.
            self.calls.pop();
        }
        let is_cut = more || self.calls.len() > limit;
        self.calls.truncate(limit);
        self.calls.last().filter(|_| is_cut).map(|(call, _)| call.clone())
    }
}
