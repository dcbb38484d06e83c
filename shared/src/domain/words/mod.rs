//! Words: all that is said in calls and texted, in the languages of `shared/words` and of a deployment's own file.
//!
//! No sentence for people is anywhere else in the code. A language is parsed when it is needed for the first time.

pub mod addressee;
pub mod check;
pub mod file;
pub mod own;
pub mod own_text;
pub mod sentence;
pub mod shipped;
pub mod template;
pub mod voice;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use self::addressee::Addressee;
use self::file::WordsFile;
use self::own::OwnWords;
use self::own_text::{OwnText, OwnTexts};
use self::sentence::{Name, Placeholder, Spoken, Text};
use self::voice::Voice;
use super::country::Country;
use super::language::Language;
use super::phone::caller_id::CallerId;
use super::phone::{PhoneNumber, VirtualNumber, without_numbers};
use super::pin::Pin;
use super::tenant::{Owner, Tenant};
use super::text::{Brand, Label, Reference};

/// The words of a deployment, or of a tenant.
#[derive(Debug, Clone)]
pub struct Words(Arc<Settings>);

#[derive(Debug)]
struct Settings {
    default: Language,
    brand: Option<Brand>,
    own: OwnWords,
    /// The words of those tenants that have some of their own.
    tenants: BTreeMap<Tenant, Words>,
}

/// A sentence as a call has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Utterance {
    /// Spoken by a voice.
    Talk(String, Voice),
    /// The URL of a recording.
    Audio(String),
}

/// The words for one person.
#[derive(Debug, Clone)]
pub struct Speech<'w> {
    words: &'w Settings,
    /// The person's language, that of the deployment, and English: a sentence is in the first that has it.
    languages: Vec<Language>,
    label: Option<String>,
    reference: Option<String>,
    number: Option<String>,
    minutes: Option<String>,
    pin: Option<Pin>,
    link: Option<String>,
    /// The texts in place of the sentences for people who reach nobody.
    instead: Option<OwnTexts>,
}

impl Default for Words {
    /// The words that are built in, with English as the default, and no brand.
    fn default() -> Self {
        Self::new(Language::english(), None, OwnWords::default())
    }
}

impl Words {
    /// Creates the words of a deployment without tenants, with the language of those who have no other.
    pub fn new(default: Language, brand: Option<Brand>, own: OwnWords) -> Self {
        Self(Arc::new(Settings { default, brand, own, tenants: BTreeMap::new() }))
    }

    /// Creates the words of a deployment and of its tenants. What the file lacks for a tenant is that of the deployment.
    pub fn of_file(default: Language, brand: Option<Brand>, file: WordsFile) -> Self {
        let tenants = file.tenants.into_iter().map(|(tenant, of_tenant)| {
            let default = of_tenant.default_language.unwrap_or_else(|| default.clone());
            (tenant, Self::new(default, of_tenant.brand.or_else(|| brand.clone()), of_tenant.own))
        });
        let tenants = tenants.collect();
        Self(Arc::new(Settings { default, brand, own: file.own, tenants }))
    }

    /// Returns the words in which `owner` speaks.
    pub fn of(&self, owner: Owner) -> &Self {
        owner.tenant().and_then(|tenant| self.0.tenants.get(&tenant)).unwrap_or(self)
    }

    /// Returns the languages of those who have no other: that of the deployment, and those of its tenants.
    pub fn default_languages(&self) -> impl Iterator<Item = (Owner, &Language)> {
        let of_tenants = self.0.tenants.iter().map(|(tenant, words)| (Owner::Tenant(*tenant), &words.0.default));
        std::iter::once((Owner::Deployment, &self.0.default)).chain(of_tenants)
    }

    /// True if a tenant has words of its own.
    pub fn have_tenants(&self) -> bool {
        !self.0.tenants.is_empty()
    }

    /// True if there are words in this language, or in it without its region and script.
    pub fn has(&self, language: &Language) -> bool {
        language
            .lookup()
            .any(|tag| self.0.own.with_tag(tag).is_some() || shipped::all().iter().any(|one| one.tag == tag))
    }

