//! The calls of a conversation that are up, as far as events tell.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::item::{self, LEG_PREFIX};
use super::passed_over::PassedOver;
use super::{Store, StoreError, legs};
use crate::domain::call::Leg;
use crate::domain::call_limits::CallLimits;
use crate::domain::conversation::ConversationId;

/// Time after its first event in which a leg without a last event may be up: the longest call, and an hour for clocks and late
/// events. After that its last event was lost.
const LONGEST_LEG: SignedDuration = SignedDuration::from_secs(CallLimits::MAX_CALL_SECONDS as i64 + 3600);

/// Number of legs that are read at a time.
const PAGE: u16 = 500;

impl Store {
    /// Returns all legs of the calls of a conversation that may be up at `now`. It reads all legs, page by page, because their keys
    /// have no time.
    pub async fn legs_of_live_calls(&self, id: ConversationId, now: Timestamp) -> Result<Vec<Leg>, StoreError> {
        let (mut legs, mut after) = (Vec::new(), None);
        loop {
            let partition = item::conversation_partition(id);
            let (items, more) = self.query_page(partition, LEG_PREFIX, after.take(), PAGE).await?;
            after = items.last().map(|item| item::sort_key(item).to_owned());
            let mut passed_over = PassedOver::default();
            let read = items.into_iter().filter_map(|item| passed_over.take(legs::read(item)));
            legs.extend(read.filter(|leg| is_recent(leg, now)));
            if !more || after.is_none() {
                break;
            }
        }
        let live: BTreeSet<_> =
            legs.iter().filter(|leg| leg.is_up()).map(|leg| leg.conversation_uuid.clone()).collect();
        legs.retain(|leg| live.contains(&leg.conversation_uuid));
        Ok(legs)
    }

    /// Returns the legs of one call of a conversation. One consistent query.
    pub async fn legs_of_call(&self, id: ConversationId, call: &str) -> Result<Vec<Leg>, StoreError> {
        let prefix = format!("{LEG_PREFIX}{call}#");
        let items = self.query(item::conversation_partition(id), Some(&prefix)).await?;
        let mut passed_over = PassedOver::default();
        Ok(items.into_iter().filter_map(|item| passed_over.take(legs::read(item))).collect())
    }
}

/// True if a leg with these statuses may still be up, by its age. One without any time may be.
fn is_recent(leg: &Leg, now: Timestamp) -> bool {
    leg.first_seen().is_none_or(|seen| now.duration_since(seen) < LONGEST_LEG)
}
