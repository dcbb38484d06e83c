//! Events of legs, each merged into its leg of the right conversation.
//!
//! Two people may get their route keys back before the quarantine of their last conversation has ended. A call may then
//! begin in one conversation and go on in the next. Its leg belongs to the conversation in which the first of its events
//! happened, in whatever order the events come:
//!
//! - An event that may belong to an earlier conversation is written under the condition that no earlier one has the leg.
//! - An event that certainly belongs to an earlier conversation takes along what later ones have of the leg.

use std::ops::ControlFlow::{Break, Continue};

use jiff::Timestamp;

use super::item::{self, Item};
use super::kinds::VERSION;
use super::legs::{self, LegOwner, LegPhone};
use super::passed_over::log;
use super::tenant_costs::{MovedCharge, charged_merge, pass_over};
use super::transaction::Outcome;
use super::write::Write;
use super::{Store, StoreError, counting};
use crate::domain::call::{Direction, LegEvent, Status};
use crate::domain::carrier_record::CarrierRecord;
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::health::LegEnd;
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::route::{KeyOwner, Route};
use crate::domain::side::Side;
use crate::retry;

/// Maximum number of attempts of a write that conflicts with other events of the same leg.
const ATTEMPTS: u32 = 8;

/// The numbers of a leg, which are a route key.
#[derive(Debug, Clone, Copy)]
pub struct LegNumbers<'a> {
    /// The phone: the caller's on an inbound leg, the callee's on an outbound leg.
    pub phone: &'a RealNumber,
    /// The other number.
    pub virtual_number: &'a VirtualNumber,
    /// The direction of a leg with these numbers.
    pub direction: Direction,
    /// The conversation, if the address of the event names it: the callee of a one-way conversation has no route.
    pub named: Option<ConversationId>,
}

/// The fate of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// Merged into its leg of this conversation.
    Merged(ConversationId),
    /// Merged into its leg of this conversation. The conversation was ended together with its calls, but this call goes on.
    ToHangUp(ConversationId),
    /// Merged into its leg: the callee has answered, and both people are to be told before the end of the call's limit.
    ToWarn {
        /// The conversation.
        conversation: ConversationId,
        /// The side that was called.
        callee: Side,
        /// True if the end of the conversation slides because of it.
        slides: bool,
    },
    /// Merged into its leg of this conversation, whose end slides because of it.
    ToSlide(ConversationId),
    /// Its conversation was erased, so the carrier's record of the leg is listed for redaction.
    ToRedact(Option<ConversationId>),
    /// The numbers had no conversation at its time.
    OfNone,
}

impl Recorded {
    /// Returns the fate of an event that was merged into a leg of the owner's phone.
    pub(super) fn merged(
        conversation: ConversationId,
        owner: &LegPhone,
        direction: Direction,
        event: &LegEvent,
    ) -> Self {
        let is_callees = direction == Direction::Outbound && !event.facts.placed;
        match event.status {
            Status::Answered if owner.hangs_up => Self::ToHangUp(conversation),
            Status::Answered if owner.warns && is_callees => {
                Self::ToWarn { conversation, callee: owner.side(), slides: owner.slides(direction, event) }
            }
            _ if owner.slides(direction, event) => Self::ToSlide(conversation),
            _ => Self::Merged(conversation),
        }
    }
}

impl Store {
    /// Records an event that happened at `time`, at `now`.
    ///
    /// It takes one read and one write; more only if the call may have begun in a previous conversation of the same two
    /// people, or if the conversation has limits, so that the call is counted. An event that fails in between is counted when
    /// it comes again, or with the next event of its leg.
    pub async fn record_leg_event(
        &self,
        numbers: LegNumbers<'_>,
        event: &LegEvent,
        time: Timestamp,
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        let recorded = match numbers.named {
            Some(id) => match self.callee(id, numbers.phone, numbers.virtual_number, now).await? {
                None => Recorded::OfNone,
                Some(LegOwner::Erased(id)) => Recorded::ToRedact(Some(id)),
                Some(LegOwner::Phone(phone)) => {
                    self.merge_and_count_event(&phone, numbers, event, now).await?;
                    Recorded::merged(id, &phone, numbers.direction, event)
                }
            },
            None => self.record_for_owner(numbers, event, time, now).await?,
        };
        if let Recorded::ToRedact(_) = recorded {
            let record = CarrierRecord::of_leg(&event.uuid, numbers.direction);
            self.request_redaction(&[record], now).await?;
        }
        Ok(recorded)
    }

