//! The pool's numbers. What is to be rented is written down before Vonage is asked, under a version of the ledger, so
//! that two runs at once never order more than is wanted, and a run that dies leaves a trace to follow.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, Delete, TransactWriteItem, Update};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::item::{self, Key, NUMBER_PREFIX};
use super::pool::CountryPool;
use super::transaction::Outcome;
use super::{Store, StoreError};
use crate::domain::country::Country;
use crate::domain::phone::VirtualNumber;
use crate::domain::pool::{NumberState, PoolNumber};

/// How long a number that was given back is still known as one of ours. Vonage's list may show it for a while, and so
/// may a phone's.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);

/// A number was not written down for renting.
#[derive(Debug, thiserror::Error)]
pub enum RentError {
    /// The ledger has changed since it was read.
    #[error("the pool changed meanwhile")]
    Changed,
    /// The number is in the pool already, perhaps in another country's list, or was given back a short while ago.
    #[error("the number is in the pool already")]
    Known,
    /// The table could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What stands in the partition that a number of the pool would have as a caller.
#[derive(Serialize, Deserialize)]
struct OwnNumber {
    country: Country,
}

impl Store {
    /// The numbers of a country.
    pub async fn pool_numbers(&self, country: Country) -> Result<Vec<PoolNumber>, StoreError> {
        let items = self.query(item::pool_partition(country), Some(NUMBER_PREFIX)).await?;
        items.into_iter().map(item::read).collect()
    }

    /// The numbers of all countries.
    pub async fn whole_pool(&self) -> Result<Vec<PoolNumber>, StoreError> {
        let mut pool = Vec::new();
        for country in self.ledger().await?.countries {
            pool.extend(self.pool_numbers(country).await?);
        }
        Ok(pool)
    }

    /// The numbers of a country with the ledger: that is read first, so that whatever is added after it makes the next
    /// [`Store::begin_renting`] fail.
    pub async fn country_pool(&self, country: Country) -> Result<CountryPool, StoreError> {
        let ledger = self.ledger().await?;
        Ok(CountryPool { numbers: self.pool_numbers(country).await?, ledger })
    }

    /// A number of the pool, in whatever country.
    pub async fn pool_number(&self, number: &VirtualNumber) -> Result<Option<PoolNumber>, StoreError> {
        match self.get::<OwnNumber>(Key::OwnNumber(number)).await? {
            Some(OwnNumber { country }) => self.get(Key::Number { country, number }).await,
            None => Ok(None),
        }
    }

    /// Writes `number` down as about to be rented, or as found in the account, if the ledger is still as `seen`.
    pub async fn begin_renting(&self, number: &PoolNumber, seen: &CountryPool) -> Result<(), RentError> {
        let key = Key::Number { country: number.country, number: &number.number };
        let own = Key::OwnNumber(&number.number).with(&OwnNumber { country: number.country }, None)?;
        let mut own = self.put(own, "attribute_not_exists(pk) OR #ttl <= :now", Some(number.added_at))?;
        if let Some(put) = &mut own.put {
            put.expression_attribute_names = Some(HashMap::from([("#ttl".to_owned(), "ttl".to_owned())]));
        }
        let transaction = vec![
            self.add_to_ledger(number, &seen.ledger)?,
            self.put(key.with(number, None)?, "attribute_not_exists(pk)", None)?,
            own,
        ];
        match self.transact(transaction, None).await? {
            Outcome::Committed => Ok(()),
            Outcome::Cancelled(failed) if failed.contains(&1) || failed.contains(&2) => Err(RentError::Known),
            Outcome::Cancelled(_) => Err(RentError::Changed),
        }
    }

