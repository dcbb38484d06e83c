//! The decision URL of a conversation: an address of the backend, which decides about each of its calls.

use serde::{Deserialize, Serialize};

/// A decision URL, as the API takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionUrl {
    /// The address. The deployment allows it.
    pub url: String,
    /// The fate of a call about which the backend gives no answer.
    pub on_failure: OnFailure,
}

/// The fate of a call about which the backend gives no answer, or none that is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// It is connected like any other call.
    Connect,
    /// The caller hears that the other person is not available.
    Refuse,
}
