//! Invariants of the whole table, checked after every step.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use shared::domain::caller_routes::CallerRoutes;
use shared::domain::conversation::{ConversationId, Notification};
use shared::domain::phone::{RealNumber, VirtualNumber};
use shared::domain::pool::{Feature, NumberState};
use shared::domain::route::{Destination, KeyOwner, destination};
use shared::domain::side::Side;
use shared::store::ReadyPool;

use crate::model::{Model, ModelConversation, ModelRoute, RECORDS_KEPT, Verdict, ensure, route_key};
use crate::table::Table;

/// Checks all invariants of the table.
pub fn check(model: &Model, table: &Table) -> Verdict {
    check_conversations(model, table)?;
    check_routes(model, table)?;
    check_destinations(model, table)?;
    check_requests(model, table)?;
    check_pool(model, table)
}

/// Checks that every acknowledged conversation is stored as acknowledged, and that no other one is stored.
fn check_conversations(model: &Model, table: &Table) -> Verdict {
    let expected: BTreeMap<_, _> =
        model.conversations.iter().map(|(id, conversation)| (*id, &conversation.expected)).collect();
    same("conversation", &expected, &table.conversations.iter().map(|(id, found)| (*id, found)).collect())?;
    let erased: BTreeMap<_, _> = model.erased.keys().map(|id| (*id, ())).collect();
    same("erased conversation", &erased, &table.erased.iter().map(|id| (*id, ())).collect())?;
    let missing = model.redactions.iter().find(|id| !table.redactions.contains(*id));
    ensure(missing.is_none(), || format!("no redaction of carrier record {missing:?} is stored"))
}

/// Checks that each route belongs to the conversation that got it, for as long as it got it, and that there are no
/// other routes.
fn check_routes(model: &Model, table: &Table) -> Verdict {
    let facts = |owner: &KeyOwner| match owner {
        KeyOwner::Route(route) => ModelRoute {
            side: Some(route.side),
            expires_at: route.expires_at,
            quarantined_until: route.quarantined_until,
            history: std::iter::once(route.conversation).chain(route.history.iter().copied()).collect(),
        },
        KeyOwner::Erased(erased) => ModelRoute {
            side: None,
            expires_at: erased.expires_at,
            quarantined_until: erased.quarantined_until,
            history: vec![erased.conversation],
        },
    };
    let found: BTreeMap<_, _> = table.routes.iter().map(|(name, route)| (name.clone(), facts(route))).collect();
    same("route", &model.routes, &found)?;
    for (name, route) in &model.routes {
        let item = (format!("CALLER#{}", name.0.expose()), format!("NUMBER#{}", name.1));
        let ttl = table.ttl.get(&item);
        let in_time = |ttl: &Timestamp| match route.side {
            Some(_) => *ttl >= route.quarantined_until,
            None => *ttl == route.quarantined_until,
        };
        ensure(ttl.is_some_and(in_time), || format!("route {name:?} has the wrong TTL {ttl:?}"))?;
        let in_pool = model.numbers.contains_key(&name.1) || !route.is_in_use(model.now);
        ensure(in_pool, || format!("route {name:?} is in use, but its number is not in the pool"))?;
    }
    Ok(())
}

