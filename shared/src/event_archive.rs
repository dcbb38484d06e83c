//! The archive of the event bus, from which events are replayed.
//!
//! Source: Amazon EventBridge API Reference, "StartReplay".

use serde_json::json;

use crate::aws_request::{AwsError, AwsService};
use crate::config::{ConfigError, Environment};
use crate::domain::replay::{Replay, ReplayName};

/// The archive.
#[derive(Debug)]
pub struct EventArchive {
    events: AwsService,
    archive: String,
    bus: String,
    rule: String,
}

impl EventArchive {
    /// Reads `EVENT_ARCHIVE_ARN`, `EVENT_BUS_ARN`, `WEBHOOK_RULE_ARN` and `AWS_ENDPOINT_URL_EVENTBRIDGE`, which is another endpoint
    /// than AWS. Sends nothing.
    pub fn from_environment(env: &Environment) -> Result<Self, ConfigError> {
        Ok(Self {
            events: AwsService::new(env, "events", env.optional("AWS_ENDPOINT_URL_EVENTBRIDGE"))?,
            archive: env.required("EVENT_ARCHIVE_ARN")?,
            bus: env.required("EVENT_BUS_ARN")?,
            rule: env.required("WEBHOOK_RULE_ARN")?,
        })
    }

    /// Starts a replay to the rule that leads to the backend. Other rules of the bus do not see it.
    pub async fn start(&self, name: &ReplayName, replay: Replay) -> Result<(), AwsError> {
        const HEADERS: [(&str, &str); 2] =
            [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", "AWSEvents.StartReplay")];
        let body = json!({
            "ReplayName": name,
            "EventSourceArn": self.archive,
            "EventStartTime": replay.from.as_second(),
            // The whole of the last second.
            "EventEndTime": replay.until.as_second() + 1,
            "Destination": {"Arn": self.bus, "FilterArns": [self.rule]},
        });
        self.events.post("/", &HEADERS, body.to_string()).await.map(drop)
    }
}
