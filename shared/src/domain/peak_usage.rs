//! Peak usage: the most routes that one caller of a country had at once recently. The country needs that many numbers.
//!
//! A mark is written only if no stored mark is as high for as long. So a busy day writes a few marks, not one for each
//! conversation.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::domain::country::Country;

/// Duration for which a mark counts after its last route has become free.
const RECENT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The stored marks: for each country and day, the highest number of routes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeakUsage(BTreeMap<(Country, Date), usize>);

/// The number of routes that one caller of a country uses at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The caller's country.
    pub country: Country,
    /// The last day (UTC) on which it counts.
    pub until: Date,
    /// Number of routes, live or in quarantine.
    pub routes: usize,
}

/// Returns the UTC day of `time`.
pub fn day(time: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(time).date()
}

impl Mark {
    /// Creates the mark of a caller who uses this number of routes until `first_free_at`, when the first becomes free.
    pub fn new(country: Country, routes: usize, first_free_at: Timestamp) -> Self {
        Self { country, until: day(first_free_at.saturating_add(RECENT).unwrap_or(Timestamp::MAX)), routes }
    }

    /// Returns all marks of a caller whose routes become free at `ends`: all routes until the first end, one fewer until the
    /// second, and so on.
    pub fn all(country: Country, mut ends: Vec<Timestamp>) -> Vec<Self> {
        ends.sort_unstable();
        let all = ends.len();
        ends.into_iter().enumerate().map(|(freed, end)| Self::new(country, all - freed, end)).collect()
    }
}

impl PeakUsage {
    /// True if no stored mark is as high for as long as `mark`.
    pub fn is_exceeded_by(&self, mark: Mark) -> bool {
        self.of(mark.country, mark.until) < mark.routes
    }

    /// Adds a mark.
    pub fn insert(&mut self, mark: Mark) {
        let routes = self.0.entry((mark.country, mark.until)).or_default();
        *routes = mark.routes.max(*routes);
    }

    /// Returns the peak usage in `country` that counts on `day`.
    pub fn of(&self, country: Country, day: Date) -> usize {
        self.0.range((country, day)..=(country, Date::MAX)).map(|(_, routes)| *routes).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mark_counts_for_a_week_and_is_exceeded_by_higher_or_longer() {
        let gb = Country::try_from("GB").unwrap();
        let start: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let on = |days: i64| day(start + SignedDuration::from_hours(24 * days));
        let mark = |routes, days: i64| Mark::new(gb, routes, start + SignedDuration::from_hours(24 * days));
        let mut peak_usage = PeakUsage::default();
        for (routes, days, exceeded) in
            [(3, 1, true), (3, 1, false), (2, 1, false), (2, 5, true), (4, 0, true), (1, 4, false)]
        {
            assert_eq!(peak_usage.is_exceeded_by(mark(routes, days)), exceeded, "{routes} {days}");
            peak_usage.insert(mark(routes, days));
        }
        let recent = [0, 7, 8, 12, 13].map(|days| peak_usage.of(gb, on(days)));
        assert_eq!(recent, [4, 4, 3, 2, 0]);
        let many = [5, 0, 60].map(|days| start + SignedDuration::from_hours(24 * days));
        assert_eq!(Mark::all(gb, many.to_vec()), [mark(3, 0), mark(2, 5), mark(1, 60)]);
        assert_eq!(peak_usage.of(Country::try_from("FR").unwrap(), on(0)), 0);
    }
}
