//! Maskline: masked calling.
//!
//! Each of two people gets a virtual number for the other one. A call to it reaches the other person's phone, and nobody
//! sees a real number. After the end of the conversation the virtual numbers no longer work for these two people.
//!
//! The folders are layers. Each layer uses only the layers below it:
//!
//! | layer | contents |
//! |---|---|
//! | [`edge`] | Lambda, HTTP and telemetry |
//! | [`service`] | use cases: create, update, provision, heal, forget, redact, restore, recordings |
//! | [`invoke`], [`event_bus`], [`event_archive`], [`delivery_queue`] | other functions; the EventBridge bus and its archive; the queue of events for the backend |
//! | [`recording_files`], [`backend`], [`event_receiver`] | the files of recordings; the deployment's backend, which decides and gets events |
//! | [`store`], [`vonage`] | the DynamoDB table; the Vonage client |
//! | [`config`], [`clock`], [`xray`] | environment variables; the time; traces |
//! | [`domain`] | values and rules, without AWS and HTTP |

pub mod aws_request;
pub mod backend;
pub mod clock;
pub mod config;
pub mod delivery_queue;
pub mod domain;
pub mod edge;
pub mod event_archive;
pub mod event_bus;
pub mod event_receiver;
pub mod invoke;
pub mod recording_files;
mod retry;
pub mod service;
mod standard_webhooks;
pub mod store;
pub mod vonage;
pub mod xray;
