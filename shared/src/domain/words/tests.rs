use std::collections::BTreeSet;

use serde_json::json;

use super::check::usual_parts;
use super::file::{NotWords, WordsFile};
use super::sentence::Sentence;
use super::template::Piece;
use super::*;

fn language(tag: &str) -> Language {
    Language::try_from(tag).unwrap()
}

fn own(file: &Value) -> OwnWords {
    WordsFile::read(file.to_string().as_bytes(), true).unwrap().own
}

fn words_with(file: &Value) -> Words {
    Words::new(language("de"), Some(Brand::try_from("Rides".to_owned()).unwrap()), own(file))
}

fn said(words: &Words, tag: &str, sentence: Spoken) -> (String, String) {
    match words.speech(Some(&language(tag))).say(sentence) {
        Utterance::Talk(text, voice) => (text, voice.language),
        Utterance::Audio(url) => (url, String::new()),
    }
}

fn placeholders(text: &str) -> BTreeSet<&str> {
    let pieces = template::pieces(text).into_iter();
    pieces.filter_map(|piece| if let Piece::Value(name) = piece { Some(name) } else { None }).collect()
}

/// Returns the faults of a file, each as it is shown.
fn faults(file: &Value) -> Vec<String> {
    match WordsFile::read(file.to_string().as_bytes(), false) {
        Err(NotWords::Faults(faults)) => faults.iter().map(ToString::to_string).collect(),
        read => panic!("{read:?}"),
    }
}

#[test]
fn each_language_has_each_sentence_and_no_other() {
    let keys: BTreeSet<&str> = Sentence::all().map(Sentence::key).collect();
    assert_eq!(keys.len(), Sentence::all().count(), "a key comes twice");
    assert_eq!(shipped::all().len(), 8);
    for one in shipped::all() {
        let sentences = one.entries().keys().map(String::as_str).filter(|key| !voice::is_key(key));
        assert_eq!(sentences.collect::<BTreeSet<_>>(), keys, "{}", one.tag);
        assert!(one.entries().contains_key(voice::KEY), "{} has no voice", one.tag);
    }
}

#[test]
fn each_sentence_has_its_placeholders_and_length() {
    let english = shipped::with_tag("en").unwrap();
    for one in shipped::all() {
        for (key, value) in one.entries() {
            assert_eq!(check::problem(key, value, false), None, "{}, {key}", one.tag);
            let (Some(text), Some(in_english)) = (value.as_str(), english.get(key).and_then(Value::as_str)) else {
                continue;
            };
            assert_eq!(placeholders(text), placeholders(in_english), "{}, {key}", one.tag);
            assert_eq!(text.trim(), text, "{}, {key}", one.tag);
        }
    }
}

/// Vonage logs what is spoken. Only the callee with guard has to hear who calls.
#[test]
fn built_in_spoken_words_name_nobody() {
    for one in shipped::all() {
        for spoken in Spoken::ALL {
            let text = one.entries()[spoken.key()].as_str().unwrap();
            let named = if *spoken == Spoken::GuardWhisper { BTreeSet::from(["label"]) } else { BTreeSet::new() };
            let mut found = placeholders(text);
            found.remove("minutes");
            assert_eq!(found, named, "{}, {}", one.tag, spoken.key());
        }
    }
}

/// The file on the disk, because parsing sorts the keys and takes the last of two that are the same.
#[test]
fn files_have_each_key_once_and_in_order() {
    for one in shipped::all() {
        let file = format!("{}/words/{}.json", env!("CARGO_MANIFEST_DIR"), one.tag);
        let lines = std::fs::read_to_string(file).unwrap();
        let keys: Vec<&str> = lines.lines().filter_map(|line| line.strip_prefix("  \"")?.split('"').next()).collect();
        assert_eq!(keys.len(), one.entries().len(), "{}: one line for each key", one.tag);
        assert!(keys.is_sorted_by(|a, b| a < b), "{}: the keys are not in order", one.tag);
    }
}

