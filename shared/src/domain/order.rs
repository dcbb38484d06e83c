//! An open order: the numbers that a country is to have, until it has them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::country::Country;
use crate::domain::phone::VirtualNumber;
use crate::domain::pool::{Feature, NumberType, PoolNumber};
use crate::domain::shortfall::ShortfallReason;
use crate::domain::tenant::{Owner, Pool};

/// Pause after the first run that failed. Each further failure doubles it.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_mins(5);

/// Longest pause if the reason is likely to pass by itself.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(1);

/// Longest pause if somebody has to act.
const LONGEST_PAUSE_FOR_PEOPLE: SignedDuration = SignedDuration::from_hours(24);

/// The numbers that an order asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordered {
    /// The owner whose numbers they are to be.
    #[serde(default, rename = "tenant", skip_serializing_if = "Owner::is_deployment")]
    pub owner: Owner,
    /// The country.
    pub country: Country,
    /// Number of ready numbers that the country must have in all.
    pub count: usize,
    /// Features of the numbers that are missing.
    pub features: Vec<Feature>,
    /// Type of the numbers that are missing; any if `None`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub number_type: Option<NumberType>,
    /// Digits of the numbers that are missing.
    #[serde(flatten)]
    pub digits: WantedDigits,
}

impl Ordered {
    /// Returns the pool of the numbers.
    pub fn pool(&self) -> Pool {
        Pool { owner: self.owner, country: self.country }
    }
}

/// The digits by which an order selects numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedDigits {
    /// Digits that each number contains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Area codes without trunk prefix, such as `20` for London. A number of the first is taken before one of the next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub area_codes: Vec<String>,
    /// True if any number of the country is taken when the carrier has none with these digits left.
    #[serde(default, rename = "digits_preferred", skip_serializing_if = "std::ops::Not::not")]
    pub is_preference: bool,
}

/// The place of digits in a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DigitMatch {
    /// Anywhere.
    Contains(String),
    /// At the start, with the calling code.
    StartsWith(String),
}

impl DigitMatch {
    /// True if a number has the digits there.
    pub fn suits(&self, number: &VirtualNumber) -> bool {
        match self {
            Self::Contains(digits) => number.as_str().contains(digits),
            Self::StartsWith(digits) => number.as_str().starts_with(digits),
        }
    }
}

impl WantedDigits {
    /// Largest number of area codes of one order. Each is a search of its own.
    pub const MOST_AREA_CODES: usize = 20;

    /// True if there are any.
    pub fn are_named(&self) -> bool {
        self.pattern.is_some() || !self.area_codes.is_empty()
    }

    /// Returns what to search for in a country, one after the other. `None` is any number.
    pub fn searches(&self, country: Country) -> Vec<Option<DigitMatch>> {
        let code = country.calling_code().unwrap_or_default();
        let areas = self.area_codes.iter().map(|area| DigitMatch::StartsWith(format!("{code}{area}")));
        let mut searches: Vec<_> =
            self.pattern.clone().map(DigitMatch::Contains).into_iter().chain(areas).map(Some).collect();
        if searches.is_empty() || self.is_preference {
            searches.push(None);
        }
        searches
    }
}

/// An order that is not complete. A pool has one at most. Serialized as the table stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenOrder {
    /// The numbers that are ordered.
    #[serde(flatten)]
    pub ordered: Ordered,
    /// Its identity. A number is bought for it only while it is the order of its pool.
    pub id: String,
    /// The time of the first request.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub ordered_at: Timestamp,
    /// Number of requests for the same.
    pub requests: u64,
    /// Number of purchases that were begun for it.
    #[serde(default)]
    pub bought: u64,
    /// The end of the last run that worked on it.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub worked_at: Option<Timestamp>,
    /// Milliseconds that a number took in the last run that added any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace_ms: Option<u64>,
    /// Number of runs in a row that failed.
    #[serde(default)]
    pub failures: u32,
    /// The reason for which the last run failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortfallReason>,
    /// The time before which no run tries again.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
}

