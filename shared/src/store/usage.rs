//! The usage of a conversation with limits: one item, in the conversation's partition.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use rust_decimal::Decimal;

use super::item::{self, Item, Key};
use super::passed_over::{PassedOver, log};
use super::retention::leg_deleted_after;
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::usage::Usage;

/// The usage of a conversation as it was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageAsRead {
    /// The usage itself.
    pub usage: Usage,
    /// Number of changes of the item; 0 if there is none.
    version: u64,
}

impl UsageAsRead {
    pub(super) fn read(item: &Item) -> Result<Self, StoreError> {
        let kind = item::check_version(item)?;
        let number = |name: &str| item.get(name).and_then(|value| value.as_n().ok());
        let count = |name: &str| number(name).and_then(|number| number.parse().ok());
        let read = || {
            let usage = Usage {
                calls: count("calls")?,
                seconds: count("seconds")?,
                spend: number("spend").and_then(|number| Decimal::from_str_exact(number).ok())?,
            };
            Some(Self { usage, version: count("version")? })
        };
        read().ok_or_else(|| StoreError::Unreadable(kind, "a sum is missing or malformed".to_owned()))
    }

    fn when_unchanged(&self, write: Write) -> Write {
        match self.version {
            0 => write.when("attribute_not_exists(version)"),
            version => write.when("version = :version").bind(":version", item::integer(version)),
        }
    }

    /// Checks in a transaction that the usage is still as it was read.
    pub(super) fn check(&self, conversation: ConversationId) -> Write {
        self.when_unchanged(Write::check(Key::Usage(conversation)))
    }

    /// Replaces the usage, if it is still as it was read.
    pub(super) fn replace(&self, conversation: &Conversation, usage: &Usage) -> Write {
        let write = Write::update(Key::Usage(conversation.id))
            .set("calls = :calls, seconds = :seconds, spend = :spend, version = :next")
            .set_ttl(leg_deleted_after(conversation.rests_until()))
            .bind(":calls", item::integer(usage.calls))
            .bind(":seconds", item::integer(usage.seconds))
            .bind(":spend", AttributeValue::N(usage.spend.to_string()))
            .bind(":next", item::integer(self.version + 1));
        self.when_unchanged(write)
    }
}

impl Store {
    /// Returns the usage of those of these conversations, at most 100, that have any. One consistent read.
    pub async fn usage_of(&self, ids: &[ConversationId]) -> Result<HashMap<ConversationId, Usage>, StoreError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let mut by_partition: HashMap<String, ConversationId> =
            ids.iter().map(|id| (item::conversation_partition(*id), *id)).collect();
        let items = self.batch_get(ids.iter().map(|id| Key::Usage(*id))).await?;
        let mut passed_over = PassedOver::default();
        let read = |item: &Item| {
            let usage = passed_over.take(UsageAsRead::read(item))?.usage;
            Some((by_partition.remove(item::partition(item))?, usage))
        };
        Ok(items.iter().filter_map(read).collect())
    }

    /// Returns the usage of a conversation. One consistent read. Fails if it cannot be read, so that no call goes uncounted.
    pub async fn usage(&self, id: ConversationId) -> Result<UsageAsRead, StoreError> {
        let item = self.get_item(Key::Usage(id)).await?;
        let usage = item.as_ref().map(UsageAsRead::read).transpose().inspect_err(log)?;
        Ok(usage.unwrap_or_default())
    }
}
