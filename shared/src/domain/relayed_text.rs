//! Texts that were passed on from one participant to the other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::domain::carrier_record::CarrierRecord;
use crate::domain::channel::Channel;
use crate::domain::conversation::ConversationId;
use crate::domain::media::MediaKind;
use crate::domain::opt_out::OPTED_OUT;
use crate::domain::side::Side;
use crate::domain::tenant::Owner;
use crate::domain::text_message::TextSize;

/// Time for which a text is known by the carrier's id. The carrier repeats it for a day, and a webhook whose signature is older
/// than two days is refused.
pub const TEXTS_KNOWN: SignedDuration = SignedDuration::from_hours(4 * 24);

/// Time after its claim in which a text may still be on its way to the carrier: longer than a function runs.
pub const BEING_SENT: SignedDuration = SignedDuration::from_secs(30);

/// A text's id: a ULID, so that texts are in the order in which they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TextId(Ulid);

/// The text is not a ULID in its canonical form of 26 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a text")]
pub struct NotATextId;

impl TextId {
    /// Generates an id for a text that came at `now`.
    pub fn generate(now: Timestamp) -> Self {
        Self(Ulid::from_datetime(now.into()))
    }
}

impl TextId {
    /// Returns the time at which the text came.
    pub fn time(self) -> Timestamp {
        Timestamp::try_from(self.0.datetime()).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl TryFrom<String> for TextId {
    type Error = NotATextId;

    fn try_from(text: String) -> Result<Self, NotATextId> {
        Ulid::from_string(&text).ok().map(Self).filter(|id| id.to_string() == text).ok_or(NotATextId)
    }
}

impl From<TextId> for String {
    fn from(id: TextId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for TextId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The reference that the carrier repeats in the receipts of a text, so that they find it even if the carrier's ids never
/// arrived: `01JD….01JE…`, without personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextReference {
    /// The conversation.
    pub conversation: ConversationId,
    /// The text.
    pub text: TextId,
}

impl TextReference {
    /// Reads a reference. `None` if it is of something else.
    pub fn parse(text: &str) -> Option<Self> {
        let (conversation, text) = text.split_once('.')?;
        let (conversation, text) =
            (ConversationId::try_from(conversation).ok()?, TextId::try_from(text.to_owned()).ok()?);
        Some(Self { conversation, text })
    }
}

impl fmt::Display for TextReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.conversation, self.text)
    }
}

/// A part of a text that the carrier has accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedPart {
    /// The carrier's id of it.
    pub id: String,
    /// Its price in EUR, as the carrier writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
}

/// A text that the carrier has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedText {
    /// Its parts.
    pub parts: Vec<AcceptedPart>,
    /// True if a virtual number texts it because its channel does not take it.
    pub by_number: bool,
}

/// The words of a text, which a deployment keeps if it asks for that. `Debug` does not show them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptWords(String);

impl KeptWords {
    /// Returns the words. They belong into the answer to the backend, and into no log.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for KeptWords {
    fn from(words: String) -> Self {
        Self(words)
    }
}

impl fmt::Debug for KeptWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeptWords(…)")
    }
}

/// A text from one participant to the other. Serialized as the table stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayedText {
    /// Its id.
    pub id: TextId,
    /// The owner of its conversation, if that is a tenant, to whose costs its price is added.
    #[serde(default, rename = "tenant", skip_serializing_if = "Owner::is_deployment")]
    pub owner: Owner,
    /// The side that wrote it. If the backend did, the side whose mask it comes from.
    pub from: Side,
    /// Number of parts in which it is sent.
    pub segments: u32,
    /// Number of messages of the Messages API in which it is sent, each of which has a receipt. `None` if the SMS API sent it, where
    /// each segment has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<u32>,
    /// The channel on which it is sent, or was to be sent. None: a virtual number texts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// True if a virtual number texts it because that channel does not take it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_number: bool,
    /// Number of contact details in it that were replaced.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub masked: u32,
    /// The kinds of the files in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<MediaKind>,
    /// The words as they were passed on, if the deployment keeps them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<KeptWords>,
    /// The time at which it was claimed, so that nobody else sends it.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub received_at: Timestamp,
    /// The carrier's record of the text as it came. If there is none, the backend wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbound: Option<CarrierRecord>,
    /// The time at which the carrier accepted it, if that is known.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// The parts that the carrier accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<AcceptedPart>,
    /// The reason for which the carrier did not accept it, or for which that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// True if the carrier certainly did not accept it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    /// The carrier's ids of the parts that are on the phone.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub delivered: BTreeSet<String>,
    /// The carrier's ids of the parts that did not get there.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub undelivered: BTreeSet<String>,
    /// The time at which the first receipt of the kind came.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<Timestamp>,
    /// The prices in receipts: the carrier's id, a blank, and the price in EUR. The Messages API tells them only there.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub receipt_prices: BTreeSet<String>,
    /// The reason in the first receipt of a part that did not get there, in words that are safe to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undelivered_because: Option<String>,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// The reason for which a text is not passed on although it has a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withheld {
    /// Its reader wants no texts from the number that masks the writer.
    OptedOut,
    /// The writer has written [too many](TEXTS_OF_AN_HOUR).
    TooMany,
}