/// A run of an open order.
#[derive(Debug, Clone, Copy)]
pub struct OrderRun {
    /// Its start.
    pub began_at: Timestamp,
    /// Its end.
    pub ended_at: Timestamp,
    /// Number of numbers that it made ready.
    pub added: usize,
    /// The reason for which it ended before the order was complete.
    pub reason: Option<ShortfallReason>,
}

impl OrderRun {
    /// True if the next run continues as if nothing had happened: this one ran out of time, or met a failure of the moment
    /// after it had added numbers. One failure in thousands of requests is no reason to wait.
    fn was_interrupted(&self, reason: ShortfallReason) -> bool {
        use ShortfallReason::{CarrierUnavailable, OutOfTime, RateLimited, Unconfirmed};
        match reason {
            OutOfTime => true,
            CarrierUnavailable | RateLimited | Unconfirmed => self.added > 0,
            _ => false,
        }
    }
}

impl OpenOrder {
    /// Creates the order of a request at `now`.
    pub fn new(ordered: Ordered, now: Timestamp) -> Self {
        Self {
            ordered,
            id: format!("{}-{:016x}", now.as_millisecond(), fastrand::u64(..)),
            ordered_at: now,
            requests: 1,
            bought: 0,
            worked_at: None,
            pace_ms: None,
            failures: 0,
            reason: None,
            retry_at: None,
        }
    }

    /// Returns the order that the same request makes of this one: the next run does not wait.
    pub fn requested_again(self) -> Self {
        Self { requests: self.requests + 1, failures: 0, retry_at: None, ..self }
    }

    /// True if a run may work on it at `now`.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.retry_at.is_none_or(|retry_at| retry_at <= now)
    }

    /// Returns the order after a run that did not complete it.
    pub fn after(self, run: &OrderRun) -> Self {
        let elapsed = run.ended_at.duration_since(run.began_at).as_millis();
        let pace = u64::try_from(elapsed).ok().and_then(|elapsed| elapsed.checked_div(run.added as u64));
        let reason = run.reason.filter(|reason| !run.was_interrupted(*reason));
        let failures = match reason {
            None => 0,
            Some(_) if run.added > 0 => 1,
            Some(_) => self.failures.saturating_add(1),
        };
        let retry_at = reason.map(|reason| run.ended_at + pause(reason, failures));
        Self { worked_at: Some(run.ended_at), pace_ms: pace.or(self.pace_ms), failures, reason, retry_at, ..self }
    }

    /// Estimates the end, if a number takes at least `planned` and the country has `ready` numbers at `now`. `None` if the
    /// order waits for something.
    pub fn estimated_end(&self, ready: usize, planned: Duration, now: Timestamp) -> Option<Timestamp> {
        if self.reason.is_some() {
            return None;
        }
        let planned = u64::try_from(planned.as_millis()).unwrap_or(u64::MAX);
        let missing = self.ordered.count.saturating_sub(ready) as u64;
        let milliseconds = missing.saturating_mul(self.pace_ms.unwrap_or_default().max(planned));
        now.checked_add(SignedDuration::from_millis(i64::try_from(milliseconds).ok()?)).ok()
    }
}

/// Returns the pause after the last of so many `failures` in a row.
fn pause(reason: ShortfallReason, failures: u32) -> SignedDuration {
    let longest = if reason.passes() { LONGEST_PAUSE } else { LONGEST_PAUSE_FOR_PEOPLE };
    let doubled = 1i32 << failures.saturating_sub(1).min(16);
    FIRST_PAUSE.saturating_mul(doubled).min(longest)
}

/// The draining numbers that an order takes back.
#[derive(Debug, Clone, Copy)]
pub enum TakesBack {
    /// All: a person has just ordered, and knows of them.
    All,
    /// Those that were released before this time. The order replaces what was released after it.
    ReleasedBefore(Timestamp),
}

impl TakesBack {
    /// Returns those that a later run for an order takes back.
    pub fn later(open: &OpenOrder) -> Self {
        Self::ReleasedBefore(open.ordered_at)
    }

