//! Reasons for which a country has fewer numbers than ordered.

use crate::domain::phone::VirtualNumber;
use crate::domain::pool::PoolNumber;
use crate::domain::shortfall::ShortfallReason;
use crate::vonage::VonageError;

/// One reason for a shortfall.
#[derive(Debug)]
pub struct Shortfall {
    /// The reason.
    pub reason: ShortfallReason,
    /// The number concerned, if any.
    pub number: Option<VirtualNumber>,
    /// The error of Vonage.
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

/// Returns the reason of a refusal by its label: code 420 covers everything. A bare "method failed" usually means that
/// the balance is too low, above all for several numbers in a row.
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
