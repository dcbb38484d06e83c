//! Checks of words: each key is known, each placeholder is there, and no sentence is too long for Vonage.

use std::fmt;

use serde_json::Value;

use super::sentence::{Placeholder, Sentence};
use super::template::{self, Piece};
use super::voice::{self, Voice};
use crate::domain::phone::without_numbers;
use crate::domain::tenant::Tenant;
use crate::domain::text_message;

/// Length of the longest text that Vonage speaks, in characters. Source: Vonage Voice API, NCCO reference (`talk`).
pub(super) const MAX_SPOKEN: usize = 1_500;

/// Largest number of parts of a text message. Vonage advises not to send longer ones.
const MAX_PARTS: usize = 6;

/// Length of the longest name, in characters.
const MAX_NAME: usize = 40;

/// Length of the longest URL of a recording, in characters.
const MAX_URL: usize = 2_000;

/// A fault in a file of words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The language, as it is written in the file.
    pub language: String,
    /// The key, or nothing if the whole language is at fault.
    pub key: String,
    /// The fault.
    pub problem: String,
}

impl Fault {
    /// Returns the fault as one in the words of a tenant.
    pub(super) fn of(self, tenant: Tenant) -> Self {
        Self { language: format!("tenant {tenant}, {}", self.language), ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => write!(f, "{}: {}", self.language, self.problem),
            key => write!(f, "{}, {key}: {}", self.language, self.problem),
        }
    }
}

/// Returns the problem of an entry of a language, if it has one. `has_brand` says that the deployment has a brand.
pub fn problem(key: &str, value: &Value, has_brand: bool) -> Option<String> {
    if voice::is_key(key) {
        return problem_of_voice(value);
    }
    let Some(sentence) = Sentence::with_key(key) else { return Some("is no key of a sentence or a voice".to_owned()) };
    match (value, sentence) {
        (Value::String(text), _) => problem_of_text(sentence, text, has_brand),
        (Value::Object(recording), Sentence::Spoken(_)) if recording.len() == 1 && recording.contains_key("audio") => {
            problem_of_url(&recording["audio"])
        }
        (_, Sentence::Spoken(_)) => Some("must be a text, or an object with only audio, a URL".to_owned()),
        _ => Some("must be a text".to_owned()),
    }
}

fn problem_of_voice(value: &Value) -> Option<String> {
    match <Voice as serde::Deserialize>::deserialize(value) {
        Ok(voice) if voice::is_code(&voice.language) => None,
        Ok(_) => Some("language must be a code of Vonage's, such as en-GB".to_owned()),
        Err(error) => Some(format!("must have language, and may have style and premium ({error})")),
    }
}

fn problem_of_url(url: &Value) -> Option<String> {
    let is_url = |url: &str| {
        url.starts_with("https://")
            && url.len() > "https://".len()
            && url.len() <= MAX_URL
            && url.bytes().all(|byte| byte.is_ascii_graphic())
    };
    (!url.as_str().is_some_and(is_url)).then(|| "audio must be an https URL".to_owned())
}

fn problem_of_text(sentence: Sentence, text: &str, has_brand: bool) -> Option<String> {
    if text.trim().is_empty() {
        return Some("is empty".to_owned());
    }
    let mut found = Vec::new();
    for piece in template::pieces(text) {
        let Piece::Value(name) = piece else { continue };
        match Placeholder::named(name).filter(|placeholder| sentence.may_have(*placeholder)) {
            Some(Placeholder::Brand) if !has_brand => return Some("has {brand}, but BRAND is not set".to_owned()),
            Some(placeholder) => found.push(placeholder),
            None => return Some(format!("must not have the placeholder {{{name}}}")),
        }
    }
    if let Some(missing) = sentence.needed().iter().find(|needed| !found.contains(needed)) {
        return Some(format!("lacks the placeholder {{{}}}", missing.name()));
    }
    match sentence {
        Sentence::Spoken(_) | Sentence::Fixed(_) if without_numbers(text) != text => {
            Some("has a phone number, which Vonage would log".to_owned())
        }
        Sentence::Spoken(_) | Sentence::Fixed(_) => {
            let longest = filled(text, longest_value).chars().count();
            let detail = || format!("has up to {longest} characters, and Vonage speaks {MAX_SPOKEN} at most");
            (longest > MAX_SPOKEN).then(detail)
        }
        Sentence::Text(_) => {
            let parts = text_message::parts(&filled(text, usual_value));
            (parts > MAX_PARTS).then(|| format!("needs {parts} parts of a text message, and may need {MAX_PARTS}"))
        }
        Sentence::Name(_) => {
            (text.chars().count() > MAX_NAME).then(|| format!("must have at most {MAX_NAME} characters"))
        }
    }
}

/// Returns the number of parts of a text message of usual length.
pub fn usual_parts(text: &str) -> usize {
    text_message::parts(&filled(text, usual_value))
}

fn filled(text: &str, length: impl Fn(Placeholder) -> usize) -> String {
    template::fill(text, |name| "x".repeat(Placeholder::named(name).map_or(0, &length)).into())
}

/// The most code points that a value may have.
fn longest_value(placeholder: Placeholder) -> usize {
    match placeholder {
        Placeholder::Brand => 40,
        Placeholder::Label => 160,
        Placeholder::Number => 16,
        Placeholder::Link => 160,
        Placeholder::Minutes => 4,
        Placeholder::Pin => 6,
        Placeholder::Reference => 512,
    }
}

/// The characters of a value of usual length.
fn usual_value(placeholder: Placeholder) -> usize {
    match placeholder {
        Placeholder::Brand | Placeholder::Label | Placeholder::Reference => 20,
        Placeholder::Number => 13,
        // The address of API Gateway, which is longer than most domains.
        Placeholder::Link => 90,
        Placeholder::Minutes => 2,
        Placeholder::Pin => 6,
    }
}
