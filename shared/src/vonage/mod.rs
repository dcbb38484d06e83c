//! Vonage: clients of its HTTP APIs, and its webhooks.

pub mod applications;
pub mod event;
pub mod ncco;
pub mod number_insight;
pub mod numbers;
pub mod redact;
pub mod signature;
pub mod sms;

mod client;
mod error;
mod hs256;
mod rate_limit;
mod retry;

pub use client::{Vonage, http_client};
pub use error::{DecodeError, VonageError};
