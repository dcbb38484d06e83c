//! An export of proxy sessions of the Amazon Chime SDK: answers of `ListProxySessions`, `GetProxySession` and `ListPhoneNumbers`.
//!
//! Source: Amazon Chime SDK API Reference, "ProxySession" and "PhoneNumber" of the voice namespace.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use serde_json::Value;

use super::export::{End, Export, OldNumber, Person, Session};
use super::tree::{member, objects, text, time, whole};

/// Reads an export. A session that is there twice counts as it is the last time.
pub(super) fn read(export: &str) -> Result<Export, String> {
    let is_wanted: fn(&Value) -> bool =
        |value| value["ProxySessionId"].is_string() || value["E164PhoneNumber"].is_string();
    let mut sessions: BTreeMap<String, (usize, Value)> = BTreeMap::new();
    let mut numbers = BTreeMap::new();
    let mut connectors = BTreeSet::new();
    for (place, found) in objects(export, is_wanted)?.into_iter().enumerate() {
        if let Some(id) = text(&found, "ProxySessionId") {
            connectors.extend(text(&found, "VoiceConnectorId"));
            let place = sessions.get(&id).map_or(place, |(place, _)| *place);
            sessions.insert(id, (place, found));
        } else if let Some(number) = text(&found, "E164PhoneNumber") {
            numbers.insert(number, text(&found, "Country"));
        }
    }
    if sessions.is_empty() && numbers.is_empty() {
        return Err("it has neither a ProxySession nor a PhoneNumber of the Amazon Chime SDK".to_owned());
    }
    let mut in_order: Vec<(String, (usize, Value))> = sessions.into_iter().collect();
    in_order.sort_by_key(|(_, (place, _))| *place);
    Ok(Export {
        services: connectors.len(),
        numbers: numbers.into_iter().map(|(number, country)| OldNumber { number, country }).collect(),
        sessions: in_order.into_iter().map(|(id, (_, found))| session(id, &found)).collect(),
    })
}

fn session(id: String, found: &Value) -> Session {
    let (end, fault) = match end(found) {
        Ok(end) => (end, None),
        Err(reason) => (End::Usual, Some(reason)),
    };
    let list = |name: &str| member(found, name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let can = |capability: &str| list("Capabilities").iter().any(|one| one == capability);
    let status = text(found, "Status").unwrap_or_else(|| "Open".to_owned());
    let left_out = match status.as_str() {
        "Open" | "InProgress" if can("SMS") && !can("Voice") => {
            Some("it allows texts only, and a conversation here allows calls too".to_owned())
        }
        "Open" | "InProgress" => fault,
        status => Some(format!("it is {}", status.to_lowercase())),
    };
    let mut notes = Vec::new();
    if can("Voice") && !can("SMS") {
        notes.push("it allows calls only; here texts are passed on too".to_owned());
    }
    let people = list("Participants").iter().map(|person| Person {
        dials: text(person, "ProxyPhoneNumber"),
        ..Person::new(text(person, "PhoneNumber").unwrap_or_default())
    });
    Session { id, reference: text(found, "Name"), people: people.collect(), end, left_out, notes }
}

/// Returns the end: the minutes are counted from the last change, because an update sets them anew.
fn end(found: &Value) -> Result<End, String> {
    let Some(minutes) = whole(found, "ExpiryMinutes") else { return Ok(End::Never) };
    let since = match time(found, "UpdatedTimestamp")? {
        Some(time) => Some(time),
        None => time(found, "CreatedTimestamp")?,
    };
    let seconds = i64::try_from(minutes).ok().and_then(|minutes| minutes.checked_mul(60));
    let end =
        since.zip(seconds).and_then(|(since, seconds)| since.checked_add(SignedDuration::from_secs(seconds)).ok());
    end.map(End::At).ok_or_else(|| "it has ExpiryMinutes, and no time from which they count".to_owned())
}
