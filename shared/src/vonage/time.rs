//! Times as they arrive in Vonage's webhooks.
//!
//! Source: Vonage Voice API, webhook reference. It documents `2026-11-22T12:00:06.123Z`. All times of Vonage without a zone,
//! such as those of its REST API, are in UTC.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::amount;

/// Seconds since 1970 with ten digits, and so the years 2001 to 2286. A time outside is a placeholder, such as 0.
const EPOCH_SECONDS: std::ops::Range<i64> = 1_000_000_000..10_000_000_000;

/// Reads a time: ISO 8601 with or without a zone, also with a blank for `T`, or seconds or milliseconds since 1970. Returns
/// `None` if the text is no time, or if its meaning is not certain.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    let time = of_epoch(text).or_else(|| of_date(text))?;
    EPOCH_SECONDS.contains(&time.as_second()).then_some(time)
}

fn of_epoch(text: &str) -> Option<Timestamp> {
    let amount = amount::of_text(text)?;
    let is_seconds = EPOCH_SECONDS.contains(&amount.trunc().to_i64()?);
    let milliseconds = if is_seconds { amount * Decimal::ONE_THOUSAND } else { amount };
    Timestamp::from_millisecond(milliseconds.trunc().to_i64()?).ok()
}

fn of_date(text: &str) -> Option<Timestamp> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let joined = match words[..] {
        [whole] => whole.to_owned(),
        [date, time] => format!("{date}T{time}"),
        [date, time, "UTC" | "GMT" | "Z"] => format!("{date}T{time}Z"),
        [date, time, zone] if zone.starts_with(['+', '-']) => format!("{date}T{time}{zone}"),
        _ => return None,
    };
    joined.parse().ok().or_else(|| without_zone(&joined))
}

/// Reads a date with a time of day in UTC.
fn without_zone(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_once(['T', 't'])?;
    let consists_of = |text: &str, marks: &[char]| {
        text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(|c| c.is_ascii_digit() || marks.contains(&c))
    };
    if !consists_of(date, &['-']) || !consists_of(time, &[':', '.', ',']) {
        return None;
    }
    Some(text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_read_in_every_certain_form() {
        let expected = Timestamp::from_millisecond(1_795_348_806_123).ok();
        for text in [
            "2026-11-22T12:00:06.123Z",
            "2026-11-22T12:00:06.123",
            "2026-11-22 12:00:06.123Z",
            "2026-11-22 12:00:06.123",
            " 2026-11-22  12:00:06.123 ",
            "2026-11-22 12:00:06.123 UTC",
            "2026-11-22 12:00:06.123 +0000",
            "2026-11-22T13:00:06.123+01:00",
            "2026-11-22 06:30:06.123 -0530",
            "1795348806.123",
            "1795348806123",
            "1.795348806123e12",
        ] {
            assert_eq!(time(text), expected, "{text}");
        }
        assert_eq!(time("1795348806"), Timestamp::from_second(1_795_348_806).ok());
    }

    #[test]
    fn time_of_uncertain_meaning_is_unknown() {
        for text in [
            "",
            "0",
            "now",
            "2026",
            "20261122",
            "2026-11-22",
            "12:00:06",
            "1970-01-01T00:00:00Z",
            "0001-01-01T00:00:00",
            "2026-11-22T12:00:06[Europe/London]",
            "2026-11-22 12:00:06 CET",
            "22/11/2026 12:00:06",
            "2026-13-22T12:00:06Z",
            "1795348806123456",
            "179534880612",
            "-1795348806",
            "99999999999999999999999999999999999",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
    }
}
