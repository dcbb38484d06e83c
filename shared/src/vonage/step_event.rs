//! Decoding of the webhooks of the actions `input` and `notify`, whose answer decides what comes next in a call.
//!
//! Source: Vonage Voice API, webhook reference. They have no status. Their numbers are used only for PINs and for the safety key:
//! elsewhere the address names the conversation and the side.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::event::{self, identifier};
use super::time;
use crate::domain::phone::caller_id::CallerId;
use crate::domain::phone::{PhoneNumber, RealNumber, VirtualNumber};
use crate::domain::stranger::StrangersCall;

/// The body of such a webhook.
#[derive(Debug)]
pub struct StepEvent(Map<String, Value>);

impl StepEvent {
    /// Decodes a body, which must be a JSON object.
    pub fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body).map(Self)
    }

    /// Returns the keys that were pressed. Older applications get them as text, newer ones in an object with `digits`.
    pub fn digits(&self) -> &str {
        let Some(dtmf) = self.0.get("dtmf") else { return "" };
        dtmf.as_str().or_else(|| dtmf["digits"].as_str()).unwrap_or_default()
    }

    /// Returns the dialled number. `None` if it is not a phone number.
    pub fn dialled(&self) -> Option<VirtualNumber> {
        event::dialled(&self.text("to")?)
    }

    /// Returns the caller, as the answer webhook reads it.
    pub fn caller(&self) -> CallerId {
        CallerId::read(self.text("from").as_deref(), self.dialled().as_ref())
    }

    /// Returns the called phone, if a request placed the call: the dialled number is then a person's.
    pub fn called(&self) -> Option<RealNumber> {
        self.dialled().and_then(|number| PhoneNumber::try_from(number.as_str()).ok()).map(RealNumber::from)
    }

    /// Returns its time, if it has one.
    pub fn time(&self) -> Option<Timestamp> {
        time::time(&self.text("timestamp")?)
    }

    /// Returns the call that a [`Payload::Stranger`](super::ncco::Payload) is about.
    pub fn strangers_call(&self) -> Option<StrangersCall> {
        StrangersCall::deserialize(self.0.get("payload")?).ok()
    }

    /// Returns Vonage's ids of the call and of the leg.
    pub fn ids(&self) -> Option<(String, String)> {
        Some((self.call()?, self.id("uuid")?))
    }

    /// Returns Vonage's id of the call.
    pub fn call(&self) -> Option<String> {
        self.id("conversation_uuid")
    }

    fn id(&self, name: &str) -> Option<String> {
        identifier(self.0.get(name)?.as_str(), [&self.text("from"), &self.text("to")])
    }

    fn text(&self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_read_in_both_forms() {
        let read = |body: serde_json::Value| StepEvent::parse(body.to_string().as_bytes()).unwrap();
        for (dtmf, digits) in [
            (json!({"digits": "1", "timed_out": false}), "1"),
            (json!("1"), "1"),
            (json!({"digits": "", "timed_out": true}), ""),
            (json!(null), ""),
            (json!({"digits": null}), ""),
            (json!([1]), ""),
        ] {
            assert_eq!(read(json!({"dtmf": dtmf})).digits(), digits, "{dtmf}");
        }
        let event = read(json!({"uuid": "u", "conversation_uuid": "CON-1", "to": "447700900002", "new": 1}));
        assert_eq!(event.ids(), Some(("CON-1".to_owned(), "u".to_owned())));
        assert_eq!(read(json!({"conversation_uuid": "447700900002", "to": "447700900002"})).call(), None);
        assert!(StepEvent::parse(b"[]").is_err() && StepEvent::parse(b"1").is_err());
    }
}
