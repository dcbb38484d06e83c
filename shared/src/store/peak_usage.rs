//! Marks of peak usage: one small item for each country and day until which it counts.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::item::{self, Item, Key, PEAK_USAGE_PREFIX};
use super::passed_over::PassedOver;
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::country::Country;
use crate::domain::peak_usage::{self, Mark, PeakUsage};

impl Store {
    /// Returns the marks that count at `now` or later and can be read.
    pub async fn peak_usage(&self, now: Timestamp) -> Result<PeakUsage, StoreError> {
        let today = peak_usage::day(now);
        let items = self.query(item::POOL_PARTITION.to_owned(), Some(PEAK_USAGE_PREFIX)).await?;
        let mut peak_usage = PeakUsage::default();
        for mark in PassedOver::list(items, mark).into_iter().filter(|mark| mark.until >= today) {
            peak_usage.insert(mark);
        }
        Ok(peak_usage)
    }

    /// Writes a mark, unless there is a higher one of the same country and day. Returns the one that is stored then.
    pub async fn raise_peak_usage(&self, mark: Mark) -> Result<Mark, StoreError> {
        let midnight = TimeZone::UTC.to_timestamp(mark.until.at(0, 0, 0, 0)).unwrap_or(Timestamp::MAX);
        let update = Write::update(Key::PeakUsage(mark.country, mark.until))
            .set("#routes = :routes")
            .set_ttl(midnight + SignedDuration::from_hours(48))
            .when("attribute_not_exists(#routes) OR #routes < :routes")
            .name("#routes", ROUTES)
            .bind(":routes", item::integer(mark.routes as u64));
        let higher = self.update_or_return(update).await?;
        Ok(PassedOver::list(higher, self::mark).pop().unwrap_or(mark))
    }
}

/// Attribute of the number of routes.
const ROUTES: &str = "routes";

fn mark(item: Item) -> Result<Mark, StoreError> {
    let name = item::check_version(&item)?;
    let mark = || {
        let (country, until) = item::sort_key(&item).strip_prefix(PEAK_USAGE_PREFIX)?.split_once('#')?;
        let routes = item.get(ROUTES)?.as_n().ok()?.parse().ok()?;
        Some(Mark { country: Country::try_from(country).ok()?, until: until.parse::<Date>().ok()?, routes })
    };
    mark().ok_or_else(|| StoreError::Unreadable(name, "a part of it is missing or malformed".to_owned()))
}
