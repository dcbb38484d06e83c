//! The journal: a second table, which is never restored. It has what an earlier state of the table lacks, as far as that matters
//! when the table is restored: route keys that were given away, and ends, erasures and changes of conversations.
//!
//! Its items are written in the same transactions as what they are about, and only read after a restore. No call needs them.
//!
//! - *Route keys* live as long as the quarantine, like the tombstones in the table, because they contain phone numbers. Keys are
//!   only ever added, so that nothing which goes on from an earlier state takes one away.
//! - *Changes* contain no phone of anybody, and live longer than a table can be restored.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::item::{self, Item, Key};
use super::passed_over::PassedOver;
use super::write::Write;
use super::{Store, StoreError};
use crate::clock::whole_second;
use crate::domain::call_handling::CallHandling;
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::route_keys::{RouteKey, Tenure};
use crate::domain::safety_key::SafetyPresses;
use crate::domain::side::Blocked;
use crate::domain::sliding_end::SlidingEnd;
use crate::domain::text_masking::TextMasking;
use crate::domain::usage::UsageLimits;

/// Time for which a change is kept. DynamoDB restores a table to a time up to 35 days ago.
pub(super) const CHANGES_KEPT: SignedDuration = SignedDuration::from_hours(40 * 24);

/// Maximum number of items that one page reads.
const PAGE: i32 = 500;

/// The last change of a conversation: all that changes in one, but for its people and their numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedChange {
    /// The conversation.
    pub conversation: ConversationId,
    /// Its revision.
    pub revision: u32,
    /// The time at which it expires.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub expires_at: Timestamp,
    /// The time at which a request ended it.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Start of its erasure.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub erased_at: Option<Timestamp>,
    /// Limits of all its calls together.
    #[serde(default, skip_serializing_if = "UsageLimits::is_none")]
    pub usage_limits: UsageLimits,
    /// The time at which its calls reached one of these limits.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub limit_reached_at: Option<Timestamp>,
    /// The time until which no call is connected, because those of a day are used up.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<Timestamp>,
    /// The sides whose calls are not connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Blocked>,
    /// The presses of the safety key.
    #[serde(default, skip_serializing_if = "SafetyPresses::is_none")]
    pub safety: SafetyPresses,
    /// The handling of its calls.
    #[serde(default, skip_serializing_if = "CallHandling::is_plain")]
    pub handling: CallHandling,
    /// The masking of contact details in its texts.
    #[serde(default, skip_serializing_if = "TextMasking::is_off")]
    pub text_masking: TextMasking,
    /// The rule by which its end slides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sliding_end: Option<SlidingEnd>,
    /// See [`Conversation::moves`].
    pub moves: usize,
    /// True if a restore ended it, because its phones or numbers had changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended_by_restore: bool,
}

/// The route keys of a conversation, present and former ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedKeys {
    /// The conversation.
    pub conversation: ConversationId,
    /// The route keys.
    pub keys: BTreeMap<RouteKey, Tenure>,
    /// See [`Conversation::moves`].
    pub moves: usize,
    /// The end of the conversation's quarantine.
    pub quarantined_until: Timestamp,
}

/// The table to which the journal belongs.
#[derive(Serialize, Deserialize)]
struct JournalOwner {
    table: String,
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    since: Timestamp,
}

/// A page of the journal.
#[derive(Debug)]
pub struct JournalPage<T> {
    /// The items that were asked for.
    pub found: Vec<T>,
    /// The conversations of the items of that kind that cannot be read. Each is of one, unless somebody else wrote it.
    pub unreadable: Vec<Option<ConversationId>>,
    /// Start of the next page, or `None` if this was the last one.
    pub next: Option<HashMap<String, AttributeValue>>,
}

impl RecordedChange {
    /// Returns the change by which a conversation got into its present state.
    pub fn of(conversation: &Conversation, erased_at: Option<Timestamp>) -> Self {
        Self {
            conversation: conversation.id,
            revision: conversation.revision,
            expires_at: conversation.expires_at,
            ended_at: conversation.ended_at,
            erased_at: erased_at.map(whole_second),
            usage_limits: conversation.usage_limits,
            limit_reached_at: conversation.limit_reached_at,
            paused_until: conversation.paused_until,
            blocked: conversation.blocked,
            safety: conversation.safety,
            handling: conversation.handling,
            text_masking: conversation.text_masking,
            sliding_end: conversation.sliding_end,
            moves: conversation.moves(),
            ended_by_restore: false,
        }
    }

    /// Puts it into the journal at `now`.
    pub(super) fn put(&self, now: Timestamp) -> Result<Write, StoreError> {
        Ok(Write::put(Key::Change(self.conversation).with(self, Some(now + CHANGES_KEPT))?))
    }
}

impl RecordedKeys {
    fn read(item: Item) -> Result<Self, StoreError> {
        let name = item::check_version(&item)?;
        let unreadable = |reason: &str| StoreError::Unreadable(name, reason.to_owned());
        let text = |value: &AttributeValue| value.as_s().ok().cloned();
        let conversation = item.get("conversation").and_then(text).and_then(|id| ConversationId::try_from(id).ok());
        let conversation = conversation.ok_or_else(|| unreadable("it names no conversation"))?;
        let quarantined_until =
            item::time(&item, UNTIL).ok_or_else(|| unreadable("the end of its quarantine is no time"))?;
        let moves = item.get("moves").and_then(|moves| moves.as_n().ok()?.parse().ok()).unwrap_or_default();
        let is_key = |(name, _): &(&String, &AttributeValue)| name.starts_with(|first: char| first.is_ascii_digit());
        let key = |(name, value): (&String, &AttributeValue)| {
            let tenure = text(value).and_then(|word| Tenure::try_from(word.as_str()).ok())?;
            Some((RouteKey::try_from(name.as_str()).ok()?, tenure))
        };
        let keys = item.iter().filter(is_key).map(key).collect::<Option<_>>();
        let keys = keys.ok_or_else(|| unreadable("one of them is malformed"))?;
        Ok(Self { conversation, keys, moves, quarantined_until })
    }
}

