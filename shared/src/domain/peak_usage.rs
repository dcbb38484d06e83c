//! Peak usage: the most numbers of a country that one caller used at once recently. The country needs that many numbers.
//!
//! A mark is written only if no known mark is as high for as long. So a busy day writes a few marks, not one for each
//! conversation.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::domain::caller_routes::CallerRoutes;
use crate::domain::country::Country;
use crate::domain::phone::VirtualNumber;
use crate::domain::ready_pool::ReadyPool;

/// Duration for which a mark counts after its last route has become free.
const RECENT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Marks: for each country and day, the highest number of routes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeakUsage(BTreeMap<(Country, Date), usize>);

/// The number of routes under numbers of a country that one caller uses at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The country of the numbers.
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

    /// Returns the marks of a caller with `routes` who dials `number`, which is in `ready`: of all routes in use under numbers
    /// of the same country. If the route under `number` is `new`, it becomes free at that time.
    ///
    /// If not all routes were read, their number is estimated from those that were looked for.
    pub fn of_caller(
        routes: &CallerRoutes,
        number: &VirtualNumber,
        ready: &ReadyPool,
        new: Option<Timestamp>,
        now: Timestamp,
    ) -> Vec<Self> {
        let country_of = |number: &VirtualNumber| ready.find(number).map(|(part, _)| part.country);
        let Some(country) = country_of(number) else { return Vec::new() };
        let of_country = routes.in_use(now).filter(|(number, _)| country_of(number) == Some(country));
        // The same two people may get the number again in their quarantine.
        let stay = of_country.filter(|(other, _)| new.is_none() || *other != number);
        let ends: Vec<_> = stay.map(|(_, route)| route.quarantined_until).chain(new).collect();
        match routes.share_in_use(now) {
            None => Self::all(country, ends),
            Some(share) => {
                let estimate = (share * ready.count(country) as f64) as usize;
                let first_free_at = ends.iter().min().copied().unwrap_or(now);
                vec![Self::new(country, estimate.max(ends.len()), first_free_at)]
            }
        }
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
    /// Returns the highest mark that exceeds the `known` ones, and forgets those that do not.
    pub fn highest_above(&mut self, known: &Self) -> Option<Mark> {
        self.0.retain(|(country, until), routes| known.of(*country, *until) < *routes);
        let ((country, until), routes) = self.0.iter().max_by_key(|(_, routes)| **routes)?;
        Some(Mark { country: *country, until: *until, routes: *routes })
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

impl FromIterator<Mark> for PeakUsage {
    fn from_iter<T: IntoIterator<Item = Mark>>(marks: T) -> Self {
        let mut all = Self::default();
        marks.into_iter().for_each(|mark| all.insert(mark));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gb() -> Country {
        Country::try_from("GB").unwrap()
    }

    fn time(days: i64) -> Timestamp {
        "2026-11-22T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(24 * days)
    }

    #[test]
    fn mark_counts_for_a_week() {
        let mut peak_usage = PeakUsage::default();
        for (routes, days) in [(3, 1), (2, 1), (2, 5), (4, 0)] {
            peak_usage.insert(Mark::new(gb(), routes, time(days)));
        }
        let recent = [0, 7, 8, 12, 13].map(|days| peak_usage.of(gb(), day(time(days))));
        assert_eq!(recent, [4, 4, 3, 2, 0]);
        assert_eq!(peak_usage.of(Country::try_from("FR").unwrap(), day(time(0))), 0);
        let mark = |routes, days| Mark::new(gb(), routes, time(days));
        assert_eq!(Mark::all(gb(), [5, 0, 60].map(time).to_vec()), [mark(3, 0), mark(2, 5), mark(1, 60)]);
    }

    #[test]
    fn highest_mark_is_taken_first_and_known_ones_never() {
        let mark = |routes, days| Mark::new(gb(), routes, time(days));
        let mut pending: PeakUsage = Mark::all(gb(), [0, 1, 2, 3].map(time).to_vec()).into_iter().collect();
        // As high as the second one, and for longer.
        let mut known: PeakUsage = [mark(3, 2)].into_iter().collect();
        let mut next = |known: &mut PeakUsage| pending.highest_above(known).inspect(|mark| known.insert(*mark));
        let taken: Vec<_> = std::iter::repeat_with(|| next(&mut known)).map_while(|mark| mark).collect();
        assert_eq!(taken, [mark(4, 0), mark(1, 3)]);
    }
}
