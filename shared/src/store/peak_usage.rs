//! Marks of peak usage: one small item for each day until which they count.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::item::{self, Item, Key, PEAK_USAGE_PREFIX};
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::country::Country;
use crate::domain::peak_usage::{self, Mark, PeakUsage};

impl Store {
    /// Returns the marks that count at `now` or later.
    pub async fn peak_usage(&self, now: Timestamp) -> Result<PeakUsage, StoreError> {
        let today = peak_usage::day(now);
        let mut peak_usage = PeakUsage::default();
        for item in self.query(item::POOL_PARTITION.to_owned(), Some(PEAK_USAGE_PREFIX)).await? {
            for mark in marks(&item).into_iter().filter(|mark| mark.until >= today) {
                peak_usage.insert(mark);
            }
        }
        Ok(peak_usage)
    }

    /// Writes a mark, unless there is a larger one of the same day.
    pub async fn raise_peak_usage(&self, mark: Mark) -> Result<(), StoreError> {
        let midnight = TimeZone::UTC.to_timestamp(mark.until.at(0, 0, 0, 0)).unwrap_or(Timestamp::MAX);
        let update = Write::update(Key::PeakUsage(mark.until))
            .set("#country = :held")
            .set_ttl(midnight + SignedDuration::from_hours(48))
            .when("attribute_not_exists(#country) OR #country < :held")
            .name("#country", mark.country.as_str())
            .bind(":held", item::integer(mark.routes as u64));
        self.update(update).await.map(drop)
    }
}

/// Returns the marks of one day. The item has an attribute for each country.
fn marks(item: &Item) -> Vec<Mark> {
    let until = item::sort_key(item).strip_prefix(PEAK_USAGE_PREFIX).and_then(|day| day.parse::<Date>().ok());
    let mark = |(name, value): (&String, &aws_sdk_dynamodb::types::AttributeValue)| {
        Some(Mark {
            country: Country::try_from(name.as_str()).ok()?,
            until: until?,
            routes: value.as_n().ok()?.parse().ok()?,
        })
    };
    item.iter().filter_map(mark).collect()
}
