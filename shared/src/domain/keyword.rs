//! Key words: texts by which a person stops the texts of a number, takes them again, or asks for help.
//!
//! A text is a key word only if it is nothing else, without regard to case, spaces and punctuation around it. The words are those of
//! people who text a number that belongs to a machine, but here a person reads them. So each word is chosen by what a mistake would
//! cost:
//!
//! - *Stop* is never passed on and silences the number, so only words are taken that hardly anybody answers with. "Cancel", "end"
//!   and "quit" are ordinary answers between a rider and a driver. They are taken only on numbers of +1, because the carrier
//!   there stops all texts at these words, whatever happens here.
//! - *Start* means something only to a person who has stopped the texts, and is an ordinary text else. "Yes" is not taken at all:
//!   it would lift the wish of somebody who answers a question of the last call.
//! - *Help* is passed on too, so no call for help to the other person is lost.
//!
//! Sources: CTIA, "Messaging Principles and Best Practices", for the English words; 47 CFR 64.1200(a)(10) for "revoke" and
//! "opt out".

use super::channel::Sender;

/// Words that stop texts on any number.
const STOP: &[&str] = &[
    "stop",
    "stop all",
    "stopall",
    "unsubscribe",
    // German
    "stopp",
    "abmelden",
    "abbestellen",
    // French
    "arret",
    "arrêt",
    "désabonner",
    "desabonner",
    // Spanish and Portuguese
    "alto",
    "parar",
    "cancelar suscripción",
    "cancelar inscrição",
    // Italian
    "disiscrivi",
    "disiscrivimi",
    // Hindi
    "रोकें",
    "स्टॉप",
    "सदस्यता समाप्त",
    // Arabic
    "إيقاف",
    "ايقاف",
    "إلغاء الاشتراك",
    "الغاء الاشتراك",
];

/// Words that stop texts at the carrier of numbers of +1, and so here.
const STOP_OF_CARRIER: &[&str] = &["cancel", "end", "quit", "revoke", "opt out", "optout"];

/// Words that a person who has stopped texts takes them again by.
const START: &[&str] = &[
    "start",
    "unstop",
    "subscribe",
    "anmelden",
    "démarrer",
    "demarrer",
    "iniciar",
    "inicia",
    "começar",
    "inizia",
    "शुरू",
    "शुरू करें",
    "स्टार्ट",
    "ابدأ",
    "ابدا",
    "بدء",
];

/// Words that ask for help.
const HELP: &[&str] = &["help", "info", "hilfe", "aide", "ayuda", "ajuda", "aiuto", "मदद", "सहायता", "مساعدة"];

/// The meaning of a key word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyword {
    /// The writer wants no more texts from the number.
    Stop,
    /// The writer wants texts from the number again.
    Start,
    /// The writer wants to know who texts.
    Help,
}

impl Keyword {
    /// Reads a text to `sender`. `None` if it is no key word.
    pub fn of(text: &str, sender: &Sender<'_>) -> Option<Self> {
        // A longer text is none, and need not be copied.
        if text.len() > 200 {
            return None;
        }
        let word = plain(text);
        let is_in = |words: &[&str]| words.contains(&word.as_str());
        if is_in(STOP) || is_in(STOP_OF_CARRIER) && is_answered_by_carrier(sender) {
            Some(Self::Stop)
        } else if is_in(START) {
            Some(Self::Start)
        } else if is_in(HELP) {
            Some(Self::Help)
        } else {
            None
        }
    }
}

/// True if the carrier answers key words on texts to `sender`, so that nobody else does.
///
/// Source: Vonage, "Opt-Out Assist", for the numbers of the United States and Canada. All of +1 is taken for these: no other
/// country of it has numbers for texts at Vonage.
pub fn is_answered_by_carrier(sender: &Sender<'_>) -> bool {
    sender.as_str().starts_with('1')
}

/// Returns a text in lower case, without what surrounds its words, and with one space between them.
fn plain(text: &str) -> String {
    let is_invisible = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{feff}');
    let visible: String = text.chars().filter(|c| !is_invisible(*c)).collect();
    let is_around = |c: char| {
        c.is_whitespace()
            || c.is_ascii_punctuation()
            || matches!(c, '¡' | '¿' | '…' | '।' | '؟' | '،' | '“' | '”' | '„' | '«' | '»' | '’' | '‘')
    };
    let word = visible.trim_matches(is_around).to_lowercase();
    word.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::channel::Channel;

    fn number(digits: &str) -> Sender<'static> {
        Sender::try_from(digits.to_owned()).unwrap()
    }

    #[test]
    fn a_text_that_is_only_the_word_is_a_key_word() {
        let british = number("447451000001");
        for (keyword, texts) in [
            (
                Keyword::Stop,
                &["STOP", " stop. ", "Stop!!", "«Arrêt»", "ARRET", "¡Alto!", "Parar", "stop  all", "إيقاف"][..],
            ),
            (Keyword::Stop, &["\u{200f}ايقاف\u{200f}", "रोकें।", "STOPP", "Abmelden", "\"STOP\""][..]),
            (Keyword::Start, &["start", "UNSTOP", "Iniciar", "शुरू"][..]),
            (Keyword::Help, &["HELP", "Hilfe!", "info?", "मदद", "مساعدة"][..]),
        ] {
            for text in texts {
                assert_eq!(Keyword::of(text, &british), Some(keyword), "{text}");
            }
        }
    }

    #[test]
    fn answers_between_two_people_are_no_key_words() {
        let british = number("447451000001");
        let answers =
            ["yes", "cancel", "end", "quit", "stop here", "please stop", "don't stop", "", "!", "🛑", "no", "ok"];
        for text in answers.into_iter().chain(["help me with the bags", "startet", &"stop".repeat(100)]) {
            assert_eq!(Keyword::of(text, &british), None, "{text}");
        }
    }

    #[test]
    fn words_that_stop_texts_at_the_carrier_do_so_here() {
        for text in ["Cancel", "END", "quit", "opt out", "Revoke."] {
            assert_eq!(Keyword::of(text, &number("12025550100")), Some(Keyword::Stop), "{text}");
        }
        assert_eq!(Keyword::of("yes", &number("12025550100")), None);
        assert_eq!(Keyword::of("cancel", &Channel::WhatsApp.into()), None);
    }

    #[test]
    fn each_word_is_written_as_a_text_is_read() {
        for words in [STOP, STOP_OF_CARRIER, START, HELP] {
            for word in words {
                assert_eq!(plain(word), *word);
            }
        }
    }
}
