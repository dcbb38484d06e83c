//! Faults of webhook deliveries.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A webhook of the application, by its name in the Application API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookKind {
    /// Returns the NCCO of a call.
    AnswerUrl,
    /// Asked if the answer URL fails.
    FallbackAnswerUrl,
    /// Receives the events of each leg.
    EventUrl,
    /// Returns the NCCO of a called phone.
    OnAnswer,
    /// Receives the texts of phones.
    InboundUrl,
    /// Receives the receipts of texts.
    StatusUrl,
}

/// A fault of a delivery. Vonage guarantees neither the order of webhooks nor that each arrives exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum DeliveryFault {
    /// It does not arrive. Vonage retries an answer webhook, but not an event.
    Lose {},
    /// It arrives, but its response is lost. For Vonage the connection was closed, so it retries.
    LoseAnswer {},
    /// It arrives without a signature. If the answer is a 5xx, it is sent again with one.
    ///
    /// Source: Vonage, "Signed webhooks".
    Unsigned {},
    /// It arrives twice, one after the other.
    Duplicate {},
    /// It arrives twice at the same time.
    AtOnce {},
    /// It is sent later. An event then arrives after those that follow it.
    Delay {
        /// Delay by the machine's clock.
        milliseconds: u64,
    },
    /// For events only: it arrives after the next `by` events of its call.
    Later {
        /// Number of events that arrive before it. With fewer events it arrives last.
        by: usize,
    },
    /// For events only: it is withheld until `POST /simulator/release`.
    Hold {},
}

impl DeliveryFault {
    /// True if this fault is possible for that webhook.
    pub(super) fn applies_to(self, webhook: WebhookKind) -> bool {
        webhook == WebhookKind::EventUrl || !matches!(self, Self::Later { .. } | Self::Hold {})
    }

    /// Returns the delay of the delivery.
    pub(crate) fn delay(self) -> Duration {
        match self {
            Self::Delay { milliseconds } => Duration::from_millis(milliseconds),
            _ => Duration::ZERO,
        }
    }
}