impl Withheld {
    /// Returns the reason in words that are safe to show.
    pub fn reason(self) -> &'static str {
        match self {
            Self::OptedOut => OPTED_OUT,
            Self::TooMany => "its writer has sent too many texts in a short time",
        }
    }
}

/// Maximum number of texts in one direction of a conversation that are passed on in an hour (UTC).
///
/// Phones of both sides may answer each text automatically, and so write to each other without end. Each answer takes some seconds,
/// so such a loop reaches this within some minutes, and is then over: a text that is not passed on is not answered. People who chat
/// quickly write a text a minute for an hour at most; over a longer time the next limit holds.
pub const TEXTS_OF_AN_HOUR: u32 = 60;

/// Maximum number of texts in one direction of a conversation that are passed on in a day (UTC), for loops of phones that take their
/// time.
pub const TEXTS_OF_A_DAY: u32 = 300;

/// The state of a text. That the carrier accepted it does not mean that it is on the phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TextState {
    /// On its way to the carrier.
    Sending,
    /// Accepted by the carrier.
    Sent,
    /// On the phone.
    Delivered,
    /// Not accepted, or not brought to the phone.
    Failed,
    /// It may have been sent or not. It is never sent again, because the reader could get it twice.
    Unknown,
}

impl RelayedText {
    /// Creates a text that is claimed at `now`.
    pub fn claimed(from: Side, size: TextSize, inbound: CarrierRecord, now: Timestamp) -> Self {
        let TextSize { segments, messages } = size;
        Self {
            id: TextId::generate(now),
            owner: Owner::Deployment,
            from,
            segments,
            messages,
            channel: None,
            by_number: false,
            masked: 0,
            media: Vec::new(),
            words: None,
            received_at: Timestamp::from_second(now.as_second()).unwrap_or(now),
            inbound: Some(inbound),
            sent_at: None,
            parts: Vec::new(),
            problem: None,
            refused: false,
            delivered: BTreeSet::new(),
            undelivered: BTreeSet::new(),
            delivered_at: None,
            receipt_prices: BTreeSet::new(),
            undelivered_because: None,
        }
    }

    /// Creates a text that is not passed on at `now`.
    pub fn withheld(from: Side, size: TextSize, inbound: CarrierRecord, why: Withheld, now: Timestamp) -> Self {
        Self { refused: true, problem: Some(why.reason().to_owned()), ..Self::claimed(from, size, inbound, now) }
    }

    /// Creates a text of the backend to the participant on side `to`, which is claimed at `now`.
    pub fn of_backend(to: Side, size: TextSize, now: Timestamp) -> Self {
        // No carrier has a record of it before it is sent.
        let none = CarrierRecord::of_text(String::new());
        Self { inbound: None, ..Self::claimed(to.other(), size, none, now) }
    }

    /// True if the backend wrote it.
    pub fn is_of_backend(&self) -> bool {
        self.inbound.is_none()
    }

    /// Returns its state at `now`. Receipts come in any order and more than once, so the sets of parts decide.
    pub fn state(&self, now: Timestamp) -> TextState {
        let is_there = |part: &AcceptedPart| self.delivered.contains(&part.id);
        // The carrier's answer may have been lost, or it has sent another message in place of one that a channel refused. Then only the
        // number of receipts is known.
        let is_complete = u32::try_from(self.delivered.len()).is_ok_and(|count| count >= self.receipts());
        if is_complete || !self.parts.is_empty() && self.parts.iter().all(is_there) {
            TextState::Delivered
        } else if self.refused || self.undelivered.iter().any(|part| !self.delivered.contains(part)) {
            TextState::Failed
        } else if self.sent_at.is_some() || !self.delivered.is_empty() {
            TextState::Sent
        } else if self.is_being_sent(now) {
            TextState::Sending
        } else {
            TextState::Unknown
        }
    }

    /// True if the run that claimed it may still be sending it at `now`.
    pub fn is_being_sent(&self, now: Timestamp) -> bool {
        let has_outcome = self.sent_at.is_some() || self.problem.is_some();
        !has_outcome && now.duration_since(self.received_at) < BEING_SENT
    }

    /// Returns all records that the carrier has of it.
    pub fn carrier_records(&self) -> Vec<CarrierRecord> {
        let known = self.parts.iter().map(|part| &part.id).chain(&self.delivered).chain(&self.undelivered);
        let ids: BTreeSet<&String> = known.collect();
        let sent = ids.into_iter().map(|id| self.record_of(id));
        sent.chain(self.inbound.clone()).collect()
    }

    /// Returns the carrier's record of a part of it.
    pub fn record_of(&self, part: &str) -> CarrierRecord {
        match self.messages {
            Some(_) => CarrierRecord::of_message(part.to_owned()),
            None => CarrierRecord::of_text(part.to_owned()),
        }
    }

    /// Returns the number of receipts that tell of all of it.
    fn receipts(&self) -> u32 {
        self.messages.unwrap_or(self.segments).max(1)
    }

