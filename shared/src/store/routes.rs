//! Routes: one GetItem for a call, one Query for the choice of a number.

use jiff::Timestamp;

use super::item::{self, Key, OWN_NUMBER};
use super::{Store, StoreError};
use crate::domain::caller_routes::CallerRoutes;
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::route::{Destination, KeyOwner, destination};

impl Store {
    /// Where a call from `caller` to `dialled` leads at `now`.
    ///
    /// A live route is believed as one eventually consistent read finds it; anything else is read again consistently. So a
    /// conversation leads somewhere from the moment of its creation, and nobody is turned away by what is out of date.
    /// What connects a call can be about a second old: a conversation that has ended or was erased just now, or a phone
    /// that was just given up. It is never somebody else's, because after an end the key is nobody's for a minute at
    /// least: by then every read finds the end.
    pub async fn destination(
        &self,
        caller: &RealNumber,
        dialled: &VirtualNumber,
        now: Timestamp,
    ) -> Result<Destination, StoreError> {
        let holder =
            self.get_if_enough(Key::Route { caller, dialled }, |holder: &KeyOwner| holder.connects(now)).await?;
        Ok(destination(holder, now))
    }

    /// What held the key of `caller` and `dialled` at `time`, which is about now. What covers that time is believed as one
    /// eventually consistent read finds it, for the same reason as in [`Store::destination`]; anything else is read again
    /// consistently. So no event of a conversation that has just begun is lost.
    pub async fn holder_at(
        &self,
        caller: &RealNumber,
        dialled: &VirtualNumber,
        time: Timestamp,
    ) -> Result<Option<KeyOwner>, StoreError> {
        let covers = |holder: &KeyOwner| holder.covers(time);
        Ok(self.get_if_enough(Key::Route { caller, dialled }, covers).await?.filter(covers))
    }

    /// What holds, or held last, the key of `caller` and `dialled`, for those who are going to write. One consistent read.
    pub async fn holder(&self, caller: &RealNumber, dialled: &VirtualNumber) -> Result<Option<KeyOwner>, StoreError> {
        self.get(Key::Route { caller, dialled }).await
    }

    /// What `caller` holds, and has held. One consistent query.
    pub async fn caller_routes(&self, caller: &RealNumber, now: Timestamp) -> Result<CallerRoutes, StoreError> {
        let items = self.query(item::caller_partition(caller.expose()), None).await?;
        let mut keys = CallerRoutes::default();
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
