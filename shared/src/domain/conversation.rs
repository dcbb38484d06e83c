//! Conversations: the pairing of two participants for a limited time.

use std::collections::BTreeSet;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::domain::attempt::Attempt;
use crate::domain::call_handling::CallHandling;
use crate::domain::call_limits::CallLimits;
use crate::domain::carrier_record::CarrierRecord;
use crate::domain::channel::{Channel, ChosenChannel};
use crate::domain::contact_card::ContactCards;
use crate::domain::country::Country;
use crate::domain::decision_url::DecisionUrl;
use crate::domain::hours::Hours;
use crate::domain::invitation::{Delivery, Invitation, InvitationReceipts};
use crate::domain::judge::Judge;
use crate::domain::language::Language;
use crate::domain::late::LateCare;
use crate::domain::listing::{List, Listed, Part};
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::pin::Pin;
use crate::domain::safety_key::SafetyPresses;
use crate::domain::side::{Blocked, Side, WhoDials};
use crate::domain::sliding_end::SlidingEnd;
use crate::domain::tenant::Owner;
use crate::domain::text::{Label, Reference};
use crate::domain::text_masking::{Masked, TextMasking};
use crate::domain::usage::{Tally, UsageLimits};
use crate::domain::verdict::RememberedVerdicts;
use crate::domain::words::addressee::Addressee;

/// A conversation's id: a ULID, which contains the time of its creation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConversationId(Ulid);

/// The text is not a ULID in its canonical form of 26 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a conversation id")]
pub struct NotAConversationId;

impl ConversationId {
    /// The smallest id.
    pub const FIRST: Self = Self(Ulid(0));

    /// The largest id.
    pub const LAST: Self = Self(Ulid(u128::MAX));

    /// Generates an id for a conversation created at `now`.
    pub fn generate(now: Timestamp) -> Self {
        Self(Ulid::from_datetime(now.into()))
    }

    /// Returns the time of creation, to the millisecond.
    pub fn created_at(self) -> Timestamp {
        i64::try_from(self.0.timestamp_ms())
            .ok()
            .and_then(|ms| Timestamp::from_millisecond(ms).ok())
            .unwrap_or(Timestamp::MAX)
    }

    /// Returns the smallest id of a conversation that is created at `time` or later.
    pub fn first_at(time: Timestamp) -> Self {
        let milliseconds = time.as_nanosecond().max(0).unsigned_abs().div_ceil(1_000_000);
        Self(Ulid::from_parts(u64::try_from(milliseconds).unwrap_or(u64::MAX), 0))
    }

    /// Returns the id right before this one, if there is one.
    pub fn previous(self) -> Option<Self> {
        self.0.0.checked_sub(1).map(|number| Self(Ulid(number)))
    }

    /// Returns the last eight bits, which are random.
    pub fn last_byte(self) -> u8 {
        self.0.to_bytes()[15]
    }
}

impl TryFrom<&str> for ConversationId {
    type Error = NotAConversationId;

    fn try_from(text: &str) -> Result<Self, NotAConversationId> {
        // Decoding also accepts lower case and look-alike letters. Only the canonical spelling is an id.
        Ulid::from_string(text).ok().map(Self).filter(|id| id.to_string() == text).ok_or(NotAConversationId)
    }
}

impl TryFrom<String> for ConversationId {
    type Error = NotAConversationId;

    fn try_from(text: String) -> Result<Self, NotAConversationId> {
        Self::try_from(text.as_str())
    }
}

