//! Counting of the calls of conversations that have limits.
//!
//! A leg has a note of what was counted of it. The note and the sum change in one transaction, so a leg is counted once,
//! however often its events come, and whatever came between two of them. The transaction that reaches a limit also marks the
//! conversation and its routes. Whoever else changes these needs the conversation's revision, so that nobody removes the mark
//! without having seen it.

use std::ops::ControlFlow::{Break, Continue};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::item::{self, Item};
use super::transaction::Outcome;
use super::usage::UsageAsRead;
use super::write::Write;
use super::{Store, StoreError, conversations, journal, legs, routes};
use crate::clock::whole_second;
use crate::domain::call::{Direction, Leg, LegEvent, LegFacts, Status};
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::side::Side;
use crate::domain::usage::{self, Counted, Tally, Usage};
use crate::retry;

/// Maximum number of attempts at counting a leg that conflicts with other events and changes of the conversation.
const ATTEMPTS: u32 = 12;

/// Attribute of a leg with what was counted of it.
const COUNTED: &str = "counted";

/// Attribute of that note with the day of the call.
const DAY: &str = "day";

/// Encodes the note of what was counted of a leg.
fn note(counted: &Counted) -> Result<AttributeValue, StoreError> {
    let mut note = item::value(counted.usage)?;
    if let (AttributeValue::M(note), Some(day)) = (&mut note, counted.day) {
        note.insert(DAY.to_owned(), item::string(day.to_string()));
    }
    Ok(note)
}

/// Decodes the note of what was counted of a leg.
fn read_note(note: AttributeValue) -> Result<Counted, StoreError> {
    let day = note.as_m().ok().and_then(|note| note.get(DAY)?.as_s().ok()?.parse().ok());
    Ok(Counted { usage: item::decode(note)?, day })
}

/// Takes the note of what was counted from a leg that moves from a conversation to another one. Returns the writes that take it
/// from the `usage`, and the condition under which the leg still has that note.
///
/// A limit that is reached stays reached: the leg is counted where it goes, and a call too few is better than one too many.
pub(super) fn uncount(
    from: &Conversation,
    usage: &UsageAsRead,
    leg: &mut Item,
    delete: Write,
    now: Timestamp,
) -> Result<Vec<Write>, StoreError> {
    let Some(counted) = leg.remove(COUNTED) else { return Ok(keep_count(leg, delete)) };
    let left = usage.tally.clone().with_leg(&Counted::default(), &read_note(counted.clone())?);
    let mut writes = vec![delete.when("counted = :counted").bind(":counted", counted)];
    writes.extend(tell(from, usage, &left, now)?);
    Ok(writes)
}

/// Like [`uncount`], for a leg of which nothing was counted, or whose conversation is not stored any more.
pub(super) fn keep_count(leg: &mut Item, delete: Write) -> Vec<Write> {
    vec![match leg.remove(COUNTED) {
        Some(counted) => delete.when("counted = :counted").bind(":counted", counted),
        None => delete.when("attribute_not_exists(counted)"),
    }]
}

/// True if something was counted of a leg.
pub(super) fn is_counted(leg: &Item) -> bool {
    leg.contains_key(COUNTED)
}

/// True if an event of a leg may change what the leg uses.
pub(super) fn is_of_interest(event: &LegEvent) -> bool {
    let LegFacts { price, duration, .. } = &event.facts;
    let is_told = price.is_some() || duration.is_some();
    is_told || event.status.ends() || matches!(event.status, Status::Started | Status::Answered)
}

