//! The routes of one caller: the virtual numbers under which a real number has, or had, a route.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::domain::call_limits::CallLimits;
use crate::domain::conversation::ConversationId;
use crate::domain::judge::LookedUp;
use crate::domain::overlap::overlapping;
use crate::domain::phone::{RealNumber, VirtualNumber};

/// Maximum length of a route's history. A route then fits into 1 KB, which is one write unit.
const MAX_HISTORY: usize = 12;

/// Maximum number of conversations of the same two people on one route key whose calls may go on at the same time. An event
/// of a call is looked for in each of them.
const MAX_OVERLAPPING: usize = 4;

/// Time after which a route that cannot be read may be free, as far as a refusal tells. It is in use whenever it is found.
const UNKNOWN_IN_USE: SignedDuration = SignedDuration::from_hours(24);

/// A route as read for one caller: live, in quarantine, or free with its history.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CallerRoute {
    /// Its last conversation; `None` if that was erased.
    #[serde(default)]
    pub conversation: Option<ConversationId>,
    /// The time from which that conversation connects no calls.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub expires_at: Timestamp,
    /// The time from which the route key is free.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub quarantined_until: Timestamp,
    /// The phone that it last led to; `None` if that was erased.
    #[serde(default)]
    pub connect_to: Option<RealNumber>,
    /// Conversations before the last one, latest first.
    #[serde(default, rename = "earlier")]
    pub previous: Vec<ConversationId>,
    /// The carrier's verdict about the caller's number when the route was created, if the carrier was asked.
    #[serde(default)]
    pub looked_up: Option<LookedUp>,
    /// Limits of its calls; `None` if the conversation was erased.
    #[serde(default)]
    pub limits: Option<CallLimits>,
    /// See [`Route::overlap_until`](crate::domain::route::Route::overlap_until).
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional")]
    pub overlap_until: Option<Timestamp>,
    /// True if the caller dials another number in the same conversation by now.
    #[serde(default)]
    pub is_replaced: bool,
    /// Set if it is no route but a [hold](crate::domain::route::Hold): the caller only receives under this number.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional")]
    pub held_at: Option<Timestamp>,
}

impl CallerRoute {
    /// Creates a hold that was found at `now` and lasts until that time.
    pub fn held(until: Timestamp, now: Timestamp) -> Self {
        Self {
            conversation: None,
            expires_at: until,
            quarantined_until: until,
            connect_to: None,
            previous: Vec::new(),
            looked_up: None,
            limits: None,
            overlap_until: None,
            is_replaced: false,
            held_at: Some(now),
        }
    }

    /// Creates a route that was found at `now` and cannot be read. It is in use, and of nobody who is known.
    pub fn unknown(now: Timestamp) -> Self {
        Self { held_at: None, ..Self::held(now + UNKNOWN_IN_USE, now) }
    }

    /// True if it is in use at `now`: live or in quarantine.
    pub fn is_in_use(&self, now: Timestamp) -> bool {
        now < self.quarantined_until
    }

    /// True if at `now` it is free for the caller and the person with the phone `other`: it is not in use, or it is in the
    /// quarantine of their own last conversation on it. A call that comes late then reaches whom it was meant for.
    pub fn is_free_with(&self, other: &RealNumber, now: Timestamp) -> bool {
        let connects = || self.connect_to.as_ref().is_some_and(|connect_to| connect_to.is_same_phone(other));
        let is_theirs = || !self.is_replaced && connects();
        let overlapping = || overlapping(now, self.history(), now).count();
        !self.is_in_use(now) || self.expires_at <= now && is_theirs() && overlapping() <= MAX_OVERLAPPING
    }

    /// Returns the time until which its calls may go on after its end, if it is still in quarantine at `now`.
    pub fn overlap_at(&self, now: Timestamp) -> Option<Timestamp> {
        let longest_call = |limits: CallLimits| SignedDuration::from_secs(limits.max_call_seconds.into());
        let calls_until =
            self.limits.filter(|_| self.is_in_use(now)).map(|limits| self.expires_at + longest_call(limits));
        calls_until.max(self.overlap_until.filter(|until| now < *until))
    }

