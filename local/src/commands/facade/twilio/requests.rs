//! The parameters of requests. One that is not known, or asks for what is not here, is refused by name.

use jiff::Timestamp;
use serde_json::Value;

use super::super::{SHORTEST, longest, phone};
use super::records::Person;
use super::refusal::Refusal;

/// The most characters of a name of a person or a Session at Twilio.
const MOST_NAME: usize = 255;
const MOST_UNIQUE_NAME: usize = 191;

/// The pairs of a form.
pub(super) type Form = Vec<(String, String)>;

/// A Session to create.
pub(super) struct NewSession {
    pub(super) unique_name: Option<String>,
    pub(super) end: End,
    pub(super) people: Vec<Person>,
}

/// The end of a Session, as far as a request says anything about it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct End {
    pub(super) date_expiry: Option<Timestamp>,
    /// 0 is no end.
    pub(super) ttl: Option<u32>,
}

/// A change of a Session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Close,
    End(End),
    /// It is asked to be what it is.
    Nothing,
}

impl End {
    fn read(&mut self, name: &str, value: &str, now: Timestamp) -> Result<(), Refusal> {
        match name {
            "DateExpiry" => {
                let time: Timestamp = value
                    .parse()
                    .map_err(|_| Refusal::parameter(name, "It is no ISO 8601 date with a time and a zone"))?;
                let left = time.as_second() - now.as_second();
                if !(SHORTEST..=longest()).contains(&left) {
                    return Err(Refusal::parameter(name, "A conversation here lasts from a minute to 170 days"));
                }
                self.date_expiry = Some(time);
            }
            _ => {
                let seconds: u32 = value.parse().map_err(|_| Refusal::parameter(name, "It is no number of seconds"))?;
                if seconds != 0 && !(SHORTEST..=longest()).contains(&i64::from(seconds)) {
                    return Err(Refusal::parameter(
                        name,
                        "A conversation here lasts from a minute to 170 days; 0 is 170 days",
                    ));
                }
                self.ttl = Some(seconds);
            }
        }
        Ok(())
    }

    /// Returns the seconds from `now` until the end, and those by which it slides. A date has priority.
    ///
    /// # Errors
    /// The end is over, or less than a minute away.
    pub(super) fn lifetime(self, now: Timestamp) -> Result<(i64, Option<u32>), Refusal> {
        let (seconds, slides) = match (self.date_expiry, self.ttl) {
            (Some(date), _) => (date.as_second() - now.as_second(), None),
            (None, Some(ttl)) if ttl > 0 => (i64::from(ttl), Some(ttl)),
            _ => (longest(), None),
        };
        if seconds < SHORTEST {
            return Err(Refusal::parameter("DateExpiry", "The Session is over, or ends in less than a minute"));
        }
        Ok((seconds, slides))
    }
}

impl NewSession {
    /// Reads the form of a creation at `now`.
    pub(super) fn read(form: &Form, now: Timestamp) -> Result<Self, Refusal> {
        let mut session = Self { unique_name: None, end: End::default(), people: Vec::new() };
        for (name, value) in form {
            match name.as_str() {
                "UniqueName" => session.unique_name = Some(named(name, value, MOST_UNIQUE_NAME)?),
                "DateExpiry" | "Ttl" => session.end.read(name, value, now)?,
                "Participants" => session.people.push(participant_in_json(value)?),
                "Mode" => mode(value)?,
                "Status" if value == "open" || value == "in-progress" => {}
                "Status" => return Err(Refusal::status("a new Session is open")),
                "FailOnParticipantConflict" => {}
                _ => return Err(unknown(name)),
            }
        }
        if session.people.len() > 2 {
            return Err(Refusal::too_many_participants());
        }
        if let Some(name) = session.unique_name.as_deref().filter(|name| super::is_sid(name, "KC")) {
            return Err(Refusal::parameter("UniqueName", format!("{name} would be taken for the Sid of a Session")));
        }
        Ok(session)
    }
}

