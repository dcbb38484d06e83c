//! Model test. It runs random creations, ends, changes, drains, calls, crashes and waits on the real store over the
//! embedded DynamoDB. After every step it compares the whole table with a model made of plain maps.
//!
//! | variable | meaning |
//! |---|---|
//! | `MASKLINE_MODEL_STEPS` | number of steps in all cases together; default 1500 |
//! | `MASKLINE_MODEL_SEED` | seed of all cases, as a failure prints it; default random |
//! | `MASKLINE_MODEL_CASE` | runs only this case, as a failure prints it |
//! | `MASKLINE_TEST_DYNAMODB_URL` | a DynamoDB Local in place of the embedded DynamoDB |
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

mod actions;
mod answer;
mod attempts;
mod carrier;
mod case;
mod changes;
mod checks;
mod choosing;
mod connection;
mod coverage;
mod database;
mod decisions;
mod destinations;
mod expectations;
mod forgetting;
mod hang_up;
mod healing;
mod late;
mod legs;
mod lists;
mod missed_calls;
mod model;
mod on_write;
mod orders;
mod owners;
mod peak_usage;
mod phones;
mod pin_checks;
mod pin_steps;
mod pins;
mod placing;
mod pool;
mod recordings;
mod restore;
mod retention;
mod safety;
mod scenario;
mod slides;
mod sms_checks;
mod stale;
mod steps;
mod system;
mod table;
mod teams;
mod texting;
mod voice;

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use tokio::runtime::Builder;

use crate::case::Case;
use crate::coverage::Coverage;
use crate::scenario::Scenario;
use crate::steps::{MOST_STEPS, Step};

const STEPS: u64 = 1_500;

/// Number of steps from which a run must produce each kind of step with each outcome.
const LARGE: u64 = 50_000;

#[test]
fn table_agrees_with_the_model_after_every_step() {
    let steps = variable("MASKLINE_MODEL_STEPS").unwrap_or(STEPS);
    let seed = variable("MASKLINE_MODEL_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    let only: Option<u64> = variable("MASKLINE_MODEL_CASE");
    let start = Instant::now();
    let run = Run { seed, steps, only, ..Run::default() };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            // Futures are large in a build without optimization.
            let thread = std::thread::Builder::new().stack_size(32 << 20);
            thread.spawn_scoped(scope, || run.work()).unwrap();
        }
    });
    let (taken, coverage) = (run.taken.into_inner(), run.coverage.into_inner().unwrap());
    println!("{coverage}\n{taken} steps in {:.1} s (MASKLINE_MODEL_SEED={seed})", start.elapsed().as_secs_f64());
    if let Some(failure) = run.failure.into_inner().unwrap() {
        panic!("{failure}");
    }
    if taken >= LARGE {
        coverage.assert_all_occurred();
    }
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

/// State that the threads share. Each thread runs its own cases, and each case has its own database.
#[derive(Default)]
struct Run {
    seed: u64,
    steps: u64,
    only: Option<u64>,
    next: AtomicU64,
    taken: AtomicU64,
    failed: AtomicBool,
    failure: Mutex<Option<String>>,
    coverage: Mutex<Coverage>,
}

impl Run {
    fn work(&self) {
        while !self.failed.load(Ordering::Relaxed) && self.taken.load(Ordering::Relaxed) < self.steps {
            let case = self.next.fetch_add(1, Ordering::Relaxed);
            match self.only {
                Some(_) if case > 0 => return,
                Some(only) => self.run_case(only),
                None => self.run_case(case),
            }
        }
    }

    fn run_case(&self, case: u64) {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8..16].copy_from_slice(&case.to_le_bytes());
        let config = Config { cases: 1, failure_persistence: None, max_shrink_time: 60_000, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
        let steps = prop::collection::vec(Step::any(), 1..=MOST_STEPS);
        let failed: RefCell<Option<(Scenario, Vec<Step>, String)>> = RefCell::default();
        let outcome = runner.run(&(Scenario::any(), steps), |(scenario, steps)| {
            // Steps after the failed one never ran. Removing them cannot make the case smaller.
            if let Some((failed_in, reached, report)) = &*failed.borrow()
                && scenario == *failed_in
                && steps.starts_with(reached)
            {
                return Err(TestCaseError::fail(report.clone()));
            }
            fastrand::seed(case);
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            match runtime.block_on(Case::run(&scenario, &steps)) {
                Ok(coverage) => {
                    self.taken.fetch_add(steps.len() as u64, Ordering::Relaxed);
                    self.coverage.lock().unwrap().add(coverage);
                    Ok(())
                }
                Err(failure) => {
                    self.failed.store(true, Ordering::Relaxed);
                    *failed.borrow_mut() = Some((scenario, steps[..failure.steps].to_vec(), failure.report.clone()));
                    Err(TestCaseError::fail(failure.report))
                }
            }
        });
        if let Err(TestError::Fail(report, _) | TestError::Abort(report)) = outcome {
            let report = format!("MASKLINE_MODEL_SEED={} MASKLINE_MODEL_CASE={case}\n{report}", self.seed);
            self.failure.lock().unwrap().get_or_insert(report);
        }
    }
}
