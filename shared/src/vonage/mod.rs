//! Vonage: clients of its HTTP APIs, and its webhooks.

pub mod application;
pub mod application_token;
pub mod applications;
pub mod call_steps;
pub mod call_urls;
pub mod calls;
pub mod carrier_lookup;
pub mod event;
pub mod identity_insights;
pub mod message_event;
pub mod message_signature;
pub mod ncco;
pub mod number_insight;
pub mod number_lookup;
pub mod numbers;
pub mod pace_steps;
pub mod pin_steps;
pub mod public_key;
pub mod record_event;
pub mod recordings;
pub mod redact;
pub mod signature;
pub mod step_event;
pub mod texts;
pub mod waiting_call;

mod amount;
mod client;
mod error;
mod hs256;
mod messages;
mod rate_limit;
mod retry;
mod sms;
mod time;

pub use client::{Vonage, http_client};
pub use error::{DecodeError, VonageError};
