//! Conversations: created and ended together with their two routes, in one transaction each.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem, Update};
use jiff::{SignedDuration, Timestamp};

use super::item::{self, Item, Key};
use super::{Store, StoreError};
use crate::call::Leg;
use crate::clock::whole_second;
use crate::conversation::{Conversation, ConversationId, Notification, Side, State};
use crate::route::Route;

/// How long a conversation and its calls can be read after its quarantine.
pub(super) const RECORDS_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A conversation was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// One of its two (caller, number) keys has been taken by another conversation since they were read.
    #[error("a key of the conversation is taken")]
    KeyTaken,
    /// The table could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How often an end is tried that meets another change of the same conversation.
const END_ATTEMPTS: u32 = 3;

impl Store {
    /// Stores a new conversation and its routes in one transaction, or nothing.
    pub async fn create_conversation(&self, conversation: &Conversation) -> Result<(), CreateError> {
        let delete_after = conversation.quarantined_until(conversation.expires_at) + RECORDS_KEPT;
        let conversation_item = Key::Conversation(conversation.id).with(conversation, Some(delete_after))?;
        let mut transaction = vec![self.put(conversation_item, "attribute_not_exists(pk)", None)?];
        for side in Side::BOTH {
            let participant = conversation.participant(side);
            let key = Key::Route { caller: &participant.number, dialled: &participant.dials };
            let route = Route::of(conversation, side);
            let route_item = key.with(&route, Some(route.quarantined_until))?;
            let free = "attribute_not_exists(pk) OR quarantined_until <= :now";
            transaction.push(self.put(route_item, free, Some(conversation.created_at))?);
        }
        let sent = self.client.transact_write_items().set_transact_items(Some(transaction)).send().await;
        sent.map(drop)
            .map_err(|error| if is_conflict(&error) { CreateError::KeyTaken } else { CreateError::Store(error.into()) })
    }

    /// The conversation, if there is one. Consistent.
    pub async fn conversation(&self, id: ConversationId) -> Result<Option<Conversation>, StoreError> {
        let key = Key::Conversation(id).item();
        let found =
            self.client.get_item().table_name(&self.table).set_key(Some(key)).consistent_read(true).send().await?;
        found.item.map(item::read).transpose()
    }

    /// The conversation and the legs of its calls, in one query.
    pub async fn conversation_with_legs(
        &self,
        id: ConversationId,
    ) -> Result<Option<(Conversation, Vec<Leg>)>, StoreError> {
        let (mut conversation, mut legs) = (None, Vec::new());
        for item in self.query(item::conversation_partition(id), None).await? {
            if item::sort_key(&item).starts_with(item::LEG_PREFIX) {
                legs.push(super::legs::read(item)?);
            } else {
                conversation = Some(item::read::<Conversation>(item)?);
            }
        }
        Ok(conversation.map(|conversation| (conversation, legs)))
    }

    /// Ends the conversation and its two routes at `now`, in one transaction, and gives it as it then is. One that
    /// has already ended or expired is left as it is.
    pub async fn end_conversation(
        &self,
        id: ConversationId,
        now: Timestamp,
    ) -> Result<Option<Conversation>, StoreError> {
        for _ in 0..END_ATTEMPTS {
            let Some(conversation) = self.conversation(id).await? else { return Ok(None) };
            if conversation.state(now) != State::Active {
                return Ok(Some(conversation));
            }
            // None: somebody else changed it meanwhile, most likely to the same end. Look again.
            if let Some(ended) = self.end_active(conversation, now).await? {
                return Ok(Some(ended));
            }
        }
        Err(StoreError::Unavailable("the conversation changes all the time".to_owned()))
    }

    /// None if the conversation is no longer as it was read.
    async fn end_active(&self, conversation: Conversation, now: Timestamp) -> Result<Option<Conversation>, StoreError> {
        let id = conversation.id;
        let quarantined_until = conversation.quarantined_until(now);
        let end = Update::builder()
            .table_name(&self.table)
            .set_key(Some(Key::Conversation(id).item()))
            .update_expression("SET ended_at = :now, #ttl = :ttl")
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(ended_at)")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":now", item::seconds(now))
            .expression_attribute_values(":ttl", item::seconds(quarantined_until + RECORDS_KEPT))
            .build()
            .map_err(unbuildable)?;
        let mut transaction = vec![TransactWriteItem::builder().update(end).build()];
        for side in Side::BOTH {
            let participant = conversation.participant(side);
            let key = Key::Route { caller: &participant.number, dialled: &participant.dials }.item();
            let close = Update::builder()
                .table_name(&self.table)
                .set_key(Some(key))
                .update_expression("SET expires_at = :now, quarantined_until = :until, #ttl = :until")
                .condition_expression("conversation = :id")
                .expression_attribute_names("#ttl", "ttl")
                .expression_attribute_values(":now", item::seconds(now))
                .expression_attribute_values(":until", item::seconds(quarantined_until))
                .expression_attribute_values(":id", item::string(id))
                .build()
                .map_err(unbuildable)?;
            transaction.push(TransactWriteItem::builder().update(close).build());
        }
        let sent = self.client.transact_write_items().set_transact_items(Some(transaction)).send().await;
        match sent {
            Ok(_) => Ok(Some(Conversation { ended_at: Some(whole_second(now)), ..conversation })),
            Err(error) if is_conflict(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes down what became of the text messages of a conversation.
    pub async fn record_notifications(&self, conversation: &Conversation) -> Result<(), StoreError> {
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::Conversation(conversation.id).item()))
            .update_expression("SET participants[0].notification = :a, participants[1].notification = :b")
            .condition_expression("attribute_exists(pk)");
        for (placeholder, side) in [(":a", Side::A), (":b", Side::B)] {
            let notification: &Notification = &conversation.participant(side).notification;
            update = update.expression_attribute_values(placeholder, serde_dynamo::to_attribute_value(notification)?);
        }
        update.send().await?;
        Ok(())
    }

    pub(super) fn put(
        &self,
        item: Item,
        condition: &str,
        now: Option<Timestamp>,
    ) -> Result<TransactWriteItem, StoreError> {
        let mut put =
            Put::builder().table_name(&self.table).set_item(Some(item)).condition_expression(condition.to_owned());
        if let Some(now) = now {
            put = put.expression_attribute_values(":now", item::seconds(now));
        }
        Ok(TransactWriteItem::builder().put(put.build().map_err(unbuildable)?).build())
    }
}

pub(super) fn unbuildable(error: aws_sdk_dynamodb::error::BuildError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

/// Whether a transaction lost to another: a condition no longer held, or both ran at once.
pub(super) fn is_conflict<R>(error: &SdkError<TransactWriteItemsError, R>) -> bool {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() else {
        return false;
    };
    let codes = || cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code());
    codes().any(|code| matches!(code, "ConditionalCheckFailed" | "TransactionConflict"))
        && codes().all(|code| matches!(code, "None" | "ConditionalCheckFailed" | "TransactionConflict"))
}
