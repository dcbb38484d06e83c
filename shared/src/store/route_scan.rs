//! Scan of the whole table for routes to draining numbers.
//!
//! No index leads from a number to its callers, because no call needs one. So the schedule reads the whole table, a page
//! at a time. Its progress is saved, so that the next run can continue the scan.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::item::{self, Key, NUMBER_PREFIX};
use super::{Store, StoreError};
use crate::domain::phone::VirtualNumber;

/// Maximum number of numbers that one scan covers.
pub const MAX_NUMBERS: usize = 50;

/// Maximum number of items in a page. Such a page is read well within the time limit of one attempt.
const PAGE: i32 = 2000;

/// Progress of a scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteScan {
    /// The numbers that it covers.
    pub numbers: Vec<VirtualNumber>,
    /// Number of pages that it has read.
    pub pages: u32,
    /// True if it has read the whole table.
    pub is_complete: bool,
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    began_at: Timestamp,
    /// Latest end of a quarantine among the routes to each number, in seconds since 1970.
    until: HashMap<VirtualNumber, i64>,
    position: Option<HashMap<String, String>>,
}

impl RouteScan {
    /// Starts a scan for routes that are live or in quarantine at `now`, to at most [`MAX_NUMBERS`] numbers.
    pub fn new(numbers: Vec<VirtualNumber>, now: Timestamp) -> Self {
        Self { numbers, pages: 0, is_complete: false, began_at: now, until: HashMap::new(), position: None }
    }

    /// Returns the time at which the last route to `number` leaves quarantine, if the scan has found a route.
    pub fn last_route(&self, number: &VirtualNumber) -> Option<Timestamp> {
        self.until.get(number).and_then(|seconds| Timestamp::from_second(*seconds).ok())
    }
}

impl Store {
    /// Returns the saved scan of a previous run.
    pub async fn saved_route_scan(&self) -> Result<Option<RouteScan>, StoreError> {
        self.get(Key::RouteScan).await
    }

    /// Saves a scan for the next run.
    pub async fn save_route_scan(&self, scan: &RouteScan) -> Result<(), StoreError> {
        let item = Key::RouteScan.with(scan, None)?;
        self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await?;
        Ok(())
    }

    /// Deletes the saved scan.
    pub async fn delete_route_scan(&self) -> Result<(), StoreError> {
        self.delete_item(Key::RouteScan).await
    }

    /// Reads the next page. The scan also accounts for a route that moves to another phone's key at the same time,
    /// because its old key, which was live at the start, stays in quarantine.
    pub async fn continue_route_scan(&self, scan: &mut RouteScan) -> Result<(), StoreError> {
        let placeholders: Vec<String> = (0..scan.numbers.len()).map(|index| format!(":{index}")).collect();
        let mut request = self
            .client
            .scan()
            .table_name(&self.table)
            .limit(PAGE)
            .projection_expression("pk, sk, quarantined_until")
            .filter_expression(format!(
                "begins_with(pk, :callers) AND sk IN ({}) AND quarantined_until > :began",
                placeholders.join(", ")
            ))
            .expression_attribute_values(":callers", item::string(item::caller_partition("")))
            .expression_attribute_values(":began", item::seconds(scan.began_at));
        for (placeholder, number) in placeholders.into_iter().zip(&scan.numbers) {
            let sort_key = item::string(format!("{NUMBER_PREFIX}{number}"));
            request = request.expression_attribute_values(placeholder, sort_key);
        }
        if let Some(position) = &scan.position {
            let key = position.iter().map(|(name, value)| (name.clone(), item::string(value))).collect();
            request = request.set_exclusive_start_key(Some(key));
        }
        let page = request.send().await?;
        for item in page.items() {
            if let (Some(number), Some(until)) = (item::dialled(item), item::time(item, "quarantined_until")) {
                let latest = scan.until.entry(number).or_insert(until.as_second());
                *latest = until.as_second().max(*latest);
            }
        }
        let text = |(name, value): (&String, &AttributeValue)| Some((name.clone(), value.as_s().ok()?.clone()));
        scan.pages += 1;
        scan.position = page.last_evaluated_key().map(|key| key.iter().filter_map(text).collect());
        scan.is_complete = scan.position.is_none();
        Ok(())
    }
}
