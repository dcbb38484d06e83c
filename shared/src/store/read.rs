//! Reads: consistent ones, and eventually consistent ones where these are enough.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::KeysAndAttributes;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::error::TIMED_OUT;
use super::item::{self, Item, Key};
use super::passed_over::{PassedOver, read_one};
use super::{Store, StoreError};
use crate::retry;

/// Maximum number of requests for one batch. DynamoDB answers a part if it has to throttle.
const BATCH_ATTEMPTS: u32 = 5;

/// Items, each with the position of its key. One that cannot be read is `None`.
type FoundItems<T> = Vec<(usize, Option<T>)>;

impl Store {
    /// Returns the decoded item under `key`. One consistent read.
    pub(super) async fn get<T: DeserializeOwned>(&self, key: Key<'_>) -> Result<Option<T>, StoreError> {
        self.get_item(key).await?.map(read_one).transpose()
    }

    /// Returns the saved progress under `key`. Progress that cannot be read is deleted, and its work begins again.
    pub(super) async fn saved_progress<T: DeserializeOwned>(&self, key: Key<'_>) -> Result<Option<T>, StoreError> {
        match self.get(key).await {
            Err(StoreError::Unreadable(..)) => self.delete_item(key).await.map(|()| None),
            progress => progress,
        }
    }

    /// Returns the item under `key`. One consistent read.
    pub(super) async fn get_item(&self, key: Key<'_>) -> Result<Option<Item>, StoreError> {
        self.read_item(key, true).await
    }

