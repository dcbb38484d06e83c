//! The response of `POST /simulator/calls`: a report of the whole call.

use serde::Serialize;
use serde_json::Value;

use super::leg::{Direction, Leg, LegStatus};
use crate::faults::{DeliveryFault, WebhookKind};

/// A call from its first ring to its last event.
#[derive(Clone, Debug, Serialize)]
pub(super) struct CallReport {
    /// Null if the number is not in service.
    pub(super) conversation_uuid: Option<String>,
    /// The webhook that returned the NCCO: `answer_url`, `fallback_answer_url` or null.
    pub(super) answered_by: Option<WebhookKind>,
    pub(super) webhooks: Vec<WebhookAttempt>,
    /// The NCCO as the webhook returned it, valid or not.
    pub(super) ncco: Option<Value>,
    /// All NCCOs of the call, in the order in which they came.
    pub(super) nccos: Vec<NccoReport>,
    pub(super) legs: Vec<LegReport>,
    pub(super) phones: Phones,
    /// All phones that were called, in order.
    pub(super) callees: Vec<CalleeReport>,
    /// Bodies of the events of recordings.
    pub(super) recordings: Vec<Value>,
    pub(super) events: Vec<EventReport>,
    /// The phone that a call of the application rang first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) placed_to: Option<CalleeReport>,
    /// The first mistake of the application, such as an NCCO where Vonage expects none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// An NCCO of a call.
#[derive(Clone, Debug, Serialize)]
pub(super) struct NccoReport {
    /// The webhook that returned it.
    pub(super) url_kind: WebhookKind,
    /// `answer`, `on_answer`, `input`, `notify` or the status of a leg.
    pub(super) about: &'static str,
    /// `uuid` of the leg that performs it.
    pub(super) leg: String,
    pub(super) ncco: Value,
}

/// One request for an NCCO.
#[derive(Clone, Debug, Serialize)]
pub(super) struct WebhookAttempt {
    pub(super) url_kind: WebhookKind,
    /// The occasion, unless it is the answer to the call: `on_answer`, `input`, `notify` or the status of a leg.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) about: Option<&'static str>,
    pub(super) attempt: u32,
    pub(super) status: Option<u16>,
    /// The time for which Vonage waited for the answer, in milliseconds of real time.
    pub(super) milliseconds: f64,
    /// The reason for a missing response, or the fault of an invalid one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    /// The injected fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fault: Option<DeliveryFault>,
}

/// A leg and its statuses. Duration (seconds) and price (EUR) are strings, as in its `completed` event.
#[derive(Clone, Debug, Serialize)]
pub(super) struct LegReport {
    uuid: String,
    direction: Direction,
    from: Option<String>,
    to: String,
    status: &'static str,
    statuses: Vec<LegStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<String>,
}

impl From<Leg> for LegReport {
    fn from(leg: Leg) -> Self {
        Self {
            status: leg.status(),
            duration: leg.duration.map(|duration| duration.to_string()),
            price: leg.price.map(|price| format!("{price:.8}")),
            uuid: leg.uuid,
            direction: leg.direction,
            from: leg.from,
            to: leg.to,
            statuses: leg.statuses,
            detail: leg.detail,
        }
    }
}

/// Both phones, as their users see them.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Phones {
    pub(super) caller: CallerPhone,
    /// Null if no phone was called.
    pub(super) callee: Option<CalleePhone>,
}

/// The phone that placed the call.
#[derive(Clone, Debug, Serialize)]
pub(super) struct CallerPhone {
    pub(super) number: Option<String>,
    pub(super) dialled: String,
    /// The texts that the caller heard, in order.
    pub(super) heard: Vec<String>,
    /// True if caller and callee talked.
    pub(super) connected: bool,
    /// Addresses of the sounds and the music that the caller heard.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) streams: Vec<String>,
    /// The keys that each `input` took.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) pressed: Vec<String>,
}

/// The phone that was called.
#[derive(Clone, Debug, Serialize)]
pub(super) struct CalleePhone {
    pub(super) number: String,
    /// The caller ID on this phone's display, or "unknown".
    pub(super) display: String,
    pub(super) rang: bool,
    pub(super) answered: bool,
}

/// A phone that was called, and all that happened on it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct CalleeReport {
    #[serde(flatten)]
    pub(super) phone: CalleePhone,
    /// `uuid` of its leg.
    pub(super) leg: String,
    /// True if it talked with the caller.
    pub(super) joined: bool,
    /// The texts that it heard before it was joined.
    pub(super) heard: Vec<String>,
    pub(super) streams: Vec<String>,
    /// The keys that each `input` took.
    pub(super) pressed: Vec<String>,
    /// The reason of the call on the display of a phone that screens calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shown_reason: Option<String>,
    /// The texts on a voicemail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) recorded: Option<Vec<String>>,
}

/// An event that was sent.
#[derive(Clone, Debug, Serialize)]
pub(super) struct EventReport {
    pub(super) status: &'static str,
    /// `uuid` of the leg.
    pub(super) leg: Option<String>,
    /// HTTP status of the event URL's response. Null if there was none.
    pub(super) http_status: Option<u16>,
    /// The mistake of the application in its response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    /// The injected fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fault: Option<DeliveryFault>,
}
