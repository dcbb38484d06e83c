//! Transactions and single updates, with repetition after conflicts.

use std::ops::ControlFlow::{self, Break, Continue};

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{CancellationReason, ReturnValue, ReturnValuesOnConditionCheckFailure};

use super::item::{Item, Key};
use super::write::Write;
use super::{Store, StoreError};
use crate::retry;

/// Result of a transaction that DynamoDB carried out or cancelled.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All items were written.
    Committed,
    /// No item was written. The conditions at these positions did not hold; there are none if another transaction was
    /// changing the same items.
    Cancelled(Vec<usize>),
}

/// Result of an update of one item.
#[derive(Debug)]
pub(super) enum Updated {
    /// It is done.
    Yes,
    /// The condition did not hold. The item as it is; `None` if there is none.
    No(Option<Item>),
}

/// Maximum number of attempts of a write that conflicts with transactions on the same items.
const CONFLICTS: u32 = 8;

/// Maximum number of repetitions of a transaction that DynamoDB throttles. The SDK repeats every other throttled
/// operation itself, but not a transaction.
const THROTTLED: u32 = 3;

impl Store {
    /// Carries out all of `writes` or none. DynamoDB carries out the same `token` once, however often it is sent within
    /// ten minutes.
    pub(super) async fn transact(&self, writes: Vec<Write>, token: Option<String>) -> Result<Outcome, StoreError> {
        let of_its_table = |write: Write| {
            let table = self.table_with(write.is_of_journal())?;
            write.into_transact_item(table)
        };
        let items = writes.into_iter().map(of_its_table).collect::<Result<_, _>>()?;
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

    /// Like [`Store::transact`], but repeats a transaction that conflicts with another one. True if all conditions held.
    pub(super) async fn transact_settled(&self, writes: Vec<Write>) -> Result<bool, StoreError> {
        Ok(self.transact_or_failed(writes).await?.is_empty())
    }

    /// Like [`Store::transact_settled`], but returns the positions of the conditions that did not hold.
    pub(super) async fn transact_or_failed(&self, writes: Vec<Write>) -> Result<Vec<usize>, StoreError> {
        let (contended, writes) = (StoreError::Contended("the items of a transaction"), &writes);
        retry::contended(CONFLICTS, contended, || async move {
            Ok(match self.transact(writes.clone(), None).await? {
                Outcome::Committed => Break(Vec::new()),
                Outcome::Cancelled(failed) if !failed.is_empty() => Break(failed),
                Outcome::Cancelled(_) => Continue(()),
            })
        })
        .await
    }

    /// Updates one item outside a transaction, and repeats that if it conflicts with one. True if the condition held.
    pub(super) async fn update(&self, update: Write) -> Result<bool, StoreError> {
        let table = self.table_with(update.is_of_journal())?;
        let update = update.into_update_item(&self.client, table);
        retry::contended(CONFLICTS, StoreError::Contended("an item"), || async {
            match update.clone().send().await {
                Ok(_) => Ok(Break(true)),
                Err(error) => condition_failed(error),
            }
        })
        .await
    }

    /// Puts one item outside a transaction, and repeats that if it conflicts with one. True if the condition held.
    pub(super) async fn put(&self, put: Write) -> Result<bool, StoreError> {
        let table = self.table_with(put.is_of_journal())?;
        let put = put.into_put_item(&self.client, table);
        retry::contended(CONFLICTS, StoreError::Contended("an item"), || async {
            match put.clone().send().await {
                Ok(_) => Ok(Break(true)),
                Err(error) => condition_failed(error),
            }
        })
        .await
    }

    /// Deletes one item under a condition, outside a transaction, which would cost twice as much, and repeats that if it conflicts
    /// with one. True if the condition held.
    pub(super) async fn delete(&self, delete: Write) -> Result<bool, StoreError> {
        let delete = delete.into_delete_item(&self.client, &self.table);
        retry::contended(CONFLICTS, StoreError::Contended("an item"), || async {
            match delete.clone().send().await {
                Ok(_) => Ok(Break(true)),
                Err(error) => condition_failed(error),
            }
        })
        .await
    }

    /// Updates one item outside a transaction, and repeats that if it conflicts with one. Returns the attributes that it changed,
    /// or `None` if the condition did not hold.
    pub(super) async fn update_returning(&self, update: Write) -> Result<Option<Item>, StoreError> {
        let update = update.into_update_item(&self.client, &self.table).return_values(ReturnValue::UpdatedNew);
        retry::contended(CONFLICTS, StoreError::Contended("an item"), || async {
            match update.clone().send().await {
                Ok(updated) => Ok(Break(updated.attributes)),
                Err(error) => Ok(condition_failed(error)?.map_break(|_| None)),
            }
        })
        .await
    }

    /// Updates one item outside a transaction. Returns the item as it is if the condition did not hold, else `None`. The condition holds
    /// for an item that is not there.
    pub(super) async fn update_or_return(&self, update: Write) -> Result<Option<Item>, StoreError> {
        match self.update_or_find(update).await? {
            Updated::Yes => Ok(None),
            Updated::No(Some(item)) => Ok(Some(item)),
            Updated::No(None) => Err(StoreError::Malformed("a failed condition without its item".to_owned())),
        }
    }

    /// Updates one item outside a transaction, and repeats that if it conflicts with one. If the condition did not hold, returns the item
    /// as it is, which costs no read.
    pub(super) async fn update_or_find(&self, update: Write) -> Result<Updated, StoreError> {
        let update = update.into_update_item(&self.client, &self.table);
        let update = update.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        retry::contended(CONFLICTS, StoreError::Contended("an item"), || async {
            match update.clone().send().await {
                Ok(_) => Ok(Break(Updated::Yes)),
                Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => {
                    let UpdateItemError::ConditionalCheckFailedException(failed) = error.into_err() else {
                        return Err(StoreError::Malformed("a failed condition of another kind".to_owned()));
                    };
                    Ok(Break(Updated::No(failed.item.filter(|item| !item.is_empty()))))
                }
                Err(error) => Ok(condition_failed(error)?.map_break(|_| Updated::No(None))),
            }
        })
        .await
    }

    /// Deletes one item, outside a transaction and without a condition.
    pub(super) async fn delete_item(&self, key: Key<'_>) -> Result<(), StoreError> {
        self.client.delete_item().table_name(&self.table).set_key(Some(key.item())).send().await?;
        Ok(())
    }
}

/// Returns false if the condition of a single write did not hold, and continues if it conflicted with a transaction.
fn condition_failed<E>(error: SdkError<E, HttpResponse>) -> Result<ControlFlow<bool>, StoreError>
where
    SdkError<E, HttpResponse>: ProvideErrorMetadata,
    E: std::error::Error + 'static,
{
    match error.code() {
        Some("ConditionalCheckFailedException") => Ok(Break(false)),
        Some("TransactionConflictException") => Ok(Continue(())),
        _ => Err(error.into()),
    }
}

/// Returns the reasons of a cancelled transaction, one for each item, or `None` if it failed in another way.
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

/// Returns the positions of the conditions that cancelled the transaction, or `None` if it failed for another reason.
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
