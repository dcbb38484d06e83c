//! An order, and the result of a run for it.

use super::shortfall::{Shortfall, ShortfallCause};
use crate::domain::order::{DigitMatch, OpenOrder, Ordered};
use crate::domain::pool::PoolNumber;
use crate::domain::shortfall::ShortfallReason;
use crate::domain::tenant::{Owner, Pool};
use crate::vonage::VonageError;
use crate::vonage::numbers::Search;

/// An order for numbers: the total for a pool, and the properties of those that are missing.
#[derive(Debug, Clone)]
pub struct Order {
    /// The owner whose numbers they are to be.
    pub owner: Owner,
    /// Country and properties of the numbers.
    pub search: Search,
    /// Number of ready numbers that the pool must have in all.
    pub count: usize,
    /// Largest number of numbers up to which this order may rent. Those in all states count, except the lost ones.
    pub cap: Option<usize>,
}

impl Order {
    /// Largest count of one order.
    pub const MAX_COUNT: usize = 100_000;

    /// Largest count of an order without a limit of what is spent. A typing error must not rent ten thousand numbers.
    pub const MAX_COUNT_WITHOUT_BUDGET: usize = 1000;

    /// Returns the pool of the numbers.
    pub fn pool(&self) -> Pool {
        Pool { owner: self.owner, country: self.search.country }
    }

    /// True if a number of the pool is such as the order wants.
    pub(super) fn suits(&self, number: &PoolNumber) -> bool {
        let Search { country, features, number_type, digits } = &self.search;
        let has_digits = |wanted: Option<DigitMatch>| wanted.is_none_or(|digits| digits.suits(&number.number));
        features.iter().all(|feature| number.features.contains(feature))
            && number_type.is_none_or(|wanted| wanted == number.number_type)
            && digits.searches(*country).into_iter().any(has_digits)
    }

    /// Returns what is ordered, as it is stored.
    pub fn ordered(&self) -> Ordered {
        let Search { country, features, number_type, digits } = self.search.clone();
        Ordered { owner: self.owner, country, count: self.count, features, number_type, digits }
    }
}

/// The result of a run.
#[derive(Debug, Default)]
pub struct Provisioned {
    /// Numbers that this run made ready.
    pub added: Vec<PoolNumber>,
    /// Number of ready numbers of the country now.
    pub ready: usize,
    /// Number of numbers that this run or another is renting or linking.
    pub in_progress: usize,
    /// Reasons for which the country has fewer numbers than ordered.
    pub shortfalls: Vec<Shortfall>,
    /// The order that stays open, with which the schedule goes on.
    pub open: Option<OpenOrder>,
}

impl From<&OpenOrder> for Order {
    fn from(open: &OpenOrder) -> Self {
        let Ordered { owner, country, count, features, number_type, digits } = open.ordered.clone();
        Self { owner, search: Search { country, features, number_type, digits }, count, cap: None }
    }
}

impl Provisioned {
    /// Returns the failure of Vonage because of which this run added nothing, if any. It is no failure that Vonage has no
    /// number left or refuses to rent one out.
    pub fn into_failure(mut self) -> Option<VonageError> {
        match self.shortfalls.remove(self.failure()?).cause {
            Some(ShortfallCause::Vonage(error)) => Some(error),
            Some(ShortfallCause::Table(_)) | None => None,
        }
    }

    /// Returns the position of the shortfall that is such a failure.
    fn failure(&self) -> Option<usize> {
        use ShortfallReason::{CarrierUnavailable, RateLimited, Unauthorized, Unconfirmed};
        if !self.added.is_empty() {
            return None;
        }
        let failed = |reason| matches!(reason, Unauthorized | RateLimited | Unconfirmed | CarrierUnavailable);
        self.shortfalls.iter().position(|shortfall| failed(shortfall.reason))
    }

    /// True if [`Provisioned::into_failure`] returns a failure.
    pub(super) fn is_failure(&self) -> bool {
        let cause = self.failure().and_then(|position| self.shortfalls[position].cause.as_ref());
        matches!(cause, Some(ShortfallCause::Vonage(_)))
    }
}
