//! The EventBridge bus with the events for the backend.
//!
//! The table's stream has room for two readers, the pipes that report conversations and calls. Events about numbers are put
//! on the bus from here.
//!
//! Source: Amazon EventBridge API Reference, "PutEvents".

use serde::Deserialize;
use serde_json::{Value, json};

use crate::aws_request::{AwsError, AwsService};
use crate::config::{ConfigError, Environment};

/// Source of all events.
const SOURCE: &str = "maskline";

/// Maximum number of events in one request.
const MAX_EVENTS: usize = 10;

/// The bus.
#[derive(Debug)]
pub struct EventBus {
    events: AwsService,
    name: String,
}

/// An event for the backend. All values of its detail are strings, as in the events of the pipes.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its kind.
    pub detail_type: &'static str,
    /// Its content.
    pub detail: Value,
}

/// Events were not put on the bus, or it is not known if they were.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The request failed.
    #[error(transparent)]
    Request(#[from] AwsError),
    /// EventBridge refused some of the events.
    #[error("EventBridge refused {0} events")]
    Refused(u64),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    failed_entry_count: u64,
}

impl EventBus {
    /// Returns the bus that `EVENT_BUS_NAME` names, if it is set; `AWS_ENDPOINT_URL_EVENTBRIDGE` is another endpoint than
    /// AWS. Sends nothing.
    pub fn from_environment(env: &Environment) -> Result<Option<Self>, ConfigError> {
        let Some(name) = env.optional("EVENT_BUS_NAME") else { return Ok(None) };
        let events = AwsService::new(env, "events", env.optional("AWS_ENDPOINT_URL_EVENTBRIDGE"))?;
        Ok(Some(Self { events, name }))
    }

    /// Puts events on the bus. After an error some or all of them may be there.
    pub async fn put(&self, events: &[Event]) -> Result<(), BusError> {
        const HEADERS: [(&str, &str); 2] =
            [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", "AWSEvents.PutEvents")];
        for events in events.chunks(MAX_EVENTS) {
            let entry = |Event { detail_type, detail }: &Event| json!({"Source": SOURCE, "DetailType": detail_type, "Detail": detail.to_string(), "EventBusName": self.name});
            let body = json!({"Entries": events.iter().map(entry).collect::<Vec<_>>()});
            let answer = self.events.post("/", &HEADERS, body.to_string()).await?;
            let answer: Answer = answer.json().await.map_err(AwsError::NoAnswer)?;
            if answer.failed_entry_count > 0 {
                return Err(BusError::Refused(answer.failed_entry_count));
            }
        }
        Ok(())
    }
}
