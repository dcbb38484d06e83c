//! Values and rules, without AWS and HTTP.

pub mod call;
pub mod call_handling;
pub mod call_limits;
pub mod caller_routes;
pub mod carrier_record;
pub mod choice;
pub mod conversation;
pub mod country;
pub mod guard;
pub mod hash;
pub mod judge;
pub mod missed_calls;
pub mod number_erasure;
pub mod order;
pub mod overlap;
pub mod peak_usage;
pub mod phone;
pub mod pool;
pub mod ready_pool;
pub mod retention;
pub mod route;
pub mod route_keys;
pub mod shortfall;
pub mod side;
pub mod text;
pub mod usage;
