//! Functions that die before or after any single request that they send, or are told that Vonage failed, and are then
//! run again: the numbers owned equal the numbers ordered, nothing is lost, and no text is sent twice.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

mod conversations;
mod erasure;
mod events;
mod numbers;
mod story;
mod wire;
#[path = "../world/mod.rs"]
mod world;
