//! Countries by their ISO 3166-1 alpha-2 code.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The countries and territories that have phone numbers: those of ISO 3166-1, and `AC`, `TA` and `XK`, which the numbering
/// plans use.
///
/// Source: `PhoneNumberMetadata.xml` of libphonenumber. A test compares them with the numbering plans.
const WITH_NUMBERS: &str = "\
    AC AD AE AF AG AI AL AM AO AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BW BY BZ CA CC CD \
    CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE \
    GF GG GH GI GL GM GN GP GQ GR GT GU GW GY HK HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN \
    KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ \
    NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH \
    SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TA TC TD TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG US UY UZ VA VC VE VG \
    VI VN VU WF WS XK YE YT ZA ZM ZW ";

/// Codes that people write for a country, and its own code.
const MISTAKEN: [(&str, &str); 30] = [
    ("UK", "GB"),
    ("EN", "GB"),
    ("ENG", "GB"),
    ("GBR", "GB"),
    ("USA", "US"),
    ("EL", "GR"),
    ("JA", "JP"),
    ("KO", "KR"),
    ("ZH", "CN"),
    ("CS", "CZ"),
    ("DA", "DK"),
    ("HI", "IN"),
    ("FX", "FR"),
    ("AUS", "AU"),
    ("AUT", "AT"),
    ("BEL", "BE"),
    ("BRA", "BR"),
    ("CAN", "CA"),
    ("CHE", "CH"),
    ("CHN", "CN"),
    ("DEU", "DE"),
    ("ESP", "ES"),
    ("FRA", "FR"),
    ("IND", "IN"),
    ("IRL", "IE"),
    ("ITA", "IT"),
    ("MEX", "MX"),
    ("NLD", "NL"),
    ("POL", "PL"),
    ("SWE", "SE"),
];

/// The ISO 3166-1 alpha-2 code of a country that has phone numbers, in capitals, such as `GB`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

/// The text is not the code of a country that has phone numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub struct NotACountry {
    /// The country that was probably meant.
    pub suggestion: Option<Country>,
}

impl fmt::Display for NotACountry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the code of a country of two capital letters (ISO 3166-1)")?;
        match self.suggestion {
            Some(country) => write!(f, "; perhaps {country} is meant"),
            None => f.write_str(", such as GB"),
        }
    }
}

impl Country {
    /// Returns the two letters as ASCII.
    pub fn letters(self) -> [u8; 2] {
        self.0
    }

    /// Returns the two letters as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Returns its calling code, such as `44`, which it may share with other countries.
    pub fn calling_code(self) -> Option<String> {
        numbering_plan::calling_code(self.0).map(|code| code.to_string())
    }

    /// Returns an area code without the trunk prefix that people write in front of it: `20` for `020` in GB, and `06` for `06` in
    /// IT, where the 0 belongs to the number.
    pub fn area_code(self, written: &str) -> String {
        match written.starts_with('0') {
            true => numbering_plan::without_national_prefix(self.0, written).into_owned(),
            false => written.to_owned(),
        }
    }

    /// Returns the countries with the calling code of a number, of which these are the digits in E.164 without "+", the main
    /// one first.
    pub fn with_calling_code_of(digits: &str) -> impl Iterator<Item = Self> {
        let countries =
            numbering_plan::Dialling::split(digits).into_iter().flat_map(|(dialling, _)| dialling.countries());
        countries.filter_map(|letters| Self::with_code(std::str::from_utf8(&letters).ok()?))
    }

    /// True if numbers of this country can begin with these digits, or continue them.
    pub fn may_begin_with(self, digits: &str) -> bool {
        let Some(calling_code) = self.calling_code() else { return true };
        calling_code.starts_with(digits) || digits.starts_with(&calling_code)
    }

    fn with_code(code: &str) -> Option<Self> {
        let [first, second] = *code.as_bytes() else { return None };
        let is_listed = || WITH_NUMBERS.as_bytes().chunks_exact(3).any(|listed| listed[..2] == [first, second]);
        (first.is_ascii_uppercase() && second.is_ascii_uppercase() && is_listed()).then_some(Self([first, second]))
    }

    /// Returns the country that somebody who wrote `code` probably means.
    fn meant_by(code: &str) -> Option<Self> {
        let capitals = code.trim().to_ascii_uppercase();
        let mistaken = MISTAKEN.iter().find(|(mistaken, _)| *mistaken == capitals).map(|(_, code)| *code);
        Self::with_code(mistaken.unwrap_or(&capitals))
    }
}

impl TryFrom<&str> for Country {
    type Error = NotACountry;

    fn try_from(code: &str) -> Result<Self, NotACountry> {
        Self::with_code(code).ok_or_else(|| NotACountry { suggestion: Self::meant_by(code) })
    }
}

impl TryFrom<String> for Country {
    type Error = NotACountry;