/// Attribute of the end of the quarantine.
const UNTIL: &str = "quarantined_until";

/// Records the present route keys of a conversation, beside those that it had before, and the end of its quarantine.
pub(super) fn record_keys(conversation: &Conversation) -> Write {
    let keys = RouteKey::of(conversation).into_iter().enumerate();
    let write = record_quarantine(conversation).set("moves = :moves");
    let write = write.bind(":moves", item::integer(conversation.moves() as u64));
    keys.fold(write, |write, (index, (key, tenure))| {
        let write = write.set(format!("#key{index} = :tenure{index}")).name(format!("#key{index}"), key.expose());
        write.bind(format!(":tenure{index}"), item::string(tenure.as_str()))
    })
}

/// Records the end of the quarantine of a conversation whose route keys stay.
pub(super) fn record_quarantine(conversation: &Conversation) -> Write {
    let until = conversation.quarantined_until(conversation.end());
    Write::update(Key::RouteKeys(conversation.id))
        .set(format!("conversation = :conversation, {UNTIL} = :until"))
        .set_ttl(until)
        .bind(":conversation", item::string(conversation.id))
        .bind(":until", item::seconds(until))
}

/// Records a change at `now` of an active conversation, with its route keys if they or the end of their quarantine change.
pub(super) fn record_change(
    [before, after]: [&Conversation; 2],
    now: Timestamp,
) -> Result<impl Iterator<Item = Write>, StoreError> {
    let keys = if before.moves() != after.moves() {
        Some(record_keys(after))
    } else if before.end() != after.end() {
        Some(record_quarantine(after))
    } else {
        None
    };
    let change = RecordedChange::of(after, None).put(now)?;
    Ok([Some(change), keys].into_iter().flatten())
}

/// Records the erasure at `now` of a conversation, which has ended. Its route keys stay no longer than its tombstones.
pub(super) fn record_erasure(
    [before, ended]: [&Conversation; 2],
    now: Timestamp,
) -> Result<impl Iterator<Item = Write>, StoreError> {
    let change = RecordedChange::of(ended, Some(now)).put(now)?;
    let keys = if ended.quarantined_until(ended.end()) <= now {
        Some(Write::delete(Key::RouteKeys(ended.id)))
    } else if before.end() != ended.end() {
        Some(record_quarantine(ended))
    } else {
        None
    };
    Ok([Some(change), keys].into_iter().flatten())
}

impl Store {
    /// Returns the next page of the recorded changes, starting at `from`. One consistent scan.
    pub async fn recorded_changes(&self, from: Option<Item>) -> Result<JournalPage<RecordedChange>, StoreError> {
        self.journal_page(item::CHANGE, from, item::read).await
    }

    /// Returns the next page of the recorded route keys, starting at `from`. One consistent scan.
    pub async fn recorded_keys(&self, from: Option<Item>) -> Result<JournalPage<RecordedKeys>, StoreError> {
        self.journal_page(item::ROUTE_KEYS, from, RecordedKeys::read).await
    }

    pub(super) async fn journal_page<T>(
        &self,
        sort_key: &str,
        from: Option<Item>,
        read: impl Fn(Item) -> Result<T, StoreError>,
    ) -> Result<JournalPage<T>, StoreError> {
        let scan = self.client.scan().table_name(self.table_with(true)?).consistent_read(true).limit(PAGE);
        let scan = scan.filter_expression("sk = :sk").expression_attribute_values(":sk", item::string(sort_key));
        let page = scan.set_exclusive_start_key(from).send().await?;
        let (mut found, mut unreadable, mut passed_over) = (Vec::new(), Vec::new(), PassedOver::default());
        for item in page.items.unwrap_or_default() {
            let id = item::conversation_of(&item);
            match passed_over.take(read(item)) {
                Some(read) => found.push(read),
                None => unreadable.push(id),
            }
        }
        Ok(JournalPage { found, unreadable, next: page.last_evaluated_key })
    }

    /// Returns the last change of a conversation, if one is recorded. One consistent read.
    pub async fn recorded_change(&self, id: ConversationId) -> Result<Option<RecordedChange>, StoreError> {
        self.get(Key::Change(id)).await
    }

    /// True if the journal belongs to this table, or belonged to none until now. One consistent read.
    pub async fn claim_journal(&self, now: Timestamp) -> Result<bool, StoreError> {
        if let Some(owner) = self.get::<JournalOwner>(Key::JournalOwner).await? {
            return Ok(owner.table == self.table);
        }
        let claimed = self.put(self.ownership(now)?.when("attribute_not_exists(pk)")).await?;
        match claimed {
            true => Ok(true),
            // Another run was first.
            false => {
                Ok(self.get::<JournalOwner>(Key::JournalOwner).await?.is_some_and(|owner| owner.table == self.table))
            }
        }
    }

    /// Makes the journal belong to this table from `now` on, which has been repaired.
    pub async fn take_journal(&self, now: Timestamp) -> Result<(), StoreError> {
        self.put(self.ownership(now)?).await.map(drop)
    }

    fn ownership(&self, now: Timestamp) -> Result<Write, StoreError> {
        let owner = JournalOwner { table: self.table.clone(), since: whole_second(now) };
        Ok(Write::put(Key::JournalOwner.with(&owner, None)?))
    }
}
