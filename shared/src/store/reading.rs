//! The two ways in which items are read, both consistent.

use std::collections::HashMap;

use serde::de::DeserializeOwned;

use super::item::{self, Item, Key};
use super::{Store, StoreError};

impl Store {
    /// The item under `key`.
    pub(super) async fn get<T: DeserializeOwned>(&self, key: Key<'_>) -> Result<Option<T>, StoreError> {
        self.get_item(key).await?.map(item::read).transpose()
    }

    /// The item under `key`, as it is in the table.
    pub(super) async fn get_item(&self, key: Key<'_>) -> Result<Option<Item>, StoreError> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key.item())).consistent_read(true);
        Ok(request.send().await?.item)
    }

    /// All items of a partition, or those whose sort key begins with `prefix`.
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
