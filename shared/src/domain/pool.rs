//! The pool of rented virtual numbers.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::domain::country::Country;
use crate::domain::phone::VirtualNumber;
use crate::domain::ready_pool::ReadyNumber;
use crate::domain::tenant::{Owner, Pool};

/// The state of a number in the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberState {
    /// Recorded before the purchase. It is not known yet if Vonage has sold it.
    Renting,
    /// Bought. It is not known yet if it is linked to the Voice application.
    Linking,
    /// Given to conversations.
    Ready,
    /// No longer given to conversations; released when its last route has left quarantine.
    Draining,
    /// Taken away by Vonage, and given to no conversation. It is ready again when Vonage lists it again.
    Lost,
    /// No longer given to conversations; becomes a standing mask when its last route has left quarantine.
    SettingAside,
    /// A standing mask: anybody may dial it, and no conversation gets it.
    Standing,
}

impl NumberState {
    /// True if such a number counts towards an order: it serves conversations, or soon will.
    pub fn counts(self) -> bool {
        matches!(self, Self::Renting | Self::Linking | Self::Ready)
    }

    /// All states, in the order in which numbers pass through them.
    pub const ALL: [Self; 7] =
        [Self::Renting, Self::Linking, Self::Ready, Self::Draining, Self::Lost, Self::SettingAside, Self::Standing];

    /// True if Vonage has to list such a number for people to reach somebody by it.
    pub fn is_in_use(self) -> bool {
        matches!(self, Self::Ready | Self::SettingAside | Self::Standing)
    }

    /// Returns the work that such a number needs, if it needs any.
    pub fn work(self) -> Option<Work> {
        match self {
            Self::Renting | Self::Linking => Some(Work::Unfinished),
            Self::Draining | Self::SettingAside => Some(Work::Draining),
            Self::Lost => Some(Work::Lost),
            Self::Standing => Some(Work::Standing),
            Self::Ready => None,
        }
    }
}

/// The work that a number needs. Few numbers of a pool need any, so they are listed apart from the others. Standing masks are few
/// too, and listed in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// Its purchase is to be finished.
    Unfinished,
    /// It is to be released, or to be made a standing mask, when no route leads to it any more.
    Draining,
    /// It is to be used again if Vonage lists it again.
    Lost,
    /// It is a standing mask, and needs nothing.
    Standing,
}

impl Work {
    /// All kinds of work.
    pub const ALL: [Self; 4] = [Self::Unfinished, Self::Draining, Self::Lost, Self::Standing];
}

/// Counts of a country's numbers by state, and the rent of all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberCounts {
    by_state: [usize; NumberState::ALL.len()],
    /// Monthly rent in EUR.
    pub monthly_cost: Decimal,
}

impl NumberCounts {
    /// Returns the number of numbers in `state`.
    pub fn of(&self, state: NumberState) -> usize {
        self.by_state[state as usize]
    }

    /// Sets the number of numbers in `state`.
    pub fn set(&mut self, state: NumberState, count: usize) {
        self.by_state[state as usize] = count;
    }

    /// Counts one more number.
    pub fn add(&mut self, number: &PoolNumber) {
        self.by_state[number.state as usize] += 1;
        self.monthly_cost += number.rent();
    }

    /// Returns the number of numbers that serve conversations, or soon will.
    pub fn towards_order(&self) -> usize {
        NumberState::ALL.into_iter().filter(|state| state.counts()).map(|state| self.of(state)).sum()
    }

    /// Returns the number of numbers that are being rented or linked.
    pub fn in_progress(&self) -> usize {
        self.of(NumberState::Renting) + self.of(NumberState::Linking)
    }

    /// Returns the number of numbers in all states.
    pub fn all(&self) -> usize {
        self.by_state.iter().sum()
    }

    /// Returns the number of numbers for which the account pays, or is about to.
    pub fn paid(&self) -> usize {
        self.all() - self.of(NumberState::Lost)
    }
}

/// A service that a number supports, in Vonage's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Feature {
    /// Calls.
    Voice,
    /// Text messages.
    Sms,
    /// Picture messages.
    Mms,
}

