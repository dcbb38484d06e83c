//! Dialling without the plans: a few facts of each calling code, for programs that must stay small.

// Written by `tests/metadata.rs` in ascending order:
// - `CODES`: calling code, bit set of the lengths of complete national numbers, trunk prefix.
// - `SHARING`: a line for each calling code with its countries, the main one first.
include!("../metadata/dialling.rs");

/// The most digits of a calling code.
const MAX_CALLING_CODE_DIGITS: usize = 3;

/// The calling code of North America.
const NORTH_AMERICA: u16 = 1;

/// The dialling of the numbers of one calling code within its countries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialling {
    /// Calling code, such as 44.
    pub calling_code: u16,
    /// Dialled before a national number and not part of it, such as `0`. Empty where there is none.
    pub trunk_prefix: &'static str,
    /// Bit set of the lengths of complete national numbers.
    lengths: u32,
}

impl Dialling {
    /// Splits digits in international form without "+" into the facts of their calling code and the national number.
    /// `None` if they do not begin with a calling code.
    ///
    /// ```
    /// use numbering_plan::Dialling;
    ///
    /// let (gb, national) = Dialling::split("447700900001").unwrap();
    /// assert_eq!((gb.calling_code, gb.trunk_prefix, national), (44, "0", "7700900001"));
    /// ```
    pub fn split(digits: &str) -> Option<(Self, &str)> {
        // No calling code is the prefix of another one.
        (1..=MAX_CALLING_CODE_DIGITS).find_map(|length| {
            let (code, national) = digits.split_at_checked(length)?;
            Some((Self::of_code(code)?, national))
        })
    }

    /// Returns the facts of a calling code, such as `44`.
    pub fn of_code(code: &str) -> Option<Self> {
        let code: u16 = code.parse().ok().filter(|_| !code.starts_with(['0', '+']))?;
        let index = CODES.binary_search_by_key(&code, |(code, ..)| *code).ok()?;
        let (calling_code, lengths, trunk_prefix) = CODES[index];
        Some(Self { calling_code, trunk_prefix, lengths })
    }

    /// Returns the countries (ISO 3166-1 alpha-2) that share the calling code, the main one first. None for satellite networks and
    /// international services.
    pub fn countries(self) -> impl Iterator<Item = [u8; 2]> {
        let code = self.calling_code.to_string();
        let line = SHARING.lines().find(|line| line.split(' ').next() == Some(&code));
        line.into_iter()
            .flat_map(|line| line.split(' ').skip(1))
            .filter_map(|country| country.as_bytes().try_into().ok())
    }

    /// True if a national number, complete with its area code, can have this form.
    pub fn is_complete(&self, national: &str) -> bool {
        let length = u32::try_from(national.len()).unwrap_or(u32::MAX);
        let has_length = self.lengths & 1_u32.checked_shl(length).unwrap_or_default() != 0;
        has_length && (self.calling_code != NORTH_AMERICA || is_north_american(national))
    }
}

/// True if area code and exchange begin with 2 to 9, as all do. Source: North American Numbering Plan Administrator.
fn is_north_american(national: &str) -> bool {
    [0, 3].into_iter().all(|at| national.as_bytes().get(at).is_some_and(|digit| (b'2'..=b'9').contains(digit)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Length, Plan};

    #[test]
    fn every_calling_code_has_the_lengths_of_its_plan() {
        let codes: Vec<u16> = CODES.iter().map(|(code, ..)| *code).collect();
        let plans: std::collections::BTreeSet<u16> = Plan::all().map(|plan| plan.calling_code).collect();
        assert!(plans.iter().eq(codes.iter()), "{codes:?}");
        for code in codes.into_iter().filter(|code| *code != NORTH_AMERICA) {
            let (plan, dialling) = (Plan::main(code).unwrap(), Dialling::of_code(&code.to_string()).unwrap());
            for length in 1..=20 {
                let national = "2".repeat(length);
                let is_possible = plan.length(&national) == Length::Possible;
                assert_eq!(dialling.is_complete(&national), is_possible, "+{code} {length}");
            }
        }
    }

    #[test]
    fn countries_of_each_calling_code_are_those_of_its_plans() {
        for (code, ..) in CODES {
            let countries = Dialling::of_code(&code.to_string()).unwrap().countries();
            assert!(countries.eq(Plan::sharing(*code).filter_map(|plan| plan.country())), "+{code}");
        }
        let (gb, _) = Dialling::split("447700900001").unwrap();
        assert_eq!(gb.countries().collect::<Vec<_>>(), [*b"GB", *b"GG", *b"IM", *b"JE"]);
    }

    #[test]
    fn trunk_prefixes_are_those_that_people_dial() {
        for (code, trunk) in
            [("44", "0"), ("1", "1"), ("7", "8"), ("36", "06"), ("39", ""), ("34", ""), ("52", ""), ("225", "")]
        {
            assert_eq!(Dialling::of_code(code).map(|dialling| dialling.trunk_prefix), Some(trunk), "+{code}");
        }
        for unknown in ["0", "044", "+44", "999", "4", ""] {
            assert_eq!(Dialling::of_code(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn north_american_numbers_have_area_code_and_exchange() {
        let (us, _) = Dialling::split("12125550123").unwrap();
        for (national, complete) in [
            ("2125550123", true),
            ("1445550123", false),
            ("2121550123", false),
            ("5550123", false),
            ("212555012", false),
        ] {
            assert_eq!(us.is_complete(national), complete, "{national}");
        }
    }
}
