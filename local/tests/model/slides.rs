//! Rules for ends that slide with each call.

use jiff::{SignedDuration, Timestamp};
use shared::domain::call::{Direction, Status};
use shared::domain::conversation::{Conversation, ConversationId};
use shared::domain::side::Side;
use shared::store::Recorded;

use crate::case::Case;
use crate::connection::Moment;
use crate::legs::{CallEvent, STATUSES};
use crate::model::{Model, Verdict};
use crate::steps::{Action, Step};
use crate::system::Outcome;
use crate::table::Table;

impl Model {
    /// Moves the end of the conversation of an event that was recorded, if its end slides that far. `outcome` is `None` if the process
    /// crashed after that, perhaps before it moved the end.
    pub fn slide(&mut self, event: &CallEvent, outcome: Option<&Outcome>, table: &Table) {
        let id = match outcome {
            Some(Outcome::Event(Ok(
                Recorded::Merged(id) | Recorded::ToSlide(id) | Recorded::ToWarn { conversation: id, .. },
            ))) => *id,
            // It ended with its calls meanwhile, before or after this moved the end.
            Some(Outcome::Event(Ok(Recorded::ToHangUp(_)))) | None => {
                let id = event.call.conversation;
                let end = |found: &Conversation| found.expires_at;
                let known = self.conversations.get(&id).map(|known| end(&known.expected));
                if table.conversations.get(&id).map(end) == known {
                    return;
                }
                id
            }
            Some(_) => return,
        };
        if event.direction == Direction::Outbound && [Status::Answered, Status::Completed].contains(&event.status) {
            self.slide_after(id, event.time());
        }
    }

    /// Moves the end of a conversation after a call or text at that time, if its end slides that far. True if it moved.
    pub fn slide_after(&mut self, id: ConversationId, used_at: Timestamp) -> bool {
        let live = self.conversations.get(&id).filter(|found| found.is_live(self.now));
        let Some(mut conversation) = live.cloned() else { return false };
        let is = &mut conversation.expected;
        let Some(sliding) = is.sliding_end else { return false };
        let seconds = sliding.after_use.duration().as_secs();
        let gain = used_at.as_second() + seconds - is.expires_at.as_second();
        // Only what is a tenth of the seconds is written.
        if gain <= 0 || gain * 10 < seconds || is.expires_at >= sliding.latest || used_at < sliding.since {
            return false;
        }
        is.expires_at = (is.expires_at + SignedDuration::from_secs(gain)).min(sliding.latest);
        is.revision += 1;
        self.assign_routes(&conversation, Side::BOTH);
        self.conversations.insert(id, conversation);
        true
    }
}

impl Case {
    /// Somebody calls in the `nth` live conversation whose end slides. The events of the callee's leg come twice, perhaps to a process
    /// that crashes.
    pub async fn use_sliding(&mut self, nth: usize, side: Side, crash: Option<(u8, Moment)>) -> Verdict {
        let is_one = |model: &Model, id: &ConversationId| {
            model
                .conversations
                .get(id)
                .is_some_and(|found| found.is_live(model.now) && found.expected.sliding_end.is_some())
        };
        if !self.begin_call(nth, side, is_one).await? {
            return Ok(());
        }
        let id = self.calls.last().unwrap().conversation;
        for (status, seconds) in [(Status::Answered, 5), (Status::Completed, 50)] {
            self.wait("wait", SignedDuration::from_secs(seconds))?;
            let end = |model: &Model| model.conversations.get(&id).map(|found| found.expected.expires_at);
            let before = end(&self.model);
            let status = STATUSES.iter().position(|known| *known == status).unwrap();
            let action = Action::Event { call: 0, callee: true, status };
            let first = match crash {
                Some((nth, moment)) => Step::Crash { action: action.clone(), nth, moment, concurrent: None },
                None => Step::Do(action.clone()),
            };
            for step in [first, Step::Do(action)] {
                Box::pin(self.step(&step)).await?;
            }
            self.coverage.count("sliding end", if end(&self.model) > before { "moved" } else { "not moved" });
        }
        Ok(())
    }
}
