//! Rules for calls that a request places: at most one for each idempotency key, whatever fails in between, and only one that would be
//! connected if the participant dialled.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use shared::domain::conversation::ConversationId;
use shared::domain::route::Destination;
use shared::domain::side::Side;
use shared::service::place_call::{CallOrder, PlaceError, Placed, Placer};
use shared::store::IdempotentRequest;
use shared::vonage::call_urls::CallUrls;

use crate::case::Case;
use crate::model::{Model, Verdict, ensure, route_key};
use crate::steps::ConversationRef;
use crate::system::{Operation, Outcome};
use crate::table::Table;
use crate::voice::{DialledCall, Dialling};

/// Time in which an earlier run of a request may be under way.
const UNDER_WAY: SignedDuration = SignedDuration::from_secs(120);

/// A request to place a call.
#[derive(Debug, Clone)]
pub struct PlaceOrder {
    pub conversation: ConversationId,
    pub from: Side,
    pub key: u8,
    pub fate: Dialling,
}

/// The same, with the conversation by its place, or one of the last requests again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlaceAction {
    pub which: ConversationRef,
    /// True if it is the last request with this key again.
    pub again: bool,
    pub from: Side,
    pub key: u8,
    pub fate: Dialling,
}

/// A request as the table has it.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownOrder {
    pub fingerprint: String,
    pub claimed_at: Timestamp,
    pub call: Option<String>,
    pub until: Timestamp,
}

/// Everything about requests to place calls, by the hash of the key.
#[derive(Debug, Clone, Default)]
pub struct Placing {
    pub known: BTreeMap<String, KnownOrder>,
    /// Requests of which Vonage has placed a call.
    pub dialled: BTreeSet<String>,
    /// All calls, oldest first.
    pub calls: Vec<DialledCall>,
}

impl PlaceAction {
    pub fn any(which: impl Strategy<Value = ConversationRef>) -> impl Strategy<Value = Self> {
        let fate = prop_oneof![
            4 => Just(Dialling::Placed),
            1 => Just(Dialling::Refused),
            2 => Just(Dialling::PlacedUnheard),
            2 => Just(Dialling::Unheard),
        ];
        let again = prop::bool::weighted(0.5);
        (which, again, prop_oneof![Just(Side::A), Just(Side::B)], 0..3u8, fate)
            .prop_map(|(which, again, from, key, fate)| Self { which, again, from, key, fate })
    }
}

impl PlaceOrder {
    fn key_hash(&self) -> String {
        format!("call-{}", self.key)
    }

    fn fingerprint(&self) -> String {
        format!("{} {:?}", self.conversation, self.from)
    }

    /// Places the call, as the API does. `None` if the conversation is unknown.
    pub async fn place(&self, placer: &Placer) -> Option<Result<Placed, PlaceError>> {
        let conversation = match placer.store.conversation(self.conversation, placer.clock.now()).await {
            Ok(conversation) => conversation?,
            Err(error) => return Some(Err(error.into())),
        };
        let request = IdempotentRequest { key_hash: self.key_hash(), fingerprint: self.fingerprint() };
        let urls = CallUrls::new("https://maskline.example", self.conversation);
        let order = CallOrder { conversation: &conversation, from: self.from, request: &request, urls };
        Some(placer.place(&order).await)
    }
}

/// Name of the fate of a request.
pub fn became(outcome: &Option<Result<Placed, PlaceError>>) -> &'static str {
    match outcome {
        None => "unknown",
        Some(Ok(Placed { is_replay: true, .. })) => "replayed",
        Some(Ok(_)) => "placed",
        Some(Err(PlaceError::NotConnected(_))) => "not connected",
        Some(Err(PlaceError::OtherRequest)) => "other request",
        Some(Err(PlaceError::UnderWay)) => "under way",
        Some(Err(PlaceError::InDoubt(_))) => "in doubt",
        Some(Err(PlaceError::TooManyCalls(_))) => "too many calls",
        Some(Err(PlaceError::Vonage(_))) => "refused",
        Some(Err(PlaceError::Store(_))) => "failed",
    }
}

impl Case {
    /// Returns the request that an action means.
    pub fn place_order(&mut self, PlaceAction { which, again, from, key, fate }: PlaceAction) -> PlaceOrder {
        self.system.voice.expect(fate);
        let last = self.orders.get(&key).filter(|_| again);
        let order = last.map(|last| PlaceOrder { fate, ..last.clone() });
        let order = order.unwrap_or_else(|| PlaceOrder { conversation: self.id(which), from, key, fate });
        self.orders.insert(key, order.clone());
        order
    }
}

impl Operation {
    /// The request to place a call, if it is one.
    pub fn order(&self) -> Option<&PlaceOrder> {
        match self {
            Self::Dial(order) => Some(order),
            _ => None,
        }
    }
}

