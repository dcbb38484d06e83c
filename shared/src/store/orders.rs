//! Open orders: one item a pool, until the pool has what is ordered.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use jiff::Timestamp;

use super::item::{self, Key, ORDER_PARTITION};
use super::passed_over::PassedOver;
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::order::{OpenOrder, OrderRun, Ordered};
use crate::domain::tenant::Pool;
use crate::retry;

/// Maximum number of attempts to place an order while others place orders for the same pool.
const ATTEMPTS: u32 = 10;

impl Store {
    /// Makes `ordered` the order of its pool, in place of any other. The same order that is open already stays, and its
    /// next run does not wait.
    pub async fn place_order(&self, ordered: &Ordered, now: Timestamp) -> Result<OpenOrder, StoreError> {
        for attempt in 0..ATTEMPTS {
            let open = self.order(ordered.pool()).await?;
            let placed = match open.clone() {
                Some(open) if open.ordered == *ordered => open.requested_again(),
                _ => OpenOrder::new(ordered.clone(), now),
            };
            if self.replace_order(open.as_ref(), &placed).await? {
                return Ok(placed);
            }
            retry::pause(attempt).await;
        }
        Err(StoreError::Contended("an order"))
    }

    /// Returns the open order of a pool.
    pub async fn order(&self, pool: Pool) -> Result<Option<OpenOrder>, StoreError> {
        self.get(Key::Order(pool)).await
    }

    /// Returns all open orders that can be read.
    pub async fn orders(&self) -> Result<Vec<OpenOrder>, StoreError> {
        Ok(PassedOver::list(self.query(ORDER_PARTITION.to_owned(), None).await?, item::read))
    }

    /// Records a run of an order that did not complete it, and returns the order as it is then. `None` if another request
    /// has replaced it, or has asked for it again.
    pub async fn note_order_run(&self, order: &OpenOrder, run: &OrderRun) -> Result<Option<OpenOrder>, StoreError> {
        for attempt in 0..ATTEMPTS {
            let same = |open: &OpenOrder| open.id == order.id && open.requests == order.requests;
            let Some(open) = self.order(order.ordered.pool()).await?.filter(same) else { return Ok(None) };
            let after = open.clone().after(run);
            if self.replace_order(Some(&open), &after).await? {
                return Ok(Some(after));
            }
            retry::pause(attempt).await;
        }
        // Another run is at it, which notes the same.
        Ok(None)
    }

    /// Deletes an order that is complete.
    pub async fn complete_order(&self, order: &OpenOrder) -> Result<(), StoreError> {
        self.delete_order(order, Write::delete(Key::Order(order.ordered.pool()))).await.map(drop)
    }

    /// Deletes an order, unless somebody has asked for it again. False if it was not deleted.
    pub async fn withdraw_order(&self, order: &OpenOrder) -> Result<bool, StoreError> {
        let delete = Write::delete(Key::Order(order.ordered.pool()))
            .when("requests = :requests")
            .bind(":requests", item::integer(order.requests));
        self.delete_order(order, delete).await
    }

    async fn delete_order(&self, order: &OpenOrder, delete: Write) -> Result<bool, StoreError> {
        let delete = delete.when("id = :id").bind(":id", item::string(&order.id));
        let delete = delete.into_delete_item(&self.client, &self.table);
        retry::contended(ATTEMPTS, StoreError::Contended("an order"), || async {
            use std::ops::ControlFlow::{Break, Continue};
            match delete.clone().send().await {
                Ok(_) => Ok(Break(true)),
                Err(SdkError::ServiceError(error)) => match error.err() {
                    DeleteItemError::ConditionalCheckFailedException(_) => Ok(Break(false)),
                    // A purchase for it is being recorded.
                    DeleteItemError::TransactionConflictException(_) => Ok(Continue(())),
                    _ => Err(StoreError::from(SdkError::ServiceError(error))),
                },
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// Puts `new` in the place of the order `read`. False if that has changed.
    async fn replace_order(&self, read: Option<&OpenOrder>, new: &OpenOrder) -> Result<bool, StoreError> {
        let put = Write::put(Key::Order(new.ordered.pool()).with(new, None)?);
        let put = match read {
            None => put.when("attribute_not_exists(pk)"),
            Some(read) => put
                .when("id = :id AND requests = :requests AND failures = :failures AND bought = :bought")
                .bind(":id", item::string(&read.id))
                .bind(":requests", item::integer(read.requests))
                .bind(":failures", item::integer(read.failures))
                .bind(":bought", item::integer(read.bought)),
        };
        match put.into_put_item(&self.client, &self.table).send().await {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(error)) => match error.err() {
                PutItemError::ConditionalCheckFailedException(_) => Ok(false),
                refused if refused.code() == Some("TransactionConflictException") => Ok(false),
                _ => Err(StoreError::from(SdkError::ServiceError(error))),
            },
            Err(error) => Err(error.into()),
        }
    }
}

/// Counts a purchase for an order, on the condition that it is still the order of its pool.
pub(super) fn count_purchase(order: &OpenOrder) -> Write {
    Write::update(Key::Order(order.ordered.pool()))
        .add("bought :one")
        .when("id = :order")
        .bind(":one", item::integer(1u64))
        .bind(":order", item::string(&order.id))
}
