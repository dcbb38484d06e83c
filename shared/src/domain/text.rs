//! Short texts that a client gives a conversation.

use serde::{Deserialize, Serialize};

/// Text of 1 to `MAX` characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ShortText<const MAX: usize>(String);

/// The text is empty, too long, or contains a control character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be text of 1 to {max} characters without control characters")]
pub struct NotShortText {
    max: usize,
}

impl<const MAX: usize> ShortText<MAX> {
    /// Returns the text.
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

/// The name of a participant in the text message to the other side: "your driver". At most 40 characters.
pub type Label = ShortText<40>;

/// The client's own name for a conversation: "ride-42". At most 128 characters, without `"` and `\`: an EventBridge pipe
/// copies it into the JSON of events and escapes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Reference(ShortText<128>);

/// The text is not a [`Reference`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAReference {
    /// It is not a short text.
    #[error(transparent)]
    NotShortText(#[from] NotShortText),
    /// It contains a character that JSON would have to escape.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_needs_no_escaping_in_json() {
        for (text, good) in
            [("ride-42", true), ("Fahrt 42 – Köln", true), (r#"a"b"#, false), (r"a\b", false), ("", false)]
        {
            assert_eq!(Reference::try_from(text.to_owned()).is_ok(), good, "{text:?}");
        }
    }

    #[test]
    fn label_is_one_line_of_40_characters() {
        for (text, good) in [
            ("your driver", true),
            ("é".repeat(40).as_str(), true),
            ("é".repeat(41).as_str(), false),
            ("  ", false),
            ("a\nb", false),
        ] {
            assert_eq!(Label::try_from(text.to_owned()).is_ok(), good, "{text:?}");
        }
    }
}
