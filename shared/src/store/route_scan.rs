//! A look through the whole table for routes to numbers that are being drained.
//!
//! Nothing leads from a number to its callers, because no call asks that. So the schedule, and nobody else, reads all of
//! the table, a page at a time, and what it has seen is kept, so that a run whose time is over leaves the rest to the next.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::item::{self, Key, NUMBER_PREFIX};
use super::{Store, StoreError};
use crate::domain::phone::VirtualNumber;

/// The most numbers that one look is about.
pub const MAX_NUMBERS: usize = 50;

/// How far a look has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// The numbers that it is about.
    pub numbers: Vec<VirtualNumber>,
    /// How many pages it has read.
    pub pages: u32,
    /// Whether it has come to the end.
    pub is_complete: bool,
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    began_at: Timestamp,
    /// When the last route found to a number lives out, in seconds since 1970.
    until: HashMap<VirtualNumber, i64>,
    position: Option<HashMap<String, String>>,
}

impl Look {
    /// A look for routes that are live or in quarantine at `now`, to at most [`MAX_NUMBERS`] numbers.
    pub fn new(numbers: Vec<VirtualNumber>, now: Timestamp) -> Self {
        Self { numbers, pages: 0, is_complete: false, began_at: now, until: HashMap::new(), position: None }
    }

    /// When the last route to `number` lives out, as far as one was found.
    pub fn last_route(&self, number: &VirtualNumber) -> Option<Timestamp> {
        self.until.get(number).and_then(|seconds| Timestamp::from_second(*seconds).ok())
    }
}

impl Store {
    /// The look that an earlier run has begun and not finished.
    pub async fn begun_look(&self) -> Result<Option<Look>, StoreError> {
        self.get(Key::Look).await
    }

    /// Keeps a look for the next run.
    pub async fn keep_look(&self, look: &Look) -> Result<(), StoreError> {
        let item = Key::Look.with(look, None)?;
        self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await?;
        Ok(())
    }

    /// Forgets the kept look.
    pub async fn forget_look(&self) -> Result<(), StoreError> {
        self.client.delete_item().table_name(&self.table).set_key(Some(Key::Look.item())).send().await?;
        Ok(())
    }

    /// Reads the next page. A route that moves to another phone's key meanwhile is not missed: its old key, which was live
    /// when the look began, stays in quarantine.
    pub async fn look_on(&self, look: &mut Look) -> Result<(), StoreError> {
        let placeholders: Vec<String> = (0..look.numbers.len()).map(|index| format!(":{index}")).collect();
        let mut scan = self
            .client
            .scan()
            .table_name(&self.table)
            // A page is then read well within the time limit of one attempt.
            .limit(2000)
            .projection_expression("pk, sk, quarantined_until")
            .filter_expression(format!(
                "begins_with(pk, :callers) AND sk IN ({}) AND quarantined_until > :began",
                placeholders.join(", ")
            ))
            .expression_attribute_values(":callers", item::string(item::caller_partition("")))
            .expression_attribute_values(":began", item::seconds(look.began_at));
        for (placeholder, number) in placeholders.into_iter().zip(&look.numbers) {
            scan = scan.expression_attribute_values(placeholder, item::string(format!("{NUMBER_PREFIX}{number}")));
        }
        if let Some(position) = &look.position {
            let key = position.iter().map(|(name, value)| (name.clone(), item::string(value))).collect();
            scan = scan.set_exclusive_start_key(Some(key));
        }
        let page = scan.send().await?;
        for item in page.items() {
            if let (Some(number), Some(until)) = (item::dialled(item), item::time(item, "quarantined_until")) {
                let latest = look.until.entry(number).or_insert(until.as_second());
                *latest = until.as_second().max(*latest);
            }
        }
        let text = |(name, value): (&String, &aws_sdk_dynamodb::types::AttributeValue)| {
            value.as_s().ok().map(|value| (name.clone(), value.clone()))
        };
        look.pages += 1;
        look.position = page.last_evaluated_key().map(|key| key.iter().filter_map(text).collect());
        look.is_complete = look.position.is_none();
        Ok(())
    }
}
