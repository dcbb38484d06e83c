//! Passes through the whole table for the conversations that are past their retention, which are then erased.
//!
//! Nothing leads from a time to the conversations that end then. So the schedule reads the whole table, a page at a time, about once a
//! day. Its progress is saved, so that the next run can continue the pass.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::conversations::ConversationItem;
use super::item::{self, Item, Key};
use super::passed_over::PassedOver;
use super::{Erased, Store, StoreError};
use crate::domain::conversation::ConversationId;

/// Maximum number of items in a page of a pass. Such a page is read well within the time limit of one attempt.
const PAGE: i32 = 2000;

/// Progress of a pass through the whole table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionPass {
    /// The time of its start.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub began_at: Timestamp,
    /// Number of pages that it has read.
    pub pages: u32,
    /// True if it has read the whole table.
    pub is_complete: bool,
    position: Option<HashMap<String, String>>,
}

impl RetentionPass {
    /// Starts a pass at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self { began_at: now, pages: 0, is_complete: false, position: None }
    }
}

/// The times of a conversation, as a pass reads them.
#[derive(Deserialize)]
struct Times {
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    expires_at: Timestamp,
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional")]
    ended_at: Option<Timestamp>,
    quarantine_seconds: u32,
}

impl Store {
    /// Returns the progress of the present pass, or of the last one. Progress that cannot be read begins again.
    pub async fn saved_retention_pass(&self) -> Result<Option<RetentionPass>, StoreError> {
        self.saved_progress(Key::RetentionPass).await
    }

    /// Saves the progress of a pass for the next run. Two runs at once may set it back, and then read some pages twice.
    pub async fn save_retention_pass(&self, pass: &RetentionPass) -> Result<(), StoreError> {
        let item = Key::RetentionPass.with(pass, None)?;
        self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await?;
        Ok(())
    }

    /// Reads the next page of a pass. Returns the conversations in it that are past their retention at `now`, and the progress
    /// after it. One eventually consistent read: [`Store::end_retention`] reads each conversation again.
    pub async fn next_past_retention(
        &self,
        pass: &RetentionPass,
        now: Timestamp,
    ) -> Result<(Vec<ConversationId>, RetentionPass), StoreError> {
        // An expression cannot add the quarantine to it, so this finds those in their last quarantine too.
        let is_old = "ended_at <= :end OR (attribute_not_exists(ended_at) AND expires_at <= :end)";
        let is_damaged = "NOT attribute_type(expires_at, :number)";
        let request = self
            .client
            .scan()
            .table_name(&self.table)
            .limit(PAGE)
            .projection_expression("pk, sk, v, expires_at, ended_at, quarantine_seconds")
            .filter_expression(format!(
                "sk = :conversation AND attribute_not_exists(erased_at) AND ({is_old} OR {is_damaged})"
            ))
            .expression_attribute_values(":conversation", item::string(item::CONVERSATION))
            .expression_attribute_values(":number", item::string("N"))
            .expression_attribute_values(":end", item::seconds(self.retention.cut_off(now)));
        let position = pass.position.iter().flatten().map(|(name, value)| (name.clone(), item::string(value)));
        let position: Item = position.collect();
        let page = request.set_exclusive_start_key(Some(position).filter(|key| !key.is_empty())).send().await?;
        let mut passed_over = PassedOver::default();
        let over = page.items.unwrap_or_default().into_iter().filter_map(|found| {
            let id = ConversationId::try_from(item::partition(&found).strip_prefix(item::CONVERSATION_PREFIX)?).ok()?;
            let Times { expires_at, ended_at, quarantine_seconds } = passed_over.take(item::read(found))?;
            let quarantine = SignedDuration::from_secs(quarantine_seconds.into());
            let rests_until = ended_at.unwrap_or(expires_at).saturating_add(quarantine).unwrap_or(Timestamp::MAX);
            (self.retention.end(rests_until) <= now).then_some(id)
        });
        let over = over.collect();
        let text = |(name, value): (String, AttributeValue)| Some((name, value.as_s().ok()?.clone()));
        let position: Option<HashMap<_, _>> =
            page.last_evaluated_key.map(|key| key.into_iter().filter_map(text).collect());
        let next =
            RetentionPass { began_at: pass.began_at, pages: pass.pages + 1, is_complete: position.is_none(), position };
        Ok((over, next))
    }

    /// Erases a conversation that is past its retention at `now`, like [`Store::erase_conversation`]. False if it is not, or
    /// if it is being erased already.
    pub async fn end_retention(&self, id: ConversationId, now: Timestamp) -> Result<bool, StoreError> {
        match self.conversation_item(id, now).await? {
            Some(ConversationItem::Present(conversation)) if self.retention.is_over(&conversation, now) => {
                Ok(self.continue_erasure(id, None, now).await? != Erased::Unknown)
            }
            _ => Ok(false),
        }
    }
}
