//! Item keys, and the conversion of values to items and back.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::StoreError;
use crate::domain::carrier_record::CarrierRecord;
use crate::domain::conversation::ConversationId;
use crate::domain::country::Country;
use crate::domain::phone::{PhoneNumber, RealNumber, VirtualNumber};
use crate::domain::pool::Work;
use crate::domain::ready_pool::PartName;

pub(super) type Item = HashMap<String, AttributeValue>;

/// Prefix of the sort key of a route and of a number in the pool.
pub(super) const NUMBER_PREFIX: &str = "NUMBER#";
/// Prefix of the sort key of a mark of peak usage.
pub(super) const PEAK_USAGE_PREFIX: &str = "HELD#";
/// Prefix of a leg's sort key.
pub(super) const LEG_PREFIX: &str = "LEG#";

/// Key of an item.
#[derive(Clone, Copy)]
pub(super) enum Key<'a> {
    Route {
        caller: &'a RealNumber,
        dialled: &'a VirtualNumber,
    },
    /// The number under which a caller only receives.
    Line(&'a RealNumber),
    /// Mark of a number of the pool, in the partition that the number would have as a caller. So the query for a
    /// caller's routes also shows, at no cost, that the caller is one of our own numbers.
    OwnNumber(&'a VirtualNumber),
    Conversation(ConversationId),
    Leg {
        conversation: ConversationId,
        conversation_uuid: &'a str,
        uuid: &'a str,
    },
    Number {
        country: Country,
        number: &'a VirtualNumber,
    },
    /// Mark of a number that needs work, in the partition of the country's numbers. So these few are found without reading
    /// the others.
    Work {
        country: Country,
        work: Work,
        number: &'a VirtualNumber,
    },
    /// The open order of a country.
    Order(Country),
    /// Progress of the comparison of the pool with the account.
    AccountWalk,
    /// Totals of all rented numbers. Its version keeps two runs from buying the same number twice.
    Ledger,
    /// Versions of all parts of the ready numbers, in an item of their own so that they are cheap to read.
    ReadyParts,
    /// A part of the ready numbers.
    ReadyPart(&'a PartName),
    /// Number of ready numbers that refused creations of a country need.
    Demand(Country),
    /// Progress of a scan of the table for routes.
    RouteScan(ScanPurpose),
    /// Mark of the peak usage of a country, by the day until which it counts.
    PeakUsage(Country, Date),
    /// An idempotent request, by the hash of its idempotency key.
    Request(&'a str),
    /// A started erasure, which the schedule settles.
    Erasure(ConversationId),
    /// A carrier record that Vonage has to redact.
    Redaction(&'a CarrierRecord),
    /// A live conversation on a lost number, which the schedule heals.
    Heal(ConversationId),
}

/// The reason for a scan of the table for routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanPurpose {
    /// The routes to draining numbers, which keep them from being released.
    Draining,
    /// The live routes to lost numbers.
    Healing,
}

/// Sort key of [`Key::OwnNumber`].
pub(super) const OWN_NUMBER: &str = "POOL";
/// Sort key of [`Key::Line`]. It comes right after the own number's, so that one query reads both and nothing else.
pub(super) const LINE: &str = "RECEIVES";

impl Key<'_> {
    pub(super) fn item(self) -> Item {
        let (pk, sk) = match self {
            Key::Route { caller, dialled } => (caller_partition(caller.expose()), format!("{NUMBER_PREFIX}{dialled}")),
            Key::Line(caller) => (caller_partition(caller.expose()), LINE.to_owned()),
            Key::OwnNumber(number) => (caller_partition(number.as_str()), OWN_NUMBER.to_owned()),
            Key::Conversation(id) => (conversation_partition(id), "CONVERSATION".to_owned()),
            Key::Leg { conversation, conversation_uuid, uuid } => {
                (conversation_partition(conversation), format!("{LEG_PREFIX}{conversation_uuid}#{uuid}"))
            }
            Key::Number { country, number } => (pool_partition(country), format!("{NUMBER_PREFIX}{number}")),
            Key::Work { country, work, number } => (pool_partition(country), format!("{}{number}", work_prefix(work))),
            Key::Order(country) => (ORDER_PARTITION.to_owned(), country.to_string()),
            Key::AccountWalk => (POOL_PARTITION.to_owned(), "WALK".to_owned()),
            Key::Ledger => (POOL_PARTITION.to_owned(), "LEDGER".to_owned()),
            Key::ReadyParts => (POOL_PARTITION.to_owned(), "READY".to_owned()),
            Key::ReadyPart(part) => (format!("READY#{part}"), "READY".to_owned()),
            Key::Demand(country) => (DEMAND_PARTITION.to_owned(), country.to_string()),
            Key::RouteScan(ScanPurpose::Draining) => (POOL_PARTITION.to_owned(), "LOOK".to_owned()),
            Key::RouteScan(ScanPurpose::Healing) => (POOL_PARTITION.to_owned(), "LOOK#HEAL".to_owned()),
            Key::Heal(id) => (HEAL_PARTITION.to_owned(), conversation_partition(id)),
            Key::PeakUsage(country, until) => {
                (POOL_PARTITION.to_owned(), format!("{PEAK_USAGE_PREFIX}{country}#{until}"))
            }
            Key::Request(hash) => (format!("REQUEST#{hash}"), "REQUEST".to_owned()),
            Key::Erasure(id) => (ERASURE_PARTITION.to_owned(), conversation_partition(id)),
            Key::Redaction(record) => {
                (REDACTION_PARTITION.to_owned(), format!("{}#{}", record.product.as_str(), record.id))
            }
        };
        HashMap::from([("pk".to_owned(), AttributeValue::S(pk)), ("sk".to_owned(), AttributeValue::S(sk))])
    }

    /// Builds the item of `body` under this key. The table may delete it after `delete_after`.
    pub(super) fn with(self, body: &impl Serialize, delete_after: Option<Timestamp>) -> Result<Item, StoreError> {
        let mut item: Item = serde_dynamo::to_item(body)?;
        item.extend(self.item());
        if let Some(time) = delete_after {
            item.insert("ttl".to_owned(), seconds(time));
        }
        Ok(item)
    }
}

/// Partition of the items of the pool as a whole.
pub(super) const POOL_PARTITION: &str = "POOL";

/// Partition of the open orders.
pub(super) const ORDER_PARTITION: &str = "ORDER";

/// Partition of the demand for numbers.
pub(super) const DEMAND_PARTITION: &str = "DEMAND";

/// Partition of the started erasures.
pub(super) const ERASURE_PARTITION: &str = "ERASURE";

/// Partition of the live conversations on lost numbers.
pub(super) const HEAL_PARTITION: &str = "HEAL";

/// Partition of the carrier records that Vonage has to redact.
pub(super) const REDACTION_PARTITION: &str = "REDACTION";

pub(super) fn caller_partition(caller: &str) -> String {
    format!("CALLER#{caller}")
}

pub(super) fn conversation_partition(id: ConversationId) -> String {
    format!("CONVERSATION#{id}")
}

pub(super) fn pool_partition(country: Country) -> String {
    format!("POOL#{country}")
}

/// Returns the prefix of the sort key of a mark of this kind of work.
pub(super) fn work_prefix(work: Work) -> &'static str {
    match work {
        Work::Unfinished => "UNFINISHED#",
        Work::Draining => "DRAINING#",
        Work::Lost => "LOST#",
    }
}

/// Encodes a time in seconds since 1970.
pub(super) fn seconds(time: Timestamp) -> AttributeValue {
    AttributeValue::N(time.as_second().to_string())
}

/// Encodes a whole number.
pub(super) fn integer(number: impl Into<u64>) -> AttributeValue {
    AttributeValue::N(number.into().to_string())
}

pub(super) fn string(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// Encodes any value.
pub(super) fn value(value: impl Serialize) -> Result<AttributeValue, StoreError> {
    Ok(serde_dynamo::to_attribute_value(value)?)
}

pub(super) fn partition(item: &Item) -> &str {
    item.get("pk").and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

pub(super) fn sort_key(item: &Item) -> &str {
    item.get("sk").and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

/// Returns the virtual number in the sort key of a route.
pub(super) fn dialled(item: &Item) -> Option<VirtualNumber> {
    let digits = sort_key(item).strip_prefix(NUMBER_PREFIX)?;
    PhoneNumber::try_from(digits).ok().map(VirtualNumber::from)
}

/// Decodes an item.
pub(super) fn read<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    Ok(serde_dynamo::from_item(item)?)
}

/// Decodes an item of a list. One that cannot be read harms nothing but itself: it is left out, and logged.
pub(super) fn read_or_skip<T: DeserializeOwned>(what: &'static str, item: Item) -> Option<T> {
    match read(item) {
        Ok(value) => Some(value),
        Err(cause) => {
            tracing::error!(what, %cause, "an item of the table cannot be read and is left out");
            None
        }
    }
}

/// Returns the time in the attribute `name`.
pub(super) fn time(item: &Item, name: &str) -> Option<Timestamp> {
    Timestamp::from_second(item.get(name)?.as_n().ok()?.parse().ok()?).ok()
}
