//! Numbering plans: one for each country, and one for each international network.

use std::borrow::Cow;

use crate::pattern::Pattern;

// Written by `tests/metadata.rs`, each in ascending order:
// - `PLANS`: calling code, and one line for each region that shares it. The first line is the main region.
// - `COUNTRIES`: country, and its calling code.
// - `ZEROS`: the digit 0 of each script.
include!("../metadata/plans.rs");

/// The region of all networks that belong to no country.
const NO_COUNTRY: &str = "001";

/// The numbering plan of one region. The patterns are compared with national numbers, which have no calling code.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Calling code, such as 44.
    pub calling_code: u16,
    region: &'static str,
    /// Dialled before a calling code, such as `00`.
    international_prefix: Option<Pattern<'static>>,
    /// Dialled before a national number and not part of it, such as `0`.
    national_prefix: Option<Pattern<'static>>,
    /// Replacement for a national prefix with groups, such as `1481$1`, where an area code can be left out.
    national_prefix_transform: &'static str,
    /// First digits of this region's numbers, where several regions share a calling code.
    leading_digits: Option<Pattern<'static>>,
    /// Bit set of the lengths that can be dialled only in the same area.
    local_lengths: u32,
    /// All national numbers.
    general: NumberRange,
    /// Fields of the other [`NumberRange`]s, in the order of libphonenumber.
    ranges: &'static str,
}

/// The numbers of one service, such as all mobile or all premium-rate numbers of a region.
#[derive(Debug, Clone, Copy)]
struct NumberRange {
    service: Service,
    /// Bit set of the possible lengths; 0 allows every length.
    lengths: u32,
    pattern: Pattern<'static>,
}

/// The service behind a number, as far as it affects the caller's price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    PremiumRate,
    SharedCost,
    Personal,
    Ordinary,
}

/// Result of comparing a national number's length with its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    Possible,
    LocalOnly,
    TooShort,
    TooLong,
    /// Between two possible lengths.
    Impossible,
}

impl Plan {
    /// Returns the plan of a country, if it has one.
    pub fn of_country(country: [u8; 2]) -> Option<Self> {
        let index = COUNTRIES.binary_search_by_key(&country, |(country, _)| *country).ok()?;
        Self::sharing(COUNTRIES[index].1).find(|plan| plan.region.as_bytes() == country)
    }

    /// Returns the plan of the main region of a calling code. Its numbers are parsed with this plan.
    pub fn main(calling_code: u16) -> Option<Self> {
        Self::sharing(calling_code).next()
    }

    /// Returns the plans of all regions and networks.
    pub fn all() -> impl Iterator<Item = Self> {
        PLANS.iter().flat_map(|(calling_code, _)| Self::sharing(*calling_code))
    }

    /// Returns the plans of all regions that share a calling code, the main one first.
    pub fn sharing(calling_code: u16) -> impl Iterator<Item = Self> {
        let index = PLANS.binary_search_by_key(&calling_code, |(code, _)| *code).ok();
        let lines = index.into_iter().flat_map(|index| PLANS[index].1.lines());
        lines.map(move |line| Self::from_line(calling_code, line))
    }

    /// Parses a line of `PLANS`.
    fn from_line(calling_code: u16, line: &'static str) -> Self {
        let mut fields = line.splitn(7, '\t');
        let mut field = || fields.next().unwrap_or_default();
        let pattern = |field: &'static str| (!field.is_empty()).then_some(Pattern(field));
        let region = field();
        let international_prefix = pattern(field());
        let national_prefix = pattern(field());
        let national_prefix_transform = field();
        let leading_digits = pattern(field());
        let local_lengths = field().parse().unwrap_or_default();
        let (general, ranges) = NumberRange::from_fields(field());
        Self {
            calling_code,
            region,
            international_prefix,
            national_prefix,
            national_prefix_transform,
            leading_digits,
            local_lengths,
            general,
            ranges,
        }
    }

    /// True if the plan belongs to a satellite network or an international service.
    pub fn is_of_no_country(&self) -> bool {
        self.region == NO_COUNTRY
    }

    /// Returns the country of the plan (ISO 3166-1 alpha-2), unless it belongs to no country.
    pub fn country(&self) -> Option<[u8; 2]> {
        self.region.as_bytes().try_into().ok()
    }

    /// True if the digits match the pattern of the region's national numbers.
    pub fn is_national_number(&self, digits: &str) -> bool {
        self.general.pattern.matches(digits)
    }

    /// True if the digits are a valid national number, or one after a trunk prefix of one digit.
    pub fn has_national_number(&self, digits: &str) -> bool {
        [digits, digits.get(1..).unwrap_or_default()].into_iter().any(|national| {
            let is_valid = self.is_national_number(national) && self.service(national).is_some();
            is_valid && (national == digits || *self.strip_national_prefix(digits) == *national)
        })
    }

