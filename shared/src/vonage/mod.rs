//! Vonage: its HTTP API (feature `carrier`) and its webhooks (feature `webhooks`).
pub mod applications;
mod client;
pub mod event;
pub mod ncco;

mod hs256;
pub mod number_insight;
pub mod numbers;
mod rate_limit;
pub mod redact;
mod retry;
pub mod signature;
pub mod sms;
pub use client::{Vonage, VonageError, http_client};
