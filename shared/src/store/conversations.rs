//! Conversations: creation, change and end, each with the routes in one transaction.

use std::ops::ControlFlow::{Break, Continue};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::item::{self, Item, Key};
use super::legs::{LegOwner, LegPhone};
use super::notifications::{ADD_RECORDS, no_records};
use super::participations;
use super::passed_over::{self, read_one};
use super::requests::{self, IdempotentRequest};
use super::retention::deleted_after;
use super::transaction::Outcome;
use super::usage::UsageAsRead;
use super::write::Write;
use super::{Store, StoreError, journal, lists, pins, routes};
use crate::clock::whole_second;
use crate::domain::conversation::{Conversation, ConversationId, Participant, SidePhone, State};
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::route::Route;
use crate::domain::side::Side;
use crate::domain::tenant::Owner;
use crate::retry;

/// Reason why a conversation was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Another conversation has taken one of the route keys since they were read.
    #[error("another conversation owns a route key of the new conversation")]
    KeyTaken,
    /// Another run of the same request has created a conversation.
    #[error("another run of the same request has created a conversation")]
    RequestTaken,
    /// A failed use of the table.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reason why a conversation was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The new phone has a route to the same virtual number in another conversation.
    #[error("another conversation owns the route key of the new phone")]
    KeyTaken,
    /// Another request has changed the conversation since it was read.
    #[error("another request has changed the conversation")]
    Changed,
    /// A failed use of the table.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Content of a conversation's item.
pub(super) enum ConversationItem {
    /// A conversation that is not erased.
    Present(Conversation),
    /// A conversation whose erasure has started. Only the erasure may see it.
    Erasing {
        conversation: Conversation,
        /// Its carrier records, as the table stores them.
        records: Option<AttributeValue>,
    },
    /// The note that there was a conversation.
    Erased,
}

impl ConversationItem {
    /// Decodes the item, also of a conversation past its retention. Returns `None` for a note that the table may delete at `now`.
    pub(super) fn read(item: Item, now: Timestamp) -> Result<Option<Self>, StoreError> {
        if !item.contains_key("erased_at") {
            return Ok(Some(Self::Present(read_one(item)?)));
        }
        item::check_version(&item).inspect_err(passed_over::log)?;
        if !item.contains_key("participants") {
            let is_retained = item::time(&item, "ttl").is_none_or(|until| now < until);
            return Ok(is_retained.then_some(Self::Erased));
        }
        let records = item.get("carrier_records").cloned();
        Ok(Some(Self::Erasing { conversation: read_one(item)?, records }))
    }

    pub(super) fn into_present(self) -> Option<Conversation> {
        match self {
            Self::Present(conversation) => Some(conversation),
            Self::Erasing { .. } | Self::Erased => None,
        }
    }
}

/// Maximum number of attempts of an end that conflicts with other changes of the conversation.
const END_ATTEMPTS: u32 = 12;

/// Condition under which an active conversation may be changed that was read at revision `:seen`.
const IS_AS_READ: &str = "revision = :seen AND attribute_not_exists(ended_at)";

