//! Rules for the events of calls: the legs that they leave, and what is counted of them. An event may come at any time after
//! the call, however late, twice and in any order, while conversations end, are erased, and come back to the same numbers. A
//! crash can stop it between its writes. So the test reads the legs from the table and checks that each of them is allowed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use shared::domain::call::{Direction, LegEvent, LegFacts, Status};
use shared::domain::conversation::{Conversation, ConversationId};
use shared::domain::phone::{RealNumber, VirtualNumber};
use shared::domain::side::Side;
use shared::domain::tenant_cost::Spent;
use shared::domain::usage::{Counted, Tally, Usage, UsageLimits, day};
use shared::store::{LegNumbers, Recorded};

use crate::attempts::Hunt;
use crate::missed_calls::{CallStep, RINGING};
use crate::model::{Model, ModelConversation, RouteKey, Verdict, ends_with_calls, ensure};
use crate::phones::phone_at;
use crate::pins::PinTry;
use crate::safety::{KeyPress, PressedKeys};
use crate::scenario::canonical;
use crate::system::{Operation, Outcome};
use crate::table::Table;

/// Number of calls whose events may still come.
pub const CALLS: usize = 10;

/// The statuses of a leg in their order.
pub const STATUSES: [Status; 4] = [Status::Started, Status::Ringing, Status::Answered, Status::Completed];

/// A call that was connected.
#[derive(Debug, Clone)]
pub struct PlacedCall {
    pub id: usize,
    pub conversation: ConversationId,
    pub at: Timestamp,
    /// The caller's phone as it was dialled from, and the number that it dialled.
    pub caller: (RealNumber, VirtualNumber),
    /// The callee's phone, and the number that it showed.
    pub callee: (RealNumber, VirtualNumber),
    /// The callee's side.
    pub callee_side: Side,
    /// True if the events of the callee's leg name the conversation: the callee only receives, or there is more to do about calls
    /// than to connect them.
    pub is_named: bool,
    /// True if the caller is known by a PIN.
    pub is_by_pin: bool,
    /// The attempts, if the callees have several phones.
    pub hunt: Option<Hunt>,
}

/// An event of one of the two legs of a call.
#[derive(Debug, Clone)]
pub struct CallEvent {
    pub call: PlacedCall,
    pub direction: Direction,
    pub status: Status,
}

/// A leg as the table has it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredLeg {
    pub statuses: BTreeSet<Status>,
    /// The participant's side, and the index of the phone.
    pub phone: (Side, usize),
    /// True if the callee took the call at the guard.
    pub is_accepted: bool,
    /// True if the caller agreed to a recording.
    pub has_agreed: bool,
    pub counted: Counted,
    /// The part of it that was added to the costs of its tenant.
    pub paid: Option<Spent>,
    /// The keys that were pressed on it.
    pub keys: PressedKeys,
}

impl PlacedCall {
    /// Seconds for which both talk. No call is longer than a minute, the least that a quarantine may be.
    fn talk(&self) -> u32 {
        u32::try_from(1 + self.id * 7 % 50).unwrap()
    }

    /// Vonage's id of the call.
    pub fn conversation_uuid(&self) -> String {
        format!("CON-{}", self.id)
    }

    /// Vonage's id of a leg.
    pub fn uuid(&self, direction: Direction) -> String {
        let nth = self.hunt.as_ref().map_or(1, |hunt| hunt.attempt.number);
        match direction {
            Direction::Inbound => format!("in-{}", self.id),
            Direction::Outbound if nth > 1 => format!("out-{}-{nth}", self.id),
            Direction::Outbound => format!("out-{}", self.id),
        }
    }

    /// The time for which the callee's phone rings before its leg ends without an answer. It differs between attempts.
    pub fn rings(&self) -> SignedDuration {
        let Some(hunt) = &self.hunt else { return RINGING };
        SignedDuration::from_secs(2 + (self.id as i64 * 5 + i64::from(hunt.attempt.number) * 3) % 9)
    }

    /// The time at which a leg begins.
    pub fn begins(&self, direction: Direction) -> Timestamp {
        self.hunt.as_ref().filter(|_| direction == Direction::Outbound).map_or(self.at, |hunt| hunt.at)
    }

    fn time(&self, direction: Direction, status: Status) -> Timestamp {
        let seconds = match status {
            Status::Started => 0,
            Status::Ringing => 1,
            Status::Answered => 4,
            _ => 4 + i64::from(self.talk()),
        };
        self.begins(direction) + SignedDuration::from_secs(seconds)
    }
}

