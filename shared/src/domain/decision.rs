//! The decision about a call: the word for what it meets, and the rule behind it.

use crate::domain::attempt::Attempt;
use crate::domain::call_limits::CallLimits;
use crate::domain::conversation::ConversationId;
use crate::domain::phone::caller_id::CallerId;
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::route::Destination;
use crate::domain::stranger::Stranger;

/// The fate of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The caller is a phone, so the route key of caller and number decides.
    Routed(Destination),
    /// The caller reaches nobody by the dialled number, and is connected to the deployment's support phone.
    Support {
        /// The support phone.
        phone: RealNumber,
        /// The number that is shown there: the dialled one.
        present_as: VirtualNumber,
        /// Limits of the call.
        limits: CallLimits,
        /// The conversation that is over, if there was one.
        conversation: Option<ConversationId>,
    },
    /// The dialled number is a standing mask.
    Standing(StandingCall),
    /// The dialled number is no phone number.
    NoNumber,
    /// The caller is not known, and is asked for a PIN.
    PinAsked,
    /// The caller hides the number.
    Hidden,
    /// The caller id means no phone, or several.
    Unclear,
}

/// The fate of a call to a standing mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StandingCall {
    /// It is connected to a phone.
    Connects(StandingConnection),
    /// The caller is blocked.
    Blocked,
    /// No phone is called at this hour.
    Closed,
}

/// A connection of a caller with a phone behind a standing mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingConnection {
    /// The phone.
    pub phone: RealNumber,
    /// The standing mask, which the phone shows.
    pub mask: VirtualNumber,
    /// The limits of the call, as far as they are not used up.
    pub limits: CallLimits,
    /// The attempt.
    pub attempt: Attempt,
}

impl Decision {
    /// The outcome of a call that is connected to the other participant.
    pub const ROUTED: &'static str = "routed";
    /// The outcome of a call about which the backend decides first.
    pub const BACKEND_ASKED: &'static str = "backend asked";
    /// The outcome of a call whose caller has no conversation on the dialled number.
    pub const UNKNOWN_CALLER: &'static str = "unknown caller";
    /// The outcome of a call whose caller is hidden.
    pub const HIDDEN_CALLER: &'static str = "no caller id";
    /// The outcome of a call whose caller id means no phone, or several.
    pub const UNCLEAR_CALLER: &'static str = "caller id not understood";

    /// Returns the decision of a deployment with PINs: whoever is not known is asked for one.
    pub fn or_pin(self) -> Self {
        match self {
            Self::Routed(Destination::Nobody) | Self::Hidden | Self::Unclear => Self::PinAsked,
            known => known,
        }
    }

    /// Returns the decision about a late caller whose conversation names a support phone and offers nothing else: the call goes
    /// there, unless that phone itself calls.
    pub fn or_support_of_conversation(self, caller: &CallerId, dialled: Option<&VirtualNumber>) -> Self {
        let Self::Routed(Destination::Late { conversation, care, limits, .. }) = &self else { return self };
        if care.lost_property {
            return self;
        }
        let phone = care.support_phone.as_ref();
        let is_own =
            |phone: &RealNumber| matches!(caller, CallerId::Phone(own) if phone.is_same_phone(&own.clone().into()));
        match (phone.filter(|phone| !is_own(phone)), dialled) {
            (Some(phone), Some(dialled)) => Self::Support {
                phone: phone.clone(),
                present_as: dialled.clone(),
                limits: *limits,
                conversation: Some(*conversation),
            },
            _ => Self::Routed(Destination::Ended(*conversation)),
        }
    }

    /// Returns the decision about a caller who is not known, and has no PIN.
    pub fn of_unknown(caller: &CallerId) -> Self {
        match caller {
            CallerId::Phone(_) => Self::Routed(Destination::Nobody),
            CallerId::Hidden => Self::Hidden,
            CallerId::NotUnderstood { .. } => Self::Unclear,
        }
    }

    /// Returns the kind of a caller who reaches no other participant. `None` for all others.
    pub fn stranger(&self) -> Option<Stranger> {
        match self {
            Self::Routed(Destination::Nobody) => Some(Stranger::Unknown),
            Self::Routed(Destination::Ended(_) | Destination::Late { .. }) => Some(Stranger::Late),
            Self::Hidden | Self::Unclear => Some(Stranger::Hidden),
            _ => None,
        }
    }

