//! Rules for calls: each connects to the other participant of the live conversation on its route, or to nobody.

use std::collections::BTreeMap;

use shared::domain::call_limits::CallLimits;
use shared::domain::conversation::{ConversationId, Participant};
use shared::domain::late::LateCare;
use shared::domain::phone::{RealNumber, VirtualNumber};
use shared::domain::route::{Destination, destination};
use shared::domain::side::Side;

use crate::model::{Model, ModelRoute, Verdict, ensure, route_key};
use crate::scenario::canonical;
use crate::table::Table;

/// Checks that a call connects to the other participant of the live conversation on its route and shows the number
/// which that participant dials, or connects to nobody.
pub fn check_destinations(model: &Model, table: &Table) -> Verdict {
    let mut live = BTreeMap::new();
    for conversation in model.conversations.values().filter(|conversation| conversation.is_live(model.now)) {
        for side in conversation.expected.direction.sides() {
            let other = &conversation.expected.participants[side.other().index()];
            let leads_to = match conversation.expected.limit_reached_at {
                _ if conversation.expected.is_blocked(side) => Destination::Blocked(conversation.expected.id),
                Some(_) => Destination::Exhausted(conversation.expected.id),
                None if conversation.is_paused(model.now) => Destination::Paused(conversation.expected.id),
                None => Destination::Participant {
                    conversation: conversation.expected.id,
                    connect_to: other.number.clone(),
                    present_as: other.sees.clone(),
                    one_way: conversation.expected.direction.receiver().is_some(),
                    limits: conversation.expected.limits,
                    caller: side,
                    handling: conversation.expected.handling,
                    left_seconds: model.left_seconds(&conversation.expected, side),
                    attempt: None,
                },
            };
            let taken = live.insert(route_key(&conversation.expected, side), leads_to);
            ensure(taken.is_none(), || format!("{conversation:?} and {taken:?} have the same route"))?;
        }
    }
    for (name, route) in &table.routes {
        let found = destination(Some(route.clone()), model.now);
        let expected = live.remove(name).unwrap_or_else(|| model.destination_without_conversation(name));
        ensure(found == expected, || format!("route {name:?} leads to {found:?}; expected {expected:?}"))?;
    }
    ensure(live.is_empty(), || format!("live conversations without a route: {live:?}"))
}

impl Model {
    /// The destination of a call on a route without a live conversation.
    pub fn destination_without_conversation(&self, name: &(RealNumber, VirtualNumber)) -> Destination {
        match self.routes.get(name).filter(|route| route.is_in_use(self.now)) {
            Some(route) if route.is_replaced => Destination::Replaced(route.history[0]),
            Some(ModelRoute { cares: true, side: Some(caller), history, .. }) => Destination::Late {
                conversation: history[0],
                caller: *caller,
                care: LateCare { lost_property: true, ..LateCare::default() },
                limits: CallLimits::with_max_call(CallLimits::MIN_CALL_SECONDS),
            },
            Some(route) => route.owner().map_or(Destination::ReceiveOnly, Destination::Ended),
            None => Destination::Nobody,
        }
    }

    /// True if the conversation `id` was between `caller` and the one whom a call reaches by `right`, if it reaches anybody. That
    /// one may have had another phone then. Of an erased one nothing is known any more.
    pub fn was_between(&self, id: ConversationId, caller: &RealNumber, right: &Destination) -> bool {
        let Some(conversation) = self.conversations.get(&id) else { return self.erased.contains_key(&id) };
        let had = |one: &Participant, phone: &RealNumber| {
            one.previous_numbers.iter().chain([&one.number]).any(|own| canonical(own) == canonical(phone))
        };
        let has = |phone: &RealNumber| conversation.expected.participants.iter().any(|one| had(one, phone));
        let reaches_another = match right {
            Destination::Participant { conversation, connect_to, .. } => {
                let reached = &self.conversations[conversation].expected.participants;
                let reached = reached.iter().find(|one| canonical(&one.number) == canonical(connect_to)).unwrap();
                !reached.previous_numbers.iter().chain([connect_to]).any(has)
            }
            _ => false,
        };
        has(caller) && !reaches_another
    }

    /// The destination of a call.
    pub fn destination(&self, name: &(RealNumber, VirtualNumber)) -> Destination {
        for conversation in self.conversations.values().filter(|conversation| conversation.is_live(self.now)) {
            for side in conversation.expected.direction.sides() {
                if route_key(&conversation.expected, side) == *name {
                    if conversation.expected.is_blocked(side) {
                        return Destination::Blocked(conversation.expected.id);
                    }
                    if conversation.expected.limit_reached_at.is_some() {
                        return Destination::Exhausted(conversation.expected.id);
                    }
                    if conversation.is_paused(self.now) {
                        return Destination::Paused(conversation.expected.id);
                    }
                    let expected = &conversation.expected;
                    return Destination::Participant {
                        conversation: expected.id,
                        connect_to: expected.participants[side.other().index()].number.clone(),
                        present_as: route_key(expected, side.other()).1,
                        one_way: expected.direction.receiver().is_some(),
                        limits: expected.limits,
                        caller: side,
                        handling: expected.handling,
                        left_seconds: self.left_seconds(expected, side),
                        attempt: None,
                    };
                }
            }
        }
        self.destination_without_conversation(name)
    }
}
