//! Rules for changes of a conversation by request.

use shared::domain::conversation::{ConversationId, Notification};
use shared::service::update::Change;

use crate::answer::Answer;
use crate::model::{Model, ModelRoute, real_number, route_key};
use crate::scenario::{INVALID_PHONE, canonical, country_of, keyed_as};

impl Model {
    pub fn expected_change(&self, id: ConversationId, change: &Change) -> Answer {
        let Some(conversation) = self.conversations.get(&id).filter(|conversation| conversation.is_readable(self.now))
        else {
            return Answer::Unknown;
        };
        if !conversation.is_live(self.now) {
            return Answer::Over;
        }
        let phone = change.phone.as_ref().map(|phone| (phone.side, real_number(&phone.number)));
        if let Some((side, phone)) = &phone {
            if self.is_virtual(phone) {
                return Answer::VirtualNumber(*side);
            }
            if phone.expose() == INVALID_PHONE {
                return Answer::NotValid(*side);
            }
        }
        let Some((side, phone)) = phone else { return Answer::Updated };
        let phone = canonical(&phone);
        if phone == canonical(&conversation.expected.participants[side.other().index()].number) {
            return Answer::SameNumber;
        }
        let route = self.routes.get(&(phone, conversation.expected.participants[side.index()].sees.clone()));
        let is_own = |route: &&ModelRoute| match conversation.expected.direction.includes(side) {
            true => route.side.is_some() && route.history[0] == id,
            false => route.is_hold(),
        };
        match route.filter(|route| route.is_in_use(self.now) && !is_own(route)) {
            Some(route) => Answer::MaskTaken { side, free_at: Some(route.quarantined_until) },
            None => Answer::Updated,
        }
    }

    pub fn change(&mut self, id: ConversationId, change: &Change) {
        let mut conversation = self.conversations[&id].clone();
        let blocked = change.blocked.unwrap_or(conversation.expected.blocked);
        let is_more = change.lifetime.is_some() || change.phone.is_some() || !change.limits.is_none();
        if blocked == conversation.expected.blocked && change.blocked.is_some() && !is_more {
            return;
        }
        conversation.expected.revision += 1;
        conversation.expected.blocked = blocked;
        let handling = &mut conversation.expected.handling;
        handling.missed_calls = change.handling.missed_calls.unwrap_or(handling.missed_calls);
        handling.guard = change.handling.guard.unwrap_or(handling.guard);
        if let Some(lifetime) = change.lifetime {
            conversation.expected.expires_at = self.second() + lifetime.duration();
        }
        for (participant, language) in conversation.expected.participants.iter_mut().zip(&change.languages) {
            participant.language = language.clone().or(participant.language.take());
        }
        if let Some(phone) = &change.phone {
            let old_name = route_key(&conversation.expected, phone.side);
            let participant = &mut conversation.expected.participants[phone.side.index()];
            let new_number = real_number(&phone.number);
            if canonical(&participant.number) == canonical(&new_number) {
                if participant.number != new_number {
                    (participant.keyed_as, participant.number) = (Some(canonical(&new_number)), new_number);
                }
            } else {
                participant.keyed_as = keyed_as(&new_number);
                participant.country = country_of(new_number.expose());
                conversation.listed.entry(canonical(&new_number)).or_insert(self.now);
                participant.previous_numbers.push(std::mem::replace(&mut participant.number, new_number));
                participant.notification = Notification::Off;
                if participant.pin.take().is_some() {
                    self.pins.due.insert((id, phone.side.index()));
                }
                if conversation.expected.direction.includes(phone.side) {
                    self.quarantine_route(&old_name, conversation.quarantine());
                }
            }
        }
        for side in conversation.expected.direction.sides() {
            let name = route_key(&conversation.expected, side);
            let mut earlier = self.remembered(&name);
            earlier.retain(|earlier| *earlier != id);
            self.assign_route(name, &conversation, side, earlier);
        }
        self.conversations.insert(id, conversation);
    }
}
