//! Calls and their legs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::domain::guard::Guard;
use crate::domain::side::Side;

/// The direction of a leg, seen from Vonage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the caller's phone to the virtual number.
    Inbound,
    /// From the virtual number to the callee's phone.
    Outbound,
}

/// A status of a leg, in Vonage's words. The variants are in the order in which a call goes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Created.
    Started,
    /// The phone rings.
    Ringing,
    /// Picked up.
    Answered,
    /// Machine detection: a person.
    Human,
    /// Machine detection: an answering machine.
    Machine,
    /// Ended after it was answered.
    Completed,
    /// A websocket leg closed.
    Disconnected,
    /// The line was busy.
    Busy,
    /// The caller hung up before an answer.
    Cancelled,
    /// It rang for too long.
    Timeout,
    /// No answer, or the phone could not be reached.
    Unanswered,
    /// Refused by the callee or the carrier.
    Rejected,
    /// Could not be placed.
    Failed,
}

impl Status {
    /// True if a leg with this status has ended.
    pub fn ends(self) -> bool {
        self >= Status::Completed
    }

    /// Returns Vonage's word for the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Started => "started",
            Status::Ringing => "ringing",
            Status::Answered => "answered",
            Status::Human => "human",
            Status::Machine => "machine",
            Status::Completed => "completed",
            Status::Disconnected => "disconnected",
            Status::Busy => "busy",
            Status::Cancelled => "cancelled",
            Status::Timeout => "timeout",
            Status::Unanswered => "unanswered",
            Status::Rejected => "rejected",
            Status::Failed => "failed",
        }
    }
}

/// The content of one event of a leg. A leg is the merge of its events: each sets the attributes that are not set yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegEvent {
    /// Vonage's id of the call ("CON-…").
    pub conversation_uuid: String,
    /// Vonage's id of the leg.
    pub uuid: String,
    /// The status reported.
    pub status: Status,
    /// The time of the status, if the event says it.
    pub timestamp: Option<Timestamp>,
    /// The other data of the event.
    pub facts: LegFacts,
}

impl LegEvent {
    /// Returns the time at which its leg was used so that the end of the conversation slides: a phone was called, and it was answered
    /// or is over.
    ///
    /// A caller who is not connected uses nothing, so a blocked one cannot keep a conversation alive. An event without a time is no use
    /// either: it would be another one whenever it comes again.
    pub fn used_at(&self, direction: Direction) -> Option<Timestamp> {
        let is_use = direction == Direction::Outbound && (self.status == Status::Answered || self.status.ends());
        self.timestamp.filter(|_| is_use)
    }
}

/// The data of a leg other than its statuses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegFacts {
    /// True if it is the first leg of a call that a request placed: its participant is the caller, although Vonage called.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub placed: bool,
    /// Length of the answered part, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<u32>,
    /// Price in EUR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Decimal>,
    /// Price per minute, in EUR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Decimal>,
    /// The reason why it was not answered: Vonage's `detail`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The SIP code with which it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sip_code: Option<u16>,
    /// The party that ended it: `user` or `platform`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disconnected_by: Option<String>,
    /// The number of the attempt, from 1 on, if the call may try several phones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u8>,
}

/// One phone's part of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// Vonage's id of the call.
    pub conversation_uuid: String,
    /// Vonage's id of the leg.
    pub uuid: String,
    /// The side of the participant whose phone it is.
    pub side: Side,
    /// Index of the phone; see [`Participant::number_at`](crate::domain::conversation::Participant::number_at).
    pub phone: usize,
    /// Its direction.
    pub direction: Direction,
    /// Each status that was seen, with its time if that is known.
    pub statuses: BTreeMap<Status, Option<Timestamp>>,
    /// The time at which the callee took a call with guard.
    pub accepted_at: Option<Timestamp>,
    /// The time at which the caller, on another phone, typed the participant's PIN.
    pub pin_at: Option<Timestamp>,
    /// Its other data.
    pub facts: LegFacts,
}

impl Leg {
    /// Returns the furthest status, in whatever order the events came. `completed` ends every leg, so a status that says
    /// more about the end ranks above it.
    pub fn status(&self) -> Option<Status> {
        self.statuses.keys().next_back().copied()
    }

    /// Returns the known times of its statuses.
    pub fn times(&self) -> BTreeMap<Status, Timestamp> {
        self.statuses.iter().filter_map(|(status, time)| Some((*status, (*time)?))).collect()
    }

    /// True if its participant is the caller.
    pub fn is_callers(&self) -> bool {
        self.direction == Direction::Inbound || self.facts.placed
    }

    /// True if no status has ended it.
    pub fn is_up(&self) -> bool {
        !self.statuses.keys().any(|status| status.ends())
    }

