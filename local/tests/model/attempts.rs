//! Rules for calls to a side with several phones. A call tries them one after the other, each at most once, and only phones that
//! are in the conversation at that moment. A phone that joins or leaves at the same time as a question of Vonage's counts as
//! in the conversation or not: the question is answered before that change or after it.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use shared::domain::attempt::Attempt;
use shared::domain::conversation::Conversation;
use shared::domain::phone::RealNumber;
use shared::domain::side::Side;
use shared::service::call_steps::Next;
use shared::vonage::ncco::Connection;

use crate::case::Case;
use crate::connection::Moment;
use crate::expectations::Execution;
use crate::legs::{CALLS, PlacedCall};
use crate::missed_calls::{Asked, CallStep};
use crate::model::{Model, Verdict, ensure};
use crate::phones::{Member, is_open, members};
use crate::scenario::canonical;
use crate::steps::{Action, ConversationRef, Step};
use crate::system::{Operation, Outcome};
use crate::teams::TeamChange;

/// The shortest time for which another phone is worth ringing, in seconds.
const LEAST_RING: i64 = 5;

/// The attempts of a call up to the present one.
#[derive(Debug, Clone)]
pub struct Hunt {
    pub attempt: Attempt,
    /// The phones that were dialled, the present one last.
    pub dialled: Vec<RealNumber>,
    /// The time at which the present one was dialled.
    pub at: Timestamp,
}

impl Hunt {
    pub fn begin(attempt: Attempt, phone: &RealNumber, at: Timestamp) -> Self {
        Self { attempt, dialled: vec![phone.clone()], at }
    }
}

/// The end of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Try {
    pub asked: Asked,
    /// A change of the callees' phones before the question, or at the same time.
    pub change: Option<(TeamChange, bool)>,
    pub crash: Option<(u8, Moment)>,
}

impl Step {
    /// Returns a call that nobody takes, with changes of the callees' phones meanwhile.
    pub fn any_hunt() -> impl Strategy<Value = Self> {
        let moment = prop_oneof![Just(Moment::Before), Just(Moment::After)];
        let asked = prop_oneof![3 => Just(Asked::Busy), 1 => Just(Asked::After)];
        let change = prop::option::weighted(0.4, (TeamChange::any(), any::<bool>()));
        let one = (asked, change, prop::option::weighted(0.2, (0..4u8, moment)));
        let one = one.prop_map(|(asked, change, crash)| Try { asked, change, crash });
        let side = prop_oneof![Just(Side::A), Just(Side::B)];
        (0..3usize, side, prop::collection::vec(one, 1..=4)).prop_map(|(nth, side, tries)| Self::Hunt {
            nth,
            side,
            tries,
        })
    }
}

impl Case {
    /// Somebody calls in the `nth` live conversation whose other side has several phones, and nobody takes the call.
    pub async fn hunt(&mut self, nth: usize, side: Side, tries: &[Try]) -> Verdict {
        let model = &self.model;
        let live = self.ids.iter().rev().filter_map(|id| model.conversations.get(id)).filter(|found| {
            let is = &found.expected;
            let has_several = members(is, side.other()).count() > 1;
            found.is_live(model.now) && is.direction.includes(side) && has_several
        });
        let live: Vec<_> = live.collect();
        let Some(is) = live.get(nth % live.len().max(1)).map(|found| found.expected.clone()) else {
            return self.skip();
        };
        let placed = self.placed;
        let caller = members(&is, side).nth(nth % 2).unwrap_or(members(&is, side).next().unwrap()).number.clone();
        self.call_from("call", canonical(&caller), is.participant(side).sees.clone()).await?;
        if self.placed == placed {
            return Ok(());
        }
        for Try { asked, change, crash } in tries {
            self.wait("wait", self.calls.last().map_or(SignedDuration::ZERO, PlacedCall::rings))?;
            let last = self.ids.iter().rev().position(|id| *id == is.id);
            let team = change.clone().map(|(change, at_once)| {
                let which = last.map_or(ConversationRef::Unknown, ConversationRef::Last);
                (Action::Team { which, side: side.other(), change }, at_once)
            });
            let action = Action::Next { call: 0, asked: *asked };
            let steps = match (team, *crash) {
                (Some((team, true)), None) => vec![Step::Concurrently(action, team)],
                (Some((team, true)), Some((nth, moment))) => {
                    vec![Step::Crash { action, nth, moment, concurrent: Some(team) }]
                }
                (Some((team, false)), _) => vec![Step::Do(team), Step::Do(action)],
                (None, Some((nth, moment))) => vec![Step::Crash { action, nth, moment, concurrent: None }],
                (None, None) => vec![Step::Do(action)],
            };
            for step in steps {
                Box::pin(self.step(&step)).await?;
            }
        }
        Ok(())
    }

