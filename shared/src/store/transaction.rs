//! What the transactions of all items share.

use std::ops::ControlFlow::{Break, Continue};

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{CancellationReason, Put, TransactWriteItem};
use jiff::Timestamp;

use super::item::{self, Item};
use super::{Store, StoreError};
use crate::retry;

/// How a transaction ended that was carried out or cancelled.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All of it was written.
    Committed,
    /// Nothing was written: the conditions at these positions did not hold. Empty if another transaction was at work
    /// on the same items.
    Cancelled(Vec<usize>),
}

/// How often a transaction is sent that meets others on the same items.
const CONFLICTS: u32 = 8;

/// How often a transaction is sent again that DynamoDB cancels because it is asked too often. The SDK, which does so for
/// every other operation, does not for this one.
const THROTTLED: u32 = 3;

impl Store {
    /// Writes all of `items` or nothing. Under the same `token` DynamoDB writes it once, however often it is sent
    /// within ten minutes.
    pub(super) async fn transact(
        &self,
        items: Vec<TransactWriteItem>,
        token: Option<String>,
    ) -> Result<Outcome, StoreError> {
        let request = self.client.transact_write_items().set_transact_items(Some(items));
        let request = request.set_client_request_token(token);
        let mut attempt = 0;
        loop {
            match request.clone().send().await {
                Ok(_) => return Ok(Outcome::Committed),
                Err(error) if attempt < THROTTLED && is_throttled(&error) => retry::pause(attempt + 2).await,
                Err(error) => return failed_conditions(&error).map(Outcome::Cancelled).ok_or_else(|| error.into()),
            }
            attempt += 1;
        }
    }

    /// Like [`Store::transact`], and again when another transaction is at work on the same items, which is nobody's
    /// refusal. Tells whether all conditions held.
    pub(super) async fn transact_settled(&self, items: Vec<TransactWriteItem>) -> Result<bool, StoreError> {
        let (contended, items) = (StoreError::Contended("the items of a transaction"), &items);
        retry::contended(CONFLICTS, contended, || async move {
            Ok(match self.transact(items.clone(), None).await? {
                Outcome::Committed => Break(true),
                Outcome::Cancelled(failed) if !failed.is_empty() => Break(false),
                Outcome::Cancelled(_) => Continue(()),
            })
        })
        .await
    }

    /// Sends an update of one item, and again when a transaction is at work on it. Tells whether its condition held.
    pub(super) async fn update(&self, update: UpdateItemFluentBuilder) -> Result<bool, StoreError> {
        retry::contended(CONFLICTS, StoreError::Contended("an item"), || async {
            match update.clone().send().await {
                Ok(_) => Ok(Break(true)),
                Err(error) => match error.code() {
                    Some("ConditionalCheckFailedException") => Ok(Break(false)),
                    Some("TransactionConflictException") => Ok(Continue(())),
                    _ => Err(StoreError::from(error)),
                },
            }
        })
        .await
    }

    pub(super) fn put(
        &self,
        item: Item,
        condition: &str,
        now: Option<Timestamp>,
    ) -> Result<TransactWriteItem, StoreError> {
        let mut put = Put::builder().table_name(&self.table).set_item(Some(item)).condition_expression(condition);
        if let Some(now) = now {
            put = put.expression_attribute_values(":now", item::seconds(now));
        }
        Ok(TransactWriteItem::builder().put(put.build()?).build())
    }
}

/// Why a transaction was cancelled, item by item; none if it was not, or failed for another reason.
fn cancellation<R>(error: &SdkError<TransactWriteItemsError, R>) -> Option<&[CancellationReason]> {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            Some(cancelled.cancellation_reasons())
        }
        _ => None,
    }
}

fn is_throttled<R>(error: &SdkError<TransactWriteItemsError, R>) -> bool {
    let throttled = ["ThrottlingError", "ProvisionedThroughputExceeded"];
    let reasons = cancellation(error).unwrap_or_default();
    reasons.iter().any(|reason| reason.code().is_some_and(|code| throttled.contains(&code)))
}

/// The conditions on which a transaction was cancelled; none if it failed for any other reason.
fn failed_conditions<R>(error: &SdkError<TransactWriteItemsError, R>) -> Option<Vec<usize>> {
    let mut positions = Vec::new();
    for (position, reason) in cancellation(error)?.iter().enumerate() {
        match reason.code() {
            Some("ConditionalCheckFailed") => positions.push(position),
            Some("TransactionConflict" | "None") | None => {}
            Some(_) => return None,
        }
    }
    Some(positions)
}
