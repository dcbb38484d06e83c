//! Reads: consistent ones, and eventually consistent ones where these are enough.

use std::collections::HashMap;

use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::error::TIMED_OUT;
use super::item::{self, Item, Key};
use super::{Store, StoreError};

impl Store {
    /// Returns the decoded item under `key`. One consistent read.
    pub(super) async fn get<T: DeserializeOwned>(&self, key: Key<'_>) -> Result<Option<T>, StoreError> {
        self.get_item(key).await?.map(item::read).transpose()
    }

    /// Returns the item under `key`. One consistent read.
    pub(super) async fn get_item(&self, key: Key<'_>) -> Result<Option<Item>, StoreError> {
        self.read_item(key, true).await
    }

    /// Returns the decoded item under `key`. An eventually consistent read, which costs half, is tried first. Its result
    /// may be about a second old. If it is missing or not `is_enough`, the item is read again consistently. Both reads
    /// together have the time limit of one operation.
    pub(super) async fn get_if_enough<T: DeserializeOwned>(
        &self,
        key: Key<'_>,
        is_enough: impl Fn(&T) -> bool,
    ) -> Result<Option<T>, StoreError> {
        let reads = async {
            let first = self.read_item(key, false).await?.map(item::read).transpose()?;
            if first.as_ref().is_some_and(is_enough) { Ok(first) } else { self.get(key).await }
        };
        let result = timeout(self.time_limit, reads).await;
        result.unwrap_or_else(|_| Err(StoreError::NoAnswer(TIMED_OUT.to_owned())))
    }

    async fn read_item(&self, key: Key<'_>, consistent: bool) -> Result<Option<Item>, StoreError> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key.item()));
        Ok(request.consistent_read(consistent).send().await?.item)
    }

    /// Returns all items of a partition, or those whose sort key starts with `prefix`. One consistent query.
    pub(super) async fn query(&self, partition: String, prefix: Option<&str>) -> Result<Vec<Item>, StoreError> {
        let condition = match prefix {
            Some(_) => "pk = :pk AND begins_with(sk, :prefix)",
            None => "pk = :pk",
        };
        let mut values = HashMap::from([(":pk".to_owned(), item::string(partition))]);
        values.extend(prefix.map(|prefix| (":prefix".to_owned(), item::string(prefix))));
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression(condition)
            .set_expression_attribute_values(Some(values))
            .into_paginator()
            .items()
            .send();
        let mut items = Vec::new();
        while let Some(item) = pages.next().await {
            items.push(item?);
        }
        Ok(items)
    }
}
