//! Decoding of the webhook of the action `record`.
//!
//! Source: Vonage Voice API, webhook reference. It has no status and none of the two numbers: the address names the conversation.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::event::identifier;
use super::{amount, time};
use crate::domain::recording::RecordingId;

/// Length of the longest address of a file that is stored, in bytes.
const LONGEST_URL: usize = 1024;

/// A recording that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordEvent {
    /// Its id.
    pub id: RecordingId,
    /// The address of its file. It is checked before it is used.
    pub url: String,
    /// The `conversation_uuid` of the call.
    pub call: Option<String>,
    /// Size of the file in bytes.
    pub size: Option<u64>,
    /// Duration in seconds.
    pub duration: Option<u32>,
    /// Time of its end.
    pub ended_at: Option<Timestamp>,
}

impl RecordEvent {
    /// Decodes a body, which must be a JSON object. `None` if it does not say which file there is.
    pub fn parse(body: &[u8]) -> Result<Option<Self>, serde_json::Error> {
        let body: Map<String, Value> = serde_json::from_slice(body)?;
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::trim);
        let at = |name: &str| text(name).and_then(time::time);
        let (started_at, ended_at) = (at("start_time"), at("end_time"));
        let seconds = |(start, end): (Timestamp, Timestamp)| u32::try_from(end.duration_since(start).as_secs()).ok();
        let url = text("recording_url").filter(|url| !url.is_empty() && url.len() <= LONGEST_URL);
        let id = text("recording_uuid").and_then(|id| RecordingId::try_from(id).ok());
        Ok(id.zip(url).map(|(id, url)| Self {
            id,
            url: url.to_owned(),
            call: identifier(text("conversation_uuid"), [&None, &None]),
            size: body.get("size").and_then(amount::amount).and_then(|size| size.trunc().try_into().ok()),
            duration: started_at.zip(ended_at).and_then(seconds),
            ended_at,
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event() -> Value {
        json!({"start_time": "2026-11-22T12:00:06Z", "recording_url": "https://api.nexmo.com/v1/files/1", "size": 12228,
               "recording_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "end_time": "2026-11-22T12:00:18Z",
               "conversation_uuid": "CON-1-2", "timestamp": "2026-11-22T12:00:19.123Z", "new": 1})
    }

    fn read(body: &Value) -> Option<RecordEvent> {
        RecordEvent::parse(body.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn event_says_which_file_there_is() {
        let expected = RecordEvent {
            id: "aaaaaaaa-bbbb-cccc-dddd-0123456789ab".try_into().unwrap(),
            url: "https://api.nexmo.com/v1/files/1".to_owned(),
            call: Some("CON-1-2".to_owned()),
            size: Some(12_228),
            duration: Some(12),
            ended_at: "2026-11-22T12:00:18Z".parse().ok(),
        };
        assert_eq!(read(&event()), Some(expected));
        for unneeded in ["start_time", "end_time", "size", "conversation_uuid"] {
            let mut event = event();
            event[unneeded] = json!({"odd": [1]});
            assert!(read(&event).is_some(), "{unneeded}");
        }
    }

    #[test]
    fn event_without_file_or_id_is_of_no_use() {
        for needed in ["recording_url", "recording_uuid"] {
            for odd in [json!(null), json!(""), json!(7), json!("x".repeat(2000))] {
                let mut event = event();
                event[needed] = odd;
                assert_eq!(read(&event), None, "{needed}");
            }
        }
        assert!(RecordEvent::parse(b"[]").is_err());
    }
}