    /// Returns the length of its quarantine, in seconds.
    pub fn quarantine_seconds(&self) -> u32 {
        let seconds = self.quarantined_until.as_second() - self.expires_at.as_second();
        u32::try_from(seconds).unwrap_or_default()
    }

    /// True if it is a hold in use at `now`: conversations in which the caller only receives can share it.
    pub fn is_held(&self, now: Timestamp) -> bool {
        self.held_at.is_some() && self.is_in_use(now)
    }

    /// Returns all its conversations, latest first.
    pub fn history(&self) -> impl Iterator<Item = ConversationId> {
        self.conversation.into_iter().chain(self.previous.iter().copied())
    }

    /// Returns the history for the next conversation on this route key.
    pub fn history_for_next(&self) -> Vec<ConversationId> {
        self.history().take(MAX_HISTORY).collect()
    }
}

/// The routes of one caller, as far as they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallerRoutes {
    /// By virtual number, in use or not.
    pub by_number: HashMap<VirtualNumber, CallerRoute>,
    /// True if the caller's number is in the pool. It is then not a real number.
    pub is_virtual: bool,
    /// The numbers from which the caller wants no texts, as far as they were read.
    pub opted_out: HashSet<VirtualNumber>,
    /// The routes that were read.
    pub extent: Extent,
}

/// The routes of one caller that were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Extent {
    /// All of them.
    #[default]
    All,
    /// Only the hold under which the caller receives, of a caller who will not dial.
    Line,
    /// Some of them, because the caller has very many.
    Some {
        /// The numbers under which a route was looked for, and found or not.
        probed: HashSet<VirtualNumber>,
    },
}

/// Number of routes that a caller uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoutesInUse {
    /// Routes that connect calls.
    pub live: usize,
    /// Routes in quarantine.
    pub quarantined: usize,
}

impl CallerRoutes {
    /// Adds a route that is stored under the other spelling of the caller's phone. It counts only while it is in use, and is
    /// given to nobody in its quarantine: new routes have the canonical spelling, so that only the history under that one
    /// can be continued.
    pub fn add_other_spelling(&mut self, number: VirtualNumber, route: CallerRoute, now: Timestamp) {
        if route.is_in_use(now) {
            let canonical = self.by_number.get(&number).map(CallerRoute::history_for_next);
            let previous = canonical.unwrap_or_default();
            self.by_number.insert(number, CallerRoute { previous, connect_to: None, ..route });
        }
    }

    /// Adds the routes in use at `now` of another phone of the same side, of which all routes were read. Their numbers are given to
    /// this side only when they are free for that phone as well, and those from which it wants no texts are not wanted by the side. The holds of phones that only receive are shared.
    pub fn occupy(&mut self, other: &Self, only_receives: bool, now: Timestamp) {
        let is_shared = |route: &CallerRoute| only_receives && route.is_held(now);
        for (number, route) in other.in_use(now).filter(|(_, route)| !is_shared(route)) {
            let own = self.by_number.get(number).map(|own| own.quarantined_until);
            let until = own.map_or(route.quarantined_until, |own| own.max(route.quarantined_until));
            let occupied = CallerRoute { held_at: None, ..CallerRoute::held(until, now) };
            self.by_number.insert(number.clone(), occupied);
        }
        self.opted_out.extend(other.opted_out.iter().cloned());
    }

    /// True if it is known that this caller has no route under `number`, not even a past one.
    pub fn has_no(&self, number: &VirtualNumber) -> bool {
        match &self.extent {
            _ if self.by_number.contains_key(number) => false,
            Extent::All => true,
            Extent::Line => false,
            Extent::Some { probed } => probed.contains(number),
        }
    }

    /// Adds other routes of the same caller.
    pub fn learn(&mut self, found: Self) {
        self.by_number.extend(found.by_number);
        self.is_virtual |= found.is_virtual;
        self.opted_out.extend(found.opted_out);
        match (&mut self.extent, found.extent) {
            (Extent::Some { probed }, Extent::Some { probed: more }) => probed.extend(more),
            (extent, Extent::All) => *extent = Extent::All,
            (extent @ Extent::Line, more) => *extent = more,
            (Extent::All | Extent::Some { .. }, Extent::Some { .. } | Extent::Line) => {}
        }
    }

    /// True if the caller may have routes that were not read.
    pub fn is_partial(&self) -> bool {
        self.extent != Extent::All
    }

