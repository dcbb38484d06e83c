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
        /// The address of the events of the callee's leg, if it is not the application's.
        #[serde(rename = "eventUrl", skip_serializing_if = "Option::is_none")]
        event_url: Option<[String; 1]>,
    },
}

/// A phone to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "phone")]
pub struct PhoneEndpoint {
    /// The number of the phone.
    pub number: RealNumber,
}

/// Returns the NCCO for a call with this destination. The events of the callee's leg go to `event_url`, if that is given, else
/// to the application's address.
pub fn answer(destination: Destination, event_url: Option<String>) -> Ncco {
    match destination {
        Destination::Participant { connect_to, present_as, limits, .. } => vec![
            talk("Connecting your call."),
            Action::Connect {
                from: present_as,
                endpoint: [PhoneEndpoint { number: connect_to }],
                timeout: limits.ring_seconds,
                limit: limits.talk_seconds(),
                event_url: event_url.map(|url| [url]),
            },
        ],
        Destination::Exhausted(_) => {
            vec![talk("Sorry, this conversation has used up its calls, so your call cannot be connected. Goodbye.")]
        }
        Destination::Ended(_) => {
            vec![talk(
                "The conversation that this number was for has ended, so your call cannot be connected. Goodbye.",
            )]
        }
        Destination::ReceiveOnly => {
            vec![talk("Sorry, this number only calls you, and does not take calls from you. Goodbye.")]
        }
        Destination::Replaced(_) => {
            vec![talk(
                "The number for this conversation has changed, so your call cannot be connected. Please call the new \
                 number. Goodbye.",
            )]
        }
        Destination::Nobody => {
            vec![talk("Sorry, this number cannot connect you. Please call from the phone that you gave us. Goodbye.")]
        }
    }
}

/// Returns the NCCO for a call whose caller is hidden.
pub fn hidden_caller() -> Ncco {
    vec![talk("Sorry, your caller ID is hidden, so we cannot connect you. Please show it and call again. Goodbye.")]
}

/// Returns the NCCO for a call whose caller id means no phone, or several.
pub fn unclear_caller() -> Ncco {
    vec![talk(
        "Sorry, your network sent your caller ID in a form that we cannot read, so we cannot connect you. Goodbye.",
    )]
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
            one_way: false,
            limits: CallLimits { max_call_seconds: 600, ring_seconds: 30 },
        };
        assert_eq!(
            serde_json::to_value(answer(destination.clone(), None)).unwrap(),
            json!([
                {"action": "talk", "text": "Connecting your call.", "language": "en-GB"},
                {"action": "connect", "from": "447451000002", "timeout": 30, "limit": 565,
                 "endpoint": [{"type": "phone", "number": "447700900002"}]},
            ])
        );
        let url = "https://here/webhooks/event/1".to_owned();
        let with_url = serde_json::to_value(answer(destination, Some(url.clone()))).unwrap();
        assert_eq!(with_url[1]["eventUrl"], json!([url]));
    }

    #[test]
    fn every_other_call_is_answered_with_talk_only() {
        let id = ConversationId::generate(jiff::Timestamp::UNIX_EPOCH);
        let refused = [
            Destination::Exhausted(id),
            Destination::Ended(id),
            Destination::Replaced(id),
            Destination::ReceiveOnly,
            Destination::Nobody,
        ];
        let refused = refused.map(|nobody| answer(nobody, None));
        for ncco in refused.into_iter().chain([hidden_caller(), unclear_caller()]) {
            assert!(matches!(ncco.as_slice(), [Action::Talk { .. }]));
        }
    }
}