impl CallEvent {
    pub fn time(&self) -> Timestamp {
        self.call.time(self.direction, self.status)
    }

    /// Vonage's id of the leg.
    pub fn uuid(&self) -> String {
        self.call.uuid(self.direction)
    }

    pub fn event(&self) -> LegEvent {
        let is_over = self.status == Status::Completed;
        let duration = is_over.then(|| self.call.talk());
        let facts = LegFacts { duration, price: is_over.then(price), attempt: self.attempt(), ..LegFacts::default() };
        let conversation_uuid = self.call.conversation_uuid();
        LegEvent { conversation_uuid, uuid: self.uuid(), status: self.status, timestamp: Some(self.time()), facts }
    }

    /// The number of the attempt in the address of the event.
    fn attempt(&self) -> Option<u8> {
        let hunt = self.call.hunt.as_ref().filter(|_| self.direction == Direction::Outbound);
        hunt.map(|hunt| hunt.attempt.number)
    }

    pub fn numbers(&self) -> LegNumbers<'_> {
        let (phone, virtual_number) = match self.direction {
            Direction::Inbound => &self.call.caller,
            Direction::Outbound => &self.call.callee,
        };
        LegNumbers { phone, virtual_number, direction: self.direction, named: self.named() }
    }

    /// The conversation in the address of the event.
    fn named(&self) -> Option<ConversationId> {
        (self.call.is_named && self.direction == Direction::Outbound).then_some(self.call.conversation)
    }

    /// True if the leg is that of a caller who is known by a PIN.
    pub fn is_by_pin(&self) -> bool {
        self.call.is_by_pin && self.direction == Direction::Inbound
    }

    /// The conversation of the event, if more than its numbers tells it.
    fn home(&self) -> Option<ConversationId> {
        if self.is_by_pin() { Some(self.call.conversation) } else { self.named() }
    }

    fn key(&self) -> RouteKey {
        let LegNumbers { phone, virtual_number, .. } = self.numbers();
        (canonical(phone), virtual_number.clone())
    }

    /// Returns what is counted of the leg after these statuses.
    fn uses(&self, statuses: &BTreeSet<Status>, limits: &UsageLimits) -> Counted {
        let is_over = statuses.contains(&Status::Completed);
        let spend = if is_over { price() } else { Decimal::ZERO };
        // The other attempts are of the same call.
        let is_first = self.attempt().is_none_or(|attempt| attempt == 1);
        let is_by_day = limits.max_calls_per_day.is_some() && self.direction == Direction::Outbound && is_first;
        let first = statuses.iter().map(|status| self.call.time(self.direction, *status)).min();
        let first = first.filter(|_| is_by_day);
        let usage = match self.direction {
            Direction::Inbound => Usage { spend, ..Usage::default() },
            Direction::Outbound => {
                Usage { calls: is_first.into(), seconds: if is_over { self.call.talk().into() } else { 0 }, spend }
            }
        };
        Counted { usage, day: first.map(day) }
    }
}

/// Returns the legs of a conversation.
fn legs_of(
    legs: &BTreeMap<(ConversationId, String), StoredLeg>,
    id: ConversationId,
) -> impl Iterator<Item = &StoredLeg> {
    let later = legs.range((id, String::new())..);
    later.take_while(move |((of, _), _)| *of == id).map(|(_, leg)| leg)
}

fn price() -> Decimal {
    Decimal::new(24, 3)
}

impl Operation {
    /// The event, if it is one.
    pub fn event(&self) -> Option<&CallEvent> {
        match self {
            Self::Event(event) => Some(event),
            _ => None,
        }
    }
}

impl Model {
    /// Checks what became of an event. `None` if its process crashed.
    pub fn check_recorded(&self, event: &CallEvent, outcome: &Outcome) -> Verdict {
        let recorded = match outcome {
            Outcome::Event(Ok(recorded)) => *recorded,
            other => return Err(format!("an event was not recorded: {other:?}")),
        };
        match recorded {
            // The legs in the table tell more.
            Recorded::ToHangUp(id) if !ends_with_calls(id) => Err(format!("{event:?} of {id} is to be hung up")),
            Recorded::Merged(id)
            | Recorded::ToSlide(id)
            | Recorded::ToHangUp(id)
            | Recorded::ToWarn { conversation: id, .. } => {
                ensure(self.had_key(id, event), || format!("{event:?} is of {id}"))
            }
            Recorded::ToRedact(_) => ensure(self.owners(event).any(|id| !self.conversations.contains_key(&id)), || {
                format!("{event:?} is to be redacted, but nothing was erased")
            }),
            Recorded::OfNone => ensure(!self.must_record(event), || {
                format!("{event:?} was not recorded; the route is {:?}", self.routes.get(&event.key()))
            }),
        }
    }

