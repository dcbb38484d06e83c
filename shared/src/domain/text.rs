//! Short texts that a creator gives a conversation.

use serde::{Deserialize, Serialize};

/// Text of 1 to `MAX` characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ShortText<const MAX: usize>(String);

/// The text is empty, too long, or holds a control character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be text of 1 to {max} characters without control characters")]
pub struct NotShortText {
    max: usize,
}

impl<const MAX: usize> ShortText<MAX> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> TryFrom<String> for ShortText<MAX> {
    type Error = NotShortText;

    fn try_from(text: String) -> Result<Self, NotShortText> {
        let text = text.trim().to_owned();
        let fits = !text.is_empty() && text.chars().count() <= MAX && !text.chars().any(char::is_control);
        fits.then_some(Self(text)).ok_or(NotShortText { max: MAX })
    }
}

impl<const MAX: usize> From<ShortText<MAX>> for String {
    fn from(text: ShortText<MAX>) -> Self {
        text.0
    }
}

/// How the other side's text message names a participant: "your driver".
pub type Label = ShortText<40>;

/// The creator's own name for a conversation: "ride-42". Has neither `"` nor `\`, which would break the events that carry
/// it: an EventBridge pipe puts it into their JSON as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Reference(ShortText<128>);

/// The text is not a [`Reference`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAReference {
    /// It is not a short text.
    #[error(transparent)]
    NotShortText(#[from] NotShortText),
    /// It holds a character that would have to be escaped in JSON.
    #[error("must have no quotation mark and no backslash")]
    NeedsEscaping,
}

impl TryFrom<String> for Reference {
    type Error = NotAReference;

    fn try_from(text: String) -> Result<Self, NotAReference> {
        let text = ShortText::try_from(text)?;
        if text.as_str().contains(['"', '\\']) { Err(NotAReference::NeedsEscaping) } else { Ok(Self(text)) }
    }
}
