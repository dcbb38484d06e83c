//! The work that is left on a recording: fetching its file, telling the backend of it, or deleting its file.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::conversation::ConversationId;
use crate::domain::recording::{KEPT_BY_CARRIER, RecordingId};

/// The next step of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingTask {
    /// The file has to be fetched.
    Fetch,
    /// The file is there or given up, and the backend has to be told.
    Announce,
    /// The conversation is erased, and the file has to be deleted.
    Erase,
}

/// A step of a recording, and the time of the next try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingWork {
    /// The conversation.
    pub conversation: ConversationId,
    /// The recording.
    pub recording: RecordingId,
    /// The step.
    pub task: RecordingTask,
    /// The address of the deployment, for links, without a slash at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Time from which it is to be done.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub since: Timestamp,
    /// Time of the next try.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub due_at: Timestamp,
    /// Number of tries that have begun.
    pub tries: u32,
}

/// Time for one try. The first one begins when the recording is noted, and the schedule goes on after this time.
const TRY: SignedDuration = SignedDuration::from_mins(15);

/// The longest pause between two tries.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(12);

impl RecordingWork {
    /// Creates a step that is noted at `now`, of which somebody makes the first try at once.
    pub fn fetch(conversation: ConversationId, recording: RecordingId, base: Option<String>, now: Timestamp) -> Self {
        let task = RecordingTask::Fetch;
        Self { conversation, recording, task, base, since: now, due_at: now + TRY, tries: 0 }
    }

    /// Returns the work after a try has begun at `now`: the next one is a quarter of an hour later, then twice as late each time.
    pub fn tried(&self, now: Timestamp) -> Self {
        let pause = TRY * 2_i32.pow(self.tries.min(6));
        let due_at = now.saturating_add(pause.min(LONGEST_PAUSE)).unwrap_or(Timestamp::MAX);
        Self { due_at, tries: self.tries.saturating_add(1), ..self.clone() }
    }

    /// True if the carrier does not have the file any more at `now`.
    pub fn is_hopeless(&self, now: Timestamp) -> bool {
        self.task == RecordingTask::Fetch && now.duration_since(self.since) >= KEPT_BY_CARRIER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_become_rarer_and_end_after_30_days() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let id = RecordingId::try_from("aaaaaaaa-bbbb").unwrap();
        let mut work = RecordingWork::fetch(ConversationId::generate(now), id, None, now);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let at = work.due_at;
            work = work.tried(at);
            pauses.push(work.due_at.duration_since(at).as_mins());
        }
        assert_eq!(pauses, [15, 30, 60, 120, 240, 480, 720, 720, 720]);
        assert!(!work.is_hopeless(now + SignedDuration::from_hours(719)));
        assert!(work.is_hopeless(now + SignedDuration::from_hours(720)));
        let erase = RecordingWork { task: RecordingTask::Erase, ..work };
        assert!(!erase.is_hopeless(now + SignedDuration::from_hours(9999)), "a file is deleted in the end");
    }
}
