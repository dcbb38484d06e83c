//! Phone numbers as the API writes them.

use serde::{Serialize, Serializer};

use super::{PhoneNumber, RealNumber, VirtualNumber};

/// A phone number in E.164 with "+", as answers, events and questions of the API show it: `+447700900001`.
///
/// The table and Vonage have the digits alone. `Debug` is masked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct E164(PhoneNumber);

impl From<&RealNumber> for E164 {
    fn from(number: &RealNumber) -> Self {
        Self(number.as_phone().clone())
    }
}

impl From<&VirtualNumber> for E164 {
    fn from(number: &VirtualNumber) -> Self {
        Self(number.0.clone())
    }
}

impl Serialize for E164 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("+{}", self.0.expose()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_writes_a_plus_and_debug_stays_masked() {
        let number = RealNumber::from(PhoneNumber::try_from("447700900001").unwrap());
        assert_eq!(serde_json::to_string(&E164::from(&number)).unwrap(), r#""+447700900001""#);
        assert_eq!(serde_json::to_string(&number).unwrap(), r#""447700900001""#);
        assert!(!format!("{:?}", E164::from(&number)).contains("44770"));
    }
}
