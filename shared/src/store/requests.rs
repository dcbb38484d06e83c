//! Idempotent requests, and the conversations that they have created.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::item::{self, Key};
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::conversation::ConversationId;

/// Time for which an idempotency key is remembered. Every conversation is retained longer.
pub(super) const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);

/// A request that its sender may repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotentRequest {
    /// Hash of the idempotency key, with a secret.
    pub key_hash: String,
    /// Hash of the request's content, with a secret.
    pub fingerprint: String,
}

/// Result of an idempotent request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RememberedRequest {
    /// The conversation that it has created.
    pub conversation: ConversationId,
    /// Fingerprint of the request's content.
    pub fingerprint: String,
    /// End of the time for which it is remembered. The table deletes it later.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    remembered_until: Timestamp,
}

impl Store {
    /// Returns the result of the request with this idempotency key, if one is remembered at `now`.
    pub async fn remembered_request(
        &self,
        key_hash: &str,
        now: Timestamp,
    ) -> Result<Option<RememberedRequest>, StoreError> {
        let found: Option<RememberedRequest> = self.get(Key::Request(key_hash)).await?;
        Ok(found.filter(|request| now < request.remembered_until))
    }
}

/// Remembers `request` from `now` on, unless its idempotency key is remembered already.
pub(super) fn remember(
    request: &IdempotentRequest,
    conversation: ConversationId,
    now: Timestamp,
) -> Result<Write, StoreError> {
    let remembered_until = now + REMEMBERED;
    let remembered = RememberedRequest { conversation, fingerprint: request.fingerprint.clone(), remembered_until };
    Ok(Write::put(Key::Request(&request.key_hash).with(&remembered, Some(remembered_until))?)
        .when("attribute_not_exists(pk) OR remembered_until <= :now")
        .bind(":now", item::seconds(now)))
}
