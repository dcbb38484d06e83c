//! Events for the backend about texts. None of them has what was written.
//!
//! The table's stream has room for two readers, so these are put on the bus from here, before the webhook or the request is
//! answered. If that fails, so does the webhook, and Vonage sends it again: so each event comes at least once.

use jiff::Timestamp;
use serde_json::json;

use crate::domain::relayed_text::{RelayedText, TextReference, TextState};
use crate::event_bus::{BusError, Event, EventBus};
use crate::store::{Store, StoreError};

/// Tells the backend about texts.
#[derive(Debug)]
pub struct TextEvents {
    /// None if events are only logged.
    pub bus: Option<EventBus>,
}

/// The backend was not told.
#[derive(Debug, thiserror::Error)]
pub enum TellError {
    /// The table failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bus failed.
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// The occasion of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// The carrier was asked to send the text.
    Relayed,
    /// A receipt came.
    Receipt,
}

impl TextEvents {
    /// Tells the state of a text at `now`, if there is something to tell. One consistent read.
    pub async fn tell(
        &self,
        store: &Store,
        reference: TextReference,
        occasion: Occasion,
        now: Timestamp,
    ) -> Result<(), TellError> {
        match store.text(reference).await?.and_then(|text| event(reference, &text, occasion, now)) {
            Some(event) => self.put(event).await,
            None => Ok(()),
        }
    }

    async fn put(&self, event: Event) -> Result<(), TellError> {
        match &self.bus {
            Some(bus) => bus.put(&[event]).await?,
            None => tracing::info!(detail = %event.detail, "{}", event.detail_type),
        }
        Ok(())
    }
}

/// Returns the event about a text. `None` while its state may still become another one by itself.
fn event(reference: TextReference, text: &RelayedText, occasion: Occasion, now: Timestamp) -> Option<Event> {
    let state = text.state(now);
    let detail_type = match (state, occasion) {
        (TextState::Failed, _) => "Text failed",
        (TextState::Sent | TextState::Unknown, Occasion::Receipt) | (TextState::Sending, _) => return None,
        (TextState::Delivered, Occasion::Receipt) => "Text delivered",
        // Its receipt may have been faster, and has an event of its own.
        (_, Occasion::Relayed) => "Text relayed",
    };
    let time = |time: Option<Timestamp>| time.map(|time| time.as_second().to_string()).unwrap_or_default();
    let reason = text.undelivered_because.as_ref().or(text.problem.as_ref());
    let detail = json!({
        "conversation": reference.conversation,
        "text": reference.text,
        "side": if text.is_of_backend() { json!("") } else { json!(text.from) },
        "state": state,
        "segments": text.segments.to_string(),
        "masked": text.masked.to_string(),
        "files": text.media.len().to_string(),
        "received_at": time(Some(text.received_at)),
        "sent_at": time(text.sent_at),
        "delivered_at": time(text.delivered_at),
        "reason": reason.filter(|_| matches!(state, TextState::Failed | TextState::Unknown)).cloned().unwrap_or_default(),
    });
    Some(Event { detail_type, detail })
}
