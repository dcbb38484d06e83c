//! Routes: where a call from one real number to one virtual number leads.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::call_limits::CallLimits;
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::side::Side;

/// What the key (caller's real number, dialled virtual number) leads to. Serialized as the table stores it: times are
/// seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The conversation that the key belongs to.
    pub conversation: ConversationId,
    /// The caller's side of it.
    pub side: Side,
    /// Which of that participant's phones the caller's is.
    #[serde(default)]
    pub phone: usize,
    /// Since when the key is that conversation's.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub since: Timestamp,
    /// The other participant's phone.
    pub connect_to: RealNumber,
    /// The number that masks the caller.
    pub present_as: VirtualNumber,
    /// How long a call may take.
    pub limits: CallLimits,
    /// From when on calls are no longer connected.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub expires_at: Timestamp,
    /// From when on the key may belong to another conversation.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub quarantined_until: Timestamp,
    /// Earlier conversations on this key, latest first: so the same two people are given the same numbers again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<ConversationId>,
}

/// What is left of a route whose conversation was erased: nothing that could connect a call. It holds its key for as long
/// as the quarantine lasts, because a late caller would otherwise reach a stranger. Serialized as the table stores it;
/// under another name than a route's, the conversation is none that anything can be done with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTombstone {
    /// The conversation that was erased.
    #[serde(rename = "erased")]
    pub conversation: ConversationId,
    /// Since when the key was that conversation's.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub since: Timestamp,
    /// From when on no calls were connected.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub expires_at: Timestamp,
    /// From when on the key may belong to another conversation.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub quarantined_until: Timestamp,
}

/// What holds a key, or held it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum KeyOwner {
    /// A conversation.
    Route(Route),
    /// A conversation that was erased.
    Erased(RouteTombstone),
}

/// What a dialled call meets.
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
        /// How long the call may take.
        limits: CallLimits,
    },
    /// A conversation that has ended or expired, still in quarantine.
    Ended(ConversationId),
    /// Nothing: this caller and this number have no conversation.
    Nobody,
}

impl Route {
    /// The route of the participant on `side` of `conversation`, under a key that was nobody's before.
    pub fn of(conversation: &Conversation, side: Side) -> Self {
        Self {
            conversation: conversation.id,
            side,
            phone: conversation.participant(side).former.len(),
            since: conversation.created_at,
            connect_to: conversation.participant(side.other()).number.clone(),
            present_as: conversation.masked_by(side).clone(),
            limits: conversation.limits,
            expires_at: conversation.expires_at,
            quarantined_until: conversation.quarantined_until(conversation.expires_at),
            earlier: Vec::new(),
        }
    }

    /// Whether it connects calls at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }

    /// What is left of it when its conversation is erased.
    pub fn erased(self) -> RouteTombstone {
        let Self { conversation, since, expires_at, quarantined_until, .. } = self;
        RouteTombstone { conversation, since, expires_at, quarantined_until }
    }
}

impl KeyOwner {
    /// Whether a call is connected at `now` that finds it under its key.
    pub fn connects(&self, now: Timestamp) -> bool {
        matches!(self, Self::Route(route) if route.is_live(now))
    }

    /// The conversation that the key belongs to.
    pub fn conversation(&self) -> ConversationId {
        match self {
            Self::Route(route) => route.conversation,
            Self::Erased(erased) => erased.conversation,
        }
    }

    /// From when on the key may belong to another conversation.
    pub fn quarantined_until(&self) -> Timestamp {
        match self {
            Self::Route(route) => route.quarantined_until,
            Self::Erased(erased) => erased.quarantined_until,
        }
    }

    /// Whether the key is taken at `now`: live or in quarantine. The table deletes late, so what was read may long be
    /// free.
    pub fn holds_its_key(&self, now: Timestamp) -> bool {
        now < self.quarantined_until()
    }

    /// Whether something that happened at `time` can have been part of the key's conversation. An event that arrives
    /// late may find the key in other hands.
    pub fn covers(&self, time: Timestamp) -> bool {
        let since = match self {
            Self::Route(route) => route.since,
            Self::Erased(erased) => erased.since,
        };
        since <= time && time < self.quarantined_until()
    }
}

/// Where a call leads at `now` that found `holder` under its key.
pub fn destination(holder: Option<KeyOwner>, now: Timestamp) -> Destination {
    match holder {
        Some(KeyOwner::Route(route)) if route.is_live(now) => Destination::Participant {
            conversation: route.conversation,
            connect_to: route.connect_to,
            present_as: route.present_as,
            limits: route.limits,
        },
        Some(holder) if holder.holds_its_key(now) => Destination::Ended(holder.conversation()),
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
            earlier: Vec::new(),
        }
    }

    #[test]
    fn a_route_connects_to_the_second_of_its_expiry_and_is_then_quarantined() {
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
    fn an_erased_route_connects_to_nobody_and_holds_its_key_for_as_long_as_before() {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let route = route(start);
        let holder = KeyOwner::Erased(route.clone().erased());
        for seconds in [0, 99, 100, 159] {
            let found = destination(Some(holder.clone()), start + SignedDuration::from_secs(seconds));
            assert_eq!(found, Destination::Ended(route.conversation));
        }
        assert_eq!(destination(Some(holder.clone()), start + SignedDuration::from_secs(160)), Destination::Nobody);
        for holder in [holder, KeyOwner::Route(route)] {
            let stored = serde_json::to_value(&holder).unwrap();
            assert_eq!(serde_json::from_value::<KeyOwner>(stored).unwrap(), holder);
        }
    }

    #[test]
    fn an_event_belongs_to_the_conversation_in_whose_time_it_happened() {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let covers = |seconds| KeyOwner::Route(route(start)).covers(start + SignedDuration::from_secs(seconds));
        assert_eq!([-1, 0, 120, 159, 160].map(covers), [false, true, true, true, false]);
    }
}
