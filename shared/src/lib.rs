//! Maskline: masked calling.
//!
//! Two people who need to talk each get a virtual number for the other; calls to it reach the other's real phone, neither
//! sees a real number, and when the conversation ends the numbers stop working for them.
//!
//! The domain ([`phone`], [`country`], [`conversation`], [`route`], [`ncco`], [`pool`], [`call`]) knows neither AWS nor
//! HTTP. Around it stand the table ([`store`]), the carrier ([`vonage`]) and the edge ([`http`], [`lambda`]). What is
//! heavy sits behind a feature, so that a function which only reads the table links no HTTP client:
//!
//! | feature | brings |
//! |---|---|
//! | `carrier` | Vonage's API, and with it renting numbers and redacting records |
//! | `written-numbers` | reading numbers as people write them, and with it creating and changing conversations |
//! | `webhooks` | reading and verifying Vonage's webhooks |
//! | `schema` | creating the table, for the laptop and for tests |

mod backoff;
pub mod call;
pub mod call_limits;
#[cfg(feature = "written-numbers")]
pub mod callable;
pub mod caller;
pub mod carrier_record;
pub mod choice;
pub mod clock;
pub mod config;
pub mod conversation;
pub mod country;
#[cfg(feature = "written-numbers")]
pub mod creation;
pub mod high_water;
pub mod http;
pub mod lambda;
pub mod ncco;
#[cfg(feature = "written-numbers")]
mod numbering_plan;
#[cfg(feature = "written-numbers")]
pub mod participant_number;
pub mod phone;
pub mod pool;
#[cfg(feature = "carrier")]
pub mod provisioning;
#[cfg(feature = "carrier")]
pub mod redaction;
pub mod route;
pub mod store;
pub mod telemetry;
#[cfg(feature = "written-numbers")]
pub mod update;
pub mod view;
pub mod vonage;
#[cfg(feature = "written-numbers")]
pub mod written_number;
