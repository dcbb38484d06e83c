//! The people of a load, and when each conversation begins.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::Arguments;

/// Calls in each conversation: one from each side.
const CALLS: u32 = 2;

/// Phones that each of the two beginnings has. Nobody has them: the simulator calls no real phone.
const PHONES: u32 = 1_000_000;

/// The requests of a load, each with its time.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) conversations: u32,
    run: Uuid,
    /// Time from one call to the next.
    between_calls: Duration,
    drivers: u32,
    /// The first phone, another one in each run, because those of earlier runs are in quarantine.
    first: u32,
}

impl Plan {
    pub(super) fn new(arguments: &Arguments, run: Uuid) -> Self {
        Self {
            conversations: arguments.conversations,
            run,
            between_calls: Duration::from_secs_f64(1.0 / arguments.calls_per_second),
            drivers: arguments.conversations.div_ceil(arguments.per_driver),
            first: (run.as_u128() % u128::from(PHONES)) as u32,
        }
    }

    /// Returns the time from the begin of the load to the creation of a conversation, and to its first call.
    pub(super) fn begins(&self, conversation: u32) -> Duration {
        self.between_calls * CALLS * conversation
    }

    /// Returns the time from the creation of a conversation to a call of one of its sides.
    pub(super) fn calls(&self, side: usize) -> Duration {
        self.between_calls * side as u32
    }

    /// Returns the request for a conversation. Its driver has others too, and its rider has none.
    pub(super) fn request(&self, conversation: u32) -> Value {
        let phone = |beginning: u32, nth: u32| format!("+44{beginning}{:06}", (self.first + nth) % PHONES);
        let (rider, driver) = (phone(7400, conversation), phone(7401, conversation % self.drivers));
        json!({"participants": [{"number": rider}, {"number": driver}], "notify": false, "reference": "maskline load"})
    }

    /// Returns the key that makes the request once only.
    pub(super) fn key(&self, conversation: u32) -> String {
        format!("load-{}-{conversation}", self.run)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn plan(conversations: u32, per_driver: u32) -> Plan {
        let arguments = Arguments {
            conversations,
            calls_per_second: 50.0,
            per_driver,
            numbers: None,
            url: None,
            own: false,
            json: false,
            plot: None,
        };
        Plan::new(&arguments, Uuid::from_u128(999_990))
    }

    #[test]
    fn each_rider_has_one_conversation_and_no_driver_too_many() {
        let plan = plan(100, 7);
        let (mut riders, mut drivers) = (BTreeMap::new(), BTreeMap::new());
        for nth in 0..100 {
            let request = plan.request(nth);
            *riders.entry(request["participants"][0]["number"].to_string()).or_insert(0) += 1;
            *drivers.entry(request["participants"][1]["number"].to_string()).or_insert(0) += 1;
        }
        assert!(riders.len() == 100 && riders.contains_key("\"+447400000089\""), "{riders:?}");
        assert_eq!(drivers.len(), 15);
        assert!(drivers.values().all(|count| (6..=7).contains(count)), "{drivers:?}");
    }

    #[test]
    fn calls_begin_at_the_pace_that_was_asked_for() {
        let plan = plan(100, 20);
        let calls = (0..100).flat_map(|nth| [0, 1].map(|side| plan.begins(nth) + plan.calls(side)));
        let times: Vec<_> = calls.collect();
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == Duration::from_millis(20)), "{times:?}");
    }
}