    /// The conversations that have or had the event's numbers.
    fn owners(&self, event: &CallEvent) -> impl Iterator<Item = ConversationId> {
        let (named, key) = (event.home(), event.key());
        let owners = self.routed.iter().filter(move |(_, keys)| keys.contains_key(&key)).map(|(id, _)| *id);
        owners.filter(move |_| named.is_none()).chain(named)
    }

    fn had_key(&self, id: ConversationId, event: &CallEvent) -> bool {
        self.owners(event).any(|owner| owner == id)
    }

    /// True if the event's conversation is there, and its numbers were not free for anybody else since.
    ///
    /// The quarantine of its route key counts, not that of the conversation: a key that was replaced, because its number was lost or
    /// its phone changed, is free before the conversation is over. Whoever has it from then on gets the calls of its numbers. Before
    /// that only the same two people can have it, and then each event finds the conversation of its time.
    fn must_record(&self, event: &CallEvent) -> bool {
        let id = event.call.conversation;
        let is_stored = self.conversations.get(&id).is_some_and(|found| self.now < found.quarantined_until());
        let owns = |key: &RouteKey| {
            let route = self.routes.get(key).filter(|route| route.is_in_use(self.now));
            let is_remembered = route.is_some_and(|route| route.side.is_some() && route.history.contains(&id));
            is_remembered && self.routed.get(&id).and_then(|keys| keys.get(key)).is_some_and(|until| self.now < *until)
        };
        let is_known = self.pins.calls.contains_key(&event.call.conversation_uuid());
        is_stored && (event.named().is_some() || event.is_by_pin() && is_known || owns(&event.key()))
    }

    /// Takes over that a conversation of an event has reached its limit, if what was counted says so.
    pub fn accept_limits(&mut self, event: &CallEvent, table: &Table) -> Verdict {
        let owners: Vec<_> = self.owners(event).collect();
        let now = self.second();
        for id in owners {
            let Some(conversation) = self.conversations.get_mut(&id) else { continue };
            let Some(found) = table.conversations.get(&id) else { continue };
            let is = &conversation.expected;
            if is.limit_reached_at.is_none() && is.paused_until != found.paused_until {
                let by_day = table.days.get(&id).cloned().unwrap_or_default();
                let is_right = conversation.is_live(self.now)
                    && found.paused_until == is.usage_limits.paused_until(&by_day, self.now);
                ensure(is_right, || format!("{found:?} is paused after {by_day:?}"))?;
                conversation.expected.paused_until = found.paused_until;
                conversation.expected.revision += 1;
                continue;
            }
            let before = conversation.expected.limit_reached_at;
            if before == found.limit_reached_at || before.is_some() {
                continue;
            }
            let usage = table.usage.get(&id).copied().unwrap_or_default();
            let is_right = conversation.is_live(self.now)
                && found.limit_reached_at == Some(now)
                && conversation.expected.usage_limits.are_reached(&usage);
            ensure(is_right, || format!("{found:?} has reached a limit with {usage:?}"))?;
            conversation.expected.limit_reached_at = Some(now);
            conversation.expected.revision += 1;
        }
        Ok(())
    }

