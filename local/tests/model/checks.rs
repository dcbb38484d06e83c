//! Invariants of the whole table, checked after every step.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use jiff::Timestamp;
use rust_decimal::Decimal;
use shared::domain::caller_routes::CallerRoutes;
use shared::domain::conversation::{Notification, Participant};
use shared::domain::judge::Judge;
use shared::domain::phone::RealNumber;
use shared::domain::pool::{Feature, NumberState, PoolNumber};
use shared::domain::ready_pool::{PartName, ReadyPool};
use shared::domain::route::{KeyOwner, Route};
use shared::domain::side::Side;
use shared::domain::tenant::Owner;
use shared::store::PartState;

use crate::destinations::check_destinations;
use crate::lists::check_lists;
use crate::missed_calls::Telling;
use crate::model::{Model, ModelRoute, NET, RECORDS_KEPT, RouteKey, Verdict, ensure};
use crate::owners;
use crate::phones::{keys_of, members, moves};
use crate::pin_checks::check_pins;
use crate::scenario::{canonical, country_of};
use crate::table::Table;

/// Checks all invariants of the table.
pub fn check(model: &Model, table: &Table) -> Verdict {
    check_conversations(model, table)?;
    check_participations(model, table)?;
    check_lists(model, table)?;
    check_routes(model, table)?;
    check_receivers(model, table)?;
    check_destinations(model, table)?;
    check_requests(model, table)?;
    check_told(model, table)?;
    check_pins(model, table)?;
    check_journal(model, table)?;
    owners::check(model, table)?;
    check_pool(model, table)
}

/// Checks that the journal has the last change of each conversation and all of its route keys, and no keys of others.
fn check_journal(model: &Model, table: &Table) -> Verdict {
    for (id, conversation) in &model.conversations {
        let is = &conversation.expected;
        let change = table.changes.get(id);
        let is_recorded = change.is_some_and(|change| {
            let found =
                (change.revision, change.expires_at, change.ended_at, change.erased_at, change.ended_by_restore);
            found == (is.revision, is.expires_at, is.ended_at, None, false) && change.moves == moves(&is.participants)
        });
        ensure(is_recorded == (is.revision > 0) && (is_recorded || change.is_none()), || {
            format!("{change:?} is recorded of {is:?}")
        })?;
        if model.now < conversation.quarantined_until() {
            let receiver = is.direction.receiver();
            let found = table.keys.get(id).ok_or_else(|| format!("no keys of {is:?} are recorded"))?;
            let known = found.keys.keys().cloned().collect::<BTreeSet<_>>();
            ensure(known == model.keys[id], || format!("{found:?} is recorded of {is:?}, not {:?}", model.keys[id]))?;
            ensure(found.until == conversation.quarantined_until() && found.moves == moves(&is.participants), || {
                format!("{found:?} is recorded of {is:?}")
            })?;
            // The same phone may have dialled before, as that of the other side.
            let is_received = |(phone, number): &RouteKey| {
                let is_theirs = |one: &Participant| {
                    members(is, receiver.unwrap()).any(|own| canonical(own.number) == *phone)
                        && one.all_seen().any(|seen| seen == number)
                };
                receiver.is_some_and(|side| is_theirs(is.participant(side)))
            };
            let mut receiving = found.keys.iter().filter(|(key, _)| is_received(key));
            ensure(receiving.all(|(_, tenure)| tenure == "receives"), || format!("{found:?} of {is:?}"))?;
        }
    }
    for (id, until) in &model.erased {
        let change = table.changes.get(id);
        ensure(change.is_some_and(|change| change.erased_at.is_some() && change.ended_at.is_some()), || {
            format!("{change:?} is recorded of the erased {id:?}")
        })?;
        if model.now + RECORDS_KEPT < *until {
            let found = table.keys.get(id).map(|found| found.keys.keys().cloned().collect::<BTreeSet<_>>());
            ensure(found.as_ref() == model.keys.get(id), || format!("{found:?} is recorded of the erased {id:?}"))?;
        }
    }
    let stray = table.keys.keys().find(|id| !model.keys.contains_key(id));
    ensure(stray.is_none(), || format!("route keys of {stray:?} are recorded"))
}

/// Checks that every acknowledged conversation is stored as acknowledged, and that no other one is stored.
fn check_conversations(model: &Model, table: &Table) -> Verdict {
    let expected: BTreeMap<_, _> =
        model.conversations.iter().map(|(id, conversation)| (*id, &conversation.expected)).collect();
    same("conversation", &expected, &table.conversations.iter().map(|(id, found)| (*id, found)).collect())?;
    let erased: BTreeMap<_, _> = model.erased.keys().map(|id| (*id, ())).collect();
    same("erased conversation", &erased, &table.erased.iter().map(|id| (*id, ())).collect())?;
    let left = table.texts.keys().find(|(id, _)| model.erased.contains_key(id));
    ensure(left.is_none(), || format!("texts of the erased {left:?} are stored"))?;
    let missing = model.redactions.iter().find(|id| !table.redactions.contains(*id));
    ensure(missing.is_none(), || format!("no redaction of carrier record {missing:?} is stored"))
}

