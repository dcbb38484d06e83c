//! The networks of phones: the country, and the carrier if a lookup named it. Neither identifies a person.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::country::Country;
use crate::domain::phone::{PhoneNumber, plan};

/// A carrier by the code of its network (MCC and MNC), such as `23410`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Carrier(u32);

/// The text is not the code of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the code of a network of five or six digits, such as 23410")]
pub struct NotACarrier;

impl FromStr for Carrier {
    type Err = NotACarrier;

    fn from_str(code: &str) -> Result<Self, NotACarrier> {
        // No country has a code that begins with 0, so the digits are a number.
        let is_code = matches!(code.len(), 5 | 6) && !code.starts_with('0') && code.bytes().all(|b| b.is_ascii_digit());
        code.parse().ok().filter(|_| is_code).map(Self).ok_or(NotACarrier)
    }
}

impl TryFrom<String> for Carrier {
    type Error = NotACarrier;

    fn try_from(code: String) -> Result<Self, NotACarrier> {
        code.parse()
    }
}

impl From<Carrier> for String {
    fn from(carrier: Carrier) -> Self {
        carrier.to_string()
    }
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The country and the carrier of a phone. Its text is `GB-23410`, or `GB` without a carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    /// The country.
    pub country: Country,
    /// The carrier. None, if no lookup named it.
    pub carrier: Option<Carrier>,
}

impl Network {
    /// Returns the network of a phone as the numbering plan knows it: without a carrier. `None` if the plan does not hold the
    /// number valid.
    pub fn by_plan(phone: &PhoneNumber) -> Option<Self> {
        plan::country(phone).map(|country| Self { country, carrier: None })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.carrier {
            Some(carrier) => write!(f, "{}-{carrier}", self.country),
            None => write!(f, "{}", self.country),
        }
    }
}

/// The text is not that of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a network such as GB-23410")]
pub struct NotANetwork;

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (country, carrier) = match text.split_once('-') {
            Some((country, carrier)) => (country, Some(carrier.parse().map_err(|_| NotANetwork)?)),
            None => (text, None),
        };
        Ok(Self { country: Country::try_from(country).map_err(|_| NotANetwork)?, carrier })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_is_read_as_it_is_written() {
        for text in ["GB", "GB-23410", "US-310410", "FR-20801"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        for text in
            ["", "-", "gb", "UK", "GB-", "GB-2341", "GB-2341000", "GB-02341", "GB-FIXED", "GB-+2341", "GB-23410-1"]
        {
            assert_eq!(text.parse::<Network>(), Err(NotANetwork), "{text}");
        }
    }

    #[test]
    fn numbering_plan_names_the_country_alone() {
        let network = |digits: &str| Network::by_plan(&PhoneNumber::try_from(digits).unwrap());
        assert_eq!(network("447700900001"), "GB".parse().ok());
        assert_eq!(network("14165550100"), "CA".parse().ok());
        assert_eq!(network("881612345678"), None);
    }
}