    /// Takes over the legs of the table. Only those of `events`, `steps`, `tries` and `presses` may have changed. `answered`: no
    /// process crashed.
    pub fn accept_legs(
        &mut self,
        table: &Table,
        events: &[&CallEvent],
        (steps, tries, presses): (&[&CallStep], &[&PinTry], &[&KeyPress]),
        answered: bool,
    ) -> Verdict {
        let is_of_event = |uuid: &str| events.iter().any(|event| event.uuid() == uuid);
        let is_of_step = |uuid: &str| steps.iter().any(|step| step.pressed() == Some(uuid.to_owned()));
        let is_of_try = |uuid: &str| tries.iter().any(|pin| pin.call.leg() == uuid);
        let is_of_press = |uuid: &str| presses.iter().any(|press| press.leg() == uuid);
        let is_touched = |uuid: &str| is_of_event(uuid) || is_of_step(uuid) || is_of_try(uuid) || is_of_press(uuid);
        for ((id, uuid), before) in self.legs.iter().filter(|((_, uuid), _)| !is_touched(uuid)) {
            let is_right = match table.legs.get(&(*id, uuid.clone())) {
                Some(found) => found == before,
                None => !self.conversations.contains_key(id) && table.redactions.contains(uuid),
            };
            ensure(is_right, || format!("the leg {uuid} of {id} was {before:?} and changed"))?;
        }
        let new = table.legs.keys().find(|key| !is_touched(&key.1) && !self.legs.contains_key(key));
        ensure(new.is_none(), || format!("the leg {new:?} came from nowhere"))?;
        for event in events {
            if !answered {
                self.cut_off.insert(event.uuid());
            }
            self.check_leg(event, table)?;
        }
        for step in steps {
            let has_event = step.pressed().is_some_and(|leg| is_of_event(&leg));
            self.check_pressed(step, table, has_event, answered)?;
        }
        for press in presses {
            self.check_keys(press, table)?;
        }
        for pin in tries {
            self.check_pin_leg(pin, table, is_of_event(&pin.call.leg()))?;
        }
        let orphan = table.legs.keys().find(|(id, _)| {
            !self.conversations.contains_key(id) && !table.erasures.contains(id) && !self.forgotten.contains(id)
        });
        ensure(orphan.is_none(), || format!("the leg {orphan:?} outlived its conversation"))?;
        self.legs.take_over(&table.legs);
        self.check_usage(table)
    }

    /// Checks where the leg of an event is, and what it has.
    fn check_leg(&self, event: &CallEvent, table: &Table) -> Verdict {
        let uuid = event.uuid();
        let of_leg = |legs: &BTreeMap<(ConversationId, String), StoredLeg>| {
            // What has no more than keys or a consent is not of an event.
            let is_told =
                |leg: &StoredLeg| !leg.statuses.is_empty() || leg.keys == PressedKeys::default() && !leg.has_agreed;
            let stored = legs.iter().filter(|((_, id), leg)| *id == uuid && is_told(leg));
            stored.map(|((id, _), leg)| (*id, leg.clone())).collect::<Vec<_>>()
        };
        let (before, after) = (of_leg(&self.legs), of_leg(&table.legs));
        let statuses: BTreeSet<Status> = after.iter().flat_map(|(_, leg)| &leg.statuses).copied().collect();
        for (id, _) in &after {
            let is_right =
                self.had_key(*id, event) && (self.cut_off.contains(&uuid) || self.is_home(*id, event, &statuses));
            ensure(is_right, || {
                let owners: Vec<_> = self.owners(event).collect();
                format!("{event:?} left a leg in {id}; all of it: {after:?}; its numbers were of {owners:?}")
            })?;
        }
        for (id, leg) in after.iter().filter(|(id, _)| !before.iter().any(|(known, _)| known == id)) {
            self.check_phone(*id, leg, event)?;
        }
        let known: BTreeSet<Status> = before.iter().flat_map(|(_, leg)| &leg.statuses).copied().collect();
        let may: BTreeSet<Status> = known.iter().copied().chain([event.status]).collect();
        let is_two = STATUSES.iter().filter(|status| statuses.contains(status) && !may.contains(status)).count() > 1;
        ensure(!is_two, || format!("{event:?} made {statuses:?} of {known:?}"))?;
        let is_accepted = |legs: &[(ConversationId, StoredLeg)]| legs.iter().any(|(_, leg)| leg.is_accepted);
        ensure(is_accepted(&after) || !is_accepted(&before) || !self.must_record(event), || {
            format!("{event:?} left {after:?}, but the callee took the call")
        })?;
        if !self.cut_off.contains(&uuid) {
            ensure(after.len() <= 1, || format!("{event:?} left two legs: {after:?}"))?;
            let is_complete = statuses.contains(&event.status) || !self.must_record(event);
            ensure(is_complete && known.is_subset(&statuses) || !self.must_record(event), || {
                format!("{event:?} left {statuses:?} of {known:?}")
            })?;
            if let [(id, leg)] = &after[..]
                && event.status != Status::Ringing
                && let Some(conversation) = self.conversations.get(id)
                && conversation.is_readable(self.now)
                && !conversation.expected.usage_limits.is_none()
                && leg.statuses.contains(&event.status)
            {
                let uses = event.uses(&leg.statuses, &conversation.expected.usage_limits);
                ensure(leg.counted == uses, || format!("{event:?} used {uses:?}, but {leg:?} is counted"))?;
            }
        }
        Ok(())
    }

