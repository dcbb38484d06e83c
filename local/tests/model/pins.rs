//! Rules for PINs. Somebody who hides the number, or calls from a phone of no conversation, types what was or is a PIN, or no PIN.
//! Webhooks arrive twice and late. The model knows each PIN, counts the tries itself, and says whom a call reaches: the other one of
//! the only conversation to which the PIN belongs, while that is live, or nobody.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use shared::domain::conversation::ConversationId;
use shared::domain::decision::Decision;
use shared::domain::phone::caller_id::CallerId;
use shared::domain::phone::{RealNumber, VirtualNumber};
use shared::domain::pin::{PinIssuer, PinKey};
use shared::domain::route::Destination;
use shared::domain::side::Side;
use shared::service::pin_calls::{PinCalls, Typed, TypedPin};
use shared::store::{LegIds, StoreError};

use crate::model::{Model, Verdict, ensure, route_key};
use crate::scenario::number;
use crate::system::{Operation, Outcome};

/// Phones of no conversation.
const STRANGERS: [&str; 2] = ["447700900777", "447700900888"];

/// Number of tries of one call.
pub const TRIES: u8 = 3;

/// A call whose caller was asked for a PIN.
#[derive(Debug, Clone)]
pub struct AskedCall {
    pub id: usize,
    /// The phone. `None` if its number is hidden.
    pub from: Option<RealNumber>,
    pub dialled: VirtualNumber,
}

/// A PIN that is typed in a call.
#[derive(Debug, Clone)]
pub struct PinTry {
    pub call: AskedCall,
    pub nth: u8,
    pub digits: String,
}

/// A PIN that somebody has or had.
#[derive(Debug, Clone, PartialEq)]
pub struct Issued {
    pub conversation: ConversationId,
    pub side: Side,
    pub digits: String,
    /// The number on which it was found first.
    pub number: VirtualNumber,
}

/// A name of tries that count together at a number.
pub type TriesKey = (VirtualNumber, String);

/// A call as the table has it: its tries, and the participant who the caller is.
pub type KnownCall = (u8, Option<(ConversationId, Side)>);

/// Everything about PINs.
#[derive(Debug, Clone, Default)]
pub struct Pins {
    /// All PINs, oldest first.
    pub issued: Vec<Issued>,
    /// Participants who have a new PIN.
    pub due: BTreeSet<(ConversationId, usize)>,
    /// The times from which all tries are allowed again.
    pub tries: BTreeMap<TriesKey, Timestamp>,
    /// The calls in which a PIN was typed, by Vonage's id.
    pub calls: BTreeMap<String, KnownCall>,
}

/// The fate of a try.
struct Fate {
    typed: &'static str,
    owner: Option<(ConversationId, Side)>,
    /// The tries from now on.
    tries: BTreeMap<TriesKey, Timestamp>,
    call: KnownCall,
    is_again: bool,
    is_too_many: bool,
}

pub fn pin_key() -> PinKey {
    PinKey::new("secret")
}

pub fn issuer() -> PinIssuer {
    PinIssuer { key: pin_key(), in_texts: false, remembers_phones: false }
}

/// Returns the caller at this position: the first one hides the number.
pub fn stranger(nth: usize) -> Option<RealNumber> {
    nth.checked_sub(1).map(|nth| number(STRANGERS[nth]))
}

/// The phone that stands for a hidden one where a phone is needed. It is in no conversation.
pub fn any_stranger() -> RealNumber {
    number(STRANGERS[0])
}

impl PinTry {
    /// Types the PIN, as the event webhook reads it.
    pub async fn type_in(&self, calls: &PinCalls) -> Result<Typed, StoreError> {
        let caller = match &self.call.from {
            Some(phone) => CallerId::Phone(phone.as_phone().clone()),
            None => CallerId::Hidden,
        };
        let leg = LegIds { call: self.call.uuid(), leg: self.call.leg() };
        let pin = TypedPin { caller: &caller, dialled: &self.call.dialled, leg: &leg, nth: self.nth };
        calls.typed(&pin, &self.digits).await
    }

