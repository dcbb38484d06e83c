//! Voices.

use serde::{Deserialize, Serialize};

/// A voice of Vonage's text-to-speech.
///
/// Source: Vonage Voice API, NCCO reference (`talk`) and the text-to-speech guide, which lists the languages and their styles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Voice {
    /// Vonage's own code of the language, such as `en-GB`, `ar` or `cmn-CN`.
    pub language: String,
    /// Number of the voice among those of the language. The first one, 0, if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub style: Option<u8>,
    /// True for the premium version of the voice, which Vonage bills.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub premium: bool,
}

/// Key of the voice of a language. With a full stop and a region it is the voice of that region: `voice.BR`.
pub const KEY: &str = "voice";

/// True if `key` is that of a voice.
pub fn is_key(key: &str) -> bool {
    key.strip_prefix(KEY).is_some_and(|rest| rest.is_empty() || rest.strip_prefix('.').is_some_and(is_region))
}

fn is_region(region: &str) -> bool {
    region.len() == 2 && region.bytes().all(|byte| byte.is_ascii_uppercase())
        || region.len() == 3 && region.bytes().all(|byte| byte.is_ascii_digit())
}

/// True if `code` has the form of Vonage's codes of languages.
pub fn is_code(code: &str) -> bool {
    let is_part = |part: &str| (2..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    code.split('-').count() <= 3 && code.split('-').all(is_part)
}