impl From<ConversationId> for String {
    fn from(id: ConversationId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// State of the text message that tells a participant which number to dial.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notification {
    /// Not requested.
    #[default]
    Off,
    /// Not sent to the carrier yet.
    Pending,
    /// Accepted by the carrier.
    Sent,
    /// Not accepted by the carrier, with the reason in words that are safe to show.
    Failed(String),
    /// Sent without a clear answer, with the reason. It is never sent again, because the participant could get it twice.
    Unknown(String),
}

impl Notification {
    /// True if the participant should get it and certainly did not.
    pub fn needs_sending(&self) -> bool {
        matches!(self, Self::Pending | Self::Failed(_))
    }
}

/// One side of a conversation. Serialized as the table stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant {
    /// The participant's own phone, in the spelling in which it is dialled.
    pub number: RealNumber,
    /// The caller in its route key, if that is spelled otherwise: always the canonical spelling, but for conversations from
    /// before there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyed_as: Option<RealNumber>,
    /// The country of that phone, from its judge.
    pub country: Country,
    /// The judge that found that phone valid.
    #[serde(default = "Judge::of_older_conversations")]
    pub verified_by: Judge,
    /// The name of this participant in the text message to the other side.
    #[serde(default, deserialize_with = "Label::stored", skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// The language in which this participant is texted and hears announcements. That of the deployment, if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// The channel on which the backend wants this participant to be texted. `None` leaves it to the participant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChosenChannel>,
    /// The virtual number that this participant sees in place of the other one, and dials to reach that one, unless this
    /// side only receives; see [`Conversation::dials`].
    #[serde(rename = "dials")]
    pub sees: VirtualNumber,
    /// The text message to this participant.
    pub notification: Notification,
    /// The PIN with which this participant may call from another phone, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// The phones that this participant had before, oldest first.
    #[serde(default, rename = "former", skip_serializing_if = "Vec::is_empty")]
    pub previous_numbers: Vec<RealNumber>,
    /// The virtual numbers that this participant saw before, oldest first. The carrier took them away.
    #[serde(default, rename = "former_dials", skip_serializing_if = "Vec::is_empty")]
    pub previously_seen: Vec<VirtualNumber>,
    /// The hours in which `number` is called. Always, if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<Hours>,
    /// The name of the owner of `number`, in the record.
    #[serde(default, deserialize_with = "Label::stored", skip_serializing_if = "Option::is_none")]
    pub name: Option<Label>,
    /// The phones behind `number`, in the order in which they are called, and then those that have left.
    #[serde(default, rename = "phones", skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<FurtherPhone>,
}

/// A phone of a participant behind the first one. It is called after it, and dials the same virtual number. Serialized as the table
/// stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FurtherPhone {
    /// Its number among the further phones that this participant has or had, from 1 on. It never changes.
    pub id: u16,
    /// The phone, in the spelling in which it is dialled.
    pub number: RealNumber,
    /// The caller in its route key, if that is spelled otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyed_as: Option<RealNumber>,
    /// The country of the phone, from its judge.
    pub country: Country,
    /// The judge that found the phone valid.
    pub verified_by: Judge,
    /// The name of its owner, if that is another member of a team: a person who is told which number to dial.
    #[serde(default, deserialize_with = "Label::stored", skip_serializing_if = "Option::is_none")]
    pub name: Option<Label>,
    /// The text message to that person.
    #[serde(default)]
    pub notification: Notification,
    /// The language of its owner. That of the participant, if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// The hours in which it is called. Always, if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<Hours>,
    /// True if its owner calls from it, and it is never called.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_dials: bool,
    /// The time from which it is in the conversation, if not from the beginning.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub joined_at: Option<Timestamp>,
    /// The time from which it is no longer in the conversation.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub left_at: Option<Timestamp>,
}

impl FurtherPhone {
    /// Most phones of a side, with the first one. A change of a conversation then fits into a transaction.
    pub const MOST_OF_A_SIDE: usize = 10;

    /// Most phones that a side has and had behind the first one, so that the conversation's item stays small.
    pub const MOST_EVER: usize = 50;

    /// Index of the first further phone of a participant. The phones that the participant had before have the indices below it.
    const FIRST_INDEX: usize = 1_000;

    fn index(&self) -> usize {
        Self::FIRST_INDEX + usize::from(self.id)
    }
}

