//! Calls whose callers are not known, and type PINs.
//!
//! A wrong PIN, one of another number, one of a conversation that is over, and a try too many all lead to the same requests and to
//! the same words. A try is counted before its PIN is looked up, so many at the same time are no more than one after the other.

use jiff::Timestamp;

use crate::clock::SharedClock;
use crate::domain::decision::Decision;
use crate::domain::phone::VirtualNumber;
use crate::domain::phone::caller_id::CallerId;
use crate::domain::pin::{Allowance, PinKey, TRIES_OF_A_CALL};
use crate::domain::words::Words;
use crate::domain::words::addressee::Addressee;
use crate::service::remember_phone::remember;
use crate::store::{Counted, LegIds, PinOwner, Store, StoreError, TriesOf};

/// Finds the participant to whom a PIN belongs.
pub struct PinCalls {
    /// The table.
    pub store: Store,
    /// The secret of the PINs.
    pub key: PinKey,
    /// The words of calls.
    pub words: Words,
    /// The clock.
    pub clock: SharedClock,
}

/// A PIN that was typed in a call.
#[derive(Debug)]
pub struct TypedPin<'a> {
    /// The caller.
    pub caller: &'a CallerId,
    /// The dialled number.
    pub dialled: &'a VirtualNumber,
    /// The caller's leg.
    pub leg: &'a LegIds,
    /// Number of the try in this call, from 1.
    pub nth: u8,
}

/// The fate of a typed PIN.
#[derive(Debug)]
pub enum Typed {
    /// It is a participant's, and this is the decision about a call from the participant's own phone, with what the words depend on.
    Right(Box<Decision>, Option<Addressee>),
    /// It leads to nobody, and the caller may type another one.
    Again,
    /// It leads to nobody, or there is none, and that is the end.
    Wrong,
}

impl PinCalls {
    /// Returns the fate of the typed `digits`. The same webhook again has the same fate, and is not counted again.
    pub async fn typed(&self, pin: &TypedPin<'_>, digits: &str) -> Result<Typed, StoreError> {
        let wrong = || if pin.nth < TRIES_OF_A_CALL { Typed::Again } else { Typed::Wrong };
        // Who types nothing has no PIN, and is no guesser.
        if digits.is_empty() || pin.nth > TRIES_OF_A_CALL {
            return Ok(Typed::Wrong);
        }
        let now = self.clock.now();
        let tries = self.tries(pin.caller);
        let counted = self.store.count_pin_try(&pin.leg.call, pin.nth, (pin.dialled, &tries), now).await?;
        let owner = self.store.pin_owner(pin.dialled, &self.key.hash(digits), now).await?;
        let Some(owner) = owner.filter(|_| counted != Counted::TooMany) else { return Ok(wrong()) };
        let to_give_back = if counted == Counted::Now { &tries[..] } else { &[] };
        let is_accepted = self.store.accept_pin(&owner, pin.leg, pin.nth, to_give_back, now).await?
            || self.was_accepted(&owner, pin.leg).await?;
        if !is_accepted {
            return Ok(wrong());
        }
        if let CallerId::Phone(phone) = pin.caller
            && let Err(error) = remember(&self.store, &self.words, &owner, phone, now).await
        {
            // The caller is connected all the same, and is asked again the next time.
            tracing::warn!(conversation.id = %owner.conversation.id, cause = %error, "remembering a phone failed");
        }
        self.decide(&owner, pin.dialled, now).await
    }

    /// Returns the tries that count for a caller: those by all, and the caller's own. Nothing tells hidden callers apart.
    fn tries(&self, caller: &CallerId) -> [TriesOf; 2] {
        let own = match caller {
            CallerId::Phone(phone) => {
                TriesOf { by: self.key.hash_of_caller(&phone.clone().into()), allowance: Allowance::OF_CALLER }
            }
            CallerId::Hidden | CallerId::NotUnderstood { .. } => {
                TriesOf { by: "HIDDEN".to_owned(), allowance: Allowance::OF_HIDDEN }
            }
        };
        [TriesOf { by: "ALL".to_owned(), allowance: Allowance::OF_NUMBER }, own]
    }

    /// True if the caller of this leg has been accepted as this participant before.
    async fn was_accepted(&self, owner: &PinOwner, leg: &LegIds) -> Result<bool, StoreError> {
        let accepted = self.store.pin_call(&leg.call).await?.and_then(|call| call.accepted);
        Ok(accepted
            .is_some_and(|accepted| accepted.conversation == owner.conversation.id && accepted.side == owner.side))
    }

    /// Decides about the call as about one from the participant's own phone.
    async fn decide(&self, owner: &PinOwner, dialled: &VirtualNumber, now: Timestamp) -> Result<Typed, StoreError> {
        let own = CallerId::Phone(owner.conversation.participant(owner.side).number.as_phone().clone());
        let (decision, addressee) = self.store.decide(&own, Some(dialled), now).await?;
        // The route may have just been replaced.
        let is_theirs = decision.conversation() == Some(owner.conversation.id);
        Ok(if is_theirs { Typed::Right(Box::new(decision), addressee) } else { Typed::Wrong })
    }
}
