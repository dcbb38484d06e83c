//! Words of a deployment's own file, or of a tenant in it, by language: sentences and voices in place of those that are built in.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::check::{self, Fault};
use super::sentence::{Placeholder, Sentence, Spoken};
use super::shipped::{self, Entries};
use super::template::{self, Piece};
use super::voice;
use crate::domain::language::Language;

/// Languages as they are written, each with its words.
pub(super) type Languages = BTreeMap<String, Entries>;

/// Words in place of those that are built in, by language.
#[derive(Debug, Clone, Default)]
pub struct OwnWords(BTreeMap<String, Entries>);

impl OwnWords {
    /// Checks the words of these languages, which replace those of `base` sentence by sentence, and also those of `base` in regions
    /// of them. `has_brand` says that there is a brand.
    pub(super) fn over(base: &Self, languages: Languages, has_brand: bool) -> Result<Self, Vec<Fault>> {
        let (mut own, mut faults) = (Self::default(), Vec::new());
        for (written, entries) in languages {
            let mut fault = |key: &str, problem: String| {
                faults.push(Fault { language: written.clone(), key: key.to_owned(), problem });
            };
            let language = match Language::try_from(written.as_str()) {
                Ok(language) => language,
                Err(error) => {
                    fault("", error.to_string());
                    continue;
                }
            };
            for (key, value) in &entries {
                if let Some(problem) = problem(key, value, has_brand) {
                    fault(key, problem);
                }
            }
            if own.0.insert(language.into(), entries).is_some() {
                fault("", "comes twice".to_owned());
            }
        }
        own.0 = own.with_missing_of(base);
        faults.extend(own.0.keys().filter(|tag| !own.has_voice(tag)).map(|tag| Fault {
            language: tag.clone(),
            key: voice::KEY.to_owned(),
            problem: "is missing, and the language has no other one".to_owned(),
        }));
        if faults.is_empty() { Ok(own) } else { Err(faults) }
    }

    /// Returns these words with those of `base` that they lack: in exactly the language, and without its region and script.
    fn with_missing_of(&self, base: &Self) -> BTreeMap<String, Entries> {
        let mut merged = self.0.clone();
        for (tag, entries) in &base.0 {
            let is_replaced = |key: &str| {
                let has = |tag: &str| self.with_tag(tag).is_some_and(|own| own.contains_key(key));
                Language::try_from(tag.as_str()).is_ok_and(|language| language.lookup().any(has))
            };
            let missing = entries.iter().filter(|(key, _)| !is_replaced(key));
            let missing = missing.map(|(key, value)| (key.clone(), value.clone()));
            merged.entry(tag.clone()).or_default().extend(missing);
        }
        merged
    }

    /// Returns the words of the language with this tag.
    pub fn with_tag(&self, tag: &str) -> Option<&Entries> {
        self.0.get(tag)
    }

    /// Returns all languages with their words.
    pub fn languages(&self) -> impl Iterator<Item = (&str, &Entries)> {
        self.0.iter().map(|(tag, entries)| (tag.as_str(), entries))
    }

    /// Returns the keys of the sentences that a language of the file has neither here nor built in. They are said in another
    /// language.
    pub fn missing(&self, language: &Language) -> Vec<&'static str> {
        let of_deployment = Sentence::all().filter(|sentence| !matches!(sentence, Sentence::Fixed(_)));
        let has = |key: &str| language.lookup().any(|tag| entry(self, tag, key).is_some());
        of_deployment.map(Sentence::key).filter(|key| !has(key)).collect()
    }

    /// Returns the placeholders that its spoken sentences have.
    pub fn spoken(&self) -> BTreeSet<&'static str> {
        let is_spoken = |key: &str| Spoken::ALL.iter().any(|spoken| spoken.key() == key);
        let entries = self.0.values().flatten().filter(|(key, _)| is_spoken(key));
        let texts = entries.filter_map(|(_, value)| value.as_str());
        let names = texts.flat_map(template::pieces).filter_map(|piece| match piece {
            Piece::Value(name) => Placeholder::named(name),
            Piece::Words(_) => None,
        });
        names.map(Placeholder::name).collect()
    }

    fn has_voice(&self, tag: &str) -> bool {
        Language::try_from(tag)
            .is_ok_and(|language| language.lookup().any(|tag| entry(self, tag, voice::KEY).is_some()))
    }
}

/// Returns the value of a key in exactly this language: of the deployment's own file, or built in.
pub fn entry<'w>(own: &'w OwnWords, tag: &str, key: &str) -> Option<&'w Value> {
    let own = own.with_tag(tag).and_then(|entries| entries.get(key));
    own.or_else(|| shipped::with_tag(tag)?.get(key))
}

fn problem(key: &str, value: &Value, has_brand: bool) -> Option<String> {
    if let Some(Sentence::Fixed(_)) = Sentence::with_key(key) {
        return Some("is fixed when Maskline is built".to_owned());
    }
    check::problem(key, value, has_brand)
}
