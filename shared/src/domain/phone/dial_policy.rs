//! Which phones people may bring. Whoever can have a number called at the deployment's cost can have a share of that cost
//! where the number is chosen for it (toll fraud): premium rates, and countries where nobody does business.

use crate::domain::country::Country;
use crate::domain::phone::PhoneNumber;
use crate::domain::phone::plan::{Kind, Number};

/// The countries whose phones may be called and texted. None in here stands for all.
#[derive(Debug, Clone, Default)]
pub struct DialPolicy {
    countries: Vec<Country>,
}

/// Why a number is not called, although it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotCallable {
    /// Its country is not one of those that the deployment names.
    #[error("numbers of this country are not called")]
    Country,
    /// It belongs to no country: satellite phones and international services.
    #[error("international networks are not called")]
    International,
    /// Whoever calls it pays its owner.
    #[error("premium-rate numbers are not called")]
    PremiumRate,
    /// Whoever calls it pays a share to its owner.
    #[error("shared-cost numbers are not called")]
    SharedCost,
    /// It follows its owner to any phone, at a price of its own.
    #[error("personal numbers are not called")]
    PersonalNumber,
    /// It is a short code or a service of its network.
    #[error("short numbers are not called")]
    Short,
}

/// A number of no known kind is judged by its beginning: so many digits of it say of which kind a longer number would be.
const LEAST_TELLING_DIGITS: usize = 5;

/// So many digits after the calling code or fewer make a number short, unless it is known to be somebody's: small
/// countries have such.
const SHORT_DIGITS: usize = 6;

impl DialPolicy {
    /// Only phones of these countries, or of any if there are none.
    pub fn new(countries: Vec<Country>) -> Self {
        Self { countries }
    }

    /// Judges a number that the carrier lookup found to be of `country`.
    pub fn check(&self, number: &PhoneNumber, country: Country) -> Result<(), NotCallable> {
        if self.countries.is_empty() || self.countries.contains(&country) {
            check_kind(number)
        } else {
            Err(NotCallable::Country)
        }
    }
}

/// Judges a number by its digits alone, which costs no lookup.
///
/// Source: libphonenumber's metadata of each country's number plan.
pub fn check_kind(number: &PhoneNumber) -> Result<(), NotCallable> {
    let Ok(number) = Number::international(number.expose()) else {
        return Err(NotCallable::International);
    };
    if number.is_of_no_country() {
        return Err(NotCallable::International);
    }
    if let Some(kind) = number.kind() {
        return check(kind);
    }
    let national = number.national_digits().trim_start_matches('0');
    // Numbers reserved for examples have no known kind either, but are of full length.
    if national.len() <= SHORT_DIGITS {
        return Err(NotCallable::Short);
    }
    // Many networks route by the first digits and pass over those that are too many.
    (LEAST_TELLING_DIGITS..national.len()).try_for_each(|digits| {
        let beginning = format!("{}{}", number.calling_code(), &national[..digits]);
        let kind = Number::international(&beginning).ok().and_then(|number| number.kind());
        kind.map_or(Ok(()), check)
    })
}

fn check(kind: Kind) -> Result<(), NotCallable> {
    match kind {
        Kind::PremiumRate => Err(NotCallable::PremiumRate),
        Kind::SharedCost => Err(NotCallable::SharedCost),
        Kind::Personal => Err(NotCallable::PersonalNumber),
        Kind::Other => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn country(code: &str) -> Country {
        Country::try_from(code).unwrap()
    }

    fn check(digits: &str, of: &str, callable: &[&str]) -> Result<(), NotCallable> {
        let callable = DialPolicy::new(callable.iter().map(|code| country(code)).collect());
        callable.check(&PhoneNumber::try_from(digits).unwrap(), country(of))
    }

    #[test]
    fn phones_of_people_are_callable() {
        for (digits, of) in [
            ("447700900001", "GB"),
            ("442079460000", "GB"),
            ("12015550123", "US"),
            ("33644630001", "FR"),
            ("353851234567", "IE"),
            // A mobile of the Falkland Islands: five digits are all it has.
            ("50051234", "FK"),
            ("448001111111", "GB"),
            ("447700900999", "GB"),
            ("12125550199", "US"),
            ("33199001234", "FR"),
            ("61491570006", "AU"),
            ("353209100001", "IE"),
        ] {
            assert_eq!(check(digits, of, &[]), Ok(()), "{digits}");
        }
    }

    #[test]
    fn what_pays_its_owner_is_not() {
        for (digits, of, reason) in [
            ("449012345678", "GB", NotCallable::PremiumRate),
            ("19002345678", "US", NotCallable::PremiumRate),
            // With a digit or two more than it should have.
            ("4990011234567", "DE", NotCallable::PremiumRate),
            ("49900112345678", "DE", NotCallable::PremiumRate),
            ("3989912345678", "IT", NotCallable::PremiumRate),
            ("33899123456", "FR", NotCallable::PremiumRate),
            ("499001123456", "DE", NotCallable::PremiumRate),
            ("448431234567", "GB", NotCallable::PremiumRate),
            ("491801234567", "DE", NotCallable::SharedCost),
            ("447012345678", "GB", NotCallable::PersonalNumber),
            ("979123456789", "GB", NotCallable::International),
            ("881612345678", "GB", NotCallable::International),
            ("80012345678", "GB", NotCallable::International),
            ("9991234567", "GB", NotCallable::International),
            ("4911833", "DE", NotCallable::Short),
            ("4922833", "DE", NotCallable::Short),
        ] {
            assert_eq!(check(digits, of, &[]), Err(reason), "{digits}");
        }
    }

    #[test]
    fn a_deployment_may_name_the_countries_that_are_called() {
        assert_eq!(check("447700900001", "GB", &["GB", "US"]), Ok(()));
        assert_eq!(check("33644630001", "FR", &["GB", "US"]), Err(NotCallable::Country));
    }
}
