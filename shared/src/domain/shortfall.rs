//! Reasons for which a country has fewer numbers than it should.

use serde::{Deserialize, Serialize};

/// The reason for which a number could not be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShortfallReason {
    /// Vonage rents numbers of this country only to accounts with a local address, through its dashboard.
    AddressRequired,
    /// The account's balance does not cover the rent.
    LowBalance,
    /// Vonage has no more numbers that fit the order.
    NoneLeft,
    /// Vonage refused for another reason.
    Refused,
    /// Vonage's credentials are wrong.
    Unauthorized,
    /// Vonage limits the rate of requests.
    RateLimited,
    /// It is unknown whether the number was bought, or it is not yet in the account's list; the next run finds out.
    Unconfirmed,
    /// Vonage could not be reached.
    CarrierUnavailable,
    /// The table refused a step of one number or country.
    TableFailed,
    /// A number that was bought and not linked yet is no longer the account's, and cannot be bought again.
    Released,
    /// The run reached its deadline; the next one continues.
    OutOfTime,
    /// One more number would cost more a month than `MONTHLY_BUDGET_EUR`.
    OverBudget,
    /// The country has as many numbers as `AUTO_RENT_MAX` allows.
    AtCap,
    /// The account has numbers that are linked to the application and missing from the pool.
    NotAdopted,
}

impl ShortfallReason {
    /// Returns its name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AddressRequired => "address_required",
            Self::LowBalance => "low_balance",
            Self::NoneLeft => "none_left",
            Self::Refused => "refused",
            Self::Unauthorized => "unauthorized",
            Self::RateLimited => "rate_limited",
            Self::Unconfirmed => "unconfirmed",
            Self::CarrierUnavailable => "carrier_unavailable",
            Self::TableFailed => "table_failed",
            Self::Released => "released",
            Self::OutOfTime => "out_of_time",
            Self::OverBudget => "over_budget",
            Self::AtCap => "at_cap",
            Self::NotAdopted => "not_adopted",
        }
    }

    /// True if the reason is likely to pass within seconds.
    pub fn passes(self) -> bool {
        matches!(
            self,
            Self::RateLimited | Self::Unconfirmed | Self::CarrierUnavailable | Self::OutOfTime | Self::NotAdopted
        )
    }
}
