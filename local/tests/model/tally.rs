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
const EXPECTED: [(&str, &str); 1] = [("create", "created")];

impl Tally {
    pub fn check_that_all_occurred(&self) {
        let missing: Vec<_> = EXPECTED.iter().filter(|(kind, outcome)| self.of(kind, outcome) == 0).collect();
        assert!(missing.is_empty(), "these have not occurred: {missing:?}");
    }
}
