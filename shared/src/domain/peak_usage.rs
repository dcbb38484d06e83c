//! The largest count of keys that one caller of a country has held lately: how many numbers that country needs.
//!
//! A count is news only if it is larger than what is known to be held for as long. So a busy day writes a mark a few
//! times, not once for each conversation.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::domain::country::Country;

/// How long a count is "lately" after it was last held.
const LATELY: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The marks that are known: a count, and the day until which it counts as lately.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeakUsage(BTreeMap<(Country, Date), usize>);

/// A count that one caller of a country holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The caller's country.
    pub country: Country,
    /// The last day (UTC) on which it counts as lately.
    pub until: Date,
    /// How many keys, live or in quarantine.
    pub held: usize,
}

/// The day of `time`, in UTC.
pub fn day(time: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(time).date()
}

impl Mark {
    /// Of a caller who holds that many keys, the first of which falls free at `first_free_at`.
    pub fn new(country: Country, held: usize, first_free_at: Timestamp) -> Self {
        Self { country, until: day(first_free_at.saturating_add(LATELY).unwrap_or(Timestamp::MAX)), held }
    }
}

impl Mark {
    /// All that follows for a caller whose keys fall free at `ends`: so many are held until the first does, one less until
    /// the second does, and so on.
    pub fn all(country: Country, mut ends: Vec<Timestamp>) -> Vec<Self> {
        ends.sort_unstable();
        let all = ends.len();
        ends.into_iter().enumerate().map(|(fallen, end)| Self::new(country, all - fallen, end)).collect()
    }
}

impl PeakUsage {
    /// Whether nothing known says as much for as long.
    pub fn is_news(&self, mark: Mark) -> bool {
        self.of(mark.country, mark.until) < mark.held
    }

    /// Takes a mark in.
    pub fn insert(&mut self, mark: Mark) {
        let held = self.0.entry((mark.country, mark.until)).or_default();
        *held = mark.held.max(*held);
    }

    /// The largest count in `country` that is lately on `day`.
    pub fn of(&self, country: Country, day: Date) -> usize {
        self.0.range((country, day)..=(country, Date::MAX)).map(|(_, held)| *held).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_counts_until_a_week_after_its_keys_begin_to_fall_free_and_only_a_larger_or_longer_one_is_news() {
        let gb = Country::try_from("GB").unwrap();
        let start: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let on = |days: i64| day(start + SignedDuration::from_hours(24 * days));
        let mark = |held, days: i64| Mark::new(gb, held, start + SignedDuration::from_hours(24 * days));
        let mut peak_usage = PeakUsage::default();
        for (held, days, news) in
            [(3, 1, true), (3, 1, false), (2, 1, false), (2, 5, true), (4, 0, true), (1, 4, false)]
        {
            assert_eq!(peak_usage.is_news(mark(held, days)), news, "{held} {days}");
            peak_usage.insert(mark(held, days));
        }
        let lately = [0, 7, 8, 12, 13].map(|days| peak_usage.of(gb, on(days)));
        assert_eq!(lately, [4, 4, 3, 2, 0]);
        let many = [5, 0, 60].map(|days| start + SignedDuration::from_hours(24 * days));
        assert_eq!(Mark::all(gb, many.to_vec()), [mark(3, 0), mark(2, 5), mark(1, 60)]);
        assert_eq!(peak_usage.of(Country::try_from("FR").unwrap(), on(0)), 0);
    }
}
