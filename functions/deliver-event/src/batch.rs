//! A batch of messages, as Lambda takes it from a queue of SQS.
//!
//! Source: AWS Lambda Developer Guide, "Using Lambda with Amazon SQS", the example of an event.

use jiff::Timestamp;
use serde::Deserialize;
use shared::service::deliver_events::QueuedEvent;

#[derive(Debug, Deserialize)]
pub(crate) struct Batch {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    message_id: String,
    receipt_handle: String,
    body: String,
    attributes: Attributes,
}

/// Both are numbers in quotes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attributes {
    approximate_receive_count: String,
    /// Milliseconds since 1970.
    sent_timestamp: String,
}

impl Batch {
    /// Returns the events of the messages.
    pub(crate) fn events(self) -> Vec<QueuedEvent> {
        let event = |Record { message_id, receipt_handle, body, attributes }| {
            let Attributes { approximate_receive_count: nth, sent_timestamp } = attributes;
            let queued_at = sent_timestamp.parse().ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
            QueuedEvent {
                id: message_id,
                receipt: receipt_handle,
                body,
                // Without a time it is given up at once if the backend does not take it, so that it is not tried for ever.
                queued_at: queued_at.unwrap_or(Timestamp::UNIX_EPOCH),
                nth: nth.parse().unwrap_or(1),
            }
        };
        self.records.into_iter().map(event).collect()
    }

    /// Returns the ids of the messages.
    pub(crate) fn ids(self) -> Vec<String> {
        self.records.into_iter().map(|record| record.message_id).collect()
    }
}