    /// Returns the decoded items under `keys`, each with the position of its key. An eventually consistent read of the first,
    /// which costs half, is tried first. Its result may be about a second old. If it is missing, unreadable or not `is_enough`,
    /// all keys are read consistently, in parallel; an item that cannot be read is then `None`. The item `beside` them, which is
    /// needed only then, is read at the same time, at half the cost. All reads together have the time limit of one operation.
    pub(super) async fn get_if_enough<T: DeserializeOwned>(
        &self,
        keys: &[Key<'_>],
        beside: Option<Key<'_>>,
        is_enough: impl Fn(&T) -> bool,
    ) -> Result<(FoundItems<T>, Option<Item>), StoreError> {
        let reads = async {
            let Some(key) = keys.first() else { return Ok((Vec::new(), None)) };
            let first = self.read_item(*key, false).await?.and_then(|item| item::read(item).ok());
            if let Some(first) = first.filter(is_enough) {
                return Ok((vec![(0, Some(first))], None));
            }
            let (items, beside) = match beside {
                Some(beside) => {
                    let items = try_join_all(keys.iter().map(|key| self.get_item(*key)));
                    tokio::try_join!(items, Box::pin(self.read_item(beside, false)))?
                }
                None => (try_join_all(keys.iter().map(|key| self.get_item(*key))).await?, None),
            };
            let mut passed_over = PassedOver::default();
            let items = items.into_iter().enumerate().filter_map(|(index, item)| Some((index, item?)));
            Ok((items.map(|(index, item)| (index, passed_over.take(item::read(item)))).collect(), beside))
        };
        let result = timeout(self.time_limit, reads).await;
        result.unwrap_or_else(|_| Err(StoreError::NoAnswer(TIMED_OUT.to_owned())))
    }

    /// Returns the item under `key`. One read.
    pub(super) async fn read_item(&self, key: Key<'_>, consistent: bool) -> Result<Option<Item>, StoreError> {
        let table = self.table_with(key.kind().is_of_journal())?;
        let request = self.client.get_item().table_name(table).set_key(Some(key.item()));
        Ok(request.consistent_read(consistent).send().await?.item)
    }

    /// Returns all items of a partition, or those whose sort key starts with `prefix`. One consistent query.
    pub(super) async fn query(&self, partition: String, prefix: Option<&str>) -> Result<Vec<Item>, StoreError> {
        let mut pages = self.start_query(partition, prefix).into_paginator().items().send();
        let mut items = Vec::new();
        while let Some(item) = pages.next().await {
            items.push(item?);
        }
        Ok(items)
    }

    /// Returns the first items of a partition, up to `limit`, and true if there may be more. One consistent read.
    pub(super) async fn first_items(&self, partition: String, limit: u16) -> Result<(Vec<Item>, bool), StoreError> {
        let page = self.start_query(partition, None).limit(limit.into()).send().await?;
        let more = page.last_evaluated_key().is_some();
        Ok((page.items.unwrap_or_default(), more))
    }

    /// Returns up to `limit` items of a partition whose sort keys start with `prefix`, from the one behind the sort key
    /// `after`, and true if there may be more. One consistent read.
    pub(super) async fn query_page(
        &self,
        partition: String,
        prefix: &str,
        after: Option<String>,
        limit: u16,
    ) -> Result<(Vec<Item>, bool), StoreError> {
        let query = self.start_query(partition.clone(), Some(prefix));
        page_of(query.limit(limit.into()).set_exclusive_start_key(start_key(partition, after))).await
    }

    /// Like [`Store::query_page`], from the last item to the first.
    pub(super) async fn query_page_backwards(
        &self,
        partition: String,
        prefix: &str,
        before: Option<String>,
        limit: u16,
    ) -> Result<(Vec<Item>, bool), StoreError> {
        let query = self.start_query(partition.clone(), Some(prefix)).scan_index_forward(false);
        page_of(query.limit(limit.into()).set_exclusive_start_key(start_key(partition, before))).await
    }

    /// Returns up to `limit` items of a partition whose sort keys are in a range, from the last item to the first, and true if there may
    /// be more. One consistent read.
    pub(super) async fn query_range_backwards(
        &self,
        partition: String,
        [first, last]: [String; 2],
        limit: u16,
    ) -> Result<(Vec<Item>, bool), StoreError> {
        let query = self.client.query().table_name(&self.table).consistent_read(true).scan_index_forward(false);
        let query = query.key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last");
        let query = query.expression_attribute_values(":pk", item::string(partition));
        let query = query.expression_attribute_values(":first", item::string(first));
        page_of(query.expression_attribute_values(":last", item::string(last)).limit(limit.into())).await
    }

    /// Returns up to `limit` items of a partition, from the one behind the sort key `after`, and true if there may be more. One
    /// consistent read.
    pub(super) async fn items_after(
        &self,
        partition: String,
        after: String,
        limit: u16,
    ) -> Result<(Vec<Item>, bool), StoreError> {
        let query = self.start_query(partition.clone(), None);
        page_of(query.limit(limit.into()).set_exclusive_start_key(start_key(partition, Some(after)))).await
    }

    /// Returns up to `limit` items of a partition whose sort keys are behind `start`, and true if there may be more. One
    /// consistent read.
    pub(super) async fn query_behind(
        &self,
        partition: String,
        start: &str,
        limit: u16,
    ) -> Result<(Vec<Item>, bool), StoreError> {
        let query = self.client.query().table_name(&self.table).consistent_read(true).limit(limit.into());
        let query = query.key_condition_expression("pk = :pk AND sk > :start");
        let query = query.expression_attribute_values(":pk", item::string(partition));
        page_of(query.expression_attribute_values(":start", item::string(start))).await
    }

    /// Returns the sort keys of the first and the last item of a partition whose sort keys start with `prefix`. Two consistent
    /// reads.
    pub(super) async fn outermost_items(&self, partition: String, prefix: &str) -> Result<[Vec<Item>; 2], StoreError> {
        let outermost = [true, false].map(|forward| {
            self.start_query(partition.clone(), Some(prefix)).limit(1).scan_index_forward(forward).send()
        });
        let [first, last] = outermost;
        let (first, last) = tokio::try_join!(first, last)?;
        Ok([first, last].map(|page| page.items.unwrap_or_default()))
    }

    /// Returns the items of a partition whose sort keys are from `first` to `last`, of which there are few. One consistent query.
    pub(super) async fn query_between(
        &self,
        partition: String,
        first: &str,
        last: &str,
    ) -> Result<Vec<Item>, StoreError> {
        let query = self.client.query().table_name(&self.table).consistent_read(true);
        let query = query.key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last");
        let query = query.expression_attribute_values(":pk", item::string(partition));
        let query = query.expression_attribute_values(":first", item::string(first));
        let query = query.expression_attribute_values(":last", item::string(last));
        Ok(query.send().await?.items.unwrap_or_default())
    }

    /// Returns the items of a partition that are due at `now`, of up to `limit` items that are read from `from` on; with a
    /// `prefix`, those whose sort keys start with it. One consistent query. An item without a time is among them, so that it is noticed.
    pub(super) async fn due_page(
        &self,
        partition: &str,
        prefix: Option<&str>,
        limit: i32,
        now: Timestamp,
        from: Option<Item>,
    ) -> Result<QueryOutput, StoreError> {
        let is_due = "due_at <= :now OR NOT attribute_type(due_at, :number)";
        let query = self.start_query(partition.to_owned(), prefix).limit(limit).filter_expression(is_due);
        let query = query.expression_attribute_values(":number", item::string("N"));
        let query = query.expression_attribute_values(":now", item::seconds(now)).set_exclusive_start_key(from);
        Ok(query.send().await?)
    }

    fn start_query(&self, partition: String, prefix: Option<&str>) -> QueryFluentBuilder {
        let condition = match prefix {
            Some(_) => "pk = :pk AND begins_with(sk, :prefix)",
            None => "pk = :pk",
        };
        let mut values = HashMap::from([(":pk".to_owned(), item::string(partition))]);
        values.extend(prefix.map(|prefix| (":prefix".to_owned(), item::string(prefix))));
        let query = self.client.query().table_name(&self.table).consistent_read(true);
        query.key_condition_expression(condition).set_expression_attribute_values(Some(values))
    }

    /// Returns the items under `keys`, at most 100, in any order. One consistent read, unless DynamoDB answers in parts.
    pub(super) async fn batch_get(&self, keys: impl IntoIterator<Item = Key<'_>>) -> Result<Vec<Item>, StoreError> {
        let keys = keys.into_iter().map(Key::item).collect();
        let mut left = Some(KeysAndAttributes::builder().consistent_read(true).set_keys(Some(keys)).build()?);
        let mut items = Vec::new();
        for attempt in 0..BATCH_ATTEMPTS {
            let Some(request) = left else { return Ok(items) };
            let answer = self.client.batch_get_item().request_items(&self.table, request).send().await?;
            items.extend(answer.responses.into_iter().flat_map(HashMap::into_values).flatten());
            left = answer.unprocessed_keys.and_then(|tables| tables.into_values().next());
            if left.is_some() {
                retry::pause(attempt).await;
            }
        }
        Err(StoreError::NoAnswer("DynamoDB left keys of a batch unprocessed".to_owned()))
    }
}

/// Sends a query. Returns its items, and true if there may be more.
async fn page_of(query: QueryFluentBuilder) -> Result<(Vec<Item>, bool), StoreError> {
    let page = query.send().await?;
    let more = page.last_evaluated_key().is_some();
    Ok((page.items.unwrap_or_default(), more))
}

fn start_key(partition: String, sort_key: Option<String>) -> Option<Item> {
    let sort_key = sort_key?;
    Some([("pk".to_owned(), item::string(partition)), ("sk".to_owned(), item::string(sort_key))].into())
}
