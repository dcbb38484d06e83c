//! Recordings, what is still to be done about them, and links to them.
//!
//! A recording and its first step are written together, so none is forgotten. Its file is not in the table.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::item::{self, Item, Key, RECORDING_PREFIX, RECORDING_WORK_PARTITION};
use super::passed_over::PassedOver;
use super::retention::leg_deleted_after;
use super::transaction::Outcome;
use super::write::Write;
use super::{Store, StoreError};
use crate::clock::whole_second;
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::recording::{Recording, RecordingId, RecordingState};
use crate::domain::recording_work::{RecordingTask, RecordingWork};

/// Time after which the table deletes work that no run has done, because the schedule does not run.
const ABANDONED_AFTER: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Maximum number of items that one page of [`Store::due_recordings`] reads.
const PAGE: i32 = 200;

/// Number of recordings that one transaction of an erasure deletes, each with a new step.
const ERASED_AT_ONCE: u16 = 50;

/// Maximum number of such transactions in one piece of work.
const ERASING_TRANSACTIONS: usize = 10;

/// A page of the recordings of a conversation.
#[derive(Debug)]
pub struct RecordingsPage {
    /// Recordings of this page that can be read, in the order of their ids.
    pub recordings: Vec<Recording>,
    /// The last recording of the page, if there may be more.
    pub next: Option<String>,
}

/// A page of due work on recordings.
#[derive(Debug)]
pub struct DueRecordings {
    /// Due work of this page that can be read.
    pub work: Vec<RecordingWork>,
    /// Start of the next page, or `None` if this was the last one.
    pub next: Option<HashMap<String, AttributeValue>>,
}

/// The link that is texted with a kept recording.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// The conversation as it was read. The recording is kept only if it has not changed since.
    pub conversation: &'a Conversation,
    /// The hash of the link's token.
    pub token_hash: &'a str,
    /// The end of the link.
    pub until: Timestamp,
}

/// The outcome of keeping a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// It is kept, and this caller has to send the text message with the link, if there is one.
    Kept,
    /// Somebody else has kept it, or its conversation has been erased.
    NotWaiting,
    /// The conversation has changed since it was read.
    Changed,
}

#[derive(Serialize, Deserialize)]
struct Link {
    conversation: ConversationId,
    recording: RecordingId,
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    expires_at: Timestamp,
}

impl Store {
    /// Stores a recording of the conversation, and the work on it. False if it is stored already, or if the conversation has been
    /// erased.
    pub async fn note_recording(
        &self,
        conversation: &Conversation,
        recording: &Recording,
        work: &RecordingWork,
    ) -> Result<bool, StoreError> {
        let exists = Write::check(Key::Conversation(conversation.id));
        let exists = exists.when("attribute_exists(participants)").when("attribute_not_exists(erased_at)");
        let deleted_after = leg_deleted_after(conversation.rests_until());
        let item = Key::Recording(conversation.id, &recording.id).with(recording, Some(deleted_after))?;
        let put = Write::put(item).when("attribute_not_exists(pk)");
        self.transact_settled(vec![exists, put, Write::put(work_item(work)?)]).await
    }

    /// Returns a recording. One consistent read.
    pub async fn recording(
        &self,
        conversation: ConversationId,
        id: &RecordingId,
    ) -> Result<Option<Recording>, StoreError> {
        self.get(Key::Recording(conversation, id)).await
    }

    /// Returns a page of a conversation's recordings, from the one behind `after`. One consistent query.
    pub async fn recordings(
        &self,
        conversation: ConversationId,
        after: Option<&RecordingId>,
        limit: u16,
    ) -> Result<RecordingsPage, StoreError> {
        let partition = item::recordings_partition(conversation);
        let after = after.map(|id| format!("{RECORDING_PREFIX}{}", id.as_str()));
        let (items, more) = self.query_page(partition, RECORDING_PREFIX, after, limit).await?;
        let next = items.last().filter(|_| more).map(|last| id_text(last).to_owned());
        Ok(RecordingsPage { recordings: PassedOver::list(items, item::read), next })
    }

    /// Returns the work on a recording. One consistent read.
    pub async fn recording_work(
        &self,
        conversation: ConversationId,
        id: &RecordingId,
    ) -> Result<Option<RecordingWork>, StoreError> {
        self.get(Key::RecordingWork(conversation, id)).await
    }

    /// Returns a page of the work that is due at `now`, starting at `from`.
    pub async fn due_recordings(&self, now: Timestamp, from: Option<Item>) -> Result<DueRecordings, StoreError> {
        let page = self.due_page(RECORDING_WORK_PARTITION, None, PAGE, now, from).await?;
        let work = PassedOver::list(page.items.unwrap_or_default(), item::read);
        Ok(DueRecordings { work, next: page.last_evaluated_key })
    }

    /// Notes that a try of the work begins at `now`. Returns the work as it is then, or `None` if somebody else has begun one since
    /// it was read.
    pub async fn begin_try(&self, work: &RecordingWork, now: Timestamp) -> Result<Option<RecordingWork>, StoreError> {
        let tried = work.tried(now);
        let update = of_task(Write::update(key(work)), work.task)?
            .set("due_at = :due, tries = :tries")
            .when("tries = :seen")
            .bind(":due", item::seconds(tried.due_at))
            .bind(":tries", item::integer(tried.tries))
            .bind(":seen", item::integer(work.tries));
        Ok(self.update(update).await?.then_some(tried))
    }

