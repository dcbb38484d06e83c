//! Carrier records that Vonage has to redact: one item a record, in one partition, with only Vonage's own id.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::item::{self, Item, Key, REDACTION_PARTITION};
use super::passed_over::PassedOver;
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::carrier_record::{CarrierRecord, Product};

/// Age from which Vonage redacts a record: an hour, in which the record spreads through its systems, and a little more.
/// Source: Vonage Redact API, "premature-redaction".
pub const REDACTED_AFTER: SignedDuration = SignedDuration::from_mins(61);

/// Time after which the table deletes a redaction that no run has requested, because the schedule does not run.
const ABANDONED_AFTER: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Maximum number of records that one transaction writes.
const RECORDS_PER_TRANSACTION: usize = 100;

/// Maximum number of items that one page of [`Store::due_redactions`] reads.
const PAGE: i32 = 500;

/// A carrier record that Vonage has to redact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redaction {
    /// The record.
    #[serde(flatten)]
    pub record: CarrierRecord,
    /// Time of the erasure of its conversation.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub since: Timestamp,
    /// Time of the next request to Vonage.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub due_at: Timestamp,
}

/// A page of due redactions.
#[derive(Debug)]
pub struct DueRedactions {
    /// Due redactions of this page that can be read.
    pub redactions: Vec<Redaction>,
    /// Start of the next page, or `None` if this was the last one.
    pub next: Option<HashMap<String, AttributeValue>>,
}

impl Store {
    /// Lists `records`, which were all made by `now`, for redaction. Can be repeated.
    pub async fn request_redaction(&self, records: &[CarrierRecord], now: Timestamp) -> Result<(), StoreError> {
        // A transaction may contain an item only once.
        let mut unique: Vec<&CarrierRecord> = Vec::new();
        for record in records {
            if !unique.iter().any(|other| (other.product, &other.id) == (record.product, &record.id)) {
                unique.push(record);
            }
        }
        for records in unique.chunks(RECORDS_PER_TRANSACTION) {
            let transaction = records.iter().map(|record| redaction(record, now)).collect::<Result<_, _>>()?;
            self.transact_settled(transaction).await?;
        }
        Ok(())
    }

    /// Returns a page of the redactions of this `product` that are due at `now`, starting at `from`.
    pub async fn due_redactions(
        &self,
        product: Product,
        now: Timestamp,
        from: Option<Item>,
    ) -> Result<DueRedactions, StoreError> {
        let prefix = item::redaction_prefix(product);
        let page = self.due_page(REDACTION_PARTITION, Some(&prefix), PAGE, now, from).await?;
        let redactions = PassedOver::list(page.items.unwrap_or_default(), item::read);
        Ok(DueRedactions { redactions, next: page.last_evaluated_key })
    }

    /// Deletes a redaction that is done or given up, unless it was requested again since it was read.
    pub async fn forget_redaction(&self, redaction: &Redaction) -> Result<(), StoreError> {
        let delete = Write::delete(Key::Redaction(&redaction.record))
            .when("due_at = :seen")
            .bind(":seen", item::seconds(redaction.due_at));
        self.delete(delete).await.map(drop)
    }

    /// Postpones a redaction to `due_at`, unless it was requested again since it was read.
    pub async fn postpone_redaction(&self, redaction: &Redaction, due_at: Timestamp) -> Result<(), StoreError> {
        let update = Write::update(Key::Redaction(&redaction.record))
            .set("due_at = :due")
            .when("due_at = :seen")
            .bind(":due", item::seconds(due_at))
            .bind(":seen", item::seconds(redaction.due_at));
        self.update(update).await.map(drop)
    }
}

fn redaction(record: &CarrierRecord, now: Timestamp) -> Result<Write, StoreError> {
    Ok(Write::update(Key::Redaction(record))
        .set("id = :id, product = :product, direction = :direction")
        .set("since = if_not_exists(since, :now), due_at = :due")
        .set_ttl(now + ABANDONED_AFTER)
        .bind(":id", item::string(record.id.as_str()))
        .bind(":product", item::string(record.product.as_str()))
        .bind(":direction", item::value(record.direction)?)
        .bind(":now", item::seconds(now))
        .bind(":due", item::seconds(now + REDACTED_AFTER)))
}
