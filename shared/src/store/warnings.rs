//! Warnings that a call is about to end, each in an item of one partition, in the order in which they are due.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::item::{self, Key, WARNING_PARTITION};
use super::passed_over::PassedOver;
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::conversation::ConversationId;

/// Time after which the table deletes a warning that nobody spoke: its call is over long before.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// A warning that a call is about to end. It has no phone number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The conversation.
    pub conversation: ConversationId,
    /// Vonage's id of the call.
    pub call: String,
    /// The time at which it is spoken.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub due_at: Timestamp,
    /// The seconds that are left for the call then.
    pub left_seconds: u32,
}

impl Store {
    /// Stores a warning. The same one again changes nothing.
    pub async fn plan_warning(&self, warning: &Warning) -> Result<(), StoreError> {
        let key = Key::Warning { due_at: warning.due_at, call: &warning.call };
        self.put(Write::put(key.with(warning, Some(warning.due_at + KEPT))?)).await.map(drop)
    }

    /// Returns the warnings that are due at `until` or before, the first ones first. One consistent query.
    pub async fn warnings(&self, until: Timestamp) -> Result<Vec<Warning>, StoreError> {
        let (first, last) = (item::due_key(Timestamp::UNIX_EPOCH), item::due_key(until + SignedDuration::from_secs(1)));
        let items = self.query_between(WARNING_PARTITION.to_owned(), &first, &last).await?;
        Ok(PassedOver::list(items, item::read))
    }

    /// Takes a warning to speak it. False if another run has taken it.
    pub async fn take_warning(&self, warning: &Warning) -> Result<bool, StoreError> {
        let key = Key::Warning { due_at: warning.due_at, call: &warning.call };
        self.delete(Write::delete(key).when("attribute_exists(pk)")).await
    }
}
