//! Routes: one GetItem for a call, one Query for the choice of a number.

use std::collections::HashMap;

use jiff::Timestamp;

use super::item::{self, Key, NUMBER_PREFIX, OWN_NUMBER};
use super::{Store, StoreError};
use crate::caller::CallerKeys;
use crate::phone::{RealNumber, VirtualNumber};
use crate::route::Route;

/// What a look for routes has found.
#[derive(Debug, Default)]
pub struct LastRoutes {
    /// When the last route to a number lives out. A number to which none leads is not in here.
    pub until: HashMap<VirtualNumber, Timestamp>,
    /// How many pages of the table were read for it.
    pub pages: u32,
}

impl Store {
    /// The route of `caller` under `dialled`, in whatever state. One consistent read, so that a conversation leads
    /// somewhere from the moment in which it was created, and nowhere from the moment in which it was ended.
    pub async fn route(&self, caller: &RealNumber, dialled: &VirtualNumber) -> Result<Option<Route>, StoreError> {
        self.get(Key::Route { caller, dialled }).await
    }

    /// What `caller` holds, and has held. One consistent query.
    pub async fn caller_keys(&self, caller: &RealNumber, now: Timestamp) -> Result<CallerKeys, StoreError> {
        let items = self.query(item::caller_partition(caller.expose()), None).await?;
        let mut keys = CallerKeys::default();
        for item in items {
            if item::sort_key(&item) == OWN_NUMBER {
                // A number that was given back is remembered for a while.
                keys.is_virtual = item::time(&item, "ttl").is_none_or(|until| now < until);
            } else if let Some(dialled) = item::dialled(&item) {
                keys.by_number.insert(dialled, item::read(item)?);
            }
        }
        Ok(keys)
    }

    /// Until when routes to each of `numbers` (at most 50) are live or in quarantine.
    ///
    /// Nothing leads from a number to its callers, so this reads the whole table. Only a schedule may do that, and only
    /// while a number is being drained.
    pub async fn last_routes(&self, numbers: &[VirtualNumber], now: Timestamp) -> Result<LastRoutes, StoreError> {
        let placeholders: Vec<String> = (0..numbers.len()).map(|index| format!(":{index}")).collect();
        let mut scan = self
            .client
            .scan()
            .table_name(&self.table)
            .consistent_read(true)
            // A page is then read well within the time limit of one attempt.
            .limit(2000)
            .projection_expression("sk, quarantined_until")
            .filter_expression(format!(
                "begins_with(pk, :callers) AND sk IN ({}) AND quarantined_until > :now",
                placeholders.join(", ")
            ))
            .expression_attribute_values(":callers", item::string(item::caller_partition("")))
            .expression_attribute_values(":now", item::seconds(now));
        for (placeholder, number) in placeholders.into_iter().zip(numbers) {
            scan = scan.expression_attribute_values(placeholder, item::string(format!("{NUMBER_PREFIX}{number}")));
        }
        let mut pages = scan.into_paginator().send();
        let mut last = LastRoutes::default();
        while let Some(page) = pages.next().await {
            last.pages += 1;
            for item in page?.items() {
                if let (Some(number), Some(until)) = (item::dialled(item), item::time(item, "quarantined_until")) {
                    let latest = last.until.entry(number).or_insert(until);
                    *latest = until.max(*latest);
                }
            }
        }
        Ok(last)
    }
}
