//! Standing masks: numbers that are set aside, and the phones that they name.
//!
//! A number is set aside first: no conversation gets it any more. It is opened when a scan of the table has found no route to it
//! that is live or in quarantine. So a request for a conversation and one for a standing mask never both have the number.
//!
//! Each phone that a standing mask names has an item in the partition of the phone, so an erasure by number finds the mask. The
//! journal has the revision of its last change, so a restored table does not lead to a phone of before.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::item::{self, Item, Key, STANDING_PREFIX};
use super::journal::{CHANGES_KEPT, JournalPage};
use super::numbers::{change_state, change_work, unlist};
use super::write::Write;
use super::{Store, StoreError, pool, ready_numbers};
use crate::domain::number_settings::NumberSettings;
use crate::domain::phone::{PhoneNumber, RealNumber, VirtualNumber};
use crate::domain::pool::{NumberState, PoolNumber};
use crate::domain::standing::StandingMask;

/// The item of a phone that a standing mask names.
#[derive(Serialize, Deserialize)]
struct Named {
    /// The time from which the mask names it, in milliseconds since 1970.
    since: i64,
}

/// The last change of a standing mask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedStanding {
    /// The number.
    pub number: VirtualNumber,
    /// The revision of its settings.
    pub revision: u64,
}

/// Lists a standing mask under the phones that it names from `now` on, and no longer under others. Records the change.
pub(super) fn name_phones(
    mask: &VirtualNumber,
    [before, after]: [&NumberSettings; 2],
    now: Timestamp,
) -> Result<Vec<Write>, StoreError> {
    let named = |settings: &NumberSettings| settings.standing.as_ref().map(StandingMask::named).unwrap_or_default();
    let (old, new) = (named(before), named(after));
    let removed = old.difference(&new).map(|phone| Write::delete(Key::StandingPhone { phone, mask }));
    let mut writes: Vec<_> = removed.collect();
    for phone in new.difference(&old) {
        let item = Key::StandingPhone { phone, mask }.with(&Named { since: now.as_millisecond() }, None)?;
        writes.push(Write::put(item));
    }
    let change = RecordedStanding { number: mask.clone(), revision: after.revision };
    writes.push(Write::put(Key::StandingChange(mask).with(&change, Some(now + CHANGES_KEPT))?));
    Ok(writes)
}

/// Returns the writes that take a ready or lost number out of pairing at `now`.
pub(super) fn set_aside(number: &PoolNumber, now: Timestamp) -> Result<Vec<Write>, StoreError> {
    let mark = |write: Write| {
        let write = write.set("set_aside = :true, draining_since = :now").when("attribute_not_exists(set_aside)");
        write.bind(":true", AttributeValue::Bool(true)).bind(":now", item::seconds(now))
    };
    // A lost one waits until Vonage lists it again.
    if number.state != NumberState::Ready {
        return Ok(vec![mark(change_state(number, number.state, number.state)?)]);
    }
    let (from, to) = (NumberState::Ready, NumberState::SettingAside);
    let change = mark(change_state(number, from, to)?);
    let mut writes = Vec::from(unlist(number, number.part.unwrap_or_default(), change));
    writes.push(pool::move_in_ledger(number, from, to));
    writes.extend(change_work(number, from.work(), to.work()));
    Ok(writes)
}

impl Store {
    /// Returns the writes that give a number that was set aside back to conversations. One that is lost or being linked again
    /// becomes ready later.
    pub(super) async fn give_back(&self, number: &PoolNumber) -> Result<Vec<Write>, StoreError> {
        let (from, to) = (number.state, NumberState::Ready);
        let unmark = |write: Write| write.remove("set_aside, draining_since").when("attribute_exists(set_aside)");
        if !matches!(from, NumberState::SettingAside | NumberState::Standing) {
            return Ok(vec![unmark(change_state(number, from, from)?)]);
        }
        let part = self.part_for(number).await?;
        let ready =
            unmark(change_state(number, from, to)?).set("part = :part").bind(":part", item::integer(part.index));
        let mut writes = vec![ready, pool::move_in_ledger(number, from, to)];
        writes.extend(ready_numbers::list(&part, &number.to_ready_number()));
        writes.extend(change_work(number, from.work(), to.work()));
        Ok(writes)
    }

    /// Opens the standing mask of a number that was set aside, and to which no route leads any more. False if the number or its
    /// settings have changed since the number was read.
    pub async fn open_standing(&self, number: &PoolNumber) -> Result<bool, StoreError> {
        let (from, to) = (NumberState::SettingAside, NumberState::Standing);
        let change = change_state(number, from, to)?.remove("draining_since");
        // It may have been given back and set aside again since.
        let change = match number.draining_since {
            Some(since) => change.when("draining_since = :since").bind(":since", item::seconds(since)),
            None => change.when("attribute_not_exists(draining_since)"),
        };
        let open = Write::update(Key::NumberSettings(&number.number))
            .set("standing.is_open = :true")
            .add("revision :one")
            .when("attribute_exists(standing)")
            .bind(":true", AttributeValue::Bool(true))
            .bind(":one", item::integer(1u64));
        let mut transaction = vec![change, open, pool::move_in_ledger(number, from, to)];
        transaction.extend(change_work(number, from.work(), to.work()));
        self.transact_settled(transaction).await
    }

    /// Returns the standing masks that named a phone by `time`. The keys alone tell them. One consistent query.
    pub async fn standing_masks_of(
        &self,
        phone: &RealNumber,
        time: Timestamp,
    ) -> Result<Vec<VirtualNumber>, StoreError> {
        let items = self.query(item::phone_partition(&phone.canonical()), Some(STANDING_PREFIX)).await?;
        let was_named = |item: &&Item| since(item).is_none_or(|since| since <= time);
        let mask = |item: &Item| {
            let digits = item::sort_key(item).strip_prefix(STANDING_PREFIX)?;
            PhoneNumber::try_from(digits).ok().map(VirtualNumber::from)
        };
        Ok(items.iter().filter(was_named).filter_map(mask).collect())
    }

    /// Returns the time from which a standing mask names a phone, as it is stored. `None` if that is not known.
    pub(super) async fn named_since(
        &self,
        phone: &RealNumber,
        mask: &VirtualNumber,
    ) -> Result<Option<AttributeValue>, StoreError> {
        let key = format!("{STANDING_PREFIX}{mask}");
        let items = self.query(item::phone_partition(&phone.canonical()), Some(&key)).await?;
        // Another number may begin with the same digits.
        let listed = items.into_iter().find(|item| item::sort_key(item) == key);
        Ok(listed.and_then(|mut item| item.remove("since")))
    }

    /// Returns the next page of the recorded changes of standing masks, starting at `from`. One consistent scan of the journal.
    pub async fn recorded_standing(&self, from: Option<Item>) -> Result<JournalPage<RecordedStanding>, StoreError> {
        self.journal_page(item::STANDING_CHANGE, from, item::read).await
    }
}

fn since(item: &Item) -> Option<Timestamp> {
    Timestamp::from_millisecond(item.get("since")?.as_n().ok()?.parse().ok()?).ok()
}
