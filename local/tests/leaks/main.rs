//! Nothing leaks: everything that the system says while all goes well and while everything fails is searched for the real
//! numbers that went in. Log lines at the most talkative level, errors, texts, NCCOs, requests to Vonage, and the table.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

mod failures;
mod laptop;
mod sandbox;
mod story;
mod webhooks;
