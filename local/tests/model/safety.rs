//! Rules for the safety key. A caller who presses `*` and `9` is protected: the other side is blocked, and the call ends.
//! Vonage tells of each key by itself, twice or late, also after the end of the conversation and after its erasure. The same
//! press blocks once.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;
use shared::domain::call::Direction;
use shared::domain::conversation::ConversationId;
use shared::domain::side::{Blocked, Side};
use shared::service::safety_key;
use shared::store::{Store, StoreError};
use shared::vonage::step_event::StepEvent;

use crate::case::Case;
use crate::connection::Moment;
use crate::legs::{CALLS, PlacedCall};
use crate::model::{Model, Verdict, ensure};
use crate::steps::{Action, Step};
use crate::system::{Operation, Outcome};
use crate::table::Table;

/// Longest time from the first key to the second.
const LONGEST_PAUSE: i64 = 5_000;

/// The digits of one event.
const DIGITS: [&str; 5] = ["*", "9", "*9", "9*", "1"];

/// Keys that the caller presses in a call.
#[derive(Debug, Clone)]
pub struct KeyPress {
    pub call: PlacedCall,
    pub digits: &'static str,
    pub at: Timestamp,
}

/// The same, with the call by its place, latest first, the digits by theirs, and the seconds from the beginning of the call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PressAction {
    pub call: usize,
    pub digits: usize,
    pub second: u8,
}

/// The times of the keys that were pressed on a leg, in milliseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PressedKeys {
    pub stars: BTreeSet<i64>,
    pub nines: BTreeSet<i64>,
}

impl PressedKeys {
    /// The last time at which a `9` followed a `*`.
    fn complete_at(&self) -> Option<i64> {
        let follows = |nine: i64| self.stars.iter().any(|star| *star < nine && nine - star <= LONGEST_PAUSE);
        self.nines.iter().copied().filter(|nine| follows(*nine)).max()
    }

    fn includes(&self, other: &Self) -> bool {
        self.stars.is_superset(&other.stars) && self.nines.is_superset(&other.nines)
    }
}

impl PressAction {
    pub fn any() -> impl Strategy<Value = Self> {
        let digits = prop_oneof![2 => Just(0), 2 => Just(1), 4 => Just(2), 1 => Just(3), 1 => Just(4)];
        (0..CALLS, digits, 0..12u8).prop_map(|(call, digits, second)| Self { call, digits, second })
    }
}

impl Step {
    /// Returns a call in which the caller presses both keys, told twice, at the same time or with a crash.
    pub fn any_protect() -> impl Strategy<Value = Self> {
        let moment = prop_oneof![Just(Moment::Before), Just(Moment::After)];
        let side = prop_oneof![Just(Side::A), Just(Side::B)];
        let crash = prop::option::weighted(0.4, (0..7u8, moment));
        (0..3usize, side, crash).prop_map(|(nth, side, crash)| Self::Protect { nth, side, crash })
    }
}

impl KeyPress {
    fn side(&self) -> Side {
        self.call.callee_side.other()
    }

    /// The id of the caller's leg.
    pub fn leg(&self) -> String {
        self.call.uuid(Direction::Inbound)
    }

    /// Presses the keys, as the event webhook does. Returns the call that has to end.
    pub async fn press(&self, store: &Store, now: Timestamp) -> Result<Option<String>, StoreError> {
        let body = json!({
            "dtmf": {"digits": self.digits},
            "from": self.call.caller.0.expose(),
            "to": self.call.caller.1.as_str(),
            "uuid": self.leg(),
            "conversation_uuid": self.call.conversation_uuid(),
            "timestamp": self.at.to_string(),
        });
        let event = StepEvent::parse(body.to_string().as_bytes()).unwrap();
        safety_key::press(store, self.call.conversation, self.side(), &event, now).await
    }

    /// The times of the keys. Those of one event are in the order of their milliseconds.
    fn keys(&self) -> PressedKeys {
        let times = |key: char| {
            let places = self.digits.chars().zip(0..).filter(move |(digit, _)| *digit == key);
            places.map(|(_, place)| self.at.as_millisecond() + place).collect()
        };
        PressedKeys { stars: times('*'), nines: times('9') }
    }
}

impl Operation {
    /// The keys that were pressed in a call, if it is that.
    pub fn press(&self) -> Option<&KeyPress> {
        match self {
            Self::Press(press) => Some(press),
            _ => None,
        }
    }
}

impl Case {
    /// Returns the keys that an action means, if there is a call in which they are told.
    pub fn key_press(&self, PressAction { call, digits, second }: PressAction) -> Option<KeyPress> {
        let call = self.calls.iter().rev().nth(call % self.calls.len().max(1))?.clone();
        let at = call.at + SignedDuration::from_secs(second.into());
        let is_told = self.model.conversations.get(&call.conversation).is_none_or(|is| is.expected.handling.safety_key);
        (is_told && at <= self.model.now).then_some(KeyPress { call, digits: DIGITS[digits], at })
    }

