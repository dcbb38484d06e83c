//! Invariants of the whole table, checked after every step.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use jiff::Timestamp;
use rust_decimal::Decimal;
use shared::domain::caller_routes::CallerRoutes;
use shared::domain::conversation::{Conversation, Notification, Participant};
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
            ensure(found.keys.keys().eq(&model.keys[id]), || {
                format!("{found:?} is recorded of {is:?}, not {:?}", model.keys[id])
            })?;
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
            let (found, right) = (table.keys.get(id), model.keys.get(id));
            let is_right = match (found, right) {
                (Some(found), Some(right)) => found.keys.keys().eq(right),
                (found, right) => found.is_none() && right.is_none(),
            };
            ensure(is_right, || format!("{found:?} is recorded of the erased {id:?}"))?;
        }
    }
    let stray = table.keys.keys().find(|id| !model.keys.contains_key(id));
    ensure(stray.is_none(), || format!("route keys of {stray:?} are recorded"))
}

/// Checks that every acknowledged conversation is stored as acknowledged, and that no other one is stored.
fn check_conversations(model: &Model, table: &Table) -> Verdict {
    let expected = model.conversations.iter().map(|(id, conversation)| (id, &conversation.expected));
    same("conversation", expected, &table.conversations)?;
    let erased = model.erased.keys().map(|id| (id, ()));
    same("erased conversation", erased, table.erased.iter().map(|id| (id, ())))?;
    let left = table.texts.keys().find(|(id, _)| model.erased.contains_key(id));
    ensure(left.is_none(), || format!("texts of the erased {left:?} are stored"))?;
    let missing = model.redactions.iter().find(|id| !table.redactions.contains(*id));
    ensure(missing.is_none(), || format!("no redaction of carrier record {missing:?} is stored"))
}

/// Checks that each conversation is listed under the phones that it has and had, that an erased one is listed nowhere, and that
/// no erasure by number is left half done.
fn check_participations(model: &Model, table: &Table) -> Verdict {
    let mut known = 0;
    for ((phone, id), found) in &table.participations {
        let Some(conversation) = model.conversations.get(id) else {
            let is_swept = !model.erased.contains_key(id);
            ensure(is_swept, || format!("{id:?} is listed under {phone:?}"))?;
            continue;
        };
        let since = conversation.listed.get(phone);
        ensure(since == Some(&found.since), || {
            format!("{id:?} is listed under {phone:?} as {found:?}, not {since:?}")
        })?;
        let kept_until = conversation.quarantined_until() + NET;
        ensure(found.ttl.is_some_and(|ttl| kept_until <= ttl), || {
            format!("{id:?} under {phone:?} is {found:?}, its conversation is kept until {kept_until}")
        })?;
        known += 1;
    }
    // All that are there are right, so none is missing if there are as many as there should be.
    let all = model.conversations.iter().flat_map(|(id, found)| found.listed.keys().map(|phone| (phone.clone(), *id)));
    if known != model.conversations.values().map(|found| found.listed.len()).sum::<usize>() {
        let missing = all.into_iter().find(|listed| !table.participations.contains_key(listed));
        return Err(format!("{missing:?} is not listed"));
    }
    ensure(table.running_number_erasures == 0, || "an erasure by number was not finished".to_owned())
}

/// Checks that each route belongs to the conversation that got it, for as long as it got it, and that there are no
/// other routes.
fn check_routes(model: &Model, table: &Table) -> Verdict {
    same_by("route", &model.routes, &table.routes, |expected, found| expected.is_stored_as(found))?;
    for (name, owner) in &table.routes {
        if let KeyOwner::Route(route) = owner {
            check_verdict(model, name, route)?;
        }
    }
    let is_in_time = |route: &&ModelRoute, ttl: &&Timestamp| match route.side {
        Some(_) => **ttl >= route.quarantined_until,
        None => **ttl == route.quarantined_until,
    };
    same_by("TTL of a route", &model.routes, &table.route_ttl, is_in_time)?;
    for (name, route) in &model.routes {
        let in_pool = !route.is_in_use(model.now) || model.numbers.contains_key(&name.1);
        ensure(in_pool, || format!("route {name:?} is in use, but its number is not in the pool"))?;
    }
    Ok(())
}

impl ModelRoute {
    /// True if the table has this route.
    fn is_stored_as(&self, found: &KeyOwner) -> bool {
        match found {
            KeyOwner::Route(route) => {
                let cares = route.late.lost_property && !route.blocked && !route.hangs_up;
                let facts =
                    (Some(route.side), Some(&route.connect_to), route.is_replaced, cares, route.language.as_ref());
                let own = (self.side, self.reaches.as_ref(), self.is_replaced, self.cares, self.language.as_ref());
                let history = std::iter::once(&route.conversation).chain(&route.history);
                facts == own
                    && (route.expires_at, route.quarantined_until) == (self.expires_at, self.quarantined_until)
                    && history.eq(&self.history)
            }
            KeyOwner::Erased(erased) => {
                self.is_bare()
                    && (erased.expires_at, erased.quarantined_until) == (self.expires_at, self.quarantined_until)
                    && self.history == [erased.conversation]
            }
            KeyOwner::Held(hold) => {
                self.is_bare()
                    && (hold.expires_at, hold.quarantined_until) == (self.expires_at, self.quarantined_until)
                    && self.is_hold()
            }
        }
    }

