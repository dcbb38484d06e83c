//! The laptop stack: the functions behind a gateway, an embedded DynamoDB, and a simulator of Vonage, all in one
//! process. Nothing here is deployed.

pub mod demo;
pub mod dynamodb;
pub mod gateway;
pub mod simulator;
pub mod stack;