/// The kind of a number, in Vonage's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NumberType {
    /// A fixed-line number.
    Landline,
    /// A mobile long virtual number; all numbers of the US and Canada are of this type too.
    MobileLvn,
    /// A toll-free number.
    LandlineTollFree,
}

/// A virtual number of the pool. Serialized as the table stores it: times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolNumber {
    /// The number.
    pub number: VirtualNumber,
    /// The country that it is rented in.
    pub country: Country,
    /// The owner, whose conversations get it.
    #[serde(default, rename = "tenant", skip_serializing_if = "Owner::is_deployment")]
    pub owner: Owner,
    /// Its kind.
    #[serde(rename = "type")]
    pub number_type: NumberType,
    /// The services that it supports.
    pub features: Vec<Feature>,
    /// Monthly rent in EUR. `None` if unknown: Vonage returns the price of an offer, but not of a number that the account
    /// already has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_cost: Option<Decimal>,
    /// Its state.
    pub state: NumberState,
    /// The time at which it was recorded.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub added_at: Timestamp,
    /// End of the lease of the run that is renting or linking it. After this time, another run takes over.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub leased_until: Timestamp,
    /// The time from which it was no longer given to conversations.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub draining_since: Option<Timestamp>,
    /// The time from which its live conversations move to other numbers, if it is rotated. It is draining then.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub rotating_since: Option<Timestamp>,
    /// The time from which Vonage no longer listed it as the account's, if it is lost, or was when it began to drain.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Timestamp>,
    /// Index of its part in the lists of ready numbers, if it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u16>,
    /// True if it is a standing mask, or is to become one. It stays so while it is lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub set_aside: bool,
    /// The pool to which it moves when its last route has left quarantine. It is draining until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moves_to: Option<Pool>,
    /// Notes about its loss, its return or its rotation, for what is still to be done.
    #[serde(flatten)]
    pub loss: LossNotes,
}

/// Notes about the loss or the rotation of a number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossNotes {
    /// The time of a loss that the backend has not been told of.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub unannounced_loss: Option<Timestamp>,
    /// The time of a return that the backend has not been told of.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub unannounced_return: Option<Timestamp>,
    /// The time of a rotation that the backend has not been told of.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub unannounced_rotation: Option<Timestamp>,
    /// Set if the live conversations on the lost or rotated number are listed: true if they were to get another number, false if
    /// the backend was only to be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversations_listed: Option<bool>,
}

impl PoolNumber {
    /// Returns its pool.
    pub fn pool(&self) -> Pool {
        Pool { owner: self.owner, country: self.country }
    }

    /// True if the account is known to own it.
    pub fn is_rented(&self) -> bool {
        !matches!(self.state, NumberState::Renting | NumberState::Lost)
    }

    /// Returns the time from which its live conversations are to leave it, because it is rotated or lost.
    pub fn left_since(&self) -> Option<Timestamp> {
        self.rotating_since.or(self.missing_since)
    }

    /// True if its live conversations get other numbers: those of a rotated one always, and those of a lost one if that `heals`.
    pub fn moves_conversations(&self, heals: bool) -> bool {
        self.rotating_since.is_some() || heals && self.missing_since.is_some()
    }

    /// True if the live conversations that are to leave this number are not listed yet, or are to get another one and were not
    /// then.
    pub fn has_unlisted_conversations(&self, heals: bool) -> bool {
        let moves = self.moves_conversations(heals);
        self.left_since().is_some() && self.loss.conversations_listed.is_none_or(|moved| moves && !moved)
    }

    /// Returns the monthly rent in EUR that the ledger holds for it: none since Vonage took it away.
    pub fn rent(&self) -> Decimal {
        match self.missing_since {
            Some(_) => Decimal::ZERO,
            None => self.monthly_cost.unwrap_or_default(),
        }
    }

    /// Returns the entry of the ready list for this number.
    pub fn to_ready_number(&self) -> ReadyNumber {
        ReadyNumber { number: self.number.clone(), country: self.country, texts: self.features.contains(&Feature::Sms) }
    }
}
