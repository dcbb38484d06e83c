//! An export of Twilio Proxy: its resources Service, PhoneNumber, Session and Participant, as its API (version 1) answers them.
//!
//! Source: Twilio, "Proxy: Session Resource", "Participant Resource", "PhoneNumber Resource".

use std::collections::BTreeMap;

use serde_json::Value;

use super::export::{End, Export, OldNumber, Person, Session};
use super::tree::{objects, text, time, whole};

/// Reads an export. A resource that is there twice, as pages can overlap, counts as it is the last time.
pub(super) fn read(export: &str) -> Result<Export, String> {
    let resources = objects(export, |value| value["sid"].is_string())?;
    let mut by_sid: Vec<(String, Value)> = Vec::new();
    let mut places = BTreeMap::new();
    for resource in resources {
        let sid = text(&resource, "sid").unwrap_or_default();
        match places.get(&sid) {
            Some(place) => by_sid[*place] = (sid, resource),
            None => {
                places.insert(sid.clone(), by_sid.len());
                by_sid.push((sid, resource));
            }
        }
    }
    let of =
        |prefix: &'static str| by_sid.iter().filter(move |(sid, _)| sid.starts_with(prefix)).map(|(_, value)| value);
    let mut people: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for person in of("KP").filter(|person| text(person, "date_deleted").is_none()) {
        people.entry(text(person, "session_sid").unwrap_or_default()).or_default().push(person);
    }
    let ttls: BTreeMap<String, u64> =
        of("KS").filter_map(|service| Some((text(service, "sid")?, whole(service, "default_ttl")?))).collect();
    let sessions: Vec<Session> = of("KC").map(|resource| session(resource, &people, &ttls)).collect();
    if sessions.is_empty() && of("PN").next().is_none() {
        return Err("it has neither a Session (KC…) nor a PhoneNumber (PN…) of Twilio Proxy".to_owned());
    }
    let numbers = of("PN").filter_map(|number| {
        Some(OldNumber { number: text(number, "phone_number")?, country: text(number, "iso_country") })
    });
    Ok(Export { services: of("KS").count(), numbers: numbers.collect(), sessions })
}

fn session(resource: &Value, people: &BTreeMap<String, Vec<&Value>>, ttls: &BTreeMap<String, u64>) -> Session {
    let id = text(resource, "sid").unwrap_or_default();
    let people = people.get(&id).map(Vec::as_slice).unwrap_or_default();
    let (end, fault) = match end(resource, ttls) {
        Ok(end) => (end, None),
        Err(reason) => (End::Usual, Some(reason)),
    };
    let status = text(resource, "status").unwrap_or_else(|| "open".to_owned());
    let mode = text(resource, "mode");
    let left_out = match (status.as_str(), mode.as_deref()) {
        ("open" | "in-progress", Some("message-only")) => {
            Some("it allows texts only (message-only), and a conversation here allows calls too".to_owned())
        }
        ("open" | "in-progress", _) => fault,
        (status, _) => Some(format!("it is {status}")),
    };
    let mut notes = Vec::new();
    if mode.as_deref() == Some("voice-only") {
        notes.push("it allows calls only; here texts are passed on too".to_owned());
    }
    Session {
        reference: text(resource, "unique_name"),
        people: people.iter().map(|person| self::person(person)).collect(),
        end,
        left_out,
        notes,
        id,
    }
}

/// Returns the person. The friendly name becomes no label: the other person would read it, and it may be a name.
fn person(resource: &Value) -> Person {
    Person {
        dials: text(resource, "proxy_identifier"),
        ..Person::new(text(resource, "identifier").unwrap_or_default())
    }
}

/// Returns the end: a time has priority over the seconds after the last use, and 0 of these are none.
fn end(resource: &Value, ttls: &BTreeMap<String, u64>) -> Result<End, String> {
    if let Some(at) = time(resource, "date_expiry")? {
        return Ok(End::At(at));
    }
    let of_service = || ttls.get(&text(resource, "service_sid")?).copied();
    let seconds = whole(resource, "ttl").or_else(of_service).unwrap_or(0);
    let last_use = match time(resource, "date_last_interaction")? {
        Some(time) => Some(time),
        None => time(resource, "date_created")?,
    };
    match (seconds, last_use) {
        (0, _) => Ok(End::Never),
        (_, None) => Err("it has a ttl, and neither date_last_interaction nor date_created".to_owned()),
        (seconds, Some(last_use)) => Ok(End::AfterUse { seconds, last_use }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn end_is_the_time_or_the_seconds_after_the_last_use() {
        let ttls = BTreeMap::from([("KS1".to_owned(), 600)]);
        let at = |text: &str| text.parse().unwrap();
        let (created, used, expiry) = ("2026-12-01T10:00:00Z", "2026-12-01T11:00:00Z", "2026-12-02T00:00:00Z");
        for (session, expected) in [
            (json!({"date_expiry": expiry, "ttl": 60, "date_created": created}), Ok(End::At(at(expiry)))),
            (json!({"ttl": 60, "date_created": created}), Ok(End::AfterUse { seconds: 60, last_use: at(created) })),
            (
                json!({"ttl": 60, "date_created": created, "date_last_interaction": used}),
                Ok(End::AfterUse { seconds: 60, last_use: at(used) }),
            ),
            (
                json!({"service_sid": "KS1", "date_created": created}),
                Ok(End::AfterUse { seconds: 600, last_use: at(created) }),
            ),
            (json!({"service_sid": "KS1", "ttl": 0, "date_created": created}), Ok(End::Never)),
            (json!({"service_sid": "KS2"}), Ok(End::Never)),
        ] {
            assert_eq!(end(&session, &ttls), expected, "{session}");
        }
        assert!(end(&json!({"ttl": 60}), &ttls).is_err());
        assert!(end(&json!({"date_expiry": "soon"}), &ttls).is_err());
    }

    #[test]
    fn participant_who_left_is_none_and_the_last_page_counts() {
        let export = json!([
            {"sid": "KC1", "status": "open", "participants": [
                {"sid": "KP1", "session_sid": "KC1", "identifier": "+447700900001"},
                {"sid": "KP2", "session_sid": "KC1", "identifier": "+447700900002", "date_deleted": "2026-12-01T10:00:00Z"},
                {"sid": "KP3", "session_sid": "KC1", "identifier": "+447700900003"}]},
            {"sid": "KC1", "status": "closed"},
        ]);
        let read = read(&export.to_string()).unwrap();
        assert_eq!((read.sessions.len(), read.sessions[0].people.len()), (1, 2));
        assert_eq!(read.sessions[0].left_out.as_deref(), Some("it is closed"));
    }
}
