//! Routes: one GetItem for a call, one Query for the choice of a number.

use jiff::Timestamp;

use super::item::{self, Key, OWN_NUMBER};
use super::{Store, StoreError};
use crate::caller::CallerKeys;
use crate::phone::{RealNumber, VirtualNumber};
use crate::route::Holder;

impl Store {
    /// What holds, or held, the key of `caller` and `dialled`. One consistent read, so that a conversation leads
    /// somewhere from the moment in which it was created, and nowhere from the moment in which it was ended.
    pub async fn holder(&self, caller: &RealNumber, dialled: &VirtualNumber) -> Result<Option<Holder>, StoreError> {
        self.get(Key::Route { caller, dialled }).await
    }

    /// What `caller` holds, and has held. One consistent query.
    pub async fn caller_keys(&self, caller: &RealNumber, now: Timestamp) -> Result<CallerKeys, StoreError> {
        let items = self.query(item::caller_partition(caller.expose()), None).await?;
        let mut keys = CallerKeys::default();
        for item in items {
            if item::sort_key(&item) == OWN_NUMBER {
                // A number that was given back is remembered for a while.
                keys.is_virtual = item::time(&item, "ttl").is_none_or(|until| now < until);
            } else if let Some(dialled) = item::dialled(&item) {
                keys.by_number.insert(dialled, item::read(item)?);
            }
        }
        Ok(keys)
    }
}
