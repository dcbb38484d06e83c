//! What a running function knows of the pool from one creation to the next.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::domain::peak_usage::{Mark, PeakUsage};
use crate::store::{ReadyPool, Store, StoreError};

/// The list of ready numbers with the version that it is true for, and the high-water marks that are known.
#[derive(Debug, Default)]
pub struct PoolCache {
    ready: Mutex<Option<Arc<ReadyPool>>>,
    peak_usage: Mutex<Option<PeakUsage>>,
}

impl PoolCache {
    /// The numbers that conversations may be given now: one small read if the list has not changed, which is nearly
    /// always. So a number that is taken out of use is given to nobody from that moment on.
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

    /// Reads the marks, the first time. No conversation fails for want of them.
    pub(super) async fn learn_peak_usage(&self, store: &Store, now: Timestamp) {
        if lock(&self.peak_usage).is_some() {
            return;
        }
        match store.peak_usage(now).await {
            Ok(marks) => *lock(&self.peak_usage) = Some(marks),
            Err(error) => tracing::warn!(cause = %error, "the high-water marks were not read"),
        }
    }

    /// Writes down those of `marks` that are news, which few are.
    pub(super) async fn record(&self, store: &Store, marks: &[Mark]) {
        for mark in marks.iter().copied() {
            let is_news = lock(&self.peak_usage).as_ref().is_none_or(|known| known.is_exceeded_by(mark));
            if !is_news {
                continue;
            }
            match store.raise_peak_usage(mark).await {
                Ok(()) => lock(&self.peak_usage).get_or_insert_default().insert(mark),
                Err(error) => tracing::warn!(cause = %error, "a high-water mark was not written"),
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
