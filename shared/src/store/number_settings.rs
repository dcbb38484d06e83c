//! The settings of numbers, an item for each number that has or had some. The answer to a call reads it only if no route decides.

use jiff::Timestamp;

use super::item::{self, Item, Key};
use super::passed_over::PassedOver;
use super::standing::{self, RecordedStanding};
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::number_settings::NumberSettings;
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::pool::PoolNumber;
use crate::domain::standing::StandingMask;
use crate::retry;

/// Maximum number of attempts at settings that others change at the same time.
const ATTEMPTS: u32 = 5;

impl Store {
    /// Returns the settings of a number. One consistent read.
    pub async fn number_settings(&self, number: &VirtualNumber) -> Result<Option<NumberSettings>, StoreError> {
        self.get(Key::NumberSettings(number)).await
    }

    /// Returns the settings of the number that a call has dialled. One eventually consistent read. Settings that cannot be read
    /// are none, so that they harm no call.
    pub async fn settings_in_call(&self, dialled: &VirtualNumber) -> Result<Option<NumberSettings>, StoreError> {
        Ok(self.read_item(Key::NumberSettings(dialled), false).await?.and_then(of_item))
    }

    /// Replaces the settings of a number of the pool at `now`. A number that gets or loses a standing mask by that is set aside,
    /// or given back to conversations. False if the settings or the state of the number have changed since they were read.
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
            // The number was read before its settings: another change may have set it aside or given it back in between.
            (is_set_aside, _) => {
                let in_pool = Write::check(Key::Number { pool: number.pool(), number: &number.number });
                let stays =
                    if is_set_aside { "attribute_exists(set_aside)" } else { "attribute_not_exists(set_aside)" };
                vec![in_pool.when("attribute_exists(pk)").when(stays)]
            }
        });
        self.transact_settled(transaction).await
    }

    /// Removes a phone from a standing mask: from its phones and from its block list.
    pub async fn forget_in_standing_mask(
        &self,
        phone: &RealNumber,
        mask: &VirtualNumber,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for attempt in 0..ATTEMPTS {
            let since = self.named_since(phone, mask).await?;
            let before = self.number_settings(mask).await?;
            let names = |settings: &NumberSettings| {
                settings.standing.as_ref().is_some_and(|standing| standing.named().contains(phone.canonical().as_ref()))
            };
            let Some(before) = before.filter(names) else {
                // A change may name it again at this moment.
                let delete = Write::delete(Key::StandingPhone { phone: &phone.canonical(), mask });
                return match since {
                    Some(since) => self.delete(delete.when("since = :since").bind(":since", since)).await.map(drop),
                    None => self.delete(delete).await.map(drop),
                };
            };
            let standing = before.standing.as_ref().map(|standing| standing.without(phone));
            let after = NumberSettings { revision: before.revision + 1, standing, ..before.clone() };
            if self.transact_settled(replace(mask, [&before, &after], now)?).await? {
                return Ok(());
            }
            retry::pause(attempt).await;
        }
        Err(StoreError::Contended("the settings of a number"))
    }

    /// Closes a standing mask of a restored table that has changed since: it leads to nobody until it is set again. True if it
    /// did lead to somebody.
    pub async fn close_standing(&self, recorded: &RecordedStanding, now: Timestamp) -> Result<bool, StoreError> {
        for attempt in 0..ATTEMPTS {
            let before = self.number_settings(&recorded.number).await?;
            let is_older = |settings: &NumberSettings| settings.revision < recorded.revision;
            let Some(before) = before.filter(is_older) else { return Ok(false) };
            let Some(standing) = before.standing.clone() else { return Ok(false) };
            let closed = StandingMask { is_open: false, phones: Vec::new(), blocked: Default::default(), ..standing };
            let after = NumberSettings { revision: recorded.revision, standing: Some(closed), ..before.clone() };
            if self.transact_settled(replace(&recorded.number, [&before, &after], now)?).await? {
                return Ok(true);
            }
            retry::pause(attempt).await;
        }
        Err(StoreError::Contended("the settings of a number"))
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
