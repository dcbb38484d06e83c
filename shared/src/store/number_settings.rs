//! The settings of numbers, an item for each number that has or had some. The answer to a call reads it only if no route decides.

use super::item::{self, Item, Key};
use super::passed_over::PassedOver;
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

    /// Replaces the settings of a number of the pool. False if they have changed since `before` was read, or if the number has left
    /// the pool.
    pub async fn change_number_settings(
        &self,
        number: &PoolNumber,
        [before, after]: [&NumberSettings; 2],
    ) -> Result<bool, StoreError> {
        let in_pool = Write::check(Key::Number { country: number.country, number: &number.number });
        let in_pool = in_pool.when("attribute_exists(pk)");
        self.transact_settled(vec![put(&number.number, [before, after])?, in_pool]).await
    }
}

/// Reads settings for a call.
pub(super) fn of_item(item: Item) -> Option<NumberSettings> {
    PassedOver::default().take(item::read(item))
}

fn put(number: &VirtualNumber, [before, after]: [&NumberSettings; 2]) -> Result<Write, StoreError> {
    let put = Write::put(Key::NumberSettings(number).with(after, None)?);
    Ok(match before.revision {
        0 => put.when("attribute_not_exists(pk)"),
        seen => put.when("revision = :seen").bind(":seen", item::integer(seen)),
    })
}