    fn answered_at(&self) -> Option<Timestamp> {
        self.statuses.get(&Status::Answered).copied().flatten()
    }

    /// Returns the time from which a callee with this guard could talk.
    fn connected_at(&self, guard: Guard) -> Option<Timestamp> {
        match guard {
            Guard::Press1 => self.accepted_at,
            Guard::None => self.answered_at(),
            Guard::Detect => self.answered_at().filter(|_| !self.statuses.contains_key(&Status::Machine)),
        }
    }

    /// Returns the seconds for which a callee with this guard could talk. Vonage counts from the answer.
    fn talked(&self, guard: Guard) -> Option<u32> {
        let duration = self.facts.duration?;
        if guard == Guard::None {
            return Some(duration);
        }
        let connected_at = self.connected_at(guard)?;
        let guarded = self.answered_at().map_or(0, |at| connected_at.duration_since(at).as_secs());
        Some(duration.saturating_sub(u32::try_from(guarded).unwrap_or(0)))
    }

    /// Returns the time of its first status, if one is known.
    pub fn first_seen(&self) -> Option<Timestamp> {
        self.statuses.values().flatten().min().copied()
    }

    fn ended_at(&self) -> Option<Timestamp> {
        self.statuses.iter().filter(|(status, _)| status.ends()).filter_map(|(_, time)| *time).min()
    }
}

/// A call: all legs with the same `conversation_uuid`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Vonage's id of the call.
    pub conversation_uuid: String,
    /// The side that called, if there is a leg.
    pub caller: Option<Side>,
    /// Time of its first status.
    pub started_at: Option<Timestamp>,
    /// The time at which the callee answered, or took a call with guard.
    pub connected_at: Option<Timestamp>,
    /// The time at which its last leg ended; `None` while a leg continues, or if the time is unknown.
    pub ended_at: Option<Timestamp>,
    /// Length of the conversation between the two, in seconds.
    pub duration: Option<u32>,
    /// Price of all its legs so far, in EUR; `None` while no leg has one.
    pub price: Option<Decimal>,
    /// Its legs: the caller's first, then the callee's in the order of the attempts.
    pub legs: Vec<Leg>,
    /// Position of the callee's leg: of several, the one in which the two talked, else the last.
    pub callee: Option<usize>,
}

/// Groups legs into calls with this guard, oldest first.
pub fn calls(legs: Vec<Leg>, guard: Guard) -> Vec<Call> {
    let mut by_call: BTreeMap<String, Vec<Leg>> = BTreeMap::new();
    for leg in legs {
        by_call.entry(leg.conversation_uuid.clone()).or_default().push(leg);
    }
    let mut calls: Vec<Call> = by_call.into_iter().map(|(id, legs)| call(id, legs, guard)).collect();
    calls.sort_by_key(|call| call.started_at);
    calls
}

