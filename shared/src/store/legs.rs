//! Legs. An item is a merge of events, not a log, so duplicate and late events change nothing.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::Deserialize;

use super::item::{self, Item, Key};
use super::retention::{RECORDS_KEPT, kept_until};
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::call::{Direction, Leg, LegEvent, LegFacts, Status};
use crate::domain::conversation::Conversation;
use crate::domain::route::Route;
use crate::domain::side::Side;

/// Prefix of the attribute with a status's time, `at_<status>`, in milliseconds since 1970.
const STATUS_PREFIX: &str = "at_";

impl Store {
    /// Merges an event into its leg. The leg belongs to the phone that `route` starts from: the caller's on an inbound
    /// leg, the callee's on an outbound leg.
    pub async fn merge_leg(&self, route: &Route, direction: Direction, event: &LegEvent) -> Result<(), StoreError> {
        let mut attributes: Item = serde_dynamo::to_item(&event.facts)?;
        // The pipe that reports ended calls reads these four in the table's stream.
        attributes.insert("conversation".to_owned(), item::string(route.conversation));
        attributes.insert("conversation_uuid".to_owned(), item::string(&event.conversation_uuid));
        attributes.insert("uuid".to_owned(), item::string(&event.uuid));
        if event.status.ends() {
            attributes.insert("ended".to_owned(), item::string(event.status.as_str()));
        }
        attributes.insert("side".to_owned(), item::value(route.side)?);
        attributes.insert("direction".to_owned(), item::value(direction)?);
        attributes.insert("phone".to_owned(), item::integer(route.phone as u64));
        attributes.insert("ttl".to_owned(), item::seconds(route.quarantined_until + RECORDS_KEPT));
        attributes.insert(
            format!("{STATUS_PREFIX}{}", event.status.as_str()),
            AttributeValue::N(event.timestamp.as_millisecond().to_string()),
        );
        let mut update = Write::update(Key::Leg {
            conversation: route.conversation,
            conversation_uuid: &event.conversation_uuid,
            uuid: &event.uuid,
        });
        for (index, (name, value)) in attributes.into_iter().enumerate() {
            update = update
                .set(format!("#{index} = if_not_exists(#{index}, :{index})"))
                .name(format!("#{index}"), name)
                .bind(format!(":{index}"), value);
        }
        self.update(update).await.map(drop)
    }

    /// Extends the retention of the conversation's legs to that of the conversation, which expires later than before.
    pub(super) async fn extend_legs(&self, conversation: &Conversation) -> Result<(), StoreError> {
        let partition = item::conversation_partition(conversation.id);
        for leg in self.query(partition, Some(item::LEG_PREFIX)).await? {
            let Some((conversation_uuid, uuid)) = ids(&leg) else { continue };
            let key = Key::Leg { conversation: conversation.id, conversation_uuid, uuid };
            let update = Write::update(key).set_ttl(kept_until(conversation)).when("attribute_exists(pk)");
            self.update(update).await?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct LegBody {
    side: Side,
    phone: usize,
    direction: Direction,
    #[serde(flatten)]
    facts: LegFacts,
}

pub(super) fn read(item: Item) -> Result<Leg, StoreError> {
    let (conversation_uuid, uuid) = ids(&item).map(|(call, leg)| (call.to_owned(), leg.to_owned())).unwrap_or_default();
    let statuses = item.iter().filter_map(|(name, value)| status_time(name, value)).collect::<BTreeMap<_, _>>();
    let LegBody { side, phone, direction, facts } = item::read(item)?;
    Ok(Leg { conversation_uuid, uuid, side, phone, direction, statuses, facts })
}

/// Returns the `conversation_uuid` and the `uuid` in a leg's sort key.
fn ids(item: &Item) -> Option<(&str, &str)> {
    item::sort_key(item).strip_prefix(item::LEG_PREFIX)?.split_once('#')
}

fn status_time(name: &str, value: &AttributeValue) -> Option<(Status, Timestamp)> {
    let word = AttributeValue::S(name.strip_prefix(STATUS_PREFIX)?.to_owned());
    let status = serde_dynamo::from_attribute_value(word).ok()?;
    let milliseconds = value.as_n().ok()?.parse().ok()?;
    Some((status, Timestamp::from_millisecond(milliseconds).ok()?))
}
