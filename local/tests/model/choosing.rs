//! Rules for the choice of numbers.

use std::collections::BTreeSet;

use jiff::Timestamp;
use shared::domain::caller_routes::RoutesInUse;
use shared::domain::choice::NoFreeNumber;
use shared::domain::conversation::{Conversation, ConversationId, Participant};
use shared::domain::phone::{RealNumber, VirtualNumber};
use shared::domain::pool::{Feature, NumberState, PoolNumber};
use shared::domain::side::Side;

use crate::model::{Model, ModelRoute, Verdict, ensure};
use crate::scenario::{calling_code, country_of};

impl Model {
    /// The numbers that are free for a phone, each with its distance from the phone's home country.
    pub fn free_numbers(&self, phone: &RealNumber) -> Vec<(&PoolNumber, usize)> {
        self.allowed_numbers(phone).filter(|(number, _)| !self.has_route(phone, &number.number)).collect()
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

    fn has_route(&self, phone: &RealNumber, number: &VirtualNumber) -> bool {
        self.routes.get(&(phone.clone(), number.clone())).is_some_and(|route| route.is_in_use(self.now))
    }

    /// The routes of a phone that are live or in quarantine.
    pub fn routes_in_use(&self, phone: &RealNumber) -> impl Iterator<Item = (&VirtualNumber, &ModelRoute)> {
        let is_in_use = move |((caller, _), route): &(&(RealNumber, VirtualNumber), &ModelRoute)| {
            caller == phone && route.is_in_use(self.now)
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
        NoFreeNumber {
            side,
            country,
            ready: self.numbers.values().filter(ready).count(),
            in_use: RoutesInUse { live, quarantined: in_use.len() - live },
            next_free_at,
            next_free_in: next_free_at.map(|at| u32::try_from(at.as_second() - self.now.as_second()).unwrap()),
        }
    }

    /// Checks the numbers of a new conversation: they are free for each participant, the same as last time where
    /// possible, and otherwise the nearest.
    pub fn check_choice(&self, phones: &[RealNumber; 2], dials: &[VirtualNumber; 2], texts: bool) -> Verdict {
        let last = self.latest_common(phones);
        if last.is_empty() {
            return self.check_choice_after(None, phones, dials, texts);
        }
        // Either of two conversations of the same millisecond may count as the last one.
        let verdicts: Vec<_> =
            last.into_iter().map(|last| self.check_choice_after(Some(last), phones, dials, texts)).collect();
        if verdicts.iter().any(Result::is_ok) { Ok(()) } else { verdicts.into_iter().collect() }
    }

    fn check_choice_after(
        &self,
        last: Option<ConversationId>,
        phones: &[RealNumber; 2],
        dials: &[VirtualNumber; 2],
        texts: bool,
    ) -> Verdict {
        let best = phones.each_ref().map(|phone| self.best_numbers(phone, last, texts));
        for side in Side::BOTH {
            let (phone, dials, best) = (&phones[side.index()], &dials[side.index()], &best[side.index()]);
            ensure(best.contains(&dials), || {
                format!("{phone:?} gets {dials}; expected one of {best:?} (last conversation: {last:?})")
            })?;
        }
        let differ_or_cannot = dials[0] != dials[1] || best.iter().all(|best| best.len() == 1);
        ensure(differ_or_cannot, || {
            format!("both participants get {}, although they could get different numbers: {best:?}", dials[0])
        })
    }

    /// The free numbers that share the best rank for a phone.
    fn best_numbers(&self, phone: &RealNumber, last: Option<ConversationId>, texts: bool) -> Vec<&VirtualNumber> {
        let free = self.free_numbers(phone);
        let can_text = |number: &PoolNumber| number.features.contains(&Feature::Sms);
        let rank = |(number, distance): &(&PoolNumber, usize)| {
            let could_be_better = free.iter().any(|(other, as_far)| as_far == distance && can_text(other));
            let mute = texts && !can_text(number) && could_be_better;
            let route = self.routes.get(&(phone.clone(), number.number.clone()));
            let again = !mute && route.is_some_and(|route| last.is_some_and(|last| route.remembered().contains(&last)));
            (!again, *distance, mute)
        };
        let best = free.iter().map(rank).min();
        free.iter().filter(|number| Some(rank(number)) == best).map(|(number, _)| &number.number).collect()
    }

    /// Name under which the coverage report counts this choice.
    pub fn describe_choice(&self, created: &Conversation) -> &'static str {
        let phones = created.participants.each_ref().map(|participant| participant.number.clone());
        let last = self.latest_common(&phones);
        let again = |participant: &&Participant| {
            let route = self.routes.get(&(participant.number.clone(), participant.dials.clone()));
            route.is_some_and(|route| last.iter().any(|last| route.remembered().contains(last)))
        };
        match (last.is_empty(), created.participants.iter().filter(again).count()) {
            (true, _) => "first conversation of two people",
            (false, 2) => "both numbers reused",
            (false, 1) => "one number reused",
            _ => "no number reused",
        }
    }

    /// The latest conversations in the history of both phones. There can be several, because creations can share one
    /// millisecond.
    fn latest_common(&self, phones: &[RealNumber; 2]) -> Vec<ConversationId> {
        let [of_a, of_b] = phones.each_ref().map(|phone| {
            let routes = self.routes.iter().filter(|((caller, _), _)| caller == phone);
            routes.flat_map(|(_, route)| route.remembered().iter().copied()).collect::<BTreeSet<_>>()
        });
        let common: Vec<_> = of_a.intersection(&of_b).copied().collect();
        let latest = common.iter().map(|id| id.created_at()).max();
        common.into_iter().filter(|id| Some(id.created_at()) == latest).collect()
    }
}
