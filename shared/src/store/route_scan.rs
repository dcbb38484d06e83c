//! Scans of the whole table for routes to draining and lost numbers.
//!
//! No index leads from a number to its callers, because no call needs one. So the schedule reads the whole table, a page
//! at a time. Its progress is saved, so that the next run can continue the scan.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::item::{self, Item, Key, NUMBER_PREFIX, ScanPurpose};
use super::kinds::ItemKind;
use super::passed_over::PassedOver;
use super::{Store, StoreError};
use crate::domain::conversation::ConversationId;
use crate::domain::phone::VirtualNumber;

/// Maximum number of numbers that one scan covers.
pub const MAX_NUMBERS: usize = 50;

/// Maximum number of items in a page. Such a page is read well within the time limit of one attempt.
const PAGE: i32 = 2000;

/// Time for which a route that cannot be read keeps its number from being released. The next scan finds it again.
const UNREADABLE_IN_USE: SignedDuration = SignedDuration::from_hours(24);

/// Progress of a scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteScan {
    /// The numbers that it covers.
    pub numbers: Vec<VirtualNumber>,
    /// Number of pages that it has read.
    pub pages: u32,
    /// True if it has read the whole table.
    pub is_complete: bool,
    /// The time of its start.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub began_at: Timestamp,
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
    /// Returns the saved scan of a previous run. One that cannot be read begins again.
    pub async fn saved_route_scan(&self, purpose: ScanPurpose) -> Result<Option<RouteScan>, StoreError> {
        self.saved_progress(Key::RouteScan(purpose)).await
    }

    /// Saves a scan for the next run.
    pub async fn save_route_scan(&self, purpose: ScanPurpose, scan: &RouteScan) -> Result<(), StoreError> {
        let item = Key::RouteScan(purpose).with(scan, None)?;
        self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await?;
        Ok(())
    }

    /// Deletes the saved scan.
    pub async fn delete_route_scan(&self, purpose: ScanPurpose) -> Result<(), StoreError> {
        self.delete_item(Key::RouteScan(purpose)).await
    }

    /// Reads the next page. Returns the conversations of its routes to the numbers, and of those that present one of them,
    /// which were live when the scan began: somebody who only receives has no route. The scan also accounts for a route that moves to
    /// another phone's key at the same time, because its old key, which was live at the start, stays in quarantine.
    pub async fn continue_route_scan(&self, scan: &mut RouteScan) -> Result<Vec<ConversationId>, StoreError> {
        let placeholders: Vec<String> = (0..scan.numbers.len()).map(|index| format!(":{index}")).collect();
        let presented: Vec<String> = (0..scan.numbers.len()).map(|index| format!(":presented{index}")).collect();
        let mut request = self
            .client
            .scan()
            .table_name(&self.table)
            .limit(PAGE)
            .projection_expression("pk, sk, v, quarantined_until, expires_at, conversation")
            .filter_expression(format!(
                "begins_with(pk, :callers) AND (sk IN ({}) OR present_as IN ({})) AND (quarantined_until > :began \
                 OR v > :read OR NOT attribute_type(quarantined_until, :number))",
                placeholders.join(", "),
                presented.join(", ")
            ))
            .expression_attribute_values(":read", item::integer(ItemKind::Route.versions().read))
            .expression_attribute_values(":number", item::string("N"))
            .expression_attribute_values(":callers", item::string(item::caller_partition("")))
            .expression_attribute_values(":began", item::seconds(scan.began_at));
        for ((placeholder, presented), number) in placeholders.into_iter().zip(presented).zip(&scan.numbers) {
            let sort_key = item::string(format!("{NUMBER_PREFIX}{number}"));
            request = request.expression_attribute_values(placeholder, sort_key);
            request = request.expression_attribute_values(presented, item::string(number.as_str()));
        }
        if let Some(position) = &scan.position {
            let key = position.iter().map(|(name, value)| (name.clone(), item::string(value))).collect();
            request = request.set_exclusive_start_key(Some(key));
        }
        let page = request.send().await?;
        let was_live = |item: &&Item| item::time(item, "expires_at").is_some_and(|end| end > scan.began_at);
        let conversations = page.items().iter().filter(was_live).filter_map(conversation).collect();
        let mut passed_over = PassedOver::default();
        for item in page.items() {
            let Some(number) = item::dialled(item).filter(|number| scan.numbers.contains(number)) else { continue };
            let until = item::time(item, "quarantined_until");
            let until = match (passed_over.take(item::check_version(item)), until) {
                (Some(_), Some(until)) => Some(until),
                (None, until) => until.max(Some(scan.began_at + UNREADABLE_IN_USE)),
                (Some(name), None) => {
                    passed_over.add(StoreError::Unreadable(name, "its end is no time".to_owned()));
                    Some(scan.began_at + UNREADABLE_IN_USE)
                }
            };
            if let Some(until) = until {
                let latest = scan.until.entry(number).or_insert(until.as_second());
                *latest = until.as_second().max(*latest);
            }
        }
        let text = |(name, value): (&String, &AttributeValue)| Some((name.clone(), value.as_s().ok()?.clone()));
        scan.pages += 1;
        scan.position = page.last_evaluated_key().map(|key| key.iter().filter_map(text).collect());
        scan.is_complete = scan.position.is_none();
        Ok(conversations)
    }
}

/// Returns the conversation of a route. A tombstone has none.
fn conversation(route: &Item) -> Option<ConversationId> {
    ConversationId::try_from(route.get("conversation")?.as_s().ok()?.as_str()).ok()
}
