//! The safety key: `*` and then `9`, pressed in a call. Who presses it is protected from the other participant.
//!
//! Vonage tells of each key by itself, maybe twice and in any order. So the times of both keys are collected, and their order decides.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::side::Side;

/// Longest time from the first key to the second.
pub const LONGEST_PAUSE: SignedDuration = SignedDuration::from_secs(5);

/// One of the two keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// `*`, the first one.
    Star,
    /// `9`, the second one.
    Nine,
}

/// Returns those of the `digits` that belong to the safety key, each with its time. They were pressed at `time`, in their order.
pub fn keys(digits: &str, time: Timestamp) -> Vec<(Key, Timestamp)> {
    let key = |(position, digit): (usize, char)| {
        let key = match digit {
            '*' => Key::Star,
            '9' => Key::Nine,
            _ => return None,
        };
        let later = SignedDuration::from_millis(i64::try_from(position).unwrap_or_default());
        Some((key, time.saturating_add(later).unwrap_or(time)))
    };
    digits.chars().enumerate().filter_map(key).collect()
}

/// Returns the last time at which a `9` followed a `*`, if one did.
pub fn pressed_at(stars: &[Timestamp], nines: &[Timestamp]) -> Option<Timestamp> {
    let follows = |nine: Timestamp| move |star: &Timestamp| *star < nine && nine.duration_since(*star) <= LONGEST_PAUSE;
    nines.iter().copied().filter(|nine| stars.iter().any(follows(*nine))).max()
}

/// The last time at which each side pressed the safety key. Serialized as the table stores it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SafetyPresses {
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    a: Option<Timestamp>,
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    b: Option<Timestamp>,
}

impl SafetyPresses {
    /// True if nobody has pressed it.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the last time at which `side` pressed it.
    pub fn of(self, side: Side) -> Option<Timestamp> {
        match side {
            Side::A => self.a,
            Side::B => self.b,
        }
    }

    /// Returns the presses with one more of `side`, at `time` in whole seconds.
    pub fn with(self, side: Side, time: Timestamp) -> Self {
        match side {
            Side::A => Self { a: Some(time), ..self },
            Side::B => Self { b: Some(time), ..self },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + millisecond).unwrap()
    }

    #[test]
    fn nine_has_to_follow_star_within_five_seconds() {
        let pressed = |stars: &[i64], nines: &[i64]| {
            let times = |times: &[i64]| times.iter().map(|time| at(*time)).collect::<Vec<_>>();
            pressed_at(&times(stars), &times(nines)).map(|time| time.duration_since(at(0)).as_millis())
        };
        for (stars, nines, expected) in [
            (&[0][..], &[500][..], Some(500)),
            (&[0, 0, 700], &[500, 500], Some(500)),
            (&[0, 60_000], &[61_000], Some(61_000)),
            (&[0, 60_000], &[500, 61_000], Some(61_000)),
            (&[0], &[5_000], Some(5_000)),
            (&[0], &[5_001], None),
            (&[500], &[0], None),
            (&[0], &[0], None),
            (&[0], &[], None),
            (&[], &[0], None),
        ] {
            assert_eq!(pressed(stars, nines), expected, "{stars:?} {nines:?}");
        }
    }

    #[test]
    fn keys_of_one_event_keep_their_order() {
        assert_eq!(keys("*", at(0)), [(Key::Star, at(0))]);
        assert_eq!(keys("1*9#", at(0)), [(Key::Star, at(1)), (Key::Nine, at(2))]);
        assert_eq!(keys("12345678#0", at(0)), []);
    }

    #[test]
    fn each_side_has_its_own_press() {
        let presses = SafetyPresses::default().with(Side::B, at(0));
        assert_eq!((presses.of(Side::A), presses.of(Side::B), presses.is_none()), (None, Some(at(0)), false));
        assert_eq!(serde_json::to_value(presses).unwrap(), serde_json::json!({"b": 1_800_000_000}));
    }
}
