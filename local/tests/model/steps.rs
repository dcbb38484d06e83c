//! The steps of a case, as proptest draws them. What a step is about (the third conversation, the next boundary) is a
//! matter of the moment at which it runs, so that a case still makes sense when proptest leaves steps out of it.

use proptest::prelude::*;
use shared::domain::side::Side;

use crate::carrier::Fate;
use crate::cutting::Moment;
use crate::world::{Kind, PEOPLE};

/// The most steps of one case.
pub const MOST_STEPS: usize = 200;

#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// The clock moves on by that many milliseconds.
    Wait(i64),
    /// The clock moves on to the `nth` moment at which a route ends or a key falls free, or to just before it.
    WaitForBoundary {
        nth: usize,
        just_before: bool,
    },
    /// So long that the table may delete what is over.
    WaitForDays(i64),
    /// The table deletes some of what it may delete: it does so late, and in no order.
    Sweep {
        some: u64,
    },
    Call {
        caller: Who,
        number: usize,
    },
    Do(Deed),
    /// Two at the same time.
    Together(Deed, Deed),
    /// Somebody dies over it, at request number `nth` to the table, and perhaps another one lives on `beside`.
    Crash {
        deed: Deed,
        nth: u8,
        moment: Moment,
        beside: Option<Deed>,
    },
}

/// What is asked of the product.
#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    Create(Order, Vec<Fate>),
    /// The `nth` last request that had an idempotency key comes again, or another one with that key.
    CreateAgain {
        nth: usize,
        otherwise: bool,
    },
    End(Which),
    Erase(Which),
    Update {
        which: Which,
        phone: Option<(Side, Who)>,
        lifetime: Option<u64>,
    },
    Drain(usize),
    AddNumber(Kind),
    /// What the schedule does.
    Upkeep,
}

/// A conversation to create.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub people: [Who; 2],
    pub lifetime: u64,
    pub quarantine: u32,
    pub notify: bool,
    /// The idempotency key.
    pub key: Option<u8>,
}

/// Whose phone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Who {
    Person(usize),
    /// The carrier says that it is not valid.
    Nobody,
    /// A number of the pool, or one that has been in it.
    Virtual(usize),
}

/// Which conversation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Which {
    /// The one before the last `nth`.
    Last(usize),
    Unknown,
}

impl Step {
    pub fn any() -> impl Strategy<Value = Self> {
        let moment = prop_oneof![Just(Moment::Before), Just(Moment::After)];
        let beside = prop::option::weighted(0.3, Deed::of_a_client());
        let crash = (Deed::any(), 0..9u8, moment, beside);
        prop_oneof![
            24 => (1..100_000i64).prop_map(Self::Wait),
            14 => (0..4usize, any::<bool>())
                .prop_map(|(nth, just_before)| Self::WaitForBoundary { nth, just_before }),
            1 => (1..40i64).prop_map(Self::WaitForDays),
            3 => any::<u64>().prop_map(|some| Self::Sweep { some }),
            24 => (Who::any(), 0..8usize).prop_map(|(caller, number)| Self::Call { caller, number }),
            100 => Deed::any().prop_map(Self::Do),
            16 => (Deed::of_a_client(), Deed::of_a_client()).prop_map(|(one, other)| Self::Together(one, other)),
            30 => crash.prop_map(|(deed, nth, moment, beside)| Self::Crash { deed, nth, moment, beside }),
        ]
    }
}

impl Deed {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            30 => Self::of_a_client(),
            2 => Kind::any().prop_map(Self::AddNumber),
            1 => Just(Self::Upkeep),
        ]
    }

    /// What people ask for, at any time.
    fn of_a_client() -> impl Strategy<Value = Self> {
        let fate = prop_oneof![4 => Just(Fate::Taken), 1 => Just(Fate::Refused), 1 => Just(Fate::NoAnswer)];
        let lifetime = 60..=600u64;
        let phone = prop::option::weighted(0.7, (side(), Who::any()));
        let update = (Which::any(), phone, prop::option::of(lifetime))
            .prop_map(|(which, phone, lifetime)| Self::Update { which, phone, lifetime });
        prop_oneof![
            60 => (Order::any(), prop::collection::vec(fate, 0..=2))
                .prop_map(|(order, fates)| Self::Create(order, fates)),
            12 => (0..4usize, prop::bool::weighted(0.2))
                .prop_map(|(nth, otherwise)| Self::CreateAgain { nth, otherwise }),
            14 => Which::any().prop_map(Self::End),
            9 => Which::any().prop_map(Self::Erase),
            18 => update,
            4 => (0..8usize).prop_map(Self::Drain),
        ]
    }
}

impl Order {
    fn any() -> impl Strategy<Value = Self> {
        let key = prop::option::weighted(0.2, 0..5u8);
        (Who::two(), 60..=600u64, 60..=600u32, any::<bool>(), key)
            .prop_map(|(people, lifetime, quarantine, notify, key)| Self { people, lifetime, quarantine, notify, key })
    }
}

impl Who {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            20 => (0..PEOPLE.len()).prop_map(Self::Person),
            1 => Just(Self::Nobody),
            1 => (0..8usize).prop_map(Self::Virtual),
        ]
    }
}

impl Who {
    /// Most of the time two people.
    fn two() -> impl Strategy<Value = [Self; 2]> {
        let people = (0..PEOPLE.len(), 1..PEOPLE.len())
            .prop_map(|(one, further)| [one, (one + further) % PEOPLE.len()].map(Self::Person));
        prop_oneof![20 => people, 1 => [Self::any(), Self::any()]]
    }
}

impl Which {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![30 => (0..5usize).prop_map(Self::Last), 1 => Just(Self::Unknown)]
    }
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::A), Just(Side::B)]
}
