//! Usage of a conversation: what all its calls together have used, and the limits of that.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Serialize};

use crate::domain::call::{Direction, LegFacts};
use crate::domain::rates::Rates;
use crate::domain::side::Side;

/// A limit in whole calls or minutes: 1 to 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u32")]
pub struct MaxCount(u32);

/// A limit in EUR: more than 0, up to 1,000,000.
///
/// It is read from text or a number, and written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Amount", into = "Decimal")]
pub struct MaxSpend(Decimal);

/// An amount as JSON may have it.
#[derive(Deserialize)]
#[serde(untagged, expecting = "must be an amount in EUR, such as 5 or 2.50")]
enum Amount {
    Exact(Decimal),
    Float(f64),
}

/// The number is not within the limits of [`MaxCount`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number from 1 to {}", MaxCount::MAX)]
pub struct NotAMaxCount;

/// The amount is not within the limits of [`MaxSpend`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an amount in EUR above 0 and up to {}, such as 5 or 2.50", MaxSpend::MAX)]
pub struct NotAMaxSpend;

impl MaxCount {
    const MAX: u32 = 1_000_000;
}

impl MaxSpend {
    const MAX: u32 = 1_000_000;
}

impl TryFrom<u64> for MaxCount {
    type Error = NotAMaxCount;

    fn try_from(count: u64) -> Result<Self, NotAMaxCount> {
        u32::try_from(count).ok().filter(|count| (1..=Self::MAX).contains(count)).map(Self).ok_or(NotAMaxCount)
    }
}

impl From<MaxCount> for u32 {
    fn from(MaxCount(count): MaxCount) -> Self {
        count
    }
}

impl TryFrom<Decimal> for MaxSpend {
    type Error = NotAMaxSpend;

    fn try_from(amount: Decimal) -> Result<Self, NotAMaxSpend> {
        let is_allowed = amount > Decimal::ZERO && amount <= Decimal::from(Self::MAX);
        if is_allowed { Ok(Self(amount)) } else { Err(NotAMaxSpend) }
    }
}

impl TryFrom<Amount> for MaxSpend {
    type Error = NotAMaxSpend;

    fn try_from(amount: Amount) -> Result<Self, NotAMaxSpend> {
        let amount = match amount {
            Amount::Exact(amount) => amount,
            // The shortest text that means this number is what people wrote.
            Amount::Float(amount) => amount.to_string().parse().map_err(|_| NotAMaxSpend)?,
        };
        Self::try_from(amount)
    }
}

impl From<MaxSpend> for Decimal {
    fn from(MaxSpend(amount): MaxSpend) -> Self {
        amount
    }
}

/// The most that all calls of a conversation together may use. `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageLimits {
    /// Calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_calls: Option<MaxCount>,
    /// Calls in one day (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_calls_per_day: Option<MaxCount>,
    /// Minutes for which both talk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_minutes: Option<MaxCount>,
    /// Price of all legs, in EUR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_spend: Option<MaxSpend>,
}

