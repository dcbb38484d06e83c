//! Many runs at once, in several sandboxes each with a memory of its own, against few numbers: no key is given out
//! twice, every refusal is justified, and the pool is fully used.
//!
//! On the embedded DynamoDB, or on the one that `MASKLINE_TEST_DYNAMODB_URL` names. Each race is run
//! `MASKLINE_TEST_ROUNDS` times.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

mod changes;
mod creations;
mod renting;
mod sandboxes;
#[path = "../world/mod.rs"]
mod world;