    /// Returns the tags of all languages that have words, in order.
    pub fn languages(&self) -> Vec<&str> {
        let own = self.0.own.languages().map(|(tag, _)| tag);
        own.chain(shipped::all().iter().map(|one| one.tag)).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Returns the language of a participant: the one that is `given`, else that of the country if there are words in it, else
    /// that of the deployment.
    pub fn language_of(&self, given: Option<&Language>, country: Country) -> Language {
        let guessed = || Some(Language::of_country(country)).filter(|guess| self.has(guess));
        given.cloned().or_else(guessed).unwrap_or_else(|| self.0.default.clone())
    }

    /// Returns the name of whoever speaks, if there is one.
    pub fn brand(&self) -> Option<&str> {
        self.0.brand.as_ref().map(Brand::as_str)
    }

    /// Guesses the language of an unknown caller by the calling code, if most people read the same one in all its countries.
    pub fn language_of_caller(&self, caller: &PhoneNumber) -> Option<Language> {
        Language::of_countries(Country::with_calling_code_of(caller.expose())).filter(|guess| self.has(guess))
    }

    /// Returns the words for a person with this language, or with that of the deployment.
    pub fn speech(&self, language: Option<&Language>) -> Speech<'_> {
        let languages = language.into_iter().chain([&self.0.default]).cloned();
        let languages = languages.chain([Language::english()]).collect();
        Speech {
            words: &self.0,
            languages,
            label: None,
            reference: None,
            number: None,
            minutes: None,
            pin: None,
            link: None,
            instead: None,
        }
    }

    /// Returns the words for the caller of a route.
    pub fn speech_to(&self, caller: &Addressee) -> Speech<'_> {
        let speech = self.of(caller.owner).speech(caller.language.as_ref()).with_own(caller.own.as_ref());
        let Some(names) = &caller.names else { return speech };
        speech.with_label(names.label.as_ref()).with_reference(names.reference.as_ref())
    }

    /// Returns the words for a caller: those of the route, or else those that the caller id suggests.
    pub fn speech_of_call(&self, caller: &CallerId, of_route: Option<&Addressee>) -> Speech<'_> {
        match (of_route, caller) {
            (Some(addressee), _) => self.speech_to(addressee),
            (None, CallerId::Phone(phone)) => self.speech(self.language_of_caller(phone).as_ref()),
            (None, CallerId::Hidden | CallerId::NotUnderstood { .. }) => self.speech(None),
        }
    }

    /// True if a spoken sentence of the deployment has this placeholder. Those that are built in have none.
    pub fn are_spoken_with(&self, placeholder: Placeholder) -> bool {
        self.0.own.spoken().contains(placeholder.name())
    }
}

impl<'w> Speech<'w> {
    /// Sets the name of the other participant.
    pub fn with_label(self, label: Option<&Label>) -> Self {
        Self { label: label.map(|label| label.as_str().to_owned()), ..self }
    }

    /// Sets the client's own name for the conversation.
    pub fn with_reference(self, reference: Option<&Reference>) -> Self {
        Self { reference: reference.map(|reference| reference.as_str().to_owned()), ..self }
    }

    /// Sets the number to dial.
    pub fn with_number(self, number: &VirtualNumber) -> Self {
        Self { number: Some(format!("+{number}")), ..self }
    }

    /// Sets the reader's own PIN.
    pub fn with_pin(self, pin: &Pin) -> Self {
        Self { pin: Some(pin.clone()), ..self }
    }

    /// Sets the address of a recording or of a contact card.
    pub fn with_link(self, link: String) -> Self {
        Self { link: Some(link), ..self }
    }

    /// Sets the texts that are said to people who reach nobody, because there is no conversation or it is over. Those that are
    /// set already stay.
    pub fn with_own(self, texts: Option<&OwnTexts>) -> Self {
        Self { instead: self.instead.or_else(|| texts.cloned()), ..self }
    }

    /// Returns the same words with a number of minutes.
    pub fn with_minutes(&self, minutes: u32) -> Self {
        Self { minutes: Some(minutes.to_string()), ..self.clone() }
    }

    /// Returns the language in which a sentence is looked for first.
    pub fn language(&self) -> &Language {
        &self.languages[0]
    }

