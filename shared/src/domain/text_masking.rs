//! The masking of contact details in texts: what becomes of a text with a phone number, an e-mail address or a link.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::domain::contact_details::{self, MARK};
use crate::domain::country::Country;

/// The masking of contact details in the texts of a conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextMasking {
    /// Texts are passed on as they are.
    #[default]
    Off,
    /// [`MARK`] replaces each contact detail.
    Redact,
    /// A text with contact details is not passed on, and its writer is told so.
    Refuse,
}

/// A text after its masking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Masked<'t> {
    /// It is passed on with these words, in which so many contact details were replaced.
    Words(Cow<'t, str>, u32),
    /// It is not passed on.
    Refused,
}

impl TextMasking {
    /// True if texts are passed on as they are.
    pub fn is_off(&self) -> bool {
        *self == Self::Off
    }

    /// Masks a text between people in these countries, whose national numbers are known by their length.
    pub fn mask<'t>(self, text: &'t str, countries: &[Country]) -> Masked<'t> {
        let found = if self.is_off() { Vec::new() } else { contact_details::find(text, countries) };
        match self {
            _ if found.is_empty() => Masked::Words(text.into(), 0),
            Self::Refuse => Masked::Refused,
            _ => {
                let mut masked = text.to_owned();
                for place in found.iter().rev() {
                    masked.replace_range(place.clone(), MARK);
                }
                Masked::Words(masked.into(), u32::try_from(found.len()).unwrap_or(u32::MAX))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str) -> String {
        match TextMasking::Redact.mask(text, &[Country::try_from("GB").unwrap()]) {
            Masked::Words(words, _) => words.into_owned(),
            Masked::Refused => unreachable!("only refuse refuses"),
        }
    }

    #[test]
    fn each_contact_detail_is_replaced_by_the_mark() {
        for (text, masked) in [
            ("call 07700 900001, or +33 6 12 34 56 78!", "call ***, or ***!"),
            ("me@example.com / www.example.com/a?b=1.", "*** / ***."),
            ("see you at 16:30", "see you at 16:30"),
            ("(07700) 900001", "***"),
        ] {
            assert_eq!(redacted(text), masked, "{text}");
        }
    }

    #[test]
    fn only_refuse_refuses_and_off_changes_nothing() {
        let countries = [Country::try_from("GB").unwrap()];
        let (text, plain) = ("call 07700900001", "call me");
        assert_eq!(TextMasking::Off.mask(text, &countries), Masked::Words(text.into(), 0));
        assert_eq!(TextMasking::Redact.mask(text, &countries), Masked::Words("call ***".into(), 1));
        assert_eq!(TextMasking::Refuse.mask(text, &countries), Masked::Refused);
        assert_eq!(TextMasking::Refuse.mask(plain, &countries), Masked::Words(plain.into(), 0));
    }
}
