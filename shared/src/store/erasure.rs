//! Erasure of conversations: everything that identifies people is deleted from the table, and Vonage's carrier records
//! are listed for redaction.
//!
//! The first transaction hides the conversation from everybody and adds an item for the schedule. All later steps can be
//! repeated, also by several runs at once. The participants' numbers are deleted last, because they lead to the other
//! items. The next request or the schedule completes an interrupted erasure, and one of a conversation with very many legs.

use std::collections::HashMap;
use std::ops::ControlFlow::{Break, Continue};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::conversations::ConversationItem;
use super::item::{self, Item, Key};
use super::passed_over::PassedOver;
use super::redactions::REDACTED_AFTER;
use super::retention::{deleted_after, note_kept_until};
use super::transaction::Outcome;
use super::write::Write;
use super::{Store, StoreError, journal, legs, lists, number_erasures, participations, routes};
use crate::clock::whole_second;
use crate::domain::call::Leg;
use crate::domain::carrier_record::CarrierRecord;
use crate::domain::conversation::{Conversation, ConversationId, Participant};
use crate::domain::number_erasure::ErasureId;
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::route::{KeyOwner, Route, RouteTombstone};
use crate::domain::tenant::Owner;
use crate::retry;

/// A conversation whose erasure has started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// The conversation.
    pub conversation: ConversationId,
    /// Start of the erasure.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub erased_at: Timestamp,
    /// Time from which the schedule goes on with it.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::required")]
    pub due_at: Timestamp,
}

/// A page of due erasures.
#[derive(Debug)]
pub struct DueErasures {
    /// Due erasures of this page that can be read.
    pub erasures: Vec<Erasure>,
    /// Start of the next page, or `None` if this was the last one.
    pub next: Option<HashMap<String, AttributeValue>>,
}

/// The state of an erasure after some work on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erased {
    /// There is no such conversation.
    Unknown,
    /// The conversation is hidden from everybody, but has more legs than one piece of work deletes. The next one goes on.
    InPart,
    /// All of it is deleted that was there. An event that came at the same time may still add a leg.
    Wholly,
    /// All of it is deleted, and nothing can come any more: the erasure is settled.
    Settled,
}

/// The rest of an erased conversation. It lets the same request get the same answer again.
#[derive(Serialize)]
struct ErasedNote {
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    erased_at: Timestamp,
    #[serde(rename = "tenant", skip_serializing_if = "Owner::is_deployment")]
    owner: Owner,
}

/// Maximum number of attempts of a step that conflicts with other changes.
const ATTEMPTS: u32 = 8;

/// Maximum number of legs that one transaction deletes.
const LEGS_PER_TRANSACTION: u16 = 100;

/// Maximum number of such transactions in one piece of work, so that a request ends in time whatever the conversation has.
const LEG_TRANSACTIONS: usize = 10;

/// Maximum number of items that one page of [`Store::due_erasures`] reads.
const PAGE: i32 = 500;