/// `docs/calls.md` has these numbers.
#[test]
fn texts_are_as_long_as_documented() {
    for (tag, invitation, changed) in
        [("ar", 2, 2), ("de", 1, 1), ("en", 1, 1), ("es", 1, 1), ("fr", 1, 1), ("hi", 2, 2), ("it", 1, 1), ("pt", 1, 1)]
    {
        let parts = |text: Text| usual_parts(shipped::with_tag(tag).unwrap()[text.key()].as_str().unwrap());
        assert_eq!((parts(Text::Invitation), parts(Text::NumberChanged)), (invitation, changed), "{tag}");
    }
}

#[test]
fn language_is_found_exactly_then_broadly_then_by_default() {
    let file = json!({"pt-BR": {"call.connecting": "Um momento."}, "nl": {"call.connecting": "Een moment.", "voice": {"language": "nl-NL"}}});
    let words = words_with(&file);
    for (tag, text, voice) in [
        ("pt-BR", "Um momento.", "pt-BR"),
        ("pt-PT", "Aguarde, por favor. Vamos completar a sua chamada.", "pt-PT"),
        ("nl-BE", "Een moment.", "nl-NL"),
        ("en-US", "Connecting your call.", "en-US"),
        ("en-NZ", "Connecting your call.", "en-GB"),
        ("ja", "Sie werden verbunden.", "de-DE"),
    ] {
        assert_eq!(said(&words, tag, Spoken::Connecting), (text.to_owned(), voice.to_owned()), "{tag}");
    }
    // A sentence that the language lacks is said in the deployment's, by a voice of that.
    assert_eq!(said(&words, "nl", Spoken::Ended).1, "de-DE");
    assert_eq!(words.0.own.missing(&language("nl")).len(), Sentence::all().count() - 2);
    assert_eq!(words.0.own.missing(&language("pt-BR")), [""; 0]);
    let elsewhere = Words::new(language("ja"), None, OwnWords::default());
    assert_eq!(said(&elsewhere, "ja", Spoken::Connecting).1, "en-GB");
}

#[test]
fn participant_has_given_language_or_guessed_one_with_words() {
    let words = words_with(&json!({}));
    let of = |given: Option<&str>, country: &str| {
        let given = given.map(language);
        words.language_of(given.as_ref(), Country::try_from(country).unwrap()).to_string()
    };
    for (given, country, expected) in [
        (None, "GB", "en-GB"),
        (None, "AT", "de-AT"),
        (None, "BR", "pt-BR"),
        (None, "PL", "de"),
        (Some("pl"), "GB", "pl"),
        (Some("fr"), "DE", "fr"),
    ] {
        assert_eq!(of(given, country), expected, "{given:?} {country}");
    }
}

#[test]
fn unknown_caller_has_language_of_calling_code() {
    let words = words_with(&json!({}));
    let of = |digits: &str| words.language_of_caller(&PhoneNumber::try_from(digits).unwrap()).map(String::from);
    for (digits, expected) in [
        ("447700900003", Some("en-GB")),
        ("4915112345678", Some("de-DE")),
        ("393331234567", Some("it-IT")),
        ("12015550123", None),
        ("48601234567", None),
    ] {
        assert_eq!(of(digits).as_deref(), expected, "{digits}");
    }
}

