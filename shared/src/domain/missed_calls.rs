//! Calls that the other participant does not take: the caller hears why, and the other one learns of it.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::domain::call::Status;

/// Time after a text message about a missed call in which there is no other one of the same kind. Who calls five times in a row
/// is announced once.
pub const BURST: SignedDuration = SignedDuration::from_mins(10);

/// Time after a missed call in which the other one is still told of it. An event that comes later is only recorded.
pub const NEWS: SignedDuration = SignedDuration::from_mins(10);

/// Length of the longest message that a caller can leave, in seconds.
pub const LONGEST_MESSAGE: u32 = 120;

/// One thing that is done about a missed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The caller hears why nobody answers.
    Say,
    /// The other one gets a text message from the number that masks the caller.
    Text,
    /// The caller may press 1, and the other one gets a text message that asks to call back.
    CallBack,
    /// The caller may press 2 and leave a message, and the other one gets a text message with a link to it.
    Voicemail,
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Say, Self::Text, Self::CallBack, Self::Voicemail];
}

/// The measures of a conversation. Each but none of them includes [`Measure::Say`].
///
/// Serialized as a list of measures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Measure>", into = "Vec<Measure>")]
pub struct MissedCalls {
    says: bool,
    texts: bool,
    offers_call_back: bool,
    takes_messages: bool,
}

impl MissedCalls {
    /// True if nothing is done: the call just ends.
    pub fn is_none(&self) -> bool {
        !self.says
    }

    /// True if this measure is taken.
    pub fn includes(self, measure: Measure) -> bool {
        match measure {
            Measure::Say => self.says,
            Measure::Text => self.texts,
            Measure::CallBack => self.offers_call_back,
            Measure::Voicemail => self.takes_messages,
        }
    }
}

impl From<Vec<Measure>> for MissedCalls {
    fn from(measures: Vec<Measure>) -> Self {
        Self {
            says: !measures.is_empty(),
            texts: measures.contains(&Measure::Text),
            offers_call_back: measures.contains(&Measure::CallBack),
            takes_messages: measures.contains(&Measure::Voicemail),
        }
    }
}

impl From<MissedCalls> for Vec<Measure> {
    fn from(missed: MissedCalls) -> Self {
        Measure::ALL.into_iter().filter(|one| missed.includes(*one)).collect()
    }
}

/// The reason why a call was not taken, as far as the caller should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// The line is busy.
    Busy,
    /// The callee declined.
    Declined,
    /// Nobody picked up.
    Unanswered,
    /// The phone cannot be reached.
    Unreachable,
}

impl Missed {
    /// Returns the reason if a leg with this status was not taken. A call that its caller gave up is none.
    pub fn of(status: Status) -> Option<Self> {
        match status {
            Status::Busy => Some(Self::Busy),
            Status::Rejected => Some(Self::Declined),
            Status::Timeout | Status::Unanswered => Some(Self::Unanswered),
            Status::Failed => Some(Self::Unreachable),
            Status::Started
            | Status::Ringing
            | Status::Answered
            | Status::Human
            | Status::Machine
            | Status::Completed
            | Status::Disconnected
            | Status::Cancelled => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn measures_are_a_list_and_each_one_includes_words() {
        let read = |list: serde_json::Value| serde_json::from_value::<MissedCalls>(list).unwrap();
        for (list, stored) in [
            (json!([]), json!([])),
            (json!(["say"]), json!(["say"])),
            (json!(["text"]), json!(["say", "text"])),
            (json!(["call_back", "call_back"]), json!(["say", "call_back"])),
            (json!(["call_back", "text", "say"]), json!(["say", "text", "call_back"])),
            (json!(["voicemail"]), json!(["say", "voicemail"])),
        ] {
            assert_eq!(serde_json::to_value(read(list.clone())).unwrap(), stored, "{list}");
            assert_eq!(read(list.clone()).is_none(), list == json!([]));
        }
        assert!(serde_json::from_value::<MissedCalls>(json!(["sing"])).is_err());
    }

    #[test]
    fn only_a_call_that_nobody_took_is_missed() {
        let missed = |word: &str| Missed::of(serde_json::from_value(json!(word)).unwrap());
        for word in ["started", "ringing", "answered", "human", "machine", "completed", "cancelled"] {
            assert_eq!(missed(word), None, "{word}");
        }
        assert_eq!(missed("busy"), Some(Missed::Busy));
        assert_eq!(missed("rejected"), Some(Missed::Declined));
        assert_eq!((missed("timeout"), missed("unanswered")), (Some(Missed::Unanswered), Some(Missed::Unanswered)));
        assert_eq!(missed("failed"), Some(Missed::Unreachable));
    }
}
