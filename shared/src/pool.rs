//! The pool: the virtual numbers that are rented, and how one is chosen for a caller.

use std::collections::HashSet;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::country::Country;
use crate::phone::VirtualNumber;

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
    /// Rent a month, in EUR.
    pub monthly_cost: Decimal,
    /// Where it stands.
    pub state: NumberState,
    /// When it was written down.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub added_at: Timestamp,
    /// Until when the run that is renting or linking it has it to itself; after that, that run has died.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub leased_until: Timestamp,
}

impl PoolNumber {
    /// Whether the account is known to own it.
    pub fn is_rented(&self) -> bool {
        self.state != NumberState::Renting
    }

    /// Whether conversations may be given this number.
    pub fn serves_conversations(&self) -> bool {
        self.state == NumberState::Ready
    }
}

/// One number for each of two callers: free for that caller, and if possible not the same one twice.
///
/// `taken` are the numbers to which the caller has a live or quarantined route. Tells the first caller (0 or 1) for
/// whom none is free.
pub fn choose_pair(
    ready: [&[VirtualNumber]; 2],
    taken: [&HashSet<VirtualNumber>; 2],
) -> Result<[VirtualNumber; 2], usize> {
    let free = |caller: usize| ready[caller].iter().filter(move |number| !taken[caller].contains(number));
    let (first, second) = (free(0).next().ok_or(0usize)?, free(1).next().ok_or(1usize)?);
    let pair = if first != second {
        [first, second]
    } else if let Some(other) = free(1).find(|number| *number != first) {
        [first, other]
    } else {
        [free(0).find(|number| *number != second).unwrap_or(first), second]
    };
    Ok(pair.map(VirtualNumber::clone))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phone::PhoneNumber;

    fn numbers(digits: &[&str]) -> Vec<VirtualNumber> {
        digits.iter().map(|digits| PhoneNumber::try_from(*digits).unwrap().into()).collect()
    }

    fn choose(ready: &[&str], taken_a: &[&str], taken_b: &[&str]) -> Result<[String; 2], usize> {
        let ready = numbers(ready);
        let taken = [taken_a, taken_b].map(|taken| numbers(taken).into_iter().collect::<HashSet<_>>());
        choose_pair([&ready, &ready], [&taken[0], &taken[1]]).map(|pair| pair.map(|number| number.to_string()))
    }

    #[test]
    fn gives_each_caller_a_number_that_is_free_for_that_caller() {
        assert_eq!(choose(&["4400001", "4400002"], &[], &[]).unwrap(), ["4400001", "4400002"]);
        assert_eq!(choose(&["4400001", "4400002"], &["4400001"], &[]).unwrap(), ["4400002", "4400001"]);
    }

    #[test]
    fn two_callers_get_different_numbers_where_there_are_two() {
        assert_eq!(choose(&["4400001", "4400002"], &["4400002"], &[]).unwrap(), ["4400001", "4400002"]);
        assert_eq!(choose(&["4400001", "4400002"], &[], &["4400002"]).unwrap(), ["4400002", "4400001"]);
    }

    #[test]
    fn one_number_serves_both_when_no_other_is_free() {
        assert_eq!(choose(&["4400001"], &[], &[]).unwrap(), ["4400001", "4400001"]);
        assert_eq!(choose(&["4400001", "4400002"], &["4400002"], &["4400002"]).unwrap(), ["4400001", "4400001"]);
    }

    #[test]
    fn tells_for_whom_none_is_free() {
        assert_eq!(choose(&["4400001"], &["4400001"], &[]), Err(0));
        assert_eq!(choose(&["4400001"], &[], &["4400001"]), Err(1));
        assert_eq!(choose(&[], &[], &[]), Err(0));
    }
}
