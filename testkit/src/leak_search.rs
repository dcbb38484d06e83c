//! The search for phone numbers in text, in any spelling. `shared::domain::phone` masks them with code of its own on
//! purpose: a mistake there must not hide itself here.

use std::collections::BTreeSet;

use serde_json::Value;

/// The number of last digits that identify a number.
const IDENTIFYING_DIGITS: usize = 7;

/// The characters that can separate the digits of a number.
const SEPARATORS: &str = " -.()/+_\u{a0}\t";

/// Real numbers that must not appear in what is searched.
#[derive(Debug, Clone)]
pub struct LeakSearch(BTreeSet<String>);

impl LeakSearch {
    /// Searches for `numbers`, which are in E.164 without "+".
    pub fn new<'a>(numbers: impl IntoIterator<Item = &'a str>) -> Self {
        Self(numbers.into_iter().map(str::to_owned).collect())
    }

    /// Searches for all of these numbers but one.
    pub fn without(&self, number: &str) -> Self {
        Self(self.0.iter().filter(|other| *other != number).cloned().collect())
    }

    /// Returns the first of the numbers that is in `text`: in E.164 with or without "+", in national form, with any
    /// separators or percent-encoded. The last seven digits are enough. Those of a random UUID, such as the id of a request, are none.
    pub fn find_in(&self, text: &str) -> Option<&str> {
        let decoded = without_uuids(&percent_decoded(text));
        let compact: String = decoded.chars().filter(|c| !SEPARATORS.contains(*c)).collect();
        let is_there = |number: &&String| compact.contains(&number[number.len() - IDENTIFYING_DIGITS..]);
        self.0.iter().find(is_there).map(String::as_str)
    }

    /// Fails if one of the numbers is in `text`.
    pub fn assert_no_leak(&self, what: &str, text: &str) {
        assert_eq!(self.find_in(text), None, "{what} contains a real number: {text}");
    }

    /// Fails if one of the numbers is in a line of `log`. Times are left out, because their digits look like numbers.
    pub fn assert_log_has_no_leak(&self, log: &str) {
        for line in log.lines() {
            let text = match serde_json::from_str(line) {
                Ok(Value::Object(mut members)) => {
                    members.retain(|name, _| !["timestamp", "_aws", "duration_ms"].contains(&name.as_str()));
                    Value::Object(members).to_string()
                }
                _ => line.to_owned(),
            };
            self.assert_no_leak("a log line", &text);
        }
    }
}

/// Returns the text without its UUIDs.
fn without_uuids(text: &str) -> String {
    let is_uuid = |found: &str| uuid::Uuid::try_parse(found).is_ok();
    let (mut kept, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        match rest.get(..uuid::fmt::Hyphenated::LENGTH).filter(|found| is_uuid(found)) {
            Some(found) => rest = &rest[found.len()..],
            None => {
                kept.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    kept
}

fn percent_decoded(text: &str) -> String {
    let (mut decoded, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                decoded.push(byte);
                rest = &after[2..];
            }
            None => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[test]
fn search_finds_number_in_every_spelling() {
    let numbers = LeakSearch::new(["447700900147", "12015550123"]);
    for text in [
        "447700900147",
        "call +447700900147 now",
        r#"{"a": ["+44 7700 900 147"]}"#,
        "07700900147",
        "(07700) 900-147",
        "0044.7700.900147",
        "?from=%2B44%207700%20900147",
        "?from=44+7700+900147",
        "CALLER#447700900147",
        "x0900147x",
        "44\u{a0}7700\u{a0}900147",
    ] {
        assert_eq!(numbers.find_in(text), Some("447700900147"), "{text}");
    }
    assert_eq!(numbers.find_in("(201) 555-0123"), Some("12015550123"));
    let uuid = "85609001-47f1-4cff-be4b-3211f2d8dc8d";
    for text in ["", "447451000001", "*********147", "900147", "447700900148", "100%", "%2", "%zz0900", uuid] {
        assert_eq!(numbers.find_in(text), None, "{text}");
    }
    assert_eq!(numbers.without("447700900147").find_in("447700900147"), None);
}

#[test]
#[should_panic(expected = "a log line contains a real number")]
fn search_fails_on_number_in_log_line() {
    LeakSearch::new(["447700900147"])
        .assert_log_has_no_leak("{\"timestamp\":\"x\",\"cause\":\"no route for 447700900147\"}\n");
}
