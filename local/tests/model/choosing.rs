//! Rules for the choice of numbers.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use shared::domain::caller_routes::RoutesInUse;
use shared::domain::choice::NoFreeNumber;
use shared::domain::conversation::{Conversation, ConversationId, Participant};
use shared::domain::phone::{RealNumber, VirtualNumber};
use shared::domain::pool::{Feature, NumberState, PoolNumber};
use shared::domain::side::Side;
use shared::domain::tenant::Pool;
use shared::service::create::NewConversation;

use crate::model::{Model, ModelRoute, Verdict, ensure};
use crate::phones::Caller;
use crate::scenario::{calling_code, canonical, country_of};

impl Model {
    /// The numbers that are free for a phone and another one that it is to reach, each with its distance from the phone's home
    /// country.
    pub fn free_numbers(&self, caller: &Caller, other: &RealNumber) -> Vec<(&PoolNumber, usize)> {
        let (phone, occupied) = (&caller.first, self.occupied(caller));
        let is_free = |number: &VirtualNumber| match self.routes.get(&(canonical(phone), number.clone())) {
            Some(route) => !route.is_in_use(self.now) || self.rests_for(route, other),
            None => true,
        };
        let is_free = |number: &VirtualNumber| !occupied.contains_key(number) && is_free(number);
        self.allowed_numbers(caller).filter(|(number, _)| is_free(&number.number)).collect()
    }

    /// The numbers that the phones of a side have no route under, live or in quarantine.
    pub fn unused_numbers(&self, caller: &Caller) -> Vec<(&PoolNumber, usize)> {
        let (phone, occupied) = (&caller.first, self.occupied(caller));
        let in_use: BTreeSet<_> = self.routes_in_use(phone).map(|(number, _)| number).collect();
        let is_unused = |number: &VirtualNumber| !in_use.contains(number) && !occupied.contains_key(number);
        self.allowed_numbers(caller).filter(|(number, _)| is_unused(&number.number)).collect()
    }

    /// The numbers that the further phones of a side occupy, each with the end of that time. Holds are shared.
    fn occupied(&self, caller: &Caller) -> BTreeMap<&VirtualNumber, Timestamp> {
        let mut occupied = BTreeMap::new();
        for phone in &caller.further {
            for (number, route) in self.routes_in_use(phone).filter(|(_, route)| !(caller.receives && route.is_hold()))
            {
                let until = occupied.entry(number).or_insert(route.quarantined_until);
                *until = route.quarantined_until.max(*until);
            }
        }
        occupied
    }

    /// The routes of a side's first phone, without those under numbers that its further phones occupy.
    fn own_routes(&self, caller: &Caller) -> impl Iterator<Item = &ModelRoute> {
        let (phone, occupied) = (canonical(&caller.first), self.occupied(caller));
        let is_own = move |((caller, number), _): &(&(RealNumber, VirtualNumber), &ModelRoute)| {
            *caller == phone && !occupied.contains_key(number)
        };
        self.routes.iter().filter(is_own).map(|(_, route)| route)
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

    /// The numbers that a phone may get, free or not: those of the owner in its own country, of its calling code and in the fallback
    /// countries.
    fn allowed_numbers(&self, caller: &Caller) -> impl Iterator<Item = (&PoolNumber, usize)> + use<'_> {
        let (phone, owner) = (&caller.first, caller.owner);
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
        let is_ready = move |number: &&PoolNumber| number.owner == owner && number.state == NumberState::Ready;
        let ready = self.numbers.values().filter(is_ready);
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

    pub fn none_free(&self, side: Side, caller: &Caller) -> NoFreeNumber {
        let (phone, occupied) = (&caller.first, self.occupied(caller));
        let own = self.routes_in_use(phone).filter(|(number, _)| !occupied.contains_key(number));
        let own: Vec<_> =
            own.map(|(number, route)| (number, route.quarantined_until, route.is_live(self.now))).collect();
        let of_others = occupied.iter().map(|(number, until)| {
            let own = self.routes.get(&(canonical(phone), (*number).clone())).map(|route| route.quarantined_until);
            (*number, own.map_or(*until, |own| own.max(*until)), true)
        });
        let in_use: Vec<_> = own.into_iter().chain(of_others).collect();
        let live = in_use.iter().filter(|(_, _, is_live)| *is_live).count();
        let allowed: BTreeSet<_> = self.allowed_numbers(caller).map(|(number, _)| &number.number).collect();
        let next_free_at: Option<Timestamp> =
            in_use.iter().filter(|(number, ..)| allowed.contains(number)).map(|(_, until, _)| *until).min();
        let country = country_of(phone.expose());
        let pool = Pool { owner: caller.owner, country };
        let ready = |number: &&PoolNumber| number.pool() == pool && number.state == NumberState::Ready;
        // In the order of their distance; of those with the same calling code, in the order of the alphabet.
        let mut near: Vec<_> = self.allowed_numbers(caller).filter(|(_, distance)| *distance == 1).collect();
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
        }
    }

