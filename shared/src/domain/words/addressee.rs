//! People to whom words are said.

use serde::{Deserialize, Serialize};

use crate::domain::language::Language;
use crate::domain::tenant::Owner;
use crate::domain::text::{Label, Reference};
use crate::domain::words::own_text::OwnTexts;

/// Facts on which the words for a caller depend, as far as the caller's route has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addressee {
    /// The owner of the conversation, who speaks.
    pub owner: Owner,
    /// The caller's language; that of the deployment, if there is none.
    pub language: Option<Language>,
    /// Names in spoken sentences, if there are such.
    pub names: Option<Box<Names>>,
    /// The words of the conversation for late callers, in place of the usual sentence.
    pub own: Option<OwnTexts>,
}

/// Names in the spoken sentences of a deployment. Serialized as the table stores them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// The name of the other participant.
    #[serde(default, deserialize_with = "Label::stored", skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// The client's own name for the conversation.
    #[serde(default, deserialize_with = "Reference::stored", skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
}
