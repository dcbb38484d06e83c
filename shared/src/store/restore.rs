//! Repairs of a table that was restored to an earlier time.

use std::ops::ControlFlow::{Break, Continue};

use jiff::Timestamp;

use super::item::{self, Key};
use super::journal::{self, RecordedChange};
use super::passed_over::read_one;
use super::retention::{ROUTES_KEPT, deleted_after};
use super::transaction::Outcome;
use super::write::Write;
use super::{Store, StoreError, conversations, pins, routes};
use crate::clock::whole_second;
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::route::{Hold, KeyOwner, RouteTombstone};
use crate::domain::route_keys::{RouteKey, Tenure};
use crate::retry;

/// Maximum number of attempts at a route key that others change at the same time.
const ATTEMPTS: u32 = 8;

/// The fate of a route key that a conversation got after the time to which the table was restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is kept from everybody else now.
    Now,
    /// It was already.
    Before,
    /// It connects calls of this other conversation, which has to end first.
    Live(ConversationId),
}

/// The content of a conversation's item, as far as a repair needs it.
#[derive(Debug)]
pub enum Stored {
    /// None.
    Nothing,
    /// A conversation, which may be on its way to be erased.
    Conversation(Box<Conversation>),
    /// The note that there was one.
    Erased,
}

impl Store {
    /// Brings a conversation and its routes from `before` to `after` in one transaction, and records that as `change`. False if
    /// one of them is not as expected, or if the revision in the journal is not `recorded` any more.
    pub async fn restore_conversation(
        &self,
        [before, after]: [&Conversation; 2],
        change: &RecordedChange,
        recorded: Option<u32>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut update = Write::update(Key::Conversation(after.id))
            .set("expires_at = :expires, revision = :next")
            .set_ttl(deleted_after(after))
            .when("revision = :seen AND attribute_not_exists(ended_at) AND attribute_not_exists(erased_at)")
            .bind(":expires", item::seconds(after.expires_at))
            .bind(":seen", item::integer(before.revision))
            .bind(":next", item::integer(after.revision));
        if let Some(end) = after.ended_at {
            update = update.set("ended_at = :end").bind(":end", item::seconds(end));
        }
        if !after.usage_limits.is_none() {
            update = update.set("usage_limits = :limits").bind(":limits", item::value(after.usage_limits)?);
        }
        update = match after.limit_reached_at {
            Some(time) => update.set("limit_reached_at = :reached").bind(":reached", item::seconds(time)),
            None => update.remove("limit_reached_at"),
        };
        update = conversations::with_pause(conversations::with_block(update, after), after);
        if before.safety != after.safety {
            update = update.set("safety = :safety").bind(":safety", item::value(after.safety)?);
        }
        if before.handling != after.handling {
            update = routes::with_handling(update, after)?;
        }
        if before.sliding_end != after.sliding_end {
            update = routes::with_sliding_end(update, after)?;
        }
        if before.text_masking != after.text_masking {
            update = conversations::with_text_masking(update, after)?;
        }
        let change = match recorded {
            Some(recorded) => change.put(now)?.when("revision = :recorded").bind(":recorded", item::integer(recorded)),
            None => change.put(now)?.when("attribute_not_exists(pk)"),
        };
        let mut transaction = vec![update, change, journal::record_quarantine(after)];
        let usage = if before.usage_limits == after.usage_limits { None } else { Some(self.usage(after.id).await?) };
        transaction.extend(usage.as_ref().map(|usage| usage.check(after.id)));
        let tally = usage.as_ref().map(|usage| &usage.tally);
        transaction.extend(pins::changed(before, after, now)?);
        for phone in after.dialling_phones() {
            transaction.push(routes::restate(after, phone, tally)?);
        }
        Ok(self.transact(transaction, None).await? == Outcome::Committed)
    }

    /// Claims the PINs of a conversation again, unless another one has them: a restored table may have only a part of the
    /// transaction that gave them.
    pub async fn keep_pins(&self, conversation: &Conversation, now: Timestamp) -> Result<(), StoreError> {
        for claim in pins::claim_both(conversation, now)? {
            self.put(claim).await?;
        }
        Ok(())
    }

    /// Returns what the table has of a conversation. One consistent read.
    pub async fn stored(&self, id: ConversationId) -> Result<Stored, StoreError> {
        let Some(item) = self.get_item(Key::Conversation(id)).await? else { return Ok(Stored::Nothing) };
        if item.contains_key("erased_at") && !item.contains_key("participants") {
            return Ok(Stored::Erased);
        }
        Ok(Stored::Conversation(Box::new(read_one(item)?)))
    }

