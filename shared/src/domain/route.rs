//! Routes. A route stores where a call from one real number to one virtual number is connected.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::attempt::Attempt;
use crate::domain::call_handling::CallHandling;
use crate::domain::call_limits::CallLimits;
use crate::domain::caller_routes::CallerRoute;
use crate::domain::conversation::{Conversation, ConversationId, SidePhone};
use crate::domain::hours::Hours;
use crate::domain::judge::LookedUp;
use crate::domain::language::Language;
use crate::domain::late::LateCare;
use crate::domain::overlap::overlapping;
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::side::Side;
use crate::domain::sliding_end::SlidingEnd;
use crate::domain::tenant::Owner;
use crate::domain::usage::Tally;
use crate::domain::words::Words;
use crate::domain::words::addressee::{Addressee, Names};
use crate::domain::words::sentence::Placeholder;

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
    /// The other participant's phone, the first if there are several.
    pub connect_to: RealNumber,
    /// The other participant's phones in the order in which they are called, if there are several, or if one has hours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub callees: Vec<Callee>,
    /// The number that masks the caller.
    pub present_as: VirtualNumber,
    /// True if the other participant only receives, and so has no route by which events of the outbound leg would find the
    /// conversation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub one_way: bool,
    /// Limits of a call.
    pub limits: CallLimits,
    /// The handling of a call.
    #[serde(default, skip_serializing_if = "CallHandling::is_plain")]
    pub handling: CallHandling,
    /// The care for late callers.
    #[serde(default, skip_serializing_if = "LateCare::is_none")]
    pub late: LateCare,
    /// The time from which calls are no longer connected.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub expires_at: Timestamp,
    /// The rule by which the end of the conversation slides, so that an event of a call needs no further read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sliding_end: Option<SlidingEnd>,
    /// The time from which another conversation may own the route key.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub quarantined_until: Timestamp,
    /// Previous conversations of this route key, latest first. With them, the same two people get the same numbers again.
    #[serde(default, rename = "earlier", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<ConversationId>,
    /// The carrier's verdict about the caller's number, so that the carrier is not asked again for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_up: Option<LookedUp>,
    /// The time until which calls of the previous conversations may go on, if the same two people got the route key back
    /// before their last quarantine had ended.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub overlap_until: Option<Timestamp>,
    /// True if the caller dials another number in the same conversation by now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_replaced: bool,
    /// True if the conversation has [limits](crate::domain::usage::UsageLimits), so that its calls are counted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub metered: bool,
    /// True if one of these limits is reached, so that no call is connected.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exhausted: bool,
    /// The caller's language. That of the deployment, if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// The owner of the conversation, whose words its callers hear.
    #[serde(default, rename = "tenant", skip_serializing_if = "Owner::is_deployment")]
    pub owner: Owner,
    /// The names that spoken sentences of the deployment have, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Box<Names>>,
    /// The time until which no call is connected, because those of a day are used up.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<Timestamp>,
    /// The seconds for which a call may last, if the limits of the conversation leave less than its calls may last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_seconds: Option<u32>,
    /// True if the caller is blocked, so that no call of this side is connected.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blocked: bool,
    /// True if the conversation was ended together with its calls.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hangs_up: bool,
}

/// A phone of the called side, as a route knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callee {
    /// The phone.
    pub number: RealNumber,
    /// Its index; see [`Participant::number_at`](crate::domain::conversation::Participant::number_at).
    pub phone: usize,
    /// The hours in which it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<Hours>,
}

impl Callee {
    /// Returns the phones of `side`, if a route has to know them all.
    pub fn of(conversation: &Conversation, side: Side) -> Vec<Self> {
        let callee = |phone: SidePhone<'_>| Self {
            number: phone.number.clone(),
            phone: phone.index,
            hours: phone.hours.cloned(),
        };
        let callees: Vec<_> = conversation.ringing_phones(side).map(callee).collect();
        let is_one = callees.len() == 1 && callees.iter().all(|callee| callee.hours.is_none());
        if is_one { Vec::new() } else { callees }
    }
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

