//! The erasure of conversations: what names people is removed, what Vonage keeps is written down to be redacted.
//!
//! It begins with one transaction, from which on the conversation is gone to everybody, and an item of its own tells the
//! schedule of it. All that follows can be done by anybody, as often as it takes, several at once; the participants'
//! numbers go last, because they lead to the rest. A run that dies is finished by the next request or by the schedule.

use std::ops::ControlFlow::{Break, Continue};

use aws_sdk_dynamodb::types::{AttributeValue, Delete, TransactWriteItem, Update};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::item::{self, Item, Key};
use super::retention::kept_until;
use super::transaction::Outcome;
use super::{REDACTED_AFTER, Store, StoreError};
use crate::clock::whole_second;
use crate::domain::call::Leg;
use crate::domain::carrier_record::CarrierRecord;
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::route::{KeyOwner, Route, RouteTombstone};
use crate::domain::side::Side;
use crate::retry;

/// What is in the place of a conversation.
pub(super) enum Stored {
    Kept(Conversation),
    /// Gone to everybody but those who erase it, with its carrier records as they are in the table.
    Erasing {
        conversation: Conversation,
        records: Option<AttributeValue>,
    },
    /// Nothing but the memory that there was one.
    Erased,
}

impl Stored {
    /// What the item is at `now`; nothing, if the table may delete it.
    pub(super) fn read(item: Item, now: Timestamp) -> Result<Option<Self>, StoreError> {
        if !item.contains_key("erased_at") {
            let conversation: Conversation = item::read(item)?;
            return Ok(Some(conversation).filter(|conversation| now < kept_until(conversation)).map(Self::Kept));
        }
        if !item.contains_key("participants") {
            let is_remembered = item::time(&item, "ttl").is_none_or(|until| now < until);
            return Ok(is_remembered.then_some(Self::Erased));
        }
        let records = item.get("carrier_records").cloned();
        Ok(Some(Self::Erasing { conversation: item::read(item)?, records }))
    }
}

/// A conversation that is being erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// The conversation.
    pub conversation: ConversationId,
    /// When that began.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub erased_at: Timestamp,
}

/// What stays of an erased conversation: so that the same request is given the same answer again.
#[derive(Serialize)]
struct Memory {
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    erased_at: Timestamp,
}

/// How often a step is tried that meets others at the same items.
const ATTEMPTS: u32 = 8;

/// How many legs one transaction takes away.
const LEGS_AT_ONCE: usize = 100;

impl Store {
    /// Ends the conversation if it is active, and takes everything that names its participants out of the table: the
    /// conversation with its reference and labels, its legs, and its routes but for the keys, which stay for as long as
    /// the quarantine. What Vonage keeps is written down to be redacted. False if there is no such conversation; one
    /// that has been erased before is one.
    pub async fn erase_conversation(&self, id: ConversationId, now: Timestamp) -> Result<bool, StoreError> {
        for attempt in 0..ATTEMPTS {
            let progressed = match self.stored(id, now).await? {
                None => return Ok(false),
                Some(Stored::Erased) => return Ok(true),
                Some(Stored::Kept(conversation)) => self.begin_erasure(&conversation, now).await?,
                Some(Stored::Erasing { conversation, records }) => {
                    self.finish_erasure(&conversation, records, now).await?
                }
            };
            if !progressed {
                retry::pause(attempt).await;
            }
        }
        Err(StoreError::Contended("a conversation"))
    }

    pub(super) async fn stored(&self, id: ConversationId, now: Timestamp) -> Result<Option<Stored>, StoreError> {
        match self.get_item(Key::Conversation(id)).await? {
            Some(item) => Stored::read(item, now),
            None => Ok(None),
        }
    }

