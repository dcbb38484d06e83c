//! Who is told by text, and how often.

use std::collections::{HashMap, HashSet};

use shared::domain::conversation::ConversationId;
use shared::domain::side::Side;

use crate::answer::Answer;
use crate::carrier::{Fate, Sent};
use crate::judging::Done;
use crate::model::{Model, Verdict, ensure};
use crate::system::Act;
use crate::table::Table;

/// All texts of a case.
#[derive(Debug, Default)]
pub struct Told(HashMap<(ConversationId, Side), Vec<Fate>>);

impl Told {
    /// Whether the texts of a step were asked for, went to the right phone from the right number, and were none that
    /// may have been sent before. `exactly`: nothing ran beside, so that each text that was owed was sent once.
    pub fn check(&mut self, before: &Model, after: &Model, done: &[Done], sent: &[Sent], exactly: bool) -> Verdict {
        let mut owed = HashSet::new();
        let mut due = HashSet::new();
        for done in done {
            let of_this = owed_by(before, after, done);
            let all_runs_through = exactly || done.answer() == Some(Answer::Created);
            due.extend(of_this.iter().copied().filter(|_| all_runs_through));
            owed.extend(of_this);
        }
        let mut told = Vec::new();
        for text in sent {
            // One that is erased in the same step is not there any more.
            let mut talks = after.talks.values().chain(before.talks.values());
            let talk = talks.find(|talk| talk.attempt == text.attempt);
            let talk = talk.ok_or_else(|| format!("{text:?} is about no conversation"))?;
            let key = (talk.is.id, text.side);
            ensure(owed.contains(&key), || format!("{text:?} was not asked for"))?;
            let known = [before.talks.get(&key.0), Some(talk)];
            let mut known = known.into_iter().flatten().map(|talk| &talk.is.participants[text.side.index()]);
            let is_theirs = known.any(|participant| participant.number == text.to && participant.dials == text.from);
            ensure(is_theirs, || format!("{text:?} went elsewhere than to the participant"))?;
            let fates = self.0.entry(key).or_default();
            ensure(fates.iter().all(|fate| *fate == Fate::Refused), || format!("{text:?} was sent before: {fates:?}"))?;
            fates.push(text.fate);
            told.push(key);
        }
        let missing = due.iter().find(|due| !told.contains(due));
        ensure(missing.is_none(), || format!("{missing:?} was not told"))?;
        ensure(!exactly || told.len() == due.len(), || format!("{due:?} was to be told, and {told:?} was"))
    }

    /// What may have been sent must not look as if it were still to be sent, where the request may come again.
    pub fn check_claims(&self, model: &Model, table: &Table) -> Verdict {
        for ((id, side), fates) in &self.0 {
            let (Some(talk), Some(found)) = (model.talks.get(id), table.conversations.get(id)) else { continue };
            let may_be_out = fates.iter().any(|fate| *fate != Fate::Refused);
            let notification = &found.participants[side.index()].notification;
            ensure(!(talk.has_request && may_be_out && notification.is_owed()), || {
                format!("the text of {id:?} to {side:?} may be out, and the table says {notification:?}")
            })?;
        }
        Ok(())
    }
}

/// The texts that an act has to send.
fn owed_by(before: &Model, after: &Model, done: &Done) -> Vec<(ConversationId, Side)> {
    let Act::Create { attempt, new, request } = &done.act else { return Vec::new() };
    let created = after.talks.values().find(|talk| talk.attempt == *attempt).map(|talk| talk.is.id);
    let earlier = request.as_ref().and_then(|request| after.requests.get(&request.key_hash));
    let id = match done.answer() {
        Some(Answer::Created) => created,
        Some(Answer::Earlier(id)) => Some(id),
        // Cut off, perhaps while it was at the texts of an earlier request.
        None => created.or(earlier.filter(|asked| after.now < asked.until).map(|asked| asked.conversation)),
        Some(_) => None,
    };
    let Some(id) = id else { return Vec::new() };
    let is_owed = |side: &Side| match before.talks.get(&id) {
        Some(talk) => talk.is_live(before.now) && talk.is.participants[side.index()].notification.is_owed(),
        None => new.notify,
    };
    Side::BOTH.into_iter().filter(is_owed).map(|side| (id, side)).collect()
}