impl Store {
    /// Stores a new conversation and its routes in one transaction. `routes` are those of the participants who dial, with the
    /// history of their route keys as it was read. The key of one who only receives is [held](Store::hold) already. A `request`
    /// is carried out once, however often it comes.
    pub async fn create_conversation(
        &self,
        conversation: &Conversation,
        routes: &[Route],
        request: Option<&IdempotentRequest>,
    ) -> Result<(), CreateError> {
        let transaction = creation(conversation, routes, request)?;
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

    async fn try_to_create(&self, conversation: &Conversation, transaction: &[Write]) -> Result<(), CreateError> {
        match self.transact(transaction.to_vec(), Some(conversation.id.to_string())).await? {
            Outcome::Committed => Ok(()),
            Outcome::Cancelled(failed) if failed.contains(&request_position(conversation)) => {
                Err(CreateError::RequestTaken)
            }
            Outcome::Cancelled(_) => Err(CreateError::KeyTaken),
        }
    }

    /// Returns the conversation, unless it is erased or past its retention at `now`. One consistent read.
    pub async fn conversation(&self, id: ConversationId, now: Timestamp) -> Result<Option<Conversation>, StoreError> {
        let stored = self.stored_conversation(id, now).await?;
        Ok(stored.filter(|conversation| !self.retention.is_over(conversation, now)))
    }

    /// Returns the owner of a conversation, also of one that is erased. `None` if nothing is stored of it. One consistent read.
    pub async fn owner_of(&self, id: ConversationId) -> Result<Option<Owner>, StoreError> {
        Ok(self.get_item(Key::Conversation(id)).await?.as_ref().and_then(item::owner))
    }

    /// Like [`Store::conversation`], also if it is past its retention: what still comes of its calls belongs to it, and is erased
    /// with it.
    pub(super) async fn stored_conversation(
        &self,
        id: ConversationId,
        now: Timestamp,
    ) -> Result<Option<Conversation>, StoreError> {
        Ok(self.conversation_item(id, now).await?.and_then(ConversationItem::into_present))
    }

    pub(super) async fn conversation_item(
        &self,
        id: ConversationId,
        now: Timestamp,
    ) -> Result<Option<ConversationItem>, StoreError> {
        match self.get_item(Key::Conversation(id)).await? {
            Some(item) => ConversationItem::read(item, now),
            None => Ok(None),
        }
    }

    /// Returns the owner of an outbound leg to `phone` from `mask`, of which the conversation is known. `None` if the
    /// conversation has no such phone and mask, or is not stored any more. One consistent read.
    pub async fn callee(
        &self,
        id: ConversationId,
        phone: &RealNumber,
        mask: &VirtualNumber,
        now: Timestamp,
    ) -> Result<Option<LegOwner>, StoreError> {
        Ok(match self.conversation_item(id, now).await? {
            Some(ConversationItem::Present(conversation)) => {
                let callee = conversation.callee(phone, mask);
                callee.map(|(side, phone)| LegOwner::Phone(LegPhone::new(&conversation, side, phone)))
            }
            Some(ConversationItem::Erasing { .. } | ConversationItem::Erased) => Some(LegOwner::Erased(id)),
            None => None,
        })
    }

    /// Ends the conversation and its routes at `now` in one transaction, and returns it as it is then. One that has
    /// already ended or expired does not change.
    pub async fn end_conversation(
        &self,
        id: ConversationId,
        now: Timestamp,
    ) -> Result<Option<Conversation>, StoreError> {
        self.end(id, false, now).await
    }

    /// Like [`Store::end_conversation`], and marks the conversation and its routes, so that the event of a call which is answered
    /// after the end [says so](super::Recorded::ToHangUp): whoever ended the conversation cannot know of that call.
    pub async fn end_conversation_and_calls(
        &self,
        id: ConversationId,
        now: Timestamp,
    ) -> Result<Option<Conversation>, StoreError> {
        self.end(id, true, now).await
    }

    async fn end(
        &self,
        id: ConversationId,
        hangs_up: bool,
        now: Timestamp,
    ) -> Result<Option<Conversation>, StoreError> {
        retry::contended(END_ATTEMPTS, StoreError::Contended("a conversation"), || async move {
            let Some(conversation) = self.conversation(id, now).await? else { return Ok(Break(None)) };
            if conversation.state(now) != State::Active {
                return Ok(Break(Some(conversation)));
            }
            Ok(self.end_active(conversation, hangs_up, now).await?.map_or(Continue(()), |ended| Break(Some(ended))))
        })
        .await
    }

    /// Returns `None` if the conversation has changed since it was read.
    async fn end_active(
        &self,
        conversation: Conversation,
        hangs_up: bool,
        now: Timestamp,
    ) -> Result<Option<Conversation>, StoreError> {
        let ended = Conversation {
            ended_at: Some(whole_second(now)),
            hangs_up,
            revision: conversation.revision + 1,
            ..conversation.clone()
        };
        let end = Write::update(Key::Conversation(ended.id))
            .set("ended_at = :now, revision = :next")
            .set_ttl(deleted_after(&ended))
            .when(IS_AS_READ)
            .bind(":now", item::seconds(now))
            .bind(":seen", item::integer(conversation.revision))
            .bind(":next", item::integer(ended.revision));
        let end = if hangs_up { routes::mark_to_hang_up(end) } else { end };
        let close = |phone| {
            let close = routes::close(&ended, phone, now);
            if hangs_up { routes::mark_to_hang_up(close) } else { close }
        };
        let mut transaction = vec![end];
        transaction.extend(ended.dialling_phones().map(close));
        transaction.extend(journal::record_change([&conversation, &ended], now)?);
        match self.transact(transaction, None).await? {
            Outcome::Committed => Ok(Some(ended)),
            Outcome::Cancelled(_) => Ok(None),
        }
    }

    /// Like [`Store::change_conversation_and_limits`], for a change that leaves the limits as they are.
    pub async fn change_conversation(
        &self,
        before: &Conversation,
        after: &Conversation,
        joining: &[Route],
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        self.change_conversation_and_limits([before, after], joining, None, now).await
    }

    /// Changes the conversation from `before` to `after`, with its routes, in one transaction. The change is another time
    /// of expiry, other phones, a block, or other limits, which were compared with this `usage`. The new phones that dial have the
    /// routes `joining`, and the route keys of those that are gone are in quarantine from `now` on. The keys of those who only
    /// receive are [held](Store::hold) for that long already.
    pub async fn change_conversation_and_limits(
        &self,
        [before, after]: [&Conversation; 2],
        joining: &[Route],
        usage: Option<&UsageAsRead>,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        let mut transaction = vec![change(before, after)?];
        transaction.extend(usage.map(|usage| usage.check(after.id)));
        let (mut new_keys, is_same) = (Vec::new(), |one: SidePhone<'_>, other: SidePhone<'_>| {
            one.side == other.side && one.caller == other.caller
        });
        for phone in after.dialling_phones() {
            let joining = joining.iter().find(|route| (route.side, route.phone) == (phone.side, phone.index));
            match joining {
                Some(route) => {
                    new_keys.push(transaction.len());
                    transaction.push(routes::join(after, route, now)?);
                }
                None => transaction.push(routes::follow(after, phone, usage.map(|usage| &usage.tally))?),
            }
        }
        let gone = before.dialling_phones().filter(|old| !after.dialling_phones().any(|phone| is_same(phone, *old)));
        transaction.extend(gone.map(|phone| routes::close(before, phone, now)));
        transaction.extend(participations::of_new_phones(before, after, now));
        transaction.extend(pins::changed(before, after, now)?);
        transaction.extend(journal::record_change([before, after], now)?);
        match self.transact(transaction, None).await? {
            Outcome::Committed => Ok(()),
            Outcome::Cancelled(failed) if !failed.is_empty() && failed.iter().all(|write| new_keys.contains(write)) => {
                Err(ChangeError::KeyTaken)
            }
            Outcome::Cancelled(_) => Err(ChangeError::Changed),
        }
    }
}

/// Returns the position of the idempotent request in the transaction of a creation: after the conversation and its routes.
fn request_position(conversation: &Conversation) -> usize {
    1 + conversation.dialling_phones().count()
}

/// Changes what the participants on these `sides` see, and the state of their text messages. Only this, because the other
/// one's text message may be written at the same time.
pub(super) fn change_seen(before: &Conversation, after: &Conversation, sides: &[Side]) -> Result<Write, StoreError> {
    let mut change = Write::update(Key::Conversation(after.id))
        .set("revision = :next")
        .when(IS_AS_READ)
        .when("attribute_not_exists(erased_at)")
        .bind(":seen", item::integer(before.revision))
        .bind(":next", item::integer(after.revision));
    for side in sides {
        let (index, participant) = (side.index(), after.participant(*side));
        change = change
            .set(format!("participants[{index}].dials = :dials{index}"))
            .set(format!("participants[{index}].former_dials = :former{index}"))
            .set(format!("participants[{index}].notification = :text{index}"))
            .bind(format!(":dials{index}"), item::string(participant.sees.as_str()))
            .bind(format!(":former{index}"), item::value(&participant.previously_seen)?)
            .bind(format!(":text{index}"), item::value(&participant.notification)?);
        if before.participant(*side).pin != participant.pin {
            change = change.remove(format!("participants[{index}].pin"));
        }
        let old = before.participant(*side);
        if old.further != participant.further {
            change = with_further(change, *side, old, participant)?;
        }
        if old.keyed_as == participant.keyed_as {
            continue;
        }
        let keyed_as = format!("participants[{index}].keyed_as");
        change = match &participant.keyed_as {
            Some(caller) => {
                let value = item::string(caller.expose());
                change.set(format!("{keyed_as} = :key{index}")).bind(format!(":key{index}"), value)
            }
            None => change.remove(keyed_as),
        };
    }
    Ok(change)
}

fn creation(
    conversation: &Conversation,
    routes: &[Route],
    request: Option<&IdempotentRequest>,
) -> Result<Vec<Write>, StoreError> {
    let now = conversation.created_at;
    let item = Key::Conversation(conversation.id).with(conversation, Some(deleted_after(conversation)))?;
    let mut transaction = vec![Write::put(item).when("attribute_not_exists(pk)")];
    for route in routes {
        transaction.push(routes::create(conversation, route, now)?);
    }
    if let Some(request) = request {
        transaction.push(requests::remember(request, conversation.id, now)?);
    }
    transaction.extend(participations::created(conversation));
    transaction.extend(lists::created(conversation)?);
    transaction.extend(pins::claim_both(conversation, now)?);
    transaction.push(journal::record_keys(conversation));
    Ok(transaction)
}

/// Checks in a transaction that an active or ended conversation is still as it was read.
pub(super) fn check(conversation: &Conversation) -> Write {
    Write::check(Key::Conversation(conversation.id))
        .when("revision = :seen AND attribute_not_exists(erased_at)")
        .bind(":seen", item::integer(conversation.revision))
}

/// Marks an active conversation whose calls have reached a limit, or the limit of a day, or removes the mark of the day.
pub(super) fn mark_limits(before: &Conversation, after: &Conversation) -> Write {
    let mark = Write::update(Key::Conversation(after.id))
        .set("revision = :next")
        .when(IS_AS_READ)
        .when("attribute_not_exists(erased_at)")
        .bind(":seen", item::integer(before.revision))
        .bind(":next", item::integer(after.revision));
    with_pause(with_mark(mark, after), after)
}

/// Sets or removes the time until which the calls of a day are used up.
pub(super) fn with_pause(change: Write, after: &Conversation) -> Write {
    match after.paused_until {
        Some(time) => change.set("paused_until = :paused").bind(":paused", item::seconds(time)),
        None => change.remove("paused_until"),
    }
}

/// Sets or removes the time at which a limit was reached.
fn with_mark(change: Write, after: &Conversation) -> Write {
    match after.limit_reached_at {
        Some(time) => change.set("limit_reached_at = :reached").bind(":reached", item::seconds(time)),
        None => change.remove("limit_reached_at"),
    }
}

/// Sets or removes the sides that are blocked.
pub(super) fn with_block(change: Write, after: &Conversation) -> Write {
    match after.blocked {
        Some(blocked) => change.set("blocked = :blocked").bind(":blocked", item::string(blocked.as_str())),
        None => change.remove("blocked"),
    }
}

/// Sets or removes the masking of contact details in texts.
pub(super) fn with_text_masking(change: Write, after: &Conversation) -> Result<Write, StoreError> {
    Ok(match after.text_masking.is_off() {
        true => change.remove("text_masking"),
        false => change.set("text_masking = :masking").bind(":masking", item::value(after.text_masking)?),
    })
}

/// Replaces the further phones of a participant, if they are as they were read.
fn with_further(change: Write, side: Side, old: &Participant, new: &Participant) -> Result<Write, StoreError> {
    let index = side.index();
    let change = if_further_are(change, side, old)?.set(format!("participants[{index}].phones = :phones{index}"));
    Ok(change.bind(format!(":phones{index}"), item::value(&new.further)?))
}

/// Requires that the further phones of a participant are as they were read: their text messages may be written at the same time.
fn if_further_are(change: Write, side: Side, old: &Participant) -> Result<Write, StoreError> {
    let index = side.index();
    if old.further.is_empty() {
        return Ok(change.when(format!("attribute_not_exists(participants[{index}].phones)")));
    }
    let change = change.when(format!("participants[{index}].phones = :known{index}"));
    Ok(change.bind(format!(":known{index}"), item::value(&old.further)?))
}

fn change(before: &Conversation, after: &Conversation) -> Result<Write, StoreError> {
    let mut change = Write::update(Key::Conversation(after.id))
        .set("expires_at = :expires, revision = :next")
        .set_ttl(deleted_after(after))
        .when(IS_AS_READ)
        .bind(":expires", item::seconds(after.expires_at))
        .bind(":seen", item::integer(before.revision))
        .bind(":next", item::integer(after.revision));
    if before.usage_limits != after.usage_limits {
        change =
            with_mark(change.set("usage_limits = :limits"), after).bind(":limits", item::value(after.usage_limits)?);
        change = with_pause(change, after);
    }
    if before.blocked != after.blocked {
        change = with_block(change, after);
    }
    if before.safety != after.safety {
        change = change.set("safety = :safety").bind(":safety", item::value(after.safety)?);
    }
    if before.handling != after.handling {
        change = routes::with_handling(change, after)?;
    }
    if before.sliding_end != after.sliding_end {
        change = routes::with_sliding_end(change, after)?;
    }
    if before.text_masking != after.text_masking {
        change = with_text_masking(change, after)?;
    }
    if before.contact_card != after.contact_card {
        change = match &after.contact_card {
            Some(cards) => change.set("contact_card = :card").bind(":card", item::value(cards)?),
            None => change.remove("contact_card"),
        };
    }
    if before.decision_url != after.decision_url {
        change = match &after.decision_url {
            Some(url) => change.set("decision_url = :decision").bind(":decision", item::string(url)),
            None => change.remove("decision_url"),
        };
    }
    let new_records = &after.carrier_records[before.carrier_records.len()..];
    if !new_records.is_empty() {
        change = change.set(ADD_RECORDS).bind(":none", no_records()).bind(":records", item::value(new_records)?);
    }
    for side in Side::BOTH {
        let (old, new) = (before.participant(side), after.participant(side));
        let index = side.index();
        if old.number != new.number && old.number.is_same_phone(&new.number) {
            // The same phone. Its notification may be written at the same time.
            change = change
                .set(format!(
                    "participants[{index}].#number = :number{index}, participants[{index}].keyed_as = :key{index}"
                ))
                .name("#number", "number")
                .bind(format!(":number{index}"), item::string(new.number.expose()))
                .bind(format!(":key{index}"), item::string(new.route_caller().expose()));
        } else if old.number != new.number {
            // Only this participant, because the other one's notification may be written at the same time.
            change = if_further_are(change, side, old)?;
            change = change.set(format!("participants[{index}] = :participant{index}"));
            change = change.bind(format!(":participant{index}"), item::value(new)?);
            continue;
        }
        if old.further != new.further {
            change = with_further(change, side, old, new)?;
        }
        if old.pin != new.pin {
            // A further phone has left, and its owner knows the old one.
            change = match &new.pin {
                Some(pin) => change
                    .set(format!("participants[{index}].pin = :pin{index}"))
                    .bind(format!(":pin{index}"), item::value(pin)?),
                None => change.remove(format!("participants[{index}].pin")),
            };
        }
        if old.name != new.name
            && let Some(name) = &new.name
        {
            change = change
                .set(format!("participants[{index}].#name = :name{index}"))
                .name("#name", "name")
                .bind(format!(":name{index}"), item::string(name.as_str()));
        }
        if old.language != new.language
            && let Some(language) = &new.language
        {
            change = change
                .set(format!("participants[{index}].#language = :language{index}"))
                .name("#language", "language")
                .bind(format!(":language{index}"), item::string(language.as_str()));
        }
        if old.channel != new.channel {
            let channel = format!("participants[{index}].channel");
            change = match &new.channel {
                Some(chosen) => change
                    .set(format!("{channel} = :channel{index}"))
                    .bind(format!(":channel{index}"), item::value(chosen)?),
                None => change.remove(channel),
            };
        }
    }
    Ok(change)
}
