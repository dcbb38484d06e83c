//! Moves of numbers from one owner to another.
//!
//! A number drains first: no conversation gets it any more. It moves when a scan of the table has found no route to it that is live or
//! in quarantine. So nobody who knows it from one owner reaches anybody of another. All that is stored about it changes in one
//! transaction, and what callers met by it, and what is known of its calls, is that of nobody afterwards.

use jiff::Timestamp;

use super::item::{self, Key};
use super::numbers::{change_state, change_work, draining, key};
use super::write::Write;
use super::{Store, StoreError, health, number_settings, pool};
use crate::domain::number_settings::NumberSettings;
use crate::domain::pool::{LossNotes, NumberState, PoolNumber};
use crate::domain::tenant::{Owner, Pool};

impl Store {
    /// Starts to move a ready number to a pool at `now`: it drains. False if it has changed since it was read.
    pub async fn begin_move(&self, number: &PoolNumber, to: Pool, now: Timestamp) -> Result<bool, StoreError> {
        let change = change_state(number, number.state, NumberState::Draining)?
            .set("moves_to = :pool")
            .when("attribute_not_exists(set_aside) AND attribute_not_exists(rotating_since)")
            .bind(":pool", item::string(to));
        let ledger = pool::move_in_ledger(number, number.state, NumberState::Draining);
        self.transact_settled(draining(number, change, ledger, now)).await
    }

    /// Has a draining number move to another pool, or be given back to the carrier. The lease ends at `now`, so that a run that has
    /// read the number before does neither. False if the number has changed since it was read.
    pub async fn redirect_draining(
        &self,
        number: &PoolNumber,
        to: Option<Pool>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let change = change_state(number, NumberState::Draining, NumberState::Draining)?
            .set("leased_until = :now")
            .when("leased_until = :lease AND attribute_not_exists(rotating_since)")
            .bind(":now", item::seconds(now))
            .bind(":lease", item::seconds(number.leased_until));
        self.update(match to {
            Some(pool) => change.set("moves_to = :pool").bind(":pool", item::string(pool)),
            None => change.remove("moves_to"),
        })
        .await
    }

    /// Moves a draining number, on which this run has a lease, to the pool `to`. It has no settings and no health there, and is
    /// still to be linked. `None` if it has changed since it was read.
    pub async fn move_number(
        &self,
        number: PoolNumber,
        to: Pool,
        now: Timestamp,
    ) -> Result<Option<PoolNumber>, StoreError> {
        let moved = PoolNumber {
            owner: to.owner,
            state: NumberState::Linking,
            draining_since: None,
            moves_to: None,
            loss: LossNotes::default(),
            ..number.clone()
        };
        let leave = Write::delete(key(&number))
            .when("#state = :draining AND leased_until = :lease")
            .when("moves_to = :pool AND attribute_not_exists(rotating_since)")
            .name("#state", "state")
            .bind(":draining", item::value(NumberState::Draining)?)
            .bind(":lease", item::seconds(number.leased_until))
            .bind(":pool", item::string(to));
        let join = Write::put(key(&moved).with(&moved, None)?).when("attribute_not_exists(pk)");
        let own = Write::update(Key::OwnNumber(&number.number)).when("attribute_exists(pk)");
        let own = match to.owner {
            Owner::Deployment => own.remove("tenant"),
            Owner::Tenant(tenant) => own.set("tenant = :tenant").bind(":tenant", item::string(tenant)),
        };
        let mut transaction = vec![leave, join, own, pool::change_pool_in_ledger([&number, &moved])];
        transaction.extend(change_work(&number, number.state.work(), None));
        transaction.extend(change_work(&moved, None, moved.state.work()));
        let before = self.number_settings(&number.number).await?.unwrap_or_default();
        let after = NumberSettings { revision: before.revision + 1, owner: to.owner, ..NumberSettings::default() };
        transaction.extend(number_settings::replace(&number.number, [&before, &after], now)?);
        transaction.extend(health::forget(&number.number, now));
        Ok(self.transact_settled(transaction).await?.then_some(moved))
    }
}
