//! Why a country has fewer numbers than were ordered.

use serde::Serialize;

use crate::domain::phone::VirtualNumber;
use crate::domain::pool::PoolNumber;
use crate::vonage::VonageError;

/// Why a number could not be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShortfallReason {
    /// Vonage rents numbers of this country out only with a local address, by its dashboard.
    AddressRequired,
    /// The account's balance does not cover the rent.
    LowBalance,
    /// Vonage has no more numbers that fit the order.
    NoneLeft,
    /// Vonage refused for another reason.
    Refused,
    /// Vonage's credentials are wrong.
    Unauthorized,
    /// Vonage was asked too often.
    RateLimited,
    /// Whether the number was bought, or has come into the account's list, is not known; the next run finds out.
    Unconfirmed,
    /// Vonage could not be reached.
    CarrierUnavailable,
    /// A number that was bought and not linked yet is no longer the account's, and cannot be had again.
    Released,
    /// The time of this run is over; the next one goes on.
    OutOfTime,
    /// One more number would cost more a month than `MONTHLY_BUDGET_EUR`.
    OverBudget,
    /// The country has as many numbers as may be rented without an order.
    AtCap,
}

impl ShortfallReason {
    /// Whether it is likely to be otherwise in some seconds.
    pub fn passes(self) -> bool {
        matches!(self, Self::RateLimited | Self::Unconfirmed | Self::CarrierUnavailable | Self::OutOfTime)
    }
}

/// One reason for a shortfall.
#[derive(Debug)]
pub struct Shortfall {
    /// The reason.
    pub reason: ShortfallReason,
    /// The number concerned, where it is about one.
    pub number: Option<VirtualNumber>,
    /// What Vonage said.
    pub cause: Option<VonageError>,
}

impl Shortfall {
    pub(super) fn because(reason: ShortfallReason) -> Self {
        Self { reason, number: None, cause: None }
    }

    pub(super) fn about(self, number: &PoolNumber) -> Self {
        Self { number: Some(number.number.clone()), ..self }
    }

    pub(super) fn general(cause: VonageError) -> Self {
        let reason = match &cause {
            VonageError::Unauthorized => ShortfallReason::Unauthorized,
            VonageError::RateLimited { .. } => ShortfallReason::RateLimited,
            VonageError::Refused { label, .. } => refusal_reason(label),
            _ => ShortfallReason::CarrierUnavailable,
        };
        Self { reason, number: None, cause: Some(cause) }
    }
}

/// What a refusal means. Code 420 covers everything, so only the label tells. A bare "method failed" is what integrators
/// see when the balance is too low, and what is left to suppose when Vonage says it of several numbers in a row.
fn refusal_reason(label: &str) -> ShortfallReason {
    let label = label.to_ascii_lowercase();
    let says = |word| label.contains(word);
    if says("address") {
        ShortfallReason::AddressRequired
    } else if says("balance") || says("credit") || says("funds") || says("method failed") {
        ShortfallReason::LowBalance
    } else {
        ShortfallReason::Refused
    }
}
