//! Delivers events to the deployment's own backend, by HTTP.
//!
//! Nothing of it is in the table. The queue keeps an event until the backend has taken it, for a day at most, and hides it between
//! two attempts. An event may arrive twice, because a function may end between the answer of the backend and the deletion of the
//! message. It has the same id then.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::aws_request::AwsError;
use crate::clock::SharedClock;
use crate::delivery_queue::DeliveryQueue;
use crate::domain::bus_event::BusEvent;
use crate::domain::redelivery::FailedAttempt;
use crate::event_receiver::{EventReceiver, NotTaken};
use crate::service::at_once;

/// Delivers events.
pub struct EventDeliverer {
    /// The backend.
    pub receiver: EventReceiver,
    /// The queue with the events.
    pub queue: DeliveryQueue,
    /// The time.
    pub clock: SharedClock,
}

/// A message of the queue.
#[derive(Debug)]
pub struct QueuedEvent {
    /// Its id.
    pub id: String,
    /// The handle by which the queue hides it.
    pub receipt: String,
    /// The event, in JSON.
    pub body: String,
    /// The time at which it came into the queue.
    pub queued_at: Timestamp,
    /// The number of times that it has come from the queue; 1 is the first time.
    pub nth: u32,
}

impl EventDeliverer {
    /// Sends these events, all at the same time. Returns the ids of the messages that have to come again.
    pub async fn deliver(&self, events: Vec<QueuedEvent>) -> Vec<String> {
        let (most, coming_again) = (events.len(), Mutex::new(Vec::new()));
        at_once::for_each(events, most, async |event: QueuedEvent| {
            if let Err(cause) = self.deliver_one(&event).await {
                tracing::info!(queued = event.id, cause, "an event comes from its queue again");
                coming_again.lock().unwrap_or_else(PoisonError::into_inner).push(event.id);
            }
        })
        .await;
        coming_again.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends one event.
    ///
    /// # Errors
    /// The message has to come again. It does so after the pause of its attempt, or after the usual one of the queue.
    async fn deliver_one(&self, queued: &QueuedEvent) -> Result<(), String> {
        let Ok(event) = serde_json::from_str::<BusEvent>(&queued.body) else {
            tracing::error!(queued = queued.id, "a message of the queue is no event, and is given up");
            return self.give_up(queued).await;
        };
        if event.is_replayed_in_vain() {
            return Ok(());
        }
        let (id, kind, nth) = (event.id(), event.kind(), queued.nth);
        let Err(cause) = self.receiver.deliver(&event, self.clock.now()).await else {
            tracing::info!(event = id, kind, nth, "event delivered");
            return Ok(());
        };
        let pause = match &cause {
            NotTaken::Gone => None,
            NotTaken::NoAnswer(_) => self.failed(queued, None).next_pause(fastrand::f64()),
            NotTaken::Status { retry_after, .. } => self.failed(queued, *retry_after).next_pause(fastrand::f64()),
        };
        let Some(pause) = pause else {
            tracing::error!(event = id, kind, nth, %cause, deliveries_failed = 1u64, "an event was given up");
            return self.give_up(queued).await;
        };
        let seconds = pause.as_secs();
        tracing::warn!(event = id, kind, nth, %cause, deliveries_failed = 1u64, pause = seconds, "an event was not taken");
        self.queue.hide(&queued.receipt, pause).await.map_err(not_hidden)?;
        Err(cause.to_string())
    }

    fn failed(&self, queued: &QueuedEvent, asked_pause: Option<jiff::SignedDuration>) -> FailedAttempt {
        FailedAttempt { nth: queued.nth, age: self.clock.now().duration_since(queued.queued_at), asked_pause }
    }

    /// Keeps an event as a dead letter.
    async fn give_up(&self, queued: &QueuedEvent) -> Result<(), String> {
        self.queue.keep_dead_letter(&queued.body).await.map_err(|error| format!("the dead letters: {error}"))
    }
}

fn not_hidden(error: AwsError) -> String {
    format!("the queue: {error}")
}
