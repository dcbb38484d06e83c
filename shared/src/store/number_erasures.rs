//! Erasures by number: one item each. A running one is in a partition with the others, so that the schedule finds it. One
//! that is done has a partition of its own, without the phone.

use jiff::{SignedDuration, Timestamp};

use super::item::{self, Item, Key, NUMBER_ERASURE_PARTITION, NUMBER_PREFIX};
use super::passed_over::PassedOver;
use super::write::Write;
use super::{Store, StoreError};
use crate::clock::whole_second;
use crate::domain::number_erasure::{ErasureId, NumberErasure};
use crate::domain::phone::RealNumber;
use crate::retry;

/// Time for which an erasure that is done can be read.
const DONE_KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Maximum number of attempts at the end of an erasure that others go on with at the same time.
const ATTEMPTS: u32 = 8;

/// Maximum number of items of a phone that one page reads.
const PAGE: u16 = 500;

impl Store {
    /// Stores a new erasure, which the schedule carries out.
    pub async fn begin_number_erasure(&self, erasure: &NumberErasure) -> Result<(), StoreError> {
        self.put(Write::put(Key::NumberErasure(erasure.id).with(erasure, None)?)).await.map(drop)
    }

    /// Returns an erasure that is running, or was done less than 90 days before `now`. One or two consistent reads.
    pub async fn number_erasure(&self, id: ErasureId, now: Timestamp) -> Result<Option<NumberErasure>, StoreError> {
        // In this order, because it goes from the one place to the other.
        if let Some(running) = self.get(Key::NumberErasure(id)).await? {
            return Ok(Some(running));
        }
        let done: Option<NumberErasure> = self.get(Key::PastNumberErasure(id)).await?;
        Ok(done.filter(|erasure| erasure.done_at.is_none_or(|done_at| now < done_at + DONE_KEPT)))
    }

    /// Returns the running erasures that can be read, oldest first.
    pub async fn number_erasures(&self) -> Result<Vec<NumberErasure>, StoreError> {
        Ok(PassedOver::list(self.query(NUMBER_ERASURE_PARTITION.to_owned(), None).await?, item::read))
    }

    /// Notes how many conversations a complete pass of an erasure could not erase.
    pub async fn note_failed_erasures(&self, id: ErasureId, count: u64) -> Result<(), StoreError> {
        let note = Write::update(Key::NumberErasure(id))
            .set("conversations_failed = :count")
            .when("attribute_exists(pk)")
            .bind(":count", item::integer(count));
        self.update(note).await.map(drop)
    }

    /// Ends an erasure for which nothing is left to do, and forgets its phone. Returns it as it is then. `None` if it was done
    /// so long ago that it is not stored any more.
    pub async fn finish_number_erasure(
        &self,
        id: ErasureId,
        now: Timestamp,
    ) -> Result<Option<NumberErasure>, StoreError> {
        for attempt in 0..ATTEMPTS {
            let Some(running) = self.get::<NumberErasure>(Key::NumberErasure(id)).await? else {
                return self.number_erasure(id, now).await;
            };
            let seen = item::integer(running.conversations_erased);
            let done = running.done(whole_second(now));
            // Another run may have counted one more.
            let delete = Write::delete(Key::NumberErasure(id)).when("conversations_erased = :seen").bind(":seen", seen);
            let put = Write::put(Key::PastNumberErasure(id).with(&done, Some(whole_second(now) + DONE_KEPT))?);
            if self.transact_settled(vec![delete, put]).await? {
                return Ok(Some(done));
            }
            retry::pause(attempt).await;
        }
        Err(StoreError::Contended("an erasure by number"))
    }

    /// Deletes what is left of a phone whose conversations are erased and what nothing needs: the number under which it only
    /// receives, which a later conversation finds anew, and what the table may delete at `now`. Route keys in quarantine stay.
    pub async fn forget_traces(&self, phone: &RealNumber, now: Timestamp) -> Result<(), StoreError> {
        for phone in [Some(phone.canonical().into_owned()), phone.other_spelling()].into_iter().flatten() {
            self.delete_item(Key::Line(&phone)).await?;
            self.forget_chat(&phone).await?;
            self.forget_opt_outs(&phone).await?;
            let mut after = None;
            loop {
                let partition = item::caller_partition(phone.expose());
                let (items, more) = self.query_page(partition, NUMBER_PREFIX, after, PAGE).await?;
                for item in &items {
                    self.forget_route_key(&phone, item, now).await?;
                }
                after = items.last().map(|item| item::sort_key(item).to_owned());
                if !more || after.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Deletes the item of a route key that the table may delete at `now`, unless somebody has renewed it.
    async fn forget_route_key(&self, caller: &RealNumber, item: &Item, now: Timestamp) -> Result<(), StoreError> {
        let (Some(dialled), Some(ttl)) = (item::dialled(item), item::time(item, "ttl")) else { return Ok(()) };
        if now < ttl || item::check_version(item).is_err() {
            return Ok(());
        }
        let delete = Write::delete(Key::Route { caller, dialled: &dialled })
            .when("#ttl = :ttl")
            .name("#ttl", "ttl")
            .bind(":ttl", item::seconds(ttl));
        self.transact_settled(vec![delete]).await.map(drop)
    }
}

/// Counts a conversation for a running erasure.
pub(super) fn count(id: ErasureId) -> Write {
    Write::update(Key::NumberErasure(id))
        .add("conversations_erased :one")
        .when("attribute_exists(pk)")
        .bind(":one", item::integer(1u64))
}
