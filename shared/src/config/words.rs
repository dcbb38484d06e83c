//! Configuration of the words of calls and text messages.

use super::{ConfigError, Environment};
use crate::domain::language::{Language, NotALanguage};
use crate::domain::tenant::Owner;
use crate::domain::text::{Brand, NotABrand};
use crate::domain::words::Words;
use crate::domain::words::file::WordsFile;

impl Environment {
    /// Reads `DEFAULT_LANGUAGE`, `BRAND` and the file that `WORDS_FILE` names. The error of a file names it, the language and
    /// the key.
    pub fn words(&self) -> Result<Words, ConfigError> {
        let brand = self.optional("BRAND").map(Brand::try_from).transpose();
        let brand = brand.map_err(|error: NotABrand| malformed("BRAND", error.to_string()))?;
        let file = self.words_file(brand.is_some())?;
        let default = Language::try_from(self.required("DEFAULT_LANGUAGE")?);
        let default = default.map_err(|error: NotALanguage| malformed("DEFAULT_LANGUAGE", error.to_string()))?;
        let words = Words::of_file(default, brand, file);
        let is_silent = |(owner, language): &(Owner, &Language)| !words.of(*owner).has(language);
        let Some((owner, _)) = words.default_languages().find(is_silent) else { return Ok(words) };
        let languages = words.of(owner).languages().join(", ");
        Err(match owner {
            Owner::Deployment => {
                malformed("DEFAULT_LANGUAGE", format!("must be a language that has words, which are {languages}"))
            }
            Owner::Tenant(tenant) => {
                let expected =
                    format!("must have words in the default language of tenant {tenant}, and has {languages}");
                malformed("WORDS_FILE", expected)
            }
        })
    }

    fn words_file(&self, has_brand: bool) -> Result<WordsFile, ConfigError> {
        let Some(path) = self.optional("WORDS_FILE") else { return Ok(WordsFile::default()) };
        let unreadable = |error| malformed("WORDS_FILE", format!("must be the path of a readable file ({error})"));
        let json = std::fs::read(&path).map_err(unreadable)?;
        WordsFile::read(&json, has_brand)
            .map_err(|fault| malformed("WORDS_FILE", format!("must be a file of words, but {path}: {fault}")))
    }
}

fn malformed(name: &'static str, expected: String) -> ConfigError {
    ConfigError::Malformed { name, expected }
}
