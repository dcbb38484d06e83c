//! What is true of the pool as a whole: the ledger of what is rented, and the list of what conversations may be given.
//!
//! Both follow from the numbers' own items and change in the same transactions. The list is one item, so that it is read
//! at one moment and at once for all countries; its version is another, so that a copy of the list can be used for as
//! long as it is true.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::item::{self, Item, Key};
use super::{Store, StoreError};
use crate::domain::choice::ReadyNumber;
use crate::domain::country::Country;
use crate::domain::phone::{PhoneNumber, VirtualNumber};
use crate::domain::pool::PoolNumber;

/// What is rented in all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// The countries in which numbers are or were rented, in order.
    pub countries: Vec<Country>,
    /// The rent of all numbers a month, in EUR, those included that are only written down to be bought.
    pub monthly_cost: Decimal,
    pub(super) version: u64,
}

/// A country's numbers and the ledger as it was just before they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CountryPool {
    /// Its numbers in whatever state, in ascending order.
    pub numbers: Vec<PoolNumber>,
    /// What is rented in all.
    pub ledger: Ledger,
}

/// The numbers that conversations may be given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadyPool {
    /// Of all countries.
    pub numbers: Vec<ReadyNumber>,
    /// The version of this list.
    pub version: u64,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    country: Country,
    texts: bool,
}

impl Store {
    /// What is rented in all.
    pub async fn ledger(&self) -> Result<Ledger, StoreError> {
        let Some(item) = self.get_item(Key::Ledger).await? else { return Ok(Ledger::default()) };
        let codes = item.get("countries").and_then(|value| value.as_ss().ok()).into_iter().flatten();
        let mut countries: Vec<_> = codes.filter_map(|code| Country::try_from(code.as_str()).ok()).collect();
        countries.sort();
        let mut monthly_cost: Decimal = number(&item, "monthly_cost");
        // DynamoDB drops the zeros at the end.
        monthly_cost.rescale(monthly_cost.scale().max(2));
        Ok(Ledger { countries, monthly_cost, version: number(&item, "version") })
    }

    /// The numbers that conversations may be given.
    pub async fn ready_pool(&self) -> Result<ReadyPool, StoreError> {
        let Some(item) = self.get_item(Key::ReadyNumbers).await? else { return Ok(ReadyPool::default()) };
        let mut pool = ReadyPool { numbers: Vec::new(), version: number(&item, "version") };
        for (name, value) in item {
            // Every attribute with a number for a name is one.
            if let Ok(digits) = PhoneNumber::try_from(name) {
                let Entry { country, texts } = serde_dynamo::from_attribute_value(value)?;
                pool.numbers.push(ReadyNumber { number: VirtualNumber::from(digits), country, texts });
            }
        }
        Ok(pool)
    }

    /// The present version of [`Store::ready_pool`].
    pub async fn ready_version(&self) -> Result<u64, StoreError> {
        let item = self.get_item(Key::ReadyVersion).await?;
        Ok(item.map_or(0, |item| number(&item, "version")))
    }

    /// Lets this run alone rent numbers of a country on the fly until `until`. False if another one does at `now`.
    pub async fn begin_renting_on_demand(
        &self,
        country: Country,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let update = self.client.update_item().table_name(&self.table).set_key(Some(Key::OnDemand(country).item()));
        let update = update
            .update_expression("SET leased_until = :until, #ttl = :until")
            .condition_expression("attribute_not_exists(pk) OR leased_until <= :now")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":until", item::seconds(until))
            .expression_attribute_values(":now", item::seconds(now));
        self.update(update).await
    }

    /// Lets others.
    pub async fn end_renting_on_demand(&self, country: Country) -> Result<(), StoreError> {
        let delete = self.client.delete_item().table_name(&self.table);
        delete.set_key(Some(Key::OnDemand(country).item())).send().await?;
        Ok(())
    }

    /// Whether a run rents numbers of a country on the fly at `now`.
    pub async fn is_renting_on_demand(&self, country: Country, now: Timestamp) -> Result<bool, StoreError> {
        let lease = self.get_item(Key::OnDemand(country)).await?;
        Ok(lease.and_then(|item| item::time(&item, "leased_until")).is_some_and(|until| now < until))
    }

    /// Puts a number on the list of what conversations may be given.
    pub(super) fn list_ready(&self, ready: &ReadyNumber) -> Result<Vec<TransactWriteItem>, StoreError> {
        let entry = Entry { country: ready.country, texts: ready.texts };
        let entry = serde_dynamo::to_attribute_value(&entry)?;
        self.change_ready("SET #number = :entry ADD version :one", &ready.number, Some(entry))
    }

    /// Takes a number off that list.
    pub(super) fn unlist_ready(&self, number: &VirtualNumber) -> Result<Vec<TransactWriteItem>, StoreError> {
        self.change_ready("REMOVE #number ADD version :one", number, None)
    }

    fn change_ready(
        &self,
        change: &str,
        number: &VirtualNumber,
        entry: Option<AttributeValue>,
    ) -> Result<Vec<TransactWriteItem>, StoreError> {
        let update = |key: Key<'_>, expression: &str| {
            Update::builder()
                .table_name(&self.table)
                .set_key(Some(key.item()))
                .update_expression(expression)
                .expression_attribute_values(":one", item::whole(1u64))
        };
        let mut list = update(Key::ReadyNumbers, change).expression_attribute_names("#number", number.as_str());
        if let Some(entry) = entry {
            list = list.expression_attribute_values(":entry", entry);
        }
        let version = update(Key::ReadyVersion, "ADD version :one");
        [list, version]
            .into_iter()
            .map(|update| Ok(TransactWriteItem::builder().update(update.build()?).build()))
            .collect()
    }

    /// Books a number that is about to be rented, or is adopted, if the ledger is still as it was `seen`.
    pub(super) fn add_to_ledger(&self, booked: &PoolNumber, seen: &Ledger) -> Result<TransactWriteItem, StoreError> {
        let mut values = HashMap::from([
            (":next".to_owned(), item::whole(seen.version + 1)),
            (":cost".to_owned(), decimal(booked.monthly_cost.unwrap_or_default())),
            (":country".to_owned(), AttributeValue::Ss(vec![booked.country.as_str().to_owned()])),
        ]);
        let unchanged = if seen.version == 0 {
            "attribute_not_exists(version)"
        } else {
            values.insert(":seen".to_owned(), item::whole(seen.version));
            "version = :seen"
        };
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(Key::Ledger.item()))
            .update_expression("SET version = :next ADD monthly_cost :cost, countries :country")
            .condition_expression(unchanged)
            .set_expression_attribute_values(Some(values))
            .build()?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Takes a number's rent off the ledger. Less rent is no reason for a run to look again, so the version stays.
    pub(super) fn remove_from_ledger(&self, booked: &PoolNumber) -> Result<TransactWriteItem, StoreError> {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(Key::Ledger.item()))
            .update_expression("ADD monthly_cost :cost")
            .expression_attribute_values(":cost", decimal(-booked.monthly_cost.unwrap_or_default()))
            .build()?;
        Ok(TransactWriteItem::builder().update(update).build())
    }
}

fn decimal(value: Decimal) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn number<T: std::str::FromStr + Default>(item: &Item, name: &str) -> T {
    item.get(name).and_then(|value| value.as_n().ok()?.parse().ok()).unwrap_or_default()
}
