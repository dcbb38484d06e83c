//! Texts of a client that are spoken in a call.

use serde::Deserialize;

use super::check::MAX_SPOKEN;
use crate::domain::phone::without_numbers;

/// A text to speak: 1 to 1500 characters on one line, without a phone number, which Vonage would log, and without marks that Vonage
/// would take as SSML.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct OwnText(String);

/// The text is not an [`OwnText`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be text of 1 to {MAX_SPOKEN} characters without line breaks, <, > and phone numbers")]
pub struct NotOwnText;

impl OwnText {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for OwnText {
    type Error = NotOwnText;

    fn try_from(text: String) -> Result<Self, NotOwnText> {
        let text = text.trim().to_owned();
        let has_length = !text.is_empty() && text.chars().count() <= MAX_SPOKEN;
        let is_plain = !text.chars().any(|c| c.is_control() || matches!(c, '<' | '>'));
        let names_nobody = without_numbers(&text) == text;
        (has_length && is_plain && names_nobody).then_some(Self(text)).ok_or(NotOwnText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_to_speak_is_short_and_names_no_phone() {
        for (text, fits) in [
            ("Your driver waits at gate 12.", true),
            (" Ihr Fahrer wartet. ", true),
            ("", false),
            ("Call +44 7700 900001.", false),
            ("one\ntwo", false),
            ("<speak>Hello</speak>", false),
        ] {
            assert_eq!(OwnText::try_from(text.to_owned()).is_ok(), fits, "{text:?}");
        }
        assert!(OwnText::try_from("a".repeat(1500)).is_ok() && OwnText::try_from("a".repeat(1501)).is_err());
    }
}
