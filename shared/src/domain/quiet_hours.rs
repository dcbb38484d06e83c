//! Quiet hours: a time of day at which a person wants no text of the backend, in the person's time zone.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::domain::hours::{Hours, NotHours};

/// Quiet hours of a request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// Their beginning, such as `22:00`.
    pub from: String,
    /// Their end, such as `07:00`. It is on the next day if it is not after the beginning.
    pub to: String,
    /// A time zone of the IANA database. That of the person's hours, if there is none.
    #[serde(default)]
    pub zone: Option<String>,
}

/// The quiet hours cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotQuietHours {
    /// They are not valid.
    #[error(transparent)]
    Hours(#[from] NotHours),
    /// There is no time zone.
    #[error("zone is required, because the participant has no hours with a time zone")]
    NoZone,
    /// They last for the whole day.
    #[error("from and to must differ")]
    WholeDay,
}

impl QuietHours {
    /// Returns their end, if `now` is in them. `theirs` are the hours of the person's phone.
    pub fn end(&self, theirs: Option<&Hours>, now: Timestamp) -> Result<Option<Timestamp>, NotQuietHours> {
        const MINUTE: i64 = 60;
        const MINUTES: i64 = 25 * 60;
        let hours = match (&self.zone, theirs) {
            (Some(zone), _) => Hours::daily(&self.from, &self.to, zone)?,
            (None, Some(theirs)) => theirs.at_times(&self.from, &self.to)?,
            (None, None) => return Err(NotQuietHours::NoZone),
        };
        let is_whole_day = self.from == self.to || (self.from == "00:00" && self.to == "24:00");
        if is_whole_day {
            return Err(NotQuietHours::WholeDay);
        }
        if !hours.include(now) {
            return Ok(None);
        }
        // Minute by minute, because a change to summer time may be in between. The end is within a day and that hour.
        let this_minute = now.as_second().div_euclid(MINUTE) * MINUTE;
        let minutes = (1..=MINUTES).filter_map(|nth| Timestamp::from_second(this_minute + nth * MINUTE).ok());
        let end = minutes.into_iter().find(|minute| !hours.include(*minute));
        Ok(Some(end.unwrap_or(now + SignedDuration::from_hours(24))))
    }
}

/// The quiet hours of a deployment, such as `22:00-07:00 Europe/London`.
///
/// They are in the time zone of the hours of a person's phone, or else in their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsualQuietHours(QuietHours);

impl UsualQuietHours {
    /// Returns their end, if `now` is in them. `theirs` are the hours of the person's phone.
    pub fn end(&self, theirs: Option<&Hours>, now: Timestamp) -> Option<Timestamp> {
        let of_them = QuietHours { zone: self.0.zone.clone().filter(|_| theirs.is_none()), ..self.0.clone() };
        // Only their own zone can be wrong, and it was tried when they were read.
        of_them.end(theirs, now).ok().flatten()
    }
}

impl TryFrom<&str> for UsualQuietHours {
    type Error = NotQuietHours;

