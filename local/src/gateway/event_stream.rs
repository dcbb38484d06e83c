//! `GET /events` of the laptop: the events on the bus, as server-sent events. A deployment has a bus with rules in its place.
//!
//! Source: the HTML standard, "Server-sent events".

use std::collections::VecDeque;
use std::convert::Infallible;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use axum::routing::get;
use futures_util::stream::{Stream, unfold};
use serde::Deserialize;
use tokio::sync::watch;

use super::bus::{Bus, Kept};

/// Serves the events of `bus`, until `stopped` is true.
pub fn router(bus: Bus, stopped: watch::Receiver<bool>) -> Router {
    Router::new().route("/events", get(events).with_state((bus, stopped)))
}

#[derive(Deserialize)]
struct From {
    /// The position on the bus after which the events begin.
    after: Option<u64>,
}

/// Sends the events after `after`, or after the `Last-Event-ID` of a client that comes back, or from now on.
async fn events(
    State((bus, stopped)): State<(Bus, watch::Receiver<bool>)>,
    headers: HeaderMap,
    Query(from): Query<From>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let position = last.or(from.after).unwrap_or_else(|| bus.position());
    let reader = Reader { arrived: bus.arrivals(), bus, stopped, position, waiting: VecDeque::new() };
    let events = unfold(reader, |mut reader| async move { Some((reader.next().await?, reader)) });
    Sse::new(events).keep_alive(KeepAlive::default())
}

struct Reader {
    bus: Bus,
    arrived: watch::Receiver<u64>,
    stopped: watch::Receiver<bool>,
    /// The position of the last event that was read.
    position: u64,
    waiting: VecDeque<Kept>,
}

impl Reader {
    /// Waits for the next event; none when the stack stops.
    async fn next(&mut self) -> Option<Result<Event, Infallible>> {
        loop {
            if let Some(kept) = self.waiting.pop_front() {
                self.position = kept.position;
                let event = Event::default().id(kept.position.to_string()).data(kept.as_delivered().to_string());
                return Some(Ok(event));
            }
            self.arrived.mark_unchanged();
            self.waiting = self.bus.after(self.position).into();
            if !self.waiting.is_empty() {
                continue;
            }
            tokio::select! {
                arrived = self.arrived.changed() => arrived.ok()?,
                _ = self.stopped.wait_for(|stopped| *stopped) => return None,
            }
        }
    }
}
