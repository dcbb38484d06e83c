//! Countries by their ISO 3166-1 alpha-2 code.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An ISO 3166-1 alpha-2 code in capitals, such as `GB`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

/// The text is not two capital letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a country code of two capital letters, such as GB")]
pub struct NotACountry;

impl Country {
    /// Returns the two letters as ASCII.
    pub fn letters(self) -> [u8; 2] {
        self.0
    }

    /// Returns the two letters as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl TryFrom<&str> for Country {
    type Error = NotACountry;

    fn try_from(code: &str) -> Result<Self, NotACountry> {
        match code.as_bytes() {
            &[first @ b'A'..=b'Z', second @ b'A'..=b'Z'] => Ok(Self([first, second])),
            _ => Err(NotACountry),
        }
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
#[error("not a list of countries with counts, such as GB=20,US=5")]
pub struct NotCountryCounts;

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
            let (country, count) = entry.trim().split_once('=').ok_or(NotCountryCounts)?;
            let country = Country::try_from(country).map_err(|_| NotCountryCounts)?;
            if counts.insert(country, count.parse().map_err(|_| NotCountryCounts)?).is_some() {
                return Err(NotCountryCounts);
            }
        }
        Ok(Self(counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn country_is_two_capital_letters() {
        assert_eq!(Country::try_from("GB").unwrap().as_str(), "GB");
        for bad in ["", "G", "gb", "GBR", "G1", "É"] {
            assert_eq!(Country::try_from(bad), Err(NotACountry), "{bad}");
        }
    }

    #[test]
    fn country_counts_name_each_country_once() {
        let counts: CountryCounts = "GB=20, US=5".parse().unwrap();
        let of = |code| counts.of(Country::try_from(code).unwrap());
        assert_eq!((of("GB"), of("US"), of("FR")), (20, 5, 0));
        for bad in ["", "GB", "GB=", "GB=-1", "GB=1,GB=2", "gb=1", "GB:1"] {
            assert_eq!(bad.parse::<CountryCounts>(), Err(NotCountryCounts), "{bad}");
        }
    }
}
