//! From digits to a number, and from a number to its kind.

use std::borrow::Cow;
use std::fmt;

use crate::plan::{Length, Plan, Service};

/// Limits of a national number's length. The ITU allows at most 15 digits with the calling code; Germany has longer ones.
const MIN_NATIONAL_DIGITS: usize = 2;
const MAX_NATIONAL_DIGITS: usize = 17;
const MAX_CALLING_CODE_DIGITS: usize = 3;

/// Shortest prefix of a national number that identifies its kind.
const MIN_PREFIX_DIGITS: usize = 5;

/// Numbers up to this length without a known service are short numbers. Small countries have ordinary numbers as short as
/// this, but their plans list those.
const MAX_SHORT_DIGITS: usize = 6;

/// A phone number with a calling code. Its length fits the limits of the ITU; it need not be assigned to anybody.
///
/// `Debug` shows no digits, because a number may belong to a person.
#[derive(Clone, PartialEq, Eq)]
pub struct Number {
    calling_code: u16,
    national: String,
}

/// The kind of a number, as far as it matters to whoever pays for a call to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A normal phone, a toll-free number, or a number in no known range, such as those reserved for examples.
    Ordinary,
    /// The caller pays the owner.
    PremiumRate,
    /// The caller pays the owner a share of the price.
    SharedCost,
    /// A number that follows its owner to any phone, at a special price.
    Personal,
    /// A satellite phone or an international service: it belongs to no country.
    International,
    /// A short code or a service of the network.
    Short,
}

/// The reason why digits are not a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigitsError {
    /// They do not begin with a calling code.
    UnknownCallingCode,
    /// There are too few or too many digits.
    ImpossibleLength,
}

impl Number {
    /// Reads digits in international form without "+": `447700900001`. A national prefix after the calling code is
    /// dropped, as in libphonenumber.
    pub fn from_international(digits: &str) -> Option<Self> {
        Self::read_international(digits).ok()
    }

    /// Returns the calling code, such as 44.
    pub fn calling_code(&self) -> u16 {
        self.calling_code
    }

    /// Returns all digits, without "+": E.164, unless the number has more than 15 digits.
    pub fn digits(&self) -> String {
        format!("{}{}", self.calling_code, self.national)
    }

    /// Returns the digits after the calling code.
    pub(crate) fn national(&self) -> &str {
        &self.national
    }

    /// Returns the country (ISO 3166-1 alpha-2) of a number in a known range. `None` for all other numbers, and for those
    /// that belong to no country.
    pub fn country(&self) -> Option<[u8; 2]> {
        self.plan_and_service()?.0.country()
    }

    /// Classifies the number by its digits.
    ///
    /// A number in no known range is classified by its prefix: many networks route by the first digits and ignore
    /// surplus ones, so a premium-rate number with one more digit can still reach the premium-rate service.
    pub fn kind(&self) -> Kind {
        if Plan::main(self.calling_code).is_some_and(|plan| plan.is_of_no_country()) {
            return Kind::International;
        }
        if let Some(service) = self.service() {
            return service.into();
        }
        let national = self.national.trim_start_matches('0');
        if national.len() <= MAX_SHORT_DIGITS {
            return Kind::Short;
        }
        let mut kinds = (MIN_PREFIX_DIGITS..national.len()).filter_map(|digits| {
            let prefix = format!("{}{}", self.calling_code, &national[..digits]);
            Self::from_international(&prefix)?.service().map(Kind::from)
        });
        kinds.find(|kind| *kind != Kind::Ordinary).unwrap_or(Kind::Ordinary)
    }

    /// True if the number is in a known range of its country. Numbers that are reserved for examples are not.
    pub fn is_valid(&self) -> bool {
        self.service().is_some()
    }

    fn service(&self) -> Option<Service> {
        self.plan_and_service().map(|(_, service)| service)
    }

    /// Returns the service of a number in a known range, with the plan that knows it.
    fn plan_and_service(&self) -> Option<(Plan, Service)> {
        for plan in Plan::sharing(self.calling_code) {
            let service = plan.service(&self.national);
            if service.is_some() || plan.has_leading_digits(&self.national) {
                return service.map(|service| (plan, service));
            }
        }
        None
    }

    /// True if numbers of its plan can have this length.
    pub(crate) fn is_possible(&self) -> bool {
        let plan = Plan::main(self.calling_code);
        plan.is_some_and(|plan| matches!(plan.length(&self.national), Length::Possible | Length::LocalOnly))
    }