    /// Merges the event into its leg of the conversation to which the leg's numbers lead.
    async fn record_for_owner(
        &self,
        numbers: LegNumbers<'_>,
        event: &LegEvent,
        time: Timestamp,
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        Ok(match self.key_owner_at(numbers.phone, numbers.virtual_number, time).await? {
            None | Some(KeyOwner::Held(_)) => Recorded::OfNone,
            Some(KeyOwner::Erased(erased)) => Recorded::ToRedact(Some(erased.conversation)),
            Some(KeyOwner::Route(route)) if route.overlap_until.is_none() => {
                let owner = LegPhone::from(&route);
                self.merge_and_count_event(&owner, numbers, event, now).await?;
                Recorded::merged(route.conversation, &owner, numbers.direction, event)
            }
            Some(KeyOwner::Route(route)) => Box::pin(self.merge_in_overlap(&route, numbers, event, time, now)).await?,
        })
    }

    async fn merge_in_overlap(
        &self,
        route: &Route,
        numbers: LegNumbers<'_>,
        event: &LegEvent,
        time: Timestamp,
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        let Some(begun) = route.conversation_at(time) else { return Ok(Recorded::ToRedact(None)) };
        let home = if begun == route.conversation {
            LegPhone::from(route)
        } else {
            // Without it, it was erased since the route was read.
            let Some(conversation) = self.stored_conversation(begun, now).await? else {
                return Ok(Recorded::ToRedact(None));
            };
            let Some(home) = home_of(&conversation, numbers, time) else { return Ok(Recorded::OfNone) };
            home
        };
        let conversations: Vec<_> = std::iter::once(route.conversation).chain(route.history.iter().copied()).collect();
        let position = conversations.iter().position(|id| *id == begun).unwrap_or_default();
        let (later, previous) = (&conversations[..position], &conversations[position + 1..]);
        let earlier: Vec<_> = route.overlapping(time).filter(|id| previous.contains(id)).collect();
        let merged = if earlier.is_empty() {
            self.merge_event(&home, numbers, event, now).await?;
            begun
        } else {
            self.merge_into_earliest(&home, &earlier, numbers.direction, event, now).await?
        };
        if merged == begun {
            for id in later {
                self.take_along([*id, begun], &home, event, now).await?;
            }
        }
        // Of an earlier conversation only this read tells if it has limits.
        if merged != begun || home.metered {
            self.count_leg(merged, event, now).await?;
        }
        // An earlier conversation than `home` may be another one: what is known of `home` says nothing about it.
        Ok(if merged == begun {
            Recorded::merged(begun, &home, numbers.direction, event)
        } else {
            Recorded::Merged(merged)
        })
    }

