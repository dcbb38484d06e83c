//! Phone numbers. Real and virtual numbers have different types, so that they cannot be confused.

pub mod caller_id;
pub mod dial_policy;
mod e164;
pub mod parse;
pub mod plan;
mod shown;
mod spelling;

use std::fmt;

pub use e164::E164;
use serde::{Deserialize, Serialize};
pub use shown::{Reveal, ShownNumber, is_masked};

/// A phone number in E.164 without "+", as Vonage writes it: `447700900001`. It serializes in this form, for the table and for
/// Vonage; the API writes [`E164`] and [`ShownNumber`].
///
/// `Debug` is masked, and there is no `Display`: the digits are read only with [`PhoneNumber::expose`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PhoneNumber(String);

/// The text is not an international number: 7 to 15 digits, the first of them not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an international phone number")]
pub struct NotAPhoneNumber;

impl PhoneNumber {
    /// Returns the digits, for the carrier, the table and the API's client. Never use them in a log, an error or a metric.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for PhoneNumber {
    type Error = NotAPhoneNumber;

    /// Accepts exactly `^[1-9]\d{6,14}$`, which is Vonage's form.
    fn try_from(digits: &str) -> Result<Self, NotAPhoneNumber> {
        let possible = (7..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        possible.then(|| Self(digits.to_owned())).ok_or(NotAPhoneNumber)
    }
}

impl TryFrom<String> for PhoneNumber {
    type Error = NotAPhoneNumber;

    fn try_from(digits: String) -> Result<Self, NotAPhoneNumber> {
        Self::try_from(digits.as_str())
    }
}

impl From<PhoneNumber> for String {
    fn from(number: PhoneNumber) -> Self {
        number.0
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.len() - 3;
        write!(f, "{}{}", "*".repeat(shown), &self.0[shown..])
    }
}

/// A participant's own phone. `Debug` is masked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RealNumber(PhoneNumber);

/// A number rented from Vonage. It is not secret, so `Debug` and `Display` show it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VirtualNumber(PhoneNumber);

impl RealNumber {
    /// Returns the digits; see [`PhoneNumber::expose`].
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// Returns it as a phone number of any kind.
    pub fn as_phone(&self) -> &PhoneNumber {
        &self.0
    }
}

impl VirtualNumber {
    /// Returns the digits.
    pub fn as_str(&self) -> &str {
        self.0.expose()
    }
}

impl From<PhoneNumber> for RealNumber {
    fn from(number: PhoneNumber) -> Self {
        Self(number)
    }
}

impl From<PhoneNumber> for VirtualNumber {
    fn from(number: PhoneNumber) -> Self {
        Self(number)
    }
}

impl fmt::Debug for RealNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for VirtualNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for VirtualNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Replaces the digits of possible phone numbers with stars: seven digits or more, with only spaces and punctuation between
/// them. Use it for text from others that is shown: a carrier's reason, a parser's message.
pub fn without_numbers(text: &str) -> String {
    let part_of_a_number = |c: char| c.is_ascii_digit() || " -.()/+_".contains(c);
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let words = rest.find(part_of_a_number).unwrap_or(rest.len());
        masked.push_str(&rest[..words]);
        rest = &rest[words..];
        let run = &rest[..rest.find(|c| !part_of_a_number(c)).unwrap_or(rest.len())];
        let could_be_one = run.bytes().filter(u8::is_ascii_digit).count() >= 7;
        masked.extend(run.chars().map(|c| if could_be_one && c.is_ascii_digit() { '*' } else { c }));
        rest = &rest[run.len()..];
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_text_from_others_are_masked() {
        for (text, masked) in [
            ("not valid [ 447700900001 ]", "not valid [ ************ ]"),
            ("+44 (0)7700-900.001, twice", "+** (*)****-***.***, twice"),
            ("code 420 at line 1 column 123456", "code 420 at line 1 column 123456"),
            ("é447700900001é", "é************é"),
            ("", ""),
        ] {
            assert_eq!(without_numbers(text), masked);
        }
    }

    #[test]
    fn phone_number_accepts_only_e164_digits() {
        for good in ["447700900001", "1234567", "123456789012345"] {
            assert_eq!(PhoneNumber::try_from(good).unwrap().expose(), good);
        }
        for bad in [
            "",
            "123456",
            "1234567890123456",
            "0447700900001",
            "+447700900001",
            " 447700900001",
            "anonymous",
            "٤٤٧٧٠٠٩٠٠٠٠١",
        ] {
            assert_eq!(PhoneNumber::try_from(bad), Err(NotAPhoneNumber), "{bad}");
        }
    }

    #[test]
    fn debug_of_a_real_number_is_masked() {
        let number = RealNumber::from(PhoneNumber::try_from("447700900001").unwrap());
        assert_eq!(format!("{number:?}"), "*********001");
    }
}
