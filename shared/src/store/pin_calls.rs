//! Calls whose callers typed a PIN: the tries, and the participants who were accepted.

use std::ops::ControlFlow::{Break, Continue};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::conversations::ConversationItem;
use super::item::{self, Key};
use super::leg_events::Recorded;
use super::legs::{self, LegPhone};
use super::missed_calls::LegIds;
use super::pins::PinItem;
use super::transaction::Outcome;
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::call::{Direction, LegEvent};
use crate::domain::carrier_record::CarrierRecord;
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::phone::VirtualNumber;
use crate::domain::pin::Allowance;
use crate::domain::side::Side;
use crate::retry;

/// Time for which a call with PIN is remembered: longer than any call, and than Vonage repeats an event of it.
const CALL_KEPT: SignedDuration = SignedDuration::from_hours(48);

/// Maximum number of attempts to count a try that others count at the same time.
const ATTEMPTS: u32 = 8;

/// The participant to whom a PIN leads.
#[derive(Debug)]
pub struct PinOwner {
    /// The conversation.
    pub conversation: Conversation,
    /// The participant's side.
    pub side: Side,
}

/// The fate of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// It is counted.
    Now,
    /// It, or a later one of the same call, was counted before.
    Before,
    /// It is not counted and not allowed.
    TooMany,
}

/// The tries that count together, with what they are allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriesOf {
    /// Their name.
    pub by: String,
    /// The number of tries that are allowed.
    pub allowance: Allowance,
}

#[derive(Deserialize)]
struct TriesItem {
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    free_at: Timestamp,
}

/// A call whose caller was asked for a PIN.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PinCall {
    /// The last try that was counted, from 1.
    pub tries: u8,
    /// The participant who typed a right PIN, with the caller's leg.
    #[serde(default)]
    pub accepted: Option<AcceptedCall>,
}

/// The participant who is the caller of a call, by a PIN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedCall {
    /// The conversation.
    pub conversation: ConversationId,
    /// The caller's side.
    pub side: Side,
    /// Index of the participant's phone at that time.
    phone: usize,
    /// The caller's leg.
    leg: String,
}

impl Store {
    /// Returns the participant whose PIN on this number has this hash at `now`. One consistent read, and one of the conversation
    /// if there is such a PIN.
    pub async fn pin_owner(
        &self,
        number: &VirtualNumber,
        hash: &str,
        now: Timestamp,
    ) -> Result<Option<PinOwner>, StoreError> {
        let Some(PinItem { conversation, side, .. }) = self.get(Key::Pin { number, hash }).await? else {
            return Ok(None);
        };
        let conversation = self.conversation(conversation, now).await?.filter(|conversation| {
            let participant = conversation.participant(side);
            let has_pin = participant.pin.as_ref().is_some_and(|pin| pin.has_hash(hash));
            has_pin && conversation.is_active(now) && conversation.dials(side) == Some(number)
        });
        Ok(conversation.map(|conversation| PinOwner { conversation, side }))
    }

    /// Returns what is known of a call whose caller was asked for a PIN. One consistent read.
    pub async fn pin_call(&self, call: &str) -> Result<Option<PinCall>, StoreError> {
        self.get(Key::PinCall(call)).await
    }

