//! Real numbers as the answers of the API show them: whole, or only their last digits.

use std::fmt;

use numbering_plan::Dialling;
use serde::Serialize;

use super::{RealNumber, without_numbers};

/// The sign in place of the digits that are not shown. No reader of numbers takes it for punctuation, so a masked number is never
/// read as a shorter one.
const LEFT_OUT: char = '…';

/// Most last digits of a masked number.
const LAST_DIGITS: usize = 3;

/// Fewest digits that are left out. Fewer are soon guessed.
const FEWEST_LEFT_OUT: usize = 4;

/// The part of real numbers that the sender of a request is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reveal {
    /// All digits.
    Whole,
    /// The calling code and the last digits, which tell the phones of one conversation apart.
    LastDigits,
}

/// A real number as an answer shows it: `+447700900001` or `+44…001`. Only [`Reveal::show`] makes one, so nobody can write an
/// answer with a real number and forget who reads it. `Debug` is masked.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ShownNumber(String);

impl Reveal {
    /// Returns a real number for an answer.
    pub fn show(self, number: &RealNumber) -> ShownNumber {
        let digits = number.expose();
        if self == Self::Whole {
            return ShownNumber(format!("+{digits}"));
        }
        let (code, national) = match Dialling::split(digits) {
            Some((dialling, national)) => (dialling.calling_code.to_string(), national),
            None => (String::new(), digits),
        };
        let shown = national.len().saturating_sub(FEWEST_LEFT_OUT).min(LAST_DIGITS);
        ShownNumber(format!("+{code}{LEFT_OUT}{}", &national[national.len() - shown..]))
    }
}

/// True if a number in a request was copied from an answer that shows only its last digits.
pub fn is_masked(written: &str) -> bool {
    written.contains(LEFT_OUT)
}

impl fmt::Debug for ShownNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_numbers(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::country::Country;
    use crate::domain::phone::caller_id::CallerId;
    use crate::domain::phone::{PhoneNumber, parse};

    fn number(digits: &str) -> RealNumber {
        PhoneNumber::try_from(digits).unwrap().into()
    }

    #[test]
    fn masked_number_keeps_its_code_and_last_digits() {
        for (digits, masked) in [
            ("447700900001", "+44…001"),
            ("12015550123", "+1…123"),
            ("353861000001", "+353…001"),
            ("6834002", "+683…"),
            ("29022222", "+290…2"),
            ("9991234567", "+…567"),
            ("1234567", "+1…67"),
        ] {
            assert_eq!(Reveal::LastDigits.show(&number(digits)), ShownNumber(masked.to_owned()), "{digits}");
            let whole = serde_json::to_string(&Reveal::Whole.show(&number(digits))).unwrap();
            assert_eq!(whole, format!("\"+{digits}\""));
        }
    }

    #[test]
    fn masked_number_is_never_read_as_a_number() {
        let countries =
            [None, Country::try_from("GB").ok(), Country::try_from("DE").ok(), Country::try_from("US").ok()];
        for digits in ["447700900001", "4915112345678", "12015550123", "6834002", "9991234567", "290222222"] {
            let ShownNumber(masked) = Reveal::LastDigits.show(&number(digits));
            assert!(is_masked(&masked), "{masked}");
            for country in countries {
                assert_eq!(parse::read(&masked, country), Err(parse::UnreadableNumber::Masked), "{masked}");
            }
            // A network never sends it, but it must not become somebody else's key.
            let caller = CallerId::read(Some(&masked), None);
            assert_eq!(caller.phone(), None, "{masked}");
        }
    }

    #[test]
    fn debug_of_a_whole_number_is_masked() {
        assert_eq!(format!("{:?}", Reveal::Whole.show(&number("447700900001"))), "+************");
        assert_eq!(format!("{:?}", Reveal::LastDigits.show(&number("447700900001"))), "+44…001");
    }
}
