//! Phone numbers as people write them, parsed into E.164.

use numbering_plan::{Number, ParseError};

use crate::domain::country::Country;
use crate::domain::phone::{PhoneNumber, is_masked};

/// The reason why a written number cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableNumber {
    /// It has a national form, and no country was given.
    #[error("a number without an international prefix needs a country")]
    NeedsCountry,
    /// It is not a phone number of any country.
    #[error("not a phone number")]
    NotANumber,
    /// It is international, and its calling code is not that of the given country.
    #[error("the number does not belong to the country given with it")]
    OtherCountry,
    /// By the dialling habits of another country it is another phone.
    #[error("the number can be read as another phone; write it with + and the calling code")]
    Unclear,
    /// It was copied from an answer that shows only the last digits.
    #[error("the number is masked, as answers show it to those who may not see it; write all of its digits")]
    Masked,
}

/// Reads `+44 7700 900001`, `0044 7700 900001` or, with its country, `07700 900001`.
///
/// The number is possible, but need not be valid: the carrier's number lookup decides that, because libphonenumber calls
/// numbers that are reserved for examples invalid, and carriers accept them.
pub fn read(written: &str, country: Option<Country>) -> Result<PhoneNumber, UnreadableNumber> {
    if is_masked(written) {
        return Err(UnreadableNumber::Masked);
    }
    let number = numbering_plan::parse(written, country.map(Country::letters))?;
    PhoneNumber::try_from(number.digits()).map_err(|_| UnreadableNumber::NotANumber)
}

/// Returns the calling code of a number in digits, such as `44`. If the calling code is unknown, returns all digits, so
/// that no other number has the same one.
pub fn calling_code(digits: &str) -> String {
    Number::from_international(digits).map_or_else(|| digits.to_owned(), |number| number.calling_code().to_string())
}

impl From<ParseError> for UnreadableNumber {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::NeedsCountry => Self::NeedsCountry,
            ParseError::NotANumber => Self::NotANumber,
            ParseError::OtherCountry => Self::OtherCountry,
            ParseError::Unclear => Self::Unclear,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_returns_e164_or_the_reason() {
        let gb = Country::try_from("GB").ok();
        for (written, country, expected) in [
            ("07700 900001", gb, Ok("447700900001")),
            ("+44 (0)7700 900001", None, Ok("447700900001")),
            ("07700 900001", None, Err(UnreadableNumber::NeedsCountry)),
            ("hello", gb, Err(UnreadableNumber::NotANumber)),
            ("+33 6 44 63 00 01", gb, Err(UnreadableNumber::OtherCountry)),
            ("+810 44 7911 123456", None, Err(UnreadableNumber::Unclear)),
            ("+44…001", None, Err(UnreadableNumber::Masked)),
            ("…001", gb, Err(UnreadableNumber::Masked)),
        ] {
            let number = read(written, country);
            assert_eq!(number.as_ref().map(PhoneNumber::expose), expected.as_ref().copied(), "{written}");
        }
    }

    #[test]
    fn read_refuses_numbers_that_are_not_e164() {
        assert_eq!(read("+49 1234567890123", None).map(|number| number.expose().len()), Ok(15));
        assert_eq!(read("+49 123456789012345", None), Err(UnreadableNumber::NotANumber));
    }

    #[test]
    fn calling_code_is_a_prefix_of_the_number() {
        for (number, code) in
            [("447700900001", "44"), ("12015550123", "1"), ("353861000001", "353"), ("9991234567", "9991234567")]
        {
            assert_eq!(calling_code(number), code);
        }
    }
}