impl UsageLimits {
    /// True if there is no limit.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Returns these limits, and `others` in place of those that there are not.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            max_calls: self.max_calls.or(others.max_calls),
            max_calls_per_day: self.max_calls_per_day.or(others.max_calls_per_day),
            max_minutes: self.max_minutes.or(others.max_minutes),
            max_spend: self.max_spend.or(others.max_spend),
        }
    }

    /// True if `usage` has reached one of the limits.
    pub fn are_reached(&self, usage: &Usage) -> bool {
        let calls = self.max_calls.is_some_and(|MaxCount(max)| usage.calls >= max.into());
        let minutes = self.max_minutes.is_some_and(|MaxCount(max)| usage.seconds >= u64::from(max) * 60);
        calls || minutes || self.max_spend.is_some_and(|MaxSpend(max)| usage.spend >= max)
    }

    /// Returns what is left of the limits at `now`.
    pub fn left(&self, tally: &Tally, now: Timestamp) -> Left {
        let count = |max: Option<MaxCount>, used: u64| max.map(|MaxCount(max)| u64::from(max).saturating_sub(used));
        let seconds = self.max_minutes.map(|MaxCount(max)| (u64::from(max) * 60).saturating_sub(tally.sum.seconds));
        Left {
            calls: count(self.max_calls, tally.sum.calls),
            calls_today: count(self.max_calls_per_day, tally.by_day.on(day(now))),
            seconds,
            spend: self.max_spend.map(|MaxSpend(max)| (max - tally.sum.spend).max(Decimal::ZERO)),
        }
    }

    /// Returns the seconds for which a call from `caller` may last. The price limits them only if the rates of such a call are
    /// known.
    pub fn seconds_left(&self, tally: &Tally, caller: Side) -> Option<u64> {
        // Neither of these depends on the day.
        let left = self.left(tally, Timestamp::UNIX_EPOCH);
        let rate = tally.rates.of_call_from(caller).filter(|rate| *rate > Decimal::ZERO);
        let by_price =
            left.spend.zip(rate).and_then(|(spend, rate)| (spend / rate * Decimal::from(60)).floor().to_u64());
        let seconds = left.seconds.into_iter().chain(by_price).min()?;
        // A call of no seconds cannot be asked for. If nothing is left, a limit is reached and no call is connected.
        Some(seconds.max(1))
    }

    /// True if calls may be cut short by one of the limits.
    pub fn cut_calls(&self) -> bool {
        self.max_minutes.is_some() || self.max_spend.is_some()
    }

    /// Returns the time from which calls are connected again, if those of the day of `now` are used up.
    pub fn paused_until(&self, by_day: &CallsByDay, now: Timestamp) -> Option<Timestamp> {
        let is_used_up = |MaxCount(max): MaxCount| by_day.on(day(now)) >= max.into();
        self.max_calls_per_day.is_some_and(is_used_up).then(|| next_day(now))
    }
}

/// Returns the day (UTC) of a time.
pub fn day(time: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(time).date()
}

/// Returns the beginning of the day (UTC) after a time.
fn next_day(time: Timestamp) -> Timestamp {
    let day = SignedDuration::from_hours(24).as_secs();
    Timestamp::from_second((time.as_second().div_euclid(day) + 1) * day).unwrap_or(Timestamp::MAX)
}

/// The calls of each of the latest days on which there were any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallsByDay(BTreeMap<Date, u64>);

impl CallsByDay {
    /// Number of days that are kept: today, the day that begins meanwhile, and one whose calls were told ahead of their time.
    const KEPT: usize = 3;

    /// Returns the calls of a day.
    pub fn on(&self, day: Date) -> u64 {
        self.0.get(&day).copied().unwrap_or_default()
    }

    /// Returns the calls of each day.
    pub fn iter(&self) -> impl Iterator<Item = (Date, u64)> {
        self.0.iter().map(|(day, calls)| (*day, *calls))
    }

    /// Adds the calls of a leg, less what was `counted` of it before.
    fn with_leg(mut self, leg: &Counted, counted: &Counted) -> Self {
        if let Some(calls) = counted.day.and_then(|day| self.0.get_mut(&day)) {
            *calls = calls.saturating_sub(counted.usage.calls);
        }
        if let Some(day) = leg.day {
            *self.0.entry(day).or_default() += leg.usage.calls;
        }
        self.0.retain(|_, calls| *calls > 0);
        while self.0.len() > Self::KEPT {
            self.0.pop_first();
        }
        self
    }
}

impl FromIterator<(Date, u64)> for CallsByDay {
    fn from_iter<T: IntoIterator<Item = (Date, u64)>>(days: T) -> Self {
        Self(days.into_iter().collect())
    }
}

/// The part of a leg that is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// The usage of the leg.
    pub usage: Usage,
    /// The day of its call, if calls are counted by day.
    pub day: Option<Date>,
}

