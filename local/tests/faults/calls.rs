//! The calls of a flow: what the caller may hear, and what has to be known of each leg afterwards.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

/// What the fallback says.
const CALL_AGAIN: &str = "call again";
/// What is said to a caller whose conversation is over.
const HAS_ENDED: &str = "has ended";

/// How a call should go.
#[derive(Debug, Clone, Copy)]
pub enum Expected<'a> {
    /// It reaches this phone, which shows that number.
    Reaches { phone: &'a str, shows: &'a str },
    /// It reaches nobody: the conversation has ended.
    HasEnded,
}

/// All calls so far, as the simulated Vonage tells them.
#[derive(Debug, Default)]
pub struct Calls {
    placed: Vec<Value>,
    /// Leg and status of each event that the event webhook has taken.
    taken: BTreeSet<(String, String)>,
}

/// How many legs there were, and how many of them are known to their end.
#[derive(Debug, Default)]
pub struct Legs {
    pub placed: usize,
    pub known_to_their_end: usize,
}

impl Calls {
    /// Writes a call down. Tells whether it went as it should; if not, the caller heard to call again, or nothing if the
    /// fallback was not reached either, and nobody's phone rang.
    pub fn add(&mut self, call: Value, expected: Expected<'_>) -> bool {
        let attempts = |kind: &str| {
            call["webhooks"].as_array().unwrap().iter().filter(|attempt| attempt["url_kind"] == kind).count()
        };
        assert!(attempts("answer_url") <= 2 && attempts("fallback_answer_url") <= 2, "{call}");
        let went_well = match call["answered_by"].as_str() {
            Some("answer_url") => {
                check(&call, expected);
                true
            }
            Some("fallback_answer_url") => {
                assert!(only_hears(&call, CALL_AGAIN), "{call}");
                assert_eq!(attempts("answer_url"), 2, "{call}");
                false
            }
            _ => {
                assert_eq!((attempts("answer_url"), attempts("fallback_answer_url")), (2, 2), "{call}");
                assert_eq!((&call["phones"]["caller"]["heard"], &call["phones"]["callee"]), (&json!([]), &Value::Null));
                false
            }
        };
        self.note_taken(&call["events"]);
        self.placed.push(call);
        went_well
    }

    /// Writes down how events were taken.
    pub fn note_taken(&mut self, events: &Value) {
        for event in events.as_array().unwrap() {
            match event["http_status"].as_u64() {
                Some(204) => {
                    let leg = event["leg"].as_str().unwrap_or_default().to_owned();
                    self.taken.insert((leg, event["status"].as_str().unwrap().to_owned()));
                }
                Some(status) => assert_eq!(status, 503, "{event}"),
                None => {}
            }
        }
    }

    /// What the conversation says of its calls is what has happened: nothing that has not, each status with its own time,
    /// and all of it where the events were taken. In whatever order they came, and however often.
    pub fn check_read(&self, conversation: &Value) -> Legs {
        let known = conversation["calls"].as_array().unwrap();
        let known: BTreeMap<_, _> = known
            .iter()
            .flat_map(|call| call["legs"].as_array().unwrap())
            .map(|leg| (leg["uuid"].as_str().unwrap(), leg))
            .collect();
        let legs = || self.placed.iter().flat_map(|call| call["legs"].as_array().unwrap());
        let placed: BTreeSet<_> = legs().map(|leg| leg["uuid"].as_str().unwrap()).collect();
        assert!(known.keys().all(|uuid| placed.contains(uuid)), "legs that there never were: {conversation}");
        let mut known_to_their_end = 0;
        for leg in legs() {
            let uuid = leg["uuid"].as_str().unwrap();
            let known = known.get(uuid).copied();
            self.check_leg(uuid, leg, known);
            known_to_their_end += usize::from(known.is_some_and(|known| known["status"] == leg["status"]));
        }
        Legs { placed: placed.len(), known_to_their_end }
    }

    fn check_leg(&self, uuid: &str, happened: &Value, known: Option<&Value>) {
        let happened_at: BTreeMap<_, _> = happened["statuses"]
            .as_array()
            .unwrap()
            .iter()
            .map(|status| (status["status"].as_str().unwrap(), time(&status["timestamp"])))
            .collect();
        let taken = |status: &str| self.taken.contains(&(uuid.to_owned(), status.to_owned()));
        let known_at: BTreeMap<_, _> = known
            .and_then(|leg| leg["statuses"].as_object())
            .into_iter()
            .flatten()
            .map(|(status, at)| (status.as_str(), time(at)))
            .collect();
        for (status, at) in &known_at {
            assert_eq!(happened_at.get(status), Some(at), "{status} of {happened}");
        }
        for status in happened_at.keys().filter(|status| taken(status)) {
            assert!(known_at.contains_key(status), "{status} was taken and is not known of {happened}: {known:?}");
        }
        let end = happened["status"].as_str().unwrap();
        if taken(end) {
            let known = known.unwrap();
            for fact in ["status", "duration", "direction"] {
                assert_eq!(number_or_text(&known[fact]), number_or_text(&happened[fact]), "{fact} of {happened}");
            }
        }
    }
}

fn check(call: &Value, expected: Expected<'_>) {
    let phones = &call["phones"];
    match expected {
        Expected::Reaches { phone, shows } => {
            let callee = json!({"number": phone, "display": shows, "rang": true, "answered": true});
            assert_eq!((&phones["callee"], &phones["caller"]["connected"]), (&callee, &json!(true)), "{call}");
        }
        Expected::HasEnded => {
            assert_eq!((&phones["callee"], only_hears(call, HAS_ENDED)), (&Value::Null, true), "{call}");
        }
    }
}

fn only_hears(call: &Value, words: &str) -> bool {
    let caller = &call["phones"]["caller"];
    let heard = caller["heard"].as_array().unwrap();
    caller["connected"] == false && heard.len() == 1 && heard[0].as_str().unwrap().contains(words)
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

/// Vonage gives durations as texts.
fn number_or_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