#[test]
fn own_words_replace_sentences_voices_and_add_recordings() {
    let words = words_with(&json!({"en": {
        "call.connecting": {"audio": "https://words.example/connecting.mp3"},
        "call.ended": "{brand}: your chat with {label} about {reference} is over.",
        "text.invitation": "{brand} {reference}: {label} is at {number}.",
        "voice.US": {"language": "en-US", "style": 5, "premium": true},
    }}));
    let (label, reference) = ("Ann", "ride-42");
    let (label, reference) =
        (Label::try_from(label.to_owned()).unwrap(), Reference::try_from(reference.to_owned()).unwrap());
    let american = language("en-US");
    let speech = || words.speech(Some(&american));
    assert_eq!(speech().say(Spoken::Connecting), Utterance::Audio("https://words.example/connecting.mp3".to_owned()));
    let voice = Voice { language: "en-US".to_owned(), style: Some(5), premium: true };
    let said = speech().with_label(Some(&label)).with_reference(Some(&reference)).say(Spoken::Ended);
    assert_eq!(said, Utterance::Talk("Rides: your chat with Ann about ride-42 is over.".to_owned(), voice.clone()));
    let nameless = "Rides: your chat with the other person about  is over.".to_owned();
    assert_eq!(speech().say(Spoken::Ended), Utterance::Talk(nameless, voice));
    let number = PhoneNumber::try_from("447451000001").unwrap().into();
    let text = speech().with_label(Some(&label)).with_reference(Some(&reference)).with_number(&number);
    assert_eq!(text.write(Text::Invitation), "Rides ride-42: Ann is at +447451000001.");
    assert!(words.are_spoken_with(Placeholder::Label) && words.are_spoken_with(Placeholder::Reference));
    assert!(!Words::default().are_spoken_with(Placeholder::Label));
}

#[test]
fn spoken_label_has_no_phone_number_and_no_ssml() {
    let words = words_with(&json!({"en": {
        "call.connecting": "Connecting you to {label}.",
        "call.ended": "<speak>{label}</speak>",
    }}));
    let english = language("en");
    let label = Label::try_from("<b>Tom & Ann</b> +44 7700 900001".to_owned()).unwrap();
    let say = |sentence| match words.speech(Some(&english)).with_label(Some(&label)).say(sentence) {
        Utterance::Talk(text, _) => text,
        Utterance::Audio(url) => panic!("{url}"),
    };
    assert_eq!(say(Spoken::Connecting), "Connecting you to bTom & Ann/b +  .");
    assert_eq!(say(Spoken::Ended), "<speak>bTom &amp; Ann/b +  </speak>");
}