    /// True if it has nothing but its times and its history, as a tombstone and a hold.
    fn is_bare(&self) -> bool {
        let is_plain = !self.is_replaced && !self.cares && self.language.is_none();
        self.side.is_none() && self.reaches.is_none() && is_plain
    }
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
    same("person told of a missed call", expected, &table.told)
}

fn check_requests(model: &Model, table: &Table) -> Verdict {
    same_by("request", &model.requests, &table.requests, |expected, (conversation, fingerprint)| {
        expected.conversation == *conversation && expected.fingerprint == *fingerprint
    })
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
    same("ready number", ready, found.collect::<BTreeMap<_, _>>())?;
    let states = table
        .parts
        .iter()
        .map(|(name, part)| (name, PartState { version: part.version, count: part.numbers().count() }));
    same_by("part of the ready numbers", states, &table.part_states, |expected, found| expected == *found)?;
    let cost: Decimal = model.numbers.values().map(PoolNumber::rent).sum();
    let ledger = table.monthly_cost.as_deref().map(|cost| cost.trim_matches('"').parse::<Decimal>().unwrap());
    ensure(ledger.unwrap_or_default() == cost, || {
        format!("the monthly rent is {cost}, but the ledger has {ledger:?}")
    })?;
    check_counts(model, table)?;
    let missing = model.numbers.values().filter_map(|number| Some((&number.number, number.missing_since?)));
    same_by("loss", missing, &table.losses, |expected, found| expected == *found)?;
    let rotated = model.numbers.values().filter_map(|number| Some((&number.number, number.rotating_since?)));
    same_by("rotation", rotated, &table.rotations, |expected, found| expected == *found)?;
    let known = model.numbers.keys().map(|number| (number, None));
    let gone = model.released.iter().map(|(number, until)| (number, Some(*until)));
    let own = known.chain(gone).collect::<BTreeMap<_, _>>();
    same_by("own number", own, &table.own_numbers, |expected, found| expected == *found)
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
    same_by("count", &counts, &table.counts, |expected, found| expected == found)?;
    same("work", &work, table.work.iter().map(|mark| (mark, &())))
}

/// Checks that two maps are the same. Both are in the order of their keys.
fn same<K: Ord + Debug, V: PartialEq + Debug>(
    what: &str,
    expected: impl IntoIterator<Item = (K, V)>,
    found: impl IntoIterator<Item = (K, V)>,
) -> Verdict {
    same_by(what, expected, found, V::eq)
}

/// Checks that two maps have the same keys, and that what is `found` under each is right. Both are in the order of their keys.
fn same_by<K: Ord + Debug, E: Debug, F: Debug>(
    what: &str,
    expected: impl IntoIterator<Item = (K, E)>,
    found: impl IntoIterator<Item = (K, F)>,
    is_right: impl Fn(&E, &F) -> bool,
) -> Verdict {
    let (mut all_expected, mut all_found) = (expected.into_iter(), found.into_iter());
    loop {
        let (key, expected, found) = match (all_expected.next(), all_found.next()) {
            (None, None) => return Ok(()),
            (Some((key, expected)), Some((other, found))) => match key.cmp(&other) {
                Ordering::Equal if is_right(&expected, &found) => continue,
                Ordering::Equal => (key, Some(expected), Some(found)),
                Ordering::Less => (key, Some(expected), None),
                Ordering::Greater => (other, None, Some(found)),
            },
            (Some((key, expected)), None) => (key, Some(expected), None),
            (None, Some((key, found))) => (key, None, Some(found)),
        };
        return Err(format!("{what} {key:?} is\n      {found:?}\n    expected\n      {expected:?}"));
    }
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
        let mut changed = Vec::new();
        for (id, conversation) in &self.conversations {
            let (is, Some(found)) = (&conversation.expected, table.conversations.get(id)) else { continue };
            for side in Side::BOTH {
                let (before, now) = (&is.participant(side).notification, &found.participant(side).notification);
                let may = before == now || !undisturbed && may_become(before, now);
                ensure(may, || format!("the notification of {id:?} {side:?} changed from {before:?} to {now:?}"))?;
            }
            if with_texts_of(is, found).is_some() {
                changed.push(*id);
            }
        }
        for id in changed {
            let Some(conversation) = self.conversations.get_mut(&id) else { continue };
            if let Some(now) = with_texts_of(&conversation.expected, &table.conversations[&id]) {
                conversation.expected = now;
            }
        }
        Ok(())
    }
}

/// Returns a conversation with the states of the text messages of another one, if these differ.
fn with_texts_of(is: &Conversation, other: &Conversation) -> Option<Conversation> {
    let is_same =
        Side::BOTH.iter().all(|side| is.participant(*side).notification == other.participant(*side).notification)
            && is.carrier_records == other.carrier_records
            && is.invitation_receipts == other.invitation_receipts;
    if is_same {
        return None;
    }
    let mut now = is.clone();
    for (participant, other) in now.participants.iter_mut().zip(&other.participants) {
        participant.notification.clone_from(&other.notification);
    }
    now.carrier_records.clone_from(&other.carrier_records);
    now.invitation_receipts.clone_from(&other.invitation_receipts);
    Some(now)
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
