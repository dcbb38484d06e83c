//! The backend's answer about a call.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::side::Side;
use crate::domain::words::own_text::OwnText;

/// Longest time for which an answer is remembered.
pub const LONGEST_MEMORY: SignedDuration = SignedDuration::from_hours(1);

/// The backend's answer about a call. It chooses one of the ways that the conversation and the deployment have, and names no
/// phone. Serialized as the backend writes it, and as the table stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "VerdictBody", into = "VerdictBody")]
pub struct Verdict {
    /// The way that the call takes.
    pub way: Way,
    /// The words for the caller.
    pub say: Option<Say>,
    /// Seconds for which the answer holds for further calls of the same side. None, if 0.
    pub cache_seconds: u32,
}

/// A way that a call takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The one that it takes without a decision.
    Continue,
    /// To the other participant: to the phone at this position first, if one is given. 0 is the first phone.
    Connect(Option<u8>),
    /// To nobody.
    Refuse,
    /// To the support phone.
    Support,
    /// To the question for a PIN.
    Pin,
}

/// Words for the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Say {
    /// A text of the backend, in the voice of the caller's language.
    Text(OwnText),
    /// A sentence of the catalogue, in the caller's language.
    Sentence(Reason),
}

/// A reason that the catalogue has words for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The other person is not available.
    #[serde(rename = "call.unavailable")]
    Unavailable,
    /// The conversation has ended.
    #[serde(rename = "call.ended")]
    Ended,
    /// The calls of the conversation are used up.
    #[serde(rename = "call.limit-reached")]
    LimitReached,
    /// The calls of the day are used up.
    #[serde(rename = "call.day-used-up")]
    DayUsedUp,
    /// Nobody answers.
    #[serde(rename = "missed.unanswered")]
    Unanswered,
    /// The caller may try again later.
    #[serde(rename = "missed.later")]
    Later,
    /// A goodbye.
    #[serde(rename = "call.goodbye")]
    Goodbye,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VerdictBody {
    action: ActionName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    phone: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    say: Option<Say>,
    #[serde(default)]
    cache_seconds: u32,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ActionName {
    Continue,
    Connect,
    Refuse,
    Support,
    Pin,
}

/// A phone is named by an answer that connects to none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("only connect may have a phone")]
pub struct PhoneWithoutConnection;

impl TryFrom<VerdictBody> for Verdict {
    type Error = PhoneWithoutConnection;

    fn try_from(body: VerdictBody) -> Result<Self, PhoneWithoutConnection> {
        let way = match (body.action, body.phone) {
            (ActionName::Connect, phone) => Way::Connect(phone),
            (_, Some(_)) => return Err(PhoneWithoutConnection),
            (ActionName::Continue, None) => Way::Continue,
            (ActionName::Refuse, None) => Way::Refuse,
            (ActionName::Support, None) => Way::Support,
            (ActionName::Pin, None) => Way::Pin,
        };
        Ok(Self { way, say: body.say, cache_seconds: body.cache_seconds })
    }
}

impl From<Verdict> for VerdictBody {
    fn from(Verdict { way, say, cache_seconds }: Verdict) -> Self {
        let (action, phone) = match way {
            Way::Connect(phone) => (ActionName::Connect, phone),
            Way::Continue => (ActionName::Continue, None),
            Way::Pin => (ActionName::Pin, None),
            Way::Refuse => (ActionName::Refuse, None),
            Way::Support => (ActionName::Support, None),
        };
        Self { action, phone, say, cache_seconds }
    }
}

/// The answers that hold for further calls of each side. Serialized as the table stores them, in the conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RememberedVerdicts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    a: Option<RememberedVerdict>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    b: Option<RememberedVerdict>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct RememberedVerdict {
    verdict: Verdict,
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    until: Timestamp,
    /// The revision of the conversation that the backend was asked about. Any change of it makes the backend be asked again.
    revision: u32,
}

impl RememberedVerdicts {
    /// True if there are none.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the answer that holds at `now` for calls of the side `caller`, in this revision of the conversation.
    pub fn of(&self, caller: Side, revision: u32, now: Timestamp) -> Option<&Verdict> {
        let remembered = match caller {
            Side::A => self.a.as_ref(),
            Side::B => self.b.as_ref(),
        };
        let holds = |remembered: &&RememberedVerdict| remembered.revision == revision && now < remembered.until;
        remembered.filter(holds).map(|remembered| &remembered.verdict)
    }

    /// Returns these answers with one of `now` more, if it is to be remembered.
    pub fn with(&self, caller: Side, verdict: &Verdict, revision: u32, now: Timestamp) -> Option<Self> {
        let memory = SignedDuration::from_secs(verdict.cache_seconds.into()).min(LONGEST_MEMORY);
        if memory.is_zero() {
            return None;
        }
        let until = now.saturating_add(memory).ok()?;
        let remembered = Some(RememberedVerdict { verdict: verdict.clone(), until, revision });
        Some(match caller {
            Side::A => Self { a: remembered, ..self.clone() },
            Side::B => Self { b: remembered, ..self.clone() },
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(body: Value) -> Option<Verdict> {
        serde_json::from_value(body).ok()
    }

    #[test]
    fn verdict_is_read_strictly_and_written_as_it_was_read() {
        for good in [
            json!({"action": "connect", "cache_seconds": 0}),
            json!({"action": "connect", "phone": 1, "cache_seconds": 60}),
            json!({"action": "refuse", "say": {"text": "Wait at gate 12."}, "cache_seconds": 0}),
            json!({"action": "support", "say": {"sentence": "call.unavailable"}, "cache_seconds": 0}),
        ] {
            assert_eq!(serde_json::to_value(read(good.clone()).unwrap()).unwrap(), good);
        }
        for bad in [
            json!({}),
            json!({"action": "call"}),
            json!({"action": "connect", "number": "+447700900003"}),
            json!({"action": "refuse", "phone": 1}),
            json!({"action": "connect", "phone": -1}),
            json!({"action": "connect", "cache_seconds": -1}),
            json!({"action": "refuse", "say": "Wait."}),
            json!({"action": "refuse", "say": {"text": "Call +44 7700 900003."}}),
            json!({"action": "refuse", "say": {"sentence": "guard.taken"}}),
            json!({"action": "refuse", "say": {"text": "a", "sentence": "call.ended"}}),
            json!([]),
            json!("connect"),
        ] {
            assert_eq!(read(bad.clone()), None, "{bad}");
        }
    }

    #[test]
    fn verdict_holds_for_its_side_its_time_and_its_revision() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let at = |seconds| now + SignedDuration::from_secs(seconds);
        let verdict = |seconds| read(json!({"action": "refuse", "cache_seconds": seconds})).unwrap();
        let none = RememberedVerdicts::default();
        assert_eq!(none.with(Side::A, &verdict(0), 1, now), None);
        let minute = none.with(Side::A, &verdict(60), 1, now).unwrap();
        assert_eq!(minute.of(Side::A, 1, at(59)), Some(&verdict(60)));
        assert_eq!((minute.of(Side::A, 1, at(60)), minute.of(Side::A, 2, now)), (None, None));
        assert_eq!(minute.of(Side::B, 1, now), None);
        let year = minute.with(Side::B, &verdict(31_536_000), 1, now).unwrap();
        assert!(year.of(Side::B, 1, at(3_599)).is_some() && year.of(Side::B, 1, at(3_600)).is_none());
        let stored = serde_json::to_value(&year).unwrap();
        assert_eq!(serde_json::from_value::<RememberedVerdicts>(stored).unwrap(), year);
    }
}