    /// Takes over a number that an earlier run has begun to change and whose lease is over at `now`, and gives it with
    /// the new lease. None if another run was faster.
    pub async fn take_over(
        &self,
        number: PoolNumber,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<PoolNumber>, StoreError> {
        let taken = self.update_number(
            &number,
            "SET leased_until = :until",
            "leased_until = :seen AND leased_until <= :now",
            [
                (":until", item::seconds(until)),
                (":seen", item::seconds(number.leased_until)),
                (":now", item::seconds(now)),
            ],
        );
        Ok(taken.await?.then_some(PoolNumber { leased_until: until, ..number }))
    }

    /// Notes that a number is bought. Nothing happens if that is known already.
    pub async fn note_bought(&self, number: &PoolNumber) -> Result<(), StoreError> {
        let states = [(":from", state(NumberState::Renting)?), (":to", state(NumberState::Linking)?)];
        self.update_number(number, "SET #state = :to", "#state = :from", states).await.map(drop)
    }

    /// Makes a number that is linked ready: from now on conversations are given it. False if it was not waiting for
    /// that any more.
    pub async fn make_ready(&self, number: &PoolNumber) -> Result<bool, StoreError> {
        let key = Key::Number { country: number.country, number: &number.number };
        let ready = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key.item()))
            .update_expression("SET #state = :to")
            .condition_expression("#state = :from")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":from", state(NumberState::Linking)?)
            .expression_attribute_values(":to", state(NumberState::Ready)?)
            .build()?;
        let mut transaction = vec![TransactWriteItem::builder().update(ready).build()];
        transaction.extend(self.list_ready(&number.to_ready_number())?);
        self.transact_settled(transaction).await
    }

    /// Takes a number out of use: from now on no conversation is given it. False if it is no longer as it was read.
    pub async fn begin_draining(&self, number: &PoolNumber, now: Timestamp) -> Result<bool, StoreError> {
        let key = Key::Number { country: number.country, number: &number.number };
        let drain = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key.item()))
            .update_expression("SET #state = :to, draining_since = :now")
            .condition_expression("#state = :from AND leased_until = :lease")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":from", state(number.state)?)
            .expression_attribute_values(":to", state(NumberState::Draining)?)
            .expression_attribute_values(":lease", item::seconds(number.leased_until))
            .expression_attribute_values(":now", item::seconds(now))
            .build()?;
        let mut transaction = vec![TransactWriteItem::builder().update(drain).build()];
        transaction.extend(self.unlist_ready(&number.number)?);
        self.transact_settled(transaction).await
    }

    /// Removes a number that turned out never to have been bought. It stays if it is not in the state in which it was
    /// read, or if another run has taken it over.
    pub async fn forget_number(&self, number: &PoolNumber) -> Result<(), StoreError> {
        let own =
            Delete::builder().table_name(&self.table).set_key(Some(Key::OwnNumber(&number.number).item())).build()?;
        self.remove_number(number, TransactWriteItem::builder().delete(own).build()).await.map(drop)
    }

    /// Removes a number that was given back to Vonage. For a day it is still known as having been ours. False if it is
    /// not as it was read.
    pub async fn remove_cancelled(&self, number: &PoolNumber, now: Timestamp) -> Result<bool, StoreError> {
        let own = Update::builder()
            .table_name(&self.table)
            .set_key(Some(Key::OwnNumber(&number.number).item()))
            .update_expression("SET #ttl = :until")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":until", item::seconds(now + REMEMBERED))
            .build()?;
        self.remove_number(number, TransactWriteItem::builder().update(own).build()).await
    }

    async fn remove_number(&self, number: &PoolNumber, own: TransactWriteItem) -> Result<bool, StoreError> {
        let key = Key::Number { country: number.country, number: &number.number };
        let entry = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(key.item()))
            .condition_expression("#state = :state AND leased_until = :lease")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":state", state(number.state)?)
            .expression_attribute_values(":lease", item::seconds(number.leased_until))
            .build()?;
        let entry = TransactWriteItem::builder().delete(entry).build();
        self.transact_settled(vec![entry, own, self.remove_from_ledger(number)?]).await
    }

    /// Notes from when on Vonage has not listed a number, or that it lists it again.
    pub async fn note_missing(&self, number: &PoolNumber, since: Option<Timestamp>) -> Result<(), StoreError> {
        let noted = match since {
            Some(since) => {
                let since = [(":since", item::seconds(since))];
                self.update_number(number, "SET missing_since = :since", "attribute_exists(pk)", since).await?
            }
            None => self.update_number(number, "REMOVE missing_since", "attribute_exists(pk)", []).await?,
        };
        if !noted {
            tracing::debug!(number = %number.number, "a number left the pool while it was looked for");
        }
        Ok(())
    }

    async fn update_number<const N: usize>(
        &self,
        number: &PoolNumber,
        update: &str,
        condition: &str,
        values: [(&str, AttributeValue); N],
    ) -> Result<bool, StoreError> {
        let key = Key::Number { country: number.country, number: &number.number };
        let uses_state = update.contains("#state");
        let values: HashMap<_, _> = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.item()))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(uses_state.then(|| HashMap::from([("#state".into(), "state".into())])))
            .set_expression_attribute_values(Some(values).filter(|values| !values.is_empty()));
        self.update(update).await
    }
}

fn state(state: NumberState) -> Result<AttributeValue, StoreError> {
    Ok(serde_dynamo::to_attribute_value(state)?)
}
