//! The usage of a conversation with limits: one item, in the conversation's partition.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use rust_decimal::Decimal;

use super::item::{self, Item, Key};
use super::passed_over::{PassedOver, log};
use super::retention::leg_deleted_after;
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::call::Direction;
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::rates::Rates;
use crate::domain::side::Side;
use crate::domain::usage::{CallsByDay, Tally, Usage};

/// The usage of a conversation as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageAsRead {
    /// The usage itself.
    pub tally: Tally,
    /// Number of changes of the item; 0 if there is none.
    version: u64,
}

impl UsageAsRead {
    pub(super) fn read(item: &Item) -> Result<Self, StoreError> {
        let kind = item::check_version(item)?;
        let number = |name: &str| item.get(name).and_then(|value| value.as_n().ok());
        let count = |name: &str| number(name).and_then(|number| number.parse().ok());
        let read = || {
            let sum = Usage {
                calls: count("calls")?,
                seconds: count("seconds")?,
                spend: number("spend").and_then(|number| Decimal::from_str_exact(number).ok())?,
            };
            let tally = Tally { sum, by_day: read_days(item)?, rates: read_rates(item)? };
            Some(Self { tally, version: count("version")? })
        };
        read().ok_or_else(|| StoreError::Unreadable(kind, "a sum is missing or malformed".to_owned()))
    }

    fn when_unchanged(&self, write: Write) -> Write {
        match self.version {
            0 => write.when("attribute_not_exists(version)"),
            version => write.when("version = :version").bind(":version", item::integer(version)),
        }
    }

    /// Checks in a transaction that the usage is still as it was read.
    pub(super) fn check(&self, conversation: ConversationId) -> Write {
        self.when_unchanged(Write::check(Key::Usage(conversation)))
    }

    /// Replaces the usage, if it is still as it was read.
    pub(super) fn replace(&self, conversation: &Conversation, tally: &Tally) -> Write {
        let Usage { calls, seconds, spend } = tally.sum;
        let write = Write::update(Key::Usage(conversation.id))
            .set_ttl(leg_deleted_after(conversation.rests_until()))
            .set("calls = :calls, seconds = :seconds, spend = :spend, version = :next")
            .bind(":calls", item::integer(calls))
            .bind(":seconds", item::integer(seconds))
            .bind(":spend", AttributeValue::N(spend.to_string()))
            .bind(":next", item::integer(self.version + 1));
        let write = with_days(write, &self.tally.by_day, &tally.by_day);
        self.when_unchanged(with_rates(write, &self.tally.rates, &tally.rates))
    }
}

/// Attribute of the calls of each day.
const DAYS: &str = "days";

/// Sets the calls of each day. Without a limit for a day there are none.
fn with_days(write: Write, before: &CallsByDay, after: &CallsByDay) -> Write {
    if before == after {
        return write;
    }
    let days = after.iter().map(|(day, calls)| (day.to_string(), item::integer(calls)));
    write.set(format!("{DAYS} = :days")).bind(":days", AttributeValue::M(days.collect()))
}

/// Attribute of the rates of the last legs.
const RATES: &str = "rates";

/// Sets the rates of the last legs. Without a limit for the price there are none.
fn with_rates(write: Write, before: &Rates, after: &Rates) -> Write {
    if before == after {
        return write;
    }
    let known = Rates::LEGS.into_iter().filter_map(|leg| Some((rate_name(leg), after.of_leg(leg)?)));
    let rates = known.map(|(name, rate)| (name, AttributeValue::N(rate.to_string())));
    write.set(format!("{RATES} = :rates")).bind(":rates", AttributeValue::M(rates.collect()))
}

fn rate_name((direction, side): (Direction, Side)) -> String {
    let direction = match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    };
    format!("{direction}_{side:?}")
}

fn read_rates(item: &Item) -> Option<Rates> {
    let Some(rates) = item.get(RATES) else { return Some(Rates::default()) };
    let rates = rates.as_m().ok()?;
    Rates::LEGS.into_iter().try_fold(Rates::default(), |read, leg| {
        let rate = rates.get(&rate_name(leg)).map(|rate| Decimal::from_str_exact(rate.as_n().ok()?).ok());
        Some(match rate {
            Some(rate) => read.with_leg(leg, Some(rate?)),
            None => read,
        })
    })
}

fn read_days(item: &Item) -> Option<CallsByDay> {
    let Some(days) = item.get(DAYS) else { return Some(CallsByDay::default()) };
    let read = |(day, calls): (&String, &AttributeValue)| Some((day.parse().ok()?, calls.as_n().ok()?.parse().ok()?));
    days.as_m().ok()?.iter().map(read).collect()
}

impl Store {
    /// Returns the usage of those of these conversations, at most 100, that have any. One consistent read.
    pub async fn usage_of(&self, ids: &[ConversationId]) -> Result<HashMap<ConversationId, Tally>, StoreError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let mut by_partition: HashMap<String, ConversationId> =
            ids.iter().map(|id| (item::conversation_partition(*id), *id)).collect();
        let items = self.batch_get(ids.iter().map(|id| Key::Usage(*id))).await?;
        let mut passed_over = PassedOver::default();
        let read = |item: &Item| {
            let usage = passed_over.take(UsageAsRead::read(item))?.tally;
            Some((by_partition.remove(item::partition(item))?, usage))
        };
        Ok(items.iter().filter_map(read).collect())
    }

    /// Returns the usage of a conversation. One consistent read. Fails if it cannot be read, so that no call goes uncounted.
    pub async fn usage(&self, id: ConversationId) -> Result<UsageAsRead, StoreError> {
        let item = self.get_item(Key::Usage(id)).await?;
        let usage = item.as_ref().map(UsageAsRead::read).transpose().inspect_err(log)?;
        Ok(usage.unwrap_or_default())
    }
}
