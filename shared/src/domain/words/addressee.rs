//! People to whom words are said.

use crate::domain::language::Language;
use crate::domain::text::{Label, Reference};

/// What the words for a caller depend on, as far as the caller's route has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addressee {
    /// The caller's language; that of the deployment, if there is none.
    pub language: Option<Language>,
    /// The name of the other participant, if spoken sentences have it.
    pub label: Option<Label>,
    /// The client's own name for the conversation, if spoken sentences have it.
    pub reference: Option<Reference>,
}
