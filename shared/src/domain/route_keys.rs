//! The route keys of a conversation: the pairs of a phone and a virtual number that it takes away from all others.

use crate::domain::conversation::{Conversation, SidePhone};
use crate::domain::phone::{PhoneNumber, RealNumber, VirtualNumber};
use crate::domain::side::Side;

/// A route key: the caller in its canonical spelling, and the virtual number. `Debug` is masked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteKey {
    /// The caller.
    pub caller: RealNumber,
    /// The number that the caller dials, or only sees.
    pub dialled: VirtualNumber,
}

/// The way in which a conversation has a route key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tenure {
    /// The caller dials the number.
    Dials,
    /// The caller only receives under the number, which is held for it.
    Receives,
}

/// The text is not a route key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a route key")]
pub struct NotARouteKey;

impl RouteKey {
    /// Creates the route key of a phone in any spelling.
    pub fn new(phone: &RealNumber, dialled: &VirtualNumber) -> Self {
        Self { caller: phone.canonical().into_owned(), dialled: dialled.clone() }
    }

    /// Returns it as text for the table, with the digits of the phone.
    pub fn expose(&self) -> String {
        format!("{}#{}", self.caller.expose(), self.dialled)
    }

    /// Returns the route keys that the phones of both participants have now, each with its tenure.
    pub fn of(conversation: &Conversation) -> Vec<(Self, Tenure)> {
        let key = |phone: SidePhone<'_>| {
            let tenure = if conversation.direction.includes(phone.side) { Tenure::Dials } else { Tenure::Receives };
            (Self::new(phone.number, phone.sees), tenure)
        };
        Side::BOTH.into_iter().flat_map(|side| conversation.phones(side)).map(key).collect()
    }

    /// True if the conversation may have or have had this route key, as far as its phones and numbers tell.
    pub fn may_be_of(&self, conversation: &Conversation) -> bool {
        conversation.participants.iter().any(|participant| {
            let has_phone = participant.all_numbers().any(|phone| *phone.canonical() == self.caller);
            has_phone && participant.all_seen().any(|seen| *seen == self.dialled)
        })
    }
}

impl TryFrom<&str> for RouteKey {
    type Error = NotARouteKey;

    /// Reads the text of [`RouteKey::expose`].
    fn try_from(text: &str) -> Result<Self, NotARouteKey> {
        let (caller, dialled) = text.split_once('#').ok_or(NotARouteKey)?;
        let number = |digits| PhoneNumber::try_from(digits).map_err(|_| NotARouteKey);
        Ok(Self { caller: number(caller)?.into(), dialled: number(dialled)?.into() })
    }
}

impl Tenure {
    /// Returns the word for the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dials => "dials",
            Self::Receives => "receives",
        }
    }
}

impl TryFrom<&str> for Tenure {
    type Error = NotARouteKey;

    fn try_from(word: &str) -> Result<Self, NotARouteKey> {
        [Self::Dials, Self::Receives].into_iter().find(|tenure| tenure.as_str() == word).ok_or(NotARouteKey)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn route_key_is_read_as_written_and_masked_in_debug() {
        let phone = RealNumber::from(PhoneNumber::try_from("5491123456789").unwrap());
        let number = VirtualNumber::from(PhoneNumber::try_from("447451000001").unwrap());
        let key = RouteKey::new(&phone, &number);
        assert_eq!(key.expose(), "541123456789#447451000001", "the canonical spelling");
        assert_eq!(RouteKey::try_from(key.expose().as_str()), Ok(key.clone()));
        assert!(!format!("{key:?}").contains("541123456789"));
        for bad in ["", "447700900001", "447700900001#", "x#447451000001", "447700900001#1#2"] {
            assert_eq!(RouteKey::try_from(bad), Err(NotARouteKey), "{bad}");
        }
    }

    #[test]
    fn tenure_is_read_as_written() {
        for tenure in [Tenure::Dials, Tenure::Receives] {
            assert_eq!(Tenure::try_from(tenure.as_str()), Ok(tenure));
        }
        assert_eq!(Tenure::try_from("holds"), Err(NotARouteKey));
    }
}
