//! Use cases: each joins the domain with the table and the carrier.

pub mod create;
pub mod demand;
pub mod provision;
pub mod redact;
pub mod update;
pub mod verify_number;
