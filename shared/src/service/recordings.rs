//! The keeping of recordings: fetches their files from Vonage into the deployment's own bucket, tells the other one and the backend,
//! and deletes the files of erased conversations.
//!
//! Each step is in the table before it begins, so a crash leaves it to the schedule. A text message is claimed by the transaction that
//! keeps the recording: it is sent once at most. The event is sent once at least.

use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};

use crate::aws_request::AwsError;
use crate::clock::SharedClock;
use crate::domain::channel::BrandSenders;
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::recording::{self, LINK_LIFETIME, NEWS, Recording, RecordingId, RecordingKind, RecordingState};
use crate::domain::recording_work::{RecordingTask, RecordingWork};
use crate::domain::side::Side;
use crate::domain::whatsapp_template::TemplateKind;
use crate::domain::words::Words;
use crate::domain::words::sentence::Text;
use crate::event_bus::{BusError, Event, EventBus};
use crate::recording_files::{PutError, RecordingFiles};
use crate::service::at_once;
use crate::service::call_texts::CallTexts;
use crate::service::create::texts::{records, speech_to};
use crate::service::{text_ways, wanted_text};
use crate::store::{Keeping, Offer, REDACTED_AFTER, Store, StoreError};
use crate::vonage::call_urls::recording_link;
use crate::vonage::recordings::{FetchError, RecordingsApi};
use crate::vonage::texts::TextSender;

/// Source of the invocation that makes the first try.
pub const RECORDINGS_SOURCE: &str = "maskline.recordings";

/// Number of recordings that a run works on at the same time.
const AT_ONCE: usize = 4;

/// The longest time for one step. A step that could end after the deadline is not started.
const TIME_FOR_ONE: SignedDuration = SignedDuration::from_secs(150);

/// Maximum number of attempts to keep a recording whose conversation changes at the same time.
const ATTEMPTS: u32 = 8;

/// Keeps recordings.
pub struct RecordingKeeper<T> {
    /// The table.
    pub store: Store,
    /// The bucket.
    pub files: RecordingFiles,
    /// Vonage's files. `None` if no recordings are kept any more: then their files are only deleted.
    pub vonage: Option<RecordingsApi>,
    /// Time for which a recording is kept.
    pub kept_for: SignedDuration,
    /// Sends text messages.
    pub texts: T,
    /// The deployment's senders on channels.
    pub senders: BrandSenders,
    /// The bus for events, if there is one.
    pub bus: Option<EventBus>,
    /// The words for people.
    pub words: Words,
    /// The clock.
    pub clock: SharedClock,
}

/// The result of a run.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct KeptRecordings {
    /// Number of recordings whose files were fetched.
    pub kept: usize,
    /// Number of those that Vonage does not have any more.
    pub given_up: usize,
    /// Number of files that were deleted.
    pub erased: usize,
    /// Number of steps that failed, and are tried again.
    pub failed: usize,
    /// True if some were left to the next run because time was over.
    pub is_cut_short: bool,
}

/// The outcome of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Kept,
    GivenUp,
    Erased,
    Failed,
    /// Nothing that a run counts.
    Other,
}

impl KeptRecordings {
    fn count(&mut self, done: Done) {
        match done {
            Done::Kept => self.kept += 1,
            Done::GivenUp => self.given_up += 1,
            Done::Erased => self.erased += 1,
            Done::Failed => self.failed += 1,
            Done::Other => {}
        }
    }
}

