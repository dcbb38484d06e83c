//! The lists of ready numbers: a list for each pool and calling code, in parts, and for each owner one small item with
//! the versions of all its parts. So a choice of numbers sees those of one owner only.
//!
//! They are derived from the numbers' own items and change in the same transactions. The versions are one cheap read, and
//! tell which parts of a cached copy are still current.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;

use super::item::{self, Key};
use super::passed_over::{PassedOver, log};
use super::pool::number;
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::phone::{PhoneNumber, VirtualNumber};
use crate::domain::pool::PoolNumber;
use crate::domain::ready_pool::{PartName, ReadyNumber, ReadyPart, ReadyPool};
use crate::domain::tenant::{Owner, Pool};

/// Number of numbers from which a part takes no more. One takes up to 20 bytes, so a part stays below 100 KB.
const PART_IS_FULL: usize = 4000;

/// A part of the ready numbers, as the item of all versions tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PartState {
    /// Its version.
    pub version: u64,
    /// Count of its numbers.
    pub count: usize,
}

/// Suffix of the attribute with the count of a part's numbers. The attribute with the version has none.
const COUNT: &str = "#count";

impl Store {
    /// Returns the state of each part of an owner's ready numbers. One consistent read.
    pub async fn ready_parts(&self, owner: Owner) -> Result<BTreeMap<PartName, PartState>, StoreError> {
        let mut parts: BTreeMap<PartName, PartState> = BTreeMap::new();
        let item = self.get_item(Key::ReadyParts(owner)).await?.unwrap_or_default();
        let kind = item::check_version(&item).inspect_err(log)?;
        let mut passed_over = PassedOver::default();
        for (attribute, value) in item.iter().filter(|(attribute, _)| attribute.contains('#')) {
            let value = value.as_n().ok().and_then(|digits| digits.parse().ok());
            let (name, is_count) = match attribute.strip_suffix(COUNT) {
                Some(name) => (name, true),
                None => (attribute.as_str(), false),
            };
            if let (Some(name), Some(value)) = (parse(name).filter(|name| name.owner == owner), value) {
                let part = parts.entry(name).or_default();
                if is_count { part.count = value as usize } else { part.version = value }
            } else {
                passed_over.add(StoreError::Unreadable(kind, "the state of a part is malformed".to_owned()));
            }
        }
        Ok(parts)
    }

    /// Returns a part of the ready numbers. One consistent read. A part that cannot be read gives no numbers, and in a part
    /// each entry that can be read gives its number.
    pub async fn ready_part(&self, name: &PartName) -> Result<ReadyPart, StoreError> {
        let Some(item) = self.get_item(Key::ReadyPart(name)).await? else { return Ok(ReadyPart::default()) };
        // Each number is an attribute with the number as its name, which is true if it can send text messages.
        let mut passed_over = PassedOver::default();
        let Some(kind) = passed_over.take(item::check_version(&item)) else { return Ok(ReadyPart::default()) };
        let ready = item.iter().filter_map(|(digits, texts)| {
            let number = VirtualNumber::from(PhoneNumber::try_from(digits.as_str()).ok()?);
            let unreadable = |_| StoreError::Unreadable(kind, "an entry is malformed".to_owned());
            let texts = *passed_over.take(texts.as_bool().map_err(unreadable))?;
            Some(ReadyNumber { number, country: name.country, texts })
        });
        Ok(ReadyPart::new(number(&item, "version"), ready))
    }

    /// Returns all ready numbers of an owner.
    pub async fn ready_pool(&self, owner: Owner) -> Result<ReadyPool, StoreError> {
        let names = self.ready_parts(owner).await?.into_keys();
        let parts = names.map(async |name| Ok::<_, StoreError>((name.clone(), self.ready_part(&name).await?.into())));
        Ok(ReadyPool { parts: try_join_all(parts).await?.into_iter().collect() })
    }

    /// Returns the part that takes `number`: the first one that is not full.
    pub(super) async fn part_for(&self, number: &PoolNumber) -> Result<PartName, StoreError> {
        let parts = self.ready_parts(number.owner).await?;
        let mut name = PartName::first(number.pool(), &number.number);
        while parts.get(&name).is_some_and(|part| part.count >= PART_IS_FULL) {
            name.index += 1;
        }
        Ok(name)
    }
}

/// Adds a number to a part.
pub(super) fn list(part: &PartName, ready: &ReadyNumber) -> [Write; 2] {
    let entry = aws_sdk_dynamodb::types::AttributeValue::Bool(ready.texts);
    let list = Write::update(Key::ReadyPart(part)).set("#number = :entry").name("#number", ready.number.as_str());
    change(part, list.bind(":entry", entry), 1)
}

/// Removes a number from its part.
pub(super) fn unlist(part: &PartName, number: &VirtualNumber) -> [Write; 2] {
    change(part, Write::update(Key::ReadyPart(part)).remove("#number").name("#number", number.as_str()), -1)
}

/// Raises both copies of the part's version.
fn change(part: &PartName, list: Write, more: i64) -> [Write; 2] {
    let versions = Write::update(Key::ReadyParts(part.owner))
        .add("#version :one, #count :more")
        .name("#version", part.to_string())
        .name("#count", format!("{part}{COUNT}"))
        .bind(":one", item::integer(1u64))
        .bind(":more", aws_sdk_dynamodb::types::AttributeValue::N(more.to_string()));
    [list.add("version :one").bind(":one", item::integer(1u64)), versions]
}

/// Reads the written form of a part's name.
fn parse(written: &str) -> Option<PartName> {
    let (rest, index) = written.rsplit_once('#')?;
    let (pool, calling_code) = rest.rsplit_once('#')?;
    let Pool { owner, country } = Pool::try_from(pool).ok()?;
    Some(PartName { owner, country, calling_code: calling_code.to_owned(), index: index.parse().ok()? })
}
