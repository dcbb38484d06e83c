//! Values on a command line that become fields of a request.

use std::io::Read;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::CommandError;

/// Reads a length of time: `90s`, `2h`, `1h 30m`, or seconds alone. Returns seconds.
pub(crate) fn seconds(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let duration: SignedDuration =
        text.parse().map_err(|_| "a length of time is such as 90s, 2h or 1h30m".to_owned())?;
    Ok(duration.as_secs())
}

/// Reads a time: `2026-11-25T20:00:00Z`, or a length of time, which means so long ago.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    time_at(text, Timestamp::now())
}

fn time_at(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let ago = seconds(text).ok().and_then(|ago| now.checked_sub(SignedDuration::from_secs(ago)).ok());
    ago.ok_or_else(|| "a time is such as 2026-11-25T20:00:00Z, or 2h for two hours ago".to_owned())
}

/// Reads `NAME=VALUE`. The value is JSON, or else a text.
pub(super) fn field(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("a field is NAME=VALUE, such as recording=announce")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((name.to_owned(), value))
}

/// Reads a JSON object from a file, or from standard input for `-`.
pub(super) fn body(file: &Path) -> Result<Value, CommandError> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(drop)
    } else {
        std::fs::read_to_string(file).map(|read| text = read)
    };
    let wrong = |reason: &dyn std::fmt::Display| CommandError::Value(format!("{}: {reason}", file.display()));
    read.map_err(|error| wrong(&error))?;
    let object: Map<String, Value> = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
    Ok(Value::Object(object))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lengths_of_time_are_read_with_and_without_units() {
        for (text, expected) in [("90", 90), ("90s", 90), ("2h", 7200), ("1h30m", 5400), ("1h 30m", 5400)] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "soon", "2 parsecs"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_absolute_or_so_long_ago() {
        let now = "2026-11-26T09:30:00Z".parse().unwrap();
        for (text, expected) in [("2026-11-25T20:00:00Z", "2026-11-25T20:00:00Z"), ("2h", "2026-11-26T07:30:00Z")] {
            assert_eq!(time_at(text, now).unwrap().to_string(), expected);
        }
        for wrong in ["", "yesterday", "2026-11-25", "999999999999999999s"] {
            assert!(time_at(wrong, now).is_err(), "{wrong}");
        }
    }

    #[test]
    fn fields_are_json_or_text() {
        for (text, expected) in [
            ("pin=true", ("pin", json!(true))),
            ("missed_calls=[\"text\"]", ("missed_calls", json!(["text"]))),
            ("recording=announce", ("recording", json!("announce"))),
            ("blocked=null", ("blocked", json!(null))),
            ("reference=a=b", ("reference", json!("a=b"))),
        ] {
            assert_eq!(field(text), Ok((expected.0.to_owned(), expected.1)), "{text}");
        }
        assert!(field("pin").is_err());
    }
}