    /// Returns the latest verdict of the carrier about this caller's number that holds at `now`.
    pub fn looked_up(&self, now: Timestamp) -> Option<LookedUp> {
        let verdicts = self.by_number.values().filter_map(|route| route.looked_up);
        verdicts.filter(|verdict| verdict.holds(now)).max_by_key(|verdict| verdict.at)
    }

    /// Returns the routes in use at `now`.
    pub fn in_use(&self, now: Timestamp) -> impl Iterator<Item = (&VirtualNumber, &CallerRoute)> {
        self.by_number.iter().filter(move |(_, route)| route.is_in_use(now))
    }

    /// Returns the share of the probed numbers that this caller uses at `now`, or `None` if all routes were read.
    pub fn share_in_use(&self, now: Timestamp) -> Option<f64> {
        let Extent::Some { probed } = &self.extent else { return None };
        let is_in_use = |number: &&VirtualNumber| self.by_number.get(number).is_some_and(|route| route.is_in_use(now));
        let in_use = probed.iter().filter(is_in_use).count();
        Some(in_use as f64 / probed.len().max(1) as f64)
    }

    /// Counts the routes in use at `now`.
    pub fn count_in_use(&self, now: Timestamp) -> RoutesInUse {
        let live = self.in_use(now).filter(|(_, route)| now < route.expires_at).count();
        RoutesInUse { live, quarantined: self.in_use(now).count() - live }
    }
}

impl RoutesInUse {
    /// Returns the sum.
    pub fn total(self) -> usize {
        self.live + self.quarantined
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::phone::PhoneNumber;

    #[test]
    fn number_in_use_by_another_phone_of_the_side_is_occupied() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let until = |seconds| now + SignedDuration::from_secs(seconds);
        let number = |digits: &str| VirtualNumber::from(PhoneNumber::try_from(digits).unwrap());
        let [free, used, held] = ["447451000001", "447451000002", "447451000003"].map(number);
        let routes = |entries: Vec<(&VirtualNumber, CallerRoute)>| CallerRoutes {
            by_number: entries.into_iter().map(|(number, route)| (number.clone(), route)).collect(),
            ..CallerRoutes::default()
        };
        let other = routes(vec![
            (&free, CallerRoute::unknown(now - UNKNOWN_IN_USE)),
            (&used, CallerRoute::unknown(now)),
            (&held, CallerRoute::held(until(10), now)),
        ]);
        let mut dials = routes(vec![(&held, CallerRoute::held(until(20), now))]);
        let mut receives = dials.clone();
        dials.occupy(&other, false, now);
        receives.occupy(&other, true, now);
        assert!(dials.has_no(&free) && dials.by_number[&used].is_in_use(now) && !dials.by_number[&held].is_held(now));
        assert_eq!(dials.by_number[&held].quarantined_until, until(20));
        assert!(receives.by_number[&used].is_in_use(now) && receives.by_number[&held].is_held(now), "holds are shared");
    }

    #[test]
    fn other_spelling_occupies_number_until_it_is_free() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let at = |seconds| now + SignedDuration::from_secs(seconds);
        let ids = [0, 1, 2].map(|second| ConversationId::generate(at(second)));
        let route = |conversation, until| CallerRoute {
            conversation: Some(conversation),
            expires_at: at(until - 60),
            held_at: None,
            ..CallerRoute::held(at(until), now)
        };
        let number = |digits: &str| VirtualNumber::from(PhoneNumber::try_from(digits).unwrap());
        let (first, second) = (number("447451000001"), number("447451000002"));
        let mut routes = CallerRoutes::default();
        routes.by_number.insert(first.clone(), route(ids[0], -1));
        routes.add_other_spelling(first.clone(), route(ids[1], 100), now);
        routes.add_other_spelling(second.clone(), route(ids[2], 0), now);
        let other = RealNumber::from(PhoneNumber::try_from("447700900001").unwrap());
        assert!(!routes.by_number[&first].is_free_with(&other, now) && routes.has_no(&second));
        let found = &routes.by_number[&first];
        assert_eq!((found.conversation, found.previous.as_slice()), (Some(ids[1]), &ids[..1]));
        assert_eq!(routes.by_number.len(), 1);
    }
}