    /// Keeps the route key of the conversation `id`, which this table does not know, from everybody else until that time, under
    /// both spellings of the phone. A quarantine or a hold that is longer stays.
    pub async fn keep_key(
        &self,
        id: ConversationId,
        (key, tenure): (&RouteKey, Tenure),
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Kept, StoreError> {
        if let Some(other) = key.caller.other_spelling()
            && let Some(owner) = self.key_owner(&other, &key.dialled).await?
            && owner.is_in_use(now)
            && let live @ Kept::Live(_) = self.occupy(id, (&other, &key.dialled), until, now).await?
        {
            return Ok(live);
        }
        if tenure == Tenure::Receives {
            let is_held = |owner: KeyOwner| matches!(owner, KeyOwner::Held(_)) && until <= owner.quarantined_until();
            if self.key_owner(&key.caller, &key.dialled).await?.is_some_and(is_held) {
                return Ok(Kept::Before);
            }
            // The record of a key has no owner. Whoever has the number in this table speaks to its caller.
            let settings = match self.number_settings(&key.dialled).await {
                Err(StoreError::Unreadable(..)) => None,
                settings => settings?,
            };
            let owner = settings.map(|settings| settings.owner).unwrap_or_default();
            if self.hold((&key.caller, &key.dialled), owner, until, now).await?.is_some() {
                return Ok(Kept::Now);
            }
        }
        self.occupy(id, (&key.caller, &key.dialled), until, now).await
    }

    async fn occupy(
        &self,
        id: ConversationId,
        (caller, dialled): (&RealNumber, &VirtualNumber),
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Kept, StoreError> {
        let key = Key::Route { caller, dialled };
        retry::contended(ATTEMPTS, StoreError::Contended("a route"), || async move {
            let owner = self.key_owner(caller, dialled).await?.filter(|owner| owner.is_in_use(now));
            let put = match owner {
                None => Write::put(tombstone(key, id, id.created_at(), until, now)?)
                    .when("attribute_not_exists(pk) OR quarantined_until <= :now")
                    .bind(":now", item::seconds(now)),
                Some(KeyOwner::Route(route)) if route.is_live(now) && route.conversation != id => {
                    return Ok(Break(Kept::Live(route.conversation)));
                }
                Some(KeyOwner::Route(route)) if route.conversation == id => {
                    if until <= route.quarantined_until {
                        return Ok(Break(Kept::Before));
                    }
                    // A former key of this conversation, to which it came back: it stays its own.
                    let longer = Write::update(key)
                        .set("quarantined_until = :until")
                        .set_ttl(until + ROUTES_KEPT)
                        .when("conversation = :id AND quarantined_until < :until")
                        .bind(":until", item::seconds(until))
                        .bind(":id", item::string(id));
                    return Ok(if self.update(longer).await? { Break(Kept::Now) } else { Continue(()) });
                }
                Some(KeyOwner::Route(route)) => {
                    let (since, until) = (id.created_at().max(route.expires_at), until.max(route.quarantined_until));
                    Write::put(tombstone(key, id, since, until, now)?)
                        .when("conversation = :seen AND expires_at = :end AND quarantined_until = :until")
                        .bind(":seen", item::string(route.conversation))
                        .bind(":end", item::seconds(route.expires_at))
                        .bind(":until", item::seconds(route.quarantined_until))
                }
                Some(owner) if until <= owner.quarantined_until() => return Ok(Break(Kept::Before)),
                Some(KeyOwner::Erased(erased)) => {
                    let since =
                        if erased.conversation == id { erased.since } else { id.created_at().max(erased.expires_at) };
                    Write::put(tombstone(key, id, since, until, now)?)
                        .when("erased = :seen AND quarantined_until = :until")
                        .bind(":seen", item::string(erased.conversation))
                        .bind(":until", item::seconds(erased.quarantined_until))
                }
                // A hold leads to nobody as well.
                Some(KeyOwner::Held(held)) => {
                    let hold = Hold::new(held.owner, until, now);
                    Write::put(key.with(&hold, Some(hold.quarantined_until))?)
                        .when("attribute_exists(held_at) AND quarantined_until = :until")
                        .bind(":until", item::seconds(held.quarantined_until))
                }
            };
            Ok(if self.put(put).await? { Break(Kept::Now) } else { Continue(()) })
        })
        .await
    }
}

/// Returns the item of a tombstone under a route key.
fn tombstone(
    key: Key<'_>,
    conversation: ConversationId,
    since: Timestamp,
    until: Timestamp,
    now: Timestamp,
) -> Result<item::Item, StoreError> {
    let tombstone = RouteTombstone {
        conversation,
        since: whole_second(since),
        expires_at: whole_second(now),
        quarantined_until: until,
    };
    key.with(&tombstone, Some(until))
}
