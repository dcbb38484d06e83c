//! Numbers that regulators reserve for examples, films and tests. Nobody has them, and libphonenumber calls them invalid.
//!
//! Most reserved numbers, such as North America's 555-0100 to 555-0199, are not listed, because they are in known ranges.
//!
//! Source: Ofcom, "Telephone numbers for use in TV and radio drama programmes"; Arcep, decision 2018-0881, audiovisual
//! works; ComReg, "Numbering Conditions of Use", drama.

use crate::number::Number;

/// Numbers of one calling code: the first digits of the national numbers, and their length.
struct Reserved {
    calling_code: u16,
    country: [u8; 2],
    prefixes: &'static [&'static str],
    national_digits: usize,
}

const RESERVED: [Reserved; 3] = [
    Reserved { calling_code: 44, country: *b"GB", prefixes: &["1154960", "1632960", "7700900"], national_digits: 10 },
    Reserved { calling_code: 33, country: *b"FR", prefixes: &["63998"], national_digits: 9 },
    Reserved { calling_code: 353, country: *b"IE", prefixes: &["2091"], national_digits: 9 },
];

impl Number {
    /// Returns the country (ISO 3166-1 alpha-2) whose regulator reserves the number for examples. `None` for all other
    /// numbers.
    pub fn country_of_example(&self) -> Option<[u8; 2]> {
        let (calling_code, national) = (self.calling_code(), self.national());
        let reserved = RESERVED.iter().find(|reserved| reserved.calling_code == calling_code)?;
        let is_one = national.len() == reserved.national_digits
            && reserved.prefixes.iter().any(|prefix| national.starts_with(prefix));
        is_one.then_some(reserved.country)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn country_of_example(digits: &str) -> Option<[u8; 2]> {
        Number::from_international(digits).unwrap().country_of_example()
    }

    #[test]
    fn examples_are_of_their_regulators_country() {
        for (digits, country) in [
            ("447700900001", Some(*b"GB")),
            ("33639981234", Some(*b"FR")),
            ("353209112345", Some(*b"IE")),
            ("447700901001", None),
            ("4477009000011", None),
            ("447911123456", None),
        ] {
            assert_eq!(country_of_example(digits), country, "{digits}");
        }
    }

    #[test]
    fn examples_need_an_entry_because_they_are_in_no_known_range() {
        for Reserved { calling_code, prefixes, national_digits, country } in &RESERVED {
            for prefix in *prefixes {
                let digits = format!("{calling_code}{prefix:0<national_digits$}");
                assert_eq!(country_of_example(&digits), Some(*country), "{digits}");
                let number = Number::from_international(&digits).unwrap();
                assert!(!number.is_valid(), "{digits}");
            }
        }
    }

    #[test]
    fn examples_of_north_america_are_in_known_ranges() {
        for digits in ["12125550100", "12015550199", "14165550123"] {
            assert!(Number::from_international(digits).unwrap().is_valid(), "{digits}");
        }
    }
}
