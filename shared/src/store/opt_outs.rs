//! Opt-outs: who wants no texts from which of our senders.
//!
//! An opt-out lies in the partition of the person's route keys, so that the choice of numbers for a conversation knows it by the
//! query that it makes anyway, and a transaction that claims a text can check it. It is no part of a conversation and outlives each.
//! A person who takes texts again leaves the opt-out behind as lifted: a key word or a receipt of before that comes late then changes
//! nothing.

use std::borrow::Cow;
use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::item::{self, Item, Key, OPT_OUT_CHANGE, OPT_OUT_PREFIX};
use super::journal::{CHANGES_KEPT, JournalPage};
use super::numbers::losses_in;
use super::passed_over::PassedOver;
use super::transaction::Outcome;
use super::write::Write;
use super::{Store, StoreError};
use crate::clock::whole_second;
use crate::domain::channel::Sender;
use crate::domain::conversation::ConversationId;
use crate::domain::opt_out::OptOut;
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::relayed_text::TEXTS_KNOWN;
use crate::domain::side::Side;
use crate::retry;

/// Time for which an opt-out is remembered: as long as the longest period that a law is known to ask for.
///
/// Source: 47 CFR 64.1200(d)(6), five years.
const OPT_OUTS_KEPT: SignedDuration = SignedDuration::from_hours(5 * 366 * 24);

/// Maximum number of attempts of a change that conflicts with others.
const CONFLICTS: u32 = 8;

/// Number of opt-outs that one query of an erasure reads.
const PAGE: u16 = 100;

/// A wish of a person about the texts of one of our senders.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// The phone.
    pub person: &'a RealNumber,
    /// The sender.
    pub sender: &'a Sender<'a>,
    /// True if the person wants no more texts, false if the person wants them again.
    pub stops: bool,
    /// The time of the wish.
    pub at: Timestamp,
    /// The carrier's id of the key word, which has this effect once. `None` if a receipt tells of the wish.
    pub keyword: Option<&'a str>,
    /// The conversations whose backend is told, each with the side of the person.
    pub conversations: &'a [(ConversationId, Side)],
}

/// The outcome of a wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WishOutcome {
    /// It holds from now on.
    Changed,
    /// It held before, or a later one does.
    Unchanged,
    /// It had its effect before.
    Known,
}

/// The last change of an opt-out, in the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecordedOptOut {
    /// The phone, in its canonical spelling.
    pub person: RealNumber,
    /// The sender.
    #[serde(rename = "number")]
    pub sender: Sender<'static>,
    /// The opt-out.
    #[serde(flatten)]
    pub opt_out: OptOut,
}

/// The claim of a key word.
#[derive(Serialize)]
struct KeywordClaim {
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    known_until: Timestamp,
}

impl Wish<'_> {
    /// Returns the transaction. Its first write has the condition that the wish changes something, the second one is for the journal,
    /// and the third one claims the key word, if there is one.
    fn writes(&self, person: &RealNumber, now: Timestamp) -> Result<Vec<Write>, StoreError> {
        let (sender, at) = (self.sender, whole_second(self.at));
        let key = Key::OptOut { person, sender };
        let (change, opt_out, kept_until) = match self.stops {
            true => {
                let (opt_out, until) = (OptOut { since: at, lifted_at: None }, now + OPT_OUTS_KEPT);
                let put =
                    Write::put(key.with(&opt_out, Some(until))?).when("attribute_not_exists(pk) OR lifted_at <= :at");
                (put, opt_out, until)
            }
            false => {
                let until = now + CHANGES_KEPT;
                let lift = Write::update(key)
                    .set("lifted_at = :at")
                    .set_ttl(until)
                    .when("since <= :at")
                    .when("attribute_not_exists(lifted_at)");
                (lift, OptOut { since: at, lifted_at: Some(at) }, until)
            }
        };
        let recorded = RecordedOptOut { person: person.clone(), sender: sender.clone().into_owned(), opt_out };
        let record = Key::OptOutChange { person, sender }.with(&recorded, Some(kept_until.min(now + CHANGES_KEPT)))?;
        let mut writes = vec![change.bind(":at", item::seconds(at)), Write::put(record)];
        if let Some(id) = self.keyword {
            let claim = KeywordClaim { known_until: whole_second(now + TEXTS_KNOWN) };
            let claim = Key::KeywordClaim(id).with(&claim, Some(claim.known_until))?;
            writes.push(
                Write::put(claim)
                    .when("attribute_not_exists(pk) OR known_until <= :now")
                    .bind(":now", item::seconds(now)),
            );
        }
        Ok(writes)
    }

    /// Notes it in a conversation, so that an event tells of it.
    fn note(&self, (id, side): (ConversationId, Side)) -> Write {
        let attribute = noted_in(side);
        let note = Write::update(Key::Conversation(id))
            .when("attribute_exists(participants)")
            .when("attribute_not_exists(erased_at)");
        match self.stops {
            true => note.set(format!("{attribute} = :at")).bind(":at", item::seconds(whole_second(self.at))),
            false => note.remove(attribute),
        }
    }
}