/// Checks that a call connects to the other participant of the live conversation on its route and shows the number
/// which that participant dials, or connects to nobody.
fn check_destinations(model: &Model, table: &Table) -> Verdict {
    let mut live = BTreeMap::new();
    for conversation in model.conversations.values().filter(|conversation| conversation.is_live(model.now)) {
        for side in Side::BOTH {
            let other = &conversation.expected.participants[side.other().index()];
            let leads_to = Destination::Participant {
                conversation: conversation.expected.id,
                connect_to: other.number.clone(),
                present_as: other.dials.clone(),
                limits: conversation.expected.limits,
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

fn check_requests(model: &Model, table: &Table) -> Verdict {
    let expected: BTreeMap<_, _> = model
        .requests
        .iter()
        .map(|(key, remembered)| (key.clone(), (remembered.conversation, remembered.fingerprint.clone())))
        .collect();
    same("request", &expected, &table.requests)
}

/// Checks that the numbers, the ready list and the monthly rent agree.
fn check_pool(model: &Model, table: &Table) -> Verdict {
    same("number", &model.numbers, &table.numbers)?;
    let ready = model.numbers.values().filter(|number| number.state == NumberState::Ready);
    let ready: BTreeMap<_, _> = ready
        .map(|number| (number.number.clone(), (number.country.to_string(), number.features.contains(&Feature::Sms))))
        .collect();
    same("ready number", &ready, &table.ready)?;
    ensure(table.ready_versions[0] == table.ready_versions[1], || {
        format!("the two versions of the ready list differ: {:?}", table.ready_versions)
    })?;
    let cost: Decimal = model.numbers.values().filter_map(|number| number.monthly_cost).sum();
    let ledger = table.monthly_cost.as_deref().map(|cost| cost.trim_matches('"').parse::<Decimal>().unwrap());
    ensure(ledger.unwrap_or_default() == cost, || {
        format!("the monthly rent is {cost}, but the ledger has {ledger:?}")
    })?;
    let known = model.numbers.keys().map(|number| (number.clone(), None));
    let gone = model.released.iter().map(|(number, until)| (number.clone(), Some(*until)));
    same("own number", &known.chain(gone).collect(), &table.own_numbers)
}

fn same<K: Ord + Debug, V: PartialEq + Debug>(
    what: &str,
    expected: &BTreeMap<K, V>,
    found: &BTreeMap<K, V>,
) -> Verdict {
    let keys: BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    for key in keys {
        let (expected, found) = (expected.get(key), found.get(key));
        ensure(expected == found, || format!("{what} {key:?} is\n      {found:?}\n    expected\n      {expected:?}"))?;
    }
    Ok(())
}

impl Model {
    /// The destination of a call on a route without a live conversation.
    pub fn destination_without_conversation(&self, name: &(RealNumber, VirtualNumber)) -> Destination {
        match self.routes.get(name).filter(|route| route.is_in_use(self.now)) {
            Some(route) => Destination::Ended(route.history[0]),
            None => Destination::Nobody,
        }
    }

    /// The destination of a call.
    pub fn destination(&self, name: &(RealNumber, VirtualNumber)) -> Destination {
        for conversation in self.conversations.values().filter(|conversation| conversation.is_live(self.now)) {
            for side in Side::BOTH {
                if route_key(&conversation.expected, side) == *name {
                    let (_, present_as) = route_key(&conversation.expected, side.other());
                    let connect_to = conversation.expected.participants[side.other().index()].number.clone();
                    let (conversation, limits) = (conversation.expected.id, conversation.expected.limits);
                    return Destination::Participant { conversation, connect_to, present_as, limits };
                }
            }
        }
        self.destination_without_conversation(name)
    }

    /// Checks what a creation reads about a caller.
    pub fn check_caller_routes(&self, caller: &RealNumber, found: &CallerRoutes) -> Verdict {
        let expected: BTreeSet<_> = self.routes_in_use(caller).map(|(number, _)| number).collect();
        let held: BTreeSet<_> = found.in_use(self.now).map(|(number, _)| number).collect();
        ensure(held == expected, || format!("the routes of {caller:?} are {expected:?}, but {held:?} are read"))?;
        ensure(found.is_virtual == self.is_virtual(caller), || {
            format!("{caller:?} is read as a virtual number: {}", found.is_virtual)
        })
    }

    /// Checks what a creation reads about the pool.
    pub fn check_ready(&self, found: &ReadyPool) -> Verdict {
        let ready = self.numbers.values().filter(|number| number.state == NumberState::Ready);
        let expected: BTreeSet<_> = ready.map(|number| &number.number).collect();
        let found: BTreeSet<_> = found.numbers.iter().map(|ready| &ready.number).collect();
        ensure(found == expected, || format!("numbers {expected:?} are ready, but {found:?} are read"))
    }

    /// Takes over the notification states from the table. If `undisturbed`, only one operation ran and nothing was cut
    /// off, so the table must agree with the last answer.
    pub fn accept_texts(&mut self, table: &Table, undisturbed: bool) -> Verdict {
        for (id, conversation) in &mut self.conversations {
            let Some(found) = table.conversations.get(id) else { continue };
            for side in Side::BOTH {
                let index = side.index();
                let (before, now) = (
                    &mut conversation.expected.participants[index].notification,
                    &found.participants[index].notification,
                );
                let may = before == now || !undisturbed && may_become(before, now);
                ensure(may, || format!("the notification of {id:?} {side:?} changed from {before:?} to {now:?}"))?;
                before.clone_from(now);
            }
            conversation.expected.carrier_records.clone_from(&found.carrier_records);
        }
        Ok(())
    }

    /// Removes what the table has deleted. Only data that nobody can read any more may be deleted.
    pub fn forget(&mut self, deleted: &BTreeSet<(String, String)>) -> Verdict {
        let now = self.now;
        let is_deleted = |pk: String, sk: String| deleted.contains(&(pk, sk));
        let is_deleted_route = |name: &(RealNumber, VirtualNumber)| {
            is_deleted(format!("CALLER#{}", name.0.expose()), format!("NUMBER#{}", name.1))
        };
        let conversation = |id: &ConversationId| is_deleted(format!("CONVERSATION#{id}"), "CONVERSATION".to_owned());
        let request = |key: &String| is_deleted(format!("REQUEST#{key}"), "REQUEST".to_owned());
        let own = |number: &VirtualNumber| is_deleted(format!("CALLER#{number}"), "POOL".to_owned());

        let expiry =
            |route: &ModelRoute| route.quarantined_until + route.side.map_or(SignedDuration::ZERO, |_| RECORDS_KEPT);
        let too_early = self.routes.iter().find(|(name, route)| is_deleted_route(name) && now < expiry(route));
        ensure(too_early.is_none(), || format!("{too_early:?} was deleted too early"))?;
        let too_early = self.conversations.iter().find(|(id, found)| conversation(id) && found.is_readable(now));
        ensure(too_early.is_none(), || format!("{too_early:?} was deleted too early"))?;
        let too_early = self.requests.iter().find(|(key, remembered)| request(key) && now < remembered.until);
        ensure(too_early.is_none(), || format!("{too_early:?} was deleted too early"))?;
        let too_early = self.numbers.keys().find(|number| own(number));
        ensure(too_early.is_none(), || format!("{too_early:?} was deleted too early"))?;

        self.routes.retain(|name, _| !is_deleted_route(name));
        self.conversations.retain(|id, _| !conversation(id));
        self.erased.retain(|id, _| !conversation(id));
        self.redactions.retain(|id| !is_deleted("REDACTION".to_owned(), format!("sms#{id}")));
        self.requests.retain(|key, _| !request(key));
        self.released.retain(|number, _| !own(number));
        Ok(())
    }
}

/// True if a notification may change like this within one step.
fn may_become(before: &Notification, now: &Notification) -> bool {
    use Notification::{Failed, Pending, Sent, Unknown};
    match (before, now) {
        // The text message is claimed first; the outcome may follow.
        (Pending | Failed(_), Failed(_) | Sent | Unknown(_)) | (Unknown(_), Failed(_) | Sent | Unknown(_)) => true,
        (before, now) => before == now,
    }
}

/// The largest numbers of routes that callers had at once, and what the table says about them.
#[derive(Debug, Default)]
pub struct PeakUsage {
    /// The least peak usage that must be stored, by country and last day on which it counts.
    least: BTreeMap<(String, Date), usize>,
    /// The largest number of routes that any caller of the country had at once.
    most: BTreeMap<String, usize>,
}

impl PeakUsage {
    /// Records the routes in use of both participants of a conversation that was just acknowledged. `before` is the
    /// state before the step. A second conversation of the same step may be missing there, so the result is a lower
    /// bound.
    pub fn note(&mut self, before: &Model, created: &ModelConversation) {
        let until = day(before.now + 7 * crate::model::DAY);
        for participant in &created.expected.participants {
            let held = before.routes_in_use(&participant.number).count() + 1;
            let least = self.least.entry((participant.country.to_string(), until)).or_default();
            *least = held.max(*least);
        }
    }

    /// Checks the peak usage as the schedule reads it.
    pub fn check_as_read(&self, now: Timestamp, found: &shared::domain::peak_usage::PeakUsage) -> Verdict {
        let today = day(now);
        for ((country, until), least) in self.least.iter().filter(|((_, until), _)| *until >= today) {
            let mark = found.of(crate::scenario::country(country), today);
            ensure(mark >= *least, || {
                format!("the peak usage of {country} until {until} is {least}, but {mark} is read")
            })?;
        }
        Ok(())
    }

    pub fn check(&mut self, model: &Model, table: &Table) -> Verdict {
        let mut held: BTreeMap<&RealNumber, usize> = BTreeMap::new();
        for ((caller, _), _) in model.routes.iter().filter(|(_, route)| route.is_in_use(model.now)) {
            *held.entry(caller).or_default() += 1;
        }
        for (caller, held) in held {
            let most = self.most.entry(crate::scenario::country_of(caller.expose()).to_string()).or_default();
            *most = held.max(*most);
        }
        let today = day(model.now);
        self.least.retain(|(_, until), _| *until >= today);
        for ((country, until), least) in &self.least {
            let marks = table.peak_usage.iter().filter(|((of, day), _)| of == country && day >= until);
            let mark = marks.map(|(_, held)| *held).max().unwrap_or_default();
            ensure(mark >= *least, || {
                format!("a caller of {country} had {least} routes, but the stored peak usage until {until} is {mark}")
            })?;
        }
        for ((country, day), held) in &table.peak_usage {
            let most = self.most.get(country).copied().unwrap_or_default();
            ensure(*held <= most, || {
                format!(
                    "the stored peak usage of {country} on {day} is {held}, but no caller had more than {most} routes"
                )
            })?;
        }
        Ok(())
    }
}

fn day(time: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(time).date()
}
