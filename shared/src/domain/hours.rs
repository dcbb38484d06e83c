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

/// The hours of a phone. Serialized as in the API and the table.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenHours", into = "WrittenHours")]
pub struct Hours {
    days: Vec<Day>,
    from: Minute,
    to: Minute,
    zone: TimeZone,
    /// The name of the time zone, as it was written.
    zone_name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenHours {
    days: Vec<Day>,
    from: Minute,
    to: Minute,
    zone: String,
}

impl TryFrom<WrittenHours> for Hours {
    type Error = NotHours;

    fn try_from(written: WrittenHours) -> Result<Self, NotHours> {
        let WrittenHours { days, from, to, zone: zone_name } = written;
        let days: Vec<_> = Day::ALL.into_iter().filter(|day| days.contains(day)).collect();
        if days.is_empty() {
            return Err(NotHours::Days);
        }
        let zone = TimeZone::get(&zone_name).map_err(|_| NotHours::Zone)?;
        Ok(Self { days, from, to, zone, zone_name })
    }
}

impl From<Hours> for WrittenHours {
    fn from(hours: Hours) -> Self {
        Self { days: hours.days, from: hours.from, to: hours.to, zone: hours.zone_name }
    }
}

impl fmt::Debug for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}-{:?} {}", self.days, self.from, self.to, self.zone_name)
    }
}

impl Hours {
    /// True if the phone may be called at `now`. Hours whose end is not after their beginning go over midnight, and belong to the
    /// day on which they begin.
    pub fn include(&self, now: Timestamp) -> bool {
        let local = self.zone.to_datetime(now);
        let (today, time) = (Day::of(local.weekday()), Minute::of(local.time()));
        let yesterday = Day::of(local.weekday().previous());
        let is_on = |day: Day| self.days.contains(&day);
        match self.from < self.to {
            true => is_on(today) && self.from <= time && time < self.to,
            false => is_on(today) && self.from <= time || is_on(yesterday) && time < self.to,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hours(days: &[&str], from: &str, to: &str, zone: &str) -> Result<Hours, String> {
        let written = json!({"days": days, "from": from, "to": to, "zone": zone});
        serde_json::from_value(written).map_err(|error| error.to_string())
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
    fn hours_are_stored_as_they_are_written() {
        let written = json!({"days": ["mon", "sat"], "from": "08:05", "to": "24:00", "zone": "America/New_York"});
        let read: Hours = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), written);
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