    /// Returns a sentence for a call.
    pub fn say(&self, sentence: Spoken) -> Utterance {
        if matches!(sentence, Spoken::Nobody | Spoken::Ended)
            && let Some(own) = self.say_own()
        {
            return own;
        }
        let (value, tag, language) = self.find(sentence.key());
        if let Some(url) = value["audio"].as_str() {
            return Utterance::Audio(url.to_owned());
        }
        let text = value.as_str().unwrap_or_default();
        let is_ssml = text.starts_with("<speak>");
        let filled = template::fill(text, |name| Cow::Owned(safe_to_say(&self.value(name), is_ssml)));
        Utterance::Talk(filled, self.voice(tag, language))
    }

    /// Returns a client's text for a call, in the voice of the person's language.
    pub fn say_text(&self, text: &OwnText) -> Utterance {
        let (_, tag, language) = self.find(voice::KEY);
        Utterance::Talk(text.as_str().to_owned(), self.voice(tag, language))
    }

    /// Returns the text that was set for people who reach nobody, if it is there in a language of the person.
    pub fn say_own(&self) -> Option<Utterance> {
        let texts = self.instead.as_ref()?;
        let mut found = self.tags().filter_map(|(tag, language)| Some((texts.with_tag(tag)?, tag, language)));
        let (text, tag, language) = found.next()?;
        Some(Utterance::Talk(text.as_str().to_owned(), self.voice(tag, language)))
    }

    /// Returns a text message.
    pub fn write(&self, text: Text) -> String {
        let (value, ..) = self.find(text.key());
        template::fill(value.as_str().unwrap_or_default(), |name| self.value(name))
    }

    /// Returns the value of the placeholder with this name.
    fn value(&self, name: &str) -> Cow<'_, str> {
        let value = match Placeholder::named(name) {
            Some(Placeholder::Brand) => self.words.brand.as_ref().map(Brand::as_str),
            Some(Placeholder::Label) => match &self.label {
                Some(label) => Some(label.as_str()),
                None => self.find(Name::OtherPerson.key()).0.as_str(),
            },
            Some(Placeholder::Link) => self.link.as_deref(),
            Some(Placeholder::Minutes) => self.minutes.as_deref(),
            Some(Placeholder::Number) => self.number.as_deref(),
            Some(Placeholder::Pin) => self.pin.as_ref().map(Pin::expose),
            Some(Placeholder::Reference) => self.reference.as_deref(),
            None => None,
        };
        Cow::Borrowed(value.unwrap_or_default())
    }

    /// Finds a key in the first language that has it. Returns its value, the tag under which it is, and the language for which
    /// it was found there.
    fn find(&self, key: &str) -> (&'w Value, &str, &Language) {
        let mut found =
            self.tags().filter_map(|(tag, language)| Some((own::entry(&self.words.own, tag, key)?, tag, language)));
        // The tests find each sentence in English.
        found.next().unwrap_or((&Value::Null, "", &self.languages[0]))
    }

    /// Returns the tags under which words for the person may be, best first, each with the language that leads to it.
    fn tags(&self) -> impl Iterator<Item = (&str, &Language)> {
        self.languages.iter().flat_map(|language| language.lookup().map(move |tag| (tag, language)))
    }

    /// Returns the voice of sentences under `tag`, for somebody who reads `language`.
    fn voice(&self, tag: &str, language: &Language) -> Voice {
        let of_region = language.region().map(|region| format!("{}.{region}", voice::KEY));
        let keys = || of_region.as_deref().into_iter().chain([voice::KEY]);
        let tags = language.lookup().skip_while(|exact| *exact != tag);
        let found = tags.flat_map(|tag| keys().filter_map(move |key| own::entry(&self.words.own, tag, key))).next();
        let voice = found.and_then(|voice| Voice::deserialize(voice).ok());
        voice.unwrap_or_else(|| Voice { language: tag.to_owned(), style: None, premium: false })
    }
}

/// Returns the value of a placeholder as it may be spoken: without phone numbers, which Vonage would log, and without marks
/// that Vonage would take as SSML.
fn safe_to_say(value: &str, is_ssml: bool) -> String {
    let plain = without_numbers(value).replace(['<', '>', '*'], "");
    if is_ssml { plain.replace('&', "&amp;") } else { plain }
}

#[cfg(test)]
mod tests;
