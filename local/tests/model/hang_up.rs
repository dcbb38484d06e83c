//! Rules for the end of calls by request: after it no leg is up, whatever events come at the same time. An end of a conversation
//! with its calls also ends those that are answered after it.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use shared::domain::call::{Direction, Status};
use shared::domain::conversation::ConversationId;
use shared::domain::side::Side;
use shared::service::hang_up::{HangUp, HangUpError, HangUps};
use shared::store::Recorded;

use crate::case::Case;
use crate::connection::Moment;
use crate::expectations::Execution;
use crate::legs::{PlacedCall, STATUSES};
use crate::missed_calls::Asked;
use crate::model::{Model, Verdict, ends_with_calls, ensure};
use crate::steps::{Action, ConversationRef, Step};
use crate::system::{Operation, Outcome};

/// The age of a call from which it counts as over, whatever events came.
const OLD: SignedDuration = SignedDuration::from_hours(3);

/// Calls of which nothing is known, because the process that had to end them crashed.
#[derive(Debug, Default)]
pub struct Unsettled(BTreeSet<ConversationId>);

/// Ends what a request has to end in a call: nothing if no leg of it is known. True if no leg is left.
pub async fn end_call(hang_ups: &HangUps, call: &PlacedCall) -> Result<Option<bool>, HangUpError> {
    let (id, uuid) = (call.conversation, call.conversation_uuid());
    if hang_ups.store.legs_of_call(id, &uuid).await?.is_empty() {
        return Ok(None);
    }
    hang_ups.end_call(id, &uuid, None).await.map(Some)
}

/// Ends the calls of a conversation that was ended with them, and these calls.
pub async fn end_calls(hang_ups: &HangUps, id: ConversationId, calls: Vec<String>) {
    let left = hang_ups.carry_out(&HangUp::of_calls(id, calls.into_iter().collect()), None).await;
    assert_eq!(left.unwrap(), 0, "a call of {id} is up");
}

impl Step {
    /// Returns a call during which its conversation ends with its calls.
    pub fn any_cut_off() -> impl Strategy<Value = Self> {
        let moment = prop_oneof![Just(Moment::Before), Just(Moment::After)];
        let side = prop_oneof![Just(Side::A), Just(Side::B)];
        let crash = prop::option::weighted(0.3, (0..8u8, moment));
        (0..3usize, side, any::<bool>(), crash).prop_map(|(nth, side, is_known, crash)| Self::CutOff {
            nth,
            side,
            is_known,
            crash,
        })
    }
}

impl Case {
    /// Somebody calls in the `nth` live conversation of those that end with their calls, and it ends while the call is answered.
    pub async fn cut_off(&mut self, nth: usize, side: Side, is_known: bool, crash: Option<(u8, Moment)>) -> Verdict {
        let is_one = |model: &Model, id: &ConversationId| {
            ends_with_calls(*id) && model.conversations.get(id).is_some_and(|found| found.is_live(model.now))
        };
        if !self.begin_call(nth, side, is_one).await? {
            return Ok(());
        }
        self.wait("wait", SignedDuration::from_secs(5))?;
        let id = self.calls.last().unwrap().conversation;
        let last =
            self.ids.iter().rev().position(|one| *one == id).map_or(ConversationRef::Unknown, ConversationRef::Last);
        let answered = STATUSES.iter().position(|status| *status == Status::Answered).unwrap();
        let event = |callee| Action::Event { call: 0, callee, status: answered };
        let mut steps = Vec::new();
        steps.extend(is_known.then(|| Step::Do(event(false))));
        steps.push(match crash {
            Some((nth, moment)) => {
                Step::Crash { action: Action::End(last), nth, moment, concurrent: Some(event(true)) }
            }
            None => Step::Concurrently(Action::End(last), event(true)),
        });
        steps.extend([Step::Do(event(false)), Step::Do(Action::HangUp(0)), Step::Do(Action::End(last))]);
        for step in steps {
            Box::pin(self.step(&step)).await?;
        }
        Ok(())
    }

