//! Crash tests. A run crashes before or after any single request that it sends, gets a failure from Vonage, or has a table
//! that fails from then on. Then it runs again. The account owns the numbers that were ordered, nothing is lost, and no text message
//! is sent twice.
//!
//! | variable | meaning |
//! |---|---|
//! | `MASKLINE_TEST_MISHAPS` | 1: one fault in a story; 2: every pair of faults in two runs; default: some faults, by chance |
//! | `MASKLINE_CRASH_SEED` | seed of the second faults, as a failure prints it; default random |
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

mod conversations;
mod decision_urls;
mod erasure;
mod events;
mod healing;
mod live_calls;
mod missed_calls;
mod numbers;
mod pace;
mod phones;
mod pins;
mod placed_calls;
mod proxy;
mod recordings;
mod restore;
mod scenario;
mod sliding_end;
mod texts;
mod usage;
