//! Vonage: its HTTP API (feature `carrier`) and its webhooks (feature `webhooks`).

#[cfg(feature = "carrier")]
pub mod applications;
#[cfg(feature = "carrier")]
mod client;
#[cfg(feature = "webhooks")]
pub mod event;
#[cfg(feature = "carrier")]
pub mod number_insight;
#[cfg(feature = "carrier")]
pub mod numbers;
#[cfg(feature = "carrier")]
mod pace;
#[cfg(feature = "carrier")]
pub mod redact;
#[cfg(feature = "webhooks")]
mod ring_hmac;
#[cfg(feature = "webhooks")]
pub mod signature;
#[cfg(feature = "carrier")]
pub mod sms;
#[cfg(feature = "carrier")]
mod tries;

#[cfg(feature = "carrier")]
pub use client::{Vonage, VonageError, http_client};
