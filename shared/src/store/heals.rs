//! Live conversations on lost or rotated numbers, one item each in one partition, and the transaction that gives them other
//! numbers.
//!
//! An item stays until its conversation has other numbers, both people and the backend know, or the conversation is over.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::item::{self, HEAL_PARTITION, Item, Key};
use super::passed_over::PassedOver;
use super::transaction::Outcome;
use super::write::Write;
use super::{Store, StoreError, conversations, journal, lists, pins, routes};
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::route::Route;
use crate::domain::side::Side;

/// Maximum number of items that one transaction writes.
const ITEMS_PER_TRANSACTION: usize = 100;

/// Maximum number of items that one page of [`Store::due_heals`] reads.
const PAGE: i32 = 200;

/// Longest pause before the next try, in minutes, as a power of two. Each try doubles it.
const LONGEST_PAUSE: u32 = 6;

/// Pause before the next look at a conversation that is not to be healed, and perhaps is over by then.
const PUT_ASIDE: SignedDuration = SignedDuration::from_hours(24);

/// A live conversation on a number that it is to leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heal {
    /// The conversation.
    pub conversation: ConversationId,
    /// The sides that got another number, and about whom the backend and they themselves are still to be told.
    #[serde(default)]
    pub healed: Vec<Side>,
    /// Those of them whose number was rotated. The others have lost theirs.
    #[serde(default)]
    pub rotated: Vec<Side>,
    /// The losses and rotations of which the backend has been told while there was no other number.
    #[serde(default)]
    pub reported: Vec<Loss>,
    /// Number of tries that found no number.
    #[serde(default)]
    pub tries: u32,
    /// Time of the next try.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub due_at: Timestamp,
    /// Number of changes to this item. A write requires the revision that was read.
    pub revision: u32,
}

/// The loss of the number that a participant dials, or its rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// The participant's side.
    pub side: Side,
    /// The time from which Vonage no longer listed the number, or from which it is rotated.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub since: Timestamp,
    /// True if the number is rotated, and still works.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_rotation: bool,
}

impl Heal {
    /// Postpones the next try after one at `now` that found no number.
    pub fn postpone(&mut self, now: Timestamp) {
        self.due_at = now + SignedDuration::from_mins(1 << self.tries.min(LONGEST_PAUSE));
        self.tries += 1;
    }

    /// Postpones the next look at a conversation that is not to be healed.
    pub fn put_aside(&mut self, now: Timestamp) {
        self.due_at = now + PUT_ASIDE;
    }
}

/// A page of the conversations that are due.
#[derive(Debug)]
pub struct DueHeals {
    /// The due ones of this page.
    pub heals: Vec<Heal>,
    /// Number of items that cannot be read. They do not keep the others waiting.
    pub unreadable: usize,
    /// Start of the next page, or `None` if this was the last one.
    pub next: Option<HashMap<String, AttributeValue>>,
}

impl Store {
    /// Lists conversations that are on a lost or rotated number at `now`. Can be repeated.
    pub async fn list_heals(&self, conversations: &[ConversationId], now: Timestamp) -> Result<(), StoreError> {
        // A transaction may contain an item only once, and both sides may dial a lost number.
        let mut unique = conversations.to_vec();
        unique.sort_unstable();
        unique.dedup();
        for ids in unique.chunks(ITEMS_PER_TRANSACTION) {
            let list = |id: &ConversationId| {
                let list = Write::update(Key::Heal(*id)).set("conversation = :id, due_at = :now").add("revision :one");
                list.bind(":id", item::string(*id)).bind(":now", item::seconds(now)).bind(":one", item::integer(1u64))
            };
            self.transact_settled(ids.iter().map(list).collect()).await?;
        }
        Ok(())
    }

    /// Returns a page of the conversations that are due at `now`, starting at `from`.
    pub async fn due_heals(&self, now: Timestamp, from: Option<Item>) -> Result<DueHeals, StoreError> {
        let page = self.due_page(HEAL_PARTITION, None, PAGE, now, from).await?;
        let items = page.items.unwrap_or_default();
        let found = items.len();
        let heals = PassedOver::list(items, item::read);
        Ok(DueHeals { unreadable: found - heals.len(), heals, next: page.last_evaluated_key })
    }

    /// Returns the item of a conversation, if it is listed. One consistent read.
    pub async fn heal(&self, id: ConversationId) -> Result<Option<Heal>, StoreError> {
        self.get(Key::Heal(id)).await
    }

    /// Stores an item that has changed since it was read. False if another run has changed it too.
    pub async fn save_heal(&self, heal: &Heal) -> Result<bool, StoreError> {
        self.update(save(heal)?).await
    }

    /// Deletes the item of a conversation for which nothing is left to do, unless another run has changed it.
    pub async fn finish_heal(&self, heal: &Heal) -> Result<(), StoreError> {
        let delete = Write::delete(Key::Heal(heal.conversation))
            .when("revision = :seen")
            .bind(":seen", item::integer(heal.revision));
        self.transact_settled(vec![delete]).await.map(drop)
    }

    /// Gives the participants on these `sides` other numbers, in one transaction: the conversation from before to after, the
    /// `new_routes` of those who dial, the old ones, which are in quarantine from `now` on, the number that the other
    /// participant presents, the lists of the new numbers, and the item of the conversation. False if any of them has changed since it was read, or if
    /// another conversation owns a new route key.
    pub async fn heal_conversation(
        &self,
        [before, after]: [&Conversation; 2],
        sides: &[Side],
        new_routes: &[Route],
        heal: &Heal,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut transaction = vec![conversations::change_seen(before, after, sides)?, save(heal)?];
        for route in new_routes {
            transaction.push(routes::join(after, route, now)?);
            transaction.push(routes::replace(before, route, now));
        }
        let others = after.dialling_phones().filter(|phone| !new_routes.iter().any(|route| route.side == phone.side));
        transaction.extend(others.map(|phone| routes::present(after, phone)));
        transaction.extend(pins::changed(before, after, now)?);
        transaction.extend(lists::of_new_masks([before, after])?);
        transaction.extend(journal::record_change([before, after], now)?);
        Ok(self.transact(transaction, None).await? == Outcome::Committed)
    }
}

fn save(heal: &Heal) -> Result<Write, StoreError> {
    let save = Write::update(Key::Heal(heal.conversation))
        .set("healed = :healed, reported = :reported, tries = :tries, due_at = :due, revision = :next")
        .when("revision = :seen")
        .bind(":healed", item::value(&heal.healed)?)
        .bind(":reported", item::value(&heal.reported)?)
        .bind(":tries", item::integer(heal.tries))
        .bind(":due", item::seconds(heal.due_at))
        .bind(":seen", item::integer(heal.revision))
        .bind(":next", item::integer(heal.revision + 1));
    Ok(match heal.rotated.is_empty() {
        true => save.remove("rotated"),
        false => save.set("rotated = :rotated").bind(":rotated", item::value(&heal.rotated)?),
    })
}
