//! The legs of a call and their events. Source: Vonage Voice API, webhook reference.

use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::applications::VoiceWebhook;

/// The direction of a leg, as seen from Vonage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Direction {
    /// A phone called a Vonage number.
    Inbound,
    /// Vonage called a phone.
    Outbound,
}

/// An event to send.
#[derive(Clone, Debug)]
pub(super) struct Event {
    /// Its `status`, or "error" for an error event, which has no status.
    pub(super) status: &'static str,
    /// `uuid` of the leg. An error event has none.
    pub(super) leg: Option<String>,
    pub(super) webhook: Option<VoiceWebhook>,
    /// True if it is sent within the call. Only to a failure may the response be an NCCO.
    pub(super) synchronous: bool,
    pub(super) body: Map<String, Value>,
}

/// A status of a leg, and the time of its start.
#[derive(Clone, Debug, Serialize)]
pub(super) struct LegStatus {
    pub(super) status: &'static str,
    /// ISO 8601 in UTC, with milliseconds.
    pub(super) timestamp: String,
}

/// The end of a leg that was not answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) status: &'static str,
    pub(super) detail: Option<&'static str>,
    pub(super) sip_code: u16,
}

/// The connection of one phone in a call.
#[derive(Clone, Debug)]
pub(super) struct Leg {
    pub(super) uuid: String,
    pub(super) conversation_uuid: String,
    pub(super) direction: Direction,
    /// Absent if the caller's network sent none.
    pub(super) from: Option<String>,
    pub(super) to: String,
    /// The webhook for its events.
    pub(super) webhook: Option<VoiceWebhook>,
    /// True if its events are sent within the call.
    pub(super) synchronous: bool,
    /// Price of a minute in EUR.
    pub(super) rate: Decimal,
    pub(super) network: Option<&'static str>,
    pub(super) statuses: Vec<LegStatus>,
    pub(super) answered_at: Option<Timestamp>,
    pub(super) detail: Option<&'static str>,
    /// Duration in seconds, rounded up.
    pub(super) duration: Option<i64>,
    /// Price in EUR.
    pub(super) price: Option<Decimal>,
}

impl Leg {
    /// Sets the status `started`, `ringing` or `cancelled`.
    pub(super) fn progress(&mut self, status: &'static str, at: Timestamp) -> Event {
        self.event(status, at, json!({}))
    }

    pub(super) fn answer(&mut self, at: Timestamp) -> Event {
        self.answered_at = Some(at);
        self.event("answered", at, json!({"start_time": null, "rate": null, "network": null}))
    }

    /// Ends an answered leg. `disconnected_by` is "user" or "platform".
    pub(super) fn complete(&mut self, at: Timestamp, disconnected_by: &str) -> Event {
        let start = self.answered_at.unwrap_or(at);
        let milliseconds = at.duration_since(start).as_millis();
        let duration = i64::try_from(milliseconds.max(0).unsigned_abs().div_ceil(1_000)).unwrap_or(0);
        let price = (self.rate * Decimal::from(duration) / Decimal::from(60)).round_dp(8);
        self.duration = Some(duration);
        self.price = Some(price);
        let end = start.checked_add(SignedDuration::from_secs(duration)).unwrap_or(at);
        self.event(
            "completed",
            at,
            json!({
                "start_time": whole_second(start),
                "end_time": whole_second(end),
                "duration": duration.to_string(),
                "rate": format!("{:.8}", self.rate),
                "price": format!("{price:.8}"),
                "network": self.network,
                "sip_code": 200,
                "disconnected_by": disconnected_by,
            }),
        )
    }

    /// Ends a leg that was not answered.
    pub(super) fn fail(&mut self, at: Timestamp, failure: Failure) -> Event {
        self.detail = failure.detail;
        let mut extra = json!({"sip_code": failure.sip_code});
        if let Some(detail) = failure.detail {
            extra["detail"] = json!(detail);
        }
        self.event(failure.status, at, extra)
    }

    /// True if it was answered and has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.duration.is_some()
    }

    /// True if it has ended, answered or not.
    pub(super) fn is_over(&self) -> bool {
        !matches!(self.status(), "started" | "ringing" | "answered")
    }

    /// Returns the last status.
    pub(super) fn status(&self) -> &'static str {
        self.statuses.last().map_or("started", |last| last.status)
    }

    fn event(&mut self, status: &'static str, at: Timestamp, extra: Value) -> Event {
        let timestamp = milliseconds(at);
        let common = json!({
            "headers": {},
            "to": self.to,
            "uuid": self.uuid,
            "conversation_uuid": self.conversation_uuid,
            "status": status,
            "direction": self.direction,
            "timestamp": timestamp,
        });
        self.statuses.push(LegStatus { status, timestamp });
        let from = self.from.as_ref().map(|from| ("from".to_owned(), json!(from)));
        let mut body = Map::new();
        for members in [common, extra] {
            if let Value::Object(members) = members {
                body.extend(members);
            }
        }
        body.extend(from);
        let (webhook, synchronous) = (self.webhook.clone(), self.synchronous);
        Event { status, leg: Some(self.uuid.clone()), webhook, synchronous, body }
    }
}

/// Returns the event of a call that Vonage cannot continue.
pub(super) fn error_event(
    conversation_uuid: &str,
    webhook: Option<VoiceWebhook>,
    reason: &str,
    at: Timestamp,
) -> Event {
    let mut body = Map::new();
    body.insert("reason".into(), json!(reason));
    body.insert("conversation_uuid".into(), json!(conversation_uuid));
    body.insert("timestamp".into(), json!(milliseconds(at)));
    Event { status: "error", leg: None, webhook, synchronous: false, body }
}

/// Formats a time as `2020-01-01T12:00:00.123Z`.
pub(super) fn milliseconds(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// Formats a time as `2020-01-01T12:00:00.000Z`, the format of `start_time` and `end_time`.
fn whole_second(at: Timestamp) -> String {
    let second = Timestamp::from_second(at.as_second()).unwrap_or(at);
    milliseconds(second)
}

/// Formats a time as `2020-01-01T12:00:00Z`.
pub(super) fn second(at: Timestamp) -> String {
    format!("{at:.0}")
}
