//! The flow with random combinations of faults.

use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;

use fastrand::Rng;
use serde_json::Value;

use crate::fault_kinds::Target;
use crate::flow::{self, Lookup, TimeLimits};
use crate::threads;

const MIXTURES: u64 = 8;

/// Most rules for one step.
const MOST_RULES: usize = 4;

#[test]
fn flow_survives_random_combinations_of_faults() {
    let seed = variable("MASKLINE_FAULT_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    let mixtures = match variable("MASKLINE_FAULT_MIXTURE") {
        Some(only) => vec![only],
        None => (0..variable("MASKLINE_FAULT_MIXTURES").unwrap_or(MIXTURES)).collect(),
    };
    println!("{} random combinations (MASKLINE_FAULT_SEED={seed})", mixtures.len());
    threads::all(mixtures, async |mixture: u64| {
        let context = FailureContext { seed, mixture, steps: Vec::new() };
        run(context).await;
    });
}

async fn run(mut context: FailureContext) {
    let mut rng = Rng::with_seed(context.seed ^ context.mixture.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let judge = ["number-insight", "identity-insights"][rng.usize(..2)];
    let lookup = Lookup { judge, when_it_fails: ["accept", "refuse"][rng.usize(..2)] };
    let mut rules = |step: &'static str| {
        let rules: Vec<Value> = (0..rng.usize(..=MOST_RULES)).map(|_| rule(&mut rng)).collect();
        context.steps.push((step, rules.clone()));
        rules
    };
    flow::run(TimeLimits::Short, lookup, &mut rules).await;
}

fn rule(rng: &mut Rng) -> Value {
    let target = &targets()[rng.usize(..targets().len())];
    let faults = target.faults();
    target.rule(&faults[rng.usize(..faults.len())], rng.u32(..4), rng.u32(1..8))
}

fn targets() -> Vec<Target> {
    let lookups = ["/ni/basic/json", "/identity-insights/v1/requests"];
    let paths = ["/number/search", "/number/buy", "/number/update", "/account/numbers", "/sms/json", "*"];
    let operations = ["GetItem", "Query", "UpdateItem", "TransactWriteItems", "*"];
    let webhooks = ["answer_url", "fallback_answer_url", "event_url", "event_url"];
    let paths = paths.into_iter().chain(lookups).map(Target::path);
    paths.chain(operations.map(Target::operation)).chain(webhooks.map(Target::webhook)).collect()
}

/// Prints the combination of a failed test.
struct FailureContext {
    seed: u64,
    mixture: u64,
    steps: Vec<(&'static str, Vec<Value>)>,
}

impl Drop for FailureContext {
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
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}
