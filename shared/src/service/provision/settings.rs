//! The settings of one number.

use super::Provisioner;
use crate::domain::number_settings::NumberSettings;
use crate::domain::phone::VirtualNumber;
use crate::domain::pool::PoolNumber;
use crate::domain::support::SupportPhone;
use crate::domain::words::own_text::OwnTexts;
use crate::retry;
use crate::store::StoreError;

/// A change of the settings of a number. What is `None` stays, and `Some(None)` removes.
#[derive(Debug, Clone, Default)]
pub struct SettingsChange {
    /// What callers hear who reach nobody.
    pub words: Option<Option<OwnTexts>>,
    /// The phone that these callers reach.
    pub support: Option<Option<SupportPhone>>,
}

/// Number of attempts at a change that loses races against others.
const ATTEMPTS: u32 = 5;

impl SettingsChange {
    fn apply(&self, before: &NumberSettings) -> NumberSettings {
        NumberSettings {
            revision: before.revision + 1,
            words: self.words.clone().unwrap_or_else(|| before.words.clone()),
            support: self.support.clone().unwrap_or_else(|| before.support.clone()),
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

    /// Changes the settings of a number of the pool, and returns it. `None` if it is not in the pool.
    pub async fn change_number(
        &self,
        number: &VirtualNumber,
        change: &SettingsChange,
    ) -> Result<Option<(PoolNumber, NumberSettings)>, StoreError> {
        for attempt in 0..ATTEMPTS {
            let Some((found, before)) = self.number(number).await? else { return Ok(None) };
            let after = change.apply(&before);
            if self.store.change_number_settings(&found, [&before, &after]).await? {
                return Ok(Some((found, after)));
            }
            retry::pause(attempt).await;
        }
        Err(StoreError::Contended("the settings of a number"))
    }
}
