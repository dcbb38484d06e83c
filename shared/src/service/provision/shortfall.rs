//! Reasons for which a country has fewer numbers than ordered.

use crate::domain::phone::VirtualNumber;
use crate::domain::pool::PoolNumber;
use crate::domain::shortfall::ShortfallReason;
use crate::store::StoreError;
use crate::vonage::VonageError;

/// The error behind a shortfall.
#[derive(Debug, thiserror::Error)]
pub enum ShortfallCause {
    /// An error of Vonage.
    #[error(transparent)]
    Vonage(#[from] VonageError),
    /// An error of the table.
    #[error(transparent)]
    Table(#[from] StoreError),
}

/// One reason for a shortfall.
#[derive(Debug)]
pub struct Shortfall {
    /// The reason.
    pub reason: ShortfallReason,
    /// The number concerned, if any.
    pub number: Option<VirtualNumber>,
    /// The error.
    pub cause: Option<ShortfallCause>,
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
            VonageError::Refused { .. } => ShortfallReason::Refused,
            _ => ShortfallReason::CarrierUnavailable,
        };
        Self { reason, number: None, cause: Some(cause.into()) }
    }

    /// Returns the shortfall of a step that the table refused. Fails if the table gave no answer: the steps for other numbers
    /// and countries would wait for it too.
    pub(super) fn of_step<T>(outcome: Result<T, StoreError>) -> Result<Result<T, Self>, StoreError> {
        match outcome {
            Ok(value) => Ok(Ok(value)),
            Err(error @ StoreError::NoAnswer(_)) => Err(error),
            Err(error) => {
                Ok(Err(Self { reason: ShortfallReason::TableFailed, number: None, cause: Some(error.into()) }))
            }
        }
    }

    /// Returns the reason for which a purchase failed. Only a purchase needs an address or money, so the same words mean
    /// less after another request.
    pub(super) fn of_purchase(cause: VonageError, balance_is_low: bool) -> Self {
        let reason = match &cause {
            VonageError::Refused { label, .. } if says(label, &["address"]) => ShortfallReason::AddressRequired,
            VonageError::Refused { .. } if balance_is_low => ShortfallReason::LowBalance,
            _ => return Self::general(cause),
        };
        Self { reason, number: None, cause: Some(cause.into()) }
    }
}

/// Returns true if the refusal of a purchase may mean that the balance is too low. Vonage then says "method failed", as it
/// does after many other failures.
pub(super) fn may_mean_low_balance(refusal: &VonageError) -> bool {
    let words = ["balance", "credit", "funds", "method failed"];
    matches!(refusal, VonageError::Refused { label, .. } if says(label, &words))
}

fn says(label: &str, words: &[&str]) -> bool {
    let label = label.to_ascii_lowercase();
    words.iter().any(|word| label.contains(word))
}