    /// Returns the number without the "1" that Mexican mobile phones had after the calling code until 2019. Other networks
    /// and address books still have it; the metadata no longer does.
    pub(crate) fn without_mexican_one(mut self) -> Self {
        if self.calling_code == 52 && self.national.len() == 11 && self.national.starts_with('1') {
            self.national.remove(0);
        }
        self
    }

    /// Reads the digits after a "+".
    pub(crate) fn read_international(digits: &str) -> Result<Self, DigitsError> {
        if digits.len() <= MIN_NATIONAL_DIGITS {
            return Err(DigitsError::ImpossibleLength);
        }
        if digits.starts_with('0') {
            return Err(DigitsError::UnknownCallingCode);
        }
        // No calling code is the prefix of another one.
        let split = (1..=MAX_CALLING_CODE_DIGITS).find_map(|length| {
            let (code, national) = digits.split_at_checked(length)?;
            Some((Plan::main(code.parse().ok()?)?, national))
        });
        let (plan, national) = split.ok_or(DigitsError::UnknownCallingCode)?;
        Self::read_national(&plan, national)
    }

    /// Reads digits as dialled in the country of `plan`.
    pub(crate) fn read_dialled(plan: &Plan, digits: &str) -> Result<Self, DigitsError> {
        Self::read_with_calling_code(plan, digits).unwrap_or_else(|| Self::read_national(plan, digits))
    }

    /// Reads digits as dialled in the country of `plan` if they contain a calling code: one that follows the prefix of
    /// international calls, or the country's own calling code where the digits would not be a national number.
    pub(crate) fn read_with_calling_code(plan: &Plan, digits: &str) -> Option<Result<Self, DigitsError>> {
        if let Some(international) = plan.strip_international_prefix(digits) {
            return Some(Self::read_international(international));
        }
        let rest = digits.strip_prefix(&*plan.calling_code.to_string())?;
        let rest = plan.strip_national_prefix(rest);
        let is_better = !plan.is_national_number(digits) && plan.is_national_number(&rest);
        let is_better = is_better || plan.length(digits) == Length::TooLong;
        let main = Plan::main(plan.calling_code)?;
        is_better.then(|| Self::read_national(&main, &rest))
    }

    fn read_national(plan: &Plan, digits: &str) -> Result<Self, DigitsError> {
        let mut national = Cow::Borrowed(digits);
        let rest = plan.strip_national_prefix(digits);
        // If the rest is too short, the digits may be a short number that only looks like prefix and number.
        if matches!(plan.length(&rest), Length::Possible | Length::TooLong) {
            national = rest;
        }
        if digits.len() < MIN_NATIONAL_DIGITS || !(MIN_NATIONAL_DIGITS..=MAX_NATIONAL_DIGITS).contains(&national.len())
        {
            return Err(DigitsError::ImpossibleLength);
        }
        Ok(Self { calling_code: plan.calling_code, national: national.into_owned() })
    }
}

impl From<Service> for Kind {
    fn from(service: Service) -> Self {
        match service {
            Service::PremiumRate => Self::PremiumRate,
            Service::SharedCost => Self::SharedCost,
            Service::Personal => Self::Personal,
            Service::Ordinary => Self::Ordinary,
        }
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{} {}", self.calling_code, "*".repeat(self.national.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(digits: &str) -> Kind {
        Number::from_international(digits).unwrap().kind()
    }

    #[test]
    fn numbers_reserved_for_examples_are_ordinary() {
        for digits in ["447700900001", "12125550199", "33199001234", "61491570006"] {
            assert_eq!(kind(digits), Kind::Ordinary, "{digits}");
        }
    }

    #[test]
    fn surplus_digits_do_not_hide_a_premium_rate_number() {
        for digits in ["499001123456", "4990011234567", "49900112345678"] {
            assert_eq!(kind(digits), Kind::PremiumRate, "{digits}");
        }
    }

    #[test]
    fn short_numbers_and_networks_without_a_country_are_recognised() {
        for (digits, expected) in [
            ("4911833", Kind::Short),
            ("50051234", Kind::Ordinary), // A mobile number of the Falkland Islands.
            ("881612345678", Kind::International),
        ] {
            assert_eq!(kind(digits), expected, "{digits}");
        }
    }

    #[test]
    fn debug_shows_no_digit_of_the_national_number() {
        assert_eq!(format!("{:?}", Number::from_international("447700900001").unwrap()), "+44 **********");
    }
}
