//! NCCO: the JSON list of call actions that Vonage takes from the answer webhook.
//!
//! Source: Vonage Voice API, NCCO reference. The list ends the call when it is exhausted; there is no hang-up action.

use serde::Serialize;

use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::route::Destination;

/// The actions of a call, in order.
pub type Ncco = Vec<Action>;

/// The language of everything said on a call (BCP 47).
const LANGUAGE: &str = "en-GB";

/// One action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "camelCase")]
pub enum Action {
    /// Says `text`, at most 1500 characters.
    Talk {
        /// What is said.
        text: &'static str,
        /// In which language.
        language: &'static str,
    },
    /// Connects the caller to one phone.
    Connect {
        /// What the called phone shows. Always a virtual number: Vonage would pass on the caller's own if asked to.
        from: VirtualNumber,
        /// The phone; Vonage takes exactly one.
        endpoint: [PhoneEndpoint; 1],
        /// For how long the phone rings, in seconds.
        timeout: u32,
        /// For how long the two may talk, in seconds.
        limit: u32,
    },
}

/// A phone to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "phone")]
pub struct PhoneEndpoint {
    /// The phone's number.
    pub number: RealNumber,
}

/// The answer to a call that leads to `destination`.
pub fn answer(destination: Destination) -> Ncco {
    match destination {
        Destination::Participant { connect_to, present_as, limits, .. } => vec![
            talk("Connecting your call."),
            Action::Connect {
                from: present_as,
                endpoint: [PhoneEndpoint { number: connect_to }],
                timeout: limits.ring_seconds,
                limit: limits.talk_seconds(),
            },
        ],
        Destination::Ended(_) => {
            vec![talk(
                "The conversation that this number was for has ended, so your call cannot be connected. Goodbye.",
            )]
        }
        Destination::Nobody => vec![talk(
            "Sorry, this number cannot connect you. Please call from the phone that you gave us, with your caller ID shown. Goodbye.",
        )],
    }
}

/// The answer when the call cannot be looked up at present.
pub fn try_again() -> Ncco {
    vec![talk("Sorry, we cannot connect your call right now. Please call again in a minute.")]
}

fn talk(text: &'static str) -> Action {
    Action::Talk { text, language: LANGUAGE }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::call_limits::CallLimits;
    use crate::domain::conversation::ConversationId;
    use crate::domain::phone::PhoneNumber;

    #[test]
    fn a_live_route_is_answered_with_talk_and_connect() {
        let destination = Destination::Participant {
            conversation: ConversationId::generate(jiff::Timestamp::UNIX_EPOCH),
            connect_to: PhoneNumber::try_from("447700900002").unwrap().into(),
            present_as: PhoneNumber::try_from("447451000002").unwrap().into(),
            limits: CallLimits { max_call_seconds: 600, ring_seconds: 30 },
        };
        assert_eq!(
            serde_json::to_value(answer(destination)).unwrap(),
            json!([
                {"action": "talk", "text": "Connecting your call.", "language": "en-GB"},
                {"action": "connect", "from": "447451000002", "timeout": 30, "limit": 565,
                 "endpoint": [{"type": "phone", "number": "447700900002"}]},
            ])
        );
    }

    #[test]
    fn everything_else_only_talks() {
        let ended = Destination::Ended(ConversationId::generate(jiff::Timestamp::UNIX_EPOCH));
        for ncco in [answer(ended), answer(Destination::Nobody), try_again()] {
            assert!(matches!(ncco.as_slice(), [Action::Talk { .. }]));
        }
    }
}
