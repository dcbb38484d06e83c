//! A list of what happens, which keeps its last entries and is followed as server-sent events.
//!
//! Source: the HTML standard, "Server-sent events".

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::stream::{Stream, unfold};
use serde::Deserialize;
use tokio::sync::watch;

/// A list of entries, of which the last ones are kept.
pub struct Feed<T>(Arc<Contents<T>>);

struct Contents<T> {
    /// The kept entries, oldest first, each with its position.
    entries: Mutex<VecDeque<(u64, T)>>,
    /// The position of the last entry; 0 if there was none.
    last: watch::Sender<u64>,
    most: usize,
}

impl<T> Clone for Feed<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Clone + Send + Sync + 'static> Feed<T> {
    /// Creates a feed that keeps its last `most` entries.
    pub fn keeping(most: usize) -> Self {
        Self(Arc::new(Contents { entries: Mutex::default(), last: watch::Sender::new(0), most }))
    }

    /// Adds an entry.
    pub fn put(&self, entry: T) {
        let mut entries = self.lock();
        if entries.len() == self.0.most {
            entries.pop_front();
        }
        let position = *self.0.last.borrow() + 1;
        entries.push_back((position, entry));
        self.0.last.send_replace(position);
    }

    /// Returns the entries after a position, oldest first, as far as they are still kept.
    pub fn after(&self, position: u64) -> Vec<(u64, T)> {
        self.lock().iter().filter(|(of, _)| *of > position).cloned().collect()
    }

    /// Sends each entry as `show` writes it, from where the client asks, until `stopped` is true.
    pub fn follow(
        self,
        from: From,
        headers: &HeaderMap,
        stopped: watch::Receiver<bool>,
        show: fn(&T) -> String,
    ) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<T>> {
        let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
        let arrived = self.0.last.subscribe();
        let position = last.or(from.after).unwrap_or_else(|| *arrived.borrow());
        let reader = Reader { feed: self, arrived, stopped, position, waiting: VecDeque::new() };
        let events = unfold(reader, move |mut reader| async move {
            let (position, entry) = reader.next().await?;
            Some((Ok(Event::default().id(position.to_string()).data(show(&entry))), reader))
        });
        Sse::new(events).keep_alive(KeepAlive::default())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(u64, T)>> {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The query of a client that follows a feed. A client that comes back sends `Last-Event-ID`, which has priority.
#[derive(Deserialize)]
pub struct From {
    /// The position after which the entries begin; none begins with what happens from now on.
    after: Option<u64>,
}

struct Reader<T> {
    feed: Feed<T>,
    arrived: watch::Receiver<u64>,
    stopped: watch::Receiver<bool>,
    /// The position of the last entry that was read.
    position: u64,
    waiting: VecDeque<(u64, T)>,
}

impl<T: Clone + Send + Sync + 'static> Reader<T> {
    /// Waits for the next entry; none when the stack stops.
    async fn next(&mut self) -> Option<(u64, T)> {
        loop {
            if let Some((position, entry)) = self.waiting.pop_front() {
                self.position = position;
                return Some((position, entry));
            }
            self.arrived.mark_unchanged();
            self.waiting = self.feed.after(self.position).into();
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