    /// The numbers under which the phones of a side only receive, and which it may get.
    pub fn held_numbers(&self, caller: &Caller) -> Vec<&VirtualNumber> {
        let (first, occupied) = (canonical(&caller.first), self.occupied(caller));
        let is_held = |(number, _): &(&PoolNumber, usize)| {
            let route = self.routes.get(&(first.clone(), number.number.clone()));
            let is_held = route.is_some_and(|route| route.is_hold() && route.is_in_use(self.now));
            is_held && !occupied.contains_key(&number.number)
        };
        self.allowed_numbers(caller).filter(is_held).map(|(number, _)| &number.number).collect()
    }

    /// Checks the numbers of a new conversation: they are free for each phone, the same as last time where possible, and
    /// otherwise the nearest. Somebody who only receives keeps the number under which that is so.
    pub fn check_choice(&self, callers: &[Caller; 2], sees: &[VirtualNumber; 2], new: &NewConversation) -> Verdict {
        match new.direction.receiver() {
            None => self.check_choice_of(&Side::BOTH, callers, sees, new.notify, true),
            Some(receiver) => self.check_choice_one_way(receiver, callers, sees, new.notify),
        }
    }

    fn check_choice_one_way(
        &self,
        receiver: Side,
        callers: &[Caller; 2],
        sees: &[VirtualNumber; 2],
        texts: bool,
    ) -> Verdict {
        let (caller, number) = (&callers[receiver.index()], &sees[receiver.index()]);
        let phone = &caller.first;
        let held = self.held_numbers(caller);
        let best = self.best_numbers(caller, None, None, false);
        // A hold among very many routes is found only by the phone's line, which may be lost.
        let may_be_new = held.is_empty() || self.is_hub(phone);
        ensure(held.contains(&number) || may_be_new && best.contains(&number), || {
            format!("{phone:?} receives from {number}; expected one of {held:?}, or else of {best:?}")
        })?;
        let (caller, number) = (&callers[receiver.other().index()], &sees[receiver.other().index()]);
        let (phone, other) = (&caller.first, &callers[receiver.index()].first);
        let last = self.last_of_one_way(callers, receiver);
        let is_right = |last: &Option<ConversationId>| {
            let best = self.best_numbers(caller, Some(other), *last, texts);
            best.contains(&number) && (sees[0] != sees[1] || best.len() == 1)
        };
        ensure(last.iter().any(is_right), || {
            format!("{phone:?} gets {number}, but others were better (last conversations: {last:?})")
        })
    }

    /// The conversations that a one-way creation may take for the last one of two people. The caller's routes show whom they led
    /// to; what the routes of the one who only receives show depends on whether they are read.
    fn last_of_one_way(&self, callers: &[Caller; 2], receiver: Side) -> Vec<Option<ConversationId>> {
        let called = canonical(&callers[receiver.index()].first);
        let routes = self.own_routes(&callers[receiver.other().index()]);
        let ids: Vec<_> = routes.filter(|route| route.side.is_some()).filter_map(|route| route.owner()).collect();
        let led_there = |id: &ConversationId| {
            let participants = &self.conversations.get(id)?.expected.participants;
            // A route may lead to a phone from before.
            let same_phones = participants.iter().all(|one| one.previous_numbers.is_empty() && one.further.is_empty());
            same_phones.then(|| participants.iter().any(|participant| canonical(&participant.number) == called))
        };
        let latest_call = ids.iter().copied().filter(|id| led_there(id) == Some(true)).max();
        let common = self.common(callers);
        // A deleted conversation, or one whose phones have changed, may have led there too.
        let unknown = ids.iter().copied().filter(|id| led_there(id).is_none());
        let mut last: Vec<_> =
            unknown.map(Some).chain([latest_call, latest_call.max(common.iter().copied().max())]).collect();
        if callers.iter().any(|caller| self.is_hub(&caller.first)) {
            last.extend(common.into_iter().chain(ids).map(Some).chain([None]));
        }
        last
    }

