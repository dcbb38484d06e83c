//! Rules for the choice of numbers.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use shared::domain::caller_routes::RoutesInUse;
use shared::domain::choice::NoFreeNumber;
use shared::domain::conversation::{Conversation, ConversationId, Participant};
use shared::domain::phone::{RealNumber, VirtualNumber};
use shared::domain::pool::{Feature, NumberState, PoolNumber};
use shared::domain::side::Side;
use shared::service::create::NewConversation;

use crate::model::{Model, ModelRoute, Verdict, ensure};
use crate::scenario::{calling_code, canonical, country_of};

impl Model {
    /// The numbers that are free for a phone and another one that it is to reach, each with its distance from the phone's home
    /// country.
    pub fn free_numbers(&self, phone: &RealNumber, other: &RealNumber) -> Vec<(&PoolNumber, usize)> {
        let is_free = |number: &VirtualNumber| match self.routes.get(&(canonical(phone), number.clone())) {
            Some(route) => !route.is_in_use(self.now) || self.rests_for(route, other),
            None => true,
        };
        self.allowed_numbers(phone).filter(|(number, _)| is_free(&number.number)).collect()
    }

    /// The numbers that a phone has no route under, live or in quarantine.
    pub fn unused_numbers(&self, phone: &RealNumber) -> Vec<(&PoolNumber, usize)> {
        let in_use: BTreeSet<_> = self.routes_in_use(phone).map(|(number, _)| number).collect();
        self.allowed_numbers(phone).filter(|(number, _)| !in_use.contains(&number.number)).collect()
    }

    /// True if a route that is in quarantine reached the phone `other` at its end, in a conversation that is not erased. At
    /// most four conversations may follow each other so within the longest call.
    pub fn rests_for(&self, route: &ModelRoute, other: &RealNumber) -> bool {
        let Some(reached) = &route.reaches else { return false };
        let mut next = self.now;
        let recent = route.history.iter().take_while(|id| {
            let may_go_on = self.now < next + SignedDuration::from_hours(2);
            next = id.created_at();
            may_go_on
        });
        !route.is_replaced && !route.is_live(self.now) && canonical(reached) == canonical(other) && recent.count() <= 4
    }

    /// The numbers that a phone may get, free or not: those of its own country, of its calling code and of the fallback
    /// countries.
    fn allowed_numbers(&self, phone: &RealNumber) -> impl Iterator<Item = (&PoolNumber, usize)> {
        let (home, code) = (country_of(phone.expose()), calling_code(phone));
        let distance = move |number: &PoolNumber| {
            if number.country == home {
                Some(0)
            } else if number.number.as_str().starts_with(code) {
                Some(1)
            } else {
                self.fallback.iter().position(|country| *country == number.country).map(|position| 2 + position)
            }
        };
        let ready = self.numbers.values().filter(|number| number.state == NumberState::Ready);
        ready.filter_map(move |number| Some((number, distance(number)?)))
    }