    /// Counts the `nth` try of a call at `now`, before its PIN is looked up. A try that was counted before stays counted, also when no
    /// more tries are allowed.
    pub async fn count_pin_try(
        &self,
        call: &str,
        nth: u8,
        (number, tries): (&VirtualNumber, &[TriesOf]),
        now: Timestamp,
    ) -> Result<Counted, StoreError> {
        retry::contended(ATTEMPTS, StoreError::Contended("the tries of PINs"), || async move {
            let mut transaction = vec![
                Write::update(Key::PinCall(call))
                    .set("tries = :nth")
                    .set_ttl(now.saturating_add(CALL_KEPT).unwrap_or(Timestamp::MAX))
                    .when("(attribute_not_exists(tries) OR tries < :nth)")
                    .bind(":nth", item::integer(nth)),
            ];
            for TriesOf { by, allowance } in tries {
                let key = Key::PinTries { number, by };
                let free_at = self.get::<TriesItem>(key).await?.map(|tries| tries.free_at);
                let Some(next) = allowance.after_a_try(free_at, now) else {
                    let is_counted = self.pin_call(call).await?.is_some_and(|known| nth <= known.tries);
                    return Ok(Break(if is_counted { Counted::Before } else { Counted::TooMany }));
                };
                let count = Write::update(key).set("free_at = :next").set_ttl(next).bind(":next", item::seconds(next));
                transaction.push(match free_at {
                    Some(seen) => count.when("free_at = :seen").bind(":seen", item::seconds(seen)),
                    None => count.when("attribute_not_exists(free_at)"),
                });
            }
            Ok(match self.transact(transaction, None).await? {
                Outcome::Committed => Break(Counted::Now),
                Outcome::Cancelled(failed) if failed.contains(&0) => Break(Counted::Before),
                Outcome::Cancelled(_) => Continue(()),
            })
        })
        .await
    }

    /// Notes at `now` that the caller of this leg is the participant `owner`, who typed the PIN at the `nth` try. It gives the try
    /// back. False if the conversation is over by now, or has another PIN or number there.
    pub async fn accept_pin(
        &self,
        owner: &PinOwner,
        ids: &LegIds,
        nth: u8,
        tries: &[TriesOf],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let PinOwner { conversation, side } = owner;
        let (index, participant) = (side.index(), conversation.participant(*side));
        let Some(pin) = &participant.pin else { return Ok(false) };
        let phone = participant.previous_numbers.len();
        let accepted = AcceptedCall { conversation: conversation.id, side: *side, phone, leg: ids.leg.clone() };
        let check = Write::check(Key::Conversation(conversation.id))
            .when("attribute_not_exists(erased_at)")
            .when("attribute_not_exists(ended_at)")
            .when(format!("participants[{index}].pin.#hash = :hash"))
            .when(format!("participants[{index}].dials = :sees"))
            .name("#hash", "hash")
            .bind(":hash", item::string(pin.hash()))
            .bind(":sees", item::string(participant.sees.as_str()));
        let bind = Write::update(Key::PinCall(&ids.call))
            .set("accepted = :accepted")
            .when("attribute_not_exists(accepted)")
            .when("tries = :nth")
            .bind(":accepted", item::value(&accepted)?)
            .bind(":nth", item::integer(nth));
        let leg = legs::by_pin(&LegPhone::new(conversation, *side, phone), &ids.call, &ids.leg, now)?;
        let give_back = |TriesOf { by, allowance }: &TriesOf| {
            let pause = AttributeValue::N((-allowance.pause().as_secs()).to_string());
            Write::update(Key::PinTries { number: &participant.sees, by })
                .add("free_at :pause")
                .when("attribute_exists(free_at)")
                .bind(":pause", pause)
        };
        let transaction = [check, bind, leg].into_iter().chain(tries.iter().map(give_back)).collect();
        self.transact_settled(transaction).await
    }

    /// Records an event of the caller's leg of a call, if the caller typed a right PIN in it.
    pub async fn record_leg_by_pin(&self, event: &LegEvent, now: Timestamp) -> Result<Recorded, StoreError> {
        let call = self.pin_call(&event.conversation_uuid).await?;
        let accepted = call.and_then(|call| call.accepted).filter(|accepted| accepted.leg == event.uuid);
        let Some(AcceptedCall { conversation: id, side, phone, .. }) = accepted else { return Ok(Recorded::OfNone) };
        match self.conversation_item(id, now).await? {
            Some(ConversationItem::Present(conversation)) => {
                let owner = LegPhone::new(&conversation, side, phone);
                self.merge_and_count(&owner, event, now).await?;
                Ok(Recorded::merged(id, &owner, Direction::Inbound, event))
            }
            Some(ConversationItem::Erasing { .. } | ConversationItem::Erased) | None => {
                self.request_redaction(&[CarrierRecord::of_leg(&event.uuid, Direction::Inbound)], now).await?;
                Ok(Recorded::ToRedact(Some(id)))
            }
        }
    }
}
