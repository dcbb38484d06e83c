//! What has to be true after every step, of the whole table.

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

use crate::model::{Key, Model, RECORDS_KEPT, Talk, Verdict, ensure, key_name};
use crate::table::Table;

/// Every invariant that the table shows.
pub fn check(model: &Model, table: &Table) -> Verdict {
    check_conversations(model, table)?;
    check_routes(model, table)?;
    check_destinations(model, table)?;
    check_requests(model, table)?;
    check_pool(model, table)
}

/// An acknowledged conversation is there as it was acknowledged, and no other one is.
fn check_conversations(model: &Model, table: &Table) -> Verdict {
    let expected: BTreeMap<_, _> = model.talks.iter().map(|(id, talk)| (*id, &talk.is)).collect();
    same("conversation", &expected, &table.conversations.iter().map(|(id, found)| (*id, found)).collect())?;
    let erased: BTreeMap<_, _> = model.erased.keys().map(|id| (*id, ())).collect();
    same("erased conversation", &erased, &table.erased.iter().map(|id| (*id, ())).collect())?;
    let missing = model.redactions.iter().find(|id| !table.redactions.contains(*id));
    ensure(missing.is_none(), || format!("nobody redacts {missing:?}"))
}

/// A (caller, number) pair belongs to the conversation to which it was given, for as long as it was given; and no other
/// pair belongs to anybody.
fn check_routes(model: &Model, table: &Table) -> Verdict {
    let facts = |holder: &KeyOwner| match holder {
        KeyOwner::Route(route) => Key {
            side: Some(route.side),
            expires_at: route.expires_at,
            quarantined_until: route.quarantined_until,
            history: std::iter::once(route.conversation).chain(route.earlier.iter().copied()).collect(),
        },
        KeyOwner::Erased(erased) => Key {
            side: None,
            expires_at: erased.expires_at,
            quarantined_until: erased.quarantined_until,
            history: vec![erased.conversation],
        },
    };
    let found: BTreeMap<_, _> = table.routes.iter().map(|(name, route)| (name.clone(), facts(route))).collect();
    same("route", &model.keys, &found)?;
    for (name, key) in &model.keys {
        let item = (format!("CALLER#{}", name.0.expose()), format!("NUMBER#{}", name.1));
        let ttl = table.ttl.get(&item);
        let in_time = |ttl: &Timestamp| match key.side {
            Some(_) => *ttl >= key.quarantined_until,
            None => *ttl == key.quarantined_until,
        };
        ensure(ttl.is_some_and(in_time), || format!("{name:?} may be deleted at {ttl:?}"))?;
        let in_pool = model.numbers.contains_key(&name.1) || !key.is_held(model.now);
        ensure(in_pool, || format!("{name:?} is held, and the number is not in the pool"))?;
    }
    Ok(())
}

/// A call connects to the other participant of the live conversation that it belongs to, from the number that this one
/// dials, or to nobody.
fn check_destinations(model: &Model, table: &Table) -> Verdict {
    let mut live = BTreeMap::new();
    for talk in model.talks.values().filter(|talk| talk.is_live(model.now)) {
        for side in Side::BOTH {
            let other = &talk.is.participants[side.other().index()];
            let leads_to = Destination::Participant {
                conversation: talk.is.id,
                connect_to: other.number.clone(),
                present_as: other.dials.clone(),
                limits: talk.is.limits,
            };
            let taken = live.insert(key_name(&talk.is, side), leads_to);
            ensure(taken.is_none(), || format!("{talk:?} and {taken:?} have the same key"))?;
        }
    }
    for (name, route) in &table.routes {
        let found = destination(Some(route.clone()), model.now);
        let expected = live.remove(name).unwrap_or_else(|| model.destination_of_no_talk(name));
        ensure(found == expected, || format!("{name:?} leads to {found:?}, and should lead to {expected:?}"))?;
    }
    ensure(live.is_empty(), || format!("there is no route for {live:?}"))
}

fn check_requests(model: &Model, table: &Table) -> Verdict {
    let expected: BTreeMap<_, _> = model
        .requests
        .iter()
        .map(|(key, asked)| (key.clone(), (asked.conversation, asked.fingerprint.clone())))
        .collect();
    same("request", &expected, &table.requests)
}

