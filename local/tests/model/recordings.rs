//! Rules for recordings: messages of callers, and recorded calls. Vonage records only what it was told to record: a message after
//! key 2, and a call after an announcement or with the consent of both. Each file is fetched once Vonage has it, told of by one
//! text message at most, and gone with its conversation.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use shared::domain::call_recording::CallRecording;
use shared::domain::conversation::ConversationId;
use shared::domain::recording::{Recording, RecordingId, RecordingKind, RecordingState};
use shared::domain::recording_work::{RecordingTask, RecordingWork};
use shared::domain::side::Side;
use shared::domain::words::Words;
use shared::domain::words::sentence::Text;
use shared::service::call_steps::{CallSteps, Next};
use shared::service::recordings::{RecordingKeeper, token_hash};
use shared::store::StoreError;
use shared::vonage::call_urls::CallUrls;
use shared::vonage::ncco::Action as Said;
use shared::vonage::record_event::RecordEvent;

use crate::carrier::{Sent, Texts};
use crate::case::Case;
use crate::connection::Moment;
use crate::expectations::Execution;
use crate::legs::PlacedCall;
use crate::missed_calls::Asked;
use crate::model::{Model, Verdict, ensure};
use crate::steps::{Action, Step};
use crate::system::{Operation, Outcome};
use crate::table::Table;

/// Number of recordings of which Vonage may still tell.
const MADE: usize = 6;

/// Time after the end of a message in which the other one is told of it.
const NEWS: SignedDuration = SignedDuration::from_hours(24);

/// Bytes of a file.
pub const SOUND: &str = "sound";

/// A recording that Vonage has made.
#[derive(Debug, Clone)]
pub struct Made {
    pub id: RecordingId,
    pub kind: RecordingKind,
    pub call: PlacedCall,
    pub ended_at: Timestamp,
}

/// The name of a recording in the table.
pub type RecordingKey = (ConversationId, String);

/// Everything about recordings.
#[derive(Debug, Clone, Default)]
pub struct Recordings {
    pub known: BTreeMap<RecordingKey, Recording>,
    pub work: BTreeMap<RecordingKey, RecordingWork>,
    /// Recordings about which the table has forgotten what is left to do.
    pub abandoned: BTreeSet<RecordingKey>,
}

impl Made {
    /// Tells of the recording, as Vonage does. Then the first try to fetch it begins.
    pub async fn tell(
        &self,
        steps: &CallSteps<Texts>,
        keeper: &RecordingKeeper<Texts>,
        vonage: &str,
    ) -> Result<bool, StoreError> {
        let id = self.call.conversation;
        let event = RecordEvent {
            id: self.id.clone(),
            url: format!("{vonage}/v1/files/{}", self.id.as_str()),
            call: Some(self.call.conversation_uuid()),
            size: None,
            duration: Some(7),
            ended_at: Some(self.ended_at),
        };
        let urls = CallUrls::new("https://maskline.example", id);
        let known = steps.recorded(id, self.kind, self.call.callee_side, event, Some(&urls)).await?;
        if let Some(recording) = &known {
            keeper.first_try(id, recording).await?;
        }
        Ok(known.is_some())
    }

    fn key(&self) -> RecordingKey {
        (self.call.conversation, self.id.as_str().to_owned())
    }
}

impl Operation {
    /// The recording of which Vonage tells, if it is that.
    pub fn made(&self) -> Option<&Made> {
        match self {
            Self::Recorded(made) => Some(made),
            _ => None,
        }
    }

    fn keeps(&self) -> bool {
        matches!(self, Self::Keep | Self::Recorded(_))
    }
}

