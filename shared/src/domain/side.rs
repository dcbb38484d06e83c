//! The two sides of a conversation, and those of them that dial.

use serde::{Deserialize, Serialize};

/// One of the two sides of a conversation, in the order of the request that created it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Side {
    /// The first participant.
    A,
    /// The second participant.
    B,
}

impl Side {
    /// Both sides, in order.
    pub const BOTH: [Side; 2] = [Side::A, Side::B];

    /// Returns the opposite side.
    pub fn other(self) -> Side {
        match self {
            Side::A => Side::B,
            Side::B => Side::A,
        }
    }

    /// Returns the position in a list of participants.
    pub fn index(self) -> usize {
        match self {
            Side::A => 0,
            Side::B => 1,
        }
    }
}

/// The sides of a conversation that dial: both, or one while the other one only receives. At least one does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhoDials {
    /// Both call each other.
    #[default]
    Both,
    /// Only side A calls.
    AToB,
    /// Only side B calls.
    BToA,
}

impl WhoDials {
    /// True if `side` dials.
    pub fn includes(self, side: Side) -> bool {
        self.receiver() != Some(side)
    }

    /// Returns the sides that dial, in order.
    pub fn sides(self) -> impl Iterator<Item = Side> {
        Side::BOTH.into_iter().filter(move |side| self.includes(*side))
    }

    /// Returns the side that only receives.
    pub fn receiver(self) -> Option<Side> {
        match self {
            WhoDials::Both => None,
            WhoDials::AToB => Some(Side::B),
            WhoDials::BToA => Some(Side::A),
        }
    }

    /// True if both sides dial.
    pub fn is_both(&self) -> bool {
        *self == WhoDials::Both
    }
}

/// The sides of a conversation whose calls are not connected because they are blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blocked {
    /// Side A.
    A,
    /// Side B.
    B,
    /// Both sides.
    Both,
}

impl Blocked {
    /// True if calls of `side` are not connected.
    pub fn includes(self, side: Side) -> bool {
        match self {
            Self::A => side == Side::A,
            Self::B => side == Side::B,
            Self::Both => true,
        }
    }

    /// Returns the block of `side` together with the sides that are `blocked` already.
    pub fn with(blocked: Option<Self>, side: Side) -> Self {
        match (blocked, side) {
            (None | Some(Self::A), Side::A) => Self::A,
            (None | Some(Self::B), Side::B) => Self::B,
            _ => Self::Both,
        }
    }

    /// Returns the word by which it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
            Self::Both => "both",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_includes_the_sides_that_it_names() {
        for (blocked, word, sides) in [
            (Blocked::A, "a", &[Side::A][..]),
            (Blocked::B, "b", &[Side::B]),
            (Blocked::Both, "both", &[Side::A, Side::B]),
        ] {
            assert_eq!((serde_json::to_value(blocked).unwrap(), blocked.as_str()), (word.into(), word));
            assert!(Side::BOTH.iter().all(|side| sides.contains(side) == blocked.includes(*side)));
        }
    }

    #[test]
    fn further_block_keeps_the_first_one() {
        for (before, side, after) in [
            (None, Side::A, Blocked::A),
            (None, Side::B, Blocked::B),
            (Some(Blocked::A), Side::A, Blocked::A),
            (Some(Blocked::A), Side::B, Blocked::Both),
            (Some(Blocked::B), Side::A, Blocked::Both),
            (Some(Blocked::Both), Side::A, Blocked::Both),
        ] {
            assert_eq!(Blocked::with(before, side), after);
        }
    }

    #[test]
    fn one_side_at_most_only_receives() {
        for (direction, name, sides) in [
            (WhoDials::Both, "both", &[Side::A, Side::B][..]),
            (WhoDials::AToB, "a_to_b", &[Side::A]),
            (WhoDials::BToA, "b_to_a", &[Side::B]),
        ] {
            assert_eq!(serde_json::to_value(direction).unwrap(), name);
            assert_eq!(direction.sides().collect::<Vec<_>>(), sides);
            assert!(Side::BOTH.iter().all(|side| sides.contains(side) != (direction.receiver() == Some(*side))));
        }
    }
}
