//! Legs. An item is a merge of events, not a log, so duplicate and late events change nothing.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::Deserialize;

use super::item::{self, Item, Key};
use super::retention::leg_deleted_after;
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::call::{Direction, Leg, LegEvent, LegFacts, Status};
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::judge::LookedUp;
use crate::domain::network::Network;
use crate::domain::phone::RealNumber;
use crate::domain::route::Route;
use crate::domain::side::Side;
use crate::domain::sliding_end::SlidingEnd;
use crate::domain::tenant::Owner;

/// Prefix of the attribute with a status's time, `at_<status>`, in milliseconds since 1970. It is null if the time is
/// unknown.
const STATUS_PREFIX: &str = "at_";

/// The owner of a leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LegOwner {
    /// A phone of a participant: the caller's for an inbound leg, the callee's for an outbound leg.
    Phone(LegPhone),
    /// A conversation that was erased.
    Erased(ConversationId),
}

/// A participant's phone, and the end of the quarantine of its conversation, as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegPhone {
    /// The conversation.
    pub conversation: ConversationId,
    /// The owner of the conversation.
    pub(super) owner: Owner,
    side: Side,
    /// Index of the phone; see [`Participant::number_at`](crate::domain::conversation::Participant::number_at).
    phone: usize,
    rests_until: Timestamp,
    /// True if the conversation has limits, so that its calls are counted.
    pub(super) metered: bool,
    /// True if the conversation was ended together with its calls.
    pub(super) hangs_up: bool,
    /// True if both people hear how much of a call is left.
    pub(super) warns: bool,
    /// The end of the conversation, and the rule by which it slides, if it does.
    slides: Option<(SlidingEnd, Timestamp)>,
    /// The carrier's verdict about the phone, if it was read.
    looked_up: Option<LookedUp>,
}

impl LegPhone {
    /// Creates the owner of the legs of the phone at this index of a participant.
    pub(super) fn new(conversation: &Conversation, side: Side, phone: usize) -> Self {
        let metered = !conversation.usage_limits.is_none();
        let (rests_until, hangs_up) = (conversation.rests_until(), conversation.hangs_up);
        let warns = conversation.limits.warn_minutes > 0;
        let slides = conversation.sliding_end.map(|sliding| (sliding, conversation.end()));
        Self {
            conversation: conversation.id,
            owner: conversation.owner,
            side,
            phone,
            rests_until,
            metered,
            hangs_up,
            warns,
            slides,
            looked_up: None,
        }
    }

    /// True if an event of its leg moves the end of the conversation.
    pub(super) fn slides(&self, direction: Direction, event: &LegEvent) -> bool {
        let used_at = event.used_at(direction);
        let is_moved = |((sliding, end), used_at): ((SlidingEnd, Timestamp), Timestamp)| sliding.moved(end, used_at);
        self.slides.zip(used_at).and_then(is_moved).is_some()
    }

    /// Returns the network of the owner's phone, which has this number.
    pub(super) fn network_of(&self, number: &RealNumber) -> Option<Network> {
        let looked_up = self.looked_up.as_ref().map(LookedUp::network);
        looked_up.or_else(|| Network::by_plan(number.as_phone()))
    }

    /// Returns the participant's side.
    pub(super) fn side(&self) -> Side {
        self.side
    }

    /// Returns the same phone in another conversation.
    pub(super) fn in_conversation(&self, conversation: ConversationId) -> Self {
        Self { conversation, ..*self }
    }
}

impl From<&Route> for LegPhone {
    fn from(route: &Route) -> Self {
        let Route { conversation, owner, side, phone, quarantined_until, metered, hangs_up, .. } = *route;
        let Route { limits, looked_up, .. } = *route;
        let warns = limits.warn_minutes > 0;
        let slides = route.sliding_end.map(|sliding| (sliding, route.expires_at));
        let rests_until = quarantined_until;
        Self { conversation, owner, side, phone, rests_until, metered, hangs_up, warns, slides, looked_up }
    }
}

/// Returns the write that merges an event into its leg, which belongs to the `owner`.
pub(super) fn merge(owner: &LegPhone, direction: Direction, event: &LegEvent) -> Result<Write, StoreError> {
    let mut attributes: Item = serde_dynamo::to_item(&event.facts)?;
    // The pipe that reports ended calls reads these four in the table's stream.
    attributes.insert("conversation".to_owned(), item::string(owner.conversation));
    attributes.insert("conversation_uuid".to_owned(), item::string(&event.conversation_uuid));
    attributes.insert("uuid".to_owned(), item::string(&event.uuid));
    if event.status.ends() {
        attributes.insert("ended".to_owned(), item::string(event.status.as_str()));
    }
    attributes.insert("side".to_owned(), item::value(owner.side)?);
    attributes.insert("direction".to_owned(), item::value(direction)?);
    attributes.insert("phone".to_owned(), item::integer(owner.phone as u64));
    // Set once, and never again: a change of the conversation does not touch its legs.
    attributes.insert("ttl".to_owned(), item::seconds(leg_deleted_after(owner.rests_until)));
    attributes.insert(
        format!("{STATUS_PREFIX}{}", event.status.as_str()),
        match event.timestamp {
            Some(time) => AttributeValue::N(time.as_millisecond().to_string()),
            None => AttributeValue::Null(true),
        },
    );
    Ok(set_missing(key(owner.conversation, event), attributes))
}

