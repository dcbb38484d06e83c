//! Checks of the text messages: each goes to the right phone, and none is sent twice.

use std::collections::{HashMap, HashSet};

use shared::domain::conversation::{ConversationId, Notification};
use shared::domain::phone::VirtualNumber;
use shared::domain::side::Side;
use shared::domain::words::Words;
use shared::domain::words::sentence::Text;

use crate::answer::Answer;
use crate::carrier::{Sent, SmsOutcome};
use crate::expectations::Execution;
use crate::model::{Model, Verdict, ensure};
use crate::system::Operation;
use crate::table::Table;

/// Outcomes of all text messages of a case, by conversation, receiving side and the number to dial.
#[derive(Debug, Default)]
pub struct SmsLedger(HashMap<(ConversationId, Side, VirtualNumber, usize), Vec<SmsOutcome>>);

impl SmsLedger {
    /// Checks that each text message of a step was due, went to the right phone from the right number, and cannot have
    /// been sent before. If `undisturbed`, only one operation ran, so each message that was due was sent once.
    pub fn check(
        &mut self,
        before: &Model,
        after: &Model,
        executions: &[Execution],
        sent: &[Sent],
        undisturbed: bool,
    ) -> Verdict {
        let mut all_due = HashSet::new();
        let mut due = HashSet::new();
        for execution in executions {
            let of_execution = texts_due(before, after, execution);
            let all_runs_through = undisturbed || execution.answer() == Some(Answer::Created);
            due.extend(of_execution.iter().copied().filter(|_| all_runs_through));
            all_due.extend(of_execution);
        }
        let (mut sent_to, words) = (Vec::new(), Words::default());
        for text in sent {
            // A conversation that is erased in the same step is only in the state before it.
            let mut conversations = after.conversations.values().chain(before.conversations.values());
            let conversation = conversations.find(|conversation| conversation.attempt == text.attempt);
            let conversation = conversation.ok_or_else(|| format!("{text:?} belongs to no conversation"))?;
            let key = (conversation.expected.id, text.side);
            ensure(all_due.contains(&key), || format!("{text:?} was not due"))?;
            let known = [before.conversations.get(&key.0), Some(conversation)];
            let mut known =
                known.into_iter().flatten().map(|conversation| &conversation.expected.participants[text.side.index()]);
            let is_theirs = known.any(|participant| participant.number == text.to && participant.sees == text.from);
            ensure(is_theirs, || format!("{text:?} has the wrong receiver or sender"))?;
            let mut readers = [before.conversations.get(&key.0), Some(conversation)].into_iter().flatten();
            let is_readable = readers.any(|conversation| {
                let [reader, other] =
                    [text.side, text.side.other()].map(|side| conversation.expected.participant(side));
                let speech =
                    words.speech(reader.language.as_ref()).with_label(other.label.as_ref()).with_number(&text.from);
                [Text::Invitation, Text::NumberChanged].into_iter().any(|kind| speech.write(kind) == text.text)
            });
            ensure(is_readable, || format!("{text:?} is in the wrong language"))?;
            // A participant can get a number back that was lost long ago, and another text message with it.
            let seen = conversation.expected.participants[text.side.index()].all_seen();
            let times = seen.filter(|number| **number == text.from).count();
            let outcomes = self.0.entry((key.0, key.1, text.from.clone(), times)).or_default();
            ensure(outcomes.iter().all(|outcome| *outcome == SmsOutcome::Refused), || {
                format!("{text:?} was sent before: {outcomes:?}")
            })?;
            outcomes.push(text.outcome);
            sent_to.push(key);
        }
        let missing = due.iter().find(|due| !sent_to.contains(due));
        ensure(missing.is_none(), || format!("the text message to {missing:?} was not sent"))?;
        ensure(!undisturbed || sent_to.len() == due.len(), || {
            format!("text messages to {due:?} were due, but were sent to {sent_to:?}")
        })
    }

    /// Checks that no text message that may have been sent looks unsent to a replay.
    pub fn check_unsent(&self, model: &Model, table: &Table) -> Verdict {
        for ((id, side, dials, times), outcomes) in &self.0 {
            let (Some(conversation), Some(found)) = (model.conversations.get(id), table.conversations.get(id)) else {
                continue;
            };
            let may_be_sent = outcomes.iter().any(|outcome| *outcome != SmsOutcome::Refused);
            let participant = &found.participants[side.index()];
            let notification = &participant.notification;
            let is_claimed = conversation.has_request || !participant.previously_seen.is_empty();
            let is_current = participant.sees == *dials
                && participant.all_seen().filter(|number| *number == dials).count() == *times;
            let looks_unsent = is_current && notification.needs_sending();
            ensure(!(is_claimed && may_be_sent && looks_unsent), || {
                format!(
                    "the text message of {id:?} to {side:?} may have been sent, but its notification is {notification:?}"
                )
            })?;
        }
        Ok(())
    }
}

/// The text messages that an operation has to send.
fn texts_due(before: &Model, after: &Model, execution: &Execution) -> Vec<(ConversationId, Side)> {
    if let Operation::Heal = &execution.operation {
        return changes_due(before, after);
    }
    let Operation::Create { attempt, new, request, is_late: false } = &execution.operation else { return Vec::new() };
    let created = after
        .conversations
        .values()
        .find(|conversation| conversation.attempt == *attempt)
        .map(|conversation| conversation.expected.id);
    let earlier = request.as_ref().and_then(|request| after.requests.get(&request.key_hash));
    let id = match execution.answer() {
        Some(Answer::Created) => created,
        Some(Answer::Replayed(id)) => Some(id),
        // The process crashed, perhaps while it replayed a previous request.
        None => created
            .or(earlier.filter(|remembered| after.now < remembered.until).map(|remembered| remembered.conversation)),
        Some(_) => None,
    };
    let Some(id) = id else { return Vec::new() };
    let is_due = |side: &Side| match before.conversations.get(&id) {
        Some(conversation) => {
            conversation.is_live(before.now)
                && conversation.expected.participants[side.index()].notification.needs_sending()
        }
        None => new.notify && new.direction.includes(*side),
    };
    Side::BOTH.into_iter().filter(is_due).map(|side| (id, side)).collect()
}

/// The text messages about other numbers: those of this run, and those that a run before it left.
fn changes_due(before: &Model, after: &Model) -> Vec<(ConversationId, Side)> {
    let mut due = Vec::new();
    for (id, conversation) in before.conversations.iter().filter(|(_, conversation)| conversation.is_live(before.now)) {
        let Some(changed) = after.conversations.get(id) else { continue };
        for side in Side::BOTH {
            let (old, new) = (conversation.expected.participant(side), changed.expected.participant(side));
            let is_left = !old.previously_seen.is_empty() && old.notification == Notification::Pending;
            if old.notification != Notification::Off && (old.sees != new.sees || is_left) {
                due.push((*id, side));
            }
        }
    }
    due
}
