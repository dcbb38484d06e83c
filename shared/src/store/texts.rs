//! Texts that are passed on, without their content, and who was told that one was not.
//!
//! A text is claimed by the carrier's id of it before it is sent. The claim is in a partition of its own, because a text may come
//! again when its route key belongs to another conversation.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::item::{self, Item, Key, TENANT, TEXT_PREFIX};
use super::opt_outs::wants_texts;
use super::passed_over::PassedOver;
use super::retention::leg_deleted_after;
use super::routes::is_own_number;
use super::tenant_costs::{PricedText, SPENT_ON};
use super::transaction::{Outcome, Updated};
use super::write::Write;
use super::{Store, StoreError};
use crate::clock::whole_second;
use crate::domain::carrier_record::CarrierRecord;
use crate::domain::channel::Sender;
use crate::domain::conversation::ConversationId;
use crate::domain::part_fate::PartFate;
use crate::domain::phone::RealNumber;
use crate::domain::phone::VirtualNumber;
use crate::domain::receipt::Receipt;
use crate::domain::relayed_text::{
    AcceptedPart, AcceptedText, RelayedText, TEXTS_KNOWN, TEXTS_OF_A_DAY, TEXTS_OF_AN_HOUR, TextId, TextReference,
    Withheld,
};
use crate::domain::route::KeyOwner;
use crate::domain::tenant::{Owner, Tenant};
use crate::retry;

/// Time for which the number of texts of a day is kept.
const TEXTS_COUNTED: SignedDuration = SignedDuration::from_hours(2 * 24);

/// Time after an explanation in which the same person gets no other one from the same number.
const EXPLAINED_FOR: SignedDuration = SignedDuration::from_hours(24);

/// Most explanations from one number on a day (UTC).
const EXPLANATIONS_OF_A_DAY: u32 = 100;

/// Number of texts that one transaction of an erasure deletes.
const ERASED_AT_ONCE: u16 = 50;

/// Maximum number of such transactions in one piece of work.
const ERASING_TRANSACTIONS: usize = 10;

/// Maximum number of attempts of a claim that conflicts with other changes of the conversation.
const CONFLICTS: u32 = 8;

/// A page of the texts of a conversation.
#[derive(Debug)]
pub struct TextsPage {
    /// Those that can be read, latest first.
    pub texts: Vec<RelayedText>,
    /// The last one of the page, readable or not, if there are earlier ones.
    pub next: Option<TextId>,
}

/// The outcome of claiming a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextClaim {
    /// This caller has to send it.
    Claimed,
    /// It was claimed before. This is the text; `None` if its conversation has been erased.
    Known(Option<Box<RelayedText>>),
    /// The conversation has ended or been erased.
    Over,
    /// It must not be sent.
    Withheld(Withheld),
}

/// The outcome of sending a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextOutcome {
    /// The carrier accepted it.
    Accepted(AcceptedText),
    /// The carrier certainly did not accept it, for this reason.
    Refused(String),
    /// It may have been sent. The carrier accepted at least these parts.
    Unknown(String, Vec<AcceptedPart>),
}

#[derive(Serialize, Deserialize)]
struct Claim {
    conversation: ConversationId,
    text: TextId,
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    known_until: Timestamp,
}

#[derive(Serialize)]
struct Explained {
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    until: Timestamp,
}

impl Store {
    /// Returns the owner of the route key that a text from `writer` to `dialled` has at `now`, read as for a call: one eventually
    /// consistent read if it is live, or else a consistent one.
    pub async fn owner_for_text(
        &self,
        writer: &RealNumber,
        dialled: &VirtualNumber,
        now: Timestamp,
    ) -> Result<Option<KeyOwner>, StoreError> {
        Ok(self.key_owners(writer, dialled, [now, now]).await?.into_best(now))
    }

