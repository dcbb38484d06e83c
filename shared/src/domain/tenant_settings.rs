//! The settings of a tenant: what its numbers may cost, and what its conversations have that have nothing of their own.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::domain::late::LateCare;
use crate::domain::phone::RealNumber;
use crate::domain::tenant::Tenant;
use crate::domain::usage::{MaxSpend, UsageLimits};
use crate::domain::words::own_text::OwnTexts;

/// The settings of a tenant. Each of them may be missing. Serialized as the table stores them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantSettings {
    /// The tenant.
    pub tenant: Tenant,
    /// Largest monthly rent of its numbers in EUR. That of all numbers together is limited too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_budget: Option<MaxSpend>,
    /// Largest number of its numbers, in all countries together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_numbers: Option<usize>,
    /// Limits of a conversation that has none of its own.
    #[serde(default, skip_serializing_if = "UsageLimits::is_none")]
    pub usage_limits: UsageLimits,
    /// The words for late callers of a conversation that has none of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_words: Option<OwnTexts>,
    /// The phone that late callers of a conversation reach that has none of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub support_phone: Option<RealNumber>,
}

/// The reason for which a tenant gets no further number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoMore {
    /// It has as many as it may have.
    Numbers,
    /// One more would cost more than its budget.
    Budget,
}

impl TenantSettings {
    /// Returns the settings of a tenant for whom nothing is set.
    pub fn none(tenant: Tenant) -> Self {
        Self {
            tenant,
            monthly_budget: None,
            max_numbers: None,
            usage_limits: UsageLimits::default(),
            late_words: None,
            support_phone: None,
        }
    }

    /// Returns the reason for which the tenant gets no number of this monthly `rent`, if it has so many `numbers`, which cost
    /// `monthly_cost` together.
    pub fn refuses(&self, numbers: usize, monthly_cost: Decimal, rent: Decimal) -> Option<NoMore> {
        if self.max_numbers.is_some_and(|most| numbers >= most) {
            return Some(NoMore::Numbers);
        }
        let is_beyond = |budget: MaxSpend| monthly_cost + rent > budget.into();
        self.monthly_budget.is_some_and(is_beyond).then_some(NoMore::Budget)
    }

    /// Returns the care for late callers of a conversation with `own` care.
    pub fn late_care(&self, own: LateCare) -> LateCare {
        LateCare {
            words: own.words.or_else(|| self.late_words.clone()),
            support_phone: own.support_phone.or_else(|| self.support_phone.clone()),
            ..own
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_rent_are_limited_by_what_is_set() {
        let none = TenantSettings::none(Tenant::try_from("acme").unwrap());
        let euros = |amount: i64| Decimal::new(amount * 100, 2);
        assert_eq!(none.refuses(1_000, euros(1_000), euros(1)), None);
        let budget = TenantSettings { monthly_budget: MaxSpend::try_from(euros(3)).ok(), ..none.clone() };
        assert_eq!(budget.refuses(9, euros(2), euros(1)), None);
        assert_eq!(budget.refuses(9, euros(3), euros(1)), Some(NoMore::Budget));
        let both = TenantSettings { max_numbers: Some(2), ..budget };
        assert_eq!(both.refuses(1, euros(1), euros(1)), None);
        assert_eq!(both.refuses(2, euros(3), euros(1)), Some(NoMore::Numbers));
    }
}
