//! Items of the pool as a whole: the ledger of all rented numbers, and the list of all ready numbers.
//!
//! Both are derived from the numbers' own items and change in the same transactions. The list is one item, so that one
//! read returns all countries at the same moment. Its version is another item, so that a cheap read tells if a cached
//! list is still current.

use aws_sdk_dynamodb::types::AttributeValue;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::item::{self, Item, Key};
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::choice::ReadyNumber;
use crate::domain::country::Country;
use crate::domain::phone::{PhoneNumber, VirtualNumber};
use crate::domain::pool::PoolNumber;

/// Totals of all rented numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Countries in which numbers are or were rented, in ascending order.
    pub countries: Vec<Country>,
    /// Monthly rent of all numbers in EUR, including numbers that are recorded but not bought yet.
    pub monthly_cost: Decimal,
    pub(super) version: u64,
}

/// A country's numbers, and the ledger as it was just before they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CountryPool {
    /// The country's numbers in all states, in ascending order.
    pub numbers: Vec<PoolNumber>,
    /// Totals of all rented numbers.
    pub ledger: Ledger,
}

/// The list of all ready numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadyPool {
    /// Ready numbers of all countries.
    pub numbers: Vec<ReadyNumber>,
    /// Version of this list.
    pub version: u64,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    country: Country,
    texts: bool,
}

impl Store {
    /// Returns the totals of all rented numbers.
    pub async fn ledger(&self) -> Result<Ledger, StoreError> {
        let Some(item) = self.get_item(Key::Ledger).await? else { return Ok(Ledger::default()) };
        let codes = item.get("countries").and_then(|value| value.as_ss().ok()).into_iter().flatten();
        let mut countries: Vec<_> = codes.filter_map(|code| Country::try_from(code.as_str()).ok()).collect();
        countries.sort();
        let mut monthly_cost: Decimal = number(&item, "monthly_cost");
        // DynamoDB drops trailing zeros.
        monthly_cost.rescale(monthly_cost.scale().max(2));
        Ok(Ledger { countries, monthly_cost, version: number(&item, "version") })
    }

    /// Returns the list of all ready numbers.
    pub async fn ready_pool(&self) -> Result<ReadyPool, StoreError> {
        let Some(item) = self.get_item(Key::ReadyNumbers).await? else { return Ok(ReadyPool::default()) };
        let mut pool = ReadyPool { numbers: Vec::new(), version: number(&item, "version") };
        for (name, value) in item {
            // Each ready number is an attribute with the number as its name.
            if let Ok(digits) = PhoneNumber::try_from(name) {
                let Entry { country, texts } = serde_dynamo::from_attribute_value(value)?;
                pool.numbers.push(ReadyNumber { number: VirtualNumber::from(digits), country, texts });
            }
        }
        Ok(pool)
    }

    /// Returns the current version of [`Store::ready_pool`].
    pub async fn ready_version(&self) -> Result<u64, StoreError> {
        let item = self.get_item(Key::ReadyVersion).await?;
        Ok(item.map_or(0, |item| number(&item, "version")))
    }
}

/// Adds a number to the list of ready numbers.
pub(super) fn list_ready(ready: &ReadyNumber) -> Result<[Write; 2], StoreError> {
    let entry = item::value(Entry { country: ready.country, texts: ready.texts })?;
    let list = change(Key::ReadyNumbers).set("#number = :entry").name("#number", ready.number.as_str());
    Ok([list.bind(":entry", entry), change(Key::ReadyVersion)])
}

/// Removes a number from the list of ready numbers.
pub(super) fn unlist_ready(number: &VirtualNumber) -> [Write; 2] {
    let list = change(Key::ReadyNumbers).remove("#number").name("#number", number.as_str());
    [list, change(Key::ReadyVersion)]
}

fn change(key: Key<'_>) -> Write {
    Write::update(key).add("version :one").bind(":one", item::integer(1u64))
}

/// Adds the rent of a number that is about to be rented or adopted, unless the ledger has changed since `seen`.
pub(super) fn add_to_ledger(number: &PoolNumber, seen: &Ledger) -> Write {
    let update = Write::update(Key::Ledger)
        .set("version = :next")
        .add("monthly_cost :cost, countries :country")
        .bind(":next", item::integer(seen.version + 1))
        .bind(":cost", decimal(number.monthly_cost.unwrap_or_default()))
        .bind(":country", AttributeValue::Ss(vec![number.country.as_str().to_owned()]));
    if seen.version == 0 {
        update.when("attribute_not_exists(version)")
    } else {
        update.when("version = :seen").bind(":seen", item::integer(seen.version))
    }
}

/// Subtracts a number's rent. The version stays, because less rent does not invalidate another run's decision to rent.
pub(super) fn remove_from_ledger(number: &PoolNumber) -> Write {
    let cost = decimal(-number.monthly_cost.unwrap_or_default());
    Write::update(Key::Ledger).add("monthly_cost :cost").bind(":cost", cost)
}

fn decimal(value: Decimal) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn number<T: std::str::FromStr + Default>(item: &Item, name: &str) -> T {
    item.get(name).and_then(|value| value.as_n().ok()?.parse().ok()).unwrap_or_default()
}
