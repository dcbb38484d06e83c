//! What holds while parts fail: the whole flow, from renting numbers to a late call, with each single fault of Vonage's,
//! of DynamoDB's and of the webhooks in every step that it can befall, and with random mixtures of them.
//!
//! | variable | meaning |
//! |---|---|
//! | `MASKLINE_FAULT_MIXTURES` | how many random mixtures; 8 unless set |
//! | `MASKLINE_FAULT_SEED` | the seed of all of them, as a run names it; random unless set |
//! | `MASKLINE_FAULT_MIXTURE` | the only mixture to run, as a failure names it |
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

mod backend;
mod calls;
mod flow;
mod in_time;
mod kinds;
mod mixtures;
mod single;
mod threads;
#[allow(dead_code, reason = "other tests of many runs look at more")]
#[path = "../world/mod.rs"]
mod world;
