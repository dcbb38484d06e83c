//! The settings of one number.

use super::Provisioner;
use crate::domain::number_settings::NumberSettings;
use crate::domain::phone::VirtualNumber;
use crate::domain::pool::{NumberState, PoolNumber};
use crate::domain::standing::StandingMask;
use crate::domain::support::SupportPhone;
use crate::domain::words::own_text::OwnTexts;
use crate::retry;
use crate::store::StoreError;

/// A change of the settings of a number. `None` leaves a setting as it is, and `Some(None)` removes it.
#[derive(Debug, Clone, Default)]
pub struct SettingsChange {
    /// The words for callers who reach nobody.
    pub words: Option<Option<OwnTexts>>,
    /// The phone that these callers reach.
    pub support: Option<Option<SupportPhone>>,
    /// The standing mask, which is opened when that is possible.
    pub standing: Option<Option<StandingMask>>,
}

/// Reason why the settings of a number were not changed.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The number is not in the pool.
    #[error("the number is not in the pool")]
    Unknown,
    /// A standing mask is wanted of a number that is being rented or drained.
    #[error("the number is neither ready nor lost")]
    NotReady,
    /// The phone at this position of a standing mask is a number of the pool, so a call would come back.
    #[error("a phone of a standing mask is a number of the pool")]
    OwnNumber(usize),
    /// A change names more phones than one transaction takes.
    #[error("too many phones at once")]
    TooManyPhones,
    /// A failed use of the table.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Number of attempts at a change that loses races against others.
const ATTEMPTS: u32 = 5;

/// Most phones that a change adds to a standing mask or removes from it. One transaction has an item for each, and ten others at
/// most.
pub const MOST_CHANGED_PHONES: usize = 90;

impl SettingsChange {
    /// True if it changes nothing.
    pub fn is_none(&self) -> bool {
        self.words.is_none() && self.support.is_none() && self.standing.is_none()
    }

    fn apply(&self, number: &PoolNumber, before: &NumberSettings) -> NumberSettings {
        // A standing mask stays open, and a number on which nothing else is left opens at once.
        let is_open = number.state == NumberState::Standing || before.standing.as_ref().is_some_and(|old| old.is_open);
        let standing = self.standing.clone().map(|new| new.map(|new| StandingMask { is_open, ..new }));
        NumberSettings {
            revision: before.revision + 1,
            owner: number.owner,
            words: self.words.clone().unwrap_or_else(|| before.words.clone()),
            support: self.support.clone().unwrap_or_else(|| before.support.clone()),
            standing: standing.unwrap_or_else(|| before.standing.clone()),
        }
    }
}

impl Provisioner {
    /// Returns a number of the pool with its settings. `None` if it is not in the pool.
    pub async fn number(&self, number: &VirtualNumber) -> Result<Option<(PoolNumber, NumberSettings)>, StoreError> {
        let Some(found) = self.store.pool_number(number).await? else { return Ok(None) };
        let settings = self.store.number_settings(number).await?;
        Ok(Some((found, settings.unwrap_or_default())))
    }

    /// Changes the settings of a number of the pool, and returns it. A number that gets a standing mask is set aside, and a later
    /// [`Provisioner::upkeep`] opens it.
    pub async fn change_number(
        &self,
        number: &VirtualNumber,
        change: &SettingsChange,
    ) -> Result<(PoolNumber, NumberSettings), SettingsError> {
        self.check_phones(change).await?;
        for attempt in 0..ATTEMPTS {
            let (found, before) = self.number(number).await?.ok_or(SettingsError::Unknown)?;
            let after = change.apply(&found, &before);
            let is_ready = found.set_aside || matches!(found.state, NumberState::Ready | NumberState::Lost);
            if after.standing.is_some() && !is_ready {
                return Err(SettingsError::NotReady);
            }
            if changed_phones(&before, &after) > MOST_CHANGED_PHONES {
                return Err(SettingsError::TooManyPhones);
            }
            if self.store.change_number_settings(&found, [&before, &after], self.clock.now()).await? {
                return Ok(self.number(number).await?.unwrap_or((found, after)));
            }
            retry::pause(attempt).await;
        }
        Err(StoreError::Contended("the settings of a number").into())
    }

    /// Checks that no call to a phone of a standing mask would come back to the pool.
    async fn check_phones(&self, change: &SettingsChange) -> Result<(), SettingsError> {
        let Some(Some(standing)) = &change.standing else { return Ok(()) };
        for (position, callee) in standing.phones.iter().enumerate() {
            let number = VirtualNumber::from(callee.number.as_phone().clone());
            if self.store.is_known(&number, self.clock.now()).await? {
                return Err(SettingsError::OwnNumber(position));
            }
        }
        Ok(())
    }
}

fn changed_phones(before: &NumberSettings, after: &NumberSettings) -> usize {
    let named = |settings: &NumberSettings| settings.standing.as_ref().map(StandingMask::named).unwrap_or_default();
    named(before).symmetric_difference(&named(after)).count()
}