/// The count of all calls of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// The sums.
    pub sum: Usage,
    /// The calls by day, if there is a limit for a day.
    pub by_day: CallsByDay,
    /// The rates of the last legs, if there is a limit for the price.
    pub rates: Rates,
}

/// The rest of the limits of a conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// Calls of this day (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_today: Option<u64>,
    /// Seconds for which both talk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// Price of all legs, in EUR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spend: Option<Decimal>,
}

impl Tally {
    /// Adds what a leg uses, less what was `counted` of it before.
    #[must_use]
    pub fn with_leg(self, leg: &Counted, counted: &Counted) -> Self {
        Self {
            sum: self.sum.with_leg(&leg.usage, &counted.usage),
            by_day: self.by_day.with_leg(leg, counted),
            rates: self.rates,
        }
    }
}

/// The calls, seconds and money that calls have used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Calls that were passed on to the other phone, answered or not.
    pub calls: u64,
    /// Seconds for which both talked.
    pub seconds: u64,
    /// Price of all legs, in EUR.
    pub spend: Decimal,
}

impl Usage {
    /// Returns what one leg uses, as far as it is known. A call is counted with the callee's leg, because a call that is
    /// refused has none, and its duration is that leg's. Of a call that tries several phones the first attempt counts.
    pub fn of_leg(direction: Direction, facts: &LegFacts) -> Self {
        let spend = facts.price.unwrap_or_default();
        match direction {
            Direction::Inbound => Self { spend, ..Self::default() },
            Direction::Outbound => {
                let calls = u64::from(facts.attempt.is_none_or(|attempt| attempt == 1));
                Self { calls, seconds: facts.duration.unwrap_or_default().into(), spend }
            }
        }
    }

