//! Exports in JSON: the answers of an API, one after the other or in a list, as `curl` and command lines print them.

use std::fmt::Display;

use jiff::Timestamp;
use serde_json::{Deserializer, Value};

/// Returns all objects in the text for which `is_wanted` is true, also those within others, in their order.
///
/// # Errors
/// Names the line that is no JSON. It shows nothing of it, because it may have a phone.
pub(super) fn objects(text: &str, is_wanted: fn(&Value) -> bool) -> Result<Vec<Value>, String> {
    let mut found = Vec::new();
    for answer in Deserializer::from_str(text).into_iter::<Value>() {
        let answer = answer.map_err(|error| format!("line {} is no JSON", error.line()))?;
        collect(&answer, is_wanted, &mut found);
    }
    Ok(found)
}

fn collect(value: &Value, is_wanted: fn(&Value) -> bool, found: &mut Vec<Value>) {
    if is_wanted(value) {
        found.push(value.clone());
    }
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, is_wanted, found)),
        Value::Object(members) => members.values().for_each(|value| collect(value, is_wanted, found)),
        _ => {}
    }
}

/// Returns a member by its name, such as `unique_name`. APIs and command lines write it as `uniqueName` or `UniqueName` too.
pub(super) fn member<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let plain = |name: &str| name.replace('_', "").to_ascii_lowercase();
    let wanted = plain(name);
    let found = object.as_object()?.iter().find(|(own, _)| plain(own) == wanted);
    found.map(|(_, value)| value).filter(|value| !value.is_null())
}

/// Returns a member that is a text and not empty.
pub(super) fn text(object: &Value, name: &str) -> Option<String> {
    let text = member(object, name)?.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Returns a whole number, which may be written as a text.
pub(super) fn whole(object: &Value, name: &str) -> Option<u64> {
    let value = member(object, name)?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// Returns a time, or none if there is none.
///
/// # Errors
/// If it cannot be read.
pub(super) fn time(object: &Value, name: &str) -> Result<Option<Timestamp>, String> {
    let Some(value) = member(object, name) else { return Ok(None) };
    let read = |text: &str| text.parse().ok();
    let seconds = || value.as_f64().and_then(|seconds| Timestamp::from_second(seconds as i64).ok());
    let time = value.as_str().and_then(read).or_else(seconds);
    time.map(Some).ok_or_else(|| unreadable(&name))
}

pub(super) fn unreadable(name: &dyn Display) -> String {
    format!("its {name} cannot be read")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_stand_one_after_the_other_or_in_lists() {
        let has_sid: fn(&Value) -> bool = |value| value["sid"].is_string();
        for text in [
            r#"{"sid": "a"} {"sid": "b"}"#,
            r#"[{"sid": "a"}, {"page": [{"sid": "b"}]}]"#,
            "{\"sid\":\"a\"}\n[{\"sid\":\"b\"}]",
        ] {
            let found = objects(text, has_sid).unwrap();
            assert_eq!(found.iter().map(|found| &found["sid"]).collect::<Vec<_>>(), ["a", "b"], "{text}");
        }
        assert_eq!(objects("{}\n{\"phone\": \"+447700900001", has_sid).unwrap_err(), "line 2 is no JSON");
    }

    #[test]
    fn names_are_found_in_every_spelling() {
        for spelling in ["unique_name", "uniqueName", "UniqueName"] {
            assert_eq!(text(&json!({ spelling: " ride-42 " }), "unique_name"), Some("ride-42".to_owned()));
        }
        assert_eq!(text(&json!({"unique_name": null}), "unique_name"), None);
        assert_eq!([json!({"ttl": 60}), json!({"ttl": "60"})].map(|session| whole(&session, "ttl")), [Some(60); 2]);
    }

    #[test]
    fn times_are_read_in_the_forms_of_both_command_lines() {
        for at in [
            json!("2026-12-01T12:00:00Z"),
            json!("2026-12-01T12:00:00.000000+00:00"),
            json!(1_796_126_400),
            json!(1_796_126_400.5),
        ] {
            let found = time(&json!({"at": at}), "at").unwrap().unwrap();
            assert_eq!(found.to_string(), "2026-12-01T12:00:00Z", "{at}");
        }
        assert_eq!(time(&json!({}), "at"), Ok(None));
        assert!(time(&json!({"at": "soon"}), "at").is_err());
    }
}
