//! Configuration of the words of calls and text messages.

use super::{ConfigError, Environment};
use crate::domain::language::{Language, NotALanguage};
use crate::domain::text::{Brand, NotABrand};
use crate::domain::words::Words;
use crate::domain::words::own::OwnWords;

impl Environment {
    /// Reads `DEFAULT_LANGUAGE`, `BRAND` and the file that `WORDS_FILE` names. The error of a file names it, the language and
    /// the key.
    pub fn words(&self) -> Result<Words, ConfigError> {
        let brand = self.optional("BRAND").map(Brand::try_from).transpose();
        let brand = brand.map_err(|error: NotABrand| malformed("BRAND", error.to_string()))?;
        let own = self.own_words(brand.is_some())?;
        let default = Language::try_from(self.required("DEFAULT_LANGUAGE")?);
        let default = default.map_err(|error: NotALanguage| malformed("DEFAULT_LANGUAGE", error.to_string()))?;
        let words = Words::new(default.clone(), brand, own);
        if words.has(&default) {
            return Ok(words);
        }
        let expected = format!("must be a language that has words, which are {}", words.languages().join(", "));
        Err(malformed("DEFAULT_LANGUAGE", expected))
    }

    fn own_words(&self, has_brand: bool) -> Result<OwnWords, ConfigError> {
        let Some(path) = self.optional("WORDS_FILE") else { return Ok(OwnWords::default()) };
        let unreadable = |error| malformed("WORDS_FILE", format!("must be the path of a readable file ({error})"));
        let json = std::fs::read(&path).map_err(unreadable)?;
        OwnWords::read(&json, has_brand)
            .map_err(|fault| malformed("WORDS_FILE", format!("must be a file of words, but {path}: {fault}")))
    }
}

fn malformed(name: &'static str, expected: String) -> ConfigError {
    ConfigError::Malformed { name, expected }
}