impl Store {
    /// Counts what the event's leg has used, as far as it is not counted yet, if its conversation has limits. If one is
    /// reached, no more calls are connected from then on.
    pub(super) async fn count_leg(
        &self,
        id: ConversationId,
        event: &LegEvent,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if !is_of_interest(event) {
            return Ok(());
        }
        retry::contended(ATTEMPTS, StoreError::Contended("the usage of a conversation"), || async move {
            let (conversation, usage, leg) = tokio::try_join!(
                self.stored_conversation(id, now),
                self.usage(id),
                self.get_item(legs::key(id, event))
            )?;
            let (Some(conversation), Some(leg)) = (conversation, leg) else { return Ok(Break(())) };
            if conversation.usage_limits.is_none() {
                return Ok(Break(()));
            }
            let before = leg.get(COUNTED).cloned();
            let counted = before.clone().map(read_note).transpose()?.unwrap_or_default();
            let leg = legs::read(leg)?;
            let uses = uses(&conversation, &leg, &counted, now);
            if uses == counted {
                return Ok(Break(()));
            }
            let mut tally = usage.tally.clone().with_leg(&uses, &counted);
            if conversation.usage_limits.max_spend.is_some() {
                tally.rates = tally.rates.with_leg((leg.direction, leg.side), leg.facts.rate);
            }
            let mark = Write::update(legs::key(id, event)).set("counted = :uses").bind(":uses", note(&uses)?);
            let mark = match before {
                Some(note) => mark.when("counted = :counted").bind(":counted", note),
                None => mark.when("attribute_exists(pk) AND attribute_not_exists(counted)"),
            };
            let mut transaction = vec![mark];
            transaction.extend(tell(&conversation, &usage, &tally, now)?);
            Ok(match self.transact(transaction, None).await? {
                Outcome::Committed => Break(()),
                Outcome::Cancelled(_) => Continue(()),
            })
        })
        .await
    }
}

/// Returns what is to be counted of a leg. Its call is of the day of its first event, as far as events have come.
fn uses(conversation: &Conversation, leg: &Leg, counted: &Counted, now: Timestamp) -> Counted {
    // A call is counted by the caller's leg, and its minutes by the callee's.
    let role = if leg.is_callers() { Direction::Inbound } else { leg.direction };
    let usage = Usage::of_leg(role, &leg.facts);
    let is_by_day = conversation.usage_limits.max_calls_per_day.is_some() && usage.calls > 0;
    let first = leg.times().into_values().min().map(usage::day);
    let day = first.or(counted.day).unwrap_or_else(|| usage::day(now));
    Counted { usage, day: is_by_day.then_some(day) }
}

/// Replaces the `usage` of a conversation by the `tally`, and tells its routes what that means for calls.
fn tell(
    conversation: &Conversation,
    usage: &UsageAsRead,
    tally: &Tally,
    now: Timestamp,
) -> Result<Vec<Write>, StoreError> {
    let mut writes = vec![usage.replace(conversation, tally)];
    if let Some(after) = marked(conversation, tally, now) {
        writes.extend(mark_limits([conversation, &after], tally, now)?);
        return Ok(writes);
    }
    writes.push(conversations::check(conversation));
    let changes =
        |side: &Side| conversation.seconds_left(&usage.tally, *side) != conversation.seconds_left(tally, *side);
    let phones = conversation.dialling_phones().filter(|phone| changes(&phone.side));
    let phones = phones.filter(|_| conversation.is_active(now));
    writes.extend(phones.map(|phone| routes::leave(conversation, phone, tally)));
    Ok(writes)
}

/// Returns the conversation with its marks of limits as the `tally` demands at `now`. `None` if it has them, or is over.
fn marked(before: &Conversation, tally: &Tally, now: Timestamp) -> Option<Conversation> {
    let limits = &before.usage_limits;
    let reached_at = limits.are_reached(&tally.sum).then(|| whole_second(now));
    let limit_reached_at = before.limit_reached_at.or(reached_at);
    let paused_until = limits.paused_until(&tally.by_day, now);
    let is_paused = before.paused_until.filter(|until| now < *until);
    let is_marked = limit_reached_at == before.limit_reached_at && paused_until == is_paused;
    let after = || Conversation { limit_reached_at, paused_until, revision: before.revision + 1, ..before.clone() };
    (before.is_active(now) && !is_marked).then(after)
}

/// Marks a conversation and its routes, so that they connect no more calls, or calls again.
fn mark_limits([before, after]: [&Conversation; 2], tally: &Tally, now: Timestamp) -> Result<Vec<Write>, StoreError> {
    let routes = after.dialling_phones().map(|phone| routes::meter(after, phone, tally));
    let recorded = journal::record_change([before, after], now)?;
    Ok(std::iter::once(conversations::mark_limits(before, after)).chain(routes).chain(recorded).collect())
}
