//! The flow under each single fault.

use std::collections::BTreeSet;

use serde_json::Value;
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

#[test]
fn the_flow_holds_whatever_befalls_an_endpoint_of_vonages() {
    let targets = every("path", 6, |_, _, _| {});
    assert!(targets.len() >= 6, "{targets:?}");
}

#[test]
fn the_flow_holds_whatever_befalls_an_operation_of_dynamodbs() {
    let targets = every("operation", 12, |_, _, _| {});
    assert!(targets.len() >= 5, "{targets:?}");
}

#[test]
fn the_flow_holds_whatever_befalls_a_webhook() {
    let targets = every("webhook", 100, |_, _, _| {});
    assert_eq!(targets.len(), 2, "{targets:?}");
}