    /// The tries with which this one counts, with the number that is allowed at once and the pause between two later ones.
    pub fn counts_with(&self) -> [(TriesKey, i32, SignedDuration); 2] {
        let number = &self.call.dialled;
        let own = match &self.call.from {
            Some(phone) => ((number.clone(), pin_key().hash_of_caller(phone)), 5, SignedDuration::from_hours(3)),
            None => ((number.clone(), "HIDDEN".to_owned()), 15, SignedDuration::from_hours(1)),
        };
        [((number.clone(), "ALL".to_owned()), 30, SignedDuration::from_mins(30)), own]
    }
}

impl AskedCall {
    pub fn uuid(&self) -> String {
        format!("CON-{}", self.id)
    }

    /// Vonage's id of the caller's leg.
    pub fn leg(&self) -> String {
        format!("in-{}", self.id)
    }
}

/// Name of what a caller meets.
pub fn typed_as(typed: &Typed) -> &'static str {
    match typed {
        Typed::Right(..) => "right",
        Typed::Again => "again",
        Typed::Wrong => "wrong",
    }
}

impl Operation {
    /// The try of a PIN, if it is one.
    pub fn pin(&self) -> Option<&PinTry> {
        match self {
            Self::Pin(pin) => Some(pin),
            _ => None,
        }
    }
}

impl Model {
    /// Returns digits that are no PIN.
    pub fn no_pin(&self) -> String {
        let free = (0..).map(|digits| format!("{digits:06}"));
        free.into_iter().find(|digits| self.pins.issued.iter().all(|pin| pin.digits != *digits)).unwrap()
    }

    /// Returns the `nth` last PIN, first those that somebody has in a live conversation.
    pub fn nth_pin(&self, nth: usize) -> Option<&Issued> {
        let (live, others): (Vec<_>, Vec<_>) = self.pins.issued.iter().rev().partition(|pin| {
            let there = self.conversations.get(&pin.conversation).filter(|found| found.is_live(self.now));
            there
                .and_then(|found| found.expected.participant(pin.side).pin.as_ref())
                .is_some_and(|has| has.expose() == pin.digits)
        });
        live.into_iter().chain(others).nth(nth)
    }

    /// Returns the number on which a PIN is found, or was found last.
    pub fn number_of(&self, pin: &Issued) -> VirtualNumber {
        let there = self.conversations.get(&pin.conversation);
        there.map_or(&pin.number, |found| &found.expected.participant(pin.side).sees).clone()
    }

    /// Returns the participant of a live conversation who has this PIN and dials this number.
    fn owner_of(&self, pin: &PinTry) -> Option<(ConversationId, Side)> {
        let live = self.conversations.values().filter(|found| found.is_live(self.now)).map(|found| &found.expected);
        let mut all = live.flat_map(|is| Side::BOTH.map(|side| (is, side)));
        let owner = all.find(|(is, side)| {
            let participant = is.participant(*side);
            let has = participant.pin.as_ref().is_some_and(|has| has.expose() == pin.digits);
            has && participant.sees == pin.call.dialled
        });
        owner.map(|(is, side)| (is.id, side))
    }