/// The numbers, the list of the ready ones and the rent go together.
fn check_pool(model: &Model, table: &Table) -> Verdict {
    same("number", &model.numbers, &table.numbers)?;
    let ready = model.numbers.values().filter(|number| number.state == NumberState::Ready);
    let ready: BTreeMap<_, _> = ready
        .map(|number| (number.number.clone(), (number.country.to_string(), number.features.contains(&Feature::Sms))))
        .collect();
    same("ready number", &ready, &table.ready)?;
    ensure(table.ready_versions[0] == table.ready_versions[1], || format!("versions {:?}", table.ready_versions))?;
    let cost: Decimal = model.numbers.values().filter_map(|number| number.monthly_cost).sum();
    let ledger = table.monthly_cost.as_deref().map(|cost| cost.trim_matches('"').parse::<Decimal>().unwrap());
    ensure(ledger.unwrap_or_default() == cost, || format!("the rent is {cost}, and the ledger says {ledger:?}"))?;
    let known = model.numbers.keys().map(|number| (number.clone(), None));
    let gone = model.gone.iter().map(|(number, until)| (number.clone(), Some(*until)));
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
        ensure(expected == found, || {
            format!("{what} {key:?} is\n      {found:?}\n    and should be\n      {expected:?}")
        })?;
    }
    Ok(())
}

impl Model {
    /// Where a call leads under a key that no live conversation has.
    pub fn destination_of_no_talk(&self, name: &(RealNumber, VirtualNumber)) -> Destination {
        match self.keys.get(name).filter(|key| key.is_held(self.now)) {
            Some(key) => Destination::Ended(key.history[0]),
            None => Destination::Nobody,
        }
    }

    /// Where a call leads.
    pub fn destination(&self, name: &(RealNumber, VirtualNumber)) -> Destination {
        for talk in self.talks.values().filter(|talk| talk.is_live(self.now)) {
            for side in Side::BOTH {
                if key_name(&talk.is, side) == *name {
                    let (_, present_as) = key_name(&talk.is, side.other());
                    let connect_to = talk.is.participants[side.other().index()].number.clone();
                    let (conversation, limits) = (talk.is.id, talk.is.limits);
                    return Destination::Participant { conversation, connect_to, present_as, limits };
                }
            }
        }
        self.destination_of_no_talk(name)
    }

    /// What a creation reads of a caller.
    pub fn check_keys(&self, caller: &RealNumber, found: &CallerRoutes) -> Verdict {
        let expected: BTreeSet<_> = self.held_keys(caller).map(|(number, _)| number).collect();
        let held: BTreeSet<_> = found.held(self.now).map(|(number, _)| number).collect();
        ensure(held == expected, || format!("{caller:?} holds {expected:?}, and {held:?} is read"))?;
        ensure(found.is_virtual == self.is_virtual(caller), || format!("{caller:?}: virtual? {}", found.is_virtual))
    }

    /// What a creation reads of the pool.
    pub fn check_ready(&self, found: &ReadyPool) -> Verdict {
        let ready = self.numbers.values().filter(|number| number.state == NumberState::Ready);
        let expected: BTreeSet<_> = ready.map(|number| &number.number).collect();
        let found: BTreeSet<_> = found.numbers.iter().map(|ready| &ready.number).collect();
        ensure(found == expected, || format!("{expected:?} are ready, and {found:?} are read"))
    }

    /// Takes over what is known of texts. `exactly`: nothing ran beside, and nothing was cut off, so that the table has
    /// to say what the last answer said.
    pub fn accept_texts(&mut self, table: &Table, exactly: bool) -> Verdict {
        for (id, talk) in &mut self.talks {
            let Some(found) = table.conversations.get(id) else { continue };
            for side in Side::BOTH {
                let index = side.index();
                let (before, now) =
                    (&mut talk.is.participants[index].notification, &found.participants[index].notification);
                let may = before == now || !exactly && may_become(before, now);
                ensure(may, || format!("the text of {id:?} to {side:?} was {before:?} and is {now:?}"))?;
                before.clone_from(now);
            }
            talk.is.carrier_records.clone_from(&found.carrier_records);
        }
        Ok(())
    }

