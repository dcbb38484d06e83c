//! Conversations: created, changed and ended together with their routes, in one transaction each.

use std::ops::ControlFlow::{Break, Continue};

use aws_sdk_dynamodb::types::{TransactWriteItem, Update};
use jiff::Timestamp;

use super::erasure::Stored;
use super::item::{self, Item, Key};
use super::notifications::{ADD_RECORDS, no_records};
use super::requests::{self, IdempotentRequest};
use super::retention::{RECORDS_KEPT, kept_until};
use super::transaction::Outcome;
use super::{Store, StoreError};
use crate::clock::whole_second;
use crate::domain::call::Leg;
use crate::domain::conversation::{Conversation, ConversationId, Participant, State};
use crate::domain::phone::RealNumber;
use crate::domain::route::Route;
use crate::domain::side::Side;
use crate::retry;

/// A conversation was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// One of its two (caller, number) keys has been taken by another conversation since they were read.
    #[error("a key of the conversation is taken")]
    KeyTaken,
    /// The same request has created a conversation meanwhile.
    #[error("the request has been carried out meanwhile")]
    RequestTaken,
    /// The table could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A conversation was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The new phone holds, in another conversation, the number that it would have to dial.
    #[error("a key of the conversation is taken")]
    KeyTaken,
    /// Somebody else has changed the conversation since it was read.
    #[error("the conversation has changed meanwhile")]
    Changed,
    /// The table could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How often an end is tried that meets another change of the same conversation.
const END_ATTEMPTS: u32 = 6;

/// The positions of a creation's conditions.
const REQUEST: usize = 3;

impl Store {
    /// Stores a new conversation and its routes in one transaction, or nothing: `earlier` are the conversations that
    /// the routes' keys remember, and `request` is what must not be carried out twice.
    pub async fn create_conversation(
        &self,
        conversation: &Conversation,
        earlier: [Vec<ConversationId>; 2],
        request: Option<&IdempotentRequest>,
    ) -> Result<(), CreateError> {
        let transaction = self.creation(conversation, earlier, request)?;
        match self.try_to_create(conversation, &transaction).await {
            // DynamoDB carries out one token's transaction once at most. Sending it again therefore finds out whether the
            // first one was carried out.
            Err(CreateError::Store(StoreError::NoAnswer(_))) => {
                match self.try_to_create(conversation, &transaction).await {
                    Err(CreateError::KeyTaken | CreateError::RequestTaken)
                        if self.get_item(Key::Conversation(conversation.id)).await?.is_some() =>
                    {
                        Ok(())
                    }
                    settled => settled,
                }
            }
            settled => settled,
        }
    }

    fn creation(
        &self,
        conversation: &Conversation,
        earlier: [Vec<ConversationId>; 2],
        request: Option<&IdempotentRequest>,
    ) -> Result<Vec<TransactWriteItem>, StoreError> {
        let now = Some(conversation.created_at);
        let conversation_item =
            Key::Conversation(conversation.id).with(conversation, Some(kept_until(conversation)))?;
        let mut transaction = vec![self.put(conversation_item, "attribute_not_exists(pk)", None)?];
        for (side, earlier) in Side::BOTH.into_iter().zip(earlier) {
            let route = Route { history: earlier, ..Route::new(conversation, side) };
            let mut put = self.put(route_item(conversation, &route)?, &is_free_as_read(&route.history), now)?;
            bind(&mut put, remembered(&route.history));
            transaction.push(put);
        }
        if let Some(request) = request {
            let item = requests::item(request, conversation.id, conversation.created_at)?;
            transaction.push(self.put(item, requests::IS_NEW, now)?);
        }
        Ok(transaction)
    }

    async fn try_to_create(
        &self,
        conversation: &Conversation,
        transaction: &[TransactWriteItem],
    ) -> Result<(), CreateError> {
        match self.transact(transaction.to_vec(), Some(conversation.id.to_string())).await? {
            Outcome::Committed => Ok(()),
            Outcome::Cancelled(failed) if failed.contains(&REQUEST) => Err(CreateError::RequestTaken),
            Outcome::Cancelled(_) => Err(CreateError::KeyTaken),
        }
    }

