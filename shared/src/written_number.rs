//! Numbers as people write them, read into E.164.

use std::borrow::Cow;

use rlibphonenumber::{PHONE_NUMBER_UTIL, ParseError, PhoneNumberFormat, Region};

use crate::country::Country;
use crate::phone::{PhoneNumber, RealNumber};

/// Why a written number cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableNumber {
    /// It has a national form, and nothing says of which country.
    #[error("a number without an international prefix needs a country")]
    NeedsCountry,
    /// It is not a phone number of any country.
    #[error("not a phone number")]
    NotANumber,
    /// It is international, and of another calling code than the country that came with it.
    #[error("the number does not belong to the country given with it")]
    OtherCountry,
}

/// Reads `+44 7700 900001`, `0044 7700 900001` or, with its country, `07700 900001`.
///
/// Says only what number is meant and that it is possible; whether it is a valid one is the carrier lookup's to say,
/// because libphonenumber refuses numbers reserved for examples that a carrier accepts.
pub fn read(written: &str, country: Option<Country>) -> Result<PhoneNumber, UnreadableNumber> {
    let written = written.trim();
    // "00" is the prefix that the ITU recommends, and no national number begins with it.
    let written = match written.strip_prefix("00") {
        Some(rest) => Cow::Owned(format!("+{rest}")),
        None => Cow::Borrowed(written),
    };
    let region = country.and_then(|country| country.as_str().parse::<Region>().ok());
    let number = PHONE_NUMBER_UTIL.parse(&written, region).map_err(|error| match error {
        // Said also of a national number without a region.
        ParseError::InvalidCountryCode if !written.starts_with('+') => UnreadableNumber::NeedsCountry,
        _ => UnreadableNumber::NotANumber,
    })?;
    if number.extension.is_some() || !PHONE_NUMBER_UTIL.is_possible_number(&number) {
        return Err(UnreadableNumber::NotANumber);
    }
    let calling_code = region.and_then(|region| PHONE_NUMBER_UTIL.get_country_code_for_region(region));
    if calling_code.is_some_and(|code| code != number.country_code) {
        return Err(UnreadableNumber::OtherCountry);
    }
    let e164 = number.format_as(PhoneNumberFormat::E164);
    // A zero too many can be left at its beginning: read again, it would be dropped, and another phone would ring.
    let again = PHONE_NUMBER_UTIL.parse(&e164, None);
    if !again.is_ok_and(|again| again.format_as(PhoneNumberFormat::E164) == e164) {
        return Err(UnreadableNumber::NotANumber);
    }
    PhoneNumber::try_from(e164.trim_start_matches('+')).map_err(|_| UnreadableNumber::NotANumber)
}

/// The calling code of an international number, such as `44`.
pub fn calling_code(number: &RealNumber) -> String {
    let parsed = PHONE_NUMBER_UTIL.parse(format!("+{}", number.expose()), None);
    // A number that has none we know of shares it with nobody.
    parsed.map_or_else(|_| number.expose().to_owned(), |number| number.country_code.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_in(written: &str, country: Option<&str>) -> Result<String, UnreadableNumber> {
        read(written, country.map(|code| Country::try_from(code).unwrap())).map(|number| number.expose().to_owned())
    }

    #[test]
    fn reads_numbers_as_people_write_them() {
        for (written, country) in [
            ("+44 7700 900001", None),
            ("+44 (0)7700 900001", None),
            ("0044 7700-900001", None),
            ("0044 7700 900001", Some("GB")),
            ("07700 900001", Some("GB")),
            ("  (07700) 900.001 ", Some("GB")),
            ("+447700900001", Some("JE")),
        ] {
            assert_eq!(read_in(written, country).as_deref(), Ok("447700900001"), "{written}");
        }
        assert_eq!(read_in("(201) 555-0123", Some("US")).as_deref(), Ok("12015550123"));
    }

    #[test]
    fn a_national_number_needs_its_country() {
        assert_eq!(read_in("07700 900001", None), Err(UnreadableNumber::NeedsCountry));
        assert_eq!(read_in("hello", None), Err(UnreadableNumber::NotANumber));
    }

    #[test]
    fn refuses_what_is_not_a_number() {
        for written in
            ["", "+", "hello", "+44", "+999 123 456 789", "+44 7700 900001 ext. 5", "12", "+4477009000011234567"]
        {
            assert!(read_in(written, Some("GB")).is_err(), "{written}");
        }
    }

    #[test]
    fn refuses_a_number_that_would_be_read_as_another_one_the_next_time() {
        for written in ["+8200 13002", "+82 0 013002"] {
            assert_eq!(read_in(written, None), Err(UnreadableNumber::NotANumber), "{written}");
        }
        assert_eq!(read_in("+39 02 1234 5678", None).as_deref(), Ok("390212345678"), "a zero that belongs to it");
    }

    #[test]
    fn a_calling_code_is_told_from_the_number() {
        for (number, code) in
            [("447700900001", "44"), ("12015550123", "1"), ("353861000001", "353"), ("9991234567", "9991234567")]
        {
            assert_eq!(calling_code(&PhoneNumber::try_from(number).unwrap().into()), code);
        }
    }

    #[test]
    fn refuses_a_number_of_another_country_than_the_one_given() {
        assert_eq!(read_in("+33 6 44 63 00 01", Some("GB")), Err(UnreadableNumber::OtherCountry));
    }
}
