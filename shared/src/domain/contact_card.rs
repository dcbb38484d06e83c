//! Contact cards: a participant saves the number that masks the other one under a name. A call from it then shows the name, and
//! screening of unknown callers lets it through.

use serde::{Deserialize, Serialize};

use crate::domain::phone::VirtualNumber;
use crate::domain::side::Side;
use crate::domain::text::Label;
use crate::domain::vcard::vcard;

/// The names in the cards of a conversation. Serialized as the table stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactCards {
    /// The name in the card of side A: that of side B there.
    #[serde(default, deserialize_with = "Label::stored", skip_serializing_if = "Option::is_none")]
    pub a: Option<Label>,
    /// The name in the card of side B.
    #[serde(default, deserialize_with = "Label::stored", skip_serializing_if = "Option::is_none")]
    pub b: Option<Label>,
    /// The brand in both cards.
    #[serde(default, deserialize_with = "Label::stored", skip_serializing_if = "Option::is_none")]
    pub brand: Option<Label>,
}

impl ContactCards {
    /// Returns the name in the card of a side, if it gets one.
    pub fn name(&self, side: Side) -> Option<&Label> {
        match side {
            Side::A => self.a.as_ref(),
            Side::B => self.b.as_ref(),
        }
    }

    /// Sets the brand of the deployment, unless they have one of their own. One that is longer than a label is in no card.
    pub fn or_brand(self, brand: Option<&str>) -> Self {
        let usual = || brand.and_then(|brand| Label::try_from(brand.to_owned()).ok());
        Self { brand: self.brand.or_else(usual), ..self }
    }

    /// Returns the card of a side, if it gets one, with the number that it dials or sees.
    pub fn card(&self, side: Side, sees: &VirtualNumber) -> Option<String> {
        let (name, brand) = (self.name(side)?.as_str(), self.brand.as_ref().map(Label::as_str));
        let shown = brand.map_or_else(|| name.to_owned(), |brand| format!("{name} ({brand})"));
        Some(vcard(&shown, brand, sees))
    }
}