    /// The conversation at `now`, if there is one. Consistent.
    pub async fn conversation(&self, id: ConversationId, now: Timestamp) -> Result<Option<Conversation>, StoreError> {
        match self.stored(id, now).await? {
            Some(Stored::Kept(conversation)) => Ok(Some(conversation)),
            Some(Stored::Erasing { .. } | Stored::Erased) | None => Ok(None),
        }
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
                conversation = Stored::read(item, now)?;
            }
        }
        Ok(match conversation {
            Some(Stored::Kept(conversation)) => Some((conversation, legs)),
            Some(Stored::Erasing { .. } | Stored::Erased) | None => None,
        })
    }

    /// Ends the conversation and its two routes at `now`, in one transaction, and gives it as it then is. One that
    /// has already ended or expired is left as it is.
    pub async fn end_conversation(
        &self,
        id: ConversationId,
        now: Timestamp,
    ) -> Result<Option<Conversation>, StoreError> {
        retry::contended(END_ATTEMPTS, StoreError::Contended("a conversation"), || async move {
            let Some(conversation) = self.conversation(id, now).await? else { return Ok(Break(None)) };
            if conversation.state(now) != State::Active {
                return Ok(Break(Some(conversation)));
            }
            Ok(self.end_active(conversation, now).await?.map_or(Continue(()), |ended| Break(Some(ended))))
        })
        .await
    }

    /// None if the conversation is no longer as it was read.
    async fn end_active(&self, conversation: Conversation, now: Timestamp) -> Result<Option<Conversation>, StoreError> {
        let ended =
            Conversation { ended_at: Some(whole_second(now)), revision: conversation.revision + 1, ..conversation };
        let end = Update::builder()
            .table_name(&self.table)
            .set_key(Some(Key::Conversation(ended.id).item()))
            .update_expression("SET ended_at = :now, #ttl = :ttl, revision = :next")
            .condition_expression(IS_AS_READ)
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":now", item::seconds(now))
            .expression_attribute_values(":ttl", item::seconds(kept_until(&ended)))
            .expression_attribute_values(":seen", item::whole(conversation.revision))
            .expression_attribute_values(":next", item::whole(ended.revision))
            .build()?;
        let mut transaction = vec![TransactWriteItem::builder().update(end).build()];
        for side in Side::BOTH {
            transaction.push(self.close_route(&ended, ended.participant(side), now)?);
        }
        match self.transact(transaction, None).await? {
            Outcome::Committed => Ok(Some(ended)),
            Outcome::Cancelled(_) => Ok(None),
        }
    }

    /// Quarantines the key of a participant from `now` on.
    pub(super) fn close_route(
        &self,
        conversation: &Conversation,
        participant: &Participant,
        now: Timestamp,
    ) -> Result<TransactWriteItem, StoreError> {
        self.set_route(conversation, participant, None, now)
    }

    /// Lets the route of a participant whose own phone is the same lead where `conversation` now says.
    fn replace_route(&self, conversation: &Conversation, side: Side) -> Result<TransactWriteItem, StoreError> {
        let connect_to = &conversation.participant(side.other()).number;
        self.set_route(conversation, conversation.participant(side), Some(connect_to), conversation.expires_at)
    }

    /// Lets the route of a participant end at `end`, and lead to another phone if one is given.
    fn set_route(
        &self,
        conversation: &Conversation,
        participant: &Participant,
        connect_to: Option<&RealNumber>,
        end: Timestamp,
    ) -> Result<TransactWriteItem, StoreError> {
        let until = conversation.quarantined_until(end);
        let key = Key::Route { caller: &participant.number, dialled: &participant.dials };
        let mut set = "SET expires_at = :end, quarantined_until = :until, #ttl = :ttl".to_owned();
        let mut update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key.item()))
            .condition_expression("conversation = :id")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":end", item::seconds(end))
            .expression_attribute_values(":until", item::seconds(until))
            .expression_attribute_values(":ttl", item::seconds(until + RECORDS_KEPT))
            .expression_attribute_values(":id", item::string(conversation.id));
        if let Some(connect_to) = connect_to {
            set.push_str(", connect_to = :to");
            update = update.expression_attribute_values(":to", item::string(connect_to.expose()));
        }
        let update = update.update_expression(set).build()?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Makes `before` what `after` is, in one transaction with its routes: another end by the clock, another phone of
    /// one participant, whose route is then `moved`. The old phone's key goes into quarantine at `now`.
    pub async fn change_conversation(
        &self,
        before: &Conversation,
        after: &Conversation,
        moved: Option<&Route>,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        let mut transaction = vec![self.change(before, after)?];
        let mut new_key = None;
        for side in Side::BOTH {
            let Some(route) = moved.filter(|route| route.side == side) else {
                transaction.push(self.replace_route(after, side)?);
                continue;
            };
            new_key = Some(transaction.len());
            let free = format!("{} OR {}", is_free_as_read(&route.history), is_own_as_read(&route.history));
            let mut put = self.put(route_item(after, route)?, &free, Some(now))?;
            bind(&mut put, remembered(&route.history).chain([(":id".to_owned(), after.id)]));
            transaction.push(put);
            transaction.push(self.close_route(before, before.participant(side), now)?);
        }
        match self.transact(transaction, None).await? {
            Outcome::Committed if after.expires_at > before.expires_at => Ok(self.keep_legs(after).await?),
            Outcome::Committed => Ok(()),
            Outcome::Cancelled(failed) if new_key.is_some_and(|key| failed == [key]) => Err(ChangeError::KeyTaken),
            Outcome::Cancelled(_) => Err(ChangeError::Changed),
        }
    }

    fn change(&self, before: &Conversation, after: &Conversation) -> Result<TransactWriteItem, StoreError> {
        let mut set = "SET expires_at = :expires, #ttl = :ttl, revision = :next".to_owned();
        let mut change = Update::builder()
            .table_name(&self.table)
            .set_key(Some(Key::Conversation(after.id).item()))
            .condition_expression(IS_AS_READ)
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":expires", item::seconds(after.expires_at))
            .expression_attribute_values(":ttl", item::seconds(kept_until(after)))
            .expression_attribute_values(":seen", item::whole(before.revision))
            .expression_attribute_values(":next", item::whole(after.revision));
        let looked_up = &after.carrier_records[before.carrier_records.len()..];
        if !looked_up.is_empty() {
            set.push_str(&format!(", {ADD_RECORDS}"));
            change = change
                .expression_attribute_values(":none", no_records())
                .expression_attribute_values(":records", serde_dynamo::to_attribute_value(looked_up)?);
        }
        for side in Side::BOTH {
            let (old, new) = (before.participant(side), after.participant(side));
            if old.number != new.number {
                // As a whole, and only this one: the fate of the other one's text may be written at this moment.
                let index = side.index();
                set.push_str(&format!(", participants[{index}] = :participant{index}"));
                change = change.expression_attribute_values(
                    format!(":participant{index}"),
                    serde_dynamo::to_attribute_value(new)?,
                );
            }
        }
        let change = change.update_expression(set).build()?;
        Ok(TransactWriteItem::builder().update(change).build())
    }
}