/// A hold on a route key whose caller only receives. Conversations show this caller the number, but the caller reaches nobody
/// by it: neither the people who call by it, of whom there may be thousands, nor a stranger, because while it lasts no
/// conversation gets the key. All those conversations share it, so it names none of them.
///
/// Serialized as the table stores it. The attribute `held_at` distinguishes it from a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The time at which it was made, or made longer.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub held_at: Timestamp,
    /// The same as `quarantined_until`, for readers of routes.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub expires_at: Timestamp,
    /// The time from which a conversation may own the route key.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub quarantined_until: Timestamp,
    /// The owner of the conversations, whose words the caller hears. They share the number, so all have the same one.
    #[serde(default, rename = "tenant", skip_serializing_if = "Owner::is_deployment")]
    pub owner: Owner,
}

/// A hold ends at the beginning of a day, and lasts for a day more than is needed. So most conversations find one that is long
/// enough, and those that start at the same moment want the same end.
const HOLD_STEP: SignedDuration = SignedDuration::from_hours(24);

impl Hold {
    /// Creates a hold at `now` for a conversation of `owner` whose quarantine ends at `until`.
    pub fn new(owner: Owner, until: Timestamp, now: Timestamp) -> Self {
        let step = HOLD_STEP.as_secs();
        let end = Timestamp::from_second((until.as_second().div_euclid(step) + 2) * step).unwrap_or(Timestamp::MAX);
        Self { held_at: now, expires_at: end, quarantined_until: end, owner }
    }
}

/// The owner of a route key, now or before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[allow(clippy::large_enum_variant, reason = "nearly every owner is a route, and none is kept for long")]
pub enum KeyOwner {
    /// A conversation.
    Route(Route),
    /// A conversation that was erased.
    Erased(RouteTombstone),
    /// No conversation: the caller only receives.
    Held(Hold),
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
        /// True if the other participant only receives.
        one_way: bool,
        /// Limits of the call.
        limits: CallLimits,
        /// The caller's side.
        caller: Side,
        /// The handling of the call.
        handling: CallHandling,
        /// The seconds that the limits of the conversation leave for the call, if that cuts it short.
        left_seconds: Option<u32>,
        /// The first attempt, if the other participant has several phones.
        attempt: Option<Attempt>,
    },
    /// A conversation in which no phone of the other participant is called at this hour.
    Closed(ConversationId),
    /// A conversation whose calls have reached one of its limits.
    Exhausted(ConversationId),
    /// A conversation whose calls of the day are used up.
    Paused(ConversationId),
    /// A conversation in which the caller is blocked.
    Blocked(ConversationId),
    /// A conversation that has ended or expired, and is in quarantine.
    Ended(ConversationId),
    /// The same, with care for late callers.
    Late {
        /// The conversation.
        conversation: ConversationId,
        /// The caller's side.
        caller: Side,
        /// The care.
        care: LateCare,
        /// Limits of a call.
        limits: CallLimits,
    },
    /// The caller only receives calls from this number.
    ReceiveOnly,
    /// A conversation in which this caller dials another number by now.
    Replaced(ConversationId),
    /// This caller and this number have no conversation.
    Nobody,
}

impl Route {
    /// Creates the route of the first phone on `side` of `conversation`, without history, verdict and calls.
    pub fn new(conversation: &Conversation, side: Side) -> Self {
        Self::of_phone(conversation, conversation.first_phone(side))
    }

    /// Creates the route of a `phone` of `conversation`, without history, verdict and calls.
    pub fn of_phone(conversation: &Conversation, phone: SidePhone<'_>) -> Self {
        let side = phone.side;
        Self {
            conversation: conversation.id,
            side,
            phone: phone.index,
            since: conversation.created_at,
            connect_to: conversation.participant(side.other()).number.clone(),
            callees: Callee::of(conversation, side.other()),
            present_as: conversation.masked_by(side).clone(),
            one_way: !conversation.direction.is_both(),
            limits: conversation.limits,
            handling: conversation.handling,
            late: conversation.late.of_route(conversation.direction.is_both(), phone.language),
            expires_at: conversation.expires_at,
            sliding_end: conversation.sliding_end,
            quarantined_until: conversation.quarantined_until(conversation.expires_at),
            history: Vec::new(),
            looked_up: None,
            overlap_until: None,
            is_replaced: false,
            metered: !conversation.usage_limits.is_none(),
            exhausted: conversation.limit_reached_at.is_some(),
            paused_until: conversation.paused_until,
            left_seconds: conversation.seconds_left(&Tally::default(), side),
            blocked: conversation.is_blocked(side),
            hangs_up: conversation.hangs_up,
            language: phone.language.cloned(),
            owner: conversation.owner,
            names: None,
        }
    }

