//! Standing masks: a number that anybody may dial, and that leads to one participant or team.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::attempt::Attempt;
use crate::domain::call_limits::CallLimits;
use crate::domain::decision::{Decision, StandingCall, StandingConnection};
use crate::domain::language::Language;
use crate::domain::phone::caller_id::CallerId;
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::route::{Callee, Destination};

/// A standing mask: the people to whom a number leads. Serialized as the table stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingMask {
    /// True if calls are connected: no route leads to the number any more, and no conversation gets one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_open: bool,
    /// The phones in the order in which they are called. None, if they were erased.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phones: Vec<Callee>,
    /// The phones whose calls are not connected, each in its canonical spelling.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub blocked: BTreeSet<RealNumber>,
    /// True if no call is connected whose caller is hidden or cannot be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blocks_hidden: bool,
    /// The language in which its callers hear words. That of each caller, if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// Limits of a call, with all its attempts.
    pub limits: CallLimits,
}

impl StandingMask {
    /// Most phones behind a standing mask.
    pub const MOST_PHONES: usize = 10;

    /// Most phones on its block list.
    pub const MOST_BLOCKED: usize = 100;

    /// Returns the decision about a call at `now` that would reach nobody by `decision`. Its own phones do not reach each other.
    pub fn take(&self, decision: Decision, caller: &CallerId, mask: &VirtualNumber, now: Timestamp) -> Decision {
        let reaches_nobody =
            matches!(decision, Decision::Routed(Destination::Nobody) | Decision::Hidden | Decision::Unclear);
        if !reaches_nobody || !self.is_open || self.phones.is_empty() {
            return decision;
        }
        let is_blocked = match caller {
            CallerId::Phone(phone) => {
                let caller = RealNumber::from(phone.clone());
                if self.phones.iter().any(|own| own.number.is_same_phone(&caller)) {
                    return decision;
                }
                self.blocked.contains(caller.canonical().as_ref())
            }
            CallerId::Hidden | CallerId::NotUnderstood { .. } => self.blocks_hidden,
        };
        if is_blocked {
            return Decision::Standing(StandingCall::Blocked);
        }
        let first = self.open_from(0, now);
        Decision::Standing(first.map_or(StandingCall::Closed, |callee| {
            StandingCall::Connects(StandingConnection {
                phone: callee.number.clone(),
                mask: mask.clone(),
                limits: self.limits,
                attempt: Attempt::first(callee.phone, now),
            })
        }))
    }

    /// Returns the connection that a call tries at `time` after this attempt failed, if one is left and there is time for it.
    pub fn after(&self, last: Attempt, mask: &VirtualNumber, time: Timestamp) -> Option<StandingConnection> {
        let callee = self.open_from(last.phone + 1, time)?;
        let spent = u32::try_from(time.duration_since(last.since).as_secs().max(0)).unwrap_or(u32::MAX);
        let max_call_seconds = self.limits.max_call_seconds.saturating_sub(spent);
        let limits = CallLimits { max_call_seconds, ..self.limits };
        let has_time = max_call_seconds >= CallLimits::MIN_CALL_SECONDS;
        let is_left = last.number < Attempt::MOST && has_time;
        let (phone, mask) = (callee.number.clone(), mask.clone());
        is_left.then(|| StandingConnection { phone, mask, limits, attempt: last.next(callee.phone) })
    }

    /// Returns the first phone from this position on that is called at `time`.
    fn open_from(&self, position: usize, time: Timestamp) -> Option<&Callee> {
        let is_open = |callee: &&Callee| callee.hours.as_ref().is_none_or(|hours| hours.include(time));
        self.phones.iter().filter(|callee| callee.phone >= position).find(is_open)
    }

    /// Returns all phones that it names, each in its canonical spelling.
    pub fn named(&self) -> BTreeSet<RealNumber> {
        let own = self.phones.iter().map(|callee| callee.number.canonical().into_owned());
        own.chain(self.blocked.iter().cloned()).collect()
    }

    /// Returns it without a phone.
    pub fn without(&self, phone: &RealNumber) -> Self {
        let phones = self.phones.iter().filter(|callee| !callee.number.is_same_phone(phone)).cloned().collect();
        let blocked = self.blocked.iter().filter(|blocked| !blocked.is_same_phone(phone)).cloned().collect();
        Self { phones, blocked, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::domain::phone::PhoneNumber;

    fn number(digits: &str) -> PhoneNumber {
        PhoneNumber::try_from(digits).unwrap()
    }

    fn mask() -> StandingMask {
        let callee = |(phone, digits)| Callee { number: number(digits).into(), phone, hours: None };
        StandingMask {
            is_open: true,
            phones: ["447700900001", "447700900002"].into_iter().enumerate().map(callee).collect(),
            blocked: [number("447700900666").into()].into(),
            blocks_hidden: false,
            language: None,
            limits: CallLimits::with_max_call(600),
        }
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    /// Returns the phone that a call reaches, or a word.
    fn taken(mask: &StandingMask, decision: Decision, caller: &CallerId) -> String {
        match mask.take(decision, caller, &number("447451000001").into(), now()) {
            Decision::Standing(StandingCall::Connects(connection)) => connection.phone.expose().to_owned(),
            Decision::Standing(StandingCall::Blocked) => "blocked".to_owned(),
            Decision::Standing(StandingCall::Closed) => "closed".to_owned(),
            other => other.outcome().to_owned(),
        }
    }

    #[test]
    fn anybody_reaches_the_first_phone_but_its_own_and_blocked_ones() {
        let nobody = || Decision::Routed(Destination::Nobody);
        let caller = |digits: &str| CallerId::Phone(number(digits));
        assert_eq!(taken(&mask(), nobody(), &caller("447700900555")), "447700900001");
        assert_eq!(taken(&mask(), nobody(), &caller("447700900002")), Decision::UNKNOWN_CALLER);
        assert_eq!(taken(&mask(), nobody(), &caller("447700900666")), "blocked");
        assert_eq!(taken(&mask(), Decision::Hidden, &CallerId::Hidden), "447700900001");
        let strict = StandingMask { blocks_hidden: true, ..mask() };
        assert_eq!(taken(&strict, Decision::Hidden, &CallerId::Hidden), "blocked");
        for mask in [StandingMask { is_open: false, ..mask() }, StandingMask { phones: Vec::new(), ..mask() }] {
            assert_eq!(taken(&mask, nobody(), &caller("447700900555")), Decision::UNKNOWN_CALLER);
        }
        let owned = Decision::Routed(Destination::ReceiveOnly);
        assert_eq!(taken(&mask(), owned, &caller("447700900555")), "receives only", "a route key still decides");
    }

    #[test]
    fn phones_are_tried_in_order_while_there_is_time() {
        let (mask, dialled) = (mask(), number("447451000001").into());
        let first = Attempt::first(0, now());
        let at = |seconds| now() + SignedDuration::from_secs(seconds);
        let second = mask.after(first, &dialled, at(50)).unwrap();
        assert_eq!((second.phone.expose(), second.attempt.number), ("447700900002", 2));
        assert_eq!((second.limits.max_call_seconds, second.limits.ring_seconds), (550, 45));
        assert_eq!(mask.after(first, &dialled, at(541)), None, "no time is left");
        assert_eq!(mask.after(second.attempt, &dialled, at(60)), None, "no phone is left");
    }

    #[test]
    fn erased_phone_is_in_neither_list() {
        let left = mask().without(&number("447700900001").into()).without(&number("447700900666").into());
        assert_eq!(left.named(), [number("447700900002").into()].into());
    }
}