    fn fate(&self, pin: &PinTry) -> Fate {
        let known = self.pins.calls.get(&pin.call.uuid()).copied();
        let (before, accepted) = known.unwrap_or_default();
        let is_typed = !pin.digits.is_empty() && pin.nth <= TRIES;
        let is_again = pin.nth <= before;
        let mut allowed = true;
        let mut counted = self.pins.tries.clone();
        for (key, at_once, pause) in pin.counts_with() {
            let begins = self.pins.tries.get(&key).copied().filter(|free_at| self.now < *free_at).unwrap_or(self.now);
            let next = begins + pause;
            allowed &= next.duration_since(self.now) <= pause * at_once;
            counted.insert(key, Timestamp::from_second(next.as_second()).unwrap());
        }
        let is_counted = is_typed && allowed && !is_again;
        let is_too_many = is_typed && !allowed && !is_again;
        let owner = self.owner_of(pin).filter(|_| is_typed && !is_too_many);
        let is_new = owner.is_some() && accepted.is_none() && (is_counted || before == pin.nth);
        let is_right = owner.is_some() && (is_new || accepted == owner);
        if is_new && is_counted {
            for (key, _, pause) in pin.counts_with() {
                counted.entry(key).and_modify(|free_at| *free_at -= pause);
            }
        }
        Fate {
            typed: match () {
                () if is_right => "right",
                () if is_typed && pin.nth < TRIES => "again",
                () => "wrong",
            },
            owner,
            tries: if is_counted { counted } else { self.pins.tries.clone() },
            call: (if is_counted { pin.nth } else { before }, if is_new { owner } else { accepted }),
            is_again,
            is_too_many,
        }
    }

    /// Checks the fate of a try, and takes it over if nothing else happened. Otherwise the caller may meet what was right before or
    /// after that, and nobody else.
    pub fn accept_try(&mut self, pin: &PinTry, outcome: Option<&Outcome>, undisturbed: bool) -> Verdict {
        let typed = match outcome {
            Some(Outcome::Pin(Ok(typed))) => typed,
            Some(other) => return Err(format!("{pin:?} failed: {other:?}")),
            None => return Ok(()),
        };
        if let Typed::Right(decision, _) = typed {
            let issued = self
                .pins
                .issued
                .iter()
                .find(|one| one.digits == pin.digits && decision.conversation() == Some(one.conversation));
            ensure(issued.is_some(), || format!("{pin:?} leads to {decision:?}, whose PIN it never was"))?;
        }
        if !undisturbed {
            return Ok(());
        }
        let Fate { typed: right, owner, tries, call, .. } = self.fate(pin);
        ensure(typed_as(typed) == right, || format!("{pin:?} is {typed:?}; expected {right}"))?;
        if let (Typed::Right(decision, _), Some((id, side))) = (typed, owner) {
            let key = route_key(&self.conversations[&id].expected, side);
            let right = Decision::Routed(self.destination(&key));
            ensure(**decision == right, || format!("{pin:?} leads to {decision:?}; expected {right:?}"))?;
        }
        self.pins.tries = tries;
        if call.0 > 0 {
            self.pins.calls.insert(pin.call.uuid(), call);
        }
        Ok(())
    }

    /// Returns the outcome of a try for the coverage report. `self` is the state before it.
    pub fn describe_try(&self, pin: &PinTry) -> &'static str {
        let Fate { typed, is_again, is_too_many, .. } = self.fate(pin);
        let of = self.pins.issued.iter().rev().find(|issued| issued.digits == pin.digits);
        match (typed, of) {
            _ if pin.digits.is_empty() => "nothing",
            _ if is_too_many => "too many",
            ("right", _) if is_again => "right again",
            (_, _) if is_again => "wrong again",
            ("right", _) if pin.call.from.is_none() => "right, hidden",
            ("right", _) => "right, from another phone",
            (_, None) => "wrong",
            (_, Some(of)) => match self.conversations.get(&of.conversation) {
                Some(found) if found.is_live(self.now) => "of another number or phone",
                _ => "of one that is over",
            },
        }
    }
}

/// Returns whom a right PIN connects, if it connects anybody.
pub fn connected(outcome: &Outcome) -> Option<&Destination> {
    match outcome {
        Outcome::Pin(Ok(Typed::Right(decision, _))) => match &**decision {
            Decision::Routed(destination @ Destination::Participant { .. }) => Some(destination),
            _ => None,
        },
        _ => None,
    }
}