    /// Adds the names that spoken sentences of the deployment have, so that an answer needs no further read. Vonage logs what is
    /// spoken, so without such sentences there are none.
    pub fn with_spoken_names(self, conversation: &Conversation, words: &Words) -> Self {
        let words = words.of(conversation.owner);
        let label = conversation.participant(self.side.other()).label.clone();
        let names = Names {
            label: label.filter(|_| words.are_spoken_with(Placeholder::Label)),
            reference: conversation.reference.clone().filter(|_| words.are_spoken_with(Placeholder::Reference)),
        };
        Self { names: (names != Names::default()).then(|| Box::new(names)), ..self }
    }

    /// Creates the route of a `phone` that has another route key from `since` on. `before` is what was there.
    pub fn joining(
        conversation: &Conversation,
        phone: SidePhone<'_>,
        before: Option<&CallerRoute>,
        since: Timestamp,
    ) -> Self {
        let route = Self::of_phone(conversation, phone);
        match before {
            // The participant is back at a route key that this conversation had before.
            Some(own) if own.conversation == Some(conversation.id) => Self { history: own.previous.clone(), ..route },
            Some(other) => Self { since, history: other.history_for_next(), ..route },
            None => Self { since, ..route },
        }
    }

    /// True if its conversation is active at `now`, so that it connects calls unless a limit is reached or the caller is blocked.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }

    /// True if there is a phone that may be called at `now`.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.callees.is_empty() || self.open(now).is_some()
    }

    /// Returns the phone that gets a text at `now`: the first that may be called at this hour, or else the first. A text can
    /// wait.
    pub fn phone_for_texts(&self, now: Timestamp) -> &RealNumber {
        self.open(now).map_or(&self.connect_to, |callee| &callee.number)
    }

    /// Returns the first of several phones that may be called at `now`.
    fn open(&self, now: Timestamp) -> Option<&Callee> {
        self.callees.iter().find(|callee| callee.hours.as_ref().is_none_or(|hours| hours.include(now)))
    }

    /// Returns the destination of a call at `now` that nothing else prevents.
    fn destination(self, now: Timestamp) -> Destination {
        if !self.is_open(now) {
            return Destination::Closed(self.conversation);
        }
        let (first, tries_several) = (self.open(now).cloned(), self.callees.len() > 1 && self.handling.attempts() > 1);
        let attempt = first.as_ref().filter(|_| tries_several).map(|first| Attempt::first(first.phone, now));
        Destination::Participant {
            conversation: self.conversation,
            connect_to: first.map_or(self.connect_to, |first| first.number),
            present_as: self.present_as,
            one_way: self.one_way,
            limits: self.limits,
            caller: self.side,
            handling: self.handling,
            left_seconds: self.left_seconds,
            attempt,
        }
    }

    /// True if there is care at `now` for its late callers. After an end that hangs up, nobody is to be connected.
    fn has_late_care(&self, now: Timestamp) -> bool {
        now < self.quarantined_until && !self.blocked && !self.hangs_up && !self.late.is_none()
    }

    /// True if the calls of the day are used up at `now`.
    pub fn is_paused(&self, now: Timestamp) -> bool {
        self.paused_until.is_some_and(|until| now < until)
    }

    /// Returns the conversation that a call belongs to which begins at `time`: the latest that had begun by then. `None` if
    /// that one was erased.
    pub fn conversation_at(&self, time: Timestamp) -> Option<ConversationId> {
        if self.since <= time {
            return Some(self.conversation);
        }
        // A route is since a whole second.
        self.history.iter().copied().find(|id| id.created_at().as_second() <= time.as_second())
    }

    /// Returns the previous conversations whose calls may still go on at `time`, latest first.
    pub fn overlapping(&self, time: Timestamp) -> impl Iterator<Item = ConversationId> {
        let overlap = self.overlap_until.is_some_and(|until| time < until);
        let previous = if overlap { self.history.as_slice() } else { &[] };
        overlapping(self.since, previous.iter().copied(), time)
    }

    /// Returns what the words for its caller depend on.
    pub fn addressee(&self) -> Addressee {
        Addressee {
            owner: self.owner,
            language: self.language.clone(),
            names: self.names.clone(),
            own: self.late.words.clone(),
        }
    }

    /// Converts it into the tombstone of an erased conversation.
    pub fn into_tombstone(self) -> RouteTombstone {
        let Self { conversation, since, expires_at, quarantined_until, .. } = self;
        RouteTombstone { conversation, since, expires_at, quarantined_until }
    }
}