impl Change {
    /// Reads the form of an update at `now`.
    pub(super) fn read(form: &Form, now: Timestamp) -> Result<Self, Refusal> {
        let (mut closes, mut end) = (false, End::default());
        for (name, value) in form {
            match (name.as_str(), value.as_str()) {
                ("Status", "closed") => closes = true,
                ("Status", "in-progress") => {}
                ("Status", _) => return Err(Refusal::status("it can become closed")),
                ("DateExpiry" | "Ttl", value) => end.read(name, value, now)?,
                ("Mode", value) => mode(value)?,
                ("FailOnParticipantConflict", _) => {}
                ("Participants", _) => {
                    return Err(Refusal::parameter(name, "Add Participants by requests of their own"));
                }
                _ => return Err(unknown(name)),
            }
        }
        match (closes, end == End::default()) {
            (true, true) => Ok(Self::Close),
            (true, false) => Err(Refusal::status("a Session that is closed gets no other end")),
            (false, false) => Ok(Self::End(end)),
            (false, true) => Ok(Self::Nothing),
        }
    }
}

/// Reads the form of a Participant.
pub(super) fn participant(form: &Form) -> Result<Person, Refusal> {
    let (mut identifier, mut friendly_name) = (None, None);
    for (name, value) in form {
        match name.as_str() {
            "Identifier" => identifier = Some(read_identifier(value)?),
            "FriendlyName" => friendly_name = Some(named(name, value, MOST_NAME)?),
            "FailOnParticipantConflict" | "ReturnErrorOnDuplicateRequest" => {}
            "ProxyIdentifier" | "ProxyIdentifierSid" => {
                return Err(Refusal::parameter(name, "Maskline chooses the numbers of a Session itself"));
            }
            _ => return Err(unknown(name)),
        }
    }
    let identifier = identifier.ok_or_else(|| Refusal::parameter("Identifier", "It is required"))?;
    Ok(Person { identifier, friendly_name })
}

/// Reads a Participant within the form of a Session: an object in JSON, whose members clients write as it comes.
fn participant_in_json(text: &str) -> Result<Person, Refusal> {
    let wrong = || Refusal::parameter("Participants", "Give a JSON object with an Identifier for each Participant");
    let object: Value = serde_json::from_str(text).map_err(|_| wrong())?;
    let members = object.as_object().ok_or_else(wrong)?;
    let pairs = members.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| {
        let plain = name.replace('_', "").to_ascii_lowercase();
        let known =
            ["Identifier", "FriendlyName", "ProxyIdentifier", "ProxyIdentifierSid", "FailOnParticipantConflict"];
        let known = known.into_iter().find(|known| known.to_ascii_lowercase() == plain);
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (known.map_or_else(|| name.clone(), str::to_owned), value)
    });
    participant(&pairs.collect())
}

/// Reads the form of a MessageInteraction, and returns its words.
pub(super) fn message(form: &Form) -> Result<String, Refusal> {
    let mut body = None;
    for (name, value) in form {
        match name.as_str() {
            "Body" => body = Some(value.clone()),
            "MediaUrl" => return Err(Refusal::parameter(name, "Maskline's façade sends words only")),
            _ => return Err(unknown(name)),
        }
    }
    body.ok_or_else(|| Refusal::parameter("Body", "It is required"))
}

fn read_identifier(value: &str) -> Result<String, Refusal> {
    let number = phone(value).map_err(Refusal::identifier)?;
    Ok(format!("+{}", number.expose()))
}

/// A conversation takes calls and texts, so nothing less can be asked for.
fn mode(value: &str) -> Result<(), Refusal> {
    if value == "voice-and-message" {
        return Ok(());
    }
    Err(Refusal::parameter("Mode", "A conversation here always takes calls and texts: voice-and-message"))
}

fn named(name: &str, value: &str, most: usize) -> Result<String, Refusal> {
    if value.is_empty() || value.chars().count() > most {
        return Err(Refusal::parameter(name, format!("It has 1 to {most} characters")));
    }
    Ok(value.to_owned())
}

