//! How many steps of each kind ran, and with which outcome.

use std::collections::BTreeMap;
use std::fmt;

#[derive(Debug, Default)]
pub struct Tally(BTreeMap<(&'static str, String), u64>);

impl Tally {
    pub fn count(&mut self, kind: &'static str, outcome: &str) {
        *self.0.entry((kind, outcome.to_owned())).or_default() += 1;
    }

    pub fn add(&mut self, other: Self) {
        for (key, count) in other.0 {
            *self.0.entry(key).or_default() += count;
        }
    }

    pub fn of(&self, kind: &str, outcome: &str) -> u64 {
        self.0.iter().filter(|((of, with), _)| *of == kind && with == outcome).map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((kind, outcome), count) in &self.0 {
            writeln!(f, "{count:8}  {kind}{}{outcome}", if outcome.is_empty() { "" } else { ": " })?;
        }
        Ok(())
    }
}

/// What a large run must have seen.
const EXPECTED: &[(&str, &[&str])] = &[
    ("add a number", &["by hand", "provisioned", "cut off"]),
    ("call", &["Participant", "Ended", "Nobody"]),
    ("call out of date", &["connected"]),
    ("choice", &["the first of two people", "both numbers again", "one number again", "other numbers than before"]),
    (
        "crash",
        &[
            "before a request was carried out",
            "before a request was carried out, beside another one",
            "after a request was carried out",
            "after a request was carried out, beside another one",
            "came too late",
        ],
    ),
    (
        "create",
        &[
            "created",
            "replayed",
            "refused: erased",
            "refused: none free",
            "refused: not valid",
            "refused: other request",
            "refused: same number",
            "refused: virtual number",
            "cut off, all done",
            "cut off, nothing done",
        ],
    ),
    ("drain", &["draining", "unknown", "cut off, nothing done"]),
    ("end", &["ended", "expired before", "unknown", "cut off, all done", "cut off, nothing done"]),
    ("erase", &["erased", "unknown", "cut off, all done", "cut off, nothing done"]),
    ("sweep", &["something", "nothing"]),
    ("text", &["taken", "refused", "noanswer"]),
    ("two at once", &[""]),
    (
        "update",
        &[
            "updated",
            "unknown",
            "refused: mask taken",
            "refused: not valid",
            "refused: over",
            "refused: same number",
            "refused: virtual number",
            "cut off, all done",
            "cut off, nothing done",
        ],
    ),
    ("upkeep", &["provisioned", "cut off"]),
    ("wait", &[""]),
    ("wait for days", &[""]),
    ("wait until a boundary", &[""]),
    ("wait until just before", &[""]),
];

impl Tally {
    pub fn check_that_all_occurred(&self) {
        let all = EXPECTED.iter().flat_map(|(kind, outcomes)| outcomes.iter().map(move |outcome| (kind, outcome)));
        let missing: Vec<_> = all.filter(|(kind, outcome)| self.of(kind, outcome) == 0).collect();
        assert!(missing.is_empty(), "these have not occurred: {missing:?}");
    }
}