impl KeyOwner {
    /// True if its conversation is active at `now`, so that it connects calls unless a limit is reached or the caller is blocked.
    pub fn is_live(&self, now: Timestamp) -> bool {
        matches!(self, Self::Route(route) if route.is_live(now))
    }

    /// True if it says for certain at `now` what a call on this key leads to, even if it was read a second ago: to the other
    /// participant, or to nobody for as long as the hold lasts, because a hold is never cut short. A limit may just have been
    /// raised, and a block undone.
    pub fn decides(&self, now: Timestamp) -> bool {
        match self {
            Self::Route(route) => {
                let is_free = !route.exhausted && !route.blocked && !route.is_paused(now);
                route.is_live(now) && is_free && route.is_open(now)
            }
            Self::Held(_) => self.is_in_use(now),
            Self::Erased(_) => false,
        }
    }

    /// Returns the conversation that owns the route key.
    pub fn conversation(&self) -> Option<ConversationId> {
        match self {
            Self::Route(route) => Some(route.conversation),
            Self::Erased(erased) => Some(erased.conversation),
            Self::Held(_) => None,
        }
    }

    /// Returns what the words for the caller depend on, if the owner knows it.
    pub fn addressee(&self) -> Option<Addressee> {
        match self {
            Self::Route(route) => Some(route.addressee()),
            Self::Erased(_) | Self::Held(_) => None,
        }
    }

    /// Returns the owner whose words the caller hears, if the item tells.
    pub fn speaker(&self) -> Option<Owner> {
        match self {
            Self::Route(route) => Some(route.owner),
            Self::Held(hold) => Some(hold.owner),
            Self::Erased(_) => None,
        }
    }

    /// Returns the time from which another conversation may own the route key.
    pub fn quarantined_until(&self) -> Timestamp {
        match self {
            Self::Route(route) => route.quarantined_until,
            Self::Erased(erased) => erased.quarantined_until,
            Self::Held(hold) => hold.quarantined_until,
        }
    }

    /// True if the route key is in use at `now`: live or in quarantine. The table deletes expired items late, so an item may
    /// be there although its key is free.
    pub fn is_in_use(&self, now: Timestamp) -> bool {
        now < self.quarantined_until()
    }

    /// True if an event of `time` can belong to this conversation, or to one before it in whose quarantine the same two people
    /// got the route key back. When a late event arrives, another conversation may own the route key.
    pub fn covers(&self, time: Timestamp) -> bool {
        let since = match self {
            // The previous one may have been erased, so that nothing tells when it began.
            Self::Route(Route { overlap_until: Some(_), .. }) => Timestamp::MIN,
            Self::Route(route) => route.since,
            Self::Erased(erased) => erased.since,
            Self::Held(_) => return false,
        };
        since <= time && time < self.quarantined_until()
    }
}

