//! Numbers of the pool.
//!
//! A number to be rented is recorded before Vonage is asked, under a version of the ledger. So two runs at once never buy
//! more than is wanted, and an interrupted run leaves an item that the next run can resume.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::item::{self, Key, NUMBER_PREFIX};
use super::pool::{self, CountryPool};
use super::transaction::Outcome;
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::country::Country;
use crate::domain::phone::VirtualNumber;
use crate::domain::pool::{NumberState, PoolNumber};

/// Time for which a number that was given back to Vonage stays known as ours. Vonage's list and participants' phones may
/// show it for a while.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);

/// Reason why a number was not recorded for renting.
#[derive(Debug, thiserror::Error)]
pub enum RentError {
    /// Another run has changed the ledger since it was read.
    #[error("another run has changed the pool's ledger")]
    Changed,
    /// The number is in the pool already, perhaps in another country's list, or was given back to Vonage recently.
    #[error("the number is in the pool already")]
    Known,
    /// A failed use of the table.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Item that marks a number of the pool in the partition of callers.
#[derive(Serialize, Deserialize)]
struct OwnNumber {
    country: Country,
}

impl Store {
    /// Returns the numbers of a country, in all states.
    pub async fn pool_numbers(&self, country: Country) -> Result<Vec<PoolNumber>, StoreError> {
        let items = self.query(item::pool_partition(country), Some(NUMBER_PREFIX)).await?;
        items.into_iter().map(item::read).collect()
    }

    /// Returns the numbers of all countries, in all states.
    pub async fn whole_pool(&self) -> Result<Vec<PoolNumber>, StoreError> {
        let mut pool = Vec::new();
        for country in self.ledger().await?.countries {
            pool.extend(self.pool_numbers(country).await?);
        }
        Ok(pool)
    }

    /// Returns the numbers of a country and the ledger. The ledger is read first, so that any number added after that
    /// makes the next [`Store::begin_renting`] fail.
    pub async fn country_pool(&self, country: Country) -> Result<CountryPool, StoreError> {
        let ledger = self.ledger().await?;
        Ok(CountryPool { numbers: self.pool_numbers(country).await?, ledger })
    }

    /// Returns a number of the pool, in whatever country it is.
    pub async fn pool_number(&self, number: &VirtualNumber) -> Result<Option<PoolNumber>, StoreError> {
        match self.get::<OwnNumber>(Key::OwnNumber(number)).await? {
            Some(OwnNumber { country }) => self.get(Key::Number { country, number }).await,
            None => Ok(None),
        }
    }

    /// Records `number` as about to be rented, or as found in the account, unless the ledger has changed since `seen`.
    pub async fn begin_renting(&self, number: &PoolNumber, seen: &CountryPool) -> Result<(), RentError> {
        let own = Key::OwnNumber(&number.number).with(&OwnNumber { country: number.country }, None)?;
        let transaction = vec![
            pool::add_to_ledger(number, &seen.ledger),
            Write::put(key(number).with(number, None)?).when("attribute_not_exists(pk)"),
            Write::put(own)
                .when("attribute_not_exists(pk) OR #ttl <= :now")
                .name("#ttl", "ttl")
                .bind(":now", item::seconds(number.added_at)),
        ];
        match self.transact(transaction, None).await? {
            Outcome::Committed => Ok(()),
            Outcome::Cancelled(failed) if failed.contains(&1) || failed.contains(&2) => Err(RentError::Known),
            Outcome::Cancelled(_) => Err(RentError::Changed),
        }
    }

    /// Takes over a number whose lease is over at `now`, and returns it with a lease that ends at `until`. `None` if
    /// another run was faster.
    pub async fn take_over(
        &self,
        number: PoolNumber,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<PoolNumber>, StoreError> {
        let update = Write::update(key(&number))
            .set("leased_until = :until")
            .when("leased_until = :seen AND leased_until <= :now")
            .bind(":until", item::seconds(until))
            .bind(":seen", item::seconds(number.leased_until))
            .bind(":now", item::seconds(now));
        Ok(self.update(update).await?.then_some(PoolNumber { leased_until: until, ..number }))
    }

    /// Records that a number is bought. Changes nothing if that is known already.
    pub async fn note_bought(&self, number: &PoolNumber) -> Result<(), StoreError> {
        self.update(change_state(number, NumberState::Renting, NumberState::Linking)?).await.map(drop)
    }

    /// Makes a linked number ready, so that conversations can get it. False if it was not linking any more.
    pub async fn make_ready(&self, number: &PoolNumber) -> Result<bool, StoreError> {
        let mut transaction = vec![change_state(number, NumberState::Linking, NumberState::Ready)?];
        transaction.extend(pool::list_ready(&number.to_ready_number())?);
        self.transact_settled(transaction).await
    }

    /// Starts the draining of a number, so that no conversation gets it any more. False if it has changed since it was
    /// read.
    pub async fn begin_draining(&self, number: &PoolNumber, now: Timestamp) -> Result<bool, StoreError> {
        let drain = change_state(number, number.state, NumberState::Draining)?
            .set("draining_since = :now")
            .when("leased_until = :lease")
            .bind(":lease", item::seconds(number.leased_until))
            .bind(":now", item::seconds(now));
        let mut transaction = vec![drain];
        transaction.extend(pool::unlist_ready(&number.number));
        self.transact_settled(transaction).await
    }

    /// Removes a number that was never bought. It stays if its state has changed since it was read, or if another run has
    /// taken it over.
    pub async fn forget_number(&self, number: &PoolNumber) -> Result<(), StoreError> {
        self.remove_number(number, Write::delete(Key::OwnNumber(&number.number))).await.map(drop)
    }

    /// Removes a number that was given back to Vonage. It stays known as ours for a day. False if it has changed since it
    /// was read.
    pub async fn remove_cancelled(&self, number: &PoolNumber, now: Timestamp) -> Result<bool, StoreError> {
        let own = Write::update(Key::OwnNumber(&number.number)).set_ttl(now + REMEMBERED);
        self.remove_number(number, own).await
    }

    async fn remove_number(&self, number: &PoolNumber, own: Write) -> Result<bool, StoreError> {
        let entry = Write::delete(key(number))
            .when("#state = :state AND leased_until = :lease")
            .name("#state", "state")
            .bind(":state", item::value(number.state)?)
            .bind(":lease", item::seconds(number.leased_until));
        self.transact_settled(vec![entry, own, pool::remove_from_ledger(number)]).await
    }

    /// Records the time since which Vonage does not list a number, or, with `None`, that Vonage lists it again.
    pub async fn note_missing(&self, number: &PoolNumber, since: Option<Timestamp>) -> Result<(), StoreError> {
        let update = Write::update(key(number)).when("attribute_exists(pk)");
        let update = match since {
            Some(since) => update.set("missing_since = :since").bind(":since", item::seconds(since)),
            None => update.remove("missing_since"),
        };
        if !self.update(update).await? {
            tracing::debug!(number = %number.number, "a number was removed from the pool during its check at Vonage");
        }
        Ok(())
    }
}

fn key(number: &PoolNumber) -> Key<'_> {
    Key::Number { country: number.country, number: &number.number }
}

fn change_state(number: &PoolNumber, from: NumberState, to: NumberState) -> Result<Write, StoreError> {
    Ok(Write::update(key(number))
        .set("#state = :to")
        .when("#state = :from")
        .name("#state", "state")
        .bind(":from", item::value(from)?)
        .bind(":to", item::value(to)?))
}
