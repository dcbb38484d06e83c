//! The verdict of the numbering plan.

use numbering_plan::Number;

use crate::domain::country::Country;
use crate::domain::phone::PhoneNumber;

/// Returns the country of a number that its numbering plan holds valid, or that its regulator reserves for examples. Returns
/// `None` if the number is not valid. It need not be assigned to anybody.
pub fn country(number: &PhoneNumber) -> Option<Country> {
    let number = Number::from_international(number.expose())?;
    let letters = number.country().or_else(|| number.country_of_example())?;
    Country::try_from(std::str::from_utf8(&letters).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phone(digits: &str) -> PhoneNumber {
        PhoneNumber::try_from(digits).unwrap()
    }

    #[test]
    fn country_is_known_of_valid_and_of_example_numbers() {
        for (digits, expected) in [
            ("447400123456", Some("GB")),
            ("447911123456", Some("GG")),
            ("447700900001", Some("GB")),
            ("447797123456", Some("JE")),
            ("12015550123", Some("US")),
            ("14165550100", Some("CA")),
            ("33612345678", Some("FR")),
            ("33639981234", Some("FR")),
            ("5491123456789", Some("AR")),
            ("79111234567", Some("RU")),
            ("77011234567", Some("KZ")),
            ("441111111111", None),
            ("881612345678", None),
            ("9991234567", None),
            ("4479111234567", None),
        ] {
            let country = country(&phone(digits)).map(|country| country.to_string());
            assert_eq!(country.as_deref(), expected, "{digits}");
        }
    }
}