    fn try_from(text: &str) -> Result<Self, NotQuietHours> {
        let (times, zone) = text.split_once(' ').ok_or(NotQuietHours::NoZone)?;
        let (from, to) = times.split_once('-').ok_or(NotHours::Time)?;
        let hours = QuietHours { from: from.to_owned(), to: to.to_owned(), zone: Some(zone.to_owned()) };
        hours.end(None, Timestamp::UNIX_EPOCH)?;
        Ok(Self(hours))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hours::NewHours;

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    fn quiet(from: &str, to: &str, zone: Option<&str>) -> QuietHours {
        QuietHours { from: from.to_owned(), to: to.to_owned(), zone: zone.map(str::to_owned) }
    }

    #[test]
    fn quiet_hours_end_in_the_zone_of_the_person() {
        let night = quiet("22:00", "07:00", Some("Europe/Berlin"));
        for (now, end) in [
            ("2026-11-30T20:59:59Z", None),
            ("2026-11-30T21:00:00Z", Some("2026-12-01T06:00:00Z")),
            ("2026-12-01T05:59:30Z", Some("2026-12-01T06:00:00Z")),
            ("2026-12-01T06:00:00Z", None),
            // Summer time begins in this night.
            ("2026-03-28T22:00:00Z", Some("2026-03-29T05:00:00Z")),
        ] {
            assert_eq!(night.end(None, at(now)), Ok(end.map(at)), "{now}");
        }
    }

    #[test]
    fn midnight_begins_and_ends_quiet_hours() {
        for (from, to, now, end) in [
            ("00:00", "06:00", "2026-11-30T00:00:00Z", Some("2026-11-30T06:00:00Z")),
            ("00:00", "06:00", "2026-11-29T23:59:59Z", None),
            ("24:00", "06:00", "2026-11-30T00:00:00Z", Some("2026-11-30T06:00:00Z")),
            ("24:00", "06:00", "2026-11-29T23:59:59Z", None),
            ("22:00", "24:00", "2026-11-30T23:59:59Z", Some("2026-12-01T00:00:00Z")),
            ("22:00", "00:00", "2026-11-30T23:59:59Z", Some("2026-12-01T00:00:00Z")),
            ("22:00", "00:00", "2026-12-01T00:00:00Z", None),
            ("00:01", "00:00", "2026-11-30T00:00:30Z", None),
            ("00:01", "00:00", "2026-11-30T00:01:00Z", Some("2026-12-01T00:00:00Z")),
        ] {
            assert_eq!(quiet(from, to, Some("UTC")).end(None, at(now)), Ok(end.map(at)), "{from}-{to} at {now}");
        }
    }

    #[test]
    fn change_of_the_clock_moves_the_end() {
        for (zone, from, to, now, end) in [
            // In autumn the night is an hour longer: 3 in the morning is 2 again.
            ("Europe/Berlin", "22:00", "07:00", "2026-10-24T20:00:00Z", Some("2026-10-25T06:00:00Z")),
            // Half past two comes twice, and each time is quiet.
            ("Europe/Berlin", "02:15", "02:45", "2026-10-25T00:20:00Z", Some("2026-10-25T00:45:00Z")),
            ("Europe/Berlin", "02:15", "02:45", "2026-10-25T01:00:00Z", None),
            ("Europe/Berlin", "02:15", "02:45", "2026-10-25T01:20:00Z", Some("2026-10-25T01:45:00Z")),
            // In spring it does not come at all.
            ("Europe/Berlin", "02:15", "02:45", "2026-03-29T00:59:59Z", None),
            ("Europe/Berlin", "02:15", "02:45", "2026-03-29T01:00:00Z", None),
            ("Europe/Berlin", "01:30", "02:30", "2026-03-29T00:40:00Z", Some("2026-03-29T01:00:00Z")),
            // Half an hour of summer time, which begins on the first Sunday of October.
            ("Australia/Lord_Howe", "22:00", "07:00", "2026-10-03T12:00:00Z", Some("2026-10-03T20:00:00Z")),
            // The longest hours that there are, in the night of 25 hours.
            ("Europe/Berlin", "03:00", "02:59", "2026-10-24T01:00:00Z", Some("2026-10-25T00:59:00Z")),
        ] {
            assert_eq!(quiet(from, to, Some(zone)).end(None, at(now)), Ok(end.map(at)), "{zone} {from}-{to} at {now}");
        }
    }

    #[test]
    fn zone_of_the_hours_of_the_phone_is_the_default() {
        let hours = serde_json::json!({"days": ["mon"], "from": "09:00", "to": "17:00", "zone": "America/New_York"});
        let NewHours(hours) = serde_json::from_value(hours).unwrap();
        let night = quiet("22:00", "07:00", None);
        assert_eq!(night.end(Some(&hours), at("2026-11-30T06:00:00Z")), Ok(Some(at("2026-11-30T12:00:00Z"))));
        assert_eq!(night.end(None, at("2026-11-30T06:00:00Z")), Err(NotQuietHours::NoZone));
    }

    #[test]
    fn deployments_hours_are_in_the_zone_of_the_phone_or_their_own() {
        let usual = UsualQuietHours::try_from("22:00-07:00 Europe/Berlin").unwrap();
        let hours = serde_json::json!({"days": ["mon"], "from": "09:00", "to": "17:00", "zone": "America/New_York"});
        let NewHours(hours) = serde_json::from_value(hours).unwrap();
        let night_in_berlin = at("2026-11-30T22:00:00Z");
        assert_eq!(usual.end(None, night_in_berlin), Some(at("2026-12-01T06:00:00Z")));
        assert_eq!(usual.end(Some(&hours), night_in_berlin), None, "five in the afternoon there");
        assert_eq!(usual.end(Some(&hours), at("2026-12-01T06:00:00Z")), Some(at("2026-12-01T12:00:00Z")));
        for wrong in
            ["", "22:00-07:00", "22:00 Europe/Berlin", "22:00-25:00 UTC", "22:00-07:00 Mars", "07:00-07:00 UTC"]
        {
            assert!(UsualQuietHours::try_from(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn malformed_quiet_hours_are_refused() {
        let now = at("2026-11-30T06:00:00Z");
        assert_eq!(quiet("7", "08:00", Some("UTC")).end(None, now), Err(NotQuietHours::Hours(NotHours::Time)));
        assert_eq!(quiet("07:00", "08:00", Some("Mars")).end(None, now), Err(NotQuietHours::Hours(NotHours::Zone)));
        for zone in ["", "Europe/Atlantis", "Europe/London ", "GMT0BST,M3.5.0/1,M10.5.0", "+01:00"] {
            assert_eq!(
                quiet("07:00", "08:00", Some(zone)).end(None, now),
                Err(NotQuietHours::Hours(NotHours::Zone)),
                "{zone}"
            );
        }
        for (from, to) in [("07:00", "07:00"), ("00:00", "24:00"), ("24:00", "24:00")] {
            assert_eq!(quiet(from, to, Some("UTC")).end(None, now), Err(NotQuietHours::WholeDay));
        }
    }
}
