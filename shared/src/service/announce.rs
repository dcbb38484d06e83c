//! Events for the backend about numbers that the carrier takes away, and about those that are rotated.
//!
//! Each is sent at least once: a note in the table says that it is due, and is removed when the bus has it.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::config::{ConfigError, Environment};
use crate::domain::conversation::Conversation;
use crate::domain::phone::E164;
use crate::domain::pool::PoolNumber;
use crate::domain::side::Side;
use crate::domain::tenant::Owner;
use crate::event_bus::{BusError, Event, EventBus};

/// Puts events on the bus, or only logs them if there is none, as on a laptop without a bus.
#[derive(Debug, Default)]
pub struct Announcer {
    /// The bus.
    pub bus: Option<EventBus>,
}

impl Announcer {
    /// Reads `EVENT_BUS_NAME` and `AWS_ENDPOINT_URL_EVENTBRIDGE`.
    pub fn from_environment(env: &Environment) -> Result<Self, ConfigError> {
        Ok(Self { bus: EventBus::from_environment(env)? })
    }

    /// Sends events. After an error they have to be sent again.
    pub(super) async fn send(&self, events: &[Event]) -> Result<(), BusError> {
        if let Some(bus) = &self.bus {
            return bus.put(events).await;
        }
        for Event { detail_type, detail } in events {
            tracing::info!(detail_type, %detail, "there is no bus for this event");
        }
        Ok(())
    }
}

/// Returns the events of which the notes of a number say that they are due, in the order of their times.
pub(super) fn due_events(number: &PoolNumber) -> Vec<Event> {
    let event = |detail_type, at: Timestamp| Event {
        detail_type,
        detail: with_tenant(
            json!({"country": number.country, "number": E164::from(&number.number), "at": at.as_second().to_string()}),
            number.owner,
        ),
    };
    let lost = number.loss.unannounced_loss.map(|at| (at, "Number lost"));
    let found = number.loss.unannounced_return.map(|at| (at, "Number found"));
    let rotated = number.loss.unannounced_rotation.map(|at| (at, "Number rotated"));
    let mut due: Vec<_> = lost.into_iter().chain(found).chain(rotated).collect();
    due.sort_unstable_by_key(|(at, _)| *at);
    due.into_iter().map(|(at, detail_type)| event(detail_type, at)).collect()
}

/// Returns the event of a live conversation in which the participant on `side` dialled a number that is lost, or rotated.
/// `has_other`: the participant has another number now.
pub(super) fn conversation_event(conversation: &Conversation, side: Side, is_rotation: bool, has_other: bool) -> Event {
    let reference = conversation.reference.as_ref().map(|reference| reference.as_str()).unwrap_or_default();
    let (detail_type, outcome) = match is_rotation {
        true => ("Dialled number rotated", "moved"),
        false => ("Dialled number lost", "healed"),
    };
    let detail = json!({"conversation": conversation.id, "reference": reference, "side": side,
                        outcome: has_other.to_string(), "revision": conversation.revision.to_string()});
    Event { detail_type, detail: with_tenant(detail, conversation.owner) }
}

/// Adds the tenant to the detail of an event, if there is one.
pub(super) fn with_tenant(mut detail: Value, owner: Owner) -> Value {
    if let Some(tenant) = owner.tenant() {
        detail["tenant"] = tenant.as_str().into();
    }
    detail
}