/// Checks that each conversation is listed under the phones that it has and had, that an erased one is listed nowhere, and that
/// no erasure by number is left half done.
fn check_participations(model: &Model, table: &Table) -> Verdict {
    for (id, conversation) in &model.conversations {
        for (phone, since) in &conversation.listed {
            let found = table.participations.get(&(phone.clone(), *id));
            ensure(found == Some(since), || {
                format!("{id:?} is listed under {phone:?} since {found:?}, not {since:?}")
            })?;
            let item = (format!("PHONE#{}", phone.expose()), format!("CONVERSATION#{id}"));
            let (kept_until, ttl) = (conversation.quarantined_until() + NET, table.ttl.get(&item));
            ensure(ttl.is_some_and(|ttl| kept_until <= *ttl), || {
                format!("{item:?} has the TTL {ttl:?}, its conversation {kept_until}")
            })?;
        }
    }
    for (phone, id) in table.participations.keys() {
        let is_swept = !model.conversations.contains_key(id) && !model.erased.contains_key(id);
        let known = model.conversations.get(id).is_some_and(|conversation| conversation.listed.contains_key(phone));
        ensure(known || is_swept, || format!("{id:?} is listed under {phone:?}"))?;
    }
    ensure(table.running_number_erasures == 0, || "an erasure by number was not finished".to_owned())
}

