//! The laptop stack: the functions behind a gateway, an embedded DynamoDB, and a simulator of Vonage, all in one
//! process; and what tests and the bench need besides. Nothing here is deployed.

mod connection;
pub mod demo;
pub mod dynamodb;
pub mod faults;
pub mod gateway;
pub mod masked_call;
pub mod runtime_api;
pub mod simulator;
pub mod stack;
pub mod traffic;

/// An HTTP client for the services on this machine: no proxy leads there.
pub fn loopback_client() -> reqwest::Client {
    shared::vonage::http_client(None).no_proxy().build().expect("the settings of the client go together")
}
