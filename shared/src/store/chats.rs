//! Chats: the channel on which a phone has written last, and the conversations in which it is.

use super::item::{self, Key, NUMBER_PREFIX};
use super::passed_over::PassedOver;
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::channel::Chat;
use crate::domain::conversation::ConversationId;
use crate::domain::phone::RealNumber;
use crate::domain::relayed_text::RelayedText;
use crate::domain::route::KeyOwner;

/// Number of route keys that one query reads.
const PAGE: u16 = 100;

/// Maximum number of such queries for one message.
const PAGES: usize = 5;

/// Number of the latest texts of a conversation among which a quoted one is looked for.
const QUOTABLE: u16 = 100;

/// The owners of the route keys of a phone.
#[derive(Debug)]
pub struct PhoneOwners {
    /// Those that were read.
    pub owners: Vec<KeyOwner>,
    /// True if there are others, or some that cannot be read.
    pub has_more: bool,
}

impl Store {
    /// Returns the chat of a phone, if it has written in one. One consistent read.
    pub async fn chat(&self, phone: &RealNumber) -> Result<Option<Chat>, StoreError> {
        self.get(Key::Chat(&phone.canonical())).await
    }

    /// Notes that a phone has written in a chat. The latest message counts, in whatever order they come.
    pub async fn note_chat(&self, phone: &RealNumber, chat: Chat) -> Result<(), StoreError> {
        let put = Write::put(Key::Chat(&phone.canonical()).with(&chat, Some(chat.ends_at()))?)
            .when("attribute_not_exists(pk) OR wrote_at <= :at")
            .bind(":at", item::seconds(chat.wrote_at));
        self.put(put).await.map(drop)
    }

    /// Returns the owners of the route keys of a phone, under each of its spellings. One consistent query or more.
    pub async fn owners_of_phone(&self, phone: &RealNumber) -> Result<PhoneOwners, StoreError> {
        let (mut found, mut passed_over) = (PhoneOwners { owners: Vec::new(), has_more: false }, PassedOver::default());
        for phone in [Some(phone.canonical().into_owned()), phone.other_spelling()].into_iter().flatten() {
            let mut after = None;
            for nth in 1..=PAGES {
                let partition = item::caller_partition(phone.expose());
                let (items, more) = self.query_page(partition, NUMBER_PREFIX, after, PAGE).await?;
                after = items.last().map(|last| item::sort_key(last).to_owned());
                found.owners.extend(items.into_iter().filter_map(|item| passed_over.take(item::read(item))));
                if !more {
                    break;
                }
                found.has_more |= nth == PAGES;
            }
        }
        found.has_more |= passed_over.error().is_some();
        Ok(found)
    }

    /// True if the message that the carrier knows by `id` is one of the latest texts of a conversation: as it came, or as it was
    /// passed on. One consistent query.
    pub async fn has_text(&self, conversation: ConversationId, id: &str) -> Result<bool, StoreError> {
        let latest = self.texts(conversation, None, QUOTABLE).await?;
        Ok(latest.texts.iter().flat_map(RelayedText::carrier_records).any(|record| record.id == id))
    }

    /// Deletes the chat of a phone, which has to be in one of its spellings.
    pub(super) async fn forget_chat(&self, phone: &RealNumber) -> Result<(), StoreError> {
        self.delete_item(Key::Chat(phone)).await
    }
}
