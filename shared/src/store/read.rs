//! The ways in which items are read: consistently, or eventually consistently where that is enough.

use std::collections::HashMap;

use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::item::{self, Item, Key};
use super::{Store, StoreError, TIMED_OUT};

impl Store {
    /// The item under `key`. Consistent.
    pub(super) async fn get<T: DeserializeOwned>(&self, key: Key<'_>) -> Result<Option<T>, StoreError> {
        self.get_item(key).await?.map(item::read).transpose()
    }

    /// The item under `key`, as it is in the table. Consistent.
    pub(super) async fn get_item(&self, key: Key<'_>) -> Result<Option<Item>, StoreError> {
        self.look(key, true).await
    }

    /// The item under `key` by an eventually consistent read, which costs half, if what that finds `is_enough`. What it
    /// finds may be about a second old, so anything else, and nothing, is looked at again consistently before it is
    /// believed. Both looks together take no longer than one operation may.
    pub(super) async fn get_if_enough<T: DeserializeOwned>(
        &self,
        key: Key<'_>,
        is_enough: impl Fn(&T) -> bool,
    ) -> Result<Option<T>, StoreError> {
        let looks = async {
            let first = self.look(key, false).await?.map(item::read).transpose()?;
            if first.as_ref().is_some_and(is_enough) { Ok(first) } else { self.get(key).await }
        };
        let settled = timeout(self.time_limit, looks).await;
        settled.unwrap_or_else(|_| Err(StoreError::NoAnswer(TIMED_OUT.to_owned())))
    }

    async fn look(&self, key: Key<'_>, consistent: bool) -> Result<Option<Item>, StoreError> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key.item()));
        Ok(request.consistent_read(consistent).send().await?.item)
    }

    /// All items of a partition, or those whose sort key begins with `prefix`. Consistent.
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
