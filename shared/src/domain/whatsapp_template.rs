//! Templates of WhatsApp. Who has not written to a sender there for a day can be written to by a template only, which WhatsApp has
//! approved before. Each of ours has one variable: the whole sentence, in the language of its reader.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::domain::language::Language;

/// Length of the longest variable, in characters. WhatsApp takes 1,024 together with the words of the template.
///
/// Source: Meta, "Message Templates", body.
const MOST_CHARACTERS: usize = 900;

/// Length of the longest name of a template, with its namespace.
const MOST_NAME_BYTES: usize = 600;

/// A kind of sentence that can have a template of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateKind {
    /// Tells a participant which number to dial.
    Invitation,
    /// Tells a participant of another number to dial.
    Notice,
    /// Tells of a call: a missed one, a message of its caller, or a question about lost property.
    Call,
    /// A text of the other participant or of the backend.
    Text,
}

/// The templates of a deployment. The form in which Vonage takes a locale is not settled (its examples have both `en-GB` and `en_US`),
/// so it can be given for each language.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhatsAppTemplates {
    #[serde(default)]
    invitation: Option<TemplateWord>,
    #[serde(default)]
    notice: Option<TemplateWord>,
    #[serde(default)]
    call: Option<TemplateWord>,
    #[serde(default)]
    text: Option<TemplateWord>,
    /// The locales in which they exist, by language.
    #[serde(default)]
    locales: BTreeMap<Language, TemplateWord>,
}

/// The name of a template, also after its namespace and a colon, or a locale.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct TemplateWord(String);

impl TryFrom<String> for TemplateWord {
    type Error = &'static str;

    fn try_from(word: String) -> Result<Self, Self::Error> {
        let is_one = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':');
        let fits = (1..=MOST_NAME_BYTES).contains(&word.len()) && word.bytes().all(is_one);
        fits.then_some(Self(word)).ok_or("must be letters, digits, _, - and :")
    }
}

/// A template as it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its locale.
    pub locale: &'a str,
}

impl WhatsAppTemplates {
    /// Returns the template of a kind of sentence for a reader of this language. Without a locale of its own a language has that of its
    /// name alone, such as `de` of `de-AT`, as most of WhatsApp's have.
    pub fn of<'a>(&'a self, kind: TemplateKind, language: &'a Language) -> Option<Template<'a>> {
        let name = match kind {
            TemplateKind::Invitation => &self.invitation,
            TemplateKind::Notice => &self.notice,
            TemplateKind::Call => &self.call,
            TemplateKind::Text => &self.text,
        };
        let configured = language.lookup().find_map(|tag| {
            let found = self.locales.iter().find(|(language, _)| language.as_str() == tag);
            found.map(|(_, locale)| locale.0.as_str())
        });
        let locale = configured.or_else(|| language.lookup().last()).unwrap_or(language.as_str());
        name.as_ref().map(|name| Template { name: &name.0, locale })
    }
}

/// Returns words as the variable of a template: in one line. `None` if they are too long for one.
///
/// Source: Meta, "Message Templates": a variable has no line break, no tab, and not more than four blanks in a row.
pub fn variable(words: &str) -> Option<String> {
    let line = || words.split_whitespace().collect::<Vec<_>>().join(" ");
    (words.chars().count() <= MOST_CHARACTERS).then(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn language(tag: &str) -> Language {
        Language::try_from(tag).unwrap()
    }

    #[test]
    fn locale_is_the_configured_one_or_the_language_alone() {
        let written = r#"{"text": "9b6b4fcb:ride_text", "locales": {"en": "en_GB", "pt-BR": "pt_BR"}}"#;
        let templates: WhatsAppTemplates = serde_json::from_str(written).unwrap();
        for (tag, locale) in [("en", "en_GB"), ("en-US", "en_GB"), ("pt-BR", "pt_BR"), ("pt-PT", "pt"), ("de-AT", "de")]
        {
            let language = language(tag);
            let found = templates.of(TemplateKind::Text, &language);
            assert_eq!(found, Some(Template { name: "9b6b4fcb:ride_text", locale }), "{tag}");
            assert_eq!(templates.of(TemplateKind::Invitation, &language), None);
        }
    }

    #[test]
    fn templates_that_are_not_understood_are_refused() {
        for bad in
            [r#"{"texts": "a"}"#, r#"{"text": "a b"}"#, r#"{"text": ""}"#, r#"{"locales": {"english": "en"}}"#, "a"]
        {
            assert!(serde_json::from_str::<WhatsAppTemplates>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn variable_is_one_line_of_words() {
        assert_eq!(variable(" At the gate,\n\ton the      left. ").as_deref(), Some("At the gate, on the left."));
        assert_eq!(variable(&"a".repeat(900)).map(|line| line.len()), Some(900));
        assert_eq!(variable(&"a".repeat(901)), None);
    }
}
