//! Data about the pool that a running function keeps from one request to the next.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::try_join_all;

use crate::domain::peak_usage::{Mark, PeakUsage};
use crate::domain::ready_pool::{PartName, ReadyPart, ReadyPool};
use crate::domain::tenant::Owner;
use crate::store::{PartState, Store, StoreError};

/// Number of ready numbers up to which a start reads all of them. A larger pool is read country by country, when a creation
/// needs it.
const READ_AT_START: usize = 5000;

/// The ready numbers, and the marks of peak usage.
#[derive(Debug, Default)]
pub struct PoolCache {
    parts: Mutex<BTreeMap<PartName, Arc<ReadyPart>>>,
    peaks: Mutex<Peaks>,
}

/// The marks of peak usage that this process knows.
#[derive(Debug, Default)]
struct Peaks {
    stored: PeakUsage,
    to_store: PeakUsage,
}

impl PoolCache {
    /// Returns those parts of the ready numbers that `serve` a creation, in the versions of `states`. Parts that are not
    /// cached in this version are read, all at the same time. A number that starts to drain is therefore given to no
    /// conversation from that moment on.
    pub(super) async fn ready(
        &self,
        store: &Store,
        states: &BTreeMap<PartName, PartState>,
        serves: impl Fn(&PartName) -> bool,
    ) -> Result<ReadyPool, StoreError> {
        let part = async |(name, state): (&PartName, &PartState)| {
            let cached = lock(&self.parts).get(name).filter(|part| part.version == state.version).cloned();
            let part = match cached {
                Some(part) => part,
                None => self.read(store, name).await?,
            };
            Ok::<_, StoreError>((name.clone(), part))
        };
        let parts = states.iter().filter(|(name, _)| serves(name)).map(part);
        Ok(ReadyPool { parts: try_join_all(parts).await?.into_iter().collect() })
    }

    /// Reads the deployment's own ready numbers, so that the first creation sends no more requests than any other.
    pub(super) async fn warm_up(&self, store: &Store) -> Result<(), StoreError> {
        let states = store.ready_parts(Owner::Deployment).await?;
        if states.values().map(|part| part.count).sum::<usize>() <= READ_AT_START {
            // One after the other, over one connection.
            for name in states.keys() {
                self.read(store, name).await?;
            }
        }
        Ok(())
    }

    /// Reads a part, and keeps it.
    async fn read(&self, store: &Store, name: &PartName) -> Result<Arc<ReadyPart>, StoreError> {
        let part = Arc::new(store.ready_part(name).await?);
        lock(&self.parts).insert(name.clone(), part.clone());
        Ok(part)
    }

    /// Stores the highest of `marks` that exceeds those that this process knows to be stored. The others are left to later
    /// creations, whose own marks come first. Nothing is rented for the headroom of tenants, so their marks are not stored.
    pub(super) async fn record(&self, store: &Store, owner: Owner, marks: &[Mark]) {
        if !owner.is_deployment() {
            return;
        }
        let highest = {
            let mut peaks = lock(&self.peaks);
            let Peaks { stored, to_store } = &mut *peaks;
            marks.iter().for_each(|mark| to_store.insert(*mark));
            let mut own: PeakUsage = marks.iter().copied().collect();
            own.highest_above(stored).or_else(|| to_store.highest_above(stored))
        };
        let Some(mark) = highest else { return };
        match store.raise_peak_usage(mark).await {
            Ok(found) => lock(&self.peaks).stored.insert(found),
            Err(error) => tracing::warn!(cause = %error, "recording a mark of peak usage failed"),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
