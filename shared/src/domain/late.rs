//! Late callers: people who dial a number of a conversation that is over.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::language::Language;
use crate::domain::phone::RealNumber;
use crate::domain::side::Side;
use crate::domain::words::own_text::OwnTexts;

/// Time after a text message that asks about lost property in which the same person is not asked again.
pub const BURST: SignedDuration = SignedDuration::from_hours(6);

/// Time for which a request holds: within it the other one may agree.
const HOLDS: SignedDuration = SignedDuration::from_hours(24);

/// The care for late callers of a conversation. Serialized as the table stores it, in the conversation and in its routes, so that the
/// answer to a call needs no second read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateCare {
    /// True if a late caller may press 1 because of lost property, and so ask the other one for a call.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost_property: bool,
    /// The phone that late callers reach otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub support_phone: Option<RealNumber>,
    /// The words for late callers, in place of the usual sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<OwnTexts>,
    /// The last time at which side A asked for a call. Only a conversation has it.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub asked_a: Option<Timestamp>,
    /// The same of side B.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub asked_b: Option<Timestamp>,
}

impl LateCare {
    /// Longest text for late callers, in characters. Each route has it, so that an answer needs no second read.
    pub const MOST_CHARACTERS: usize = 300;

    /// True if late callers only hear the usual sentence.
    pub fn is_none(&self) -> bool {
        !self.lost_property && self.support_phone.is_none() && self.words.is_none()
    }

    /// Returns the care as the route of a caller with this `language` has it. Nobody is asked for a call who cannot dial.
    pub fn of_route(&self, both_dial: bool, language: Option<&Language>) -> Self {
        Self {
            lost_property: self.lost_property && both_dial,
            support_phone: self.support_phone.clone(),
            words: self.words.as_ref().map(|words| words.narrowed_to(language)),
            asked_a: None,
            asked_b: None,
        }
    }

    /// Returns the last time at which this side asked for a call.
    pub fn asked_at(&self, side: Side) -> Option<Timestamp> {
        match side {
            Side::A => self.asked_a,
            Side::B => self.asked_b,
        }
    }

    /// True if this side has asked for a call, and the other one may agree at `now`.
    pub fn has_asked(&self, side: Side, now: Timestamp) -> bool {
        self.asked_at(side).is_some_and(|at| now.duration_since(at) < HOLDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_holds_for_a_day() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let care = LateCare { lost_property: true, asked_b: Some(now), ..LateCare::default() };
        assert!(care.has_asked(Side::B, now) && !care.has_asked(Side::A, now));
        assert!(!care.has_asked(Side::B, now + SignedDuration::from_hours(24)));
        assert!(!care.is_none() && LateCare::default().is_none() && care.of_route(true, None).asked_b.is_none());
        assert!(care.of_route(true, None).lost_property && care.of_route(false, None).is_none());
    }
}
