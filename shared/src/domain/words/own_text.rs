//! Texts of a client that are spoken in a call.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::check::MAX_SPOKEN;
use crate::domain::language::Language;
use crate::domain::phone::without_numbers;

/// A text to speak: 1 to 1500 characters on one line, without a phone number, which Vonage would log, and without marks that Vonage
/// would take as SSML.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct OwnText(String);

/// The same text in 1 to 10 languages. Serialized as the table and the API have it: an object of languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<Language, OwnText>")]
pub struct OwnTexts(BTreeMap<Language, OwnText>);

/// The texts are not [`OwnTexts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {} languages", OwnTexts::MOST_LANGUAGES)]
pub struct NotOwnTexts;

impl OwnTexts {
    /// Most languages of one text.
    pub const MOST_LANGUAGES: usize = 10;

    /// Returns the languages.
    pub fn languages(&self) -> impl Iterator<Item = &Language> {
        self.0.keys()
    }

    /// Returns the text in exactly this language.
    pub fn with_tag(&self, tag: &str) -> Option<&OwnText> {
        self.entry(tag).map(|(_, text)| text)
    }

    fn entry(&self, tag: &str) -> Option<(&Language, &OwnText)> {
        self.0.iter().find(|(language, _)| language.as_str() == tag)
    }

    /// Returns the number of characters of the longest text.
    pub fn longest(&self) -> usize {
        self.0.values().map(|text| text.0.chars().count()).max().unwrap_or_default()
    }

    /// Returns the one text for a person with this language, if there is one, else all of them.
    pub fn narrowed_to(&self, language: Option<&Language>) -> Self {
        let own = language.into_iter().flat_map(Language::lookup).find_map(|tag| self.entry(tag));
        own.map_or_else(|| self.clone(), |(language, text)| Self(BTreeMap::from([(language.clone(), text.clone())])))
    }
}

impl TryFrom<BTreeMap<Language, OwnText>> for OwnTexts {
    type Error = NotOwnTexts;

    fn try_from(texts: BTreeMap<Language, OwnText>) -> Result<Self, NotOwnTexts> {
        (1..=Self::MOST_LANGUAGES).contains(&texts.len()).then_some(Self(texts)).ok_or(NotOwnTexts)
    }
}

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

    #[test]
    fn texts_are_narrowed_to_one_language() {
        let texts = |json: &str| serde_json::from_str::<OwnTexts>(json);
        let both = texts(r#"{"de": "Auf Wiederhören.", "en": "Goodbye."}"#).unwrap();
        let language = |tag: &str| Language::try_from(tag.to_owned()).unwrap();
        let of_austria = both.narrowed_to(Some(&language("de-AT")));
        assert_eq!(of_austria, texts(r#"{"de": "Auf Wiederhören."}"#).unwrap());
        assert_eq!(both.narrowed_to(Some(&language("fr"))), both);
        assert_eq!((both.narrowed_to(None), both.longest()), (both.clone(), 16));
        for bad in ["{}", r#"{"x": "one"}"#, r#"{"en": ""}"#, r#"{"en": "Call +447700900001."}"#] {
            assert!(texts(bad).is_err(), "{bad}");
        }
        assert_eq!(serde_json::to_string(&of_austria).unwrap(), r#"{"de":"Auf Wiederhören."}"#);
    }
}