/// Returns what a leg has from the beginning: its ids and its owner.
pub(super) fn identity(owner: &LegPhone, direction: Direction, call: &str, leg: &str) -> Result<Item, StoreError> {
    Ok(Item::from([
        ("conversation".to_owned(), item::string(owner.conversation)),
        ("conversation_uuid".to_owned(), item::string(call)),
        ("uuid".to_owned(), item::string(leg)),
        ("side".to_owned(), item::value(owner.side)?),
        ("direction".to_owned(), item::value(direction)?),
        ("phone".to_owned(), item::integer(owner.phone as u64)),
        // Set once, and never again: a change of the conversation does not touch its legs.
        ("ttl".to_owned(), item::seconds(leg_deleted_after(owner.rests_until))),
    ]))
}

/// Returns the write that notes that the callee of a leg took the call at `now`.
pub(super) fn accept(owner: &LegPhone, call: &str, leg: &str, now: Timestamp) -> Result<Write, StoreError> {
    let mut attributes = identity(owner, Direction::Outbound, call, leg)?;
    attributes.insert("accepted_at".to_owned(), item::seconds(now));
    let key = Key::Leg { conversation: owner.conversation, conversation_uuid: call, uuid: leg };
    Ok(set_missing(key, attributes))
}

/// Attribute of the time at which the caller of a leg agreed to the recording of the call.
pub(super) const AGREED: &str = "agreed_at";

/// Returns the write that notes that the caller of a leg agreed at `now` to the recording of the call.
pub(super) fn agree(owner: &LegPhone, call: &str, leg: &str, now: Timestamp) -> Result<Write, StoreError> {
    let mut attributes = identity(owner, Direction::Inbound, call, leg)?;
    attributes.insert(AGREED.to_owned(), item::seconds(now));
    let key = Key::Leg { conversation: owner.conversation, conversation_uuid: call, uuid: leg };
    Ok(set_missing(key, attributes))
}

/// Returns the write that notes that the caller of a leg typed the PIN of its owner at `now`.
pub(super) fn by_pin(owner: &LegPhone, call: &str, leg: &str, now: Timestamp) -> Result<Write, StoreError> {
    let mut attributes = identity(owner, Direction::Inbound, call, leg)?;
    attributes.insert("pin_at".to_owned(), item::seconds(now));
    let key = Key::Leg { conversation: owner.conversation, conversation_uuid: call, uuid: leg };
    Ok(set_missing(key, attributes))
}

/// Returns the write that sets those of the `attributes` that the item does not have.
pub(super) fn set_missing(key: Key<'_>, attributes: Item) -> Write {
    attributes.into_iter().enumerate().fold(Write::update(key), |update, (index, (name, value))| {
        update
            .set(format!("#{index} = if_not_exists(#{index}, :{index})"))
            .name(format!("#{index}"), name)
            .bind(format!(":{index}"), value)
    })
}

/// Returns the key of the event's leg in a conversation.
pub(super) fn key(conversation: ConversationId, event: &LegEvent) -> Key<'_> {
    Key::Leg { conversation, conversation_uuid: &event.conversation_uuid, uuid: &event.uuid }
}

impl Store {
    /// Merges an event into its leg, which belongs to the `owner`.
    pub async fn merge_leg(&self, owner: &LegPhone, direction: Direction, event: &LegEvent) -> Result<(), StoreError> {
        self.update(merge(owner, direction, event)?).await.map(drop)
    }
}

#[derive(Deserialize)]
struct LegBody {
    side: Side,
    phone: usize,
    direction: Direction,
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional")]
    accepted_at: Option<Timestamp>,
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional")]
    pin_at: Option<Timestamp>,
    #[serde(flatten)]
    facts: LegFacts,
}

pub(super) fn read(item: Item) -> Result<Leg, StoreError> {
    let (conversation_uuid, uuid) = ids(&item).map(|(call, leg)| (call.to_owned(), leg.to_owned())).unwrap_or_default();
    let statuses = item.iter().filter_map(|(name, value)| status_time(name, value)).collect::<BTreeMap<_, _>>();
    let LegBody { side, phone, direction, accepted_at, pin_at, facts } = item::read(item)?;
    Ok(Leg { conversation_uuid, uuid, side, phone, direction, statuses, accepted_at, pin_at, facts })
}

/// Returns the `conversation_uuid` and the `uuid` in a leg's sort key.
pub(super) fn ids(item: &Item) -> Option<(&str, &str)> {
    item::sort_key(item).strip_prefix(item::LEG_PREFIX)?.split_once('#')
}

fn status_time(name: &str, value: &AttributeValue) -> Option<(Status, Option<Timestamp>)> {
    let word = AttributeValue::S(name.strip_prefix(STATUS_PREFIX)?.to_owned());
    let status = serde_dynamo::from_attribute_value(word).ok()?;
    let milliseconds = value.as_n().ok().and_then(|milliseconds| milliseconds.parse().ok());
    Some((status, milliseconds.and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok())))
}
