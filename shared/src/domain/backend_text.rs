//! The words of a text that the backend writes to a participant.

use std::fmt;

/// The words: 1 to 1,600 characters, of which one is visible, without control characters but the line break.
///
/// `Debug` does not show them.
#[derive(Clone, PartialEq, Eq)]
pub struct TextWords(String);

/// The text is not [`TextWords`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {} characters, and no control characters but line breaks", TextWords::MOST_CHARACTERS)]
pub struct NotTextWords;

impl TextWords {
    /// Most characters (code points): 11 parts of the GSM alphabet, or 24 others.
    pub const MOST_CHARACTERS: usize = 1_600;

    /// Returns the words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TextWords {
    type Error = NotTextWords;

    fn try_from(text: String) -> Result<Self, NotTextWords> {
        let fits = text.chars().take(Self::MOST_CHARACTERS + 1).count() <= Self::MOST_CHARACTERS;
        let is_seen = text.chars().any(|c| !c.is_whitespace());
        let is_plain = !text.chars().any(|c| c.is_control() && c != '\n');
        (fits && is_seen && is_plain).then_some(Self(text)).ok_or(NotTextWords)
    }
}

impl fmt::Debug for TextWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TextWords(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_a_length_and_no_control_characters() {
        for (text, good) in [
            ("Your car is here.\nRow 4", true),
            ("🚕", true),
            ("a".repeat(1_600).as_str(), true),
            ("a".repeat(1_601).as_str(), false),
            ("", false),
            (" \n", false),
            ("a\u{7}", false),
            ("a\r\n", false),
        ] {
            assert_eq!(TextWords::try_from(text.to_owned()).is_ok(), good, "{text:?}");
        }
    }
}
