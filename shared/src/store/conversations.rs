//! Conversations: created and ended together with their two routes, in one transaction each.

use aws_sdk_dynamodb::types::{TransactWriteItem, Update};
use jiff::{SignedDuration, Timestamp};

use super::item::{self, Key};
use super::transaction::{Outcome, unbuildable};
use super::{Store, StoreError};
use crate::backoff;
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
const END_ATTEMPTS: u32 = 6;

impl Store {
    /// Stores a new conversation and its routes in one transaction, or nothing.
    pub async fn create_conversation(&self, conversation: &Conversation) -> Result<(), CreateError> {
        match self.try_to_create(conversation).await {
            // No answer, or none that tells. The same transaction under the same token is carried out once at most, so
            // sending it again settles whether it is there.
            Err(CreateError::Store(StoreError::Unavailable(_))) => match self.try_to_create(conversation).await {
                Err(CreateError::KeyTaken) if self.stored(conversation.id).await?.is_some() => Ok(()),
                settled => settled,
            },
            settled => settled,
        }
    }

    async fn try_to_create(&self, conversation: &Conversation) -> Result<(), CreateError> {
        let delete_after = kept_until(conversation);
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
        match self.transact(transaction, Some(conversation.id.to_string())).await? {
            Outcome::Committed => Ok(()),
            Outcome::Cancelled(_) => Err(CreateError::KeyTaken),
        }
    }

    /// The conversation at `now`, if there is one. Consistent.
    pub async fn conversation(&self, id: ConversationId, now: Timestamp) -> Result<Option<Conversation>, StoreError> {
        Ok(self.stored(id).await?.filter(|conversation| now < kept_until(conversation)))
    }

    async fn stored(&self, id: ConversationId) -> Result<Option<Conversation>, StoreError> {
        self.get(Key::Conversation(id)).await
    }

    /// The conversation at `now` and the legs of its calls, in one query.
    pub async fn conversation_with_legs(
        &self,
        id: ConversationId,
        now: Timestamp,
    ) -> Result<Option<(Conversation, Vec<Leg>)>, StoreError> {
        let (mut conversation, mut legs) = (None, Vec::new());
        for item in self.query(item::conversation_partition(id), None).await? {
            if item::sort_key(&item).starts_with(item::LEG_PREFIX) {
                legs.push(super::legs::read(item)?);
            } else {
                conversation = Some(item::read::<Conversation>(item)?);
            }
        }
        Ok(conversation.filter(|conversation| now < kept_until(conversation)).map(|conversation| (conversation, legs)))
    }

    /// Ends the conversation and its two routes at `now`, in one transaction, and gives it as it then is. One that
    /// has already ended or expired is left as it is.
    pub async fn end_conversation(
        &self,
        id: ConversationId,
        now: Timestamp,
    ) -> Result<Option<Conversation>, StoreError> {
        for attempt in 0..END_ATTEMPTS {
            let Some(conversation) = self.conversation(id, now).await? else { return Ok(None) };
            if conversation.state(now) != State::Active {
                return Ok(Some(conversation));
            }
            // None: somebody else changed it meanwhile, most likely to the same end. Look again.
            if let Some(ended) = self.end_active(conversation, now).await? {
                return Ok(Some(ended));
            }
            backoff::pause(attempt).await;
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
        match self.transact(transaction, None).await? {
            Outcome::Committed => Ok(Some(Conversation { ended_at: Some(whole_second(now)), ..conversation })),
            Outcome::Cancelled(_) => Ok(None),
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
}

/// From when on the table may delete the conversation. It does so late, so readers look at the time themselves.
fn kept_until(conversation: &Conversation) -> Timestamp {
    let end = conversation.ended_at.unwrap_or(conversation.expires_at);
    conversation.quarantined_until(end) + RECORDS_KEPT
}
