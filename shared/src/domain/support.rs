//! The phone that strangers and late callers reach, if the deployment or the dialled number has one.

use serde::{Deserialize, Serialize};

use crate::domain::call_limits::CallLimits;
use crate::domain::decision::Decision;
use crate::domain::phone::caller_id::CallerId;
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::route::Destination;

/// The support phone of a deployment or of one number. Serialized as the table stores that of a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupportPhone {
    /// The phone.
    pub phone: RealNumber,
    /// True if it also takes calls whose caller is hidden or cannot be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub for_hidden: bool,
    /// Limits of a call to it.
    pub limits: CallLimits,
}

impl SupportPhone {
    /// Returns the decision about a call that would reach nobody by `decision`: callers without a conversation and late callers
    /// of one that is over reach the support phone, by the number that they dialled. Its own calls do not, and neither does
    /// anybody whose conversation goes on.
    pub fn take(&self, decision: Decision, caller: &CallerId, dialled: Option<&VirtualNumber>) -> Decision {
        let is_taken = match (&decision, caller) {
            (Decision::Routed(Destination::Nobody | Destination::Ended(_)), CallerId::Phone(caller)) => {
                !self.phone.is_same_phone(&caller.clone().into())
            }
            (Decision::Hidden | Decision::Unclear, _) => self.for_hidden,
            _ => false,
        };
        match dialled.filter(|_| is_taken) {
            Some(dialled) => Decision::Support {
                phone: self.phone.clone(),
                present_as: dialled.clone(),
                limits: self.limits,
                conversation: decision.conversation(),
            },
            None => decision,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::domain::conversation::ConversationId;
    use crate::domain::phone::PhoneNumber;

    #[test]
    fn only_calls_that_would_reach_nobody_are_taken() {
        let number = |digits: &str| PhoneNumber::try_from(digits).unwrap();
        let support = |for_hidden| SupportPhone {
            phone: number("442079460000").into(),
            for_hidden,
            limits: CallLimits::with_max_call(600),
        };
        let dialled: VirtualNumber = number("447451000001").into();
        let caller = |digits: &str| CallerId::Phone(number(digits));
        let id = ConversationId::generate(Timestamp::UNIX_EPOCH);
        let is_taken = |for_hidden, decision: &Decision, caller: &CallerId| {
            let taken = support(for_hidden).take(decision.clone(), caller, Some(&dialled));
            matches!(&taken, Decision::Support { present_as, .. } if *present_as == dialled)
        };
        let nobody = Decision::Routed(Destination::Nobody);
        let ended = Decision::Routed(Destination::Ended(id));
        for decision in [&nobody, &ended] {
            assert!(is_taken(false, decision, &caller("447700900001")));
            assert!(!is_taken(true, decision, &caller("442079460000")), "its own call");
        }
        for decision in [
            Decision::NoNumber,
            Decision::Routed(Destination::Blocked(id)),
            Decision::Routed(Destination::Paused(id)),
            Decision::Routed(Destination::Exhausted(id)),
            Decision::Routed(Destination::Replaced(id)),
            Decision::Routed(Destination::ReceiveOnly),
        ] {
            assert!(!is_taken(true, &decision, &caller("447700900001")), "{decision:?}");
        }
        for decision in [Decision::Hidden, Decision::Unclear] {
            assert_eq!([false, true].map(|on| is_taken(on, &decision, &CallerId::Hidden)), [false, true]);
        }
        assert_eq!(support(true).take(nobody.clone(), &caller("447700900001"), None), nobody);
    }
}
