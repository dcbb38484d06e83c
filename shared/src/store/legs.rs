//! Legs: a merge of events, not a log, so that duplicates and disorder change nothing.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::Deserialize;

use super::item::{self, Item, Key};
use super::retention::{RECORDS_KEPT, kept_until};
use super::{Store, StoreError};
use crate::domain::call::{Direction, Leg, LegEvent, LegFacts, Status};
use crate::domain::conversation::Conversation;
use crate::domain::route::Route;

/// A leg's status is the attribute `at_<status>`, in milliseconds since 1970.
const STATUS_PREFIX: &str = "at_";

impl Store {
    /// Merges an event into its leg, which belongs to the phone that `route` starts from: the caller's on an inbound
    /// leg, the called one's on an outbound leg.
    pub async fn merge_leg(&self, route: &Route, direction: Direction, event: &LegEvent) -> Result<(), StoreError> {
        let mut attributes: Item = serde_dynamo::to_item(&event.facts)?;
        // Read from the table's stream, where the product is told of each leg that has ended.
        attributes.insert("conversation".to_owned(), item::string(route.conversation));
        attributes.insert("conversation_uuid".to_owned(), item::string(&event.conversation_uuid));
        attributes.insert("uuid".to_owned(), item::string(&event.uuid));
        if event.status.ends() {
            attributes.insert("ended".to_owned(), item::string(event.status.as_str()));
        }
        attributes.insert("side".to_owned(), serde_dynamo::to_attribute_value(route.side)?);
        attributes.insert("direction".to_owned(), serde_dynamo::to_attribute_value(direction)?);
        attributes.insert("phone".to_owned(), item::whole(route.phone as u64));
        attributes.insert("ttl".to_owned(), item::seconds(route.quarantined_until + RECORDS_KEPT));
        attributes.insert(
            format!("{STATUS_PREFIX}{}", event.status.as_str()),
            AttributeValue::N(event.timestamp.as_millisecond().to_string()),
        );
        let (mut names, mut values, mut parts) = (HashMap::new(), HashMap::new(), Vec::new());
        for (index, (name, value)) in attributes.into_iter().enumerate() {
            parts.push(format!("#{index} = if_not_exists(#{index}, :{index})"));
            names.insert(format!("#{index}"), name);
            values.insert(format!(":{index}"), value);
        }
        let key = Key::Leg {
            conversation: route.conversation,
            conversation_uuid: &event.conversation_uuid,
            uuid: &event.uuid,
        };
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key.item()))
            .update_expression(format!("SET {}", parts.join(", ")))
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .send()
            .await?;
        Ok(())
    }
}

impl Store {
    /// Keeps the legs of a conversation for as long as the conversation, which now lasts longer than when they came.
    pub(super) async fn keep_legs(&self, conversation: &Conversation) -> Result<(), StoreError> {
        let partition = item::conversation_partition(conversation.id);
        for leg in self.query(partition, Some(item::LEG_PREFIX)).await? {
            let key = leg.into_iter().filter(|(name, _)| name == "pk" || name == "sk").collect();
            let update = self.client.update_item().table_name(&self.table).set_key(Some(key));
            let update = update
                .update_expression("SET #ttl = :ttl")
                .condition_expression("attribute_exists(pk)")
                .expression_attribute_names("#ttl", "ttl")
                .expression_attribute_values(":ttl", item::seconds(kept_until(conversation)));
            self.update(update).await?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct LegBody {
    side: crate::domain::side::Side,
    phone: usize,
    direction: Direction,
    #[serde(flatten)]
    facts: LegFacts,
}

pub(super) fn read(item: Item) -> Result<Leg, StoreError> {
    let ids = item::sort_key(&item).strip_prefix(item::LEG_PREFIX).and_then(|ids| ids.split_once('#'));
    let (conversation_uuid, uuid) = ids.map(|(call, leg)| (call.to_owned(), leg.to_owned())).unwrap_or_default();
    let statuses = item.iter().filter_map(|(name, value)| status_time(name, value)).collect::<BTreeMap<_, _>>();
    let LegBody { side, phone, direction, facts } = item::read(item)?;
    Ok(Leg { conversation_uuid, uuid, side, phone, direction, statuses, facts })
}

fn status_time(name: &str, value: &AttributeValue) -> Option<(Status, Timestamp)> {
    let word = AttributeValue::S(name.strip_prefix(STATUS_PREFIX)?.to_owned());
    let status = serde_dynamo::from_attribute_value(word).ok()?;
    let milliseconds = value.as_n().ok()?.parse().ok()?;
    Some((status, Timestamp::from_millisecond(milliseconds).ok()?))
}
