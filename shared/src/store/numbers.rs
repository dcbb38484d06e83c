//! The pool's numbers. What is to be rented is written down before Vonage is asked, under a version of the country's
//! list, so that two runs at once never order more than is wanted, and a run that dies leaves a trace to follow.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, TransactWriteItem, Update};
use jiff::Timestamp;
use serde::Deserialize;

use super::item::{self, Item, Key};
use super::transaction::{Outcome, unbuildable};
use super::{Store, StoreError};
use crate::country::Country;
use crate::pool::{NumberState, PoolNumber};

/// A country's numbers, and the version of that list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CountryPool {
    /// Its numbers in whatever state, in ascending order.
    pub numbers: Vec<PoolNumber>,
    version: u64,
}

/// The item of a country.
#[derive(Deserialize)]
struct CountryList {
    version: u64,
}

/// A number was not written down for renting.
#[derive(Debug, thiserror::Error)]
pub enum RentError {
    /// The country's list has changed since it was read.
    #[error("the pool changed meanwhile")]
    Changed,
    /// The number is in the pool already, perhaps in another country's list.
    #[error("the number is in the pool already")]
    Known,
    /// The table could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// The countries of the pool.
    pub async fn pool_countries(&self) -> Result<Vec<Country>, StoreError> {
        let items = self.query(item::POOL_PARTITION.to_owned(), Some(item::COUNTRY_PREFIX)).await?;
        let country = |item: &Item| Country::try_from(item::sort_key(item).strip_prefix(item::COUNTRY_PREFIX)?).ok();
        Ok(items.iter().filter_map(country).collect())
    }

    /// The numbers of a country.
    pub async fn pool_numbers(&self, country: Country) -> Result<Vec<PoolNumber>, StoreError> {
        let items = self.query(item::pool_partition(country), None).await?;
        items.into_iter().map(item::read).collect()
    }

    /// The numbers of a country with the version of the list: the version is read first, so that whatever changes
    /// after it makes the next [`Store::begin_renting`] fail.
    pub async fn country_pool(&self, country: Country) -> Result<CountryPool, StoreError> {
        let list: Option<CountryList> = self.get(Key::PoolCountry(country)).await?;
        let version = list.map_or(0, |list| list.version);
        Ok(CountryPool { numbers: self.pool_numbers(country).await?, version })
    }

    /// Writes `number` down as about to be rented, if the list is still `seen`.
    pub async fn begin_renting(&self, number: &PoolNumber, seen: &CountryPool) -> Result<(), RentError> {
        let bump = Update::builder()
            .table_name(&self.table)
            .set_key(Some(Key::PoolCountry(number.country).item()))
            .update_expression("SET version = :next")
            .condition_expression(if seen.version == 0 { "attribute_not_exists(pk)" } else { "version = :seen" })
            .expression_attribute_values(":next", AttributeValue::N((seen.version + 1).to_string()));
        let bump = if seen.version == 0 {
            bump
        } else {
            bump.expression_attribute_values(":seen", AttributeValue::N(seen.version.to_string()))
        };
        let key = Key::Number { country: number.country, number: &number.number };
        let transaction = vec![
            TransactWriteItem::builder().update(bump.build().map_err(unbuildable)?).build(),
            self.put(key.with(number, None)?, "attribute_not_exists(pk)", None)?,
            self.put(Key::OwnNumber(&number.number).item(), "attribute_not_exists(pk)", None)?,
        ];
        match self.transact(transaction, None).await? {
            Outcome::Committed => Ok(()),
            Outcome::Cancelled(failed) if failed.contains(&1) || failed.contains(&2) => Err(RentError::Known),
            Outcome::Cancelled(_) => Err(RentError::Changed),
        }
    }

    /// Takes over a number whose renting or linking was begun by a run whose lease is over at `now`, and gives it with
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

    /// Moves a number from one state to the next. False if it is not in the first any more.
    pub async fn advance_number(
        &self,
        number: &PoolNumber,
        from: NumberState,
        to: NumberState,
    ) -> Result<bool, StoreError> {
        let values =
            [(":from", serde_dynamo::to_attribute_value(from)?), (":to", serde_dynamo::to_attribute_value(to)?)];
        self.update_number(number, "SET #state = :to", "#state = :from", values).await
    }

    /// Removes a number that is not the account's after all. It stays if it is not in the state in which it was read,
    /// or if another run has taken it over.
    pub async fn forget_number(&self, number: &PoolNumber) -> Result<(), StoreError> {
        let key = Key::Number { country: number.country, number: &number.number };
        let entry = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(key.item()))
            .condition_expression("#state = :state AND leased_until = :lease")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":state", serde_dynamo::to_attribute_value(number.state)?)
            .expression_attribute_values(":lease", item::seconds(number.leased_until))
            .build()
            .map_err(unbuildable)?;
        let own = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(Key::OwnNumber(&number.number).item()))
            .build()
            .map_err(unbuildable)?;
        let transaction = [entry, own].map(|delete| TransactWriteItem::builder().delete(delete).build()).to_vec();
        self.transact(transaction, None).await.map(drop)
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
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.item()))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(uses_state.then(|| HashMap::from([("#state".into(), "state".into())])))
            .set_expression_attribute_values(Some(
                values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            ))
            .send()
            .await;
        match sent {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