/// Under which condition a key may be given to a conversation at `:now` that is to remember `earlier` ones: these have to
/// be what the key remembers, because one of them may have been erased since they were read.
fn is_free_as_read(earlier: &[ConversationId]) -> String {
    if earlier.is_empty() {
        return "(attribute_not_exists(pk) OR quarantined_until <= :now)".to_owned();
    }
    let others = (1..earlier.len()).map(|nth| format!(" AND earlier[{}] = :earlier{nth}", nth - 1));
    format!("(quarantined_until <= :now AND conversation = :earlier0{})", others.collect::<String>())
}

/// The same for a key that is the conversation's own already.
fn is_own_as_read(earlier: &[ConversationId]) -> String {
    let others = (0..earlier.len()).map(|nth| format!(" AND earlier[{nth}] = :earlier{nth}"));
    format!("(conversation = :id{})", others.collect::<String>())
}

/// The values of these conditions.
fn remembered(earlier: &[ConversationId]) -> impl Iterator<Item = (String, ConversationId)> {
    earlier.iter().enumerate().map(|(nth, id)| (format!(":earlier{nth}"), *id))
}

fn bind(put: &mut TransactWriteItem, values: impl Iterator<Item = (String, ConversationId)>) {
    if let Some(bound) = put.put.as_mut().and_then(|put| put.expression_attribute_values.as_mut()) {
        bound.extend(values.map(|(name, id)| (name, item::string(id))));
    }
}

/// Under which condition a conversation may be changed that was read in revision `:seen`.
pub(super) const IS_AS_READ: &str = "revision = :seen AND attribute_not_exists(ended_at)";

/// The item of one of the conversation's routes. It stays for as long as the conversation's records, so that
/// the same two people are given the same numbers again.
fn route_item(conversation: &Conversation, route: &Route) -> Result<Item, StoreError> {
    let participant = conversation.participant(route.side);
    let key = Key::Route { caller: &participant.number, dialled: &participant.dials };
    key.with(route, Some(route.quarantined_until + RECORDS_KEPT))
}
