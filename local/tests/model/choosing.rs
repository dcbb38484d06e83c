//! Which numbers may be given to whom.

use std::collections::BTreeSet;

use jiff::Timestamp;
use shared::domain::caller_routes::Held;
use shared::domain::choice::NoneFree;
use shared::domain::conversation::{Conversation, ConversationId, Participant};
use shared::domain::phone::{RealNumber, VirtualNumber};
use shared::domain::pool::{Feature, NumberState, PoolNumber};
use shared::domain::side::Side;

use crate::model::{Key, Model, Verdict, ensure};
use crate::world::{calling_code, country_of};

impl Model {
    /// The numbers that are free for a phone, and how far each is from its home.
    pub fn free_numbers(&self, phone: &RealNumber) -> Vec<(&PoolNumber, usize)> {
        self.allowed_numbers(phone).filter(|(number, _)| !self.is_held(phone, &number.number)).collect()
    }

    /// The numbers that a phone may be given, free or not: those of its own country, those of its calling code, those
    /// of the countries to fall back to.
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

    fn is_held(&self, phone: &RealNumber, number: &VirtualNumber) -> bool {
        self.keys.get(&(phone.clone(), number.clone())).is_some_and(|key| key.is_held(self.now))
    }

    /// The keys that a phone holds.
    pub fn held_keys(&self, phone: &RealNumber) -> impl Iterator<Item = (&VirtualNumber, &Key)> {
        let is_held =
            move |((caller, _), key): &(&(RealNumber, VirtualNumber), &Key)| caller == phone && key.is_held(self.now);
        self.keys.iter().filter(is_held).map(|((_, number), key)| (number, key))
    }

    pub fn none_free(&self, side: Side, phone: &RealNumber) -> NoneFree {
        let held: Vec<_> = self.held_keys(phone).collect();
        let live = held.iter().filter(|(_, key)| key.is_live(self.now)).count();
        let allowed: BTreeSet<_> = self.allowed_numbers(phone).map(|(number, _)| &number.number).collect();
        let next_free_at: Option<Timestamp> =
            held.iter().filter(|(number, _)| allowed.contains(number)).map(|(_, key)| key.quarantined_until).min();
        let country = country_of(phone.expose());
        let ready = |number: &&PoolNumber| number.country == country && number.state == NumberState::Ready;
        NoneFree {
            side,
            country,
            ready: self.numbers.values().filter(ready).count(),
            held: Held { live, quarantined: held.len() - live },
            next_free_at,
            next_free_in: next_free_at.map(|at| u32::try_from(at.as_second() - self.now.as_second()).unwrap()),
        }
    }

    /// Whether the two may be given these numbers: free for each, the same as last time where that is possible, and
    /// otherwise the nearest.
    pub fn check_choice(&self, phones: &[RealNumber; 2], dials: &[VirtualNumber; 2], texts: bool) -> Verdict {
        let last = self.last_in_common(phones);
        if last.is_empty() {
            return self.check_choice_after(None, phones, dials, texts);
        }
        // Of two conversations of the same moment either may count as the last.
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
                format!("{phone:?} is given {dials}, and should be given one of {best:?}; the last talk was {last:?}")
            })?;
        }
        let differ_or_cannot = dials[0] != dials[1] || best.iter().all(|best| best.len() == 1);
        ensure(differ_or_cannot, || format!("both are given {}, and need not be: {best:?}", dials[0]))
    }

    /// Of the numbers that are free for a phone, those that are as good as any.
    fn best_numbers(&self, phone: &RealNumber, last: Option<ConversationId>, texts: bool) -> Vec<&VirtualNumber> {
        let free = self.free_numbers(phone);
        let can_text = |number: &PoolNumber| number.features.contains(&Feature::Sms);
        let rank = |(number, distance): &(&PoolNumber, usize)| {
            let could_be_better = free.iter().any(|(other, as_far)| as_far == distance && can_text(other));
            let mute = texts && !can_text(number) && could_be_better;
            let key = self.keys.get(&(phone.clone(), number.number.clone()));
            let again = !mute && key.is_some_and(|key| last.is_some_and(|last| key.remembered().contains(&last)));
            (!again, *distance, mute)
        };
        let best = free.iter().map(rank).min();
        free.iter().filter(|number| Some(rank(number)) == best).map(|(number, _)| &number.number).collect()
    }

    /// What is worth counting about the numbers of a new conversation.
    pub fn kind_of_choice(&self, created: &Conversation) -> &'static str {
        let phones = created.participants.each_ref().map(|participant| participant.number.clone());
        let last = self.last_in_common(&phones);
        let again = |participant: &&Participant| {
            let key = self.keys.get(&(participant.number.clone(), participant.dials.clone()));
            key.is_some_and(|key| last.iter().any(|last| key.remembered().contains(last)))
        };
        match (last.is_empty(), created.participants.iter().filter(again).count()) {
            (true, _) => "the first of two people",
            (false, 2) => "both numbers again",
            (false, 1) => "one number again",
            _ => "other numbers than before",
        }
    }

    /// The latest conversation that both phones' keys remember; several, if they were created in the same moment.
    fn last_in_common(&self, phones: &[RealNumber; 2]) -> Vec<ConversationId> {
        let [of_a, of_b] = phones.each_ref().map(|phone| {
            let keys = self.keys.iter().filter(|((caller, _), _)| caller == phone);
            keys.flat_map(|(_, key)| key.remembered().iter().copied()).collect::<BTreeSet<_>>()
        });
        let common: Vec<_> = of_a.intersection(&of_b).copied().collect();
        let latest = common.iter().map(|id| id.created_at()).max();
        common.into_iter().filter(|id| Some(id.created_at()) == latest).collect()
    }
}
