//! Numbering plans: which digits make a number in which country, and of what kind it is.
//!
//! The plans are libphonenumber's, and so is the way from digits to a number. A library of it first decodes the plans of
//! all countries and compiles regular expressions, which takes longer than the rest of a cold start; here `build.rs` has
//! put the plans into text, of which a number costs the few lines that it needs.
//!
//! Source: `PhoneNumberMetadata.xml` and `phonenumberutil.cc` of libphonenumber. The tests compare what comes of it with
//! the library.

mod pattern;
#[cfg(test)]
mod same_as_library;

use std::borrow::Cow;

pub use pattern::Pattern;

use crate::domain::country::Country;

// `PLANS`: for each calling code a line for each region that shares it, the main one first; `COUNTRIES`: the calling code
// of each; `ZEROS`: the 0 of each script. All in ascending order.
include!(concat!(env!("OUT_DIR"), "/numbering_plans.rs"));

/// A number has so many digits after its calling code. The ITU allows fewer, but Germany has longer ones.
const MOST_DIGITS: usize = 17;
const LEAST_DIGITS: usize = 2;
const LONGEST_CALLING_CODE: usize = 3;
/// The region of a network that is of no country.
const NO_COUNTRY: &str = "001";

/// The plan of a country, or of an international network.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Such as 44.
    pub calling_code: u16,
    region: &'static str,
    /// What is dialled before a calling code.
    international_prefix: Option<Pattern<'static>>,
    /// What is dialled before a national number and does not belong to it.
    national_prefix: Option<Pattern<'static>>,
    /// What becomes of the groups of a national prefix's pattern, such as `1481$1`, where an area's code may be left out.
    national_prefix_transform: &'static str,
    /// The digits that tell a region from others with its calling code.
    leading_digits: Option<Pattern<'static>>,
    /// Lengths at which a number can be dialled in its own area only, a bit for each.
    local_lengths: u32,
    general: Numbers,
    /// The fields of the others of [`Numbers`].
    kinds: &'static str,
}

/// A set of numbers.
#[derive(Debug, Clone, Copy)]
struct Numbers {
    kind: Kind,
    /// A bit for each length; none stands for any.
    lengths: u32,
    pattern: Pattern<'static>,
}

/// What kind of number it is, as far as that makes a difference to who is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Whoever calls it pays its owner.
    PremiumRate,
    /// Whoever calls it pays a share to its owner.
    SharedCost,
    /// It follows its owner to any phone.
    Personal,
    /// Any other that is known.
    Other,
}

/// A number's length, compared with its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Possible,
    LocalOnly,
    TooShort,
    TooLong,
    /// Between two that are possible.
    Impossible,
}

impl Plan {
    /// The plan of a country, if it has phones.
    pub fn of(country: Country) -> Option<Self> {
        let index = COUNTRIES.binary_search_by_key(&country.as_str().as_bytes(), |(country, _)| country).ok()?;
        Self::sharing(COUNTRIES[index].1).find(|plan| plan.region == country.as_str())
    }

    /// The plan by which numbers of a calling code are read: that of the main country which has it.
    fn main(calling_code: u16) -> Option<Self> {
        Self::sharing(calling_code).next()
    }

    fn sharing(calling_code: u16) -> impl Iterator<Item = Self> {
        let index = PLANS.binary_search_by_key(&calling_code, |(code, _)| *code).ok();
        let lines = index.into_iter().flat_map(|index| PLANS[index].1.lines());
        lines.map(move |line| Self::read(calling_code, line))
    }

    /// Reads a line that `build.rs` wrote.
    fn read(calling_code: u16, line: &'static str) -> Self {
        let mut fields = line.splitn(7, '\t');
        let mut field = || fields.next().unwrap_or_default();
        let pattern = |field: &'static str| (!field.is_empty()).then_some(Pattern(field));
        let region = field();
        let international_prefix = pattern(field());
        let national_prefix = pattern(field());
        let national_prefix_transform = field();
        let leading_digits = pattern(field());
        let local_lengths = field().parse().unwrap_or_default();
        let (general, kinds) = Numbers::read(field());
        Self {
            calling_code,
            region,
            international_prefix,
            national_prefix,
            national_prefix_transform,
            leading_digits,
            local_lengths,
            general,
            kinds,
        }
    }

    fn kind(&self, national: &str) -> Option<Kind> {
        let mut rest = if self.general.contain(national) { self.kinds } else { "" };
        let mut kinds = std::iter::from_fn(|| {
            let (numbers, others) = (!rest.is_empty()).then(|| Numbers::read(rest))?;
            rest = others;
            Some(numbers)
        });
        kinds.find(|numbers| numbers.contain(national)).map(|numbers| numbers.kind)
    }

    fn length(&self, national: &str) -> Length {
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

    fn without_national_prefix<'d>(&self, digits: &'d str) -> Cow<'d, str> {
        let Some(prefix) = self.national_prefix.and_then(|prefix| prefix.at_start_of(digits)) else {
            return Cow::Borrowed(digits);
        };
        let taken = prefix.groups.map(|group| group.unwrap_or_default());
        let to_transform = match prefix.groups {
            [Some(_), Some(second)] => !second.is_empty(),
            [Some(first), None] => !first.is_empty(),
            [None, _] => false,
        };
        let rest = if to_transform && !self.national_prefix_transform.is_empty() {
            let transformed = self.national_prefix_transform.replace("$1", taken[0]).replace("$2", taken[1]);
            Cow::Owned(transformed + prefix.rest)
        } else {
            Cow::Borrowed(prefix.rest)
        };
        // What turns a number into none was a part of it.
        let general = self.general.pattern;
        if general.is_all_of(digits) && !general.is_all_of(&rest) { Cow::Borrowed(digits) } else { rest }
    }

    /// What follows the prefix of international calls, if the digits begin with it.
    fn after_international_prefix<'d>(&self, digits: &'d str) -> Option<&'d str> {
        let rest = self.international_prefix?.at_start_of(digits)?.rest;
        // No calling code begins with a 0.
        (!rest.starts_with('0')).then_some(rest)
    }
}