fn call(conversation_uuid: String, mut legs: Vec<Leg>, guard: Guard) -> Call {
    legs.sort_by_key(|leg| (!leg.is_callers(), leg.facts.attempt, leg.first_seen()));
    let taken = legs.iter().position(|leg| !leg.is_callers() && leg.connected_at(guard).is_some());
    let callee = taken.or_else(|| legs.iter().rposition(|leg| !leg.is_callers()));
    let outbound = callee.map(|position| &legs[position]);
    let caller = legs.first().map(|leg| if leg.is_callers() { leg.side } else { leg.side.other() });
    Call {
        caller,
        started_at: legs.iter().filter_map(Leg::first_seen).min(),
        connected_at: outbound.and_then(|leg| leg.connected_at(guard)),
        ended_at: legs.iter().map(Leg::ended_at).collect::<Option<Vec<_>>>().and_then(|ends| ends.into_iter().max()),
        duration: outbound.and_then(|leg| leg.talked(guard)),
        price: legs.iter().filter_map(|leg| leg.facts.price).reduce(|sum, price| sum + price),
        conversation_uuid,
        callee,
        legs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leg(uuid: &str, side: Side, direction: Direction, statuses: &[(Status, i64)], price: &str) -> Leg {
        Leg {
            conversation_uuid: "CON-1".to_owned(),
            uuid: uuid.to_owned(),
            side,
            phone: 0,
            direction,
            statuses: statuses.iter().map(|(status, at)| (*status, Timestamp::from_second(*at).ok())).collect(),
            accepted_at: None,
            pin_at: None,
            facts: LegFacts { price: Some(price.parse().unwrap()), duration: Some(42), ..LegFacts::default() },
        }
    }

    #[test]
    fn terminal_status_wins_in_any_order() {
        let ended = leg("1", Side::A, Direction::Outbound, &[(Status::Ringing, 9), (Status::Completed, 3)], "0");
        assert_eq!(ended.status(), Some(Status::Completed));
        let busy = leg("1", Side::A, Direction::Outbound, &[(Status::Completed, 4), (Status::Busy, 3)], "0");
        assert_eq!(busy.status(), Some(Status::Busy));
    }

    #[test]
    fn call_is_made_of_its_two_legs() {
        let inbound = leg("in", Side::B, Direction::Inbound, &[(Status::Started, 1), (Status::Completed, 60)], "0.10");
        let outbound =
            leg("out", Side::A, Direction::Outbound, &[(Status::Answered, 5), (Status::Completed, 47)], "0.02");
        let [call] = calls(vec![outbound, inbound], Guard::None).try_into().unwrap();
        assert_eq!(call.caller, Some(Side::B));
        assert_eq!(call.legs.iter().map(|leg| leg.uuid.as_str()).collect::<Vec<_>>(), ["in", "out"]);
        assert_eq!(call.started_at, Timestamp::from_second(1).ok());
        assert_eq!(call.connected_at, Timestamp::from_second(5).ok());
        assert_eq!(call.ended_at, Timestamp::from_second(60).ok());
        assert_eq!(call.duration, Some(42));
        assert_eq!(call.price, "0.12".parse().ok());
    }

    #[test]
    fn call_that_was_placed_has_its_first_phone_as_caller() {
        let first = leg("1", Side::A, Direction::Outbound, &[(Status::Answered, 9), (Status::Completed, 60)], "0.10");
        let first = Leg { facts: LegFacts { placed: true, ..first.facts.clone() }, ..first };
        let second = leg("2", Side::B, Direction::Outbound, &[(Status::Answered, 15), (Status::Completed, 57)], "0.02");
        let [alone] = calls(vec![first.clone()], Guard::None).try_into().unwrap();
        assert_eq!((alone.caller, alone.connected_at, alone.duration), (Some(Side::A), None, None));
        let [call] = calls(vec![second, first], Guard::None).try_into().unwrap();
        assert_eq!((call.caller, call.connected_at), (Some(Side::A), Timestamp::from_second(15).ok()));
        assert_eq!(call.legs.iter().map(|leg| leg.uuid.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn what_no_event_said_is_unknown_and_not_0() {
        let mut inbound = leg("in", Side::A, Direction::Inbound, &[(Status::Started, 3)], "0");
        let mut outbound = leg("out", Side::B, Direction::Outbound, &[], "0");
        inbound.statuses.insert(Status::Completed, None);
        outbound.statuses.extend([(Status::Answered, None), (Status::Completed, None)]);
        for leg in [&mut inbound, &mut outbound] {
            leg.facts = LegFacts::default();
        }
        assert_eq!((inbound.status(), outbound.status()), (Some(Status::Completed), Some(Status::Completed)));
        assert_eq!(inbound.times().len(), 1);
        let [call] = calls(vec![outbound, inbound], Guard::None).try_into().unwrap();
        assert_eq!((call.started_at, call.price), (Timestamp::from_second(3).ok(), None));
        assert_eq!((call.connected_at, call.ended_at, call.duration), (None, None, None));
    }

    #[test]
    fn call_continues_while_a_leg_does() {
        let inbound = leg("in", Side::A, Direction::Inbound, &[(Status::Answered, 1)], "0");
        let outbound = leg("out", Side::B, Direction::Outbound, &[(Status::Completed, 9)], "0");
        assert_eq!(calls(vec![inbound, outbound], Guard::None)[0].ended_at, None);
    }

    #[test]
    fn guarded_call_is_connected_once_it_is_taken() {
        let statuses = [(Status::Answered, 10), (Status::Completed, 52)];
        let leg = || leg("out", Side::B, Direction::Outbound, &statuses, "0");
        let talk = |leg: Leg, guard: Guard| {
            let call = calls(vec![leg], guard).remove(0);
            (call.connected_at.map(Timestamp::as_second), call.duration)
        };
        assert_eq!(talk(leg(), Guard::None), (Some(10), Some(42)));
        assert_eq!(talk(leg(), Guard::Press1), (None, None), "a voicemail answered");
        let taken = Leg { accepted_at: Timestamp::from_second(18).ok(), ..leg() };
        assert_eq!(talk(taken, Guard::Press1), (Some(18), Some(34)));
        assert_eq!(talk(leg(), Guard::Detect), (Some(10), Some(42)));
        let mut machine = leg();
        machine.statuses.insert(Status::Machine, None);
        assert_eq!(talk(machine, Guard::Detect), (None, None));
    }
}