    /// The routes of a phone that are live or in quarantine.
    pub fn routes_in_use<'a>(
        &'a self,
        phone: &RealNumber,
    ) -> impl Iterator<Item = (&'a VirtualNumber, &'a ModelRoute)> + use<'a> {
        let phone = canonical(phone);
        let is_in_use = move |((caller, _), route): &(&(RealNumber, VirtualNumber), &ModelRoute)| {
            *caller == phone && route.is_in_use(self.now)
        };
        self.routes.iter().filter(is_in_use).map(|((_, number), route)| (number, route))
    }

    pub fn none_free(&self, side: Side, phone: &RealNumber) -> NoFreeNumber {
        let in_use: Vec<_> = self.routes_in_use(phone).collect();
        let live = in_use.iter().filter(|(_, route)| route.is_live(self.now)).count();
        let allowed: BTreeSet<_> = self.allowed_numbers(phone).map(|(number, _)| &number.number).collect();
        let next_free_at: Option<Timestamp> = in_use
            .iter()
            .filter(|(number, _)| allowed.contains(number))
            .map(|(_, route)| route.quarantined_until)
            .min();
        let country = country_of(phone.expose());
        let ready = |number: &&PoolNumber| number.country == country && number.state == NumberState::Ready;
        // In the order of their distance; of those with the same calling code, in the order of the alphabet.
        let mut near: Vec<_> = self.allowed_numbers(phone).filter(|(_, distance)| *distance == 1).collect();
        near.sort_by_key(|(number, _)| number.country);
        let near = near.into_iter().map(|(number, _)| number.country);
        let mut countries = vec![country];
        for country in near.chain(self.fallback.iter().copied()) {
            if !countries.contains(&country) {
                countries.push(country);
            }
        }
        NoFreeNumber {
            side,
            country,
            countries,
            ready: self.numbers.values().filter(ready).count(),
            in_use: RoutesInUse { live, quarantined: in_use.len() - live },
            next_free_at,
            next_free_in: next_free_at.map(|at| u32::try_from(at.as_second() - self.now.as_second()).unwrap()),
        }
    }

    /// The numbers under which a phone only receives, and which it may get.
    pub fn held_numbers(&self, phone: &RealNumber) -> impl Iterator<Item = &VirtualNumber> {
        let caller = canonical(phone);
        let is_held = move |(number, _): &(&PoolNumber, usize)| {
            let route = self.routes.get(&(caller.clone(), number.number.clone()));
            route.is_some_and(|route| route.is_hold() && route.is_in_use(self.now))
        };
        self.allowed_numbers(phone).filter(is_held).map(|(number, _)| &number.number)
    }

    /// Checks the numbers of a new conversation: they are free for each participant, the same as last time where
    /// possible, and otherwise the nearest. Somebody who only receives keeps the number under which that is so.
    pub fn check_choice(&self, phones: &[RealNumber; 2], sees: &[VirtualNumber; 2], new: &NewConversation) -> Verdict {
        match new.direction.receiver() {
            None => self.check_choice_of(&Side::BOTH, phones, sees, new.notify, true),
            Some(receiver) => self.check_choice_one_way(receiver, phones, sees, new.notify),
        }
    }

    fn check_choice_one_way(
        &self,
        receiver: Side,
        phones: &[RealNumber; 2],
        sees: &[VirtualNumber; 2],
        texts: bool,
    ) -> Verdict {
        let (phone, number) = (&phones[receiver.index()], &sees[receiver.index()]);
        let held: Vec<_> = self.held_numbers(phone).collect();
        let best = self.best_numbers(phone, None, None, false);
        // A hold among very many routes is found only by the phone's line, which may be lost.
        let may_be_new = held.is_empty() || self.is_hub(phone);
        ensure(held.contains(&number) || may_be_new && best.contains(&number), || {
            format!("{phone:?} receives from {number}; expected one of {held:?}, or else of {best:?}")
        })?;
        let (phone, number) = (&phones[receiver.other().index()], &sees[receiver.other().index()]);
        let other = &phones[receiver.index()];
        let last = self.last_of_one_way(phones, receiver);
        let is_right = |last: &Option<ConversationId>| {
            let best = self.best_numbers(phone, Some(other), *last, texts);
            best.contains(&number) && (sees[0] != sees[1] || best.len() == 1)
        };
        ensure(last.iter().any(is_right), || {
            format!("{phone:?} gets {number}, but others were better (last conversations: {last:?})")
        })
    }

    /// The conversations that a one-way creation may take for the last one of two people. The caller's routes show whom they led
    /// to; what the routes of the one who only receives show depends on whether they are read.
    fn last_of_one_way(&self, phones: &[RealNumber; 2], receiver: Side) -> Vec<Option<ConversationId>> {
        let [called, caller] = [receiver, receiver.other()].map(|side| canonical(&phones[side.index()]));
        let routes = self.routes.iter().filter(|((phone, _), _)| *phone == caller).map(|(_, route)| route);
        let ids: Vec<_> = routes.filter(|route| route.side.is_some()).filter_map(|route| route.owner()).collect();
        let led_there = |id: &ConversationId| {
            let participants = &self.conversations.get(id)?.expected.participants;
            // A route may lead to a phone from before.
            let same_phones = participants.iter().all(|participant| participant.previous_numbers.is_empty());
            same_phones.then(|| participants.iter().any(|participant| canonical(&participant.number) == called))
        };
        let latest_call = ids.iter().copied().filter(|id| led_there(id) == Some(true)).max();
        let common = self.common(phones);
        // A deleted conversation, or one whose phones have changed, may have led there too.
        let unknown = ids.iter().copied().filter(|id| led_there(id).is_none());
        let mut last: Vec<_> =
            unknown.map(Some).chain([latest_call, latest_call.max(common.iter().copied().max())]).collect();
        if phones.iter().any(|phone| self.is_hub(phone)) {
            last.extend(common.into_iter().chain(ids).map(Some).chain([None]));
        }
        last
    }

    /// Checks the numbers that the participants on these `sides` get, while the other one keeps its own. Only in a new
    /// conversation can they be in their own quarantine.
    pub fn check_choice_of(
        &self,
        sides: &[Side],
        phones: &[RealNumber; 2],
        dials: &[VirtualNumber; 2],
        texts: bool,
        is_new: bool,
    ) -> Verdict {
        let common = self.common(phones);
        // Either of two conversations of the same millisecond may count as the last one. Of somebody with very many routes,
        // any one that a creation happens to see, or none.
        let latest = common.iter().map(|id| id.created_at()).max();
        let is_hub = phones.iter().any(|phone| self.is_hub(phone));
        let last = common.into_iter().filter(|id| is_hub || Some(id.created_at()) == latest);
        let mut last: Vec<_> = last.map(Some).collect();
        if is_hub || last.is_empty() {
            last.push(None);
        }
        let verdicts: Vec<_> =
            last.into_iter().map(|last| self.check_choice_after(last, sides, phones, dials, texts, is_new)).collect();
        if verdicts.iter().any(Result::is_ok) { Ok(()) } else { verdicts.into_iter().collect() }
    }

    fn check_choice_after(
        &self,
        last: Option<ConversationId>,
        sides: &[Side],
        phones: &[RealNumber; 2],
        dials: &[VirtualNumber; 2],
        texts: bool,
        is_new: bool,
    ) -> Verdict {
        let [a, b] = phones;
        let best = [(a, b), (b, a)]
            .map(|(phone, other)| self.best_numbers(phone, Some(other).filter(|_| is_new), last, texts));
        for side in sides {
            let (phone, dials, best) = (&phones[side.index()], &dials[side.index()], &best[side.index()]);
            ensure(best.contains(&dials), || {
                format!("{phone:?} gets {dials}; expected one of {best:?} (last conversation: {last:?})")
            })?;
        }
        let differ_or_cannot = dials[0] != dials[1] || sides.iter().all(|side| best[side.index()].len() == 1);
        ensure(differ_or_cannot, || {
            format!("both participants get {}, although they could get different numbers: {best:?}", dials[0])
        })
    }

    /// The free numbers that share the best rank for a phone.
    fn best_numbers(
        &self,
        phone: &RealNumber,
        other: Option<&RealNumber>,
        last: Option<ConversationId>,
        texts: bool,
    ) -> Vec<&VirtualNumber> {
        let free = match other {
            Some(other) => self.free_numbers(phone, other),
            None => self.unused_numbers(phone),
        };
        let can_text = |number: &PoolNumber| number.features.contains(&Feature::Sms);
        let rank = |(number, distance): &(&PoolNumber, usize)| {
            let could_be_better = free.iter().any(|(other, as_far)| as_far == distance && can_text(other));
            let mute = texts && !can_text(number) && could_be_better;
            let route = self.routes.get(&(canonical(phone), number.number.clone()));
            let again = !mute && route.is_some_and(|route| last.is_some_and(|last| route.remembered().contains(&last)));
            (!again, *distance, mute)
        };
        let best = free.iter().map(rank).min();
        free.iter().filter(|number| Some(rank(number)) == best).map(|(number, _)| &number.number).collect()
    }

    /// Name under which the coverage report counts this choice.
    pub fn describe_choice(&self, created: &Conversation) -> &'static str {
        let phones = created.participants.each_ref().map(|participant| participant.number.clone());
        let last = self.common(&phones);
        let again = |participant: &&Participant| {
            let route = self.routes.get(&(canonical(&participant.number), participant.sees.clone()));
            route.is_some_and(|route| last.iter().any(|last| route.remembered().contains(last)))
        };
        let rests = |participant: &&Participant| {
            let route = self.routes.get(&(canonical(&participant.number), participant.sees.clone()));
            route.is_some_and(|route| route.is_in_use(self.now))
        };
        if let Some(receiver) = created.direction.receiver() {
            let Participant { number, sees, .. } = &created.participants[receiver.index()];
            let is_held = self.held_numbers(number).any(|held| held == sees);
            return if is_held { "one way, by a held number" } else { "one way, by a new number" };
        }
        match (last.is_empty(), created.participants.iter().filter(again).count()) {
            _ if created.participants.iter().filter(rests).count() == 2 => "both numbers back in their quarantine",
            _ if created.participants.iter().filter(rests).count() == 1 => "one number back in its quarantine",
            _ if phones.iter().any(|phone| self.is_hub(phone)) => "for a hub",
            (true, _) => "first conversation of two people",
            (false, 2) => "both numbers reused",
            (false, 1) => "one number reused",
            _ => "no number reused",
        }
    }

    /// The latest conversations in the history of both phones. There can be several, because creations can share one
    /// millisecond.
    /// True if a creation does not read all routes of a phone.
    fn is_hub(&self, phone: &RealNumber) -> bool {
        self.routes.keys().filter(|(caller, _)| *caller == canonical(phone)).count() > self.routes_read.into()
    }

    /// The conversations that are remembered by routes of both phones.
    fn common(&self, phones: &[RealNumber; 2]) -> Vec<ConversationId> {
        let [of_a, of_b] = phones.each_ref().map(canonical).map(|phone| {
            let routes = self.routes.iter().filter(|((caller, _), _)| *caller == phone);
            routes.flat_map(|(_, route)| route.remembered().iter().copied()).collect::<BTreeSet<_>>()
        });
        of_a.intersection(&of_b).copied().collect()
    }
}
