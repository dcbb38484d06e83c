//! Maskline: masked calling.
//!
//! Two people who need to talk each get a virtual number for the other; calls to it reach the other's real phone, neither
//! sees a real number, and when the conversation ends the numbers stop working for them.
//!
//! The folders are layers, and each uses only those below it:
//!
//! | layer | holds |
//! |---|---|
//! | [`edge`] | Lambda, HTTP and telemetry |
//! | [`service`] | use cases: create, update, provision, redact |
//! | [`store`], [`vonage`] | the DynamoDB table; the carrier |
//! | [`config`], [`clock`] | environment variables; the time |
//! | [`domain`] | values and rules; knows neither AWS nor HTTP |

pub mod clock;
pub mod config;
pub mod domain;
pub mod edge;
mod retry;
pub mod service;
pub mod store;
pub mod vonage;
