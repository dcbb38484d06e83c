//! Counting of the calls of conversations that have limits.
//!
//! A leg has a note of what was counted of it. The note and the sum change in one transaction, so a leg is counted once,
//! however often its events come, and whatever came between two of them. The transaction that reaches a limit also marks the
//! conversation and its routes. Whoever else changes these needs the conversation's revision, so that nobody removes the mark
//! without having seen it.

use std::ops::ControlFlow::{Break, Continue};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use rust_decimal::Decimal;

use super::item::{self, Item, Key};
use super::transaction::Outcome;
use super::write::Write;
use super::{Store, StoreError, conversations, journal, legs, routes};
use crate::clock::whole_second;
use crate::domain::call::{LegEvent, LegFacts, Status};
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::usage::Usage;
use crate::retry;

/// Maximum number of attempts at counting a leg that conflicts with other events and changes of the conversation.
const ATTEMPTS: u32 = 12;

/// Attribute of a leg with what was counted of it.
const COUNTED: &str = "counted";

/// Takes the note of what was counted from a leg that moves to another conversation. Returns the writes that take it from the
/// sum, and the condition under which the leg still has that note.
///
/// A limit that is reached stays reached: the leg is counted where it goes, and a call too few is better than one too many.
pub(super) fn uncount(from: ConversationId, leg: &mut Item, delete: Write) -> Result<Vec<Write>, StoreError> {
    let Some(counted) = leg.remove(COUNTED) else {
        return Ok(vec![delete.when("attribute_not_exists(counted)")]);
    };
    let Usage { calls, seconds, spend } = item::decode(counted.clone())?;
    let minus = |amount: Decimal| AttributeValue::N((-amount).to_string());
    let sum = Write::update(Key::Usage(from))
        .add("calls :calls, seconds :seconds, spend :spend, version :one")
        .when("attribute_exists(version)")
        .bind(":calls", minus(calls.into()))
        .bind(":seconds", minus(seconds.into()))
        .bind(":spend", minus(spend))
        .bind(":one", item::integer(1u64));
    Ok(vec![delete.when("counted = :counted").bind(":counted", counted), sum])
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
            let note = leg.get(COUNTED).cloned();
            let counted: Usage = note.clone().map(item::decode).transpose()?.unwrap_or_default();
            let leg = legs::read(leg)?;
            let uses = Usage::of_leg(leg.direction, &leg.facts);
            if uses == counted {
                return Ok(Break(()));
            }
            let sum = usage.usage.with_leg(&uses, &counted);
            let mark = Write::update(legs::key(id, event)).set("counted = :uses").bind(":uses", item::value(uses)?);
            let mark = match note {
                Some(note) => mark.when("counted = :counted").bind(":counted", note),
                None => mark.when("attribute_exists(pk) AND attribute_not_exists(counted)"),
            };
            let mut transaction = vec![mark, usage.replace(&conversation, &sum)];
            let limits = &conversation.usage_limits;
            if conversation.limit_reached_at.is_none() && conversation.is_active(now) && limits.are_reached(&sum) {
                transaction.extend(reach_limit(&conversation, now)?);
            } else {
                transaction.push(conversations::check(&conversation));
            }
            Ok(match self.transact(transaction, None).await? {
                Outcome::Committed => Break(()),
                Outcome::Cancelled(_) => Continue(()),
            })
        })
        .await
    }
}

/// Marks an active conversation and its routes, so that they connect no more calls.
fn reach_limit(before: &Conversation, now: Timestamp) -> Result<Vec<Write>, StoreError> {
    let reached_at = Some(whole_second(now));
    let after = Conversation { limit_reached_at: reached_at, revision: before.revision + 1, ..before.clone() };
    let routes = after.direction.sides().map(|side| routes::meter(&after, side));
    let recorded = journal::record_change([before, &after], now)?;
    Ok(std::iter::once(conversations::reach_limit(before, &after)).chain(routes).chain(recorded).collect())
}