    /// True if the backend decides about the call before it is connected.
    pub fn asks_backend(&self) -> bool {
        matches!(self, Self::Routed(Destination::Participant { handling, .. }) if handling.decision.is_some())
    }

    /// Returns the outcome in a few words, for the log and the API.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Routed(Destination::Participant { .. }) if self.asks_backend() => Self::BACKEND_ASKED,
            Self::Routed(Destination::Participant { .. }) => Self::ROUTED,
            Self::Routed(Destination::Exhausted(_)) => "limit reached",
            Self::Routed(Destination::Blocked(_)) => "blocked",
            Self::Routed(Destination::Paused(_)) => "limit of the day reached",
            Self::Routed(Destination::Closed(_)) => "outside hours",
            Self::Routed(Destination::Ended(_) | Destination::Late { .. }) => "ended",
            Self::Routed(Destination::ReceiveOnly) => "receives only",
            Self::Routed(Destination::Replaced(_)) => "number replaced",
            Self::Routed(Destination::Nobody) => Self::UNKNOWN_CALLER,
            Self::Support { .. } => "support",
            Self::Standing(StandingCall::Connects(_)) => "standing mask",
            Self::Standing(StandingCall::Blocked) => "blocked",
            Self::Standing(StandingCall::Closed) => "outside hours",
            Self::PinAsked => "PIN asked",
            Self::NoNumber => "no dialled number",
            Self::Hidden => Self::HIDDEN_CALLER,
            Self::Unclear => Self::UNCLEAR_CALLER,
        }
    }

    /// Returns the rule that leads to the outcome, in one sentence.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Routed(Destination::Participant { .. }) if self.asks_backend() => {
                "The caller has a live route by this number, and the backend decides at the conversation's decision URL."
            }
            Self::Routed(Destination::Participant { .. }) => {
                "The caller has a live route by this number, so the call goes to the other participant."
            }
            Self::Routed(Destination::Exhausted(_)) => {
                "The conversation has reached one of its limits, so no call of it is connected."
            }
            Self::Routed(Destination::Paused(_)) => {
                "The conversation has used up its calls of this day (UTC), so no call of it is connected before the next one."
            }
            Self::Routed(Destination::Blocked(_)) => {
                "The caller's side is blocked in the conversation, so its calls are not connected."
            }
            Self::Routed(Destination::Closed(_)) => {
                "No phone of the other participant is called at this hour, so the call is not connected."
            }
            Self::Routed(Destination::Ended(_) | Destination::Late { .. }) => {
                "The conversation of this caller and this number is over, or the caller has another phone in it by now."
            }
            Self::Routed(Destination::ReceiveOnly) => {
                "The caller only receives calls from this number, so a call to it reaches nobody."
            }
            Self::Routed(Destination::Replaced(_)) => {
                "The caller dials another number in this conversation, because this one was lost."
            }
            Self::Routed(Destination::Nobody) => "This caller has no conversation by this number.",
            Self::Support { .. } => "The caller reaches nobody by this number, so the support phone takes the call.",
            Self::Standing(StandingCall::Connects(_)) => {
                "The number is a standing mask, so anybody's call goes to its first phone that is called at this hour."
            }
            Self::Standing(StandingCall::Blocked) => {
                "The number is a standing mask, and the caller is on its block list, so the call is not connected."
            }
            Self::Standing(StandingCall::Closed) => {
                "The number is a standing mask, and none of its phones is called at this hour."
            }
            Self::PinAsked => "Nothing tells who the caller is, so the caller is asked for a PIN.",
            Self::NoNumber => "The dialled number is no phone number.",
            Self::Hidden => "The caller is hidden, so nothing tells which conversation is meant.",
            Self::Unclear => "The caller id means no phone, or several, so it means nobody.",
        }
    }

    /// Returns the conversation, if there is one.
    pub fn conversation(&self) -> Option<ConversationId> {
        match self {
            Self::Routed(
                Destination::Participant { conversation, .. }
                | Destination::Exhausted(conversation)
                | Destination::Blocked(conversation)
                | Destination::Closed(conversation)
                | Destination::Paused(conversation)
                | Destination::Ended(conversation)
                | Destination::Late { conversation, .. }
                | Destination::Replaced(conversation),
            ) => Some(*conversation),
            Self::Support { conversation, .. } => *conversation,
            Self::Routed(Destination::ReceiveOnly | Destination::Nobody)
            | Self::Standing(_)
            | Self::PinAsked
            | Self::NoNumber
            | Self::Hidden
            | Self::Unclear => None,
        }
    }
}
