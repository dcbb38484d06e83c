//! Short texts that a client gives a conversation.

use serde::{Deserialize, Deserializer, Serialize};
use unicode_segmentation::UnicodeSegmentation;

/// Visible text of 1 to `MAX` characters on one line, which reads in the order in which it was written.
///
/// A character is what people count as one (a grapheme cluster): an emoji of a family is one, and so is a letter with its
/// accents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ShortText<const MAX: usize>(String);

/// Largest number of code points for each character that a text may have. Marks can be piled up on one character without
/// end, and each one is paid for in a text message. Four are enough for a text in any script.
const MAX_CODE_POINTS: usize = 4;

/// The text is not a [`ShortText`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be visible text of 1 to {max} characters ({} code points), without line breaks, control characters and \
     direction overrides",
    .max * MAX_CODE_POINTS
)]
pub struct NotShortText {
    max: usize,
}

impl<const MAX: usize> ShortText<MAX> {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Deserializes a stored text as it is. It may have been stored when other texts were allowed.
    pub fn stored<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(Self))
    }
}

impl<const MAX: usize> TryFrom<String> for ShortText<MAX> {
    type Error = NotShortText;

    fn try_from(text: String) -> Result<Self, NotShortText> {
        let text = text.trim().to_owned();
        let fits = text.chars().take(MAX * MAX_CODE_POINTS + 1).count() <= MAX * MAX_CODE_POINTS
            && text.graphemes(true).count() <= MAX;
        let is_seen = text.chars().any(|c| !c.is_whitespace() && !is_invisible(c));
        let misleads = text.chars().any(misleads) || text.graphemes(true).any(hides_text);
        (fits && is_seen && !misleads).then_some(Self(text)).ok_or(NotShortText { max: MAX })
    }
}

/// True if a character breaks the line, or shows the text around it in another order or form.
///
/// Source: Unicode Standard Annex 9 (embeddings, overrides, isolates), and the deprecated format characters and the
/// annotation characters of the Unicode Standard, chapter 23.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{206F}' | '\u{FFF9}'..='\u{FFFB}')
}

/// True if a character has tags, which are invisible letters, and is not a flag, which is made of them.
fn hides_text(character: &str) -> bool {
    const FLAG: char = '\u{1F3F4}';
    !character.starts_with(FLAG) && character.contains(|c| ('\u{E0000}'..='\u{E007F}').contains(&c))
}

/// True if nothing is drawn for a character.
///
/// Source: `Default_Ignorable_Code_Point` of the Unicode Character Database, and the blank pattern of Braille.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{2800}' | '\u{3164}'
            | '\u{FEFF}' | '\u{FFA0}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2060}'..='\u{206F}' | '\u{FE00}'..='\u{FE0F}'
            | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}'
    )
}

impl<const MAX: usize> From<ShortText<MAX>> for String {
    fn from(text: ShortText<MAX>) -> Self {
        text.0
    }
}

/// The name of a participant in the text message to the other side: "your driver". At most 40 characters.
pub type Label = ShortText<40>;

/// The deployment's own name, `BRAND`: visible text of 1 to 40 code points on one line.
///
/// It is not a [`ShortText`], because counting as people do takes tables that the answer webhook has no other need for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Brand(String);

/// The text is not a [`Brand`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be visible text of 1 to {} characters, without line breaks and control characters", Brand::MAX)]
pub struct NotABrand;

impl Brand {
    const MAX: usize = 40;

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Brand {
    type Error = NotABrand;

    fn try_from(text: String) -> Result<Self, NotABrand> {
        let is_seen = text.chars().any(|c| !c.is_whitespace() && !is_invisible(c));
        let fits = text.chars().count() <= Self::MAX && !text.chars().any(misleads);
        (is_seen && fits).then(|| Self(text.trim().to_owned())).ok_or(NotABrand)
    }
}

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

impl Reference {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Deserializes a stored reference as it is, as [`ShortText::stored`] does.
    pub fn stored<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        Ok(ShortText::stored(deserializer)?.map(Self))
    }
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

    fn is_label(text: &str) -> bool {
        Label::try_from(text.to_owned()).is_ok()
    }

    #[test]
    fn label_is_one_line_of_40_characters() {
        for (text, good) in [
            ("your driver", true),
            ("é".repeat(40).as_str(), true),
            ("é".repeat(41).as_str(), false),
            ("  ", false),
            ("a\nb", false),
            ("a\u{2028}b", false),
            ("a\u{2029}b", false),
            ("a\u{85}b", false),
            ("a\u{1b}[2Jb", false),
        ] {
            assert_eq!(is_label(text), good, "{text:?}");
        }
    }

    #[test]
    fn brand_is_one_visible_line() {
        let brand = |text: &str| Brand::try_from(text.to_owned());
        assert_eq!(brand(" Rides Köln ").unwrap().as_str(), "Rides Köln");
        for bad in ["", " ", "a\nb", "\u{200B}", "\u{202E}sediR", "é".repeat(41).as_str()] {
            assert_eq!(brand(bad), Err(NotABrand), "{bad:?}");
        }
    }

    #[test]
    fn label_is_counted_as_people_count() {
        let (family, composed, flag) = ("👨‍👩‍👧‍👦", "e\u{301}", "🏴\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}");
        for one in ["क्षि", composed, "각", "🇬🇧", "👍🏽"] {
            assert!(is_label(&one.repeat(40)), "{one}");
            assert!(!is_label(&one.repeat(41)), "{one}");
        }
        assert!(is_label(&family.repeat(20)) && is_label(flag));
        // Marks without end are one character.
        assert!(!is_label(&format!("e{}", "\u{301}".repeat(160))));
    }

    #[test]
    fn label_reads_as_it_was_written() {
        for hostile in ["\u{202A}", "\u{202B}", "\u{202D}", "\u{202E}", "\u{2066}", "\u{2067}", "\u{2068}", "\u{206E}"]
        {
            assert!(!is_label(&format!("your {hostile}revird\u{202C}")), "{hostile:?}");
            assert!(!is_label(&format!("your driver{hostile}")), "{hostile:?}");
        }
        assert!(!is_label("driver\u{E0068}\u{E0069}"), "letters that nobody sees");
        for written in ["السائق \u{200F}42", "נהג", "می‌خواهم", "водитель"] {
            assert!(is_label(written), "{written}");
        }
    }

    #[test]
    fn label_of_invisible_characters_is_refused() {
        for invisible in
            ["\u{200B}", "\u{200D}\u{FE0F}", "\u{2060}", "\u{FEFF}", "\u{AD}", "\u{3164}", "\u{2800}", "\u{E0020}"]
        {
            assert!(!is_label(invisible) && !is_label(&format!(" {invisible} ")), "{invisible:?}");
        }
    }

    #[test]
    fn stored_text_of_another_day_is_read() {
        #[derive(Deserialize)]
        struct Stored {
            #[serde(default, deserialize_with = "Label::stored")]
            label: Option<Label>,
            #[serde(default, deserialize_with = "Reference::stored")]
            reference: Option<Reference>,
        }
        let stored: Stored = serde_json::from_str(r#"{"label": "\u202edriver", "reference": "a\u2028b"}"#).unwrap();
        assert_eq!(stored.label.map(String::from).as_deref(), Some("\u{202E}driver"));
        assert!(stored.reference.is_some());
        let stored: Stored = serde_json::from_str("{}").unwrap();
        assert!(stored.label.is_none() && stored.reference.is_none());
    }
}
