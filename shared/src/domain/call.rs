//! Calls and their legs: what is kept of each, and what follows from it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::domain::side::Side;

/// Which way a leg runs, seen from Vonage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the caller's phone to the virtual number.
    Inbound,
    /// From the virtual number to the called phone.
    Outbound,
}

/// A status of a leg, in Vonage's words. The order is the order of a call's life.
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
    /// Nobody answered, or the phone could not be reached.
    Unanswered,
    /// Refused by the called person or the carrier.
    Rejected,
    /// Could not be placed.
    Failed,
}

impl Status {
    /// Whether a leg that has come to it has ended.
    pub fn ends(self) -> bool {
        self >= Status::Completed
    }

    /// The status's word.
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

/// What one event says of a leg. A leg is the merge of its events: each sets what is not set yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegEvent {
    /// Vonage's id of the call ("CON-…").
    pub conversation_uuid: String,
    /// Vonage's id of the leg.
    pub uuid: String,
    /// The status reported.
    pub status: Status,
    /// When it came about.
    pub timestamp: Timestamp,
    /// What comes with it.
    pub facts: LegFacts,
}

/// What is told of a leg beside its statuses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegFacts {
    /// Length of the answered part, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<u32>,
    /// What it cost, in EUR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Decimal>,
    /// Price a minute, in EUR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Decimal>,
    /// Why it was not answered: Vonage's `detail`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The SIP code with which it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sip_code: Option<u16>,
    /// Who ended it: `user` or `platform`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disconnected_by: Option<String>,
}

/// One phone's part of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// Vonage's id of the call.
    pub conversation_uuid: String,
    /// Vonage's id of the leg.
    pub uuid: String,
    /// Whose phone it is.
    pub side: Side,
    /// Which of that participant's phones.
    pub phone: usize,
    /// Which way it runs.
    pub direction: Direction,
    /// When each status came about.
    pub statuses: BTreeMap<Status, Timestamp>,
    /// The rest.
    pub facts: LegFacts,
}

impl Leg {
    /// How it stands: the furthest status seen, in whatever order they came. `completed` ends every leg, so a
    /// status that says more about the end ranks above it.
    pub fn status(&self) -> Option<Status> {
        self.statuses.keys().next_back().copied()
    }

    fn first_seen(&self) -> Option<Timestamp> {
        self.statuses.values().min().copied()
    }

    fn ended_at(&self) -> Option<Timestamp> {
        self.statuses.iter().filter(|(status, _)| status.ends()).map(|(_, time)| *time).min()
    }
}

/// A call: all legs with the same `conversation_uuid`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Vonage's id of the call.
    pub conversation_uuid: String,
    /// Who called, where a leg tells.
    pub caller: Option<Side>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When the called phone was picked up.
    pub connected_at: Option<Timestamp>,
    /// When its last leg ended; none while one goes on.
    pub ended_at: Option<Timestamp>,
    /// How long the two talked, in seconds.
    pub duration: Option<u32>,
    /// What all its legs cost so far, in EUR.
    pub price: Decimal,
    /// Its legs: the caller's first.
    pub legs: Vec<Leg>,
}

/// The calls that `legs` make up, oldest first.
pub fn calls(legs: Vec<Leg>) -> Vec<Call> {
    let mut by_call: BTreeMap<String, Vec<Leg>> = BTreeMap::new();
    for leg in legs {
        by_call.entry(leg.conversation_uuid.clone()).or_default().push(leg);
    }
    let mut calls: Vec<Call> = by_call.into_iter().map(|(id, legs)| call(id, legs)).collect();
    calls.sort_by_key(|call| call.started_at);
    calls
}

fn call(conversation_uuid: String, mut legs: Vec<Leg>) -> Call {
    legs.sort_by_key(|leg| (leg.direction == Direction::Outbound, leg.first_seen()));
    let outbound = legs.iter().find(|leg| leg.direction == Direction::Outbound);
    let caller = legs.first().map(|leg| match leg.direction {
        Direction::Inbound => leg.side,
        Direction::Outbound => leg.side.other(),
    });
    Call {
        caller,
        started_at: legs.iter().filter_map(Leg::first_seen).min(),
        connected_at: outbound.and_then(|leg| leg.statuses.get(&Status::Answered).copied()),
        ended_at: legs.iter().map(Leg::ended_at).collect::<Option<Vec<_>>>().and_then(|ends| ends.into_iter().max()),
        duration: outbound.and_then(|leg| leg.facts.duration),
        price: legs.iter().filter_map(|leg| leg.facts.price).sum(),
        conversation_uuid,
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
            statuses: statuses.iter().map(|(status, at)| (*status, Timestamp::from_second(*at).unwrap())).collect(),
            facts: LegFacts { price: Some(price.parse().unwrap()), duration: Some(42), ..LegFacts::default() },
        }
    }

    #[test]
    fn a_terminal_status_wins_whatever_else_was_seen() {
        let ended = leg("1", Side::A, Direction::Outbound, &[(Status::Ringing, 9), (Status::Completed, 3)], "0");
        assert_eq!(ended.status(), Some(Status::Completed));
        let busy = leg("1", Side::A, Direction::Outbound, &[(Status::Completed, 4), (Status::Busy, 3)], "0");
        assert_eq!(busy.status(), Some(Status::Busy));
    }

    #[test]
    fn a_call_is_told_by_its_two_legs() {
        let inbound = leg("in", Side::B, Direction::Inbound, &[(Status::Started, 1), (Status::Completed, 60)], "0.10");
        let outbound =
            leg("out", Side::A, Direction::Outbound, &[(Status::Answered, 5), (Status::Completed, 47)], "0.02");
        let [call] = calls(vec![outbound, inbound]).try_into().unwrap();
        assert_eq!(call.caller, Some(Side::B));
        assert_eq!(call.legs.iter().map(|leg| leg.uuid.as_str()).collect::<Vec<_>>(), ["in", "out"]);
        assert_eq!(call.started_at, Timestamp::from_second(1).ok());
        assert_eq!(call.connected_at, Timestamp::from_second(5).ok());
        assert_eq!(call.ended_at, Timestamp::from_second(60).ok());
        assert_eq!(call.duration, Some(42));
        assert_eq!(call.price, "0.12".parse().unwrap());
    }

    #[test]
    fn a_call_goes_on_while_one_leg_does() {
        let inbound = leg("in", Side::A, Direction::Inbound, &[(Status::Answered, 1)], "0");
        let outbound = leg("out", Side::B, Direction::Outbound, &[(Status::Completed, 9)], "0");
        assert_eq!(calls(vec![inbound, outbound])[0].ended_at, None);
    }
}
