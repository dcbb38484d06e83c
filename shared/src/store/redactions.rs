//! What Vonage is to be asked to redact: one item a record, in one partition, with nothing in it but Vonage's own id.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{TransactWriteItem, Update};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::item::{self, Item, Key, REDACTION_PARTITION};
use super::{Store, StoreError};
use crate::domain::carrier_record::CarrierRecord;

/// How long after a record was made Vonage takes it: an hour, in which the record spreads through its systems, and a
/// little more. Source: Vonage Redact API, "premature-redaction".
pub const REDACTED_AFTER: SignedDuration = SignedDuration::from_mins(61);

/// How long the table keeps what nobody asks for, because the schedule does not run.
const KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);

/// How many records one transaction writes.
const AT_ONCE: usize = 100;

/// A record that Vonage is to be asked to redact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redaction {
    /// The record.
    #[serde(flatten)]
    pub record: CarrierRecord,
    /// When its conversation was erased.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub since: Timestamp,
    /// When to ask next.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub due_at: Timestamp,
}

/// Some of what is due, and where to go on.
#[derive(Debug)]
pub struct DueRedactions {
    /// What is due.
    pub redactions: Vec<Redaction>,
    /// Where the next ones are; none if these were the last.
    pub next: Option<HashMap<String, aws_sdk_dynamodb::types::AttributeValue>>,
}

impl Store {
    /// Writes down that Vonage is to redact `records`, which are all made by `now`. As often as it is done.
    pub async fn ask_to_redact(&self, records: &[CarrierRecord], now: Timestamp) -> Result<(), StoreError> {
        // A transaction takes an item once.
        let mut once: Vec<&CarrierRecord> = Vec::new();
        for record in records {
            if !once.iter().any(|other| (other.product, &other.id) == (record.product, &record.id)) {
                once.push(record);
            }
        }
        for records in once.chunks(AT_ONCE) {
            let transaction = records.iter().map(|record| self.redaction(record, now)).collect::<Result<_, _>>()?;
            self.transact_settled(transaction).await?;
        }
        Ok(())
    }

    fn redaction(&self, record: &CarrierRecord, now: Timestamp) -> Result<TransactWriteItem, StoreError> {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(Key::Redaction(record).item()))
            .update_expression(
                "SET id = :id, product = :product, direction = :direction, since = if_not_exists(since, :now), \
                 due_at = :due, #ttl = :ttl",
            )
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":id", item::string(record.id.as_str()))
            .expression_attribute_values(":product", item::string(record.product.as_str()))
            .expression_attribute_values(":direction", serde_dynamo::to_attribute_value(record.direction)?)
            .expression_attribute_values(":now", item::seconds(now))
            .expression_attribute_values(":due", item::seconds(now + REDACTED_AFTER))
            .expression_attribute_values(":ttl", item::seconds(now + KEPT))
            .build()?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// The next of those that are due at `now`, a page at a time.
    pub async fn due_redactions(&self, now: Timestamp, from: Option<Item>) -> Result<DueRedactions, StoreError> {
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .limit(500)
            .key_condition_expression("pk = :pk")
            .filter_expression("due_at <= :now")
            .expression_attribute_values(":pk", item::string(REDACTION_PARTITION))
            .expression_attribute_values(":now", item::seconds(now))
            .set_exclusive_start_key(from)
            .send()
            .await?;
        let redactions = page.items.unwrap_or_default().into_iter().map(item::read).collect::<Result<_, _>>()?;
        Ok(DueRedactions { redactions, next: page.last_evaluated_key })
    }

    /// Forgets a redaction, because it is done or given up, unless it is asked for again meanwhile.
    pub async fn forget_redaction(&self, redaction: &Redaction) -> Result<(), StoreError> {
        let seen = item::seconds(redaction.due_at);
        let delete = self.delete(Key::Redaction(&redaction.record).item(), Some(("due_at = :value", seen)))?;
        self.transact_settled(vec![delete]).await.map(drop)
    }

    /// Has it asked for again at `due_at`.
    pub async fn postpone_redaction(&self, redaction: &Redaction, due_at: Timestamp) -> Result<(), StoreError> {
        let key = Key::Redaction(&redaction.record).item();
        let update = self.client.update_item().table_name(&self.table).set_key(Some(key));
        let update = update
            .update_expression("SET due_at = :due")
            .condition_expression("due_at = :seen")
            .expression_attribute_values(":due", item::seconds(due_at))
            .expression_attribute_values(":seen", item::seconds(redaction.due_at));
        self.update(update).await.map(drop)
    }
}