    /// Notes that the file of a recording is kept, and that the backend has to be told. With an `offer` also stores its link, under
    /// the condition that its conversation has not changed: whoever gets [`Keeping::Kept`] sends it, and nobody else ever.
    pub async fn keep_recording(
        &self,
        kept: &Recording,
        offer: Option<Offer<'_>>,
        now: Timestamp,
    ) -> Result<Keeping, StoreError> {
        let recording = Write::update(Key::Recording(kept.conversation, &kept.id))
            .set("kept_until = :until, #size = :size")
            .name("#size", "size")
            .bind(":until", item::value(kept.kept_until.map(Timestamp::as_second))?)
            .bind(":size", item::value(kept.size)?);
        let mut transaction = self.settle(kept, recording, now)?;
        if let Some(Offer { conversation, token_hash, until }) = offer {
            let link = Link { conversation: kept.conversation, recording: kept.id.clone(), expires_at: until };
            transaction.push(Write::put(Key::RecordingLink(token_hash).with(&link, Some(until))?));
            let unchanged = Write::check(Key::Conversation(conversation.id))
                .when("attribute_exists(participants) AND attribute_not_exists(erased_at) AND revision = :seen")
                .bind(":seen", item::integer(conversation.revision));
            transaction.push(unchanged);
        }
        Ok(match self.transact(transaction, None).await? {
            Outcome::Committed => Keeping::Kept,
            Outcome::Cancelled(failed) if failed.iter().any(|position| *position < 2) => Keeping::NotWaiting,
            Outcome::Cancelled(_) => Keeping::Changed,
        })
    }

    /// Gives the file of a recording up, and notes that the backend has to be told. False if it is not waiting any more.
    pub async fn give_up_recording(&self, recording: &Recording, now: Timestamp) -> Result<bool, StoreError> {
        let update = Write::update(Key::Recording(recording.conversation, &recording.id));
        let transaction =
            self.settle(&Recording { state: RecordingState::Failed, ..recording.clone() }, update, now)?;
        self.transact_settled(transaction).await
    }

    /// Returns the two writes that end the state `waiting` of a recording.
    fn settle(&self, recording: &Recording, update: Write, now: Timestamp) -> Result<Vec<Write>, StoreError> {
        let update = update
            .set("#state = :state")
            .when("#state = :waiting")
            .name("#state", "state")
            .bind(":state", item::string(recording.state.as_str()))
            .bind(":waiting", item::string(RecordingState::Waiting.as_str()));
        let work = Write::update(Key::RecordingWork(recording.conversation, &recording.id));
        let work = of_task(work, RecordingTask::Fetch)?
            .set("task = :next, due_at = :now, tries = :zero")
            .bind(":next", item::value(RecordingTask::Announce)?)
            .bind(":now", item::seconds(now))
            .bind(":zero", item::integer(0_u32));
        Ok(vec![update, work])
    }

    /// Deletes work that is done, unless another step has taken its place.
    pub async fn finish_recording_work(&self, work: &RecordingWork) -> Result<(), StoreError> {
        self.delete(of_task(Write::delete(key(work)), work.task)?).await.map(drop)
    }

    /// Puts work off until `due_at`, unless another step has taken its place.
    pub async fn put_off_recording_work(&self, work: &RecordingWork, due_at: Timestamp) -> Result<(), StoreError> {
        let update = of_task(Write::update(key(work)), work.task)?;
        self.update(update.set("due_at = :due").bind(":due", item::seconds(due_at))).await.map(drop)
    }

    /// Returns the recording of a link whose token has this hash, if the link is valid at `now`. Two eventually consistent reads
    /// would do; these are consistent, because the text message may be faster than a replica.
    pub async fn linked_recording(&self, token_hash: &str, now: Timestamp) -> Result<Option<Recording>, StoreError> {
        let link: Option<Link> = self.get(Key::RecordingLink(token_hash)).await?;
        let Some(Link { conversation, recording, .. }) = link.filter(|link| now < link.expires_at) else {
            return Ok(None);
        };
        self.recording(conversation, &recording).await
    }

    /// Deletes the recordings of a conversation and lists their files for deletion. False if there are more than one piece of work
    /// deletes. It works on the ids, so also on recordings that cannot be read.
    pub(super) async fn erase_recordings(&self, id: ConversationId, now: Timestamp) -> Result<bool, StoreError> {
        for _ in 0..ERASING_TRANSACTIONS {
            let partition = item::recordings_partition(id);
            let (items, more) = self.query_page(partition, RECORDING_PREFIX, None, ERASED_AT_ONCE).await?;
            let mut writes = Vec::new();
            for recording in items.iter().filter_map(|item| RecordingId::try_from(id_text(item)).ok()) {
                let (since, task) = (whole_second(now), RecordingTask::Erase);
                let work = RecordingWork { task, due_at: since, ..RecordingWork::fetch(id, recording, None, since) };
                writes.push(Write::delete(Key::Recording(id, &work.recording)));
                writes.push(Write::put(work_item(&work)?));
            }
            if writes.is_empty() {
                return Ok(true);
            }
            self.transact_settled(writes).await?;
            if !more {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn key(work: &RecordingWork) -> Key<'_> {
    Key::RecordingWork(work.conversation, &work.recording)
}

fn work_item(work: &RecordingWork) -> Result<Item, StoreError> {
    key(work).with(work, Some(work.since.saturating_add(ABANDONED_AFTER).unwrap_or(Timestamp::MAX)))
}

/// Adds the condition that the work is this step.
fn of_task(write: Write, task: RecordingTask) -> Result<Write, StoreError> {
    Ok(write.when("task = :task").bind(":task", item::value(task)?))
}

/// Returns the id in the sort key of a recording.
fn id_text(item: &Item) -> &str {
    item::sort_key(item).strip_prefix(RECORDING_PREFIX).unwrap_or_default()
}