    /// True if a draining number is one of them.
    pub fn includes(self, number: &PoolNumber) -> bool {
        match self {
            Self::All => true,
            Self::ReleasedBefore(time) => number.draining_since.is_some_and(|since| since < time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn order() -> OpenOrder {
        let country = Country::try_from("GB").unwrap();
        let (features, digits) = (vec![Feature::Voice], WantedDigits::default());
        let ordered =
            Ordered { owner: Owner::Deployment, country, count: 100_000, features, number_type: None, digits };
        OpenOrder::new(ordered, time(0))
    }

    fn run(added: usize, reason: Option<ShortfallReason>) -> OrderRun {
        OrderRun { began_at: time(0), ended_at: time(300), added, reason }
    }

    #[test]
    fn order_that_ran_out_of_time_goes_on_at_once() {
        let next = order().after(&run(100, Some(ShortfallReason::OutOfTime)));
        assert_eq!((next.reason, next.pace_ms, next.failures), (None, Some(3000), 0));
        assert!(next.is_due(time(300)));
        let planned = Duration::from_secs(1);
        assert_eq!(next.estimated_end(99_000, planned, time(300)), Some(time(300 + 3000)));
        let slower = Duration::from_secs(4);
        assert_eq!(next.estimated_end(99_000, slower, time(300)), Some(time(300 + 4000)));
        assert_eq!(order().estimated_end(99_999, planned, time(0)), Some(time(1)), "before the first run");
    }

    #[test]
    fn failure_of_the_moment_makes_no_order_wait_that_gets_on() {
        for reason in [ShortfallReason::CarrierUnavailable, ShortfallReason::RateLimited, ShortfallReason::Unconfirmed]
        {
            let next = order().after(&run(7, Some(reason)));
            assert_eq!((next.reason, next.retry_at, next.failures), (None, None, 0));
            let next = order().after(&run(0, Some(reason)));
            assert_eq!((next.reason, next.failures, next.is_due(time(300))), (Some(reason), 1, false));
        }
        assert!(!order().after(&run(7, Some(ShortfallReason::OverBudget))).is_due(time(300)));
    }

    #[test]
    fn failing_order_waits_longer_each_time_until_it_adds_a_number() {
        let mut failing = order();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            failing = failing.after(&run(0, Some(ShortfallReason::LowBalance)));
            pauses.push(failing.retry_at.unwrap().duration_since(time(300)).as_secs() / 60);
            assert_eq!(failing.estimated_end(0, Duration::ZERO, time(300)), None);
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440, 1440]);
        assert_eq!(pause(ShortfallReason::CarrierUnavailable, u32::MAX), LONGEST_PAUSE);
        let added = failing.clone().after(&run(1, Some(ShortfallReason::LowBalance)));
        assert_eq!(added.failures, 1);
        assert!(!added.is_due(time(300 + 299)) && added.is_due(time(300 + 300)));
        assert!(failing.requested_again().is_due(time(300)), "somebody asks again, perhaps after paying in");
    }

    #[test]
    fn stored_order_of_an_older_form_is_read() {
        let stored = serde_json::json!({"country": "GB", "count": 2, "features": ["VOICE", "SMS"], "id": "1",
                                        "ordered_at": 1_800_000_000, "requests": 1, "later": "unknown"});
        let order: OpenOrder = serde_json::from_value(stored).unwrap();
        assert_eq!((order.bought, order.failures, order.reason), (0, 0, None));
        assert_eq!(order.ordered.digits, WantedDigits::default());
    }

    #[test]
    fn area_codes_are_searched_in_their_order() {
        let starts = |digits: &str| Some(DigitMatch::StartsWith(digits.to_owned()));
        let searches = |digits: &WantedDigits| digits.searches(Country::try_from("GB").unwrap());
        let area_codes = vec!["20".to_owned(), "161".to_owned()];
        let demand = WantedDigits { area_codes, ..WantedDigits::default() };
        assert_eq!(searches(&demand), [starts("4420"), starts("44161")]);
        let preference = WantedDigits { is_preference: true, ..demand };
        assert_eq!(searches(&preference), [starts("4420"), starts("44161"), None]);
        assert_eq!(searches(&WantedDigits::default()), [None]);
        let pattern = WantedDigits { pattern: Some("007".to_owned()), ..WantedDigits::default() };
        assert_eq!(searches(&pattern), [Some(DigitMatch::Contains("007".to_owned()))]);
    }
}
