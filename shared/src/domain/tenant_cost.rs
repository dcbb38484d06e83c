//! Cost of the calls and texts of a tenant, month by month.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::domain::call::{Direction, LegFacts};

/// A month (UTC). Written as `2026-12`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Month(Date);

/// The text is not a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a month, such as 2026-12")]
pub struct NotAMonth;

impl Month {
    /// Returns the month of a time.
    pub fn of(time: Timestamp) -> Self {
        Self(TimeZone::UTC.to_datetime(time).date().first_of_month())
    }

    /// Returns the month before.
    #[must_use]
    pub fn previous(self) -> Self {
        Self(self.0.saturating_sub(1.month()).first_of_month())
    }
}

impl TryFrom<&str> for Month {
    type Error = NotAMonth;

    fn try_from(written: &str) -> Result<Self, NotAMonth> {
        // The day completes it to a date, and whatever else is read as one does not have this length.
        let month = format!("{written}-01").parse().map(Self).map_err(|_| NotAMonth)?;
        if month.to_string() == written { Ok(month) } else { Err(NotAMonth) }
    }
}

impl TryFrom<String> for Month {
    type Error = NotAMonth;

    fn try_from(written: String) -> Result<Self, NotAMonth> {
        Self::try_from(written.as_str())
    }
}

impl From<Month> for String {
    fn from(month: Month) -> Self {
        month.to_string()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.year(), self.0.month())
    }
}

impl fmt::Debug for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The cost of calls and texts together, as the carrier has told it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Spent {
    /// Number of calls.
    pub calls: i64,
    /// Seconds for which called phones were on the line.
    pub seconds: i64,
    /// Price of all legs, in EUR.
    pub call_cost: Decimal,
    /// Number of texts.
    pub texts: i64,
    /// Price of all their parts, in EUR.
    pub text_cost: Decimal,
}

impl Spent {
    /// Returns what one leg has cost, once that is known. A call is counted with the caller's leg, which it has once, however many
    /// phones are tried, and the seconds with those of the called phones.
    pub fn on_leg(direction: Direction, facts: &LegFacts) -> Option<Self> {
        let call_cost = facts.price?;
        let is_callers = direction == Direction::Inbound || facts.placed;
        let seconds = if is_callers { 0 } else { facts.duration.unwrap_or_default().into() };
        Some(Self { calls: is_callers.into(), seconds, call_cost, ..Self::default() })
    }

    /// Returns what parts of a text have cost together. Only the first ones count the text.
    pub fn on_text(prices: impl IntoIterator<Item = Decimal>, is_first: bool) -> Self {
        Self { texts: is_first.into(), text_cost: prices.into_iter().sum(), ..Self::default() }
    }

    /// Adds other sums.
    pub fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.seconds += other.seconds;
        self.call_cost += other.call_cost;
        self.texts += other.texts;
        self.text_cost += other.text_cost;
    }

    /// Returns what takes these sums back.
    #[must_use]
    pub fn taken_back(self) -> Self {
        Self {
            calls: -self.calls,
            seconds: -self.seconds,
            call_cost: -self.call_cost,
            texts: -self.texts,
            text_cost: -self.text_cost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn month(written: &str) -> Result<Month, NotAMonth> {
        Month::try_from(written)
    }

    #[test]
    fn month_is_that_of_the_time_in_utc() {
        for (time, written, before) in [
            ("2026-12-01T00:00:00Z", "2026-12", "2026-11"),
            ("2026-12-31T23:59:59.999Z", "2026-12", "2026-11"),
            ("2027-01-01T00:59:59+01:00", "2026-12", "2026-11"),
            ("2027-01-31T12:00:00Z", "2027-01", "2026-12"),
            ("2028-03-31T12:00:00Z", "2028-03", "2028-02"),
        ] {
            let month = Month::of(time.parse().unwrap());
            assert_eq!((month.to_string(), month.previous().to_string()), (written.to_owned(), before.to_owned()));
            assert_eq!(Month::try_from(written), Ok(month));
        }
    }

    #[test]
    fn nothing_but_a_month_is_read_as_one() {
        for wrong in
            ["", "2026", "2026-13", "2026-00", "2026-1", "26-12", "2026-12-01", "2026-12 ", "+2026-12", "2026/12"]
        {
            assert_eq!(month(wrong), Err(NotAMonth), "{wrong}");
        }
        assert!(month("2026-02").unwrap() < month("2026-11").unwrap());
    }

    #[test]
    fn call_is_counted_once_whatever_phones_it_tries() {
        let facts = |price: &str, attempt| LegFacts {
            price: price.parse().ok(),
            duration: Some(30),
            attempt,
            ..LegFacts::default()
        };
        let mut sum = Spent::default();
        let legs = [
            (Direction::Inbound, facts("0.01", None)),
            (Direction::Outbound, facts("0.02", Some(1))),
            (Direction::Outbound, facts("0.04", Some(2))),
        ];
        for (direction, facts) in &legs {
            sum.add(Spent::on_leg(*direction, facts).unwrap());
        }
        let call_cost = "0.07".parse().unwrap();
        assert_eq!(sum, Spent { calls: 1, seconds: 60, call_cost, ..Spent::default() });
        // Of a call that a request placed, the first leg is the caller's.
        let placed = LegFacts { placed: true, ..facts("0.03", None) };
        let placed = Spent::on_leg(Direction::Outbound, &placed).unwrap();
        assert_eq!((placed.calls, placed.seconds), (1, 0));
        assert_eq!(Spent::on_leg(Direction::Inbound, &LegFacts::default()), None);
        sum.add(sum.taken_back());
        assert_eq!(sum, Spent::default());
    }

    #[test]
    fn text_is_counted_with_its_first_parts() {
        let prices = ["0.03", "0.04"].map(|price| price.parse().unwrap());
        let mut sum = Spent::on_text(prices, true);
        sum.add(Spent::on_text(prices, false));
        assert_eq!(sum, Spent { texts: 1, text_cost: "0.14".parse().unwrap(), ..Spent::default() });
    }
}
