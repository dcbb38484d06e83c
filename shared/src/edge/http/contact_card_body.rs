//! The field of a body about contact cards.

use serde::Deserialize;

use super::Problem;
use crate::domain::contact_card::ContactCards;
use crate::domain::text::Label;

/// The names in the contact cards of a conversation.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContactCardBody {
    /// The name in the card of side A.
    #[serde(default)]
    a: Option<Label>,
    /// The name in the card of side B.
    #[serde(default)]
    b: Option<Label>,
    /// The brand in both. That of the deployment, if there is none.
    #[serde(default)]
    brand: Option<Label>,
}

impl TryFrom<ContactCardBody> for ContactCards {
    type Error = Problem;

    fn try_from(ContactCardBody { a, b, brand }: ContactCardBody) -> Result<Self, Problem> {
        if a.is_none() && b.is_none() {
            return Err(Problem::invalid("contact_card", "Must have a name in a, in b, or in both."));
        }
        Ok(Self { a, b, brand })
    }
}
