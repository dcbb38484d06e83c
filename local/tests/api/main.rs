//! The functions behind the gateway, with the table and the simulated carrier, over real sockets.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]

mod answer;
mod calls_pages;
mod capacity;
mod change_events;
mod choice;
mod configuration;
mod conversations;
mod costs;
mod create;
mod erase;
mod events;
mod forget;
mod healing;
mod hubs;
mod idempotency;
mod large_pool;
mod limits;
mod lookup;
mod missed_calls;
mod on_demand;
mod one_way;
mod operations;
mod orders;
mod people;
mod pipe;
mod provision;
mod retention;
mod stale;
mod template;
mod transactions;
mod unreadable;
mod update;
mod upkeep;
mod usage;
mod words;
