//! Changes of the phones of a side: members of a team join, leave and change their places.

use proptest::prelude::*;
use shared::domain::side::Side;
use shared::service::create::NewFurtherPhone;
use shared::service::update::{Change, HandlingChange, NewPhone};

use crate::case::Case;
use crate::phones::{FurtherSpec, members};
use crate::steps::ConversationRef;
use crate::system::Operation;

/// Most further phones of a side.
const MOST_FURTHER: usize = 3;

/// A change of the phones of a side.
#[derive(Debug, Clone, PartialEq)]
pub enum TeamChange {
    /// A phone joins, before or behind the others, with the seconds for which all attempts may ring.
    Join { phone: FurtherSpec, first: bool, rings: Option<u32> },
    /// The `nth` further phone leaves.
    Leave(usize),
    /// One phone leaves, and another one joins in its place.
    Swap(usize, FurtherSpec),
    /// The further phones change their places.
    Reverse,
    /// The `nth` further phone becomes the first one. The first one leaves.
    Promote(usize),
}

impl TeamChange {
    pub fn any() -> impl Strategy<Value = Self> {
        let rings = prop::option::weighted(0.8, prop::sample::select(vec![15, 20, 30]));
        let join = (FurtherSpec::any(), any::<bool>(), rings);
        prop_oneof![
            6 => join.prop_map(|(phone, first, rings)| Self::Join { phone, first, rings }),
            2 => (0..3usize).prop_map(Self::Leave),
            1 => (0..3usize, FurtherSpec::any()).prop_map(|(nth, phone)| Self::Swap(nth, phone)),
            1 => Just(Self::Reverse),
            1 => (0..3usize).prop_map(Self::Promote),
        ]
    }
}

impl Case {
    /// Returns the change that a step means.
    pub fn team_change(&self, which: ConversationRef, side: Side, team: &TeamChange) -> Option<Operation> {
        let id = self.id(which);
        let as_before = |member: crate::phones::Member<'_>| NewFurtherPhone {
            number: format!("+{}", member.number.expose()),
            country: None,
            name: None,
            // A language that the change does not give again is dropped.
            language: None,
            hours: member.hours.cloned(),
            only_dials: false,
        };
        let found = self.model.conversations.get(&id).map(|found| &found.expected);
        let further = found.map(|is| members(is, side).skip(1).map(as_before).collect::<Vec<_>>());
        let mut further = further.unwrap_or_default();
        let (count, mut change) = (further.len(), Change::default());
        match team {
            TeamChange::Join { phone, first, rings } => {
                (count < MOST_FURTHER).then_some(())?;
                further.insert(if *first { 0 } else { count }, self.new_further(*phone));
                change.handling = HandlingChange { max_ring_seconds: *rings, ..HandlingChange::default() };
            }
            TeamChange::Leave(nth) => drop(further.remove(nth.checked_rem(count)?)),
            TeamChange::Swap(nth, phone) => further[nth.checked_rem(count)?] = self.new_further(*phone),
            TeamChange::Reverse => further.reverse(),
            TeamChange::Promote(nth) => {
                let number = further.remove(nth.checked_rem(count)?).number;
                change.phone = Some(NewPhone { side, number, country: None });
            }
        }
        change.further[side.index()] = Some(further);
        Some(Operation::Update(id, change))
    }
}