impl Step {
    /// Returns a call that is recorded, or whose caller leaves a message, with what comes of it.
    pub fn any_record() -> impl Strategy<Value = Self> {
        let moment = prop_oneof![Just(Moment::Before), Just(Moment::After)];
        let side = prop_oneof![Just(Side::A), Just(Side::B)];
        let crash = prop::option::weighted(0.4, (0..9u8, moment));
        let agrees = [prop::bool::weighted(0.8), prop::bool::weighted(0.8)];
        (0..3usize, side, agrees, 0..3u8, crash).prop_map(|(nth, side, agrees, late, crash)| Self::Record {
            nth,
            side,
            agrees,
            late,
            crash,
        })
    }
}

impl Case {
    /// Somebody calls in the `nth` live conversation with recordings. Vonage has the file after so many tries.
    pub async fn record(
        &mut self,
        nth: usize,
        side: Side,
        [caller, callee]: [bool; 2],
        late: u8,
        crash: Option<(u8, Moment)>,
    ) -> Verdict {
        let is_one = |model: &Model, id: &ConversationId| {
            let found = model.conversations.get(id);
            found.is_some_and(|found| found.is_live(model.now) && found.expected.handling.records())
        };
        if !self.begin_call(nth, side, is_one).await? {
            return Ok(());
        }
        self.wait("wait", SignedDuration::from_secs(6))?;
        let made = self.made.len();
        let asked = [Asked::Consent(caller), Asked::Whisper, Asked::Guard(true), Asked::Agree(callee), Asked::Message];
        for asked in asked {
            Box::pin(self.step(&Step::Do(Action::Next { call: 0, asked }))).await?;
        }
        if self.made.len() == made {
            return Ok(());
        }
        self.wait("wait", SignedDuration::from_secs(20))?;
        self.system.voice.delay_file(self.made.last().unwrap().id.as_str(), late);
        let (told, again) = (Action::Recorded(0), Action::Recorded(0));
        let first = match crash {
            Some((nth, moment)) => Step::Crash { action: told, nth, moment, concurrent: None },
            None => Step::Concurrently(told, Action::Recorded(0)),
        };
        let steps = [first, Step::Do(again), Step::Wait(16 * 60_000), Step::Do(Action::Keep), Step::Do(Action::Keep)];
        for step in steps {
            Box::pin(self.step(&step)).await?;
        }
        Ok(())
    }

    /// Notes what Vonage records from now on.
    pub fn note_made(&mut self, executions: &[Execution]) {
        for execution in executions {
            let (Operation::Step(step), Some(Outcome::Step(Ok(Some(Next::Hear(ncco)))))) =
                (&execution.operation, &execution.outcome)
            else {
                continue;
            };
            let kind = ncco.iter().find_map(|action| match action {
                Said::Record { .. } => Some(RecordingKind::Voicemail),
                Said::RecordCall { .. } => Some(RecordingKind::Call),
                _ => None,
            });
            let Some(kind) = kind else { continue };
            self.recorded += 1;
            let id = RecordingId::try_from(format!("recording-{}", self.recorded)).unwrap();
            let ended_at = self.model.now + SignedDuration::from_secs(8);
            self.made.drain(..(self.made.len() + 1).saturating_sub(MADE));
            self.made.push(Made { id, kind, call: step.call.clone(), ended_at });
        }
    }

    /// Returns the recording of which an action tells, if it has ended by now.
    pub fn made(&self, nth: usize) -> Option<Made> {
        let made = self.made.iter().rev().nth(nth % self.made.len().max(1))?;
        (made.ended_at <= self.model.now).then(|| made.clone())
    }

    /// Checks that each file in the bucket is of a recording, or that its deletion is listed.
    pub fn check_files(&self, table: &Table) -> Verdict {
        if self.recorded == 0 {
            return Ok(());
        }
        let files = self.system.bucket.keys();
        let key = |file: &String| {
            let (conversation, name) = file.split_once('/').unwrap();
            (ConversationId::try_from(conversation).unwrap(), name.trim_end_matches(".mp3").to_owned())
        };
        let keys: BTreeSet<RecordingKey> = files.iter().map(key).collect();
        let is_known = |key: &&RecordingKey| {
            let is_listed = table.recording_work.get(*key).is_some_and(|work| work.task == RecordingTask::Erase);
            table.recordings.contains_key(*key) || is_listed || self.model.recordings.abandoned.contains(*key)
        };
        let stray = keys.iter().find(|key| !is_known(key));
        ensure(stray.is_none(), || format!("the file of {stray:?} outlived its conversation"))?;
        let is_lost = |(key, recording): &(&RecordingKey, &Recording)| {
            recording.state == RecordingState::Kept && !keys.contains(*key)
        };
        let lost = table.recordings.iter().find(is_lost);
        ensure(lost.is_none(), || format!("{lost:?} has no file"))
    }