/// Returns the destination of a call at `now`, given the owner of its route key.
pub fn destination(owner: Option<KeyOwner>, now: Timestamp) -> Destination {
    match owner {
        Some(KeyOwner::Route(route)) if route.is_live(now) && route.blocked => Destination::Blocked(route.conversation),
        Some(KeyOwner::Route(route)) if route.is_live(now) && route.exhausted => {
            Destination::Exhausted(route.conversation)
        }
        Some(KeyOwner::Route(route)) if route.is_live(now) && route.is_paused(now) => {
            Destination::Paused(route.conversation)
        }
        Some(KeyOwner::Route(route)) if route.is_live(now) => route.destination(now),
        Some(KeyOwner::Route(route)) if route.is_replaced && now < route.quarantined_until => {
            Destination::Replaced(route.conversation)
        }
        Some(KeyOwner::Route(route)) if route.has_late_care(now) => {
            let Route { conversation, side: caller, late: care, limits, .. } = route;
            Destination::Late { conversation, caller, care, limits }
        }
        Some(owner) if owner.is_in_use(now) => {
            owner.conversation().map_or(Destination::ReceiveOnly, Destination::Ended)
        }
        _ => Destination::Nobody,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hours::NewHours;
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
            callees: Vec::new(),
            present_as: number("447451000002"),
            one_way: false,
            limits: CallLimits::with_max_call(60),
            handling: CallHandling::default(),
            late: LateCare::default(),
            sliding_end: None,
            expires_at: created_at + SignedDuration::from_secs(100),
            quarantined_until: created_at + SignedDuration::from_secs(160),
            history: Vec::new(),
            looked_up: None,
            overlap_until: None,
            is_replaced: false,
            metered: false,
            exhausted: false,
            language: None,
            owner: Owner::Deployment,
            names: None,
            paused_until: None,
            left_seconds: None,
            blocked: false,
            hangs_up: false,
        }
    }

    #[test]
    fn route_connects_the_first_phone_that_is_called_at_this_hour() {
        let monday: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        let hours = |days: &[&str]| {
            let hours = serde_json::json!({"days": days, "from": "09:00", "to": "17:00", "zone": "UTC"});
            Some(serde_json::from_value::<NewHours>(hours).unwrap().0)
        };
        let callee = |digits: &str, phone, hours| Callee { number: number(digits), phone, hours };
        let connects = |callees: &[Callee], attempts| {
            let handling = CallHandling { max_attempts: attempts, ..CallHandling::default() };
            let owner = KeyOwner::Route(Route { callees: callees.to_vec(), handling, ..route(monday) });
            let is_open = owner.decides(monday);
            match destination(Some(owner), monday) {
                Destination::Participant { connect_to, attempt, .. } => {
                    assert!(is_open);
                    (connect_to.expose().to_owned(), attempt.map(|attempt| attempt.phone))
                }
                Destination::Closed(_) if !is_open => ("closed".to_owned(), None),
                other => panic!("{other:?}"),
            }
        };
        let (closed, open) =
            (callee("447700900002", 0, hours(&["sun"])), callee("447700900003", 1_001, hours(&["mon"])));
        assert_eq!(connects(&[closed.clone(), open.clone()], Some(3)), ("447700900003".to_owned(), Some(1_001)));
        assert_eq!(connects(&[open.clone(), closed.clone()], Some(3)), ("447700900003".to_owned(), Some(1_001)));
        assert_eq!(connects(&[open.clone(), closed.clone()], None), ("447700900003".to_owned(), None));
        assert_eq!(connects(&[open], Some(3)), ("447700900003".to_owned(), None), "there is one phone");
        assert_eq!(connects(&[closed], Some(3)), ("closed".to_owned(), None));
    }

    #[test]
    fn paused_route_connects_nobody_until_the_next_day() {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let at = |seconds| start + SignedDuration::from_secs(seconds);
        let paused = KeyOwner::Route(Route { paused_until: Some(at(50)), ..route(start) });
        assert!(matches!(destination(Some(paused.clone()), at(49)), Destination::Paused(_)));
        assert!(matches!(destination(Some(paused.clone()), at(50)), Destination::Participant { .. }));
        assert!(!paused.decides(at(49)) && paused.decides(at(50)));
    }

    #[test]
    fn blocked_route_connects_nobody_and_is_not_taken_as_read() {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let blocked = KeyOwner::Route(Route { blocked: true, exhausted: true, ..route(start) });
        let at = |seconds| start + SignedDuration::from_secs(seconds);
        assert!(matches!(destination(Some(blocked.clone()), at(99)), Destination::Blocked(_)));
        assert!(matches!(destination(Some(blocked.clone()), at(100)), Destination::Ended(_)));
        assert!(!blocked.decides(at(0)));
        let stored = serde_json::to_value(KeyOwner::Route(route(start))).unwrap();
        assert_eq!(stored.get("blocked"), None, "it is stored as before");
    }

    #[test]
    fn exhausted_route_connects_nobody_and_is_not_taken_as_read() {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let exhausted = KeyOwner::Route(Route { exhausted: true, ..route(start) });
        let at = |seconds| start + SignedDuration::from_secs(seconds);
        assert!(matches!(destination(Some(exhausted.clone()), at(99)), Destination::Exhausted(_)));
        assert!(matches!(destination(Some(exhausted.clone()), at(100)), Destination::Ended(_)));
        assert!(!exhausted.decides(at(0)) && KeyOwner::Route(route(start)).decides(at(0)));
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
        let replaced = KeyOwner::Route(Route { is_replaced: true, ..route(start) });
        let at = |seconds| destination(Some(replaced.clone()), start + SignedDuration::from_secs(seconds));
        assert!(matches!((at(100), at(159)), (Destination::Replaced(_), Destination::Replaced(_))));
        assert_eq!(at(160), Destination::Nobody);
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
    fn events_in_an_overlap_belong_to_conversation_of_their_time() {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let at = |seconds| start + SignedDuration::from_secs(seconds);
        let ids =
            [-300, -10_000].map(|seconds| ConversationId::generate(at(seconds) + SignedDuration::from_millis(700)));
        let plain = Route { history: ids.to_vec(), ..route(start) };
        let route = Route { overlap_until: Some(at(40)), ..plain.clone() };
        let begun = |seconds| route.conversation_at(at(seconds));
        assert_eq!([-300, -1, 0].map(begun), [Some(ids[0]), Some(ids[0]), Some(route.conversation)]);
        assert_eq!([-10_000, -301, -10_001].map(begun), [Some(ids[1]), Some(ids[1]), None]);
        assert_eq!(route.overlapping(at(39)).collect::<Vec<_>>(), ids);
        assert_eq!((route.overlapping(at(40)).count(), plain.overlapping(at(0)).count()), (0, 0));
        // The first one of these had ended two hours before.
        let later = Route { overlap_until: Some(at(7_000)), ..route.clone() };
        assert_eq!(later.overlapping(at(6_901)).collect::<Vec<_>>(), ids[..1]);
        for (route, covered) in [(route, true), (plain, false)] {
            assert_eq!(KeyOwner::Route(route).covers(at(-10_000)), covered);
        }
    }

    #[test]
    fn hold_connects_nobody_and_belongs_to_no_conversation() {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let until = start + SignedDuration::from_hours(24);
        let hold = Hold::new(Owner::Deployment, until, start);
        let margin = hold.quarantined_until.duration_since(until);
        assert!(margin > HOLD_STEP && margin <= HOLD_STEP * 2, "{margin:?}");
        assert_eq!(
            Hold::new(Owner::Deployment, until + SignedDuration::from_secs(1), start),
            hold,
            "creations at once want the same end"
        );
        let owner = KeyOwner::Held(hold.clone());
        let found = |time| destination(Some(owner.clone()), time);
        assert_eq!([found(start), found(until)], [Destination::ReceiveOnly, Destination::ReceiveOnly]);
        assert_eq!(found(hold.quarantined_until), Destination::Nobody);
        assert!(owner.decides(until) && !owner.decides(hold.quarantined_until) && !owner.covers(start));
        let stored = serde_json::to_value(&owner).unwrap();
        assert_eq!(serde_json::from_value::<KeyOwner>(stored).unwrap(), owner);
    }

    #[test]
    fn route_from_before_one_way_conversations_is_read() {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let route = route(start);
        let stored = serde_json::to_value(&route).unwrap();
        assert_eq!(stored.get("one_way"), None, "it is stored as before");
        assert_eq!(serde_json::from_value::<KeyOwner>(stored).unwrap(), KeyOwner::Route(route));
    }

    #[test]
    fn event_belongs_to_the_owner_at_its_time() {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let covers = |seconds| KeyOwner::Route(route(start)).covers(start + SignedDuration::from_secs(seconds));
        assert_eq!([-1, 0, 120, 159, 160].map(covers), [false, true, true, true, false]);
    }
}
