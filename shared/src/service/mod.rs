//! Use cases: each joins the domain with the table and the carrier.

pub mod announce;
mod at_once;
pub mod backend_decisions;
pub mod call_steps;
pub mod create;
pub mod demand;
pub mod explain;
pub mod forget;
pub mod hang_up;
pub mod heal;
pub mod late_calls;
pub mod pace;
pub mod pin_calls;
pub mod place_call;
pub mod pool_cache;
pub mod provision;
pub mod recordings;
pub mod redact;
pub mod relay_texts;
pub mod restore;
pub mod retention;
pub mod safety_key;
mod scan_run;
pub mod speak;
pub mod update;
pub mod verify_number;
pub mod warn;
