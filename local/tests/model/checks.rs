//! Invariants of the whole table, checked after every step.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use shared::domain::call_limits::CallLimits;
use shared::domain::caller_routes::CallerRoutes;
use shared::domain::conversation::{ConversationId, Notification, Participant};
use shared::domain::country::Country;
use shared::domain::judge::Judge;
use shared::domain::late::LateCare;
use shared::domain::phone::{RealNumber, VirtualNumber};
use shared::domain::pool::{Feature, NumberState, PoolNumber};
use shared::domain::ready_pool::{PartName, ReadyPool};
use shared::domain::route::{Destination, KeyOwner, Route, destination};
use shared::domain::side::Side;
use shared::store::PartState;

use crate::missed_calls::Telling;
use crate::model::{Model, ModelConversation, ModelRoute, NET, RECORDS_KEPT, RouteKey, Verdict, ensure, route_key};
use crate::pin_checks::check_pins;
use crate::scenario::{canonical, country_of};
use crate::table::Table;

/// Checks all invariants of the table.
pub fn check(model: &Model, table: &Table) -> Verdict {
    check_conversations(model, table)?;
    check_participations(model, table)?;
    check_routes(model, table)?;
    check_receivers(model, table)?;
    check_destinations(model, table)?;
    check_requests(model, table)?;
    check_told(model, table)?;
    check_pins(model, table)?;
    check_journal(model, table)?;
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
            let receiver = is.direction.receiver().map(|side| &is.participants[side.index()]);
            let found = table.keys.get(id).ok_or_else(|| format!("no keys of {is:?} are recorded"))?;
            let known = found.keys.keys().cloned().collect::<BTreeSet<_>>();
            ensure(known == model.keys[id], || format!("{found:?} is recorded of {is:?}, not {:?}", model.keys[id]))?;
            ensure(found.until == conversation.quarantined_until() && found.moves == moves(&is.participants), || {
                format!("{found:?} is recorded of {is:?}")
            })?;
            // The same phone may have dialled before, as that of the other side.
            let is_received = |(phone, number): &RouteKey| {
                receiver
                    .is_some_and(|one| canonical(&one.number) == *phone && one.all_seen().any(|seen| seen == number))
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

fn moves(participants: &[Participant; 2]) -> usize {
    participants.iter().map(|one| one.previous_numbers.len() + one.previously_seen.len()).sum()
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
            let held = held_until(&route_key(&conversation.expected, side));
            ensure(held.is_some_and(|until| until >= conversation.quarantined_until()), || {
                format!("{conversation:?} shows a number that is held until {held:?}")
            })?;
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

/// Checks that a call connects to the other participant of the live conversation on its route and shows the number
/// which that participant dials, or connects to nobody.
fn check_destinations(model: &Model, table: &Table) -> Verdict {
    let mut live = BTreeMap::new();
    for conversation in model.conversations.values().filter(|conversation| conversation.is_live(model.now)) {
        for side in conversation.expected.direction.sides() {
            let other = &conversation.expected.participants[side.other().index()];
            let leads_to = match conversation.expected.limit_reached_at {
                _ if conversation.expected.is_blocked(side) => Destination::Blocked(conversation.expected.id),
                Some(_) => Destination::Exhausted(conversation.expected.id),
                None if conversation.is_paused(model.now) => Destination::Paused(conversation.expected.id),
                None => Destination::Participant {
                    conversation: conversation.expected.id,
                    connect_to: other.number.clone(),
                    present_as: other.sees.clone(),
                    one_way: conversation.expected.direction.receiver().is_some(),
                    limits: conversation.expected.limits,
                    caller: side,
                    handling: conversation.expected.handling,
                    left_seconds: model.left_seconds(&conversation.expected, side),
                    attempt: None,
                },
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
    let name = |number: &PoolNumber| number.part.map(|part| PartName::nth(number.country, &number.number, part));
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
        };
        *counts.entry(format!("{}#{state}", number.country)).or_insert(0) += 1;
        let mark = kind.map(|kind| ((number.country.to_string(), format!("{kind}#{}", number.number)), ()));
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
    /// The destination of a call on a route without a live conversation.
    pub fn destination_without_conversation(&self, name: &(RealNumber, VirtualNumber)) -> Destination {
        match self.routes.get(name).filter(|route| route.is_in_use(self.now)) {
            Some(route) if route.is_replaced => Destination::Replaced(route.history[0]),
            Some(ModelRoute { cares: true, side: Some(caller), history, .. }) => Destination::Late {
                conversation: history[0],
                caller: *caller,
                care: LateCare { lost_property: true, ..LateCare::default() },
                limits: CallLimits::with_max_call(CallLimits::MIN_CALL_SECONDS),
            },
            Some(route) => route.owner().map_or(Destination::ReceiveOnly, Destination::Ended),
            None => Destination::Nobody,
        }
    }

    /// True if the conversation `id` was between `caller` and the one whom a call reaches by `right`, if it reaches anybody. That
    /// one may have had another phone then. Of an erased one nothing is known any more.
    pub fn was_between(&self, id: ConversationId, caller: &RealNumber, right: &Destination) -> bool {
        let Some(conversation) = self.conversations.get(&id) else { return self.erased.contains_key(&id) };
        let had = |one: &Participant, phone: &RealNumber| {
            one.previous_numbers.iter().chain([&one.number]).any(|own| canonical(own) == canonical(phone))
        };
        let has = |phone: &RealNumber| conversation.expected.participants.iter().any(|one| had(one, phone));
        let reaches_another = match right {
            Destination::Participant { conversation, connect_to, .. } => {
                let reached = &self.conversations[conversation].expected.participants;
                let reached = reached.iter().find(|one| canonical(&one.number) == canonical(connect_to)).unwrap();
                !reached.previous_numbers.iter().chain([connect_to]).any(has)
            }
            _ => false,
        };
        has(caller) && !reaches_another
    }

    /// The destination of a call.
    pub fn destination(&self, name: &(RealNumber, VirtualNumber)) -> Destination {
        for conversation in self.conversations.values().filter(|conversation| conversation.is_live(self.now)) {
            for side in conversation.expected.direction.sides() {
                if route_key(&conversation.expected, side) == *name {
                    if conversation.expected.is_blocked(side) {
                        return Destination::Blocked(conversation.expected.id);
                    }
                    if conversation.expected.limit_reached_at.is_some() {
                        return Destination::Exhausted(conversation.expected.id);
                    }
                    if conversation.is_paused(self.now) {
                        return Destination::Paused(conversation.expected.id);
                    }
                    let expected = &conversation.expected;
                    return Destination::Participant {
                        conversation: expected.id,
                        connect_to: expected.participants[side.other().index()].number.clone(),
                        present_as: route_key(expected, side.other()).1,
                        one_way: expected.direction.receiver().is_some(),
                        limits: expected.limits,
                        caller: side,
                        handling: expected.handling,
                        left_seconds: self.left_seconds(expected, side),
                        attempt: None,
                    };
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

        let too_early = self.routes.iter().find(|(name, route)| is_deleted_route(name) && now < route.kept_until());
        ensure(too_early.is_none(), || format!("{too_early:?} was deleted too early"))?;
        let is_early = |found: &ModelConversation| now < found.quarantined_until() + NET;
        let too_early = self.conversations.iter().find(|(id, found)| conversation(id) && is_early(found));
        ensure(too_early.is_none(), || format!("{too_early:?} was deleted too early"))?;
        let too_early = self.erased.iter().find(|(id, until)| conversation(id) && now < **until);
        ensure(too_early.is_none(), || format!("{too_early:?} was deleted too early"))?;
        let too_early = self.requests.iter().find(|(key, remembered)| request(key) && now < remembered.until);
        ensure(too_early.is_none(), || format!("{too_early:?} was deleted too early"))?;
        let too_early = self.numbers.keys().find(|number| own(number));
        ensure(too_early.is_none(), || format!("{too_early:?} was deleted too early"))?;

        for (id, conversation) in &mut self.conversations {
            let is_readable = conversation.is_readable(now);
            let is_unlisted =
                |phone: &RealNumber| is_deleted(format!("PHONE#{}", phone.expose()), format!("CONVERSATION#{id}"));
            let too_early = conversation.listed.keys().find(|phone| is_readable && is_unlisted(phone));
            ensure(too_early.is_none(), || format!("{id:?} was removed from the list of {too_early:?} too early"))?;
            conversation.listed.retain(|phone, _| !is_unlisted(phone));
        }
        self.routes.retain(|name, _| !is_deleted_route(name));
        let is_leg = |id: &ConversationId, uuid: &str| {
            deleted.iter().any(|(pk, sk)| *pk == format!("CONVERSATION#{id}") && sk.ends_with(&format!("#{uuid}")))
        };
        let too_early = self.legs.keys().find(|(id, uuid)| {
            is_leg(id, uuid) && self.conversations.get(id).is_some_and(|found| found.is_readable(now))
        });
        ensure(too_early.is_none(), || format!("the leg {too_early:?} was deleted too early"))?;
        self.legs.retain(|(id, uuid), _| !is_leg(id, uuid));
        self.forgotten.extend(self.conversations.keys().filter(|id| conversation(id)));
        self.conversations.retain(|id, _| !conversation(id));
        self.erased.retain(|id, _| !conversation(id));
        let redaction = |id: &String| {
            ["number-insight", "sms", "voice"]
                .iter()
                .any(|product| is_deleted("REDACTION".to_owned(), format!("{product}#{id}")))
        };
        self.redactions.retain(|id| !redaction(id));
        self.requests.retain(|key, _| !request(key));
        self.placing.known.retain(|key, _| !request(key));
        self.placing.dialled.retain(|key| !request(key));
        self.pins.calls.retain(|call, _| !is_deleted(format!("CALL#{call}"), "PIN".to_owned()));
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

/// The largest numbers of routes under numbers of one country that callers had at once, and what the table says about them.
#[derive(Debug, Default)]
pub struct PeakUsage {
    /// The least peak usage that must be stored, by country and last day on which it counts.
    least: BTreeMap<(Country, Date), usize>,
    /// The largest number of routes that any caller had at once or asked for, by country of the numbers.
    most: BTreeMap<Country, usize>,
}

impl PeakUsage {
    /// Records the routes in use of the participant of a conversation that was just acknowledged who has more of them; the
    /// other one's may be stored by a later creation. `before` and `after` are the states around the step. Another operation
    /// of the same step may have had its share, so the result is a lower bound.
    pub fn note(&mut self, before: &Model, after: &Model, created: &ModelConversation) {
        // Of one who only receives, a creation may know nothing but the line.
        if created.expected.direction.receiver().is_some() {
            return;
        }
        let until = day(before.now + 7 * crate::model::DAY);
        let is_ready = |model: &Model, number: &VirtualNumber, of: Country| {
            let found = model.numbers.get(number);
            found.is_some_and(|number| number.state == NumberState::Ready && number.country == of)
        };
        let held = created.expected.participants.each_ref().map(|participant| {
            let country = after.numbers.get(&participant.sees)?.country;
            // A number that comes back in its quarantine counts once.
            let routes = before.routes_in_use(&participant.number).map(|(number, _)| number);
            let routes = routes.filter(|number| **number != participant.sees);
            let ready = |number: &VirtualNumber| [before, after].map(|model| is_ready(model, number, country));
            let (mut least, mut most) = (1, 1);
            for [before, after] in routes.map(ready) {
                least += usize::from(before && after);
                most += usize::from(before || after);
            }
            (ready(&participant.sees) == [true; 2]).then_some((least, most, country))
        });
        let [Some(a), Some(b)] = held else { return };
        let ((held, _, country), other) = if a >= b { (a, b) } else { (b, a) };
        // Then the mark of the other one may be the stored one.
        if other.1 >= held && other.2 != country {
            return;
        }
        let least = self.least.entry((country, until)).or_default();
        *least = held.max(*least);
    }

    /// Checks the peak usage as the schedule reads it.
    pub fn check_as_read(&self, now: Timestamp, found: &shared::domain::peak_usage::PeakUsage) -> Verdict {
        let today = day(now);
        for ((country, until), least) in self.least.iter().filter(|((_, until), _)| *until >= today) {
            let mark = found.of(*country, today);
            ensure(mark >= *least, || {
                format!("the peak usage of {country} until {until} is {least}, but {mark} is read")
            })?;
        }
        Ok(())
    }

    pub fn check(&mut self, model: &Model, table: &Table) -> Verdict {
        let mut held: BTreeMap<(&RealNumber, Country), usize> = BTreeMap::new();
        for ((caller, number), _) in model.routes.iter().filter(|(_, route)| route.is_in_use(model.now)) {
            if let Some(number) = model.numbers.get(number) {
                *held.entry((caller, number.country)).or_default() += 1;
            }
        }
        for ((_, country), held) in held {
            let most = self.most.entry(country).or_default();
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
            // The mark is written at the same time as the conversation, which may be refused.
            let most = self.most.get(country).copied().unwrap_or_default() + 1;
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
