//! The search for leaks: all output of the system, in success and in failure, is searched for the real numbers that went
//! in. It covers log lines at the most verbose level, errors, text messages, NCCOs, requests to Vonage, and the table.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

mod failures;
mod laptop;
mod reveal;
mod sandbox;
mod statistics;
mod story;
mod texts;
mod webhooks;
