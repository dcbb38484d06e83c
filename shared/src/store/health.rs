//! The health of virtual numbers: one item for each number and day, under the day, so that a judgement of all of them reads only the
//! numbers that were called with.
//!
//! The transaction that ends a leg to a called phone adds it to the item, so a leg is counted once, however often its events
//! come. Calls with one number on one day meet at its item; a number has no more calls at once than people who use it.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::item::{self, Item, Key, NUMBER_PREFIX};
use super::kinds::ItemKind;
use super::legs::{self, LegPhone};
use super::passed_over::PassedOver;
use super::pool::number;
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::call::{Direction, LegEvent};
use crate::domain::health::{DAYS, Failure, Health, LegEnd};
use crate::domain::phone::VirtualNumber;

/// Time for which the sums of a day are kept.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * (DAYS + 2));

impl Store {
    /// Merges an event into its leg, which belongs to the `owner` and shows the `mask`. The event that ends a leg to a called phone
    /// first is counted for the mask, in the same request.
    pub(super) async fn merge_and_note_health(
        &self,
        owner: &LegPhone,
        direction: Direction,
        event: &LegEvent,
        mask: &VirtualNumber,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(end) = LegEnd::of(direction, event) {
            let merge = legs::merge(owner, direction, event)?.when("attribute_not_exists(ended)");
            let time = event.timestamp.unwrap_or(now);
            match self.transact_settled(vec![merge, count(mask, end, time)]).await {
                Ok(true) => return Ok(()),
                // It had ended before.
                Ok(false) => {}
                Err(error @ StoreError::NoAnswer(_)) => return Err(error),
                // Too many calls with this number end at this moment, or its item is damaged. The leg matters more than the sum.
                Err(error) => tracing::warn!(cause = %error, "a call does not count for the health of its number"),
            }
        }
        self.merge_leg(owner, direction, event).await
    }

    /// Returns the health of a number in the last days until `now`. One consistent read.
    pub async fn health(&self, mask: &VirtualNumber, now: Timestamp) -> Result<Health, StoreError> {
        let days: Vec<_> = days(now).collect();
        let keys = days.iter().map(|day| Key::NumberHealth { day: *day, number: mask });
        let mut sum = Health::default();
        for (_, of_day) in read(self.batch_get(keys).await?) {
            sum.add(&of_day);
        }
        Ok(sum)
    }

    /// Returns the health in the last days until `now` of the numbers from `first` to `last` that were called with. One consistent
    /// query for each day.
    pub async fn health_between(
        &self,
        [first, last]: [&VirtualNumber; 2],
        now: Timestamp,
    ) -> Result<BTreeMap<VirtualNumber, Health>, StoreError> {
        let (first, last) = (format!("{NUMBER_PREFIX}{first}"), format!("{NUMBER_PREFIX}{last}"));
        let of_day = days(now).map(|day| self.query_between(item::health_partition(day), &first, &last));
        Ok(sums(try_join_all(of_day).await?))
    }

    /// Returns the health in the last days until `now` of all numbers that were called with. Only for the schedule.
    pub async fn health_of_all(&self, now: Timestamp) -> Result<BTreeMap<VirtualNumber, Health>, StoreError> {
        let of_day = days(now).map(|day| self.query(item::health_partition(day), Some(NUMBER_PREFIX)));
        Ok(sums(try_join_all(of_day).await?))
    }

    /// True if the backend was told today that a number falls off.
    pub async fn is_unhealthy_told(&self, mask: &VirtualNumber, now: Timestamp) -> Result<bool, StoreError> {
        let item = self.get_item(Key::NumberHealth { day: day(now), number: mask }).await?;
        Ok(item.is_some_and(|item| item.contains_key("told_at")))
    }

    /// Notes that the backend was told today that a number falls off.
    pub async fn note_unhealthy_told(&self, mask: &VirtualNumber, now: Timestamp) -> Result<(), StoreError> {
        let note = Write::update(Key::NumberHealth { day: day(now), number: mask }).set("told_at = :now");
        self.update(note.set_ttl(now + KEPT).bind(":now", item::seconds(now))).await.map(drop)
    }
}

fn day(time: Timestamp) -> Date {
    time.to_zoned(TimeZone::UTC).date()
}

fn days(now: Timestamp) -> impl Iterator<Item = Date> {
    let today = day(now);
    (0..DAYS).map(move |ago| today.saturating_sub(ago.days()))
}

/// Counts a leg that ended at `time`.
fn count(mask: &VirtualNumber, end: LegEnd, time: Timestamp) -> Write {
    let count = Write::update(Key::NumberHealth { day: day(time), number: mask }).set_ttl(time + KEPT);
    // A newer release may count in another way.
    let count = count
        .when("attribute_not_exists(v) OR v <= :latest")
        .bind(":latest", item::integer(ItemKind::NumberHealth.versions().read));
    let count = count.bind(":one", item::integer(1u64));
    match end {
        LegEnd::Answered { seconds } => {
            count.add("calls :one, answered :one, seconds :seconds").bind(":seconds", item::integer(seconds))
        }
        LegEnd::Failed(failure) => count.add("calls :one, #failure :one").name("#failure", failure.as_str()),
    }
}

/// Reads items of days. One that cannot be read counts for nothing.
fn read(items: Vec<Item>) -> Vec<(VirtualNumber, Health)> {
    let mut passed_over = PassedOver::default();
    let mut read = |item: Item| {
        passed_over.take(item::check_version(&item))?;
        let failed = Failure::ALL.into_iter().map(|failure| (failure, number(&item, failure.as_str())));
        let health = Health {
            calls: number(&item, "calls"),
            answered: number(&item, "answered"),
            seconds: number(&item, "seconds"),
            failed: failed.filter(|(_, count)| *count > 0).collect(),
        };
        Some((item::dialled(&item)?, health))
    };
    items.into_iter().filter_map(&mut read).collect()
}

fn sums(days: Vec<Vec<Item>>) -> BTreeMap<VirtualNumber, Health> {
    let mut sums: BTreeMap<VirtualNumber, Health> = BTreeMap::new();
    for (mask, health) in days.into_iter().flat_map(read) {
        sums.entry(mask).or_default().add(&health);
    }
    sums
}
