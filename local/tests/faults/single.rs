//! The flow under each single fault.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::flow::{self, Patience, Story};
use crate::kinds::{Asked, Target, hangs};
use crate::threads;

/// What a flow asks for in which nothing fails.
fn usual() -> Asked {
    let usual = Runtime::new().unwrap().block_on(flow::run(Patience::Long, &mut |_| Vec::new()));
    assert_eq!(usual.repeated, [""; 0]);
    usual.asked
}

/// Goes through the flow once for each target that is `meant` and each fault that can befall it. So often in a row, it
/// befalls every step that asks for the target. Gives the targets.
fn every(meant: &str, times: u32, check: impl Fn(&Target, &Value, &Story) + Sync) -> BTreeSet<Target> {
    let asked = usual();
    let targets: BTreeSet<_> = asked.values().flatten().filter(|target| target.0 == meant).cloned().collect();
    let flows: Vec<_> =
        targets.iter().flat_map(|target| target.faults().into_iter().map(move |fault| (target, fault))).collect();
    println!("{} flows: {targets:?}", flows.len());
    threads::all(flows, async |(target, fault): (&Target, Value)| {
        let told = Told(format!("{target} met {fault}, {times} times in a row"));
        let patience = if hangs(&fault) { Patience::Short } else { Patience::Long };
        let mut rules = |step: &'static str| {
            let is_asked = asked.get(step).is_some_and(|asked| asked.contains(target));
            if is_asked { vec![target.rule(&fault, 0, times)] } else { Vec::new() }
        };
        let story = flow::run(patience, &mut rules).await;
        check(target, &fault, &story);
        drop(told);
    });
    targets
}

/// Says in which flow a test failed.
struct Told(String);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("\nin the flow in which {}", self.0);
        }
    }
}

/// Whether what is sent to DynamoDB again does not go well either, but for what the fault only delays, or for what is out
/// of date and looked at again.
fn prevents(fault: &Value) -> bool {
    fault["kind"] != "delay" && fault["kind"] != "stale"
}

#[test]
fn the_flow_holds_whatever_befalls_an_endpoint_of_vonages() {
    let targets = every("path", 6, |_, fault, story| assert!(prevents(fault) || story.repeated.is_empty()));
    assert!(targets.len() >= 6, "{targets:?}");
}

#[test]
fn the_flow_holds_whatever_befalls_an_operation_of_dynamodbs() {
    let targets = every("operation", 12, |target, fault, story| {
        assert!(prevents(fault) || story.repeated.is_empty());
        // A caller is told to call again, at once, and then it works.
        if target.1 == "GetItem" && prevents(fault) {
            assert!(story.repeated.contains(&"rider calls"), "{:?}", story.repeated);
        }
    });
    assert!(targets.len() >= 4, "{targets:?}");
}

#[test]
fn the_flow_holds_whatever_befalls_a_webhook() {
    let targets = every("webhook", 100, |target, fault, story| {
        let kind = fault["kind"].as_str().unwrap();
        let no_answer = target.1 == "answer_url" && kind.starts_with("lose");
        assert_eq!(no_answer, !story.repeated.is_empty(), "{:?}", story.repeated);
        // Every leg is known to its end, in whatever order its events came, and however often; but for events that never do.
        let known = if target.1 == "event_url" && kind == "lose" { 0 } else { story.legs.placed };
        assert_eq!(story.legs.known_to_their_end, known, "{:?}", story.legs);
    });
    assert_eq!(targets.len(), 2, "{targets:?}");
}

#[tokio::test]
async fn a_text_that_fails_again_is_still_owed_and_sent_by_the_next_same_request() {
    let refused = Target::path("/sms/json").rule(&json!({"kind": "status", "status": 401}), 0, 2);
    let mut rules = |step: &'static str| if step.starts_with("create") { vec![refused.clone()] } else { Vec::new() };
    let story = flow::run(Patience::Long, &mut rules).await;
    assert_eq!(story.repeated, ["create again"]);
}

/// Lets each of these targets fail once in every step, in each of these ways, which nobody is to notice.
fn once(is_meant: impl Fn(&Target) -> bool + Sync, faults: Vec<Value>) {
    let asked = usual();
    threads::all(faults, async |fault: Value| {
        let told = Told(format!("each target met {fault}"));
        let mut rules = |step: &'static str| {
            let targets = asked.get(step).into_iter().flatten().filter(|target| is_meant(target));
            targets.map(|target| target.rule(&fault, 0, 1)).collect()
        };
        let story = flow::run(Patience::Long, &mut rules).await;
        assert_eq!(story.repeated, [""; 0]);
        drop(told);
    });
}

#[test]
fn nobody_notices_that_each_operation_of_dynamodbs_fails_once() {
    // An answer that is not DynamoDB's at all is no reason for the SDK to ask again, and a cancellation is of a transaction.
    let is_absorbed = |fault: &Value| !hangs(fault) && fault["kind"] != "not_json" && fault["kind"] != "cancelled";
    let faults = Target::operation("Query").faults().into_iter().filter(is_absorbed).collect();
    once(|target| target.0 == "operation", faults);
}

#[test]
fn nobody_notices_that_each_transaction_is_cancelled_once() {
    let faults = Target::operation("TransactWriteItems").faults();
    let faults = faults.into_iter().filter(|fault| fault["kind"] == "cancelled").collect();
    once(|target| target.1 == "TransactWriteItems", faults);
}

#[test]
fn nobody_notices_that_each_read_of_vonages_fails_once() {
    // What Vonage refuses for good, or for an hour, does not pass.
    let passes = |fault: &Value| {
        !hangs(fault) && fault["retry_after"] != 3600 && !matches!(fault["status"].as_u64(), Some(401 | 420))
    };
    let faults = Target::path("/ni/basic/json").faults().into_iter().filter(passes).collect();
    let reads = ["/ni/basic/json", "/number/search", "/account/numbers"];
    once(|target| reads.contains(&target.1.as_str()), faults);
}