#[test]
fn fault_of_own_words_names_language_and_key() {
    let long = "a".repeat(1_501);
    for (file, fault) in [
        (json!({"english": {}}), "english: must be a language tag such as en or pt-BR (BCP 47)"),
        (json!({"en": {"call.conecting": "Hello"}}), "en, call.conecting: is no key of a sentence or a voice"),
        (json!({"en": {"call.ended": 5}}), "en, call.ended: must be a text, or an object with only audio, a URL"),
        (json!({"en": {"call.ended": " "}}), "en, call.ended: is empty"),
        (json!({"en": {"call.ended": "{name}"}}), "en, call.ended: must not have the placeholder {name}"),
        (json!({"en": {"call.ended": "to {label"}}), "en, call.ended: must not have the placeholder {{label}"),
        (json!({"en": {"call.ended": "{number}"}}), "en, call.ended: must not have the placeholder {number}"),
        (json!({"en": {"call.ended": "{brand}"}}), "en, call.ended: has {brand}, but BRAND is not set"),
        (
            json!({"en": {"call.ended": "Call +44 20 7946 0000."}}),
            "en, call.ended: has a phone number, which Vonage would log",
        ),
        (
            json!({"en": {"call.ended": long}}),
            "en, call.ended: has up to 1501 characters, and Vonage speaks 1500 at most",
        ),
        (json!({"en": {"call.ended": {"audio": "http://a.example"}}}), "en, call.ended: audio must be an https URL"),
        (json!({"pt-br": {"text.invitation": "Ligue"}}), "pt-br, text.invitation: lacks the placeholder {number}"),
        (json!({"en": {"text.invitation": {"audio": "https://a.example"}}}), "en, text.invitation: must be a text"),
        (
            json!({"en": {"text.invitation": format!("{{number}} {long}")}}),
            "en, text.invitation: needs 10 parts of a text message, and may need 6",
        ),
        (
            json!({"en": {"name.other-person": "{label}"}}),
            "en, name.other-person: must not have the placeholder {label}",
        ),
        (json!({"en": {"fallback.problem": "Oh."}}), "en, fallback.problem: is fixed when Maskline is built"),
        (
            json!({"en": {"voice": {"language": "en_GB"}}}),
            "en, voice: language must be a code of Vonage's, such as en-GB",
        ),
        (json!({"en": {"voice.usa": {"language": "en-US"}}}), "en, voice.usa: is no key of a sentence or a voice"),
        (json!({"nl": {"call.ended": "Dag."}}), "nl, voice: is missing, and the language has no other one"),
    ] {
        assert_eq!(faults(&file), [fault], "{file}");
    }
    let of_tenant = |words: Value| json!({"tenants": {"acme": {"words": words}}});
    for (file, fault) in [
        (
            of_tenant(json!({"en": {"call.ended": "{brand}"}})),
            "tenant acme, en, call.ended: has {brand}, but BRAND is not set",
        ),
        (of_tenant(json!({"nl": {}})), "tenant acme, nl, voice: is missing, and the language has no other one"),
    ] {
        assert_eq!(faults(&file), [fault], "{file}");
    }
    let of_voice = faults(&json!({"en": {"voice": {"language": "en-GB", "stile": 2}}}));
    assert!(of_voice[0].starts_with("en, voice: must have language, and may have style and premium"), "{of_voice:?}");
    assert_eq!(faults(&json!({"en-gb": {}, "en-GB": {}})), ["en-gb: comes twice"]);
    for broken in
        [r#"{"tenants": {"A": {}}}"#, r#"{"tenants": {"a": {"word": {}}}}"#, "", "[]", "{\"en\": 5}", "{\"en\": {}"]
    {
        assert!(matches!(WordsFile::read(broken.as_bytes(), true), Err(NotWords::NotJson(_))), "{broken}");
    }
}

#[test]
fn tenant_has_its_words_and_those_of_the_deployment() {
    let file = json!({
        "en": {"call.ended": "{brand} of all.", "call.nobody": "Nobody of all."},
        "nl": {"call.goodbye": "Dag.", "voice": {"language": "nl-NL"}},
        "de-AT": {"call.goodbye": "Servus.", "call.nobody": "Niemand da."},
        "tenants": {
            "acme": {"brand": "Acme", "default_language": "nl", "words": {"en": {"call.ended": "{brand} of its own."}}},
            "beta": {"words": {"nl": {"call.goodbye": "Tot ziens."}, "de": {"call.goodbye": "Tschüss."}}},
        },
    });
    let brand = Brand::try_from("Rides".to_owned()).unwrap();
    let words =
        Words::of_file(Language::english(), Some(brand), WordsFile::read(file.to_string().as_bytes(), true).unwrap());
    let owner = |tenant: &str| Owner::Tenant(Tenant::try_from(tenant).unwrap());
    let says = |owner: Owner, tag: Option<&str>, sentence| match words
        .of(owner)
        .speech(tag.map(language).as_ref())
        .say(sentence)
    {
        Utterance::Talk(text, _) => text,
        Utterance::Audio(url) => url,
    };
    for (owner, ended, goodbye) in [
        (owner("acme"), "Acme of its own.", "Dag."),
        (owner("beta"), "Rides of all.", "Goodbye."),
        (owner("gamma"), "Rides of all.", "Goodbye."),
        (Owner::Deployment, "Rides of all.", "Goodbye."),
    ] {
        assert_eq!(says(owner, Some("en"), Spoken::Ended), ended, "{owner:?}");
        assert_eq!(says(owner, None, Spoken::Goodbye), goodbye, "{owner:?}");
        assert_eq!(says(owner, Some("en"), Spoken::Nobody), "Nobody of all.", "{owner:?}");
    }
    assert_eq!(says(owner("beta"), Some("nl"), Spoken::Goodbye), "Tot ziens.");
    // A sentence of the tenant is said before one of the deployment for a region of its language.
    assert_eq!(says(owner("acme"), Some("de-AT"), Spoken::Goodbye), "Servus.");
    assert_eq!(says(owner("beta"), Some("de-AT"), Spoken::Goodbye), "Tschüss.");
    assert_eq!(says(owner("beta"), Some("de-AT"), Spoken::Nobody), "Niemand da.");
}