    /// Claims a text, so that nobody else sends it, and stores it in its conversation, whose quarantine ends at `rests_until`. It is to
    /// go from one of these senders to a phone, `to`, which may want no texts from there. `None` claims one that is not passed on.
    pub async fn claim_text(
        &self,
        conversation: ConversationId,
        text: &RelayedText,
        rests_until: Timestamp,
        to: Option<(&[Sender<'_>], &RealNumber)>,
    ) -> Result<TextClaim, StoreError> {
        let now = text.received_at;
        let claim = Claim { conversation, text: text.id, known_until: now + TEXTS_KNOWN };
        let key = Key::TextClaim(inbound_id(text));
        let claim = Write::put(key.with(&claim, Some(claim.known_until))?)
            .when("attribute_not_exists(pk) OR known_until <= :now")
            .bind(":now", item::seconds(now));
        let put = Write::put(Key::Text(conversation, text.id).with(text, Some(leg_deleted_after(rests_until)))?);
        // An erasure ends a conversation first, and leaves a note without participants.
        let lives = Write::check(Key::Conversation(conversation))
            .when("attribute_exists(participants)")
            .when("attribute_not_exists(ended_at)");
        let mut transaction = vec![claim, put, lives];
        if let Some((senders, reader)) = to {
            transaction.push(count_text(conversation, text));
            transaction.extend(senders.iter().map(|sender| wants_texts(reader, sender)));
        }
        for attempt in 0..CONFLICTS {
            match self.transact(transaction.clone(), None).await? {
                Outcome::Committed => return Ok(TextClaim::Claimed),
                Outcome::Cancelled(failed) if failed.contains(&0) => return self.known_text(key).await,
                Outcome::Cancelled(failed) if failed.contains(&2) => return Ok(TextClaim::Over),
                Outcome::Cancelled(failed) if failed.iter().any(|nth| *nth > 3) => {
                    return Ok(TextClaim::Withheld(Withheld::OptedOut));
                }
                Outcome::Cancelled(failed) if !failed.is_empty() => return Ok(TextClaim::Withheld(Withheld::TooMany)),
                Outcome::Cancelled(_) => retry::pause(attempt).await,
            }
        }
        Err(StoreError::Contended("a text"))
    }

    /// Returns a text, if it is there. One consistent read.
    pub async fn text(&self, reference: TextReference) -> Result<Option<RelayedText>, StoreError> {
        self.get(Key::Text(reference.conversation, reference.text)).await
    }

    async fn known_text(&self, key: Key<'_>) -> Result<TextClaim, StoreError> {
        let Some(claim) = self.get::<Claim>(key).await? else { return Err(StoreError::Contended("a text")) };
        let text: Option<RelayedText> = self.get(Key::Text(claim.conversation, claim.text)).await?;
        Ok(TextClaim::Known(text.map(Box::new)))
    }

    /// True if the text with this id of the carrier was claimed. One consistent read.
    pub async fn is_text_known(&self, id: &str) -> Result<bool, StoreError> {
        Ok(self.get_item(Key::TextClaim(id)).await?.is_some())
    }

    /// Gives up the claim of a text that was certainly not sent, so that the next delivery of its webhook sends it.
    pub async fn give_up_text(&self, conversation: ConversationId, text: &RelayedText) -> Result<(), StoreError> {
        let claim = Write::delete(Key::TextClaim(inbound_id(text)))
            .when("#text = :text")
            .name("#text", "text")
            .bind(":text", item::string(text.id));
        let record = Write::delete(Key::Text(conversation, text.id));
        let (key, hour) = counted_at(conversation, text);
        let count = Write::update(key)
            .set("#hour = if_not_exists(#hour, :one) - :one, texts = if_not_exists(texts, :one) - :one")
            .set_ttl(text.received_at + TEXTS_COUNTED)
            .name("#hour", hour)
            .bind(":one", item::integer(1_u32));
        self.transact_settled(vec![claim, record, count]).await.map(drop)
    }

    /// Stores the outcome of sending a text. If its conversation has been erased since, its carrier records are listed for
    /// redaction.
    pub async fn record_text_outcome(
        &self,
        conversation: ConversationId,
        text: &RelayedText,
        outcome: &TextOutcome,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let reference = TextReference { conversation, text: text.id };
        let update = of(reference);
        let (update, parts) = match outcome {
            TextOutcome::Accepted(AcceptedText { parts, by_number: false }) => (sent(update, now), parts.as_slice()),
            TextOutcome::Accepted(AcceptedText { parts, .. }) => (by_number(sent(update, now))?, parts.as_slice()),
            TextOutcome::Refused(reason) => {
                let update = update.set("problem = :problem, refused = :true");
                let update = update.bind(":true", item::value(true)?);
                (update.bind(":problem", item::string(reason.as_str())), [].as_slice())
            }
            TextOutcome::Unknown(reason, parts) => {
                (update.set("problem = :problem").bind(":problem", item::string(reason.as_str())), parts.as_slice())
            }
        };
        let update = update.set("parts = :parts").bind(":parts", item::value(parts)?);
        let price = |part: &AcceptedPart| Some((part.id.clone(), part.price.as_ref()?.parse().ok()?));
        let prices: Vec<_> = parts.iter().filter_map(price).collect();
        let is_there = match text.owner {
            Owner::Tenant(tenant) if !prices.is_empty() => {
                self.charge_text(&priced(reference, tenant, prices), |notes| note(update.clone(), notes)).await?
            }
            _ => self.update(update).await?,
        };
        if is_there {
            return Ok(());
        }
        let records: Vec<_> = parts.iter().map(|part| text.record_of(&part.id)).collect();
        self.request_redaction(&records, now).await
    }

    /// Adds a receipt to its text. It may come twice and in any order. False if there is no such text, or not any more. If its conversation
    /// has been erased, the record at the carrier is listed for redaction: the answer that named it may never have come.
    pub async fn record_receipt(
        &self,
        text: TextReference,
        receipt: &Receipt,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let update = sent(of(text), now);
        let part = [receipt.part.clone()];
        let update = match receipt.price {
            Some(price) => {
                let told = [format!("{} {price}", receipt.part)];
                update.add("receipt_prices :price").bind(":price", set(told))
            }
            None => update,
        };
        let update = if receipt.by_number { by_number(update)? } else { update };
        let update = match &receipt.fate {
            PartFate::Accepted => update,
            PartFate::Delivered => update
                .set("delivered_at = if_not_exists(delivered_at, :now)")
                .add("delivered :part")
                .bind(":part", set(part)),
            PartFate::Undelivered(reason) => update
                .set("undelivered_because = if_not_exists(undelivered_because, :reason)")
                .add("undelivered :part")
                .bind(":part", set(part))
                .bind(":reason", item::string(reason.as_str())),
        };
        let is_there = match receipt.price {
            Some(price) => self.charge_receipt(text, (receipt.part.clone(), price), update).await?,
            None => self.update(update).await?,
        };
        if is_there {
            return Ok(true);
        }
        let conversation = self.get_item(Key::Conversation(text.conversation)).await?;
        if conversation.is_some_and(|item| item.contains_key("erased_at")) {
            self.request_redaction(&[CarrierRecord::of_part(receipt.part.clone())], now).await?;
        }
        Ok(false)
    }

    /// Carries out the `update` that a receipt with this price makes. Only the text knows if it is of a tenant, whose costs the price is
    /// added to; one that is of none takes one write, as without a price. False if there is no such text.
    async fn charge_receipt(
        &self,
        text: TextReference,
        price: (String, Decimal),
        update: Write,
    ) -> Result<bool, StoreError> {
        let of_none = update.clone().when(format!("attribute_not_exists({TENANT})"));
        let text_of_tenant = match self.update_or_find(of_none).await? {
            Updated::Yes => return Ok(true),
            Updated::No(None) => return Ok(false),
            Updated::No(Some(item)) => item,
        };
        match item::owner(&text_of_tenant) {
            Some(Owner::Tenant(tenant)) => {
                let text = priced(text, tenant, vec![price]);
                self.charge_text(&text, |notes| note(update.clone(), notes)).await
            }
            _ => self.update(update).await,
        }
    }

    /// Returns the latest texts of a conversation, up to `limit`; with `before`, those that came before that one. One consistent query.
    pub async fn texts(
        &self,
        conversation: ConversationId,
        before: Option<TextId>,
        limit: u16,
    ) -> Result<TextsPage, StoreError> {
        let partition = item::texts_partition(conversation);
        let before = before.map(|before| format!("{TEXT_PREFIX}{before}"));
        // One more shows that there are more.
        let (mut items, _) = self.query_page_backwards(partition, TEXT_PREFIX, before, limit.saturating_add(1)).await?;
        let more = items.len() > usize::from(limit);
        items.truncate(limit.into());
        let id = |item: &Item| item::sort_key(item).strip_prefix(TEXT_PREFIX)?.to_owned().try_into().ok();
        let next = items.iter().rev().find_map(id).filter(|_| more);
        Ok(TextsPage { texts: PassedOver::list(items, item::read), next })
    }

    /// Claims an answer of our own from `sender` to a person, whose hash is the `to` of its key. False if that person had one from
    /// there in the last day, or wants no texts from there, or if the sender has sent as many as it may on a day.
    ///
    /// It is claimed before it is sent: after a crash in between it is never sent, and never twice.
    pub async fn claim_explanation(
        &self,
        sender: &Sender<'_>,
        person: &RealNumber,
        to: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let until = whole_second(now) + EXPLAINED_FOR;
        let of_person = Key::Explanation { sender, to };
        let of_person = Write::put(of_person.with(&Explained { until }, Some(until))?)
            .when("attribute_not_exists(pk) OR #until <= :now")
            .name("#until", "until")
            .bind(":now", item::seconds(now));
        let of_day = count_answer(sender, now);
        self.transact_settled(vec![of_person, of_day, wants_texts(person, sender)]).await
    }

    /// Counts an answer to a key word from `sender`. False if that has sent as many answers as it may on a day.
    pub async fn count_answer(&self, sender: &Sender<'_>, now: Timestamp) -> Result<bool, StoreError> {
        self.update(count_answer(sender, now)).await
    }

    /// Returns which of these numbers are ours and not lost, in the same order. One consistent read.
    pub async fn are_own(&self, numbers: [&VirtualNumber; 2], now: Timestamp) -> Result<[Ownership; 2], StoreError> {
        let [one, other] = numbers;
        let keys =
            if one == other { vec![Key::OwnNumber(one)] } else { vec![Key::OwnNumber(one), Key::OwnNumber(other)] };
        let items = self.batch_get(keys).await?;
        Ok(numbers.map(|number| {
            let partition = item::caller_partition(number.as_str());
            match items.iter().find(|item| item::partition(item) == partition && is_own_number(item, now)) {
                Some(item) if item.contains_key("lost_since") => Ownership::Lost,
                Some(_) => Ownership::Own,
                None => Ownership::Foreign,
            }
        }))
    }

    /// Lists the carrier's records of a conversation's texts for redaction, and deletes the texts. False if there are more than
    /// one piece of work deletes. Fails if some cannot be read, because only they tell what the carrier has to redact.
    pub(super) async fn erase_texts(&self, id: ConversationId, now: Timestamp) -> Result<bool, StoreError> {
        let (mut after, mut passed_over) = (None, PassedOver::default());
        for _ in 0..ERASING_TRANSACTIONS {
            let partition = item::texts_partition(id);
            let (items, more) = self.query_page(partition, TEXT_PREFIX, after, ERASED_AT_ONCE).await?;
            after = items.last().map(|last| item::sort_key(last).to_owned());
            let read = |item: Item| passed_over.take(item::read::<RelayedText>(item));
            let texts: Vec<RelayedText> = items.into_iter().filter_map(read).collect();
            let records: Vec<CarrierRecord> = texts.iter().flat_map(RelayedText::carrier_records).collect();
            self.request_redaction(&records, now).await?;
            if !texts.is_empty() {
                let delete = |text: &RelayedText| Write::delete(Key::Text(id, text.id));
                self.transact_settled(texts.iter().map(delete).collect()).await?;
            }
            if !more {
                return passed_over.error().map_or(Ok(true), Err);
            }
        }
        passed_over.error().map_or(Ok(false), Err)
    }
}

/// Whose a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// It is in the pool.
    Own,
    /// It is in the pool, but the carrier does not list it any more.
    Lost,
    /// It is not ours.
    Foreign,
}

/// Returns the carrier's id of a text as it came.
fn inbound_id(text: &RelayedText) -> &str {
    text.inbound.as_ref().map_or("", |record| &record.id)
}

/// Starts an update of a text that is there.
fn of(reference: TextReference) -> Write {
    Write::update(Key::Text(reference.conversation, reference.text)).when("attribute_exists(pk)")
}

/// Returns a text of a tenant with the prices of these parts.
fn priced<'a>(text: TextReference, tenant: Tenant, parts: Vec<(String, Decimal)>) -> PricedText<'a> {
    let key = Key::Text(text.conversation, text.text);
    PricedText { key, notes: SPENT_ON, own_notes: String::new(), tenant, time: text.text.time(), parts }
}

/// Notes the parts of a text whose prices are counted.
fn note(update: Write, parts: Vec<String>) -> Write {
    if parts.is_empty() {
        return update;
    }
    update.add(format!("{SPENT_ON} :spent")).bind(":spent", AttributeValue::Ss(parts))
}

/// Notes that the carrier has accepted the text.
fn sent(update: Write, now: Timestamp) -> Write {
    update.set("sent_at = if_not_exists(sent_at, :now)").bind(":now", item::seconds(now))
}

/// Notes that a virtual number texts it in place of its channel.
fn by_number(update: Write) -> Result<Write, StoreError> {
    Ok(update.set("by_number = :by_number").bind(":by_number", item::value(true)?))
}

/// Returns the item that counts a text, and its attribute for the hour.
fn counted_at<'a>(conversation: ConversationId, text: &RelayedText) -> (Key<'a>, String) {
    let at = text.received_at.to_zoned(jiff::tz::TimeZone::UTC);
    (Key::TextsOfDay { conversation, from: text.from, day: at.date() }, format!("hour_{:02}", at.hour()))
}