/// Returns the attribute of a conversation with the time at which `side` stopped texts.
fn noted_in(side: Side) -> &'static str {
    match side {
        Side::A => "texts_stopped_a",
        Side::B => "texts_stopped_b",
    }
}

/// Checks in a transaction that a person wants texts from a sender.
pub(super) fn wants_texts(person: &RealNumber, sender: &Sender<'_>) -> Write {
    Write::check(Key::OptOut { person: &person.canonical(), sender })
        .when("(attribute_not_exists(pk) OR attribute_exists(lifted_at))")
}

/// Returns the opt-out in an item, if it holds. One that cannot be read holds.
pub(super) fn holds(item: &Item) -> bool {
    item::read::<OptOut>(item.clone()).map_or(true, |opt_out| opt_out.holds_since().is_some())
}

type Pair<'a> = (Cow<'a, RealNumber>, Sender<'a>);

fn canonical<'a, S: Into<Sender<'a>> + Clone>(pairs: &[(&'a RealNumber, S)]) -> Vec<Pair<'a>> {
    pairs.iter().map(|(person, sender)| (person.canonical(), sender.clone().into())).collect()
}

/// Returns the keys of the opt-outs of these pairs, each once, as a batch needs them.
fn keys<'a>(pairs: &'a [Pair<'a>]) -> impl Iterator<Item = Key<'a>> {
    let mut seen = HashSet::new();
    let is_new =
        move |(person, sender): &&Pair<'_>| seen.insert((person.expose().to_owned(), sender.as_str().to_owned()));
    pairs.iter().filter(is_new).map(|(person, sender)| Key::OptOut { person, sender })
}

/// Returns the times of those opt-outs that hold. One that cannot be read holds: better no text than one that is not wanted.
fn opted_out_in(items: &[Item], pairs: &[Pair<'_>]) -> Vec<Option<Timestamp>> {
    let mut passed_over = PassedOver::default();
    let mut of_pair = |(person, sender): &Pair<'_>| {
        let (partition, key) = (item::caller_partition(person.expose()), format!("{OPT_OUT_PREFIX}{sender}"));
        let is_theirs = |item: &&Item| item::partition(item) == partition && item::sort_key(item) == key;
        let item = items.iter().find(is_theirs)?;
        match passed_over.take(item::read::<OptOut>(item.clone())) {
            Some(opt_out) => opt_out.holds_since(),
            None => Some(item::time(item, "since").unwrap_or(Timestamp::UNIX_EPOCH)),
        }
    };
    pairs.iter().map(&mut of_pair).collect()
}

impl Store {
    /// Follows a wish at `now`. One transaction, with the notes in its conversations and the record in the journal.
    pub async fn follow_wish(&self, wish: Wish<'_>, now: Timestamp) -> Result<WishOutcome, StoreError> {
        let writes = wish.writes(&wish.person.canonical(), now)?;
        let mut notes: Vec<Write> = wish.conversations.iter().map(|one| wish.note(*one)).collect();
        for attempt in 0..CONFLICTS {
            let transaction = writes.iter().chain(&notes).cloned().collect();
            match self.transact(transaction, None).await? {
                Outcome::Committed => return Ok(WishOutcome::Changed),
                Outcome::Cancelled(failed) if wish.keyword.is_some() && failed.contains(&2) => {
                    return Ok(WishOutcome::Known);
                }
                Outcome::Cancelled(failed) if failed.contains(&0) => return Ok(WishOutcome::Unchanged),
                // Some of the conversations have been erased. The wish holds all the same.
                Outcome::Cancelled(failed) if !failed.is_empty() => {
                    let mut position = writes.len();
                    notes.retain(|_| {
                        position += 1;
                        !failed.contains(&(position - 1))
                    });
                }
                Outcome::Cancelled(_) => retry::pause(attempt).await,
            }
        }
        Err(StoreError::Contended("an opt-out"))
    }

    /// Returns the times from which people want no texts from numbers, of those pairs of which that is so. One consistent read of up
    /// to 100 pairs.
    pub async fn opted_out(
        &self,
        pairs: &[(&RealNumber, &VirtualNumber)],
    ) -> Result<Vec<Option<Timestamp>>, StoreError> {
        if pairs.is_empty() {
            return Ok(Vec::new());
        }
        let canonical = canonical(pairs);
        Ok(opted_out_in(&self.batch_get(keys(&canonical)).await?, &canonical))
    }

    /// Returns the times from which two numbers are lost, and from which people want no texts from senders. One consistent read.
    pub async fn losses_and_opt_outs(
        &self,
        numbers: [&VirtualNumber; 2],
        pairs: &[(&RealNumber, Sender<'_>)],
    ) -> Result<([Option<Timestamp>; 2], Vec<Option<Timestamp>>), StoreError> {
        let (canonical, [a, b]) = (canonical(pairs), numbers);
        let own = [a].into_iter().chain((a != b).then_some(b)).map(Key::OwnNumber);
        let items = self.batch_get(own.chain(keys(&canonical))).await?;
        Ok((losses_in(&items, numbers), opted_out_in(&items, &canonical)))
    }

    /// True if this person wants no texts from this sender. One consistent read.
    pub async fn has_opted_out(&self, person: &RealNumber, sender: &Sender<'_>) -> Result<bool, StoreError> {
        let item = self.get_item(Key::OptOut { person: &person.canonical(), sender }).await?;
        Ok(item.is_some_and(|item| holds(&item)))
    }

    /// Deletes the opt-outs of a phone, which has to be in one of its spellings, and what the journal has of them.
    pub(super) async fn forget_opt_outs(&self, phone: &RealNumber) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let partition = item::caller_partition(phone.expose());
            let (items, more) = self.query_page(partition, OPT_OUT_PREFIX, after, PAGE).await?;
            for sender in items.iter().filter_map(item::declined) {
                let (opt_out, change) = (
                    Key::OptOut { person: phone, sender: &sender },
                    Key::OptOutChange { person: phone, sender: &sender },
                );
                self.transact_settled(vec![Write::delete(opt_out), Write::delete(change)]).await?;
            }
            after = items.last().map(|item| item::sort_key(item).to_owned());
            if !more || after.is_none() {
                return Ok(());
            }
        }
    }

    /// Brings an opt-out to its recorded state at `now`. False if it has that state, or a later one.
    pub async fn restore_opt_out(&self, recorded: &RecordedOptOut, now: Timestamp) -> Result<bool, StoreError> {
        let RecordedOptOut { person, sender, opt_out } = recorded;
        let kept = if opt_out.lifted_at.is_some() { CHANGES_KEPT } else { OPT_OUTS_KEPT };
        let put = Write::put(Key::OptOut { person, sender }.with(opt_out, Some(now + kept))?);
        let put = match opt_out.lifted_at {
            // It was made and lifted since, or only lifted.
            Some(at) => put
                .when("attribute_not_exists(pk) OR (attribute_not_exists(lifted_at) AND since <= :at)")
                .bind(":at", item::seconds(at)),
            None => put.when("attribute_not_exists(pk) OR lifted_at <= :at").bind(":at", item::seconds(opt_out.since)),
        };
        self.put(put).await
    }

    /// Returns the next page of the recorded changes of opt-outs, starting at `from`. One consistent scan of the journal.
    pub async fn recorded_opt_outs(&self, from: Option<Item>) -> Result<JournalPage<RecordedOptOut>, StoreError> {
        self.journal_page(OPT_OUT_CHANGE, from, item::read).await
    }
}
