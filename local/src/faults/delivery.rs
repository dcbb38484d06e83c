//! What can befall a webhook on its way.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A webhook of the application, as the Application API names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookKind {
    /// Asked for the NCCO of a call.
    AnswerUrl,
    /// Asked when the answer URL cannot be used.
    FallbackAnswerUrl,
    /// Told of each leg's progress.
    EventUrl,
}

/// What befalls a webhook. Vonage promises neither order nor that each comes once, or at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum DeliveryFault {
    /// It never arrives. Vonage asks for an answer a second time, and forgets an event.
    Lose {},
    /// It arrives, and the answer to it is lost; Vonage takes the connection for closed, and sends it again.
    LoseAnswer {},
    /// It arrives twice, one after the other.
    Duplicate {},
    /// It arrives twice, at the same moment.
    AtOnce {},
    /// It is sent that much later; an event is then overtaken by those after it.
    Delay {
        /// By the machine's clock.
        milliseconds: u64,
    },
    /// An event: it is overtaken by the next so many of its call.
    Later {
        /// By how many; if there are fewer, it comes last.
        by: usize,
    },
    /// An event: it is held back until `POST /simulator/release`.
    Hold {},
}

impl DeliveryFault {
    /// Whether this can befall that webhook.
    pub(super) fn befalls(self, webhook: WebhookKind) -> bool {
        webhook == WebhookKind::EventUrl || !matches!(self, Self::Later { .. } | Self::Hold {})
    }

    /// How long it is delayed.
    pub(crate) fn delay(self) -> Duration {
        match self {
            Self::Delay { milliseconds } => Duration::from_millis(milliseconds),
            _ => Duration::ZERO,
        }
    }
}
