//! High-water marks: one small item for each day until which they count.

use std::collections::HashMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::item::{self, HELD_PREFIX, Item, Key};
use super::{Store, StoreError};
use crate::domain::country::Country;
use crate::domain::peak_usage::{self, Mark, PeakUsage};

impl Store {
    /// The marks that count at `now` or later.
    pub async fn peak_usage(&self, now: Timestamp) -> Result<PeakUsage, StoreError> {
        let today = peak_usage::day(now);
        let mut peak_usage = PeakUsage::default();
        for item in self.query(item::POOL_PARTITION.to_owned(), Some(HELD_PREFIX)).await? {
            for mark in marks(&item).into_iter().filter(|mark| mark.until >= today) {
                peak_usage.insert(mark);
            }
        }
        Ok(peak_usage)
    }

    /// Writes a mark down, unless a larger one is there for the same day.
    pub async fn raise_peak_usage(&self, mark: Mark) -> Result<(), StoreError> {
        let midnight = TimeZone::UTC.to_timestamp(mark.until.at(0, 0, 0, 0)).unwrap_or(Timestamp::MAX);
        let names = HashMap::from([("#country".into(), mark.country.as_str().into()), ("#ttl".into(), "ttl".into())]);
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::Held(mark.until).item()))
            .update_expression("SET #country = :held, #ttl = :ttl")
            .condition_expression("attribute_not_exists(#country) OR #country < :held")
            .set_expression_attribute_names(Some(names))
            .expression_attribute_values(":held", item::whole(mark.routes as u64))
            .expression_attribute_values(":ttl", item::seconds(midnight + SignedDuration::from_hours(48)));
        self.update(update).await.map(drop)
    }
}

/// The marks of one day: an attribute for each country.
fn marks(item: &Item) -> Vec<Mark> {
    let until = item::sort_key(item).strip_prefix(HELD_PREFIX).and_then(|day| day.parse::<Date>().ok());
    let mark = |(name, value): (&String, &aws_sdk_dynamodb::types::AttributeValue)| {
        Some(Mark {
            country: Country::try_from(name.as_str()).ok()?,
            until: until?,
            routes: value.as_n().ok()?.parse().ok()?,
        })
    };
    item.iter().filter_map(mark).collect()
}