/// A person who gets a text message: a participant, or the owner of the further phone at this position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipient {
    /// The side.
    pub side: Side,
    /// Position among the participant's further phones.
    pub further: Option<usize>,
}

impl From<Side> for Recipient {
    fn from(side: Side) -> Self {
        Self { side, further: None }
    }
}

/// A phone that a side has now, as calls and routes see it.
#[derive(Debug, Clone, Copy)]
pub struct SidePhone<'a> {
    /// The side.
    pub side: Side,
    /// Its index; see [`Participant::number_at`].
    pub index: usize,
    /// The phone, in the spelling in which it is dialled.
    pub number: &'a RealNumber,
    /// The caller in its route key.
    pub caller: &'a RealNumber,
    /// The virtual number that it sees, and dials unless its side only receives.
    pub sees: &'a VirtualNumber,
    /// The language of its owner.
    pub language: Option<&'a Language>,
    /// The hours in which it is called.
    pub hours: Option<&'a Hours>,
    /// True if it is never called.
    pub only_dials: bool,
}

impl Participant {
    /// Returns the caller in this participant's route key.
    pub fn route_caller(&self) -> &RealNumber {
        self.keyed_as.as_ref().unwrap_or(&self.number)
    }

    /// Returns the phone at `index`: one from before in the order in which this participant had them, then the current one, and
    /// from 1,000 on the further ones.
    pub fn number_at(&self, index: usize) -> &RealNumber {
        let further = self.further.iter().find(|phone| phone.index() == index).map(|phone| &phone.number);
        further.or_else(|| self.previous_numbers.get(index)).unwrap_or(&self.number)
    }

    /// Returns the name of the owner of the phone at `index`.
    pub fn name_at(&self, index: usize) -> Option<&Label> {
        match self.further.iter().find(|phone| phone.index() == index) {
            Some(phone) => phone.name.as_ref(),
            None => self.name.as_ref().filter(|_| index == self.previous_numbers.len()),
        }
    }

    /// Returns all phones that this participant has and had.
    pub fn all_numbers(&self) -> impl Iterator<Item = &RealNumber> {
        let further = self.further.iter().map(|phone| &phone.number);
        self.previous_numbers.iter().chain([&self.number]).chain(further)
    }

    /// Returns the further phones that this participant has now.
    pub fn present(&self) -> impl Iterator<Item = &FurtherPhone> {
        self.further.iter().filter(|phone| phone.left_at.is_none())
    }

    /// Returns all virtual numbers that this participant sees and saw.
    pub fn all_seen(&self) -> impl Iterator<Item = &VirtualNumber> {
        self.previously_seen.iter().chain([&self.sees])
    }
}

/// State of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Calls are connected.
    Active,
    /// Ended by request.
    Ended,
    /// Its time is over.
    Expired,
}

