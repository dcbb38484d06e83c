//! Routes. A route stores where a call from one real number to one virtual number is connected.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::call_limits::CallLimits;
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::side::Side;

/// The item under a route key: the pair (caller's real number, dialled virtual number). Serialized as the table stores it:
/// times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The conversation that owns the route key.
    pub conversation: ConversationId,
    /// The caller's side of it.
    pub side: Side,
    /// Index of the caller's phone; see [`Participant::number_at`](crate::domain::conversation::Participant::number_at).
    #[serde(default)]
    pub phone: usize,
    /// The time from which the conversation owns the route key.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub since: Timestamp,
    /// The other participant's phone.
    pub connect_to: RealNumber,
    /// The number that masks the caller.
    pub present_as: VirtualNumber,
    /// Limits of a call.
    pub limits: CallLimits,
    /// The time from which calls are no longer connected.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub expires_at: Timestamp,
    /// The time from which another conversation may own the route key.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub quarantined_until: Timestamp,
    /// Previous conversations of this route key, latest first. With them, the same two people get the same numbers again.
    #[serde(default, rename = "earlier", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<ConversationId>,
}

/// The rest of a route whose conversation was erased. It occupies the route key until the quarantine ends, because a late caller
/// would otherwise reach a stranger. It cannot connect a call.
///
/// Serialized as the table stores it. The attribute `erased` distinguishes it from a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTombstone {
    /// The conversation that was erased.
    #[serde(rename = "erased")]
    pub conversation: ConversationId,
    /// The time from which that conversation owned the route key.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub since: Timestamp,
    /// The time from which calls were no longer connected.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub expires_at: Timestamp,
    /// The time from which another conversation may own the route key.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub quarantined_until: Timestamp,
}

/// The owner of a route key, now or before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum KeyOwner {
    /// A conversation.
    Route(Route),
    /// A conversation that was erased.
    Erased(RouteTombstone),
}

/// The destination of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// The other participant of a live conversation.
    Participant {
        /// The conversation.
        conversation: ConversationId,
        /// The other participant's phone.
        connect_to: RealNumber,
        /// The number that masks the caller.
        present_as: VirtualNumber,
        /// Limits of the call.
        limits: CallLimits,
    },
    /// A conversation that has ended or expired, and is in quarantine.
    Ended(ConversationId),
    /// This caller and this number have no conversation.
    Nobody,
}

impl Route {
    /// Creates the route of the participant on `side` of `conversation`, without history.
    pub fn new(conversation: &Conversation, side: Side) -> Self {
        Self {
            conversation: conversation.id,
            side,
            phone: conversation.participant(side).previous_numbers.len(),
            since: conversation.created_at,
            connect_to: conversation.participant(side.other()).number.clone(),
            present_as: conversation.masked_by(side).clone(),
            limits: conversation.limits,
            expires_at: conversation.expires_at,
            quarantined_until: conversation.quarantined_until(conversation.expires_at),
            history: Vec::new(),
        }
    }

    /// True if it connects calls at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }

    /// Converts it into the tombstone of an erased conversation.
    pub fn into_tombstone(self) -> RouteTombstone {
        let Self { conversation, since, expires_at, quarantined_until, .. } = self;
        RouteTombstone { conversation, since, expires_at, quarantined_until }
    }
}

impl KeyOwner {
    /// True if it connects calls at `now`.
    pub fn connects(&self, now: Timestamp) -> bool {
        matches!(self, Self::Route(route) if route.is_live(now))
    }

    /// Returns the conversation that owns the route key.
    pub fn conversation(&self) -> ConversationId {
        match self {
            Self::Route(route) => route.conversation,
            Self::Erased(erased) => erased.conversation,
        }
    }

    /// Returns the time from which another conversation may own the route key.
    pub fn quarantined_until(&self) -> Timestamp {
        match self {
            Self::Route(route) => route.quarantined_until,
            Self::Erased(erased) => erased.quarantined_until,
        }
    }

    /// True if the route key is in use at `now`: live or in quarantine. The table deletes expired items late, so an item may
    /// be there although its key is free.
    pub fn is_in_use(&self, now: Timestamp) -> bool {
        now < self.quarantined_until()
    }

    /// True if an event of `time` can belong to this conversation. When a late event arrives, another conversation may own
    /// the route key.
    pub fn covers(&self, time: Timestamp) -> bool {
        let since = match self {
            Self::Route(route) => route.since,
            Self::Erased(erased) => erased.since,
        };
        since <= time && time < self.quarantined_until()
    }
}

/// Returns the destination of a call at `now`, given the owner of its route key.
pub fn destination(owner: Option<KeyOwner>, now: Timestamp) -> Destination {
    match owner {
        Some(KeyOwner::Route(route)) if route.is_live(now) => Destination::Participant {
            conversation: route.conversation,
            connect_to: route.connect_to,
            present_as: route.present_as,
            limits: route.limits,
        },
        Some(owner) if owner.is_in_use(now) => Destination::Ended(owner.conversation()),
        _ => Destination::Nobody,
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::domain::phone::PhoneNumber;

    fn number<T: From<PhoneNumber>>(digits: &str) -> T {
        PhoneNumber::try_from(digits).unwrap().into()
    }

    fn route(created_at: Timestamp) -> Route {
        Route {
            conversation: ConversationId::generate(created_at),
            side: Side::A,
            phone: 0,
            since: created_at,
            connect_to: number("447700900002"),
            present_as: number("447451000002"),
            limits: CallLimits::with_max_call(60),
            expires_at: created_at + SignedDuration::from_secs(100),
            quarantined_until: created_at + SignedDuration::from_secs(160),
            history: Vec::new(),
        }
    }

    #[test]
    fn route_connects_until_it_expires_and_is_then_quarantined() {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let at = |seconds| destination(Some(KeyOwner::Route(route(start))), start + SignedDuration::from_secs(seconds));
        assert!(matches!(at(0), Destination::Participant { .. }));
        assert!(matches!(at(99), Destination::Participant { .. }));
        assert!(matches!(at(100), Destination::Ended(_)));
        assert!(matches!(at(159), Destination::Ended(_)));
        assert_eq!(at(160), Destination::Nobody);
        assert_eq!(destination(None, start), Destination::Nobody);
    }

    #[test]
    fn tombstone_connects_nobody_and_keeps_the_quarantine() {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let route = route(start);
        let owner = KeyOwner::Erased(route.clone().into_tombstone());
        for seconds in [0, 99, 100, 159] {
            let found = destination(Some(owner.clone()), start + SignedDuration::from_secs(seconds));
            assert_eq!(found, Destination::Ended(route.conversation));
        }
        assert_eq!(destination(Some(owner.clone()), start + SignedDuration::from_secs(160)), Destination::Nobody);
        for owner in [owner, KeyOwner::Route(route)] {
            let stored = serde_json::to_value(&owner).unwrap();
            assert_eq!(serde_json::from_value::<KeyOwner>(stored).unwrap(), owner);
        }
    }

    #[test]
    fn event_belongs_to_the_owner_at_its_time() {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let covers = |seconds| KeyOwner::Route(route(start)).covers(start + SignedDuration::from_secs(seconds));
        assert_eq!([-1, 0, 120, 159, 160].map(covers), [false, true, true, true, false]);
    }
}
