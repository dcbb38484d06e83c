//! The laptop stack: the functions behind a gateway, an embedded DynamoDB and a simulator of Vonage, all in one process.
//! It also has what tests and the bench share. Nothing here is deployed.

mod aws_command;
pub mod commands;
mod connection;
pub mod console;
pub mod decision_backend;
pub mod demo;
pub mod deploy;
pub mod doctor;
pub mod dynamodb;
pub mod faults;
pub mod feed;
pub mod gateway;
pub mod load;
pub mod masked_call;
pub mod output;
pub mod reference;
pub mod restore;
pub mod runtime_api;
pub mod settings;
pub mod setup;
pub mod simulator;
pub mod stack;
pub mod trace;
pub mod traffic;
pub mod words;

/// Returns an HTTP client for services on this machine, which no proxy may handle.
pub fn loopback_client() -> reqwest::Client {
    shared::vonage::http_client(None).no_proxy().build().expect("the settings of the client go together")
}
