//! Routes: one GetItem for a call, one Query for the choice of a number.

use std::collections::HashSet;

use jiff::Timestamp;

use super::item::{self, Key, OWN_NUMBER};
use super::{Store, StoreError};
use crate::phone::{RealNumber, VirtualNumber};
use crate::route::Route;

/// What a number holds as a caller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallerKeys {
    /// The virtual numbers to which it has a live or quarantined route.
    pub taken: HashSet<VirtualNumber>,
    /// Whether it is a number of the pool, and so can be nobody's real number.
    pub is_virtual: bool,
}

impl Store {
    /// The route of `caller` under `dialled`, in whatever state. One consistent read, so that a conversation leads
    /// somewhere from the moment in which it was created, and nowhere from the moment in which it was ended.
    pub async fn route(&self, caller: &RealNumber, dialled: &VirtualNumber) -> Result<Option<Route>, StoreError> {
        self.get(Key::Route { caller, dialled }).await
    }

    /// The keys that `caller` holds at `now`. One consistent query.
    pub async fn caller_keys(&self, caller: &RealNumber, now: Timestamp) -> Result<CallerKeys, StoreError> {
        let items = self.query(item::caller_partition(caller.expose()), None).await?;
        let mut keys = CallerKeys::default();
        for item in items {
            if item::sort_key(&item) == OWN_NUMBER {
                keys.is_virtual = true;
            } else if let Some(dialled) = item::dialled(&item)
                && item::read::<Route>(item)?.holds_its_key(now)
            {
                keys.taken.insert(dialled);
            }
        }
        Ok(keys)
    }
}
