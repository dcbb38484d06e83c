//! The edge of a function: Lambda, HTTP and telemetry.

pub mod deadline;
pub mod function;
pub mod http;
pub mod request_log;
pub mod telemetry;
pub mod view;
