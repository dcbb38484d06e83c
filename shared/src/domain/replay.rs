//! Replays: events that the backend gets once more, by time or of one conversation.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::domain::conversation::ConversationId;

/// Time for which the bus keeps events. The template's archive has the same.
pub const EVENTS_KEPT: SignedDuration = SignedDuration::from_hours(14 * 24);

/// The name of a replay. It says of which conversation the events are wanted, because each event that the replay brings has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplayName(String);

impl ReplayName {
    /// Generates a name for a replay that is asked for at `now`. It has 56 characters at most, of 64 that EventBridge takes.
    pub fn generate(conversation: Option<ConversationId>, now: Timestamp) -> Self {
        let unique = Ulid::from_datetime(now.into());
        match conversation {
            Some(conversation) => Self(format!("of-{conversation}-{unique}")),
            None => Self(format!("all-{unique}")),
        }
    }

    /// Returns the conversation whose events are wanted. A replay that an operator has named wants all.
    pub fn conversation(&self) -> Option<ConversationId> {
        let (id, _) = self.0.strip_prefix("of-")?.split_once('-')?;
        ConversationId::try_from(id).ok()
    }
}

impl fmt::Display for ReplayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The events that are wanted once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replay {
    /// The conversation; `None` wants all events of the time.
    pub conversation: Option<ConversationId>,
    /// The time of the first event.
    pub from: Timestamp,
    /// The time of the last event.
    pub until: Timestamp,
}

/// No events can be meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAReplay {
    /// Neither a time nor a conversation.
    #[error("needs `from`, or `conversation`")]
    Unlimited,
    /// The time has no end, or has not begun.
    #[error("must be before `until`, which is now if it is not given")]
    Backwards,
    /// The end is in the future.
    #[error("must not be in the future")]
    InFuture,
    /// All of it is older than what is kept.
    #[error("must be within the last 14 days, for which events are kept")]
    TooOld,
}

impl Replay {
    /// Returns the events of a conversation, of a time, or of a conversation in a time. Without `from` it begins with the
    /// conversation, and without `until` it ends now. It begins 14 days ago at most.
    pub fn new(
        conversation: Option<ConversationId>,
        from: Option<Timestamp>,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Self, NotAReplay> {
        let until = until.unwrap_or(now);
        let from = from.or(conversation.map(ConversationId::created_at)).ok_or(NotAReplay::Unlimited)?;
        if until > now {
            return Err(NotAReplay::InFuture);
        }
        if from >= until {
            return Err(NotAReplay::Backwards);
        }
        let oldest = now - EVENTS_KEPT;
        if until <= oldest {
            return Err(NotAReplay::TooOld);
        }
        Ok(Self { conversation, from: from.max(oldest), until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365) + SignedDuration::from_hours(hours)
    }

    #[test]
    fn name_keeps_the_conversation_and_fits_eventbridge() {
        let conversation = ConversationId::generate(at(0));
        let name = ReplayName::generate(Some(conversation), at(1));
        assert_eq!(name.conversation(), Some(conversation));
        let text = name.to_string();
        assert!(text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{text}");
        assert_eq!(ReplayName::generate(None, at(1)).conversation(), None);
        assert_ne!(ReplayName::generate(None, at(1)), ReplayName::generate(None, at(1)));
        assert_eq!(ReplayName("of-a-friend".to_owned()).conversation(), None);
    }

    #[test]
    fn replay_has_a_begin_and_an_end_in_the_last_days() {
        let conversation = ConversationId::generate(at(-5));
        let replay = |from: Option<i64>, until: Option<i64>, of: bool| {
            let replay = Replay::new(of.then_some(conversation), from.map(at), until.map(at), at(0))?;
            Ok((replay.from, replay.until))
        };
        assert_eq!(replay(None, None, true), Ok((at(-5), at(0))));
        assert_eq!(replay(Some(-2), Some(-1), true), Ok((at(-2), at(-1))));
        assert_eq!(replay(Some(-1000), None, false), Ok((at(-14 * 24), at(0))));
        for (from, until, of, error) in [
            (None, None, false, NotAReplay::Unlimited),
            (None, Some(-1), false, NotAReplay::Unlimited),
            (Some(-1), Some(-1), false, NotAReplay::Backwards),
            (None, Some(-6), true, NotAReplay::Backwards),
            (Some(1), None, false, NotAReplay::Backwards),
            (Some(-1), Some(1), false, NotAReplay::InFuture),
            (Some(-1000), Some(-999), false, NotAReplay::TooOld),
        ] {
            assert_eq!(replay(from, until, of), Err(error), "{from:?} {until:?}");
        }
    }
}
