//! The flow under random mixtures of all faults.

use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;

use fastrand::Rng;
use serde_json::Value;

use crate::flow::{self, Patience};
use crate::kinds::Target;
use crate::threads;

const MIXTURES: u64 = 8;

/// The most rules for one step.
const MOST_RULES: usize = 4;

#[test]
fn the_flow_holds_under_random_mixtures_of_faults() {
    let seed = variable("MASKLINE_FAULT_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    let mixtures = match variable("MASKLINE_FAULT_MIXTURE") {
        Some(only) => vec![only],
        None => (0..variable("MASKLINE_FAULT_MIXTURES").unwrap_or(MIXTURES)).collect(),
    };
    println!("{} mixtures (MASKLINE_FAULT_SEED={seed})", mixtures.len());
    threads::all(mixtures, async |mixture: u64| {
        let told = Told { seed, mixture, steps: Vec::new() };
        run(told).await;
    });
}

async fn run(mut told: Told) {
    let mut rng = Rng::with_seed(told.seed ^ told.mixture.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut rules = |step: &'static str| {
        let rules: Vec<Value> = (0..rng.usize(..=MOST_RULES)).map(|_| rule(&mut rng)).collect();
        told.steps.push((step, rules.clone()));
        rules
    };
    flow::run(Patience::Short, &mut rules).await;
}

fn rule(rng: &mut Rng) -> Value {
    let target = &targets()[rng.usize(..targets().len())];
    let faults = target.faults();
    target.rule(&faults[rng.usize(..faults.len())], rng.u32(..4), rng.u32(1..8))
}

fn targets() -> Vec<Target> {
    let paths =
        ["/number/search", "/number/buy", "/number/update", "/account/numbers", "/ni/basic/json", "/sms/json", "*"];
    let operations = ["GetItem", "Query", "UpdateItem", "TransactWriteItems", "*"];
    let webhooks = ["answer_url", "fallback_answer_url", "event_url", "event_url"];
    let paths = paths.map(Target::path).into_iter();
    paths.chain(operations.map(Target::operation)).chain(webhooks.map(Target::webhook)).collect()
}

/// Says which mixture failed, and what it was.
struct Told {
    seed: u64,
    mixture: u64,
    steps: Vec<(&'static str, Vec<Value>)>,
}

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("\nMASKLINE_FAULT_SEED={} MASKLINE_FAULT_MIXTURE={}", self.seed, self.mixture);
            for (step, rules) in &self.steps {
                eprintln!("{step}: {}", Value::from(rules.clone()));
            }
        }
    }
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}