    fn try_from(code: String) -> Result<Self, NotACountry> {
        Self::try_from(code.as_str())
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.as_str().to_owned()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A count for some countries, written `GB=20,US=5`; 0 for all others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CountryCounts(BTreeMap<Country, usize>);

/// The text is not a list such as `GB=20,US=5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotCountryCounts {
    /// An entry has no count, or a country comes twice.
    #[error("must be a list such as GB=20,US=5")]
    Malformed,
    /// An entry has no country.
    #[error("must be a list such as GB=20,US=5, and an entry is {0}")]
    NotACountry(#[from] NotACountry),
}

impl CountryCounts {
    /// Returns the count of a country; 0 if none is set.
    pub fn of(&self, country: Country) -> usize {
        self.get(country).unwrap_or_default()
    }

    /// Returns the count of a country, if one is set.
    pub fn get(&self, country: Country) -> Option<usize> {
        self.0.get(&country).copied()
    }

    /// Returns all countries with a count.
    pub fn iter(&self) -> impl Iterator<Item = (Country, usize)> {
        self.0.iter().map(|(country, count)| (*country, *count))
    }
}

impl FromStr for CountryCounts {
    type Err = NotCountryCounts;

    fn from_str(list: &str) -> Result<Self, NotCountryCounts> {
        let mut counts = BTreeMap::new();
        for entry in list.split(',') {
            let (country, count) = entry.trim().split_once('=').ok_or(NotCountryCounts::Malformed)?;
            let country = Country::try_from(country)?;
            let count = count.parse().map_err(|_| NotCountryCounts::Malformed)?;
            if counts.insert(country, count).is_some() {
                return Err(NotCountryCounts::Malformed);
            }
        }
        Ok(Self(counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn country_is_the_code_of_one_that_exists() {
        assert_eq!(Country::try_from("GB").unwrap().as_str(), "GB");
        for bad in ["", "G", "GBRX", "G1", "É", "XX", "ZZ", "EU", "AQ", "GB ZW", "B "] {
            assert_eq!(Country::try_from(bad), Err(NotACountry { suggestion: None }), "{bad}");
        }
    }

    #[test]
    fn mistaken_code_is_answered_with_the_right_one() {
        for (code, right) in [("UK", "GB"), ("uk", "GB"), ("EN", "GB"), ("gb", "GB"), (" US ", "US"), ("DEU", "DE")] {
            let error = Country::try_from(code).unwrap_err();
            assert_eq!(error.suggestion.map(String::from).as_deref(), Some(right), "{code}");
            assert!(error.to_string().ends_with(&format!("; perhaps {right} is meant")), "{error}");
        }
        for (mistaken, code) in MISTAKEN {
            assert!(Country::with_code(mistaken).is_none() && Country::with_code(code).is_some(), "{mistaken}");
        }
    }

    #[test]
    fn countries_are_those_with_a_numbering_plan() {
        let has_plan = |letters| {
            numbering_plan::parse("2015550123", Some(letters)) != Err(numbering_plan::ParseError::NeedsCountry)
        };
        for letters in (b'A'..=b'Z').flat_map(|first| (b'A'..=b'Z').map(move |second| [first, second])) {
            let code = std::str::from_utf8(&letters).unwrap();
            assert_eq!(Country::try_from(code).is_ok(), has_plan(letters), "{code}");
        }
    }

    #[test]
    fn numbers_of_country_begin_with_its_calling_code() {
        let begins = |code, digits| Country::try_from(code).unwrap().may_begin_with(digits);
        for (code, digits) in [("GB", ""), ("GB", "4"), ("GB", "44"), ("JE", "447797"), ("US", "1201"), ("IE", "35")] {
            assert!(begins(code, digits), "{code} {digits}");
        }
        for (code, digits) in [("GB", "45"), ("GB", "1"), ("US", "2"), ("IE", "354")] {
            assert!(!begins(code, digits), "{code} {digits}");
        }
    }

    #[test]
    fn area_code_has_no_trunk_prefix() {
        let area_code = |code, written| Country::try_from(code).unwrap().area_code(written);
        for (code, written, expected) in
            [("GB", "020", "20"), ("GB", "20", "20"), ("IT", "06", "06"), ("US", "212", "212"), ("DE", "030", "30")]
        {
            assert_eq!(area_code(code, written), expected, "{code} {written}");
        }
    }

    #[test]
    fn country_counts_name_each_country_once() {
        let counts: CountryCounts = "GB=20, US=5".parse().unwrap();
        let of = |code| counts.of(Country::try_from(code).unwrap());
        assert_eq!((of("GB"), of("US"), of("FR")), (20, 5, 0));
        for bad in ["GB", "GB=", "GB=-1", "GB=1,GB=2", "GB:1"] {
            assert_eq!(bad.parse::<CountryCounts>(), Err(NotCountryCounts::Malformed), "{bad}");
        }
        let no_country = "GB=1,UK=1".parse::<CountryCounts>().unwrap_err();
        assert!(no_country.to_string().ends_with("; perhaps GB is meant"), "{no_country}");
    }
}
