//! The erasure of all conversations of one phone.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::domain::phone::RealNumber;

/// The id of an erasure: a ULID, which contains the time of the request. It says nothing about the phone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ErasureId(Ulid);

/// The text is not a ULID in its canonical form of 26 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of an erasure")]
pub struct NotAnErasureId;

impl ErasureId {
    /// Generates an id for a request at `now`.
    pub fn generate(now: Timestamp) -> Self {
        Self(Ulid::from_datetime(now.into()))
    }

    /// Returns the time of the request, to the millisecond.
    pub fn requested_at(self) -> Timestamp {
        let milliseconds = i64::try_from(self.0.timestamp_ms()).ok();
        milliseconds.and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::MAX)
    }
}

impl TryFrom<&str> for ErasureId {
    type Error = NotAnErasureId;

    fn try_from(text: &str) -> Result<Self, NotAnErasureId> {
        Ulid::from_string(text).ok().map(Self).filter(|id| id.to_string() == text).ok_or(NotAnErasureId)
    }
}

impl TryFrom<String> for ErasureId {
    type Error = NotAnErasureId;

    fn try_from(text: String) -> Result<Self, NotAnErasureId> {
        Self::try_from(text.as_str())
    }
}

impl From<ErasureId> for String {
    fn from(id: ErasureId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for ErasureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ErasureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An erasure by number. Serialized as the table stores it: times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberErasure {
    /// Its id.
    pub id: ErasureId,
    /// The phone in its canonical spelling, until the erasure is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<RealNumber>,
    /// Number of conversations that it has erased.
    pub conversations_erased: u64,
    /// Number of conversations that its last complete pass could not erase. They are tried again.
    pub conversations_failed: u64,
    /// The time at which it was done.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Timestamp>,
}

impl NumberErasure {
    /// Creates the erasure of what `number` is in at `now`.
    pub fn new(number: &RealNumber, now: Timestamp) -> Self {
        Self {
            id: ErasureId::generate(now),
            number: Some(number.canonical().into_owned()),
            conversations_erased: 0,
            conversations_failed: 0,
            done_at: None,
        }
    }

    /// Returns it as it is when it is done at `now`: without the phone.
    pub fn done(self, now: Timestamp) -> Self {
        Self { number: None, conversations_failed: 0, done_at: Some(now), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::phone::PhoneNumber;

    #[test]
    fn id_contains_the_time_of_the_request_and_has_one_spelling() {
        let now: Timestamp = "2026-11-22T12:00:00.123Z".parse().unwrap();
        let id = ErasureId::generate(now);
        assert_eq!(id.requested_at(), now);
        let text = id.to_string();
        assert_eq!(ErasureId::try_from(text.as_str()), Ok(id));
        for bad in [text.to_lowercase().as_str(), "", "447700900001", &format!("{text}0")] {
            assert_eq!(ErasureId::try_from(bad), Err(NotAnErasureId), "{bad}");
        }
    }

    #[test]
    fn phone_is_forgotten_when_the_erasure_is_done() {
        let phone = RealNumber::from(PhoneNumber::try_from("5491123456789").unwrap());
        let erasure = NumberErasure::new(&phone, Timestamp::UNIX_EPOCH);
        assert_eq!(erasure.number.as_ref().map(RealNumber::expose), Some("541123456789"));
        let done = serde_json::to_string(&erasure.done(Timestamp::UNIX_EPOCH)).unwrap();
        assert!(!done.contains("1123456789") && done.contains(r#""done_at":0"#), "{done}");
    }
}
