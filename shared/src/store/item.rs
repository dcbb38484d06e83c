//! Keys, and the way from a value to an item and back.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use crate::domain::carrier_record::CarrierRecord;
use crate::domain::conversation::ConversationId;
use crate::domain::country::Country;
use crate::domain::phone::{PhoneNumber, RealNumber, VirtualNumber};

pub(super) type Item = HashMap<String, AttributeValue>;

/// The prefix of the sort key of what belongs to a virtual number: a route, or its entry in the pool.
pub(super) const NUMBER_PREFIX: &str = "NUMBER#";
/// The prefix of the sort key of a day's high-water marks.
pub(super) const HELD_PREFIX: &str = "HELD#";
/// The prefix of a leg's sort key.
pub(super) const LEG_PREFIX: &str = "LEG#";

/// The key of an item.
#[derive(Clone, Copy)]
pub(super) enum Key<'a> {
    Route {
        caller: &'a RealNumber,
        dialled: &'a VirtualNumber,
    },
    /// Stands in the partition that a number of the pool would have as a caller, so that reading a caller's routes
    /// tells at no cost that this caller is one of our own numbers.
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
    /// What is rented in all: under its version, nothing is bought twice.
    Ledger,
    /// All numbers that conversations may be given.
    ReadyNumbers,
    /// The version of that list alone, so that seeing whether it has changed costs next to nothing.
    ReadyVersion,
    /// Who rents numbers of a country on the fly.
    OnDemand(Country),
    /// Where a look for routes through the whole table stands.
    Look,
    /// What callers have held, by the day until which it counts.
    Held(Date),
    /// A request that may come again, by the hash of its idempotency key.
    Request(&'a str),
    /// A conversation that is being erased, for the schedule to see that it is done.
    Erasure(ConversationId),
    /// A record that the carrier is to be asked to redact.
    Redaction(&'a CarrierRecord),
}

/// The sort key of [`Key::OwnNumber`].
pub(super) const OWN_NUMBER: &str = "POOL";

impl Key<'_> {
    pub(super) fn item(self) -> Item {
        let (pk, sk) = match self {
            Key::Route { caller, dialled } => (caller_partition(caller.expose()), format!("{NUMBER_PREFIX}{dialled}")),
            Key::OwnNumber(number) => (caller_partition(number.as_str()), OWN_NUMBER.to_owned()),
            Key::Conversation(id) => (conversation_partition(id), "CONVERSATION".to_owned()),
            Key::Leg { conversation, conversation_uuid, uuid } => {
                (conversation_partition(conversation), format!("{LEG_PREFIX}{conversation_uuid}#{uuid}"))
            }
            Key::Number { country, number } => (pool_partition(country), format!("{NUMBER_PREFIX}{number}")),
            Key::Ledger => (POOL_PARTITION.to_owned(), "LEDGER".to_owned()),
            Key::ReadyNumbers => (POOL_PARTITION.to_owned(), "READY".to_owned()),
            Key::ReadyVersion => (POOL_PARTITION.to_owned(), "READY-VERSION".to_owned()),
            Key::OnDemand(country) => (POOL_PARTITION.to_owned(), format!("ON-DEMAND#{country}")),
            Key::Look => (POOL_PARTITION.to_owned(), "LOOK".to_owned()),
            Key::Held(until) => (POOL_PARTITION.to_owned(), format!("{HELD_PREFIX}{until}")),
            Key::Request(hash) => (format!("REQUEST#{hash}"), "REQUEST".to_owned()),
            Key::Erasure(id) => (ERASURE_PARTITION.to_owned(), conversation_partition(id)),
            Key::Redaction(record) => {
                (REDACTION_PARTITION.to_owned(), format!("{}#{}", record.product.as_str(), record.id))
            }
        };
        HashMap::from([("pk".to_owned(), AttributeValue::S(pk)), ("sk".to_owned(), AttributeValue::S(sk))])
    }

    /// The item of `body` under this key, which the table may delete after `delete_after`.
    pub(super) fn with(self, body: &impl Serialize, delete_after: Option<Timestamp>) -> Result<Item, StoreError> {
        let mut item: Item = serde_dynamo::to_item(body)?;
        item.extend(self.item());
        if let Some(time) = delete_after {
            item.insert("ttl".to_owned(), seconds(time));
        }
        Ok(item)
    }
}

/// The partition of what is true of the pool as a whole.
pub(super) const POOL_PARTITION: &str = "POOL";

/// The partition of the conversations that are being erased.
pub(super) const ERASURE_PARTITION: &str = "ERASURE";

/// The partition of the records that the carrier is to be asked to redact.
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

/// A time as the table keeps it: seconds since 1970.
pub(super) fn seconds(time: Timestamp) -> AttributeValue {
    AttributeValue::N(time.as_second().to_string())
}

/// A whole number as the table keeps it.
pub(super) fn whole(number: impl Into<u64>) -> AttributeValue {
    AttributeValue::N(number.into().to_string())
}

pub(super) fn string(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(super) fn sort_key(item: &Item) -> &str {
    item.get("sk").and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

/// The virtual number in the sort key of a route.
pub(super) fn dialled(item: &Item) -> Option<VirtualNumber> {
    let digits = sort_key(item).strip_prefix(NUMBER_PREFIX)?;
    PhoneNumber::try_from(digits).ok().map(VirtualNumber::from)
}

pub(super) fn read<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    Ok(serde_dynamo::from_item(item)?)
}

/// A time that the item holds under `name`.
pub(super) fn time(item: &Item, name: &str) -> Option<Timestamp> {
    Timestamp::from_second(item.get(name)?.as_n().ok()?.parse().ok()?).ok()
}