    /// Somebody calls in the `nth` live conversation with the key, and presses it.
    pub async fn protect(&mut self, nth: usize, side: Side, crash: Option<(u8, Moment)>) -> Verdict {
        let is_one = |model: &Model, id: &ConversationId| {
            let found = model.conversations.get(id);
            found.is_some_and(|found| found.is_live(model.now) && found.expected.handling.safety_key)
        };
        if !self.begin_call(nth, side, is_one).await? {
            return Ok(());
        }
        self.wait("wait", SignedDuration::from_secs(12))?;
        let press = |digits, second| Action::Press(PressAction { call: 0, digits, second });
        let last = match crash {
            Some((nth, moment)) => Step::Crash { action: press(1, 7), nth, moment, concurrent: Some(press(0, 6)) },
            None => Step::Concurrently(press(0, 6), press(1, 7)),
        };
        for step in [last, Step::Do(press(1, 7)), Step::Do(press(0, 6))] {
            Box::pin(self.step(&step)).await?;
        }
        Ok(())
    }
}

impl Model {
    /// Takes over what a press did. `table` shows how far a process came that crashed.
    pub fn accept_press(
        &mut self,
        press: &KeyPress,
        outcome: Option<&Outcome>,
        table: &Table,
        undisturbed: bool,
    ) -> Verdict {
        let (id, leg) = (press.call.conversation, (press.call.conversation, press.leg()));
        let given = match outcome {
            Some(Outcome::Press(Ok(call))) => Some(call.clone()),
            Some(other) => return Err(format!("{press:?} failed: {other:?}")),
            None => None,
        };
        let Some(conversation) = self.conversations.get(&id).filter(|found| found.is_readable(self.now)) else {
            return ensure(given.is_none_or(|call| call.is_none()) || !undisturbed, || format!("{press:?} of nobody"));
        };
        let noted = table.legs.get(&leg).is_some_and(|leg| leg.keys.includes(&press.keys()));
        if outcome.is_none() && !noted {
            return Ok(());
        }
        let pressed = self.pressed.entry(leg).or_default();
        if press.keys() != PressedKeys::default() {
            pressed.stars.extend(press.keys().stars);
            pressed.nines.extend(press.keys().nines);
        }
        let complete_at = pressed.complete_at().filter(|_| press.keys() != PressedKeys::default());
        let right = complete_at.map(|_| press.call.conversation_uuid());
        ensure(!undisturbed || given.as_ref() == Some(&right), || {
            format!("{press:?} ends {given:?}; expected {right:?}")
        })?;
        let Some(at) = complete_at.map(|at| Timestamp::from_second(at.div_euclid(1000)).unwrap()) else {
            return Ok(());
        };
        let side = press.side();
        let is_told = table.conversations.get(&id).is_some_and(|found| found.safety.of(side) >= Some(at));
        if conversation.expected.safety.of(side) >= Some(at) || outcome.is_none() && !is_told {
            return Ok(());
        }
        let mut conversation = conversation.clone();
        let is = &mut conversation.expected;
        is.safety = is.safety.with(side, at);
        if self.now < is.expires_at && is.ended_at.is_none() {
            is.blocked = Some(match (is.blocked, side) {
                (None | Some(Blocked::B), Side::A) => Blocked::B,
                (None | Some(Blocked::A), Side::B) => Blocked::A,
                _ => Blocked::Both,
            });
            is.revision += 1;
            self.assign_routes(&conversation, Side::BOTH);
        }
        self.conversations.insert(id, conversation);
        Ok(())
    }

    /// Checks the keys of a leg on which some were pressed. `answered`: no process crashed.
    pub fn check_keys(&self, press: &KeyPress, table: &Table) -> Verdict {
        let key = (press.call.conversation, press.leg());
        let is_there = self.conversations.get(&key.0).is_some_and(|found| found.is_readable(self.now));
        let Some(expected) = self.pressed.get(&key).filter(|_| is_there) else { return Ok(()) };
        let found = table.legs.get(&key).map(|leg| leg.keys.clone()).unwrap_or_default();
        ensure(found == *expected, || format!("{press:?} left {found:?}; expected {expected:?}"))
    }

    /// Returns the outcome of a press for the coverage report. `self` is the state after it.
    pub fn describe_press(&self, press: &KeyPress, before: &Self) -> &'static str {
        let of = |model: &Self| {
            let is = &model.conversations.get(&press.call.conversation)?.expected;
            Some((is.safety.of(press.side()), is.revision))
        };
        match (of(before), of(self)) {
            (None, _) => "unknown",
            (Some((before, revision)), Some((after, later))) if before != after => {
                if revision == later {
                    "after the end"
                } else {
                    "blocked"
                }
            }
            (Some((Some(_), _)), _) => "once more",
            _ => "no safety key",
        }
    }
}
