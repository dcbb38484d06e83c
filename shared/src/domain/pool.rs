//! The pool of rented virtual numbers.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::domain::choice::ReadyNumber;
use crate::domain::country::Country;
use crate::domain::phone::VirtualNumber;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// The time from which Vonage no longer listed it as the account's.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Timestamp>,
}

impl PoolNumber {
    /// True if the account is known to own it.
    pub fn is_rented(&self) -> bool {
        self.state != NumberState::Renting
    }

    /// Returns the entry of the ready list for this number.
    pub fn to_ready_number(&self) -> ReadyNumber {
        ReadyNumber { number: self.number.clone(), country: self.country, texts: self.features.contains(&Feature::Sms) }
    }
}