    /// Counts what a step did about recordings.
    pub fn count_recordings(&mut self, before: &Model) {
        let after = &self.model.recordings;
        let mut counts = Vec::new();
        for (key, recording) in &after.known {
            let state = before.recordings.known.get(key).map(|known| known.state);
            match (state, recording.state, recording.kind) {
                (Some(RecordingState::Waiting), RecordingState::Kept, _) => counts.push("kept later"),
                (None, RecordingState::Kept, RecordingKind::Voicemail) => counts.push("message kept at once"),
                (None, RecordingState::Kept, RecordingKind::Call) => counts.push("call kept at once"),
                (None, RecordingState::Waiting, _) => counts.push("waits"),
                _ => {}
            }
        }
        if before.recordings.known.keys().any(|key| !after.known.contains_key(key)) {
            counts.push("erased");
        }
        let is_done = |(key, work): (&RecordingKey, &RecordingWork)| {
            work.task == RecordingTask::Erase && !after.work.contains_key(key)
        };
        if before.recordings.work.iter().any(is_done) {
            counts.push("file deleted");
        }
        counts.into_iter().for_each(|count| self.coverage.count("recording", count));
    }
}

impl Model {
    /// True if the caller of a call agreed to its recording.
    pub fn has_agreed(&self, call: &PlacedCall) -> bool {
        let legs = self.legs.iter().filter(|((id, _), leg)| *id == call.conversation && leg.has_agreed);
        legs.into_iter().any(|((_, uuid), _)| *uuid == format!("in-{}", call.id))
    }

    /// Takes over the recordings of the table after a step with these operations.
    pub fn accept_recordings(
        &mut self,
        table: &Table,
        executions: &[&Operation],
        answered: Option<&Outcome>,
    ) -> Verdict {
        let known = &self.recordings.known;
        for (key, found) in &table.recordings {
            let told = executions.iter().filter_map(|operation| operation.made()).find(|made| made.key() == *key);
            let is_right = match (known.get(key), told) {
                (None, None) => false,
                (None, Some(made)) => {
                    let is = (made.kind, made.call.callee_side.other(), Some(made.call.conversation_uuid()));
                    (found.kind, found.caller, found.call.clone()) == is
                }
                (Some(before), _) if before.state == found.state => before == found,
                (Some(before), _) => {
                    let keeps = executions.iter().any(|operation| operation.keeps());
                    let same = Recording {
                        state: found.state,
                        size: found.size,
                        kept_until: found.kept_until,
                        ..before.clone()
                    };
                    keeps && before.state == RecordingState::Waiting && same == *found
                }
            };
            ensure(is_right, || format!("{found:?} was {:?}", known.get(key)))?;
            let is_orphan = !self.conversations.contains_key(&key.0) && !table.erasures.contains(&key.0);
            ensure(!is_orphan || self.forgotten.contains(&key.0), || format!("{found:?} outlived its conversation"))?;
            if found.state == RecordingState::Waiting && !self.recordings.abandoned.contains(key) {
                let work = table.recording_work.get(key).map(|work| work.task);
                ensure(work == Some(RecordingTask::Fetch), || format!("{found:?} is not to be fetched: {work:?}"))?;
            }
        }
        let is_gone =
            |key: &&RecordingKey| !table.recordings.contains_key(*key) && self.conversations.contains_key(&key.0);
        let gone = known.keys().find(is_gone);
        ensure(gone.is_none(), || format!("{gone:?} is not listed any more"))?;
        if let (Some(Outcome::Recorded(Ok(is_new))), [Operation::Recorded(made)]) = (answered, executions) {
            let is_there = self.conversations.get(&made.call.conversation).is_some_and(|is| is.is_readable(self.now));
            let right = is_there && !known.contains_key(&made.key());
            ensure(*is_new == right && (!is_there || table.recordings.contains_key(&made.key())), || {
                format!("{made:?} is new: {is_new}; expected {right}")
            })?;
        }
        if self.recordings.known != table.recordings || self.recordings.work != table.recording_work {
            self.recordings.known.clone_from(&table.recordings);
            self.recordings.work.clone_from(&table.recording_work);
        }
        Ok(())
    }
}

