//! The Vonage simulator over real sockets, as a client of Vonage and as an application with webhooks see it.
#![allow(clippy::unwrap_used, reason = "a test that misses a value fails")]
mod account;
mod application;
mod by_hand;
mod calls;
mod faults;
mod identity;
mod insight;
mod keys;
mod live;
mod messages;
mod messages_api;
mod numbers;
mod recordings;
mod redact;
mod rest;
mod support;
mod synchronous;
mod texts;
mod webhooks;
mod whisper;