    /// Ends it, makes it nobody's, and tells the schedule, all at once. False if it is not as it was read any more.
    async fn begin_erasure(&self, conversation: &Conversation, now: Timestamp) -> Result<bool, StoreError> {
        let is_active = conversation.is_active(now);
        let end = if is_active { whole_second(now) } else { conversation.ended_at.unwrap_or(conversation.expires_at) };
        let erased = Conversation { ended_at: Some(end), ..conversation.clone() };
        let mark = Update::builder()
            .table_name(&self.table)
            .set_key(Some(Key::Conversation(conversation.id).item()))
            .update_expression("SET erased_at = :now, ended_at = :end, #ttl = :ttl, revision = :next")
            .condition_expression("revision = :seen AND attribute_not_exists(erased_at)")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":now", item::seconds(now))
            .expression_attribute_values(":end", item::seconds(end))
            .expression_attribute_values(":ttl", item::seconds(kept_until(&erased)))
            .expression_attribute_values(":seen", item::whole(conversation.revision))
            .expression_attribute_values(":next", item::whole(conversation.revision + 1))
            .build()?;
        let erasure = Erasure { conversation: conversation.id, erased_at: whole_second(now) };
        let mut transaction = vec![
            TransactWriteItem::builder().update(mark).build(),
            self.put(Key::Erasure(conversation.id).with(&erasure, None)?, "attribute_not_exists(pk)", None)?,
        ];
        for side in Side::BOTH.into_iter().filter(|_| is_active) {
            transaction.push(self.close_route(&erased, erased.participant(side), now)?);
        }
        Ok(self.transact(transaction, None).await? == Outcome::Committed)
    }

    /// Takes away what the conversation leads to, and then itself. False if more has become known of it meanwhile.
    async fn finish_erasure(
        &self,
        conversation: &Conversation,
        records: Option<AttributeValue>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        for participant in &conversation.participants {
            for phone in participant.previous_numbers.iter().chain([&participant.number]) {
                self.erase_key(conversation.id, phone, &participant.dials, now).await?;
            }
        }
        self.erase_legs(conversation.id, now).await?;
        self.ask_to_redact(&conversation.carrier_records, now).await?;
        let memory = Memory { erased_at: whole_second(now) };
        let memory = Key::Conversation(conversation.id).with(&memory, Some(kept_until(conversation)))?;
        let is_as_read = match &records {
            Some(_) => "attribute_exists(participants) AND carrier_records = :records",
            None => "attribute_exists(participants) AND attribute_not_exists(carrier_records)",
        };
        let mut put = self.put(memory, is_as_read, None)?;
        if let (Some(put), Some(records)) = (put.put.as_mut(), records) {
            put.expression_attribute_values.get_or_insert_default().insert(":records".to_owned(), records);
        }
        self.transact_settled(vec![put]).await
    }

    /// Leaves of the conversation's route under this key what the quarantine needs, or nothing when that is over. If the
    /// key is another conversation's by now, that one forgets who had it before.
    async fn erase_key(
        &self,
        id: ConversationId,
        caller: &RealNumber,
        dialled: &VirtualNumber,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let key = Key::Route { caller, dialled };
        retry::contended(ATTEMPTS, StoreError::Contended("a route"), || async move {
            let Some(KeyOwner::Route(route)) = self.holder(caller, dialled).await? else { return Ok(Break(())) };
            let erased = if route.conversation != id {
                if !route.history.contains(&id) {
                    return Ok(Break(()));
                }
                self.forget_earlier(key, &route, id).await?
            } else if route.quarantined_until <= now {
                self.delete_route(key, id).await?
            } else {
                self.replace_with_tombstone(key, route.into_tombstone()).await?
            };
            Ok(if erased { Break(()) } else { Continue(()) })
        })
        .await
    }

    async fn replace_with_tombstone(&self, key: Key<'_>, erased: RouteTombstone) -> Result<bool, StoreError> {
        let id = erased.conversation;
        // Only for as long as the quarantine: then nothing is left of it.
        let item = key.with(&erased, Some(erased.quarantined_until))?;
        let mut put = self.put(item, "conversation = :id", None)?;
        if let Some(put) = put.put.as_mut() {
            put.expression_attribute_values.get_or_insert_default().insert(":id".to_owned(), item::string(id));
        }
        self.transact_settled(vec![put]).await
    }

    async fn delete_route(&self, key: Key<'_>, id: ConversationId) -> Result<bool, StoreError> {
        let delete = self.delete(key.item(), Some(("conversation = :value", item::string(id))))?;
        self.transact_settled(vec![delete]).await
    }

    async fn forget_earlier(&self, key: Key<'_>, route: &Route, id: ConversationId) -> Result<bool, StoreError> {
        let others: Vec<_> = route.history.iter().filter(|earlier| **earlier != id).collect();
        let update = self.client.update_item().table_name(&self.table).set_key(Some(key.item()));
        let update = update
            .update_expression("SET earlier = :others")
            .condition_expression("conversation = :owner AND earlier = :seen")
            .expression_attribute_values(":others", serde_dynamo::to_attribute_value(others)?)
            .expression_attribute_values(":owner", item::string(route.conversation))
            .expression_attribute_values(":seen", serde_dynamo::to_attribute_value(&route.history)?);
        self.update(update).await
    }

    /// Moves the conversation's legs to what Vonage is to redact.
    async fn erase_legs(&self, id: ConversationId, now: Timestamp) -> Result<(), StoreError> {
        let items = self.query(item::conversation_partition(id), Some(item::LEG_PREFIX)).await?;
        let legs = items.into_iter().map(super::legs::read).collect::<Result<Vec<Leg>, _>>()?;
        let records: Vec<CarrierRecord> = legs.iter().map(CarrierRecord::from).collect();
        self.ask_to_redact(&records, now).await?;
        for legs in legs.chunks(LEGS_AT_ONCE) {
            let delete = |leg: &Leg| {
                let (conversation_uuid, uuid) = (leg.conversation_uuid.as_str(), leg.uuid.as_str());
                self.delete(Key::Leg { conversation: id, conversation_uuid, uuid }.item(), None)
            };
            self.transact_settled(legs.iter().map(delete).collect::<Result<_, _>>()?).await?;
        }
        Ok(())
    }

    /// The conversations whose erasure has begun and is not settled.
    pub async fn erasures(&self) -> Result<Vec<Erasure>, StoreError> {
        self.query(item::ERASURE_PARTITION.to_owned(), None).await?.into_iter().map(item::read).collect()
    }

    /// Goes on with an erasure, whatever has died over it. True if it is settled: an event that had found the
    /// conversation just before its end may have written a leg just after it, so there is a last look, so much later
    /// that no such event can still be under way.
    pub async fn settle_erasure(&self, erasure: &Erasure, now: Timestamp) -> Result<bool, StoreError> {
        self.erase_conversation(erasure.conversation, now).await?;
        if now < erasure.erased_at + REDACTED_AFTER {
            return Ok(false);
        }
        self.erase_legs(erasure.conversation, now).await?;
        let key = Key::Erasure(erasure.conversation).item();
        self.client.delete_item().table_name(&self.table).set_key(Some(key)).send().await?;
        Ok(true)
    }

    /// Deletes an item, under a condition on one value.
    pub(super) fn delete(
        &self,
        key: Item,
        condition: Option<(&str, AttributeValue)>,
    ) -> Result<TransactWriteItem, StoreError> {
        let mut delete = Delete::builder().table_name(&self.table).set_key(Some(key));
        if let Some((condition, value)) = condition {
            delete = delete.condition_expression(condition).expression_attribute_values(":value", value);
        }
        Ok(TransactWriteItem::builder().delete(delete.build()?).build())
    }
}