/// A step failed.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Vonage(#[from] FetchError),
    #[error("the file was not stored")]
    Put(#[from] PutError),
    #[error("the file was not deleted")]
    Delete(#[from] AwsError),
    #[error("the event was not sent")]
    Bus(#[from] BusError),
    #[error("RECORDING_DAYS is not set, so no recording is fetched")]
    Off,
}

/// Returns the event of the invocation that makes the first try of a recording.
pub fn event(conversation: ConversationId, recording: &RecordingId) -> Value {
    json!({"source": RECORDINGS_SOURCE, "conversation": conversation, "recording": recording})
}

/// Returns the hash under which a link's token is stored, so that the table opens no recording.
pub fn token_hash(token: &str) -> String {
    let hash = digest::digest(&digest::SHA256, token.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns a token that nobody can guess: 128 random bits in 22 characters. `None` if the system has no random numbers.
fn new_token() -> Option<String> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

impl<T: TextSender> RecordingKeeper<T> {
    /// Returns what sends text messages about calls, for a function that does not know the channels.
    pub fn call_texts(&self) -> CallTexts<'_, T> {
        let Self { store, texts, senders, words, clock, .. } = self;
        CallTexts { store, texts, senders, words, clock }
    }

    /// Makes the first try of one recording, unless somebody has made it.
    pub async fn first_try(
        &self,
        conversation: ConversationId,
        id: &RecordingId,
    ) -> Result<KeptRecordings, StoreError> {
        let mut done = KeptRecordings::default();
        let work = self.store.recording_work(conversation, id).await?;
        if let Some(work) = work.filter(|work| work.tries == 0 && work.task == RecordingTask::Fetch) {
            done.count(self.attempt(&work).await);
        }
        Ok(done)
    }

    /// Goes on with all due work. A step that fails is put off, so that no other step waits for it.
    pub async fn run(&self, deadline: Option<Timestamp>) -> Result<KeptRecordings, StoreError> {
        let done = Mutex::new(KeptRecordings::default());
        let lock = || done.lock().unwrap_or_else(PoisonError::into_inner);
        let has_time = || {
            let has_time = deadline.is_none_or(|deadline| self.clock.now() + TIME_FOR_ONE <= deadline);
            if !has_time {
                lock().is_cut_short = true;
            }
            has_time
        };
        let mut from = None;
        loop {
            let page = self.store.due_recordings(self.clock.now(), from).await?;
            let work = page.work.into_iter().take_while(|_| has_time());
            at_once::for_each(work, AT_ONCE, async |work| {
                let outcome = self.attempt(&work).await;
                lock().count(outcome);
            })
            .await;
            from = page.next;
            if from.is_none() || !has_time() {
                return Ok(lock().clone());
            }
        }
    }

    /// Takes the next step of one recording.
    async fn attempt(&self, work: &RecordingWork) -> Done {
        let outcome = match self.store.begin_try(work, self.clock.now()).await {
            Ok(Some(begun)) => self.step(&begun).await,
            // Somebody else does it.
            Ok(None) => Ok(Done::Other),
            Err(error) => Err(error.into()),
        };
        outcome.unwrap_or_else(|error| {
            let (id, recording) = (work.conversation, work.recording.as_str());
            let cause = chain(&error);
            tracing::warn!(conversation.id = %id, recording, cause, "a step of a recording failed; it is tried again");
            Done::Failed
        })
    }

    async fn step(&self, work: &RecordingWork) -> Result<Done, StepError> {
        if work.task == RecordingTask::Erase {
            return self.erase(work).await;
        }
        let recording = self.store.recording(work.conversation, &work.recording).await?;
        // If it has been erased, the erasure has put its own step in this place.
        let Some(recording) = recording else { return Ok(Done::Other) };
        let settled = match recording.state {
            RecordingState::Waiting => self.fetch(work, &recording).await?,
            RecordingState::Kept | RecordingState::Failed => Some((recording, Done::Other)),
        };
        let Some((recording, done)) = settled else { return Ok(Done::Other) };
        self.announce(work, &recording).await?;
        Ok(done)
    }

    /// Fetches the file of a recording and tells the other one. Returns the recording, if it is this run's to announce.
    async fn fetch(&self, work: &RecordingWork, recording: &Recording) -> Result<Option<(Recording, Done)>, StepError> {
        let now = self.clock.now();
        let fetched = match &self.vonage {
            Some(vonage) => self.store_file(vonage, recording).await,
            None => Err(StepError::Off),
        };
        let size = match fetched {
            Ok(size) => size,
            Err(error) if work.is_hopeless(now) => {
                let (id, cause) = (recording.id.as_str(), chain(&error));
                tracing::error!(conversation.id = %recording.conversation, recording = id, cause, schedule_failures = 1u64, "a recording was given up");
                let failed = Recording { state: RecordingState::Failed, ..recording.clone() };
                let is_given_up = self.store.give_up_recording(recording, now).await?;
                return Ok(is_given_up.then_some((failed, Done::GivenUp)));
            }
            Err(error) => return Err(error),
        };
        let kept_until = now.saturating_add(self.kept_for).unwrap_or(Timestamp::MAX);
        let kept = Recording {
            state: RecordingState::Kept,
            size: Some(size),
            kept_until: Some(kept_until),
            ..recording.clone()
        };
        let is_kept = self.keep(work, &kept).await?;
        if !is_kept && self.store.recording(kept.conversation, &kept.id).await?.is_none() {
            // The conversation was erased meanwhile. Its erasure deletes the file too, an hour later at the latest.
            self.files.delete(&kept.file()).await?;
        }
        Ok(is_kept.then_some((kept, Done::Kept)))
    }

    async fn store_file(&self, vonage: &RecordingsApi, recording: &Recording) -> Result<u64, StepError> {
        let source = vonage.open(&recording.url).await?;
        Ok(self.files.put(&recording.file(), source, recording.size).await?)
    }

    /// Notes that the file is kept, and texts the other one with a link, if there is still somebody to text. False if somebody else
    /// has kept it, or if the conversation has been erased.
    async fn keep(&self, work: &RecordingWork, kept: &Recording) -> Result<bool, StoreError> {
        for _ in 0..ATTEMPTS {
            let now = self.clock.now();
            let conversation = self.store.conversation(kept.conversation, now).await?;
            let is_news = now.duration_since(kept.made_at) < NEWS;
            let is_message = kept.kind == RecordingKind::Voicemail;
            let addressed = conversation.filter(|conversation| is_message && is_news && conversation.is_active(now));
            let addressed = addressed.zip(work.base.as_deref().zip(new_token()));
            let until = now + LINK_LIFETIME.min(self.kept_for);
            let hash = addressed.as_ref().map(|(_, (_, token))| token_hash(token));
            let offer = addressed.as_ref().zip(hash.as_deref());
            let offer = offer.map(|((conversation, _), token_hash)| Offer { conversation, token_hash, until });
            match self.store.keep_recording(kept, offer, now).await? {
                Keeping::Changed => {}
                Keeping::NotWaiting => return Ok(false),
                Keeping::Kept => {
                    if let Some((conversation, (base, token))) = addressed {
                        self.text(&conversation, kept.caller.other(), recording_link(base, &token)).await?;
                    }
                    return Ok(true);
                }
            }
        }
        Err(StoreError::Contended("a recording"))
    }

    async fn text(&self, conversation: &Conversation, to: Side, link: String) -> Result<(), StoreError> {
        let participant = conversation.participant(to);
        let text = speech_to(&self.words, conversation, to).with_link(link).write(Text::Voicemail);
        let reader = (to, participant.language.as_ref());
        let way = text_ways::own_way(&self.senders, conversation, reader, TemplateKind::Call, &text);
        let both = (&participant.sees, &participant.number);
        let outcome = wanted_text::send(&self.store, &self.texts, both, &text, way).await;
        if let Err(error) = &outcome {
            tracing::warn!(conversation.id = %conversation.id, cause = %error, "sending a text message about a recording failed");
        }
        self.store.record_texts(conversation.id, &records(&outcome), self.clock.now()).await
    }

    /// Puts the event of a recording on the bus. It is the last step.
    async fn announce(&self, work: &RecordingWork, recording: &Recording) -> Result<(), StepError> {
        let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let detail = json!({
            "conversation": recording.conversation,
            "recording": recording.id,
            "kind": recording.kind,
            "state": recording.state.as_str(),
            "called_by": recording.caller,
            "duration": number(recording.duration.map(u64::from)),
            "size": number(recording.size),
            "made_at": recording.made_at.as_second().to_string(),
        });
        let event = Event { detail_type: "Recording finished", detail };
        match &self.bus {
            Some(bus) => bus.put(&[event]).await?,
            None => tracing::info!(detail = %event.detail, "recording finished"),
        }
        let announced = RecordingWork { task: RecordingTask::Announce, ..work.clone() };
        Ok(self.store.finish_recording_work(&announced).await?)
    }

    /// Deletes the file of an erased conversation: at once, and again when nothing that was running then can store it any more.
    async fn erase(&self, work: &RecordingWork) -> Result<Done, StepError> {
        self.files.delete(&recording::file(work.conversation, &work.recording)).await?;
        let once_more = work.since + REDACTED_AFTER;
        if self.clock.now() < once_more {
            self.store.put_off_recording_work(work, once_more).await?;
            return Ok(Done::Other);
        }
        self.store.finish_recording_work(work).await?;
        Ok(Done::Erased)
    }
}

/// Returns an error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_and_never_the_same() {
        let tokens = [new_token().unwrap(), new_token().unwrap()];
        assert!(tokens[0] != tokens[1] && tokens.iter().all(|token| token.len() == 22), "{tokens:?}");
        assert_ne!(token_hash(&tokens[0]), token_hash(&tokens[1]));
        assert_eq!(token_hash("a").len(), 64);
    }
}
