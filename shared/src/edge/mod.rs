//! The edge of a function: Lambda, HTTP and telemetry.

pub mod http;
pub mod lambda;
pub mod telemetry;
pub mod view;