impl Model {
    fn known_order(&self, order: &PlaceOrder) -> Option<&KnownOrder> {
        self.placing.known.get(&order.key_hash()).filter(|known| self.now < known.until)
    }

    /// True if a call that the participant dialled would be connected in this conversation.
    fn connects(&self, order: &PlaceOrder) -> bool {
        self.conversations.get(&order.conversation).is_some_and(|found| {
            let found = self.destination(&route_key(&found.expected, order.from));
            matches!(found, Destination::Participant { conversation, .. } if conversation == order.conversation)
        })
    }

    /// True if Vonage lists a call that looks like the one that was ordered, begun at `since` or later.
    fn is_listed(&self, order: &PlaceOrder, since: Timestamp) -> bool {
        let begin = Timestamp::from_second((since - SignedDuration::from_secs(2)).as_second()).unwrap();
        self.placing.calls.iter().any(|call| begin <= call.at && self.is_of(order, call))
    }

    /// True if a call is to the participant, from the number that the participant dials.
    fn is_of(&self, order: &PlaceOrder, call: &DialledCall) -> bool {
        self.conversations.get(&order.conversation).is_some_and(|found| {
            let participant = found.expected.participant(order.from);
            participant.number.expose() == call.to && participant.sees.as_str() == call.from
        })
    }

    fn order_fate(&self, order: &PlaceOrder) -> &'static str {
        let there = self.conversations.get(&order.conversation).filter(|found| found.is_readable(self.now));
        if there.is_none() {
            return "unknown";
        }
        match self.known_order(order) {
            Some(known) if known.fingerprint != order.fingerprint() => return "other request",
            Some(known) if known.call.is_some() || self.is_listed(order, known.claimed_at) => return "replayed",
            Some(known) if self.now.duration_since(known.claimed_at) < UNDER_WAY => return "under way",
            _ => {}
        }
        match order.fate {
            _ if !self.connects(order) => "not connected",
            Dialling::Refused => "refused",
            Dialling::Unheard if !self.is_listed(order, self.now) => "in doubt",
            _ => "placed",
        }
    }

    /// Checks the answer to a request.
    pub fn accept_order(&self, order: &PlaceOrder, outcome: Option<&Outcome>, undisturbed: bool) -> Verdict {
        let outcome = match outcome {
            Some(Outcome::Dial(outcome)) => became(outcome),
            Some(other) => return Err(format!("{order:?} became {other:?}")),
            None => return Ok(()),
        };
        let right = self.order_fate(order);
        ensure(outcome != "failed" && (!undisturbed || outcome == right), || {
            format!("{order:?} is {outcome}; expected {right}")
        })
    }

    /// Checks the calls that Vonage has placed in a step, and takes over what is known of its `orders`. `before` is the state before it.
    pub fn accept_placed(
        &mut self,
        before: &Self,
        table: &Table,
        calls: &[DialledCall],
        orders: &[&PlaceOrder],
    ) -> Verdict {
        let new = &calls[self.placing.calls.len()..];
        for call in new {
            let is_right = |order: &&&PlaceOrder| {
                let states = [before, &*self];
                order.conversation == call.conversation
                    && states.iter().any(|model| model.is_of(order, call))
                    && states.iter().any(|model| model.connects(order))
            };
            ensure(orders.iter().any(|order| is_right(&order)), || format!("{orders:?} placed {call:?}"))?;
        }
        let keys: BTreeSet<String> = orders.iter().map(|order| order.key_hash()).collect();
        for key in &keys {
            if self.placing.known.get(key).is_some_and(|known| known.until <= self.now) {
                self.placing.dialled.remove(key);
            }
        }
        let free: Vec<&String> = keys.iter().filter(|key| !self.placing.dialled.contains(*key)).collect();
        ensure(new.len() <= free.len(), || format!("{new:?} were placed for {free:?}"))?;
        let is_noted = |key: &str| {
            let call = table.placed_calls.get(key).and_then(|known| known.call.as_ref());
            new.iter().any(|placed| Some(&placed.uuid()) == call)
        };
        let dialled = free.iter().filter(|key| new.len() == free.len() || is_noted(key)).map(|key| (*key).clone());
        let dialled: Vec<String> = dialled.collect();
        if !dialled.is_empty() {
            self.placing.dialled.extend(dialled);
        }
        for key in keys {
            match table.placed_calls.get(&key) {
                Some(known) => drop(self.placing.known.insert(key, known.clone())),
                None => drop(self.placing.known.remove(&key)),
            }
        }
        if !new.is_empty() {
            self.placing.calls.extend_from_slice(new);
        }
        ensure(self.placing.known == table.placed_calls, || {
            format!("the requests to place calls are {:?}; expected {:?}", table.placed_calls, self.placing.known)
        })
    }
}
