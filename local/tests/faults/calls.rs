//! The calls of a flow: what the caller heard, and what the conversation shows about each leg.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

/// Words of the fallback answer.
const TRY_AGAIN: &str = "try again";
/// Words of the answer after the end of a conversation.
const HAS_ENDED: &str = "has ended";

/// The expected outcome of a call.
#[derive(Debug, Clone, Copy)]
pub enum Expected<'a> {
    /// The call rings `phone`, which shows the number `shows`.
    Reaches { phone: &'a str, shows: &'a str },
    /// The call connects to nobody, because the conversation has ended.
    HasEnded,
}

/// All calls so far, as the simulated Vonage records them.
#[derive(Debug, Default)]
pub struct Calls {
    placed: Vec<Value>,
    /// Leg and status of each event that the event webhook accepted.
    accepted: BTreeSet<(String, String)>,
}

/// Number of legs, and of those whose final status is known.
#[derive(Debug, Default)]
pub struct Legs {
    pub placed: usize,
    pub finished: usize,
}

impl Calls {
    /// Records a call. Returns true if it had the expected outcome. Otherwise the caller must have heard the fallback,
    /// or nothing if the fallback failed too, and no phone rang.
    pub fn add(&mut self, call: Value, expected: Expected<'_>) -> bool {
        let attempts = |kind: &str| {
            call["webhooks"].as_array().unwrap().iter().filter(|attempt| attempt["url_kind"] == kind).count()
        };
        assert!(attempts("answer_url") <= 2 && attempts("fallback_answer_url") <= 2, "{call}");
        let succeeded = match call["answered_by"].as_str() {
            Some("answer_url") => {
                check(&call, expected);
                true
            }
            Some("fallback_answer_url") => {
                assert!(hears_only(&call, TRY_AGAIN), "{call}");
                assert_eq!(attempts("answer_url"), 2, "{call}");
                false
            }
            _ => {
                assert_eq!((attempts("answer_url"), attempts("fallback_answer_url")), (2, 2), "{call}");
                assert_eq!((&call["phones"]["caller"]["heard"], &call["phones"]["callee"]), (&json!([]), &Value::Null));
                false
            }
        };
        self.note_accepted(&call["events"]);
        self.placed.push(call);
        succeeded
    }

    /// Records the answers to events.
    pub fn note_accepted(&mut self, events: &Value) {
        for event in events.as_array().unwrap() {
            match event["http_status"].as_u64() {
                Some(204) => {
                    let leg = event["leg"].as_str().unwrap_or_default().to_owned();
                    self.accepted.insert((leg, event["status"].as_str().unwrap().to_owned()));
                }
                Some(status) => assert_eq!(status, 503, "{event}"),
                None => {}
            }
        }
    }

    /// Checks the calls that the conversation shows against those that took place: no other leg or status, the right
    /// time for each status, and every status whose event was accepted. The order and the number of deliveries do not
    /// matter.
    pub fn check_read(&self, conversation: &Value) -> Legs {
        let known = conversation["calls"].as_array().unwrap();
        let known: BTreeMap<_, _> = known
            .iter()
            .flat_map(|call| call["legs"].as_array().unwrap())
            .map(|leg| (leg["uuid"].as_str().unwrap(), leg))
            .collect();
        let legs = || self.placed.iter().flat_map(|call| call["legs"].as_array().unwrap());
        let placed: BTreeSet<_> = legs().map(|leg| leg["uuid"].as_str().unwrap()).collect();
        assert!(
            known.keys().all(|uuid| placed.contains(uuid)),
            "the conversation shows legs that never existed: {conversation}"
        );
        let mut finished = 0;
        for leg in legs() {
            let uuid = leg["uuid"].as_str().unwrap();
            let known = known.get(uuid).copied();
            self.check_leg(uuid, leg, known);
            finished += usize::from(known.is_some_and(|known| known["status"] == leg["status"]));
        }
        Legs { placed: placed.len(), finished }
    }

    fn check_leg(&self, uuid: &str, happened: &Value, known: Option<&Value>) {
        let happened_at: BTreeMap<_, _> = happened["statuses"]
            .as_array()
            .unwrap()
            .iter()
            .map(|status| (status["status"].as_str().unwrap(), time(&status["timestamp"])))
            .collect();
        let accepted = |status: &str| self.accepted.contains(&(uuid.to_owned(), status.to_owned()));
        let known_at: BTreeMap<_, _> = known
            .and_then(|leg| leg["statuses"].as_object())
            .into_iter()
            .flatten()
            .map(|(status, at)| (status.as_str(), time(at)))
            .collect();
        for (status, at) in &known_at {
            assert_eq!(happened_at.get(status), Some(at), "stored time of status {status} differs from {happened}");
        }
        for status in happened_at.keys().filter(|status| accepted(status)) {
            assert!(
                known_at.contains_key(status),
                "status {status} was accepted, but is not stored for {happened}: {known:?}"
            );
        }
        let end = happened["status"].as_str().unwrap();
        if accepted(end) {
            let known = known.unwrap();
            for fact in ["status", "duration", "direction"] {
                assert_eq!(
                    number_or_text(&known[fact]),
                    number_or_text(&happened[fact]),
                    "stored {fact} differs from {happened}"
                );
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
            assert_eq!((&phones["callee"], hears_only(call, HAS_ENDED)), (&Value::Null, true), "{call}");
        }
    }
}

fn hears_only(call: &Value, words: &str) -> bool {
    let caller = &call["phones"]["caller"];
    let heard = caller["heard"].as_array().unwrap();
    caller["connected"] == false && heard.len() == 1 && heard[0].as_str().unwrap().contains(words)
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

/// Vonage sends durations as strings.
fn number_or_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