    /// Returns the prices of all its parts, in EUR as the carrier writes them. `None` if one is not known yet.
    pub fn prices(&self) -> Option<Vec<&str>> {
        if self.parts.iter().all(|part| part.price.is_some()) && !self.parts.is_empty() {
            return self.parts.iter().map(|part| part.price.as_deref()).collect();
        }
        // A receipt that comes again says the same; if it does not, its price is the last in the order of texts.
        let told: BTreeMap<&str, &str> = self.receipt_prices.iter().filter_map(|price| price.split_once(' ')).collect();
        let is_complete = u32::try_from(told.len()).is_ok_and(|count| count >= self.receipts());
        is_complete.then(|| told.into_values().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::call::Direction;
    use crate::domain::carrier_record::Product;

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn text() -> RelayedText {
        let inbound = CarrierRecord {
            id: "in".to_owned(),
            product: Product::Messages,
            direction: Direction::Inbound,
            channel: None,
        };
        RelayedText::claimed(Side::A, TextSize { segments: 2, messages: None }, inbound, now())
    }

    fn sent() -> RelayedText {
        let part = |id: &str| AcceptedPart { id: id.to_owned(), price: None };
        RelayedText { sent_at: Some(now()), parts: vec![part("1"), part("2")], ..text() }
    }

    fn ids(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn a_text_without_an_outcome_is_unknown_after_a_while() {
        assert_eq!(text().state(now()), TextState::Sending);
        assert_eq!(text().state(now() + BEING_SENT), TextState::Unknown);
        let refused = RelayedText { refused: true, problem: Some("barred".to_owned()), ..text() };
        assert_eq!(refused.state(now()), TextState::Failed);
        let unclear = RelayedText { problem: Some("no response".to_owned()), ..text() };
        assert_eq!(unclear.state(now()), TextState::Unknown);
    }

    #[test]
    fn a_text_is_delivered_when_all_its_parts_are() {
        let with = |delivered: &[&str], undelivered: &[&str]| {
            RelayedText { delivered: ids(delivered), undelivered: ids(undelivered), ..sent() }.state(now())
        };
        assert_eq!(with(&[], &[]), TextState::Sent);
        assert_eq!(with(&["2"], &[]), TextState::Sent);
        assert_eq!(with(&["2", "1"], &[]), TextState::Delivered);
        assert_eq!(with(&["1"], &["2"]), TextState::Failed);
        assert_eq!(with(&["1", "2"], &["2"]), TextState::Delivered, "the phone has it");
    }

    #[test]
    fn receipts_alone_show_that_a_text_was_sent() {
        let with = |delivered: &[&str]| RelayedText { delivered: ids(delivered), ..text() }.state(now() + BEING_SENT);
        assert_eq!(with(&["1"]), TextState::Sent);
        assert_eq!(with(&["1", "2"]), TextState::Delivered);
    }

    #[test]
    fn one_receipt_tells_of_all_segments_of_a_message() {
        let message = RelayedText { messages: Some(1), ..text() };
        assert_eq!(message.state(now() + BEING_SENT), TextState::Unknown);
        let told = RelayedText { delivered: ids(&["uuid"]), ..message.clone() };
        assert_eq!(told.state(now() + BEING_SENT), TextState::Delivered);
        let two = RelayedText { messages: Some(2), ..told.clone() };
        assert_eq!(two.state(now() + BEING_SENT), TextState::Sent);
        assert_eq!(told.carrier_records()[0], CarrierRecord::of_message("uuid".to_owned()));
    }

    #[test]
    fn prices_are_of_the_answer_or_else_of_the_receipts() {
        let part = |id: &str, price: Option<&str>| AcceptedPart { id: id.to_owned(), price: price.map(str::to_owned) };
        let by_sms = RelayedText { parts: vec![part("1", Some("0.03")), part("2", Some("0.04"))], ..sent() };
        assert_eq!(by_sms.prices(), Some(vec!["0.03", "0.04"]));
        let message = RelayedText { messages: Some(2), parts: vec![part("u1", None), part("u2", None)], ..sent() };
        assert_eq!(message.prices(), None);
        let some = RelayedText { receipt_prices: ids(&["u1 0.05"]), ..message.clone() };
        assert_eq!(some.prices(), None, "one price is not known yet");
        let all = RelayedText { receipt_prices: ids(&["u1 0.05", "u2 0.06"]), ..message };
        assert_eq!(all.prices(), Some(vec!["0.05", "0.06"]));
    }

    #[test]
    fn words_are_not_in_debug_output() {
        let text = RelayedText { words: Some("zanzibar".to_owned().into()), ..text() };
        assert!(!format!("{text:?}").contains("zanzibar"));
    }

    #[test]
    fn a_reference_is_read_as_it_was_written() {
        let (conversation, text) = (ConversationId::generate(now()), TextId::generate(now()));
        let reference = TextReference { conversation, text };
        assert_eq!(TextReference::parse(&reference.to_string()), Some(reference));
        for other in ["", ".", "ride-42", &conversation.to_string(), &format!("{conversation}.{text}.x")] {
            assert_eq!(TextReference::parse(other), None, "{other}");
        }
    }
}
