//! Requests to place a call. A request is claimed before Vonage is asked, so that no other run of it asks too.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::item::{self, Key};
use super::missed_calls::LegIds;
use super::requests::{IdempotentRequest, REMEMBERED};
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::conversation::ConversationId;

/// A request to place a call, as it is remembered for a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedCall {
    /// The conversation.
    pub conversation: ConversationId,
    /// Fingerprint of the request's content.
    pub fingerprint: String,
    /// The time of the claim under which Vonage was asked.
    #[serde(with = "jiff::fmt::serde::timestamp::millisecond::required")]
    pub claimed_at: Timestamp,
    /// Vonage's id of the call, if Vonage has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// Vonage's id of its first leg.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leg: Option<String>,
    /// End of the time for which it is remembered. The table deletes it later.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    remembered_until: Timestamp,
}

impl PlacedCall {
    /// Returns the call, if it is known that Vonage has placed it.
    pub fn ids(&self) -> Option<LegIds> {
        Some(LegIds { call: self.call.clone()?, leg: self.leg.clone()? })
    }
}

/// Condition under which a claim is still the one that was read, and Vonage's answer to it is not known.
const IS_OPEN: &str = "claimed_at = :seen AND attribute_not_exists(leg)";

impl Store {
    /// Returns the request with this hash of its idempotency key, if one is remembered at `now`.
    pub async fn placed_call(&self, key_hash: &str, now: Timestamp) -> Result<Option<PlacedCall>, StoreError> {
        let found: Option<PlacedCall> = self.get(Key::Request(key_hash)).await?;
        Ok(found.filter(|placed| now < placed.remembered_until))
    }

    /// Claims a request at `now`. False if it is claimed already.
    pub async fn claim_call(
        &self,
        request: &IdempotentRequest,
        conversation: ConversationId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let claimed = PlacedCall {
            conversation,
            fingerprint: request.fingerprint.clone(),
            claimed_at: now,
            call: None,
            leg: None,
            remembered_until: now + REMEMBERED,
        };
        let claim = Write::put(Key::Request(&request.key_hash).with(&claimed, Some(claimed.remembered_until))?)
            .when("attribute_not_exists(pk) OR remembered_until <= :now")
            .bind(":now", item::seconds(now));
        self.put(claim).await
    }

    /// Takes over a claim that was `seen`, because whoever made it is gone and no call came of it. False if somebody else did.
    pub async fn take_over_call(&self, key_hash: &str, seen: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        let take = Write::update(Key::Request(key_hash))
            .set("claimed_at = :now")
            .when(IS_OPEN)
            .bind(":now", item::milliseconds(now))
            .bind(":seen", item::milliseconds(seen));
        self.update(take).await
    }

    /// Gives up the claim of `claimed_at`: Vonage has certainly placed no call.
    pub async fn give_up_call(&self, key_hash: &str, claimed_at: Timestamp) -> Result<(), StoreError> {
        let delete = Write::delete(Key::Request(key_hash)).when(IS_OPEN).bind(":seen", item::milliseconds(claimed_at));
        self.delete(delete).await.map(drop)
    }

    /// Notes the call that Vonage has placed.
    pub async fn note_placed_call(&self, key_hash: &str, ids: &LegIds) -> Result<(), StoreError> {
        let note = Write::update(Key::Request(key_hash))
            .set("#call = if_not_exists(#call, :call), leg = if_not_exists(leg, :leg)")
            .name("#call", "call")
            .when("attribute_exists(pk)")
            .bind(":call", item::string(&ids.call))
            .bind(":leg", item::string(&ids.leg));
        self.update(note).await.map(drop)
    }
}
