//! NCCO (Nexmo Call Control Object): the JSON list of call actions with which the answer webhook responds.
//!
//! Source: Vonage Voice API, NCCO reference. Vonage ends the call after the last action. There is no hang-up action.

use serde::Serialize;

use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::route::Destination;

/// The actions of a call, in order.
pub type Ncco = Vec<Action>;

/// The language of all spoken text (BCP 47).
const LANGUAGE: &str = "en-GB";

/// One action of an NCCO.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "camelCase")]
pub enum Action {
    /// Says `text`, at most 1500 characters.
    Talk {
        /// The text to say.
        text: &'static str,
        /// The language of the text (BCP 47).
        language: &'static str,
    },
    /// Connects the caller to one phone.
    Connect {
        /// The caller ID that the callee sees. Always a virtual number: with the caller's own number here, Vonage would
        /// show it to the callee.
        from: VirtualNumber,
        /// The phone to call. Vonage accepts exactly one.
        endpoint: [PhoneEndpoint; 1],
        /// The longest ringing time, in seconds.
        timeout: u32,
        /// The longest talking time, in seconds.
        limit: u32,
    },
}

/// A phone to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "phone")]
pub struct PhoneEndpoint {
    /// The number of the phone.
    pub number: RealNumber,
}

/// Returns the NCCO for a call with this destination.
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

/// Returns the NCCO for a call whose route cannot be read at present.
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
    fn live_route_is_answered_with_talk_and_connect() {
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
    fn every_other_call_is_answered_with_talk_only() {
        let ended = Destination::Ended(ConversationId::generate(jiff::Timestamp::UNIX_EPOCH));
        for ncco in [answer(ended), answer(Destination::Nobody), try_again()] {
            assert!(matches!(ncco.as_slice(), [Action::Talk { .. }]));
        }
    }
}