    /// Checks the numbers that the participants on these `sides` get, while the other one keeps its own. Only in a new
    /// conversation can they be in their own quarantine.
    pub fn check_choice_of(
        &self,
        sides: &[Side],
        callers: &[Caller; 2],
        dials: &[VirtualNumber; 2],
        texts: bool,
        is_new: bool,
    ) -> Verdict {
        let common = self.common(callers);
        // Either of two conversations of the same millisecond may count as the last one. Of somebody with very many routes,
        // any one that a creation happens to see, or none.
        let latest = common.iter().map(|id| id.created_at()).max();
        let is_hub = callers.iter().any(|caller| self.is_hub(&caller.first));
        let last = common.into_iter().filter(|id| is_hub || Some(id.created_at()) == latest);
        let mut last: Vec<_> = last.map(Some).collect();
        if is_hub || last.is_empty() {
            last.push(None);
        }
        let verdicts: Vec<_> =
            last.into_iter().map(|last| self.check_choice_after(last, sides, callers, dials, texts, is_new)).collect();
        if verdicts.iter().any(Result::is_ok) { Ok(()) } else { verdicts.into_iter().collect() }
    }

    fn check_choice_after(
        &self,
        last: Option<ConversationId>,
        sides: &[Side],
        callers: &[Caller; 2],
        dials: &[VirtualNumber; 2],
        texts: bool,
        is_new: bool,
    ) -> Verdict {
        let [a, b] = callers;
        let best = [(a, b), (b, a)]
            .map(|(caller, other)| self.best_numbers(caller, Some(&other.first).filter(|_| is_new), last, texts));
        for side in sides {
            let (caller, dials, best) = (&callers[side.index()], &dials[side.index()], &best[side.index()]);
            ensure(best.contains(&dials), || {
                format!("{caller:?} gets {dials}; expected one of {best:?} (last conversation: {last:?})")
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
        caller: &Caller,
        other: Option<&RealNumber>,
        last: Option<ConversationId>,
        texts: bool,
    ) -> Vec<&VirtualNumber> {
        let free = match other {
            Some(other) => self.free_numbers(caller, other),
            None => self.unused_numbers(caller),
        };
        let phone = &caller.first;
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
        let callers = Side::BOTH.map(|side| Caller::of(created, side));
        let last = self.common(&callers);
        let again = |participant: &&Participant| {
            let route = self.routes.get(&(canonical(&participant.number), participant.sees.clone()));
            route.is_some_and(|route| last.iter().any(|last| route.remembered().contains(last)))
        };
        let rests = |participant: &&Participant| {
            let route = self.routes.get(&(canonical(&participant.number), participant.sees.clone()));
            route.is_some_and(|route| route.is_in_use(self.now))
        };
        if let Some(receiver) = created.direction.receiver() {
            let sees = &created.participant(receiver).sees;
            let is_held = self.held_numbers(&callers[receiver.index()]).contains(&sees);
            return if is_held { "one way, by a held number" } else { "one way, by a new number" };
        }
        match (last.is_empty(), created.participants.iter().filter(again).count()) {
            _ if created.participants.iter().filter(rests).count() == 2 => "both numbers back in their quarantine",
            _ if created.participants.iter().filter(rests).count() == 1 => "one number back in its quarantine",
            _ if callers.iter().any(|caller| self.is_hub(&caller.first)) => "for a hub",
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
    fn common(&self, callers: &[Caller; 2]) -> Vec<ConversationId> {
        let [of_a, of_b] = callers.each_ref().map(|caller| {
            let routes = self.own_routes(caller);
            routes.flat_map(|route| route.remembered().iter().copied()).collect::<BTreeSet<_>>()
        });
        of_a.intersection(&of_b).copied().collect()
    }
}