    /// Begins a call of this side in the `nth` live conversation that `is_one`. False if nobody is connected.
    pub async fn begin_call(
        &mut self,
        nth: usize,
        side: Side,
        is_one: impl Fn(&Model, &ConversationId) -> bool,
    ) -> Result<bool, String> {
        let live: Vec<_> = self.ids.iter().rev().filter(|id| is_one(&self.model, id)).copied().collect();
        let Some(id) = live.get(nth % live.len().max(1)) else { return self.skip().map(|()| false) };
        let is = &self.model.conversations[id].expected;
        let side = if is.direction.includes(side) { side } else { side.other() };
        let (caller, dialled) = crate::model::route_key(is, side);
        let placed = self.placed;
        self.call_from("call", caller, dialled).await?;
        Ok(self.placed > placed)
    }

    /// Tells Vonage of the legs that were dialled, and of those that are over. A leg that a request ended stays ended.
    pub fn note_legs(&mut self, executions: &[Execution]) {
        for execution in executions {
            match &execution.operation {
                Operation::Event(event) if event.status == Status::Completed => {
                    self.system.voice.end_call(&event.call.conversation_uuid());
                }
                Operation::Step(step) if matches!(step.asked, Asked::Busy | Asked::After) => {
                    self.system.voice.end_leg(&step.uuid());
                }
                _ => {}
            }
        }
        for call in &self.calls {
            for direction in [Direction::Inbound, Direction::Outbound] {
                self.system.voice.begin_leg(&call.conversation_uuid(), &call.uuid(direction));
            }
        }
    }

    /// Checks that no leg is up of a call that a step had to end.
    pub fn check_ended(&mut self, before: &Model, executions: &[Execution]) -> Verdict {
        let is_crashed = executions.iter().any(|execution| execution.outcome.is_none());
        for execution in executions {
            let (ended, id) = match (&execution.operation, &execution.outcome) {
                (Operation::Press(press), Some(Outcome::Press(Ok(Some(call))))) => {
                    (Some(call.clone()), press.call.conversation)
                }
                (Operation::HangUp(call), Some(Outcome::HangUp(Ok(Some(is_over))))) => {
                    ensure(*is_over, || format!("{call:?} is not over"))?;
                    self.coverage.count("hang up", "a call");
                    (Some(call.conversation_uuid()), call.conversation)
                }
                (Operation::HangUp(call), _) => (None, call.conversation),
                (Operation::End(id), _) => (None, *id),
                (Operation::Event(event), Some(Outcome::Event(Ok(Recorded::ToHangUp(id))))) => {
                    self.coverage.count("hang up", "a call that was answered after the end");
                    (Some(event.call.conversation_uuid()), *id)
                }
                (Operation::Event(event), _) => (None, event.call.conversation),
                (Operation::Press(press), _) => (None, press.call.conversation),
                _ => continue,
            };
            if is_crashed {
                self.unsettled.0.insert(id);
            }
            let up = ended.map(|call| self.system.voice.up(&call)).unwrap_or_default();
            ensure(up.is_empty(), || format!("{:?} left {up:?}", execution.operation))?;
        }
        self.check_cut_off(before)
    }

    /// Checks that no call goes on of a conversation that ended with its calls, as far as events have told of it.
    fn check_cut_off(&mut self, before: &Model) -> Verdict {
        let model = &self.model;
        let is_over = |id: &ConversationId| model.conversations.get(id).is_some_and(|found| found.expected.hangs_up);
        let mut cut = false;
        for call in self
            .calls
            .iter()
            .filter(|call| is_over(&call.conversation) && !self.unsettled.0.contains(&call.conversation))
        {
            let is = &model.conversations[&call.conversation].expected;
            let ended_at = is.ended_at.unwrap_or(Timestamp::MAX);
            let is_told = [Direction::Inbound, Direction::Outbound].iter().any(|direction| {
                let leg = model.legs.get(&(call.conversation, call.uuid(*direction)));
                leg.is_some_and(|leg| {
                    leg.statuses.contains(&Status::Answered) && !leg.statuses.contains(&Status::Completed)
                })
            });
            let up = self.system.voice.up(&call.conversation_uuid());
            ensure(!is_told || ended_at > call.at + OLD || up.is_empty(), || format!("{call:?} goes on: {up:?}"))?;
            cut |=
                is_told && before.conversations.get(&call.conversation).is_some_and(|found| !found.expected.hangs_up);
        }
        if cut {
            self.coverage.count("hang up", "with the conversation");
        }
        Ok(())
    }
}
