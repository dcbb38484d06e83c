//! Counts of steps by kind and outcome.

use std::collections::BTreeMap;
use std::fmt;

#[derive(Debug, Default)]
pub struct Coverage(BTreeMap<(&'static str, String), u64>);

impl Coverage {
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

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((kind, outcome), count) in &self.0 {
            writeln!(f, "{count:8}  {kind}{}{outcome}", if outcome.is_empty() { "" } else { ": " })?;
        }
        Ok(())
    }
}

/// The outcomes that a large run must produce.
const EXPECTED: &[(&str, &[&str])] = &[
    ("add a number", &["provisioned", "crashed"]),
    ("call", &["Participant", "Ended", "Late", "Nobody", "ReceiveOnly", "Exhausted"]),
    ("call by the other spelling", &["Participant", "Ended", "Nobody"]),
    ("call on stale data", &["connected"]),
    ("carry out orders", &["provisioned", "crashed"]),
    ("choice", &["first conversation of two people", "both numbers reused", "one number reused", "no number reused"]),
    ("choice", &["one way, by a held number", "one way, by a new number"]),
    (
        "crash",
        &[
            "before a request is carried out",
            "before a request is carried out, with a concurrent action",
            "after a request is carried out",
            "after a request is carried out, with a concurrent action",
            "not reached",
        ],
    ),
    (
        "create",
        &[
            "created",
            "replayed",
            "refused: erased",
            "refused: no number free",
            "refused: not valid",
            "refused: further phone not valid",
            "refused: other request",
            "refused: same number",
            "refused: same further phone",
            "refused: virtual number",
            "refused: further phone a virtual number",
            "crashed, carried out",
            "crashed, not carried out",
        ],
    ),
    ("drain", &["draining", "unknown", "crashed, not carried out"]),
    ("rotate", &["draining", "unknown", "no other number", "crashed, not carried out"]),
    ("end", &["ended", "expired before", "unknown", "crashed, carried out", "crashed, not carried out"]),
    ("erase", &["erased", "unknown", "crashed, carried out", "crashed, not carried out"]),
    ("event", &["merged", "to be redacted", "of no conversation", "crashed, not carried out"]),
    ("busy callee", &["texted", "texted before", "over", "unknown", "not texted", "crashed"]),
    ("menu of a missed call", &["texted", "texted before", "over", "not texted", "crashed"]),
    ("guard", &["taken", "declined", "unknown", "crashed"]),
    ("end of a guarded leg", &["texted", "texted before", "taken", "over", "not texted", "crashed"]),
    ("busy callee", &["next phone"]),
    ("call", &["Closed", "Blocked"]),
    ("recording", &["kept later", "message kept at once", "call kept at once", "waits", "erased", "file deleted"]),
    ("event of a recording", &["new", "known, or of nobody", "crashed"]),
    ("keep recordings", &["done", "tried again later", "crashed"]),
    // A crash during one is too rare for a run of 100,000 steps. The crash suite cuts each of its requests.
    ("consent of the caller", &["agreed", "not agreed", "unknown"]),
    ("consent of the callee", &["agreed", "not agreed", "the caller did not agree", "unknown"]),
    ("safety key", &["blocked", "after the end", "once more", "no safety key", "unknown", "crashed"]),
    ("hang up", &["a call", "a call that was answered after the end", "with the conversation"]),
    ("hang up a call", &["ended", "unknown", "crashed"]),
    ("limit", &["of a day reached", "reached"]),
    ("PIN", &["right, hidden", "right, from another phone", "right again", "wrong again", "too many", "crashed"]),
    ("sliding end", &["moved", "not moved", "moved by a text"]),
    ("event", &["merged, and slides"]),
    ("lost property", &["asked", "asked before", "agreed", "declined", "crashed"]),
    // The same request again while the first is under way is as rare; the race and crash suites send it.
    ("place a call", &["placed", "replayed", "not connected", "other request", "crashed"]),
    ("place a call", &["in doubt", "refused", "unknown"]),
    ("PIN", &["wrong", "nothing", "of another number or phone", "of one that is over"]),
    ("call of before", &["is certain", "is not certain"]),
    (
        "erase a person by number",
        &["erased nothing", "erased one", "erased several", "crashed, carried out", "crashed, not carried out"],
    ),
    ("give a number back", &["account changed"]),
    ("place an order", &["provisioned", "crashed"]),
    ("heal", &["provisioned", "crashed"]),
    ("end retention", &["done", "crashed"]),
    ("retention", &["erased", "nothing to erase", "with legs"]),
    ("health", &["counted"]),
    ("move a number", &["draining", "there already", "refused: leaving", "crashed, not carried out"]),
    ("moved", &["to the tenant", "to the deployment itself"]),
    ("tenant", &["creates", "has no number free", "sees its own"]),
    ("costs", &["a call", "seconds", "a text"]),
    ("healing", &["one side", "both sides", "none is free"]),
    ("restore", &["brought up", "ended", "kept a key", "erased", "lost a number"]),
    ("sweep", &["something", "nothing"]),
    ("take a number away", &["account changed"]),
    ("text", &["accepted", "refused", "noanswer"]),
    ("text of a phone", &["sent", "repeated", "over", "nowhere"]),
    ("receipt of a text", &["delivered", "failed"]),
    ("text during an action", &["passed on", "passed on as it was before", "not passed on"]),
    ("STOP and START", &[""]),
    ("message in a chat", &["to the one", "to one of several", "quotes one"]),
    ("answer in a chat", &["on the channel", "by SMS instead"]),
    ("STOP in a chat", &[""]),
    ("two concurrent actions", &[""]),
    ("update to the other spelling", &["updated", "refused: same number"]),
    (
        "update",
        &[
            "updated",
            "unknown",
            "refused: calls too short",
            "refused: mask taken",
            "refused: mask taken for a further phone",
            "refused: not valid",
            "refused: further phone not valid",
            "refused: over",
            "refused: same number",
            "refused: same further phone",
            "refused: virtual number",
            "refused: further phone a virtual number",
            "crashed, carried out",
            "crashed, not carried out",
        ],
    ),
    ("upkeep", &["provisioned", "crashed"]),
    ("wait", &[""]),
    ("wait for days", &[""]),
    ("wait until a boundary", &[""]),
    ("wait until just before a boundary", &[""]),
];

impl Coverage {
    pub fn assert_all_occurred(&self) {
        let all = EXPECTED.iter().flat_map(|(kind, outcomes)| outcomes.iter().map(move |outcome| (kind, outcome)));
        let missing: Vec<_> = all.filter(|(kind, outcome)| self.of(kind, outcome) == 0).collect();
        assert!(missing.is_empty(), "the run did not produce these outcomes: {missing:?}");
    }
}
