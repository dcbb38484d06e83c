//! `GET /events` of the laptop: the events on the bus, as server-sent events. A deployment has a bus with rules in its place.

use std::convert::Infallible;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::Event;
use axum::routing::get;
use futures_util::stream::Stream;
use tokio::sync::watch;

use super::bus::{Bus, Kept};
use crate::feed::From;

/// Serves the events of `bus`, until `stopped` is true.
pub fn router(bus: Bus, stopped: watch::Receiver<bool>) -> Router {
    Router::new().route("/events", get(events).with_state((bus, stopped)))
}

/// Sends the events after `after`, or after the `Last-Event-ID` of a client that comes back, or from now on.
async fn events(
    State((bus, stopped)): State<(Bus, watch::Receiver<bool>)>,
    headers: HeaderMap,
    Query(from): Query<From>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    bus.feed().follow(from, &headers, stopped, |kept: &Kept| kept.as_delivered().to_string())
}
