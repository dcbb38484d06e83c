//! What a step means at the moment at which it is taken.

use shared::domain::call_limits::CallLimits;
use shared::domain::conversation::{ConversationId, Lifetime};
use shared::domain::phone::{RealNumber, VirtualNumber};
use shared::domain::pool::{NumberState, PoolNumber};
use shared::domain::side::Side;
use shared::domain::text::Label;
use shared::service::create::{NewConversation, NewParticipant};
use shared::service::update::{Change, NewPhone};
use shared::store::IdempotentRequest;

use crate::carrier::{Fate, label};
use crate::case::{Case, MOST_NUMBERS};
use crate::steps::{Deed, Order, Which, Who};
use crate::system::Act;
use crate::world::{Kind, NOBODYS, number, person};

impl Case {
    /// What a deed is at this moment; none if there is nothing that it can be about.
    pub fn act(&mut self, deed: &Deed) -> Option<Act> {
        match deed {
            Deed::Create(order, fates) => {
                self.with_key.extend(order.key.map(|_| order.clone()));
                Some(self.creation(order, fates))
            }
            Deed::CreateAgain { nth, otherwise } => {
                let mut order = self.with_key.iter().rev().nth(nth % self.with_key.len().max(1))?.clone();
                order.notify ^= otherwise;
                Some(self.creation(&order, &[]))
            }
            Deed::End(which) => Some(Act::End(self.id(*which))),
            Deed::Erase(which) => Some(Act::Erase(self.id(*which))),
            Deed::Update { which, phone, lifetime } => {
                let phone = phone.map(|(side, who)| NewPhone { side, number: self.written(who), country: None });
                let lifetime = lifetime.map(|seconds| Lifetime::try_from(seconds).unwrap());
                Some(Act::Update(self.id(*which), Change { lifetime, phone }))
            }
            Deed::Drain(nth) => self.virtual_number(*nth).map(Act::Drain),
            Deed::AddNumber(kind) => {
                let counts =
                    |number: &&PoolNumber| number.country == kind.country() && number.state != NumberState::Draining;
                let count = self.model.numbers.values().filter(counts).count();
                // Vonage has none of Jersey.
                let possible = *kind != Kind::Je && self.model.numbers.len() < MOST_NUMBERS;
                possible.then_some(Act::Rent(*kind, count + 1))
            }
            Deed::Upkeep => Some(Act::Upkeep),
        }
    }

    fn creation(&mut self, order: &Order, fates: &[Fate]) -> Act {
        self.system.texts.expect(fates);
        self.attempts += 1;
        let attempt = self.attempts.to_string();
        let participant = |side: Side| NewParticipant {
            number: self.written(order.people[side.index()]),
            country: None,
            label: Label::try_from(label(&attempt, side)).ok(),
        };
        let new = NewConversation {
            participants: Side::BOTH.map(participant),
            lifetime: Lifetime::try_from(order.lifetime).unwrap(),
            quarantine_seconds: order.quarantine,
            limits: CallLimits::with_max_call(CallLimits::MIN_CALL_SECONDS),
            notify: order.notify,
            reference: None,
        };
        let request = order
            .key
            .map(|key| IdempotentRequest { key_hash: format!("key-{key}"), fingerprint: format!("{order:?}") });
        Act::Create { attempt, new, request }
    }

    fn id(&self, which: Which) -> ConversationId {
        let known = match which {
            Which::Last(nth) => self.ids.iter().rev().nth(nth % self.ids.len().max(1)),
            Which::Unknown => None,
        };
        known.copied().unwrap_or_else(|| ConversationId::generate(self.model.now))
    }

    pub fn phone(&self, who: Who) -> RealNumber {
        match who {
            Who::Person(index) => person(index),
            Who::Nobody => number(NOBODYS),
            Who::Virtual(nth) => number(self.virtual_number(nth).as_ref().map_or(NOBODYS, VirtualNumber::as_str)),
        }
    }

    fn written(&self, who: Who) -> String {
        format!("+{}", self.phone(who).expose())
    }

    /// A number that is or was in the pool.
    pub fn virtual_number(&self, nth: usize) -> Option<VirtualNumber> {
        let all: Vec<_> = self.model.numbers.keys().chain(self.model.gone.keys()).collect();
        all.get(nth % all.len().max(1)).map(|number| (*number).clone())
    }
}
