//! Virtual numbers as the API writes them.

use serde::{Serialize, Serializer};

use super::VirtualNumber;

/// A virtual number in E.164 with "+", as answers, events and questions of the API show it: `+447451000001`. For real numbers answers
/// have [`super::ShownNumber`], and events and questions nothing.
///
/// The table and Vonage have the digits alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct E164(VirtualNumber);

impl From<&VirtualNumber> for E164 {
    fn from(number: &VirtualNumber) -> Self {
        Self(number.clone())
    }
}

impl Serialize for E164 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("+{}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::phone::PhoneNumber;

    #[test]
    fn api_writes_a_plus() {
        let number = VirtualNumber::from(PhoneNumber::try_from("447451000001").unwrap());
        assert_eq!(serde_json::to_string(&E164::from(&number)).unwrap(), r#""+447451000001""#);
        assert_eq!(serde_json::to_string(&number).unwrap(), r#""447451000001""#);
    }
}
