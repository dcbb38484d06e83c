//! Rules for changes of a conversation by request.

use jiff::Timestamp;
use shared::domain::call_recording::CallRecording;
use shared::domain::conversation::{Conversation, ConversationId, Notification};
use shared::domain::guard::Guard;
use shared::domain::missed_calls::Measure;
use shared::domain::phone::RealNumber;
use shared::domain::side::Side;
use shared::domain::sliding_end::SlidingEnd;
use shared::service::update::{Change, HandlingChange};

use crate::answer::Answer;
use crate::model::{Model, ModelConversation, ModelRoute, real_number};
use crate::phones::{dialling_keys, further_after, keys_of, members};
use crate::scenario::{INVALID_PHONE, canonical, country_of, keyed_as};

/// Number of phones that a call tries of a side with several if nothing is said.
const USUAL_ATTEMPTS: u8 = 3;

impl Model {
    pub fn expected_change(&self, id: ConversationId, change: &Change) -> Answer {
        let Some(conversation) = self.conversations.get(&id).filter(|conversation| conversation.is_readable(self.now))
        else {
            return Answer::Unknown;
        };
        if !conversation.is_live(self.now) {
            return Answer::Over;
        }
        let before = &conversation.expected;
        let after = changed(before, change, self.second());
        let refused = self.refused_new_phone(before, change).or_else(|| refused_twice(&after, change));
        let refused = refused.or_else(|| refused_handling(before, &after));
        refused.or_else(|| self.refused_key(before, &after)).unwrap_or(Answer::Updated)
    }

    /// The refusal of a phone that is a virtual number or not valid.
    fn refused_new_phone(&self, before: &Conversation, change: &Change) -> Option<Answer> {
        let first = change.phone.iter().map(|phone| (phone.side, None, real_number(&phone.number)));
        let further = Side::BOTH.into_iter().flat_map(|side| {
            let asked = change.further[side.index()].iter().flatten().enumerate();
            let asked = asked.map(move |(place, phone)| (side, Some(place), real_number(&phone.number)));
            asked.filter(move |(_, _, phone)| {
                let mut further = members(before, side).skip(1);
                further.all(|member| canonical(member.number) != canonical(phone))
            })
        });
        first.chain(further).find_map(|(side, place, phone)| match () {
            () if self.is_virtual(&phone) => Some(Answer::VirtualNumber(side, place)),
            () if phone.expose() == INVALID_PHONE => Some(Answer::NotValid(side, place)),
            () => None,
        })
    }

    /// The refusal of a phone whose route key is taken.
    fn refused_key(&self, before: &Conversation, after: &Conversation) -> Option<Answer> {
        Side::BOTH.into_iter().find_map(|side| {
            let old: Vec<_> = members(before, side).map(|member| member.index).collect();
            let new = members(after, side).zip(keys_of(after, side)).enumerate();
            new.filter(|(_, (member, _))| !old.contains(&member.index)).find_map(|(place, (_, key))| {
                let route = self.routes.get(&key).filter(|route| route.is_in_use(self.now))?;
                let is_own = match after.direction.includes(side) {
                    true => route.side.is_some() && route.owner() == Some(after.id),
                    false => ModelRoute::is_hold(route),
                };
                let further = place.checked_sub(1);
                (!is_own).then_some(Answer::MaskTaken { side, further, free_at: Some(route.quarantined_until) })
            })
        })
    }

    pub fn change(&mut self, id: ConversationId, change: &Change) {
        let mut conversation = ModelConversation::clone(&self.conversations[&id]);
        let before = conversation.expected.clone();
        let keeps_phones = change.phone.is_none() && change.further.iter().all(Option::is_none);
        let keeps_calls = change.limits.is_none() && change.handling == HandlingChange::default();
        let is_block_only = change.lifetime.is_none() && keeps_phones && keeps_calls;
        if is_block_only && change.blocked == Some(before.blocked) {
            return;
        }
        conversation.expected = changed(&before, change, self.second());
        conversation.expected.revision += 1;
        let after = &mut conversation.expected;
        for side in Side::BOTH {
            for member in members(&after.clone(), side) {
                conversation.listed.entry(canonical(member.number)).or_insert(self.now);
            }
            let stays =
                |phone: &RealNumber| members(after, side).any(|member| canonical(member.number) == canonical(phone));
            let is_lost = !members(&before, side).all(|member| stays(member.number));
            if is_lost && after.participants[side.index()].pin.take().is_some() {
                self.pins.due.insert((id, side.index()));
            }
        }
        let kept = dialling_keys(&conversation.expected);
        for gone in dialling_keys(&before).iter().filter(|key| !kept.contains(key)) {
            self.quarantine_route(gone, conversation.quarantine());
        }
        self.assign_routes(&conversation, Side::BOTH);
        self.conversations.insert(id, conversation.into());
    }
}