/// A conversation. Serialized as the table stores it: times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// The owner, from whose pools its numbers are. It never changes.
    #[serde(default, rename = "tenant", skip_serializing_if = "Owner::is_deployment")]
    pub owner: Owner,
    /// The client's own name for it.
    #[serde(default, deserialize_with = "Reference::stored", skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// Sides A and B.
    pub participants: [Participant; 2],
    /// The sides that dial.
    #[serde(default, skip_serializing_if = "WhoDials::is_both")]
    pub direction: WhoDials,
    /// Time of its creation.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub created_at: Timestamp,
    /// The time at which it expires.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub expires_at: Timestamp,
    /// The rule by which its end slides with each call and text, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sliding_end: Option<SlidingEnd>,
    /// The time at which a request ended it.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// True if that request also ended its calls, so that one which is answered after all is hung up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hangs_up: bool,
    /// Length of the quarantine of its route keys after its end, in seconds.
    pub quarantine_seconds: u32,
    /// Limits of each of its calls.
    pub limits: CallLimits,
    /// The handling of its calls.
    #[serde(default, skip_serializing_if = "CallHandling::is_plain")]
    pub handling: CallHandling,
    /// The address at which the backend decides about its calls. See [`Conversation::decision`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_url: Option<String>,
    /// The answers of the backend that hold for further calls.
    #[serde(default, skip_serializing_if = "RememberedVerdicts::is_none")]
    pub verdicts: RememberedVerdicts,
    /// The masking of contact details in its texts.
    #[serde(default, skip_serializing_if = "TextMasking::is_off")]
    pub text_masking: TextMasking,
    /// The names under which its participants save the numbers that mask the other one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_card: Option<ContactCards>,
    /// The care for its late callers.
    #[serde(default, skip_serializing_if = "LateCare::is_none")]
    pub late: LateCare,
    /// Limits of all its calls together.
    #[serde(default, skip_serializing_if = "UsageLimits::is_none")]
    pub usage_limits: UsageLimits,
    /// The time at which its calls reached one of these limits. From then on no call is connected.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub limit_reached_at: Option<Timestamp>,
    /// The time until which no call is connected, because those of a day are used up.
    #[serde(default, with = "jiff::fmt::serde::timestamp::second::optional", skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<Timestamp>,
    /// The sides whose calls are not connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Blocked>,
    /// The times at which participants pressed the safety key. Before the end, each press blocked the other side.
    #[serde(default, skip_serializing_if = "SafetyPresses::is_none")]
    pub safety: SafetyPresses,
    /// Number of changes to its end, its limits, its block, its handling of calls, its participants' phones and languages, and what
    /// they dial. A write requires the revision that was read.
    pub revision: u32,
    /// Its records at the carrier except calls: number lookups and text messages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carrier_records: Vec<CarrierRecord>,
    /// The carrier's news of its invitations.
    #[serde(default, skip_serializing_if = "InvitationReceipts::is_empty")]
    pub invitation_receipts: InvitationReceipts,
    /// The mark that it is in the lists by reference and number and in that of all; see [`Conversation::lists`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Listed>,
}

impl Conversation {
    /// Returns what the words for the participant on `side` depend on, in words without names.
    pub fn addressee(&self, side: Side) -> Addressee {
        let language = self.participant(side).language.clone();
        Addressee { owner: self.owner, language, ..Addressee::default() }
    }

    /// Returns the lists that it is in besides those of its phones. None, if it was created without them.
    pub fn lists(&self) -> BTreeSet<List> {
        let Some(listed) = &self.listed else { return BTreeSet::new() };
        let part = Part::of(self.id.last_byte());
        // The deployment sees what tenants have.
        let all = [Owner::Deployment, self.owner].map(|owner| List::All(owner, part));
        let masks = self.participants.iter().flat_map(|participant| participant.all_seen());
        let reference = listed.reference.iter().cloned().map(List::Reference);
        all.into_iter().chain(reference).chain(masks.cloned().map(List::MaskedBy)).collect()
    }

    /// Returns the participant on `side`.
    pub fn participant(&self, side: Side) -> &Participant {
        &self.participants[side.index()]
    }

    /// Returns the virtual number that masks the participant on `side`: the other participant sees it.
    pub fn masked_by(&self, side: Side) -> &VirtualNumber {
        &self.participant(side.other()).sees
    }

    /// Returns the virtual number that the participant on `side` dials, or `None` if that side only receives.
    pub fn dials(&self, side: Side) -> Option<&VirtualNumber> {
        self.direction.includes(side).then_some(&self.participant(side).sees)
    }

    /// Returns the side and the index of the phone that is called as `number` by `mask`, be it the participant's present
    /// phone or one from before; see [`Participant::number_at`].
    pub fn callee(&self, number: &RealNumber, mask: &VirtualNumber) -> Option<(Side, usize)> {
        let is_called = |side: &Side| self.participant(*side).all_seen().any(|seen| seen == mask);
        Side::BOTH.into_iter().filter(is_called).find_map(|side| {
            let Participant { previous_numbers, further, .. } = self.participant(side);
            // The present phones first: a participant may be back at a phone from before.
            let present = self.phones(side).find(|phone| phone.number.is_same_phone(number)).map(|phone| phone.index);
            let left = || further.iter().rfind(|phone| phone.number.is_same_phone(number)).map(FurtherPhone::index);
            let previous = || previous_numbers.iter().rposition(|phone| phone.is_same_phone(number));
            present.or_else(left).or_else(previous).map(|index| (side, index))
        })
    }