impl Store {
    /// Erases a conversation, after ending it if it is active. The conversation with its reference and labels, its legs
    /// and its routes are deleted; of the routes, tombstones stay during the quarantine. The carrier records are listed
    /// for redaction. Returns false if there is no such conversation, and true if it has been erased before.
    ///
    /// It works on whatever is stored, also past its retention. Of a conversation with more than 1000 legs it deletes the first
    /// ones; nobody sees the rest any more, and the schedule deletes it.
    pub async fn erase_conversation(&self, id: ConversationId, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.continue_erasure(id, None, now).await? != Erased::Unknown)
    }

    /// Like [`Store::erase_conversation`], for an erasure by number, which counts it if it is the one that starts.
    pub async fn erase_conversation_for(
        &self,
        erasure: ErasureId,
        id: ConversationId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self.continue_erasure(id, Some(erasure), now).await? != Erased::Unknown)
    }

    /// Starts an erasure or goes on with it, with a bounded amount of work.
    pub(super) async fn continue_erasure(
        &self,
        id: ConversationId,
        by: Option<ErasureId>,
        now: Timestamp,
    ) -> Result<Erased, StoreError> {
        for attempt in 0..ATTEMPTS {
            let progressed = match self.conversation_item(id, now).await? {
                None => return Ok(Erased::Unknown),
                Some(ConversationItem::Erased) => return Ok(Erased::Wholly),
                Some(ConversationItem::Present(conversation)) => self.start_erasure(&conversation, by, now).await?,
                Some(ConversationItem::Erasing { conversation, records }) => {
                    self.erase_routes(&conversation, now).await?;
                    // Whatever its handling is now: it may have taken messages before.
                    if !self.erase_recordings(id, now).await? || !self.erase_texts(id, now).await? {
                        return Ok(Erased::InPart);
                    }
                    if !self.erase_legs(id, now).await? {
                        return Ok(Erased::InPart);
                    }
                    self.finish_erasure(&conversation, records, now).await?
                }
            };
            if !progressed {
                retry::pause(attempt).await;
            }
        }
        Err(StoreError::Contended("a conversation"))
    }

    /// Ends the conversation, hides it, adds the schedule's item, and counts it for an erasure by number, in one transaction.
    /// False if the conversation has changed since it was read.
    async fn start_erasure(
        &self,
        conversation: &Conversation,
        by: Option<ErasureId>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let is_active = conversation.is_active(now);
        let end = if is_active { whole_second(now) } else { conversation.ended_at.unwrap_or(conversation.expires_at) };
        let ended = Conversation { ended_at: Some(end), revision: conversation.revision + 1, ..conversation.clone() };
        let mark = Write::update(Key::Conversation(conversation.id))
            .set("erased_at = :now, ended_at = :end, revision = :next")
            .set_ttl(deleted_after(&ended))
            .when("revision = :seen AND attribute_not_exists(erased_at)")
            .bind(":now", item::seconds(now))
            .bind(":end", item::seconds(end))
            .bind(":seen", item::integer(conversation.revision))
            .bind(":next", item::integer(ended.revision));
        let erased_at = whole_second(now);
        let erasure = Erasure { conversation: conversation.id, erased_at, due_at: erased_at };
        let erasure = Key::Erasure(conversation.id).with(&erasure, None)?;
        let mut transaction = vec![mark, Write::put(erasure).when("attribute_not_exists(pk)")];
        transaction.extend(by.map(number_erasures::count));
        if is_active {
            transaction.extend(ended.dialling_phones().map(|phone| routes::close(&ended, phone, now)));
        }
        transaction.extend(journal::record_erasure([conversation, &ended], now)?);
        Ok(self.transact(transaction, None).await? == Outcome::Committed)
    }

    async fn erase_routes(&self, conversation: &Conversation, now: Timestamp) -> Result<(), StoreError> {
        // The hold of one who only receives is of no conversation, and stays until its time.
        for participant in conversation.direction.sides().map(|side| conversation.participant(side)) {
            for (phone, dialled) in route_keys(participant) {
                self.erase_route(conversation.id, &phone.canonical(), dialled, now).await?;
                if let Some(other) = phone.other_spelling() {
                    self.erase_route(conversation.id, &other, dialled, now).await?;
                }
            }
        }
        Ok(())
    }

    /// Deletes the conversation itself, of which nothing else is left. False if a carrier record was added since the conversation
    /// was read.
    async fn finish_erasure(
        &self,
        conversation: &Conversation,
        records: Option<AttributeValue>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        // Some are known from receipts only, because the carrier's answer was lost.
        let told = conversation.invitation_receipts.carrier_records();
        let all: Vec<CarrierRecord> = conversation.carrier_records.iter().cloned().chain(told).collect();
        self.request_redaction(&all, now).await?;
        let note = ErasedNote { erased_at: whole_second(now), owner: conversation.owner };
        let note = Key::Conversation(conversation.id).with(&note, Some(note_kept_until(conversation, now)))?;
        let put = Write::put(note).when("attribute_exists(participants)");
        let put = match records {
            Some(records) => put.when("carrier_records = :records").bind(":records", records),
            None => put.when("attribute_not_exists(carrier_records)"),
        };
        // With the last of the phones: as long as the conversation names one, it is found by it.
        let mut unlisted = lists::deleted(conversation);
        unlisted.extend(participations::deleted(conversation));
        while unlisted.len() > participations::PER_TRANSACTION {
            let some = unlisted.drain(..participations::PER_TRANSACTION).collect();
            self.transact_settled(some).await?;
        }
        self.transact_settled(std::iter::once(put).chain(unlisted).collect()).await
    }

    /// Replaces the conversation's route under this key with a tombstone, or deletes it if its quarantine is over. If
    /// another conversation owns the key by now, removes this conversation from the key's history.
    async fn erase_route(
        &self,
        id: ConversationId,
        caller: &RealNumber,
        dialled: &VirtualNumber,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let key = Key::Route { caller, dialled };
        retry::contended(ATTEMPTS, StoreError::Contended("a route"), || async move {
            let Some(KeyOwner::Route(route)) = self.key_owner(caller, dialled).await? else { return Ok(Break(())) };
            let erased = if route.conversation != id {
                if !route.history.contains(&id) {
                    return Ok(Break(()));
                }
                self.remove_from_history(key, &route, id).await?
            } else if route.quarantined_until <= now {
                self.delete_route(key, id).await?
            } else {
                self.replace_with_tombstone(key, route.into_tombstone()).await?
            };
            Ok(if erased { Break(()) } else { Continue(()) })
        })
        .await
    }

    async fn replace_with_tombstone(&self, key: Key<'_>, tombstone: RouteTombstone) -> Result<bool, StoreError> {
        let put = Write::put(key.with(&tombstone, Some(tombstone.quarantined_until))?)
            .when("conversation = :id")
            .bind(":id", item::string(tombstone.conversation));
        self.put(put).await
    }

    async fn delete_route(&self, key: Key<'_>, id: ConversationId) -> Result<bool, StoreError> {
        let delete = Write::delete(key).when("conversation = :id").bind(":id", item::string(id));
        self.delete(delete).await
    }

    async fn remove_from_history(&self, key: Key<'_>, route: &Route, id: ConversationId) -> Result<bool, StoreError> {
        let others: Vec<_> = route.history.iter().filter(|previous| **previous != id).collect();
        let update = Write::update(key)
            .set("earlier = :others")
            .when("conversation = :owner AND earlier = :seen")
            .bind(":others", item::value(others)?)
            .bind(":owner", item::string(route.conversation))
            .bind(":seen", item::value(&route.history)?);
        self.update(update).await
    }

    /// Lists the carrier records of the conversation's legs for redaction, and deletes the legs with what was counted of them.
    /// False if there are more legs than one piece of work deletes. Fails if some cannot be read, because only they tell what
    /// Vonage has to redact; the schedule tries again.
    async fn erase_legs(&self, id: ConversationId, now: Timestamp) -> Result<bool, StoreError> {
        let (mut after, mut passed_over) = (item::CONVERSATION.to_owned(), PassedOver::default());
        for _ in 0..LEG_TRANSACTIONS {
            let partition = item::conversation_partition(id);
            // The legs come behind the conversation, and then its usage.
            let (items, more) = self.items_after(partition, after.clone(), LEGS_PER_TRANSACTION).await?;
            after = items.last().map_or(after, |last| item::sort_key(last).to_owned());
            let has_usage = items.iter().any(|item| item::sort_key(item) == item::USAGE);
            let legs = items.into_iter().filter(|item| item::sort_key(item).starts_with(item::LEG_PREFIX));
            let legs: Vec<Leg> = legs.filter_map(|item| passed_over.take(legs::read(item))).collect();
            self.delete_legs(id, &legs, now).await?;
            if has_usage {
                self.delete_item(Key::Usage(id)).await?;
            }
            if !more {
                return passed_over.error().map_or(Ok(true), Err);
            }
        }
        passed_over.error().map_or(Ok(false), Err)
    }

    async fn delete_legs(&self, id: ConversationId, legs: &[Leg], now: Timestamp) -> Result<(), StoreError> {
        if legs.is_empty() {
            return Ok(());
        }
        let records: Vec<CarrierRecord> = legs.iter().map(CarrierRecord::from).collect();
        self.request_redaction(&records, now).await?;
        let delete = |leg: &Leg| {
            let (conversation_uuid, uuid) = (leg.conversation_uuid.as_str(), leg.uuid.as_str());
            Write::delete(Key::Leg { conversation: id, conversation_uuid, uuid })
        };
        self.transact_settled(legs.iter().map(delete).collect()).await.map(drop)
    }

    /// Returns a page of the erasures that are not settled and due at `now`, starting at `from`.
    pub async fn due_erasures(&self, now: Timestamp, from: Option<Item>) -> Result<DueErasures, StoreError> {
        let page = self.due_page(item::ERASURE_PARTITION, None, PAGE, now, from).await?;
        let erasures = PassedOver::list(page.items.unwrap_or_default(), item::read);
        Ok(DueErasures { erasures, next: page.last_evaluated_key })
    }

    /// Goes on with an interrupted erasure, with a bounded amount of work. An event that found the conversation just before its
    /// erasure may have written a leg just after it. So the legs are erased once more, so much later that no such event
    /// can still be running.
    pub async fn settle_erasure(&self, erasure: &Erasure, now: Timestamp) -> Result<Erased, StoreError> {
        if self.continue_erasure(erasure.conversation, None, now).await? == Erased::InPart {
            return Ok(Erased::InPart);
        }
        let once_more = erasure.erased_at + REDACTED_AFTER;
        if now < once_more {
            self.postpone_erasure(erasure, once_more).await?;
            return Ok(Erased::Wholly);
        }
        if !self.erase_legs(erasure.conversation, now).await? {
            return Ok(Erased::InPart);
        }
        self.delete_item(Key::Erasure(erasure.conversation)).await?;
        Ok(Erased::Settled)
    }

    /// Postpones an erasure to `due_at`, so that it does not come before others again.
    pub async fn postpone_erasure(&self, erasure: &Erasure, due_at: Timestamp) -> Result<(), StoreError> {
        let update = Write::update(Key::Erasure(erasure.conversation))
            .set("due_at = :due")
            .when("attribute_exists(pk)")
            .bind(":due", item::seconds(due_at));
        self.update(update).await.map(drop)
    }
}

/// Returns all route keys that a participant may have had in its conversation: each phone with each number that it dialled.
fn route_keys(participant: &Participant) -> impl Iterator<Item = (&RealNumber, &VirtualNumber)> {
    participant.all_numbers().flat_map(|phone| participant.all_seen().map(move |dialled| (phone, dialled)))
}