impl Numbers {
    /// Reads the next three fields, and returns the rest.
    fn read(fields: &'static str) -> (Self, &'static str) {
        let mut fields = fields.splitn(4, '\t');
        let mut field = || fields.next().unwrap_or_default();
        let kind = match field() {
            "premium-rate" => Kind::PremiumRate,
            "shared-cost" => Kind::SharedCost,
            "personal" => Kind::Personal,
            _ => Kind::Other,
        };
        let numbers = Self { kind, lengths: field().parse().unwrap_or_default(), pattern: Pattern(field()) };
        (numbers, field())
    }

    fn contain(&self, national: &str) -> bool {
        let of_length = self.lengths == 0 || self.lengths >> national.len() & 1 == 1;
        of_length && self.pattern.is_all_of(national)
    }
}

/// Why digits are no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseError {
    /// They do not begin with a calling code where one has to be.
    UnknownCallingCode,
    /// There are too few or too many of them.
    ImpossibleLength,
}

/// A number that is one by its length; whether anybody can have it is not said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number {
    calling_code: u16,
    national: String,
}

impl Number {
    /// Reads what follows a "+".
    pub fn international(digits: &str) -> Result<Self, ParseError> {
        if digits.len() <= LEAST_DIGITS {
            return Err(ParseError::ImpossibleLength);
        }
        if digits.starts_with('0') {
            return Err(ParseError::UnknownCallingCode);
        }
        // No calling code is the beginning of another.
        let split = (1..=LONGEST_CALLING_CODE).find_map(|length| {
            let (code, national) = digits.split_at_checked(length)?;
            Some((Plan::main(code.parse().ok()?)?, national))
        });
        let (plan, national) = split.ok_or(ParseError::UnknownCallingCode)?;
        Self::national(&plan, national)
    }

    /// Reads what is dialled in the country of `plan`.
    pub fn dialled(plan: &Plan, digits: &str) -> Result<Self, ParseError> {
        Self::with_calling_code(plan, digits).unwrap_or_else(|| Self::national(plan, digits))
    }

    /// Reads what is dialled in the country of `plan` if it has a calling code: behind the prefix of international calls, or
    /// the country's own in front of what would otherwise be no number of it.
    pub fn with_calling_code(plan: &Plan, digits: &str) -> Option<Result<Self, ParseError>> {
        if let Some(international) = plan.after_international_prefix(digits) {
            return Some(Self::international(international));
        }
        let rest = digits.strip_prefix(&*plan.calling_code.to_string())?;
        let rest = plan.without_national_prefix(rest);
        let general = plan.general.pattern;
        let better = (!general.is_all_of(digits) && general.is_all_of(&rest)) || plan.length(digits) == Length::TooLong;
        let main = Plan::main(plan.calling_code)?;
        better.then(|| Self::national(&main, &rest))
    }

    fn national(plan: &Plan, digits: &str) -> Result<Self, ParseError> {
        let mut national = Cow::Borrowed(digits);
        let rest = plan.without_national_prefix(digits);
        // Too short without its prefix, it could be a short number that begins like it.
        if matches!(plan.length(&rest), Length::Possible | Length::TooLong) {
            national = rest;
        }
        if digits.len() < LEAST_DIGITS || !(LEAST_DIGITS..=MOST_DIGITS).contains(&national.len()) {
            return Err(ParseError::ImpossibleLength);
        }
        Ok(Self { calling_code: plan.calling_code, national: national.into_owned() })
    }

    /// Such as 44.
    pub fn calling_code(&self) -> u16 {
        self.calling_code
    }

    /// The digits after the calling code.
    pub fn national_digits(&self) -> &str {
        &self.national
    }

    /// All digits, without "+".
    pub fn digits(&self) -> String {
        format!("{}{}", self.calling_code, self.national)
    }

    /// Whether numbers of its plan can have so many digits.
    pub fn is_possible(&self) -> bool {
        let plan = Plan::main(self.calling_code);
        plan.is_some_and(|plan| matches!(plan.length(&self.national), Length::Possible | Length::LocalOnly))
    }

    /// Whether it is a satellite phone's or an international service's, and of no country.
    pub fn is_of_no_country(&self) -> bool {
        Plan::main(self.calling_code).is_some_and(|plan| plan.region == NO_COUNTRY)
    }

    /// The kind, if it is of a known one.
    pub fn kind(&self) -> Option<Kind> {
        for plan in Plan::sharing(self.calling_code) {
            let kind = plan.kind(&self.national);
            let is_of_region = plan.leading_digits.is_some_and(|digits| digits.at_start_of(&self.national).is_some());
            if kind.is_some() || is_of_region {
                return kind;
            }
        }
        None
    }
}

/// The decimal digit that a character of any script is.
pub fn decimal_digit(c: char) -> Option<char> {
    if c.is_ascii() {
        return c.is_ascii_digit().then_some(c);
    }
    let zero = ZEROS[..ZEROS.partition_point(|zero| *zero <= c)].last()?;
    char::from_digit(u32::from(c) - u32::from(*zero), 10)
}