    /// Returns the phones of `side` that are called, in order.
    pub fn ringing_phones(&self, side: Side) -> impl Iterator<Item = SidePhone<'_>> {
        self.phones(side).filter(|phone| !phone.only_dials)
    }

    /// Returns the phones that `side` has now, in the order in which they are called.
    pub fn phones(&self, side: Side) -> impl Iterator<Item = SidePhone<'_>> {
        let first = self.first_phone(side);
        let further = self.participant(side).present().map(move |phone| SidePhone {
            index: phone.index(),
            number: &phone.number,
            caller: phone.keyed_as.as_ref().unwrap_or(&phone.number),
            language: phone.language.as_ref().or(first.language),
            hours: phone.hours.as_ref(),
            only_dials: phone.only_dials,
            ..first
        });
        std::iter::once(first).chain(further)
    }

    /// Returns the first phone of `side`.
    pub fn first_phone(&self, side: Side) -> SidePhone<'_> {
        let participant = self.participant(side);
        SidePhone {
            side,
            index: participant.previous_numbers.len(),
            number: &participant.number,
            caller: participant.route_caller(),
            sees: &participant.sees,
            language: participant.language.as_ref(),
            hours: participant.hours.as_ref(),
            only_dials: false,
        }
    }

    /// Returns the phone of a route: the one at this index of `side`, or the first if it has left.
    pub fn phone_at(&self, side: Side, index: usize) -> SidePhone<'_> {
        self.phones(side).find(|phone| phone.index == index).unwrap_or(self.first_phone(side))
    }

    /// Returns the people of `side` whose text message is in such a state.
    pub fn recipients(&self, side: Side, is_so: impl Fn(&Notification) -> bool) -> Vec<Recipient> {
        let participant = self.participant(side);
        let further = participant.further.iter().enumerate().filter(|(_, phone)| phone.left_at.is_none());
        let further = further.map(|(position, phone)| (Some(position), &phone.notification));
        let all = std::iter::once((None, &participant.notification)).chain(further);
        all.filter(|(_, notification)| is_so(notification)).map(|(further, _)| Recipient { side, further }).collect()
    }

    /// Returns the text message to a person.
    pub fn notification(&self, to: Recipient) -> &Notification {
        let participant = self.participant(to.side);
        let further = to.further.and_then(|position| participant.further.get(position));
        further.map_or(&participant.notification, |phone| &phone.notification)
    }

    /// Sets the state of the text message to a person.
    pub fn set_notification(&mut self, to: Recipient, notification: Notification) {
        let participant = &mut self.participants[to.side.index()];
        match to.further.and_then(|position| participant.further.get_mut(position)) {
            Some(phone) => phone.notification = notification,
            None => participant.notification = notification,
        }
    }

    /// Notes the outcome of the text message to a person, of which the carrier has accepted these `parts`.
    pub fn note_invitation(&mut self, to: Recipient, notification: Notification, parts: &[CarrierRecord]) {
        self.set_notification(to, notification);
        self.carrier_records.extend(parts.iter().cloned());
        self.invitation_receipts.extend(InvitationReceipts::accepted(self.invitation(to), parts));
    }

    /// Returns the name of the text message to a person. There is another one for another phone or another number.
    pub fn invitation(&self, to: Recipient) -> Invitation {
        let number = self.participant(to.side).previously_seen.len();
        Invitation { side: to.side, phone: self.phone_of(to).index, number }
    }

    /// Returns the channel on which the text message to a person was sent. None: a virtual number texted it.
    pub fn invitation_channel(&self, to: Recipient) -> Option<Channel> {
        self.invitation_receipts.channel(self.invitation(to))
    }

    /// Returns what the carrier tells of the text message to a person, if it was sent.
    pub fn delivery(&self, to: Recipient) -> Option<Delivery<'_>> {
        let is_answered = *self.notification(to) == Notification::Sent;
        self.invitation_receipts.delivery(self.invitation(to), is_answered)
    }

    /// Returns the phone of a person.
    pub fn phone_of(&self, to: Recipient) -> SidePhone<'_> {
        let participant = self.participant(to.side);
        let further = to.further.and_then(|position| participant.further.get(position));
        further.map_or(self.first_phone(to.side), |phone| self.phone_at(to.side, phone.index()))
    }

    /// Returns the phones that dial, and so have a route.
    pub fn dialling_phones(&self) -> impl Iterator<Item = SidePhone<'_>> {
        self.direction.sides().flat_map(|side| self.phones(side))
    }

    /// Returns the phones of the side that only receives, if there is one.
    pub fn receiving_phones(&self) -> impl Iterator<Item = SidePhone<'_>> {
        self.direction.receiver().into_iter().flat_map(|side| self.phones(side))
    }

    /// Returns the attempt on `side` after the `last` one, which nobody took at `time`, with its phone and ringing time in seconds.
    /// `None` if there is no other phone, or if the call has tried enough.
    pub fn next_attempt(&self, side: Side, last: Attempt, time: Timestamp) -> Option<(Attempt, SidePhone<'_>, u32)> {
        let left = self.ring_seconds_left(last, time);
        if last.number >= self.handling.attempts() || left < Attempt::LEAST_RING_SECONDS {
            return None;
        }
        // Phones may have joined, left and changed places meanwhile.
        let participant = self.participant(side);
        let is_tried =
            |phone: &SidePhone<'_>| last.phones().any(|tried| participant.number_at(tried).is_same_phone(phone.number));
        let is_open = |phone: &SidePhone<'_>| phone.hours.is_none_or(|hours| hours.include(time));
        let phone = self.ringing_phones(side).find(|phone| !is_tried(phone) && is_open(phone))?;
        Some((last.next(phone.index), phone, left.min(self.limits.ring_seconds)))
    }

    fn ring_seconds_left(&self, last: Attempt, time: Timestamp) -> u32 {
        let spent = u32::try_from(time.duration_since(last.since).as_secs().max(0)).unwrap_or(u32::MAX);
        self.handling.ring_seconds(self.limits.ring_seconds).saturating_sub(spent)
    }

    /// Returns the address at which the backend decides about its calls, if it does.
    pub fn decision(&self) -> Option<DecisionUrl> {
        let (url, on_failure) = self.decision_url.clone().zip(self.handling.decision)?;
        Some(DecisionUrl { url, on_failure })
    }

    /// Makes the backend decide about its calls at this address, or not any more.
    pub fn set_decision(&mut self, decision: Option<DecisionUrl>) {
        let decision = decision.map(|DecisionUrl { url, on_failure }| (url, on_failure));
        (self.decision_url, self.handling.decision) = decision.unzip();
    }

    /// True if calls of `side` are not connected because it is blocked.
    pub fn is_blocked(&self, side: Side) -> bool {
        self.blocked.is_some_and(|blocked| blocked.includes(side))
    }

    /// Returns the seconds for which a call from `caller` may last after this `tally`, if that cuts a call short.
    pub fn seconds_left(&self, tally: &Tally, caller: Side) -> Option<u32> {
        let left = self.usage_limits.seconds_left(tally, caller)?;
        u32::try_from(left).ok().filter(|left| *left < self.limits.talk_seconds(self.handling))
    }

    /// Masks the contact details in a text from one participant to the other.
    pub fn mask<'t>(&self, text: &'t str) -> Masked<'t> {
        self.text_masking.mask(text, &Side::BOTH.map(|side| self.participant(side).country))
    }

    /// Returns how often its phones and numbers were replaced, or further phones joined and left. In two states of a conversation
    /// with the same count, the people have the same phones and see the same numbers.
    pub fn moves(&self) -> usize {
        let participants = self.participants.iter();
        let changes =
            |phone: &FurtherPhone| usize::from(phone.joined_at.is_some()) + usize::from(phone.left_at.is_some());
        let further = |one: &Participant| one.further.iter().map(changes).sum::<usize>();
        participants.map(|one| one.previous_numbers.len() + one.previously_seen.len() + further(one)).sum()
    }

    /// Returns the time at which it ended, or will.
    pub fn end(&self) -> Timestamp {
        self.ended_at.unwrap_or(self.expires_at)
    }

    /// True if calls are connected at `now`.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.state(now) == State::Active
    }

    /// Returns its state at `now`.
    pub fn state(&self, now: Timestamp) -> State {
        match self.ended_at {
            Some(_) => State::Ended,
            None if now >= self.expires_at => State::Expired,
            None => State::Active,
        }
    }

    /// Returns the end of its quarantine.
    pub fn rests_until(&self) -> Timestamp {
        self.quarantined_until(self.ended_at.unwrap_or(self.expires_at))
    }

    /// Returns the end of its quarantine if it ends at `end`.
    pub fn quarantined_until(&self, end: Timestamp) -> Timestamp {
        end.saturating_add(SignedDuration::from_secs(self.quarantine_seconds.into())).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::phone::PhoneNumber;

    fn one_way() -> Conversation {
        let participant =
            |number: &str, sees: &str| json!({"number": number, "country": "GB", "dials": sees, "notification": "off"});
        let mut stored = json!({
            "id": ConversationId::generate(Timestamp::UNIX_EPOCH), "direction": "a_to_b", "created_at": 0, "expires_at": 100,
            "participants": [participant("447700900001", "447451000001"), participant("447700900002", "447451000002")],
            "quarantine_seconds": 60, "limits": CallLimits::with_max_call(60), "revision": 0,
        });
        stored["participants"][1]["former"] = json!(["447700900008", "447700900009", "447700900002"]);
        serde_json::from_value(stored).unwrap()
    }

    #[test]
    fn side_that_only_receives_dials_nothing() {
        let conversation = one_way();
        assert_eq!(conversation.dials(Side::A).map(VirtualNumber::as_str), Some("447451000001"));
        assert_eq!(conversation.dials(Side::B), None);
        assert_eq!(Side::BOTH.map(|side| conversation.masked_by(side).as_str()), ["447451000002", "447451000001"]);
    }

    #[test]
    fn conversation_without_a_stored_direction_is_one_of_both() {
        let mut stored = serde_json::to_value(one_way()).unwrap();
        stored.as_object_mut().unwrap().remove("direction");
        let read: Conversation = serde_json::from_value(stored.clone()).unwrap();
        assert!(read.direction.is_both() && Side::BOTH.iter().all(|side| read.dials(*side).is_some()));
        assert_eq!(serde_json::to_value(read).unwrap(), stored, "it is stored as before");
    }

    #[test]
    fn callee_is_found_by_phone_and_mask_of_the_same_side() {
        let conversation = one_way();
        let phone = |digits: &str| RealNumber::from(PhoneNumber::try_from(digits).unwrap());
        let callee = |number: &str, mask: &str| {
            conversation.callee(&phone(number), &VirtualNumber::from(phone(mask).as_phone().clone()))
        };
        for (number, index) in [("447700900002", 3), ("447700900009", 1), ("447700900008", 0)] {
            assert_eq!(callee(number, "447451000002"), Some((Side::B, index)), "{number}");
        }
        for (number, mask) in
            [("447700900002", "447451000001"), ("447700900001", "447451000002"), ("447700900003", "447451000002")]
        {
            assert_eq!(callee(number, mask), None, "{number} {mask}");
        }
    }

    fn with_further(mut conversation: Conversation, attempts: u8) -> Conversation {
        conversation.handling.max_attempts = Some(attempts);
        let further = |id: u16, left: bool| FurtherPhone {
            id,
            number: PhoneNumber::try_from(format!("44770090010{id}").as_str()).unwrap().into(),
            keyed_as: None,
            country: Country::try_from("GB").unwrap(),
            verified_by: Judge::NumberingPlan,
            name: None,
            notification: Notification::Off,
            language: None,
            hours: None,
            only_dials: false,
            joined_at: None,
            left_at: left.then_some(Timestamp::UNIX_EPOCH),
        };
        conversation.participants[1].further = vec![further(3, false), further(1, false), further(2, true)];
        conversation
    }

    #[test]
    fn further_phones_are_tried_in_order_up_to_the_limits() {
        let conversation = with_further(one_way(), 3);
        let at = |seconds| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
        let next = |last: Attempt, seconds| conversation.next_attempt(Side::B, last, at(seconds));
        let first = Attempt::first(3, at(0));
        // Of a call of a minute a phone rings for 20 seconds.
        let (second, phone, ring) = next(first, 12).unwrap();
        assert_eq!((second.number, second.phone, phone.index, ring), (2, 1_003, 1_003, 20));
        let (third, phone, ring) = next(second, 50).unwrap();
        assert_eq!((third.number, third.phone, phone.number.expose(), ring), (3, 1_001, "447700900101", 10));
        assert!(next(third, 51).is_none(), "three attempts");
        assert!(next(second, 56).is_none(), "no time is left to ring");
        let left = first.next(1_002);
        assert_eq!(next(left, 30).map(|(attempt, ..)| attempt.phone), Some(1_003), "the last phone has left");
        let mut moved = with_further(one_way(), 4);
        moved.participants[1].further.swap(0, 1);
        let after = |last: Attempt| moved.next_attempt(Side::B, last, at(12)).map(|(attempt, ..)| attempt.phone);
        assert_eq!(after(second), Some(1_001), "the phones have changed places");
        assert_eq!(after(second.next(1_001)), None, "no phone is called twice");
        assert!(with_further(one_way(), 1).next_attempt(Side::B, first, at(1)).is_none());
        moved.participants[1].further[0].only_dials = true;
        assert_eq!(moved.next_attempt(Side::B, first, at(12)).map(|(attempt, ..)| attempt.phone), Some(1_003));
    }

    #[test]
    fn further_phone_keeps_its_index_after_it_has_left() {
        let conversation = with_further(one_way(), 3);
        let phone = |digits: &str| RealNumber::from(PhoneNumber::try_from(digits).unwrap());
        let mask = VirtualNumber::from(PhoneNumber::try_from("447451000002").unwrap());
        for (number, index) in [("447700900101", 1_001), ("447700900102", 1_002), ("447700900103", 1_003)] {
            assert_eq!(conversation.callee(&phone(number), &mask), Some((Side::B, index)));
            assert_eq!(conversation.participant(Side::B).number_at(index).expose(), number);
        }
        assert_eq!(conversation.phones(Side::B).map(|phone| phone.index).collect::<Vec<_>>(), [3, 1_003, 1_001]);
        assert_eq!((conversation.moves(), conversation.receiving_phones().count()), (4, 3));
    }

    #[test]
    fn id_contains_the_time_of_creation() {
        let now: Timestamp = "2026-11-22T12:00:00.123Z".parse().unwrap();
        assert_eq!(ConversationId::generate(now).created_at(), now);
    }

    #[test]
    fn id_has_one_spelling() {
        let id = ConversationId::generate(Timestamp::UNIX_EPOCH).to_string();
        assert_eq!(ConversationId::try_from(id.as_str()).unwrap().to_string(), id);
        for bad in [id.to_lowercase().as_str(), "", "x", &format!("{id}0"), "8ZZZZZZZZZZZZZZZZZZZZZZZZZ"] {
            if bad != id {
                assert_eq!(ConversationId::try_from(bad), Err(NotAConversationId), "{bad}");
            }
        }
    }
}
