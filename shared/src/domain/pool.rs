//! The pool: the virtual numbers that are rented.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::domain::choice::ReadyNumber;
use crate::domain::country::Country;
use crate::domain::phone::VirtualNumber;

/// Where a number stands on its way into the pool and out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberState {
    /// Written down to be bought. Whether Vonage has sold it is not known yet.
    Renting,
    /// Bought, and not yet known to be linked to the Voice application.
    Linking,
    /// Serves conversations.
    Ready,
    /// Given to nobody any more; its routes live out.
    Draining,
}

/// What a number can carry. Vonage's own words.
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

/// The kind of a number. Vonage's own words.
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
    /// What it can carry.
    pub features: Vec<Feature>,
    /// Rent a month, in EUR. None where Vonage does not tell: it names the price of what it offers, not of what the
    /// account has already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_cost: Option<Decimal>,
    /// Where it stands.
    pub state: NumberState,
    /// When it was written down.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub added_at: Timestamp,
    /// Until when the run that is renting or linking it has it to itself; after that, that run has died.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub leased_until: Timestamp,
    /// From when on it was offered to nobody any more.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub draining_since: Option<Timestamp>,
    /// From when on Vonage did not list it as the account's.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Timestamp>,
}

impl PoolNumber {
    /// Whether the account is known to own it.
    pub fn is_rented(&self) -> bool {
        self.state != NumberState::Renting
    }

    /// How conversations see it, once it is ready.
    pub fn for_conversations(&self) -> ReadyNumber {
        ReadyNumber { number: self.number.clone(), country: self.country, texts: self.features.contains(&Feature::Sms) }
    }
}
