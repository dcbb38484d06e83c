//! The keys `*` and `9` that were pressed in calls: two sets of times in the leg, in milliseconds since 1970. A key that comes
//! twice or late does no harm in a set.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::item::{self, Item, Key};
use super::legs::{self, LegPhone};
use super::missed_calls::LegIds;
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::call::Direction;
use crate::domain::conversation::Conversation;
use crate::domain::safety_key::{self, Key as SafetyKey, SafetyPresses};
use crate::domain::side::Side;

/// Most times in a set. Nobody who needs help presses a key more often.
const MOST: u16 = 100;

/// The leg on which keys were pressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLeg {
    /// The side that pressed.
    pub side: Side,
    /// Index of the phone; see [`Participant::number_at`](crate::domain::conversation::Participant::number_at).
    pub phone: usize,
    /// The direction.
    pub direction: Direction,
    /// Vonage's ids.
    pub ids: LegIds,
}

impl Store {
    /// Notes keys that were pressed on a leg, and returns the last time at which they completed the safety key, if they did. It does not
    /// matter if the events of the leg come later.
    ///
    /// Of two requests with one key each, at least one reads both keys, because it reads after it has written.
    pub async fn note_safety_keys(
        &self,
        conversation: &Conversation,
        KeyLeg { side, phone, direction, ids: LegIds { call, leg } }: &KeyLeg,
        keys: &[(SafetyKey, Timestamp)],
    ) -> Result<Option<Timestamp>, StoreError> {
        let owner = LegPhone::new(conversation, *side, *phone);
        let key = || Key::Leg { conversation: conversation.id, conversation_uuid: call, uuid: leg };
        let mut note = legs::set_missing(key(), legs::identity(&owner, *direction, call, leg)?);
        for (kind, set, value) in [(SafetyKey::Star, STARS, ":stars"), (SafetyKey::Nine, NINES, ":nines")] {
            let of_kind = keys.iter().filter(|(key, _)| *key == kind);
            let times: Vec<_> = of_kind.map(|(_, time)| time.as_millisecond().to_string()).collect();
            if !times.is_empty() {
                note = note.add(format!("{set} {value}")).bind(value, AttributeValue::Ns(times));
                note = note.when(format!("(attribute_not_exists({set}) OR size({set}) < :most)"));
                note = note.bind(":most", AttributeValue::N(MOST.to_string()));
            }
        }
        // A leg of an erased conversation must not come back: nothing would delete it.
        let exists = Write::check(Key::Conversation(conversation.id));
        let exists = exists.when("attribute_exists(participants)").when("attribute_not_exists(erased_at)");
        // What is not noted is not read below.
        self.transact_settled(vec![exists, note]).await?;
        let noted = self.get_item(key()).await?.unwrap_or_default();
        Ok(safety_key::pressed_at(&times(&noted, STARS), &times(&noted, NINES)))
    }

    /// Notes presses in a conversation that is over, unless it is being erased.
    pub async fn note_late_press(&self, conversation: &Conversation, presses: SafetyPresses) -> Result<(), StoreError> {
        let note = Write::update(Key::Conversation(conversation.id))
            .set("safety = :safety")
            .when("attribute_exists(participants)")
            .when("attribute_not_exists(erased_at)")
            .bind(":safety", item::value(presses)?);
        self.update(note).await.map(drop)
    }
}

const STARS: &str = "star_keys";
const NINES: &str = "nine_keys";

fn times(leg: &Item, set: &str) -> Vec<Timestamp> {
    let times = leg.get(set).and_then(|set| set.as_ns().ok()).into_iter().flatten();
    times.filter_map(|time| Timestamp::from_millisecond(time.parse().ok()?).ok()).collect()
}
