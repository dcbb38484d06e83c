//! Rules for calls: each connects to the other participant of the live conversation on its route, or to nobody.

use std::collections::BTreeMap;

use shared::domain::call_limits::CallLimits;
use shared::domain::conversation::{ConversationId, Participant};
use shared::domain::late::LateCare;
use shared::domain::phone::{RealNumber, VirtualNumber};
use shared::domain::route::{Destination, destination};
use shared::domain::side::Side;

use crate::model::{Model, ModelConversation, ModelRoute, RouteKey, Verdict, ensure};
use crate::phones::{has_key, is_open, keys_of, members};
use crate::scenario::canonical;
use crate::table::Table;

/// Checks that a call connects to the other participant of the live conversation on its route and shows the number
/// which that participant dials, or connects to nobody.
pub fn check_destinations(model: &Model, table: &Table) -> Verdict {
    let mut live = BTreeMap::new();
    for conversation in model.conversations.values().filter(|conversation| conversation.is_live(model.now)) {
        let is = &conversation.expected;
        for side in is.direction.sides() {
            let leads_to = model.destination_in(conversation, side);
            for key in keys_of(is, side) {
                let taken = live.insert(key, leads_to.clone());
                ensure(taken.is_none(), || format!("{conversation:?} and {taken:?} have the same route"))?;
            }
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
        let had =
            |one: &Participant, phone: &RealNumber| one.all_numbers().any(|own| canonical(own) == canonical(phone));
        let has = |phone: &RealNumber| conversation.expected.participants.iter().any(|one| had(one, phone));
        let reaches_another = match right {
            Destination::Participant { conversation, connect_to, .. } => {
                let reached = &self.conversations[conversation].expected.participants;
                let reached = reached.iter().find(|one| had(one, connect_to)).unwrap();
                !reached.all_numbers().any(has)
            }
            _ => false,
        };
        has(caller) && !reaches_another
    }

    /// The destination of a call.
    pub fn destination(&self, name: &RouteKey) -> Destination {
        for conversation in self.conversations.values().filter(|conversation| conversation.is_live(self.now)) {
            for side in conversation.expected.direction.sides() {
                if has_key(&conversation.expected, side, name) {
                    return self.destination_in(conversation, side);
                }
            }
        }
        self.destination_without_conversation(name)
    }

    /// The destination of calls of this side of a live conversation: the first phone of the other one that is called at this
    /// hour.
    fn destination_in(&self, conversation: &ModelConversation, side: Side) -> Destination {
        let is = &conversation.expected;
        if is.is_blocked(side) {
            return Destination::Blocked(is.id);
        }
        if is.limit_reached_at.is_some() {
            return Destination::Exhausted(is.id);
        }
        if conversation.is_paused(self.now) {
            return Destination::Paused(is.id);
        }
        let Some(callee) = members(is, side.other()).find(|member| is_open(member.hours, self.now)) else {
            return Destination::Closed(is.id);
        };
        let tries_several =
            members(is, side.other()).count() > 1 && is.handling.max_attempts.is_some_and(|most| most > 1);
        Destination::Participant {
            conversation: is.id,
            connect_to: callee.number.clone(),
            present_as: is.participant(side.other()).sees.clone(),
            one_way: is.direction.receiver().is_some(),
            limits: is.limits,
            caller: side,
            handling: is.handling,
            left_seconds: self.left_seconds(is, side),
            attempt: tries_several.then(|| self.first_attempt(callee)),
        }
    }
}