    /// Notes the phones that calls try next.
    pub fn note_attempts(&mut self, executions: &[Execution]) {
        for execution in executions {
            let (Operation::Step(step), Some(Outcome::Step(Ok(Some(Next::Try(connection, _)))))) =
                (&execution.operation, &execution.outcome)
            else {
                continue;
            };
            let (Some(hunt), Some(attempt)) = (&step.call.hunt, connection.attempt) else { continue };
            let is_known = |call: &PlacedCall| {
                let known = call.hunt.as_ref().map(|hunt| hunt.attempt.number);
                call.id == step.call.id && known == Some(attempt.number)
            };
            // Vonage asked again: the same attempt goes on.
            if self.calls.iter().any(is_known) {
                continue;
            }
            let (phone, at) = (&connection.connect_to, self.model.now);
            let dialled = hunt.dialled.iter().chain([phone]).cloned().collect();
            let call = PlacedCall {
                callee: (phone.clone(), connection.present_as.clone()),
                hunt: Some(Hunt { attempt, dialled, at }),
                ..step.call.clone()
            };
            self.calls.drain(..(self.calls.len() + 1).saturating_sub(CALLS));
            self.calls.push(call);
        }
    }
}

impl Model {
    /// The first attempt of a call to this phone.
    pub fn first_attempt(&self, callee: Member<'_>) -> Attempt {
        Attempt::first(callee.index, self.now)
    }

    /// The phone that a call tries after the one of a step, with the seconds for which it rings: the first one that it has not
    /// tried and that is called at this hour.
    pub fn next_phone<'a>(&self, is: &'a Conversation, step: &CallStep) -> Option<(Member<'a>, u32)> {
        let (hunt, callee) = (step.call.hunt.as_ref()?, step.call.callee_side);
        let time = if step.asked == Asked::After { self.now } else { step.time() };
        let most = is.handling.max_attempts.unwrap_or(1);
        let is_live = is.ended_at.is_none() && self.now < is.expires_at;
        if !is_live || is.is_blocked(callee.other()) || hunt.attempt.number >= most {
            return None;
        }
        let rings = is.limits.ring_seconds * u32::from(most);
        let rings = i64::from(is.handling.max_ring_seconds.map_or(rings, |limit| limit.min(rings)));
        let left = rings - time.duration_since(hunt.attempt.since).as_secs();
        if left < LEAST_RING || self.left_seconds(is, callee.other()) == Some(0) {
            return None;
        }
        let is_tried =
            |member: &Member<'_>| hunt.dialled.iter().any(|phone| canonical(phone) == canonical(member.number));
        let mut all = members(is, callee);
        let next = all.find(|member| !is_tried(member) && is_open(member.hours, time))?;
        Some((next, is.limits.ring_seconds.min(left.try_into().unwrap())))
    }

    /// Checks the phone that a call tries next. `is` is its conversation.
    pub fn check_next_phone(&self, is: Option<&Conversation>, step: &CallStep, found: &Connection) -> Verdict {
        let is = is.ok_or_else(|| format!("{step:?} of no conversation goes on with {found:?}"))?;
        let right = self.next_phone(is, step);
        let (hunt, callee) = (step.call.hunt.as_ref().unwrap(), step.call.callee_side);
        let is_right = right.is_some_and(|(member, rings)| {
            let attempt = found.attempt.is_some_and(|attempt| {
                let now = (attempt.number, attempt.phone, attempt.since);
                now == (hunt.attempt.number + 1, member.index, hunt.attempt.since)
            });
            attempt
                && found.connect_to == *member.number
                && found.present_as == is.participant(callee).sees
                && (found.limits.ring_seconds, found.caller) == (rings, callee.other())
                && found.handling == is.handling
                && found.left_seconds == self.left_seconds(is, callee.other())
        });
        ensure(is_right, || format!("{step:?} goes on with {found:?}; expected {right:?} of {is:?}"))
    }
}
