//! A call that waits for its turn, as it is sent to Vonage and comes back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::conversation::ConversationId;

/// A call that waits for its turn. `A` is an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingCall<A> {
    /// The conversation, if it is a call of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<ConversationId>,
    /// The connection, and the actions after it.
    pub then: Vec<A>,
    /// The words for a longer wait.
    pub hold: A,
    /// The words for a call that is not connected.
    pub too_many: A,
    /// The turn, if the call has taken it, as the words for a longer wait come first.
    #[serde(
        default,
        with = "jiff::fmt::serde::timestamp::millisecond::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub turn_at: Option<Timestamp>,
}