    /// Adds what a leg uses, less what was `counted` of it before.
    #[must_use]
    pub fn with_leg(self, leg: &Self, counted: &Self) -> Self {
        Self {
            calls: (self.calls + leg.calls).saturating_sub(counted.calls),
            seconds: (self.seconds + leg.seconds).saturating_sub(counted.seconds),
            spend: self.spend + leg.spend - counted.spend,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn limits(json: serde_json::Value) -> Result<UsageLimits, String> {
        serde_json::from_value(json).map_err(|error| error.to_string())
    }

    #[test]
    fn limit_is_reached_at_its_value() {
        let usage = |calls, seconds, spend: &str| Usage { calls, seconds, spend: spend.parse().unwrap() };
        for (limit, below, at) in [
            (json!({"max_calls": 2}), usage(1, 9999, "99"), usage(2, 0, "0")),
            (json!({"max_minutes": 2}), usage(99, 119, "99"), usage(0, 120, "0")),
            (json!({"max_spend": "2.50"}), usage(99, 9999, "2.4999"), usage(0, 0, "2.5")),
        ] {
            let limits = limits(limit).unwrap();
            assert_eq!((limits.are_reached(&below), limits.are_reached(&at)), (false, true), "{limits:?}");
        }
        assert!(!UsageLimits::default().are_reached(&usage(u64::MAX, u64::MAX, "1000000")));
    }

    #[test]
    fn call_lasts_no_longer_than_what_is_left() {
        let limits = |json| limits(json).unwrap();
        let used = |seconds, spend: &str| Usage { calls: 1, seconds, spend: spend.parse().unwrap() };
        let tally = |sum, rates| Tally { sum, rates, ..Tally::default() };
        let rate = |rate: &str| Some(rate.parse().unwrap());
        let known = Rates::default()
            .with_leg((Direction::Inbound, Side::A), rate("0.01"))
            .with_leg((Direction::Outbound, Side::B), rate("0.05"));
        let by_minutes = limits(json!({"max_minutes": 3}));
        for (seconds, left) in [(0, Some(180)), (61, Some(119)), (179, Some(1)), (999, Some(1))] {
            assert_eq!(by_minutes.seconds_left(&tally(used(seconds, "9"), known), Side::A), left);
        }
        let by_price = limits(json!({"max_spend": "0.2"}));
        assert_eq!(by_price.seconds_left(&tally(used(0, "0.14"), known), Side::A), Some(60));
        assert_eq!(by_price.seconds_left(&tally(used(0, "0.14"), known), Side::B), None, "its rates are not known");
        let both = limits(json!({"max_minutes": 3, "max_spend": "0.2"}));
        assert_eq!(both.seconds_left(&tally(used(150, "0.14"), known), Side::A), Some(30));
        assert_eq!(limits(json!({"max_calls": 1})).seconds_left(&tally(used(0, "0"), known), Side::A), None);
        let left =
            limits(json!({"max_calls": 3, "max_spend": 1})).left(&tally(used(9, "2"), known), Timestamp::UNIX_EPOCH);
        assert_eq!(serde_json::to_value(left).unwrap(), json!({"calls": 2, "spend": "0"}));
    }

    #[test]
    fn calls_of_a_day_are_used_up_until_the_next_one_begins() {
        let limits = limits(json!({"max_calls_per_day": 2})).unwrap();
        let noon: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        let leg = |time: Timestamp| Counted { usage: Usage { calls: 1, ..Usage::default() }, day: Some(day(time)) };
        let none = Counted::default();
        let one = Tally::default().with_leg(&leg(noon), &none);
        let two = one.clone().with_leg(&leg(noon), &none);
        assert_eq!(limits.paused_until(&one.by_day, noon), None);
        let midnight: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
        let last = midnight - SignedDuration::from_millis(1);
        assert_eq!([noon, last].map(|now| limits.paused_until(&two.by_day, now)), [Some(midnight); 2]);
        assert_eq!(limits.paused_until(&two.by_day, midnight), None);
        assert!(!limits.are_reached(&two.sum), "it is no limit of all calls");
        // A call turns out to be of the day before.
        let moved = two.with_leg(&leg(noon - SignedDuration::from_hours(24)), &leg(noon));
        assert_eq!((moved.by_day.on(day(noon)), moved.sum.calls), (1, 2));
        let days = (0..9).map(|nth| noon + SignedDuration::from_hours(24 * nth));
        let many = days.fold(Tally::default(), |tally, time| tally.with_leg(&leg(time), &none));
        assert_eq!((many.sum.calls, many.by_day.iter().count()), (9, 3));
    }

    #[test]
    fn limits_are_sensible_numbers() {
        for refused in [
            json!({"max_calls": 0}),
            json!({"max_calls_per_day": 0}),
            json!({"max_calls": 1_000_001}),
            json!({"max_minutes": -1}),
            json!({"max_minutes": "5"}),
            json!({"max_spend": 0}),
            json!({"max_spend": "-1"}),
            json!({"max_spend": "1000000.01"}),
            json!({"max_spend": "five"}),
        ] {
            assert!(limits(refused.clone()).is_err(), "{refused}");
        }
        let taken = limits(json!({"max_calls": 1, "max_minutes": 1_000_000, "max_spend": 2.5})).unwrap();
        assert_eq!(
            serde_json::to_value(taken).unwrap(),
            json!({"max_calls": 1, "max_minutes": 1_000_000, "max_spend": "2.5"})
        );
        assert_eq!(limits(json!({})), Ok(UsageLimits::default()));
    }

    #[test]
    fn only_the_callees_leg_counts_a_call() {
        let facts = LegFacts { duration: Some(42), price: "0.02".parse().ok(), ..LegFacts::default() };
        let [inbound, outbound] = [Direction::Inbound, Direction::Outbound].map(|leg| Usage::of_leg(leg, &facts));
        assert_eq!((inbound.calls, inbound.seconds, outbound.calls, outbound.seconds), (0, 0, 1, 42));
        let started = Usage::of_leg(Direction::Outbound, &LegFacts::default());
        let usage = Usage::default().with_leg(&started, &Usage::default()).with_leg(&outbound, &started);
        assert_eq!(usage, outbound);
        assert_eq!(usage.with_leg(&outbound, &outbound), outbound);
    }
}
