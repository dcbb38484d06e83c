//! Crash tests. A run crashes before or after any single request that it sends, or gets a failure from Vonage. Then it
//! runs again. The account owns the numbers that were ordered, nothing is lost, and no text message is sent twice.
//!
//! | variable | meaning |
//! |---|---|
//! | `MASKLINE_TEST_MISHAPS` | number of consecutive runs that get a fault; default 1 |
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

mod conversations;
mod erasure;
mod events;
mod numbers;
mod proxy;
mod scenario;