    /// Merges the event into its leg of the earlier conversation that has one, else of the conversation `home`. Returns that
    /// conversation.
    async fn merge_into_earliest(
        &self,
        home: &LegPhone,
        earlier: &[ConversationId],
        direction: Direction,
        event: &LegEvent,
        now: Timestamp,
    ) -> Result<ConversationId, StoreError> {
        let checks: Vec<_> = earlier.iter().map(|id| Write::check(legs::key(*id, event)).when(IS_ABSENT)).collect();
        let mut merges = merges(home, direction, event, now)?;
        for merge in &mut merges {
            merge.splice(..0, checks.clone());
        }
        let merges = &merges;
        retry::contended(ATTEMPTS, StoreError::Contended("a leg"), || async move {
            for writes in merges {
                let found = match self.transact(writes.clone(), None).await {
                    Ok(Outcome::Committed) => return Ok(Break(home.conversation)),
                    Ok(Outcome::Cancelled(found)) if found.is_empty() => return Ok(Continue(())),
                    Ok(Outcome::Cancelled(found)) => found,
                    Err(error) if writes.len() > earlier.len() + 1 => {
                        pass_over(error)?;
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                // Without an earlier one, its price was counted before.
                let Some(id) = found.first().and_then(|index| earlier.get(*index)) else { continue };
                let merged = self.merge_if_there(&home.in_conversation(*id), direction, event, now).await?;
                return Ok(if merged { Break(*id) } else { Continue(()) });
            }
            Ok(Continue(()))
        })
        .await
    }

    /// Merges the event into a leg that has its side and phone. False if it was erased meanwhile: it must not come back.
    async fn merge_if_there(
        &self,
        owner: &LegPhone,
        direction: Direction,
        event: &LegEvent,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        for mut writes in merges(owner, direction, event, now)? {
            let leg = writes.remove(0).when("attribute_exists(pk)");
            if writes.is_empty() {
                return self.update(leg).await;
            }
            writes.insert(0, leg);
            match self.transact_settled(writes).await {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) => pass_over(error)?,
            }
        }
        Ok(false)
    }

    /// Merges an event into its leg, and counts the leg if its conversation has limits. The first end of a leg to a called phone
    /// also counts for the health of the number that it shows.
    async fn merge_and_count_event(
        &self,
        owner: &LegPhone,
        numbers: LegNumbers<'_>,
        event: &LegEvent,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.merge_event(owner, numbers, event, now).await?;
        self.count_if_metered(owner, event, now).await
    }

    /// Merges an event into a caller's leg, and counts the leg if its conversation has limits.
    pub(super) async fn merge_and_count(
        &self,
        owner: &LegPhone,
        event: &LegEvent,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.merge_and_charge(owner, (Direction::Inbound, None), event, now).await?;
        self.count_if_metered(owner, event, now).await
    }

    /// Merges an event into its leg. If it tells the price of a tenant's leg first, that is added to the costs of the tenant, and if it
    /// ends a leg to a called phone first, that counts for the health of the number: each in the same transaction.
    async fn merge_event(
        &self,
        owner: &LegPhone,
        numbers: LegNumbers<'_>,
        event: &LegEvent,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let end = LegEnd::of(numbers.direction, event).map(|end| (numbers, end));
        self.merge_and_charge(owner, (numbers.direction, end), event, now).await
    }

    async fn merge_and_charge(
        &self,
        owner: &LegPhone,
        (direction, end): (Direction, Option<(LegNumbers<'_>, LegEnd)>),
        event: &LegEvent,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let ended_at = event.timestamp.unwrap_or(now);
        for merge in merges(owner, direction, event, now)? {
            if let Some(end) = end
                && self.merge_and_note_health(owner, end, &merge, ended_at).await?
            {
                return Ok(());
            }
            let is_charged = merge.len() > 1;
            if !is_charged {
                return self.merge_leg(owner, direction, event).await;
            }
            match self.transact_settled(merge).await {
                Ok(true) => return Ok(()),
                // The price was counted before, or the conversation is being erased.
                Ok(false) => {}
                // What else the event tells is stored all the same.
                Err(error @ StoreError::Contended(_)) => {
                    return self.merge_leg(owner, direction, event).await.and(Err(error));
                }
                Err(error) => pass_over(error)?,
            }
        }
        Ok(())
    }

    async fn count_if_metered(&self, owner: &LegPhone, event: &LegEvent, now: Timestamp) -> Result<(), StoreError> {
        if owner.metered {
            Box::pin(self.count_leg(owner.conversation, event, now)).await?;
        }
        Ok(())
    }

    /// Moves what the conversation `from` has of the event's leg into the leg of the conversation `to`.
    async fn take_along(
        &self,
        [from, to]: [ConversationId; 2],
        home: &LegPhone,
        event: &LegEvent,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        retry::contended(ATTEMPTS, StoreError::Contended("a leg"), || async move {
            let Some(mut leg) = self.get_item(legs::key(from, event)).await? else { return Ok(Break(())) };
            if item::check_version(&leg).inspect_err(log).is_err() {
                // It stays where it is until a release comes that can read it.
                return Ok(Break(()));
            }
            let charge = MovedCharge::of(home, &leg)?;
            let delete = charge.delete(Write::delete(legs::key(from, event)));
            let left = match self.stored_conversation(from, now).await?.filter(|_| counting::is_counted(&leg)) {
                Some(conversation) => {
                    let usage = self.usage(from).await?;
                    counting::uncount(&conversation, &usage, &mut leg, delete, now)?
                }
                None => counting::keep_count(&mut leg, delete),
            };
            for own in ["pk", "sk", VERSION, "conversation", "ttl"] {
                leg.remove(own);
            }
            for take in charge.takes(take(to, leg, event)) {
                let transaction: Vec<_> = take.into_iter().chain(left.clone()).collect();
                match self.transact(transaction, None).await? {
                    Outcome::Committed => return Ok(Break(())),
                    Outcome::Cancelled(failed) if failed.contains(&0) => {}
                    Outcome::Cancelled(_) => return Ok(Continue(())),
                }
            }
            // The leg that is to take it was erased.
            Ok(Break(()))
        })
        .await
    }
}

/// Returns the ways to merge an event into its leg, the best one first. Each is a transaction with the leg as its first write. All but the
/// last, which only writes the leg, count its price.
fn merges(
    owner: &LegPhone,
    direction: Direction,
    event: &LegEvent,
    now: Timestamp,
) -> Result<Vec<Vec<Write>>, StoreError> {
    let charged = charged_merge(owner, direction, event, now)?;
    Ok(charged.into_iter().chain([vec![legs::merge(owner, direction, event)?]]).collect())
}

/// Condition under which there is no leg.
const IS_ABSENT: &str = "attribute_not_exists(pk)";

fn take(to: ConversationId, leg: Item, event: &LegEvent) -> Write {
    legs::set_missing(legs::key(to, event), leg).when("attribute_exists(pk)")
}

/// Returns the phone of a leg in a conversation, if that owned the leg's numbers at `time`.
fn home_of(conversation: &Conversation, numbers: LegNumbers<'_>, time: Timestamp) -> Option<LegPhone> {
    let until = conversation.quarantined_until(conversation.ended_at.unwrap_or(conversation.expires_at));
    let is_in_time = conversation.created_at <= time && time < until;
    let (side, phone) = conversation.callee(numbers.phone, numbers.virtual_number).filter(|_| is_in_time)?;
    Some(LegPhone::new(conversation, side, phone))
}
