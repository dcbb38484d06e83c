//! The flow with one kind of fault at a time.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::fault_kinds::{RequestsByStep, Target, hangs};
use crate::flow::{self, FlowReport, Lookup, TimeLimits};
use crate::threads;

/// Runs the flow without faults. Returns the targets of each step.
fn targets_without_faults(lookup: Lookup) -> RequestsByStep {
    let report = Runtime::new().unwrap().block_on(flow::run(TimeLimits::Long, lookup, &mut |_| Vec::new()));
    assert_eq!(report.repeated, [""; 0]);
    report.requests
}

/// Runs the flow once for each target of this type and each fault that applies to it. `times` is so large that the
/// fault occurs in every step that uses the target. Returns the targets.
fn each_target(
    kind_of_target: &str,
    times: u32,
    check: impl Fn(&Target, &Value, &FlowReport) + Sync,
) -> BTreeSet<Target> {
    each_target_that(Lookup::STRICT, |target| target.0 == kind_of_target, times, check)
}

/// Like [`each_target`], with another lookup, for the targets that `is_meant` accepts.
fn each_target_that(
    lookup: Lookup,
    is_meant: impl Fn(&Target) -> bool,
    times: u32,
    check: impl Fn(&Target, &Value, &FlowReport) + Sync,
) -> BTreeSet<Target> {
    let requests = targets_without_faults(lookup);
    let targets: BTreeSet<_> = requests.values().flatten().filter(|target| is_meant(target)).cloned().collect();
    let flows: Vec<_> =
        targets.iter().flat_map(|target| target.faults().into_iter().map(move |fault| (target, fault))).collect();
    println!("{} flows: {targets:?}", flows.len());
    threads::all(flows, async |(target, fault): (&Target, Value)| {
        let context = FailureContext(format!("{target} gets {fault}, {times} times in a row"));
        let limits = if hangs(&fault) { TimeLimits::Short } else { TimeLimits::Long };
        let mut rules = |step: &'static str| {
            let is_used = requests.get(step).is_some_and(|requests| requests.contains(target));
            if is_used { vec![target.rule(&fault, 0, times)] } else { Vec::new() }
        };
        let report = flow::run(limits, lookup, &mut rules).await;
        check(target, &fault, &report);
        drop(context);
    });
    targets
}

/// Prints the flow in which a test failed.
struct FailureContext(String);

impl Drop for FailureContext {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("\nthis flow failed: {}", self.0);
        }
    }
}

/// True if the request fails in spite of its retries. A delay only takes time, and a stale read is repeated.
fn causes_failure(fault: &Value) -> bool {
    fault["kind"] != "delay" && fault["kind"] != "stale"
}

#[test]
fn flow_survives_each_fault_of_each_vonage_endpoint() {
    let targets =
        each_target("path", 6, |_, fault, report| assert!(causes_failure(fault) || report.repeated.is_empty()));
    assert!(targets.len() >= 6, "{targets:?}");
}

#[test]
fn flow_survives_each_fault_of_identity_insights() {
    for when_it_fails in ["refuse", "accept"] {
        let lookup = Lookup { judge: "identity-insights", when_it_fails };
        let is_meant = |target: &Target| target.1 == "/identity-insights/v1/requests";
        let targets = each_target_that(lookup, is_meant, 6, |_, fault, report| {
            let is_ours = matches!(fault["status"].as_u64(), Some(401 | 420));
            let fails = is_ours || when_it_fails == "refuse" && causes_failure(fault);
            // With short limits a slow machine can cause a repetition.
            assert!(fails || hangs(fault) || report.repeated.is_empty(), "{:?}", report.repeated);
            assert!(!is_ours || report.repeated.contains(&"create"), "{:?}", report.repeated);
        });
        assert_eq!(targets.len(), 1, "{targets:?}");
    }
}

#[test]
fn flow_survives_each_fault_of_each_dynamodb_operation() {
    let targets = each_target("operation", 12, |target, fault, report| {
        assert!(causes_failure(fault) || report.repeated.is_empty());
        // The caller hears the fallback and calls again.
        if target.1 == "GetItem" && causes_failure(fault) {
            assert!(report.repeated.contains(&"rider calls"), "{:?}", report.repeated);
        }
    });
    assert!(targets.len() >= 4, "{targets:?}");
}

#[test]
fn flow_survives_each_fault_of_each_webhook() {
    let targets = each_target("webhook", 100, |target, fault, report| {
        let kind = fault["kind"].as_str().unwrap();
        // Each attempt meets the fault, the second one of the same call too.
        let no_answer = target.1 == "answer_url" && ["lose", "lose_answer", "unsigned"].contains(&kind);
        assert_eq!(no_answer, !report.repeated.is_empty(), "{:?}", report.repeated);
        // The final status of every leg is known in whatever order its events arrive. The exception are lost events.
        let known = if target.1 == "event_url" && kind == "lose" { 0 } else { report.legs.placed };
        assert_eq!(report.legs.finished, known, "{:?}", report.legs);
    });
    assert_eq!(targets.len(), 2, "{targets:?}");
}

#[tokio::test]
async fn replay_sends_a_text_that_failed_twice() {
    let refused = Target::path("/sms/json").rule(&json!({"kind": "status", "status": 401}), 0, 2);
    let mut rules = |step: &'static str| if step.starts_with("create") { vec![refused.clone()] } else { Vec::new() };
    let report = flow::run(TimeLimits::Long, Lookup::STRICT, &mut rules).await;
    assert_eq!(report.repeated, ["create again"]);
}

/// Injects each fault once into each target of every step. No request of the backend may fail.
fn once_in_every_step(applies: impl Fn(&Target) -> bool + Sync, faults: Vec<Value>) {
    let requests = targets_without_faults(Lookup::STRICT);
    threads::all(faults, async |fault: Value| {
        let context = FailureContext(format!("each target gets {fault} once"));
        let mut rules = |step: &'static str| {
            let targets = requests.get(step).into_iter().flatten().filter(|target| applies(target));
            targets.map(|target| target.rule(&fault, 0, 1)).collect()
        };
        let report = flow::run(TimeLimits::Long, Lookup::STRICT, &mut rules).await;
        assert_eq!(report.repeated, [""; 0]);
        drop(context);
    });
}

#[test]
fn single_failures_of_dynamodb_are_hidden() {
    // The SDK does not retry an answer that is not JSON, and only transactions can be cancelled.
    let is_hidden = |fault: &Value| !hangs(fault) && fault["kind"] != "not_json" && fault["kind"] != "cancelled";
    let faults = Target::operation("Query").faults().into_iter().filter(is_hidden).collect();
    once_in_every_step(|target| target.0 == "operation", faults);
}

#[test]
fn single_cancellations_of_transactions_are_hidden() {
    let faults = Target::operation("TransactWriteItems").faults();
    let faults = faults.into_iter().filter(|fault| fault["kind"] == "cancelled").collect();
    once_in_every_step(|target| target.1 == "TransactWriteItems", faults);
}

#[test]
fn single_failures_of_reads_at_vonage_are_hidden() {
    // These refusals are final, or last for an hour.
    let passes = |fault: &Value| {
        !hangs(fault) && fault["retry_after"] != 3600 && !matches!(fault["status"].as_u64(), Some(401 | 420))
    };
    let faults = Target::path("/ni/basic/json").faults().into_iter().filter(passes).collect();
    let reads = ["/ni/basic/json", "/number/search", "/account/numbers"];
    once_in_every_step(|target| reads.contains(&target.1.as_str()), faults);
}
