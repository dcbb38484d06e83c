//! Requests that may come again: which conversation each has led to.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::item::{Item, Key};
use super::{Store, StoreError};
use crate::domain::conversation::ConversationId;

/// How long an idempotency key is remembered. Any conversation is kept for longer.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);

/// A request that its sender may send again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotentRequest {
    /// Stands for the sender's key.
    pub key_hash: String,
    /// Stands for what is asked for.
    pub fingerprint: String,
}

/// What such a request has led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RememberedRequest {
    /// The conversation that it has created.
    pub conversation: ConversationId,
    /// Stands for what was asked for.
    pub fingerprint: String,
    /// Until when it is remembered; the table deletes later.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    remembered_until: Timestamp,
}

impl Store {
    /// What the request with this key has led to, if it has come before.
    pub async fn remembered_request(
        &self,
        key_hash: &str,
        now: Timestamp,
    ) -> Result<Option<RememberedRequest>, StoreError> {
        let found: Option<RememberedRequest> = self.get(Key::Request(key_hash)).await?;
        Ok(found.filter(|request| now < request.remembered_until))
    }
}

/// The item that remembers `request`.
pub(super) fn item(
    request: &IdempotentRequest,
    conversation: ConversationId,
    now: Timestamp,
) -> Result<Item, StoreError> {
    let remembered_until = now + REMEMBERED;
    let remembered = RememberedRequest { conversation, fingerprint: request.fingerprint.clone(), remembered_until };
    Key::Request(&request.key_hash).with(&remembered, Some(remembered_until))
}

/// Under which condition the item may be written at `:now`.
pub(super) const IS_NEW: &str = "attribute_not_exists(pk) OR remembered_until <= :now";