/// Checks that each route belongs to the conversation that got it, for as long as it got it, and that there are no
/// other routes.
fn check_routes(model: &Model, table: &Table) -> Verdict {
    let facts = |owner: &KeyOwner| match owner {
        KeyOwner::Route(route) => ModelRoute {
            side: Some(route.side),
            reaches: Some(route.connect_to.clone()),
            expires_at: route.expires_at,
            quarantined_until: route.quarantined_until,
            is_replaced: route.is_replaced,
            cares: route.late.lost_property && !route.blocked && !route.hangs_up,
            language: route.language.clone(),
            history: std::iter::once(route.conversation).chain(route.history.iter().copied()).collect(),
        },
        KeyOwner::Erased(erased) => ModelRoute {
            side: None,
            reaches: None,
            expires_at: erased.expires_at,
            quarantined_until: erased.quarantined_until,
            is_replaced: false,
            cares: false,
            language: None,
            history: vec![erased.conversation],
        },
        KeyOwner::Held(hold) => ModelRoute { expires_at: hold.expires_at, ..ModelRoute::hold(hold.quarantined_until) },
    };
    let found: BTreeMap<_, _> = table.routes.iter().map(|(name, route)| (name.clone(), facts(route))).collect();
    same("route", &model.routes, &found)?;
    for (name, owner) in &table.routes {
        if let KeyOwner::Route(route) = owner {
            check_verdict(model, name, route)?;
        }
    }
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

/// Checks that the number which somebody who only receives sees is held as long as a conversation shows it, and that each line
/// leads to a hold.
fn check_receivers(model: &Model, table: &Table) -> Verdict {
    let held_until =
        |key: &RouteKey| model.routes.get(key).filter(|route| route.is_hold()).map(|hold| hold.quarantined_until);
    for conversation in model.conversations.values().filter(|found| model.now < found.quarantined_until()) {
        if let Some(side) = conversation.expected.direction.receiver() {
            for key in keys_of(&conversation.expected, side) {
                let held = held_until(&key);
                ensure(held.is_some_and(|until| until >= conversation.quarantined_until()), || {
                    format!("{conversation:?} shows a number that is held until {held:?}")
                })?;
            }
        }
    }
    for (phone, line) in table.lines.iter().filter(|(_, line)| model.now < line.held_until) {
        let held = held_until(&(phone.clone(), line.number.clone()));
        ensure(held.is_some_and(|until| until >= line.held_until), || format!("{line:?} is held until {held:?}"))?;
        let is_right = line.looked_up.is_some_and(|verdict| verdict.country == country_of(phone.expose()));
        ensure(is_right, || format!("{line:?} has the wrong verdict"))?;
    }
    Ok(())
}

/// Checks that a route has the carrier's verdict about its caller, and that the verdict held when the route was given away.
fn check_verdict(model: &Model, name: &RouteKey, route: &Route) -> Verdict {
    let country = country_of(name.0.expose());
    let is_right = route.looked_up.is_some_and(|looked_up| {
        let held = looked_up.holds(route.conversation.created_at());
        held && looked_up.at <= model.now && (looked_up.by, looked_up.country) == (Judge::NumberInsight, country)
    });
    ensure(is_right, || format!("route {name:?} has the wrong verdict {:?}", route.looked_up))
}

/// Checks that nobody was told of a missed call but by the text messages that the model knows.
fn check_told(model: &Model, table: &Table) -> Verdict {
    let is_there = |(id, ..): &Telling| model.conversations.contains_key(id);
    let expected = model.told.iter().filter(|(telling, _)| is_there(telling));
    same("person told of a missed call", &expected.map(|(telling, at)| (*telling, *at)).collect(), &table.told)
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
    let name = |number: &PoolNumber| number.part.map(|part| PartName::nth(number.pool(), &number.number, part));
    let ready: BTreeMap<_, _> =
        ready.map(|number| (number.number.clone(), (name(number), number.features.contains(&Feature::Sms)))).collect();
    let found = table
        .parts
        .iter()
        .flat_map(|(name, part)| part.numbers().map(|ready| (ready.number.clone(), (Some(name.clone()), ready.texts))));
    same("ready number", &ready, &found.collect())?;
    let states = table
        .parts
        .iter()
        .map(|(name, part)| (name.clone(), PartState { version: part.version, count: part.numbers().count() }));
    same("part of the ready numbers", &states.collect(), &table.part_states)?;
    let cost: Decimal = model.numbers.values().map(PoolNumber::rent).sum();
    let ledger = table.monthly_cost.as_deref().map(|cost| cost.trim_matches('"').parse::<Decimal>().unwrap());
    ensure(ledger.unwrap_or_default() == cost, || {
        format!("the monthly rent is {cost}, but the ledger has {ledger:?}")
    })?;
    check_counts(model, table)?;
    let missing = model.numbers.values().filter_map(|number| Some((number.number.clone(), number.missing_since?)));
    same("loss", &missing.collect(), &table.losses)?;
    let rotated = model.numbers.values().filter_map(|number| Some((number.number.clone(), number.rotating_since?)));
    same("rotation", &rotated.collect(), &table.rotations)?;
    let known = model.numbers.keys().map(|number| (number.clone(), None));
    let gone = model.released.iter().map(|(number, until)| (number.clone(), Some(*until)));
    same("own number", &known.chain(gone).collect(), &table.own_numbers)
}

/// Checks that the ledger counts the numbers, and that those that need work are listed.
fn check_counts(model: &Model, table: &Table) -> Verdict {
    let (mut counts, mut work) = (BTreeMap::new(), BTreeMap::new());
    for number in model.numbers.values() {
        let (state, kind) = match number.state {
            NumberState::Renting => ("renting", Some("UNFINISHED")),
            NumberState::Linking => ("linking", Some("UNFINISHED")),
            NumberState::Ready => ("ready", None),
            NumberState::Draining => ("draining", Some("DRAINING")),
            NumberState::Lost => ("lost", Some("LOST")),
            NumberState::SettingAside => ("setting_aside", Some("DRAINING")),
            NumberState::Standing => ("standing", Some("STANDING")),
        };
        *counts.entry(format!("{}#{state}", number.pool())).or_insert(0) += 1;
        let mark = kind.map(|kind| ((number.pool().to_string(), format!("{kind}#{}", number.number)), ()));
        work.extend(mark);
    }
    same("count", &counts, &table.counts)?;
    same("work", &work, &table.work.iter().map(|mark| (mark.clone(), ())).collect())
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
    pub fn check_ready(&self, owner: Owner, found: &ReadyPool) -> Verdict {
        let is_ready = |number: &&PoolNumber| number.owner == owner && number.state == NumberState::Ready;
        let ready = self.numbers.values().filter(is_ready);
        let expected: BTreeSet<_> = ready.map(|number| &number.number).collect();
        let found: BTreeSet<_> = found.numbers().map(|ready| &ready.number).collect();
        ensure(found == expected, || format!("numbers {expected:?} are ready, but {found:?} are read"))
    }

    /// Takes over the holds that were made or became longer, if the step `may_hold`: also one that was refused or crashed may.
    /// None takes a route key away.
    pub fn accept_holds(&mut self, table: &Table, may_hold: bool) -> Verdict {
        for (key, owner) in &table.routes {
            let KeyOwner::Held(hold) = owner else { continue };
            let (now, before) = (ModelRoute::hold(hold.quarantined_until), self.routes.get(key));
            if before == Some(&now) {
                continue;
            }
            let grows = |before: &ModelRoute| before.is_hold() && before.quarantined_until < now.quarantined_until;
            let is_right = before.is_none_or(|before| !before.is_in_use(self.now) || grows(before));
            ensure(may_hold && is_right, || format!("{key:?} was {before:?} and is held by {hold:?}"))?;
            self.routes.insert(key.clone(), now);
        }
        Ok(())
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
            conversation.expected.invitation_receipts.clone_from(&found.invitation_receipts);
        }
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