fn unknown(name: &str) -> Refusal {
    // A name of a client may be anything, so nothing of it that could be a phone is shown.
    let name: String = name.chars().filter(char::is_ascii_alphabetic).take(40).collect();
    Refusal::parameter(&name, "Maskline's façade does not know this parameter")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-12-01T12:00:00Z";

    fn form(pairs: &[(&str, &str)]) -> Form {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn told<T>(result: Result<T, Refusal>) -> String {
        format!("{:?}", result.err().unwrap())
    }

    #[test]
    fn parameter_without_a_counterpart_is_refused_by_name() {
        let now = NOW.parse().unwrap();
        for (name, value) in [
            ("Mode", "voice-only"),
            ("Mode", "message-only"),
            ("DateExpiry", "soon"),
            ("DateExpiry", "2026-12-01T12:00:59Z"),
            ("DateExpiry", "2027-12-01T12:00:00Z"),
            ("Ttl", "59"),
            ("Ttl", "-1"),
            ("UniqueName", ""),
            ("UniqueName", "KC0123456789abcdef0123456789abcdef"),
            ("Participants", "+447700900001"),
            ("CallbackUrl", "https://company.example"),
        ] {
            let told = told(NewSession::read(&form(&[(name, value)]), now));
            assert!(told.contains(name) && !told.contains("7700"), "{told}");
        }
        for (name, value) in [("ProxyIdentifier", "+447700900001"), ("ProxyIdentifierSid", "PN01"), ("Sid", "KP01")] {
            let told = told(participant(&form(&[("Identifier", "+447700900001"), (name, value)])));
            assert!(told.contains(name) && !told.contains("7700"), "{told}");
        }
        assert!(
            told(message(&form(&[("Body", "Hello"), ("MediaUrl", "https://a.example/b.jpg")]))).contains("MediaUrl")
        );
        assert!(told(participant(&form(&[]))).contains("Identifier"));
    }

    #[test]
    fn participants_in_json_are_read_in_every_spelling_of_clients() {
        let now = NOW.parse().unwrap();
        let form = form(&[
            ("UniqueName", "ride-1"),
            ("Participants", r#"{"Identifier": "+44 7700 900001", "FriendlyName": "Rider"}"#),
            ("Participants", r#"{"identifier": "+447700900002", "friendly_name": null}"#),
        ]);
        let session = NewSession::read(&form, now).unwrap();
        let people: Vec<_> =
            session.people.iter().map(|one| (one.identifier.as_str(), one.friendly_name.as_deref())).collect();
        assert_eq!(people, [("+447700900001", Some("Rider")), ("+447700900002", None)]);
        assert!(told(NewSession::read(&[form.clone(), form].concat(), now)).contains("at most 2"));
    }

    #[test]
    fn date_has_priority_over_the_seconds_after_the_last_use() {
        let now: Timestamp = NOW.parse().unwrap();
        let in_an_hour = now.checked_add(jiff::SignedDuration::from_hours(1)).ok();
        for (date_expiry, ttl, expected) in [
            (in_an_hour, Some(60), (3600, None)),
            (None, Some(60), (60, Some(60))),
            (None, Some(0), (14_688_000, None)),
            (None, None, (14_688_000, None)),
        ] {
            assert_eq!(End { date_expiry, ttl }.lifetime(now).unwrap(), expected);
        }
        assert!(End { date_expiry: Some(now), ttl: None }.lifetime(now).is_err());
    }

    #[test]
    fn update_closes_or_changes_the_end_and_never_both() {
        let now = NOW.parse().unwrap();
        let read = |pairs: &[(&str, &str)]| Change::read(&form(pairs), now);
        assert_eq!(read(&[("Status", "closed")]).unwrap(), Change::Close);
        assert_eq!(read(&[("Ttl", "60")]).unwrap(), Change::End(End { date_expiry: None, ttl: Some(60) }));
        assert_eq!(read(&[("Status", "in-progress")]).unwrap(), Change::Nothing);
        for wrong in [&[("Status", "open")][..], &[("Status", "closed"), ("Ttl", "60")], &[("Participants", "{}")]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
