//! Callers who reach no other participant: strangers, and late callers of a conversation that is over.

use serde::{Deserialize, Serialize};

use crate::domain::conversation::ConversationId;
use crate::domain::language::Language;
use crate::domain::phone::VirtualNumber;

/// A call of a stranger or a late caller, as it is told to the backend. It does not say who calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrangersCall {
    /// The dialled number.
    pub dialled: VirtualNumber,
    /// The conversation that is over, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<ConversationId>,
    /// The kind of the caller.
    pub caller: Stranger,
    /// The language of the words.
    pub language: Language,
}

/// A kind of callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stranger {
    /// The conversation of this caller and this number is over.
    Late,
    /// The caller has no conversation by this number.
    Unknown,
    /// The number of the caller is hidden or cannot be read.
    Hidden,
}
