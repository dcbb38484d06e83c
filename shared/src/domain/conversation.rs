//! A conversation: the pairing of two participants for a time.

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

/// A conversation's id: a ULID, so it carries the time of its creation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConversationId(Ulid);

/// The text is not a ULID in its canonical form of 26 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a conversation id")]
pub struct NotAConversationId;

impl ConversationId {
    /// A new id for a conversation created at `now`.
    pub fn generate(now: Timestamp) -> Self {
        Self(Ulid::from_datetime(now.into()))
    }

    /// When the conversation was created, to the millisecond.
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
        // One spelling for one conversation: ULID decoding takes small letters and look-alikes too.
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

/// What became of the text message that tells a participant which number to dial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notification {
    /// None was asked for.
    Off,
    /// Not handed to the carrier yet.
    Pending,
    /// The carrier took it.
    Sent,
    /// The carrier did not take it, and why, in words that are safe to show.
    Failed(String),
    /// Whether the carrier took it is not known, and why. It is never sent again, because that could be twice.
    Unknown(String),
}

impl Notification {
    /// Whether the participant certainly has not got it, and is to.
    pub fn is_owed(&self) -> bool {
        matches!(self, Self::Pending | Self::Failed(_))
    }
}

/// How long a conversation lasts, in whole seconds: 60 s to 170 days.
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

    /// The duration.
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
    /// The country of that phone, as the carrier lookup told it.
    pub country: Country,
    /// How the other side's text message names this participant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// The virtual number that this participant dials to reach the other one.
    pub dials: VirtualNumber,
    /// The text message to this participant.
    pub notification: Notification,
    /// The phones that this participant had before, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<RealNumber>,
}

impl Participant {
    /// The phone at `position` of all that this participant has had.
    pub fn phone(&self, position: usize) -> &RealNumber {
        self.former.get(position).unwrap_or(&self.number)
    }
}

/// Whether a conversation's numbers lead anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Calls are connected.
    Active,
    /// Ended by request.
    Ended,
    /// Ended by the clock.
    Expired,
}

/// A conversation. Serialized as the table stores it: times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// Its creator's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// Sides A and B.
    pub participants: [Participant; 2],
    /// When it was created.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub created_at: Timestamp,
    /// When it ends by the clock.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub expires_at: Timestamp,
    /// When it was ended by request.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How long after its end its (caller, number) keys are given to nobody, in seconds.
    pub quarantine_seconds: u32,
    /// How long each of its calls may take.
    pub limits: CallLimits,
    /// How often its end or a participant's phone was changed: what is changed must be as it was read.
    pub revision: u32,
    /// What the carrier keeps of it beside its calls: the lookups of its numbers, and its texts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carrier_records: Vec<CarrierRecord>,
}

impl Conversation {
    /// The participant on `side`.
    pub fn participant(&self, side: Side) -> &Participant {
        &self.participants[side.index()]
    }

    /// The virtual number that stands for the participant on `side`: the other one dials it.
    pub fn masked_by(&self, side: Side) -> &VirtualNumber {
        &self.participant(side.other()).dials
    }

    /// Whether calls are connected at `now`.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.state(now) == State::Active
    }

    /// Its state at `now`.
    pub fn state(&self, now: Timestamp) -> State {
        match self.ended_at {
            Some(_) => State::Ended,
            None if now >= self.expires_at => State::Expired,
            None => State::Active,
        }
    }

    /// Until when its keys are quarantined if it ends, or ended, at `end`.
    pub fn quarantined_until(&self, end: Timestamp) -> Timestamp {
        end.saturating_add(SignedDuration::from_secs(self.quarantine_seconds.into())).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_when_its_conversation_was_created() {
        let now: Timestamp = "2026-11-22T12:00:00.123Z".parse().unwrap();
        assert_eq!(ConversationId::generate(now).created_at(), now);
    }

    #[test]
    fn an_id_has_one_spelling() {
        let id = ConversationId::generate(Timestamp::UNIX_EPOCH).to_string();
        assert_eq!(ConversationId::try_from(id.as_str()).unwrap().to_string(), id);
        for bad in [id.to_lowercase().as_str(), "", "x", &format!("{id}0"), "8ZZZZZZZZZZZZZZZZZZZZZZZZZ"] {
            if bad != id {
                assert_eq!(ConversationId::try_from(bad), Err(NotAConversationId), "{bad}");
            }
        }
    }

    #[test]
    fn a_lifetime_is_a_minute_to_170_days() {
        for (seconds, good) in [(59, false), (60, true), (14_688_000, true), (14_688_001, false), (u64::MAX, false)] {
            assert_eq!(Lifetime::try_from(seconds).is_ok(), good, "{seconds}");
        }
    }

    #[test]
    fn a_reference_can_stand_in_json_as_it_is() {
        for (text, good) in
            [("ride-42", true), ("Fahrt 42 – Köln", true), (r#"a"b"#, false), (r"a\b", false), ("", false)]
        {
            assert_eq!(Reference::try_from(text.to_owned()).is_ok(), good, "{text:?}");
        }
    }

    #[test]
    fn a_label_is_one_line_of_40_characters() {
        for (text, good) in [
            ("your driver", true),
            ("é".repeat(40).as_str(), true),
            ("é".repeat(41).as_str(), false),
            ("  ", false),
            ("a\nb", false),
        ] {
            assert_eq!(Label::try_from(text.to_owned()).is_ok(), good, "{text:?}");
        }
    }
}