/// Counts a text for its hour and its day, which have limits.
fn count_text(conversation: ConversationId, text: &RelayedText) -> Write {
    let (key, hour) = counted_at(conversation, text);
    Write::update(key)
        .set("#hour = if_not_exists(#hour, :zero) + :one, texts = if_not_exists(texts, :zero) + :one")
        .set_ttl(text.received_at + TEXTS_COUNTED)
        .when("(attribute_not_exists(#hour) OR #hour < :of_hour)")
        .when("(attribute_not_exists(texts) OR texts < :of_day)")
        .name("#hour", hour)
        .bind(":zero", item::integer(0_u32))
        .bind(":one", item::integer(1_u32))
        .bind(":of_hour", item::integer(TEXTS_OF_AN_HOUR))
        .bind(":of_day", item::integer(TEXTS_OF_A_DAY))
}

/// Counts an answer of our own from a sender, of which there is a limit for each day (UTC).
fn count_answer(sender: &Sender<'_>, now: Timestamp) -> Write {
    let day = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    Write::update(Key::ExplanationsOfDay { sender, day })
        .set("explained = if_not_exists(explained, :zero) + :one")
        .set_ttl(whole_second(now) + EXPLAINED_FOR + EXPLAINED_FOR)
        .when("(attribute_not_exists(explained) OR explained < :most)")
        .bind(":zero", item::integer(0_u32))
        .bind(":one", item::integer(1_u32))
        .bind(":most", item::integer(EXPLANATIONS_OF_A_DAY))
}

fn set(parts: [String; 1]) -> AttributeValue {
    AttributeValue::Ss(parts.into())
}