    /// Checks that a new leg is that of the phone which was called, or which calls. The phone of a caller with PIN is not known.
    fn check_phone(&self, id: ConversationId, leg: &StoredLeg, event: &CallEvent) -> Verdict {
        let (side, index) = leg.phone;
        let is_known = !event.is_by_pin() && leg.keys == PressedKeys::default() && !leg.has_agreed;
        let Some(conversation) = self.conversations.get(&id).filter(|_| is_known) else { return Ok(()) };
        let phone = phone_at(conversation.expected.participant(side), index);
        let is_right = phone.is_some_and(|phone| canonical(phone) == canonical(event.numbers().phone));
        ensure(is_right, || format!("{event:?} is recorded of {side:?} {index} of {:?}", conversation.expected))
    }

    /// True if a leg with these statuses belongs to a conversation: the latest that had begun when the first of them happened.
    /// Two that began in the same second cannot be told apart.
    fn is_home(&self, id: ConversationId, event: &CallEvent, statuses: &BTreeSet<Status>) -> bool {
        if let Some(named) = event.home() {
            return named == id;
        }
        let first =
            statuses.first().map_or(event.time(), |status| event.call.time(event.direction, *status)).as_second();
        let begun = |id: &ConversationId| id.created_at().as_second();
        let is_there = |id: &ConversationId| self.conversations.contains_key(id) || self.forgotten.contains(id);
        let latest = self.owners(event).filter(|id| is_there(id) && begun(id) <= first).max();
        let is_latest = latest.is_some_and(|latest| begun(&latest) == begun(&id));
        is_latest || begun(&id) == first || latest.is_some_and(|latest| begun(&latest) == first && id < latest)
    }

    /// Returns the seconds that the limits leave for a call, if that is less than any call may last.
    pub fn left_seconds(&self, conversation: &Conversation, side: Side) -> Option<u32> {
        let legs = legs_of(&self.legs, conversation.id);
        let sum = legs.fold(Usage::default(), |sum, leg| sum.with_leg(&leg.counted.usage, &Usage::default()));
        conversation.seconds_left(&Tally { sum, ..Tally::default() }, side)
    }

    /// Checks that the calls of a day are those of the legs, and that they pause the conversation when they are used up.
    fn check_days(&self, conversation: &ModelConversation, table: &Table, legs: &[Counted]) -> Verdict {
        let is = &conversation.expected;
        let by_day = table.days.get(&is.id).cloned().unwrap_or_default();
        let today = day(self.now);
        for (date, found) in by_day.iter().chain([(today, by_day.on(today))]) {
            let calls = legs.iter().filter(|leg| leg.day == Some(date)).map(|leg| leg.usage.calls).sum::<u64>();
            ensure(calls == found, || format!("{is:?} has {found} calls on {date}, but its legs {calls}"))?;
        }
        let paused_until = is.usage_limits.paused_until(&by_day, self.now);
        let is_paused = is.paused_until.filter(|until| self.now < *until);
        ensure(!conversation.is_live(self.now) || is_paused == paused_until, || {
            format!("{is:?} is not paused until {paused_until:?} after {by_day:?}")
        })
    }

    /// Checks that the sums of conversations with limits are those of their legs, and that a limit which is reached says so.
    fn check_usage(&self, table: &Table) -> Verdict {
        for (id, conversation) in &self.conversations {
            let legs: Vec<Counted> = legs_of(&table.legs, *id).map(|leg| leg.counted).collect();
            let sum = legs.iter().fold(Usage::default(), |sum, leg| sum.with_leg(&leg.usage, &Usage::default()));
            self.check_days(conversation, table, &legs)?;
            let found = table.usage.get(id).copied().unwrap_or_default();
            ensure(found == sum, || format!("{id} has used {found:?}, but its legs {sum:?}"))?;
            let is = &conversation.expected;
            let is_marked = is.limit_reached_at.is_some() || !conversation.is_live(self.now);
            ensure(is_marked || !is.usage_limits.are_reached(&found), || format!("{is:?} goes on after {found:?}"))?;
        }
        Ok(())
    }
}
