//! An event on the bus, as the backend gets it by HTTP.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::Value;

use crate::domain::conversation::ConversationId;
use crate::domain::replay::ReplayName;

/// Number of bytes of the hash that are in an id.
const ID_BYTES: usize = 18;

/// An event, as the bus hands it to a rule's target.
#[derive(Debug, Clone, Deserialize)]
pub struct BusEvent {
    /// Its kind, such as `Leg finished`.
    #[serde(rename = "detail-type")]
    pub detail_type: String,
    /// The time at which it came to the bus first.
    pub time: Timestamp,
    /// Its content.
    pub detail: Value,
    /// The replay that brought it again.
    #[serde(rename = "replay-name", default)]
    pub replay: Option<ReplayName>,
}

impl BusEvent {
    /// Returns its id, which tells a backend that it has this event already. It is made of the content. So an event that comes to
    /// the bus twice has it both times, and so has one that is replayed.
    pub fn id(&self) -> String {
        // The members of an object are sorted.
        let content = format!("{}\n{}", self.detail_type, self.detail);
        let hash = digest(&SHA256, content.as_bytes());
        format!("event_{}", BASE64_URL_SAFE_NO_PAD.encode(&hash.as_ref()[..ID_BYTES]))
    }

    /// Returns its kind as Standard Webhooks writes one: `leg.finished`, `dialled_number.lost`.
    pub fn kind(&self) -> String {
        let words = self.detail_type.to_ascii_lowercase();
        match words.rsplit_once(' ') {
            Some((subject, change)) => format!("{}.{change}", subject.replace(' ', "_")),
            None => words,
        }
    }

    /// True if it is brought again by a replay of another conversation's events. A replay brings all events of a time.
    pub fn is_replayed_in_vain(&self) -> bool {
        let wanted = self.replay.as_ref().and_then(ReplayName::conversation);
        wanted.is_some_and(|wanted| self.conversation() != Some(wanted))
    }

    fn conversation(&self) -> Option<ConversationId> {
        // `Conversation changed` has it as its own id.
        let id = self.detail.get("conversation").or_else(|| self.detail.get("id"))?;
        ConversationId::try_from(id.as_str()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CONVERSATION: &str = "01M81PZXZPCX9PBRT5SWKY25Z7";

    fn event(detail_type: &str, detail: Value) -> BusEvent {
        let event = json!({"version": "0", "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718", "detail-type": detail_type,
                           "source": "maskline", "time": "2026-11-22T12:00:00Z", "detail": detail});
        serde_json::from_value(event).unwrap()
    }

    #[test]
    fn id_is_of_the_content_and_of_nothing_else() {
        let first = event("Leg finished", json!({"sequence": "7", "side": "A"}));
        let again = BusEvent { time: Timestamp::MAX, ..event("Leg finished", json!({"side": "A", "sequence": "7"})) };
        assert_eq!(first.id(), again.id());
        assert_ne!(first.id(), event("Leg finished", json!({"sequence": "8", "side": "A"})).id());
        assert_ne!(first.id(), event("Leg begun", json!({"sequence": "7", "side": "A"})).id());
        let id = first.id();
        let rest = id.strip_prefix("event_").unwrap();
        assert!(
            rest.len() == 24 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
            "{id}"
        );
    }

    #[test]
    fn kind_has_full_stops_and_no_spaces() {
        for (detail_type, kind) in [
            ("Conversation changed", "conversation.changed"),
            ("Dialled number lost", "dialled_number.lost"),
            ("Odd", "odd"),
        ] {
            assert_eq!(event(detail_type, json!({})).kind(), kind);
        }
    }

    #[test]
    fn replay_of_a_conversation_is_in_vain_for_others() {
        let wanted = ConversationId::try_from(CONVERSATION).unwrap();
        let of_one = Some(ReplayName::generate(Some(wanted), Timestamp::UNIX_EPOCH));
        let of_all = Some(ReplayName::generate(None, Timestamp::UNIX_EPOCH));
        for (detail, in_vain) in [
            (json!({"conversation": CONVERSATION, "id": "7"}), false),
            (json!({"id": CONVERSATION}), false),
            (json!({"conversation": "01M81PZXZPCX9PBRT5SWKY25Z8"}), true),
            (json!({"country": "GB"}), true),
        ] {
            let event = event("Leg finished", detail);
            assert!(!event.is_replayed_in_vain());
            assert!(!BusEvent { replay: of_all.clone(), ..event.clone() }.is_replayed_in_vain());
            assert_eq!(BusEvent { replay: of_one.clone(), ..event }.is_replayed_in_vain(), in_vain);
        }
    }
}