    /// True if a national number begins with digits that only this region uses.
    pub fn has_leading_digits(&self, national: &str) -> bool {
        self.leading_digits.is_some_and(|digits| digits.match_start(national).is_some())
    }

    /// Returns the service of a national number, if it is in a known range.
    pub fn service(&self, national: &str) -> Option<Service> {
        let mut rest = if self.general.contains(national) { self.ranges } else { "" };
        let mut ranges = std::iter::from_fn(|| {
            let (range, others) = (!rest.is_empty()).then(|| NumberRange::from_fields(rest))?;
            rest = others;
            Some(range)
        });
        ranges.find(|range| range.contains(national)).map(|range| range.service)
    }

    /// Compares the length of a national number with this plan.
    pub fn length(&self, national: &str) -> Length {
        let possible = self.general.lengths;
        let length = u32::try_from(national.len()).unwrap_or(u32::MAX);
        let bit = 1_u32.checked_shl(length).unwrap_or_default();
        if self.local_lengths & bit != 0 {
            Length::LocalOnly
        } else if possible & bit != 0 {
            Length::Possible
        } else if length < possible.trailing_zeros() {
            Length::TooShort
        } else if possible < bit || bit == 0 {
            Length::TooLong
        } else {
            Length::Impossible
        }
    }

    /// Removes the national prefix, or replaces it where the plan has a rule for that.
    pub fn strip_national_prefix<'d>(&self, digits: &'d str) -> Cow<'d, str> {
        let Some(prefix) = self.national_prefix.and_then(|prefix| prefix.match_start(digits)) else {
            return Cow::Borrowed(digits);
        };
        let groups = prefix.groups.map(|group| group.unwrap_or_default());
        let has_group = match prefix.groups {
            [Some(_), Some(second)] => !second.is_empty(),
            [Some(first), None] => !first.is_empty(),
            [None, _] => false,
        };
        let rest = if has_group && !self.national_prefix_transform.is_empty() {
            let transformed = self.national_prefix_transform.replace("$1", groups[0]).replace("$2", groups[1]);
            Cow::Owned(transformed + prefix.rest)
        } else {
            Cow::Borrowed(prefix.rest)
        };
        // A valid number that is invalid without these digits: they are not a prefix.
        if self.is_national_number(digits) && !self.is_national_number(&rest) { Cow::Borrowed(digits) } else { rest }
    }

    /// Removes the prefix of international calls, if the digits begin with it.
    pub fn strip_international_prefix<'d>(&self, digits: &'d str) -> Option<&'d str> {
        let rest = self.international_prefix?.match_start(digits)?.rest;
        // No calling code begins with 0.
        (!rest.starts_with('0')).then_some(rest)
    }
}

impl NumberRange {
    /// Parses the next three fields, and returns the remaining ones.
    fn from_fields(fields: &'static str) -> (Self, &'static str) {
        let mut fields = fields.splitn(4, '\t');
        let mut field = || fields.next().unwrap_or_default();
        let service = match field() {
            "premium-rate" => Service::PremiumRate,
            "shared-cost" => Service::SharedCost,
            "personal" => Service::Personal,
            _ => Service::Ordinary,
        };
        let range = Self { service, lengths: field().parse().unwrap_or_default(), pattern: Pattern(field()) };
        (range, field())
    }

    fn contains(&self, national: &str) -> bool {
        let has_length = self.lengths == 0 || self.lengths >> national.len() & 1 == 1;
        has_length && self.pattern.matches(national)
    }
}

/// Converts a decimal digit of any script to ASCII.
pub fn decimal_digit(c: char) -> Option<char> {
    if c.is_ascii() {
        return c.is_ascii_digit().then_some(c);
    }
    let zero = ZEROS[..ZEROS.partition_point(|zero| *zero <= c)].last()?;
    char::from_digit(u32::from(c) - u32::from(*zero), 10)
}

/// Returns the prefixes of international calls of all countries, up to four digits.
#[cfg(test)]
pub fn international_prefixes() -> std::collections::BTreeSet<String> {
    let patterns = Plan::all().filter_map(|plan| plan.international_prefix.map(|pattern| pattern.0));
    let patterns: std::collections::BTreeSet<&str> = patterns.collect();
    let digits = (1..=4)
        .flat_map(|length| (0..10_u32.pow(length)).map(move |n| format!("{n:0width$}", width = length as usize)));
    digits.filter(|digits| patterns.iter().any(|pattern| Pattern(pattern).matches(digits))).collect()
}

#[cfg(test)]
mod tests {
    use rlibphonenumber::PHONE_NUMBER_UTIL;

    use super::*;

    #[test]
    fn digits_of_every_script_equal_those_of_libphonenumber() {
        for c in ('\0'..=char::MAX).filter(|c| c.is_numeric()) {
            let digit = decimal_digit(c).map(String::from).unwrap_or_default();
            assert_eq!(digit, PHONE_NUMBER_UTIL.normalize_digits_only(c.to_string()), "{c:?}");
        }
    }
}
