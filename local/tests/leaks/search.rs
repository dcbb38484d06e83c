//! Finds a phone number in whatever spelling.

use std::collections::BTreeSet;

use serde_json::Value;

/// What a number is told by, however much of it is written: its last digits, this many of them.
const ENOUGH_TO_TELL: usize = 7;

/// What may stand between the digits of a number.
const SEPARATORS: &str = " -.()/+_\u{a0}\t";

/// The numbers that must not be told.
#[derive(Debug, Clone)]
pub struct Numbers(BTreeSet<String>);

impl Numbers {
    /// These, in E.164 without "+".
    pub fn new<'a>(numbers: impl IntoIterator<Item = &'a str>) -> Self {
        Self(numbers.into_iter().map(str::to_owned).collect())
    }

    /// All of these but one.
    pub fn without(&self, number: &str) -> Self {
        Self(self.0.iter().filter(|other| *other != number).cloned().collect())
    }

    /// The first of them that `text` tells: in E.164 with or without "+", in national form, with any separators or
    /// percent-encoded, and also if no more than its last seven digits are there.
    pub fn told_by(&self, text: &str) -> Option<&str> {
        let decoded = percent_decoded(text);
        let compact: String = decoded.chars().filter(|c| !SEPARATORS.contains(*c)).collect();
        let is_told = |number: &&String| compact.contains(&number[number.len() - ENOUGH_TO_TELL..]);
        self.0.iter().find(is_told).map(String::as_str)
    }

    /// Fails if `text` tells one of them.
    pub fn assert_untold(&self, what: &str, text: &str) {
        assert_eq!(self.told_by(text), None, "{what} tells a real number: {text}");
    }

    /// Fails if a line of `log` tells one of them. Times are left out: digits enough to be taken for any number.
    pub fn assert_not_logged(&self, log: &str) {
        for line in log.lines() {
            let text = match serde_json::from_str(line) {
                Ok(Value::Object(mut members)) => {
                    members.retain(|name, _| !["timestamp", "_aws", "duration_ms"].contains(&name.as_str()));
                    Value::Object(members).to_string()
                }
                _ => line.to_owned(),
            };
            self.assert_untold("a log line", &text);
        }
    }
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
fn a_number_is_found_in_every_spelling() {
    let numbers = Numbers::new(["447700900147", "12015550123"]);
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
        assert_eq!(numbers.told_by(text), Some("447700900147"), "{text}");
    }
    assert_eq!(numbers.told_by("(201) 555-0123"), Some("12015550123"));
    for text in ["", "447451000001", "*********147", "900147", "447700900148", "100%", "%2", "%zz0900"] {
        assert_eq!(numbers.told_by(text), None, "{text}");
    }
    assert_eq!(numbers.without("447700900147").told_by("447700900147"), None);
}

#[test]
#[should_panic(expected = "a log line tells a real number")]
fn a_number_in_a_log_line_is_a_failure() {
    Numbers::new(["447700900147"]).assert_not_logged("{\"timestamp\":\"x\",\"cause\":\"no route for 447700900147\"}\n");
}
