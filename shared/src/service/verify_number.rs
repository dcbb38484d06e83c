//! Verifying a participant's number: parse it, look it up at the carrier, and apply the dial policy.

use crate::domain::country::Country;
use crate::domain::phone::PhoneNumber;
use crate::domain::phone::dial_policy::{self, DialPolicy, NotCallable};
use crate::domain::phone::parse::{self, UnreadableNumber};
use crate::vonage::VonageError;
use crate::vonage::number_insight::{LookedUpNumber, NumberLookup};

/// A number cannot be a participant's.
#[derive(Debug, thiserror::Error)]
pub enum ParticipantNumberError {
    /// It cannot be parsed.
    #[error("the number cannot be parsed")]
    Unreadable(#[from] UnreadableNumber),
    /// The carrier says that it is not valid.
    #[error("the number is not valid")]
    NotValid,
    /// The dial policy forbids to call it.
    #[error("the number must not be called")]
    NotCallable(#[from] NotCallable),
    /// It is one of our own virtual numbers.
    #[error("the number is a virtual one of the pool")]
    Virtual,
    /// The carrier lookup failed.
    #[error("the carrier lookup failed")]
    Lookup(#[source] VonageError),
}

/// Parses a number as people write it, in national form only with its country. Refuses what needs no lookup to refuse.
pub(crate) fn read(written: &str, country: Option<Country>) -> Result<PhoneNumber, ParticipantNumberError> {
    let number = parse::read(written, country)?;
    dial_policy::check_kind(&number)?;
    Ok(number)
}

/// Looks a number up at the carrier, and refuses it if it is not valid or must not be called.
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
