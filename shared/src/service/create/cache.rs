//! Data about the pool that a running function keeps from one creation to the next.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::domain::peak_usage::{Mark, PeakUsage};
use crate::store::{ReadyPool, Store, StoreError};

/// The ready numbers with their version, and the known marks of peak usage.
#[derive(Debug, Default)]
pub struct PoolCache {
    ready: Mutex<Option<Arc<ReadyPool>>>,
    peak_usage: Mutex<Option<PeakUsage>>,
}

impl PoolCache {
    /// Returns the ready numbers. This is one small read if the list has not changed, which is nearly always the case. A
    /// number that starts to drain is therefore given to no conversation from that moment on.
    pub(super) async fn ready(&self, store: &Store) -> Result<Arc<ReadyPool>, StoreError> {
        let copy = lock(&self.ready).clone();
        if let Some(copy) = copy
            && store.ready_version().await? == copy.version
        {
            return Ok(copy);
        }
        let pool = Arc::new(store.ready_pool().await?);
        *lock(&self.ready) = Some(pool.clone());
        Ok(pool)
    }

    /// Reads the marks of peak usage once. A creation does not fail without them.
    pub(super) async fn learn_peak_usage(&self, store: &Store, now: Timestamp) {
        if lock(&self.peak_usage).is_some() {
            return;
        }
        match store.peak_usage(now).await {
            Ok(marks) => *lock(&self.peak_usage) = Some(marks),
            Err(error) => tracing::warn!(cause = %error, "reading the peak usage failed"),
        }
    }

    /// Stores the marks that exceed the known ones, which few do.
    pub(super) async fn record(&self, store: &Store, marks: &[Mark]) {
        for mark in marks.iter().copied() {
            let exceeds = lock(&self.peak_usage).as_ref().is_none_or(|known| known.is_exceeded_by(mark));
            if !exceeds {
                continue;
            }
            match store.raise_peak_usage(mark).await {
                Ok(()) => lock(&self.peak_usage).get_or_insert_default().insert(mark),
                Err(error) => tracing::warn!(cause = %error, "recording a mark of peak usage failed"),
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
