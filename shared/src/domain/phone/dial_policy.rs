//! The phones that a deployment calls and texts.
//!
//! It pays for every call. Where the number's owner gets a share of the price, callers could bring such numbers to earn
//! money (toll fraud). So premium-rate numbers are refused, and those of countries in which the deployment has no business.

use numbering_plan::{Kind, Number};

use crate::domain::country::Country;
use crate::domain::phone::PhoneNumber;

/// The countries whose phones are called and texted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialPolicy {
    /// All countries, at any price.
    All,
    /// These countries.
    Named(Vec<Country>),
    /// The countries of the deployment's own numbers, and those that share a calling code with one of them.
    OfPool {
        /// Countries in which numbers may be rented without an order, so that the first conversation there can be the reason.
        may_rent: Vec<Country>,
    },
}

/// The reason why a number is not called, although it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotCallable {
    /// The deployment does not serve its country.
    #[error("numbers of this country are not called")]
    Country,
    /// The deployment has no numbers with its calling code.
    #[error("the pool has no numbers with this calling code, and CALLABLE_COUNTRIES does not allow its country")]
    CallingCode,
    /// It belongs to no country: satellite phones and international services.
    #[error("international networks are not called")]
    International,
    /// The caller pays the owner.
    #[error("premium-rate numbers are not called")]
    PremiumRate,
    /// The caller pays the owner a share of the price.
    #[error("shared-cost numbers are not called")]
    SharedCost,
    /// It follows its owner to any phone, at a special price.
    #[error("personal numbers are not called")]
    PersonalNumber,
    /// It is a short code or a service of its network.
    #[error("short numbers are not called")]
    Short,
}

impl DialPolicy {
    /// Checks a number whose country the carrier's number lookup has returned. What depends on the pool is checked before the
    /// lookup, which costs money.
    pub fn check(&self, number: &PhoneNumber, country: Country) -> Result<(), NotCallable> {
        match self {
            Self::Named(countries) if !countries.contains(&country) => Err(NotCallable::Country),
            Self::All | Self::Named(_) | Self::OfPool { .. } => check_kind(number),
        }
    }
}

/// Checks a number by its digits alone, before a number lookup is paid for.
pub fn check_kind(number: &PhoneNumber) -> Result<(), NotCallable> {
    match Number::from_international(number.expose()).map_or(Kind::International, |number| number.kind()) {
        Kind::Ordinary => Ok(()),
        Kind::PremiumRate => Err(NotCallable::PremiumRate),
        Kind::SharedCost => Err(NotCallable::SharedCost),
        Kind::Personal => Err(NotCallable::PersonalNumber),
        Kind::International => Err(NotCallable::International),
        Kind::Short => Err(NotCallable::Short),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn country(code: &str) -> Country {
        Country::try_from(code).unwrap()
    }

    fn check(digits: &str, of: &str, served: &[&str]) -> Result<(), NotCallable> {
        let policy = match served {
            [] => DialPolicy::All,
            codes => DialPolicy::Named(codes.iter().map(|code| country(code)).collect()),
        };
        policy.check(&PhoneNumber::try_from(digits).unwrap(), country(of))
    }

    #[test]
    fn ordinary_phones_are_callable() {
        for (digits, of) in [
            ("447700900001", "GB"),
            ("442079460000", "GB"),
            ("12015550123", "US"),
            ("33644630001", "FR"),
            ("353851234567", "IE"),
            // A mobile number of the Falkland Islands, where five digits are the full length.
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
    fn numbers_that_pay_their_owner_are_not_callable() {
        for (digits, of, reason) in [
            ("449012345678", "GB", NotCallable::PremiumRate),
            ("19002345678", "US", NotCallable::PremiumRate),
            // One or two surplus digits.
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
    fn only_named_countries_are_callable() {
        assert_eq!(check("447700900001", "GB", &["GB", "US"]), Ok(()));
        assert_eq!(check("33644630001", "FR", &["GB", "US"]), Err(NotCallable::Country));
    }
}
