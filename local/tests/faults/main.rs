//! Fault tests. They run the whole flow, from renting numbers to a late call, with each fault of Vonage, DynamoDB and
//! the webhooks in every step that it applies to, and with random combinations of faults.
//!
//! | variable | meaning |
//! |---|---|
//! | `MASKLINE_FAULT_MIXTURES` | number of random combinations; default 8 |
//! | `MASKLINE_FAULT_SEED` | seed of all combinations, as a run prints it; default random |
//! | `MASKLINE_FAULT_MIXTURE` | runs only this combination, as a failure prints it |
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

mod answer_checks;
mod calls;
mod fault_kinds;
mod flow;
mod one_fault;
mod random_faults;
mod slow_table;
mod threads;
mod timeouts;
