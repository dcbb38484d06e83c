//! A number that a participant brings: read as it was written, looked up at the carrier, and judged.

use crate::domain::country::Country;
use crate::domain::phone::PhoneNumber;
use crate::domain::phone::dial_policy::{self, DialPolicy, NotCallable};
use crate::domain::phone::parse::{self, UnreadableNumber};
use crate::vonage::VonageError;
use crate::vonage::number_insight::{LookedUpNumber, NumberLookup};

/// Why a number cannot be a participant's.
#[derive(Debug, thiserror::Error)]
pub enum ParticipantNumberError {
    /// It cannot be read.
    #[error("the number cannot be read")]
    Unreadable(#[from] UnreadableNumber),
    /// The carrier says that it is not valid.
    #[error("the number is not valid")]
    NotValid,
    /// It is of a kind that is not called.
    #[error("the number is not called")]
    NotCallable(#[from] NotCallable),
    /// It is one of our own virtual numbers.
    #[error("the number is a virtual one of the pool")]
    Virtual,
    /// The carrier lookup failed.
    #[error("the carrier lookup failed")]
    Lookup(#[source] VonageError),
}

/// Reads a number as people write it, in national form with its country, and refuses what no lookup is needed for.
pub(crate) fn read(written: &str, country: Option<Country>) -> Result<PhoneNumber, ParticipantNumberError> {
    let number = parse::read(written, country)?;
    dial_policy::check_kind(&number)?;
    Ok(number)
}

/// Has the carrier say what number it is and whether it is valid, and refuses what is not called.
pub(crate) async fn look_up(
    number: &PhoneNumber,
    lookup: &impl NumberLookup,
    callable: &DialPolicy,
) -> Result<LookedUpNumber, ParticipantNumberError> {
    let found = lookup.look_up(number).await.map_err(ParticipantNumberError::Lookup)?;
    let found = found.ok_or(ParticipantNumberError::NotValid)?;
    callable.check(found.number.as_phone(), found.country)?;
    Ok(found)
}
