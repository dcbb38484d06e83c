//! The settings of numbers, an item for each number that has or had some. The answer to a call reads it only if no route decides.

use jiff::Timestamp;

use super::item::{self, Item, Key};
use super::passed_over::PassedOver;
use super::standing;
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::number_settings::NumberSettings;
use crate::domain::phone::VirtualNumber;
use crate::domain::pool::PoolNumber;

impl Store {
    /// Returns the settings of a number. One consistent read.
    pub async fn number_settings(&self, number: &VirtualNumber) -> Result<Option<NumberSettings>, StoreError> {
        self.get(Key::NumberSettings(number)).await
    }

    /// Returns the settings of the number that a call has dialled. One eventually consistent read. Settings that cannot be read are
    /// none, so that they harm no call.
    pub async fn settings_in_call(&self, dialled: &VirtualNumber) -> Result<Option<NumberSettings>, StoreError> {
        Ok(self.read_item(Key::NumberSettings(dialled), false).await?.and_then(of_item))
    }

    /// Replaces the settings of a number of the pool at `now`. A number that gets or loses a standing mask by that is set aside, or given
    /// back to conversations. False if the settings or the state of the number have changed since they were read.
    pub async fn change_number_settings(
        &self,
        number: &PoolNumber,
        [before, after]: [&NumberSettings; 2],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut transaction = replace(&number.number, [before, after], now)?;
        transaction.extend(match (number.set_aside, after.standing.is_some()) {
            (false, true) => standing::set_aside(number, now)?,
            (true, false) => self.give_back(number).await?,
            _ => {
                let in_pool = Write::check(Key::Number { country: number.country, number: &number.number });
                vec![in_pool.when("attribute_exists(pk)")]
            }
        });
        self.transact_settled(transaction).await
    }
}

/// Reads settings for a call.
pub(super) fn of_item(item: Item) -> Option<NumberSettings> {
    PassedOver::default().take(item::read(item))
}

/// Replaces the settings of a number, if they are still those of `before`. What names its phones is written with it.
pub(super) fn replace(
    number: &VirtualNumber,
    [before, after]: [&NumberSettings; 2],
    now: Timestamp,
) -> Result<Vec<Write>, StoreError> {
    let put = Write::put(Key::NumberSettings(number).with(after, None)?);
    let put = match before.revision {
        0 => put.when("attribute_not_exists(pk)"),
        seen => put.when("revision = :seen").bind(":seen", item::integer(seen)),
    };
    let mut writes = vec![put];
    if before.standing != after.standing {
        writes.extend(standing::name_phones(number, [before, after], now)?);
    }
    Ok(writes)
}
