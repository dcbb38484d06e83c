//! Conversations: the pairing of two participants for a limited time.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::domain::call_limits::CallLimits;
use crate::domain::carrier_record::CarrierRecord;
use crate::domain::country::Country;
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::side::Side;
use crate::domain::text::{Label, Reference};

/// A conversation's id: a ULID, which contains the time of its creation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConversationId(Ulid);

/// The text is not a ULID in its canonical form of 26 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a conversation id")]
pub struct NotAConversationId;

impl ConversationId {
    /// Generates an id for a conversation created at `now`.
    pub fn generate(now: Timestamp) -> Self {
        Self(Ulid::from_datetime(now.into()))
    }

    /// Returns the time of creation, to the millisecond.
    pub fn created_at(self) -> Timestamp {
        i64::try_from(self.0.timestamp_ms())
            .ok()
            .and_then(|ms| Timestamp::from_millisecond(ms).ok())
            .unwrap_or(Timestamp::MAX)
    }
}

impl TryFrom<&str> for ConversationId {
    type Error = NotAConversationId;

    fn try_from(text: &str) -> Result<Self, NotAConversationId> {
        // Decoding also accepts lower case and look-alike letters. Only the canonical spelling is an id.
        Ulid::from_string(text).ok().map(Self).filter(|id| id.to_string() == text).ok_or(NotAConversationId)
    }
}

impl TryFrom<String> for ConversationId {
    type Error = NotAConversationId;

    fn try_from(text: String) -> Result<Self, NotAConversationId> {
        Self::try_from(text.as_str())
    }
}

impl From<ConversationId> for String {
    fn from(id: ConversationId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// State of the text message that tells a participant which number to dial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notification {
    /// Not requested.
    Off,
    /// Not sent to the carrier yet.
    Pending,
    /// Accepted by the carrier.
    Sent,
    /// Not accepted by the carrier, with the reason in words that are safe to show.
    Failed(String),
    /// Sent without a clear answer, with the reason. It is never sent again, because the participant could get it twice.
    Unknown(String),
}

impl Notification {
    /// True if the participant should get it and certainly did not.
    pub fn needs_sending(&self) -> bool {
        matches!(self, Self::Pending | Self::Failed(_))
    }
}

/// Duration of a conversation in whole seconds: 60 s to 170 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u64")]
pub struct Lifetime(SignedDuration);

/// The seconds are not within the limits of [`Lifetime`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be from {} to {} seconds (170 days)", Lifetime::MIN_SECONDS, Lifetime::MAX_SECONDS)]
pub struct NotALifetime;

impl Lifetime {
    const MIN_SECONDS: u64 = 60;
    const MAX_SECONDS: u64 = 170 * 86_400;

    /// Returns the duration.
    pub fn duration(self) -> SignedDuration {
        self.0
    }
}

impl Default for Lifetime {
    /// One day.
    fn default() -> Self {
        Self(SignedDuration::from_hours(24))
    }
}

impl TryFrom<u64> for Lifetime {
    type Error = NotALifetime;

    fn try_from(seconds: u64) -> Result<Self, NotALifetime> {
        match i64::try_from(seconds) {
            Ok(signed) if (Self::MIN_SECONDS..=Self::MAX_SECONDS).contains(&seconds) => {
                Ok(Self(SignedDuration::from_secs(signed)))
            }
            _ => Err(NotALifetime),
        }
    }
}

/// One side of a conversation. Serialized as the table stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant {
    /// The participant's own phone.
    pub number: RealNumber,
    /// The country of that phone, from the number lookup.
    pub country: Country,
    /// The name of this participant in the text message to the other side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// The virtual number that this participant dials to reach the other one.
    pub dials: VirtualNumber,
    /// The text message to this participant.
    pub notification: Notification,
    /// The phones that this participant had before, oldest first.
    #[serde(default, rename = "former", skip_serializing_if = "Vec::is_empty")]
    pub previous_numbers: Vec<RealNumber>,
}

impl Participant {
    /// Returns the phone at `index` in the order in which this participant had them. The current one is the last.
    pub fn number_at(&self, index: usize) -> &RealNumber {
        self.previous_numbers.get(index).unwrap_or(&self.number)
    }
}

/// State of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Calls are connected.
    Active,
    /// Ended by request.
    Ended,
    /// Its time is over.
    Expired,
}

/// A conversation. Serialized as the table stores it: times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// The client's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// Sides A and B.
    pub participants: [Participant; 2],
    /// Time of its creation.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub created_at: Timestamp,
    /// The time at which it expires.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub expires_at: Timestamp,
    /// The time at which a request ended it.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Length of the quarantine of its route keys after its end, in seconds.
    pub quarantine_seconds: u32,
    /// Limits of each of its calls.
    pub limits: CallLimits,
    /// Number of changes to its end or its participants' phones. A write requires the revision that was read.
    pub revision: u32,
    /// Its records at the carrier except calls: number lookups and text messages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carrier_records: Vec<CarrierRecord>,
}

impl Conversation {
    /// Returns the participant on `side`.
    pub fn participant(&self, side: Side) -> &Participant {
        &self.participants[side.index()]
    }

    /// Returns the virtual number that masks the participant on `side`. The other participant dials it.
    pub fn masked_by(&self, side: Side) -> &VirtualNumber {
        &self.participant(side.other()).dials
    }

    /// True if calls are connected at `now`.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.state(now) == State::Active
    }

    /// Returns its state at `now`.
    pub fn state(&self, now: Timestamp) -> State {
        match self.ended_at {
            Some(_) => State::Ended,
            None if now >= self.expires_at => State::Expired,
            None => State::Active,
        }
    }

    /// Returns the end of its quarantine if it ends at `end`.
    pub fn quarantined_until(&self, end: Timestamp) -> Timestamp {
        end.saturating_add(SignedDuration::from_secs(self.quarantine_seconds.into())).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_contains_the_time_of_creation() {
        let now: Timestamp = "2026-11-22T12:00:00.123Z".parse().unwrap();
        assert_eq!(ConversationId::generate(now).created_at(), now);
    }

    #[test]
    fn id_has_one_spelling() {
        let id = ConversationId::generate(Timestamp::UNIX_EPOCH).to_string();
        assert_eq!(ConversationId::try_from(id.as_str()).unwrap().to_string(), id);
        for bad in [id.to_lowercase().as_str(), "", "x", &format!("{id}0"), "8ZZZZZZZZZZZZZZZZZZZZZZZZZ"] {
            if bad != id {
                assert_eq!(ConversationId::try_from(bad), Err(NotAConversationId), "{bad}");
            }
        }
    }

    #[test]
    fn lifetime_is_a_minute_to_170_days() {
        for (seconds, good) in [(59, false), (60, true), (14_688_000, true), (14_688_001, false), (u64::MAX, false)] {
            assert_eq!(Lifetime::try_from(seconds).is_ok(), good, "{seconds}");
        }
    }
}