/// The conversation after a change at `now`, with its revision and its PINs of before.
fn changed(before: &Conversation, change: &Change, now: Timestamp) -> Conversation {
    let mut after = before.clone();
    after.blocked = change.blocked.unwrap_or(before.blocked);
    if let Some(lifetime) = change.lifetime {
        after.expires_at = now + lifetime.duration();
        after.sliding_end = before.sliding_end.map(|sliding| SlidingEnd { since: now, ..sliding });
    }
    for (participant, language) in after.participants.iter_mut().zip(&change.languages) {
        participant.language = language.clone().or(participant.language.take());
    }
    for (participant, asked) in after.participants.iter_mut().zip(&change.further) {
        if let Some(asked) = asked {
            participant.further = further_after(&participant.further, asked, Some(now));
        }
    }
    if let Some(phone) = &change.phone {
        let participant = &mut after.participants[phone.side.index()];
        let new_number = real_number(&phone.number);
        if canonical(&participant.number) == canonical(&new_number) {
            if participant.number != new_number {
                (participant.keyed_as, participant.number) = (Some(canonical(&new_number)), new_number);
            }
        } else {
            participant.keyed_as = keyed_as(&new_number);
            participant.country = country_of(new_number.expose());
            participant.previous_numbers.push(std::mem::replace(&mut participant.number, new_number));
            participant.notification = Notification::Off;
        }
    }
    let (asked, handling) = (change.handling, &mut after.handling);
    handling.missed_calls = asked.missed_calls.unwrap_or(handling.missed_calls);
    handling.guard = asked.guard.unwrap_or(handling.guard);
    handling.max_attempts = asked.max_attempts.or(handling.max_attempts);
    handling.max_ring_seconds = asked.max_ring_seconds.or(handling.max_ring_seconds);
    if after.handling.max_attempts.is_none() && Side::BOTH.iter().any(|side| members(&after, *side).count() > 1) {
        after.handling.max_attempts = Some(USUAL_ATTEMPTS);
    }
    after
}

/// The refusal of a phone that would be in the conversation twice. Of several the last one is told.
fn refused_twice(after: &Conversation, change: &Change) -> Option<Answer> {
    let all: Vec<_> = Side::BOTH
        .into_iter()
        .flat_map(|side| members(after, side).enumerate().map(move |(place, one)| (side, place, canonical(one.number))))
        .collect();
    let is_twice = |phone: &RealNumber| all.iter().filter(|(_, _, other)| other == phone).count() > 1;
    let is_new = |side: Side, place: usize| match place {
        0 => change.phone.as_ref().is_some_and(|phone| phone.side == side),
        _ => change.further[side.index()].is_some(),
    };
    let (side, place, _) = all.iter().rev().find(|(side, place, phone)| is_new(*side, *place) && is_twice(phone))?;
    Some(place.checked_sub(1).map_or(Answer::SameNumber, |place| Answer::SameFurther(*side, place)))
}

/// The refusal of a handling for which the calls are too short: the announcement, the ringing, the guard, and the words.
fn refused_handling(before: &Conversation, after: &Conversation) -> Option<Answer> {
    let handling = after.handling;
    let rings = after.limits.ring_seconds * u32::from(handling.max_attempts.unwrap_or(1));
    let rings = handling.max_ring_seconds.map_or(rings, |most| most.min(rings));
    let guard = if handling.guard == Guard::Press1 { 25 } else { 0 };
    let words = match handling.missed_calls {
        missed if missed.includes(Measure::Voicemail) => 165,
        missed if missed.includes(Measure::CallBack) => 25,
        _ => 10,
    };
    let recording = match handling.recording {
        CallRecording::Off => 0,
        CallRecording::Announce => 10,
        CallRecording::Consent => 50,
    };
    let is_too_long = after.limits.max_call_seconds < 5 + rings + guard + recording + words;
    (before.handling != handling && is_too_long).then_some(Answer::CallsTooShort)
}