    /// Forgets what the table has deleted, which has to be what nobody can see any more.
    pub fn forget(&mut self, deleted: &BTreeSet<(String, String)>) -> Verdict {
        let now = self.now;
        let is_deleted = |pk: String, sk: String| deleted.contains(&(pk, sk));
        let route = |name: &(RealNumber, VirtualNumber)| {
            is_deleted(format!("CALLER#{}", name.0.expose()), format!("NUMBER#{}", name.1))
        };
        let talk = |id: &ConversationId| is_deleted(format!("CONVERSATION#{id}"), "CONVERSATION".to_owned());
        let request = |key: &String| is_deleted(format!("REQUEST#{key}"), "REQUEST".to_owned());
        let own = |number: &VirtualNumber| is_deleted(format!("CALLER#{number}"), "POOL".to_owned());

        let kept = |key: &Key| key.quarantined_until + key.side.map_or(SignedDuration::ZERO, |_| RECORDS_KEPT);
        let too_early = self.keys.iter().find(|(name, key)| route(name) && now < kept(key));
        ensure(too_early.is_none(), || format!("{too_early:?} is deleted"))?;
        let too_early = self.talks.iter().find(|(id, kept)| talk(id) && kept.is_kept(now));
        ensure(too_early.is_none(), || format!("{too_early:?} is deleted"))?;
        let too_early = self.requests.iter().find(|(key, asked)| request(key) && now < asked.until);
        ensure(too_early.is_none(), || format!("{too_early:?} is deleted"))?;
        let too_early = self.numbers.keys().find(|number| own(number));
        ensure(too_early.is_none(), || format!("{too_early:?} is deleted"))?;

        self.keys.retain(|name, _| !route(name));
        self.talks.retain(|id, _| !talk(id));
        self.erased.retain(|id, _| !talk(id));
        self.redactions.retain(|id| !is_deleted("REDACTION".to_owned(), format!("sms#{id}")));
        self.requests.retain(|key, _| !request(key));
        self.gone.retain(|number, _| !own(number));
        Ok(())
    }
}

/// Whether that may be written of a text in one go, or by two at the same time.
fn may_become(before: &Notification, now: &Notification) -> bool {
    use Notification::{Failed, Pending, Sent, Unknown};
    match (before, now) {
        // A claim, and then perhaps its outcome.
        (Pending | Failed(_), Failed(_) | Sent | Unknown(_)) | (Unknown(_), Failed(_) | Sent | Unknown(_)) => true,
        (before, now) => before == now,
    }
}

/// The largest counts of keys that callers have held, and what the table says of them.
#[derive(Debug, Default)]
pub struct PeakUsage {
    /// By country, day until which it counts, and count: at least that has to be written down.
    least: BTreeMap<(String, Date), usize>,
    /// More than that was never held.
    most: BTreeMap<String, usize>,
}

impl PeakUsage {
    /// Notes what the participants of a conversation hold that was just acknowledged; `before` is how things were
    /// before the step. Another one that is created at the same moment cannot be known of.
    pub fn note(&mut self, before: &Model, created: &Talk) {
        let until = day(before.now + 7 * crate::model::DAY);
        for participant in &created.is.participants {
            let held = before.held_keys(&participant.number).count() + 1;
            let least = self.least.entry((participant.country.to_string(), until)).or_default();
            *least = held.max(*least);
        }
    }

    /// What the schedule reads.
    pub fn check_as_read(&self, now: Timestamp, found: &shared::domain::peak_usage::PeakUsage) -> Verdict {
        let today = day(now);
        for ((country, until), least) in self.least.iter().filter(|((_, until), _)| *until >= today) {
            let mark = found.of(crate::world::country(country), today);
            ensure(mark >= *least, || {
                format!("{least} keys were held in {country} until {until}, and {mark} are read")
            })?;
        }
        Ok(())
    }

    pub fn check(&mut self, model: &Model, table: &Table) -> Verdict {
        let mut held: BTreeMap<&RealNumber, usize> = BTreeMap::new();
        for ((caller, _), _) in model.keys.iter().filter(|(_, key)| key.is_held(model.now)) {
            *held.entry(caller).or_default() += 1;
        }
        for (caller, held) in held {
            let most = self.most.entry(crate::world::country_of(caller.expose()).to_string()).or_default();
            *most = held.max(*most);
        }
        let today = day(model.now);
        self.least.retain(|(_, until), _| *until >= today);
        for ((country, until), least) in &self.least {
            let marks = table.held.iter().filter(|((of, day), _)| of == country && day >= until);
            let mark = marks.map(|(_, held)| *held).max().unwrap_or_default();
            ensure(mark >= *least, || {
                format!("a caller of {country} has held {least} keys, and {mark} are written down until {until}")
            })?;
        }
        for ((country, day), held) in &table.held {
            let most = self.most.get(country).copied().unwrap_or_default();
            ensure(*held <= most, || {
                format!("{held} is written down for {country} on {day}, and {most} was the most")
            })?;
        }
        Ok(())
    }
}

fn day(time: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(time).date()
}