/// Checks the text messages about recordings among those that were `sent` in a step. Returns the others. `models` are those of
/// before and after it.
pub fn check_texts(
    [before, after]: [&Model; 2],
    table: &Table,
    sent: Vec<Sent>,
    undisturbed: bool,
) -> Result<Vec<Sent>, String> {
    let is_message = |(key, recording): &(&RecordingKey, &Recording)| {
        let was_kept = before.recordings.known.get(*key).is_some_and(|known| known.state == RecordingState::Kept);
        recording.state == RecordingState::Kept && recording.kind == RecordingKind::Voicemail && !was_kept
    };
    // Also of a conversation that was erased in the same step.
    let all = table.recordings.iter().chain(&after.recordings.known).filter(is_message);
    let new: BTreeMap<&RecordingKey, &Recording> = all.collect();
    let (words, mut others, mut told) = (Words::default(), Vec::new(), BTreeSet::new());
    for text in sent {
        let Some((_, link)) = text.text.split_once("https://maskline.example/recordings/") else {
            others.push(text);
            continue;
        };
        let token: String = link.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
        let of = before.conversations.values().chain(after.conversations.values());
        let of =
            of.into_iter().find(|found| found.attempt == text.attempt).ok_or_else(|| format!("{text:?} of nobody"))?;
        let is = &of.expected;
        let [reader, other] = [text.side, text.side.other()].map(|side| is.participant(side));
        let link = format!("https://maskline.example/recordings/{token}");
        let speech = words.speech(reader.language.as_ref()).with_label(other.label.as_ref()).with_number(&reader.sees);
        ensure(speech.with_link(link).write(Text::Voicemail) == text.text, || format!("{text:?} is in other words"))?;
        ensure(reader.number == text.to && reader.sees == text.from, || format!("{text:?} has the wrong receiver"))?;
        let linked = table.links.get(&token_hash(&token)).cloned();
        let due = linked.filter(|key| new.get(key).is_some_and(|recording| recording.caller == text.side.other()));
        let is_erased = !after.conversations.contains_key(&is.id);
        ensure(due.is_some() || is_erased, || format!("{text:?} was not due: {new:?}"))?;
        ensure(due.is_none_or(|key| told.insert(key)), || format!("{text:?} was sent twice"))?;
    }
    let is_due = |(key, recording): &(&&RecordingKey, &&Recording)| {
        let is_live = before.conversations.get(&key.0).is_some_and(|found| found.is_live(after.now));
        is_live && after.now.duration_since(recording.made_at) < NEWS && !told.contains(**key)
    };
    let untold = new.iter().find(is_due);
    ensure(!undisturbed || untold.is_none(), || format!("nobody was told of {untold:?}"))?;
    Ok(others)
}

/// The handling of recordings of a new conversation. Most have none.
pub fn any_recording() -> impl Strategy<Value = (CallRecording, bool)> {
    prop_oneof![
        8 => Just((CallRecording::Off, false)),
        1 => Just((CallRecording::Announce, false)),
        3 => Just((CallRecording::Consent, false)),
        2 => Just((CallRecording::Off, true)),
    ]
}
