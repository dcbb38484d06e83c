//! JSON of a conversation and its calls, as the API returns it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Serialize;

use crate::domain::call::{Call, Direction, Leg, LegFacts, Status};
use crate::domain::call_handling::CallHandling;
use crate::domain::card_link::CardLinks;
use crate::domain::channel::{Channel, ChosenChannel};
use crate::domain::contact_card::ContactCards;
use crate::domain::conversation::{Conversation, ConversationId, FurtherPhone, Notification, Recipient, State};
use crate::domain::country::Country;
use crate::domain::decision_url::DecisionUrl;
use crate::domain::hours::{Hours, WrittenHours};
use crate::domain::invitation::Delivery;
use crate::domain::judge::Judge;
use crate::domain::language::Language;
use crate::domain::lifetime::Lifetime;
use crate::domain::media::MediaKind;
use crate::domain::phone::{E164, Reveal, ShownNumber};
use crate::domain::pin::Pin;
use crate::domain::relayed_text::{KeptWords, RelayedText, TextId, TextState};
use crate::domain::side::{Blocked, Side, WhoDials};
use crate::domain::tenant::Tenant;
use crate::domain::text::{Label, Reference};
use crate::domain::text_masking::TextMasking;
use crate::domain::usage::{self, Left, Tally, Usage, UsageLimits};
use crate::domain::words::own_text::OwnTexts;
use crate::vonage::call_urls::letter;

/// The currency of all prices. Vonage bills in EUR.
pub const CURRENCY: &str = "EUR";

/// A conversation, as the API returns it to the backend.
#[derive(Debug, Serialize)]
pub struct ConversationView<'a> {
    /// The part of real numbers that it shows.
    #[serde(skip)]
    reveal: Reveal,
    id: ConversationId,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<Tenant>,
    state: State,
    direction: WhoDials,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a Reference>,
    created_at: Timestamp,
    expires_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    extend_on_use: Option<Lifetime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latest_end: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    max_call_seconds: u32,
    ring_seconds: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    warn_minutes: Option<u8>,
    #[serde(flatten)]
    handling: CallHandling,
    #[serde(skip_serializing_if = "TextMasking::is_off")]
    text_masking: TextMasking,
    #[serde(skip_serializing_if = "Option::is_none")]
    contact_card: Option<ContactCardView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<DecisionUrl>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    lost_property: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    support_phone: Option<ShownNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    late_words: Option<&'a OwnTexts>,
    /// The times at which sides A and B asked for a call about lost property.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost_property_asked_at: Option<[Option<Timestamp>; 2]>,
    #[serde(flatten)]
    usage_limits: UsageLimits,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_reached_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked: Option<Blocked>,
    /// The last times at which sides A and B pressed the safety key.
    #[serde(skip_serializing_if = "Option::is_none")]
    safety_key_pressed_at: Option<[Option<Timestamp>; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageView<'a>>,
    participants: [ParticipantView<'a>; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    calls: Option<Vec<CallView<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calls_next: Option<&'a str>,
    /// The latest texts, latest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    texts: Vec<TextView<'a>>,
    /// True if there are earlier ones.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    texts_cut: bool,
}

/// The contact cards of a conversation.
#[derive(Debug, Serialize)]
struct ContactCardView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<CardView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    b: Option<CardView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    brand: Option<&'a Label>,
}

/// The card of one side.
#[derive(Debug, Serialize)]
struct CardView<'a> {
    name: &'a Label,
    /// The link, while the conversation is active.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

impl<'a> ContactCardView<'a> {
    fn new(cards: &'a ContactCards) -> Self {
        let of_side = |side| cards.name(side).map(|name| CardView { name, url: None });
        Self { a: of_side(Side::A), b: of_side(Side::B), brand: cards.brand.as_ref() }
    }
}

/// A text to a participant, from the other one or from the backend.
#[derive(Debug, Serialize)]
pub struct TextView<'a> {
    id: TextId,
    /// The side that wrote it, or `backend`.
    from: &'static str,
    to: &'static str,
    state: TextState,
    /// The channel on which it is sent, if it is not SMS or MMS.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<Channel>,
    /// The channel that does not take it, so that an SMS is sent in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    instead_of: Option<Channel>,
    segments: u32,
    /// The kinds of the files in it.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    media: &'a [MediaKind],
    /// The words, if the deployment keeps them.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    /// Number of contact details that were replaced, if there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    masked: Option<u32>,
    received_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered_at: Option<Timestamp>,
    /// The reason of a failure, or of a state that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<Decimal>,
    currency: &'static str,
}

#[derive(Debug, Serialize)]
struct UsageView<'a> {
    #[serde(flatten)]
    usage: &'a Usage,
    #[serde(skip_serializing_if = "Option::is_none")]
    calls_today: Option<u64>,
    currency: &'static str,
    left: Left,
}

#[derive(Debug, Serialize)]
struct ParticipantView<'a> {
    number: ShownNumber,
    country: Country,
    verified_by: Judge,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a Label>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'a Language>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<ChosenChannel>,
    masked_by: E164,
    /// None if this side only receives.
    dials: Option<E164>,
    /// The time from which Vonage no longer lists the number that this participant dials or sees, if it is lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    dials_lost_since: Option<Timestamp>,
    /// The time from which this participant wants no texts from that number.
    #[serde(skip_serializing_if = "Option::is_none")]
    texts_stopped_at: Option<Timestamp>,
    /// None if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pin: Option<&'a str>,
    notification: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    notification_reason: Option<&'a str>,
    /// The channel on which it was sent, if one was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    notification_channel: Option<ChosenChannel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hours: Option<&'a WrittenHours>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a Label>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    phones: Vec<PhoneView<'a>>,
}

/// A phone behind the participant's first one.
#[derive(Debug, Serialize)]
struct PhoneView<'a> {
    number: ShownNumber,
    country: Country,
    verified_by: Judge,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a Label>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'a Language>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hours: Option<&'a WrittenHours>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    only_dials: bool,
    notification: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    notification_reason: Option<&'a str>,
    /// The channel on which it was sent, if one was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    notification_channel: Option<ChosenChannel>,
    /// The time from which its owner wants no texts from the participant's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    texts_stopped_at: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct CallView<'a> {
    conversation_uuid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<ShownNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callee: Option<ShownNumber>,
    started_at: Option<Timestamp>,
    connected_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    /// In seconds.
    duration: Option<u32>,
    price: Option<Decimal>,
    currency: &'static str,
    legs: Vec<LegView<'a>>,
}

#[derive(Debug, Serialize)]
struct LegView<'a> {
    uuid: &'a str,
    direction: Direction,
    /// None if the call came from another phone, whose caller typed the participant's PIN.
    number: Option<ShownNumber>,
    /// The name of the phone's owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a Label>,
    status: Option<Status>,
    statuses: BTreeMap<Status, Timestamp>,
    /// None if the call had no guard, or the callee did not take it.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted_at: Option<Timestamp>,
    /// None if the call came from the participant's own phone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pin_at: Option<Timestamp>,
    #[serde(flatten)]
    facts: &'a LegFacts,
}

impl<'a> ConversationView<'a> {
    /// Returns the view of a conversation at `now`, without its calls, for somebody to whom real numbers are shown as `reveal` says.
    pub fn new(conversation: &'a Conversation, reveal: Reveal, now: Timestamp) -> Self {
        Self {
            reveal,
            id: conversation.id,
            tenant: conversation.owner.tenant(),
            state: conversation.state(now),
            direction: conversation.direction,
            reference: conversation.reference.as_ref(),
            created_at: conversation.created_at,
            expires_at: conversation.expires_at,
            extend_on_use: conversation.sliding_end.map(|sliding| sliding.after_use),
            latest_end: conversation.sliding_end.map(|sliding| sliding.latest),
            ended_at: conversation.ended_at,
            max_call_seconds: conversation.limits.max_call_seconds,
            ring_seconds: conversation.limits.ring_seconds,
            warn_minutes: Some(conversation.limits.warn_minutes).filter(|minutes| *minutes > 0),
            // What it has of the decision is shown below.
            handling: CallHandling { decision: None, ..conversation.handling },
            text_masking: conversation.text_masking,
            contact_card: conversation.contact_card.as_ref().map(ContactCardView::new),
            decision: conversation.decision(),
            lost_property: conversation.late.lost_property,
            support_phone: conversation.late.support_phone.as_ref().map(|phone| reveal.show(phone)),
            late_words: conversation.late.words.as_ref(),
            lost_property_asked_at: Some(Side::BOTH.map(|side| conversation.late.asked_at(side)))
                .filter(|times| times.iter().any(Option::is_some)),
            usage_limits: conversation.usage_limits,
            limit_reached_at: conversation.limit_reached_at,
            paused_until: conversation.paused_until.filter(|until| now < *until),
            blocked: conversation.blocked,
            safety_key_pressed_at: Some(Side::BOTH.map(|side| conversation.safety.of(side)))
                .filter(|times| times.iter().any(Option::is_some)),
            usage: None,
            participants: Side::BOTH.map(|side| ParticipantView::new(conversation, side, reveal)),
            calls: None,
            calls_next: None,
            texts: Vec::new(),
            texts_cut: false,
        }
    }

    /// Adds calls of the `conversation` that it shows. `next` is the last one, if there are more.
    pub fn with_calls(mut self, conversation: &'a Conversation, calls: &'a [Call], next: Option<&'a str>) -> Self {
        let reveal = self.reveal;
        self.calls = Some(calls.iter().map(|call| CallView::new(conversation, call, reveal)).collect());
        self.calls_next = next;
        self
    }

    /// Adds the latest of its texts. `cut` says that there are earlier ones.
    pub fn with_texts(mut self, texts: &'a [RelayedText], cut: bool, now: Timestamp) -> Self {
        self.texts = texts.iter().map(|text| TextView::new(text, now)).collect();
        self.texts_cut = cut;
        self
    }

    /// Adds the links to its contact cards, if it is active.
    pub fn with_card_links(mut self, conversation: &Conversation, links: Option<&CardLinks>) -> Self {
        if let (Some(cards), Some(links), State::Active) = (&mut self.contact_card, links, self.state) {
            for (side, card) in [(Side::A, &mut cards.a), (Side::B, &mut cards.b)] {
                if let Some(card) = card {
                    card.url = links.of(conversation, side);
                }
            }
        }
        self
    }

    /// Adds the usage of its calls, if it has limits.
    pub fn with_usage(mut self, tally: &'a Tally, now: Timestamp) -> Self {
        let is_by_day = self.usage_limits.max_calls_per_day.is_some();
        let calls_today = is_by_day.then(|| tally.by_day.on(usage::day(now)));
        let left = self.usage_limits.left(tally, now);
        let usage = UsageView { usage: &tally.sum, calls_today, currency: CURRENCY, left };
        self.usage = (!self.usage_limits.is_none()).then_some(usage);
        self
    }

    /// Adds the times from which the people on a side want no texts, of its phones in their order.
    pub fn with_opt_outs(mut self, side: Side, stopped_at: impl IntoIterator<Item = Option<Timestamp>>) -> Self {
        let participant = &mut self.participants[side.index()];
        let further = participant.phones.iter_mut().map(|phone| &mut phone.texts_stopped_at);
        for (shown, stopped_at) in std::iter::once(&mut participant.texts_stopped_at).chain(further).zip(stopped_at) {
            *shown = stopped_at;
        }
        self
    }

    /// Adds the times from which the numbers that the participants dial are lost, of those that are.
    pub fn with_losses(mut self, losses: [Option<Timestamp>; 2]) -> Self {
        for (participant, lost_since) in self.participants.iter_mut().zip(losses) {
            participant.dials_lost_since = lost_since;
        }
        self
    }
}

impl<'a> TextView<'a> {
    /// Returns the view of a text at `now`.
    pub fn new(text: &'a RelayedText, now: Timestamp) -> Self {
        let state = text.state(now);
        let has_reason = matches!(state, TextState::Failed | TextState::Unknown);
        let reason = text.undelivered_because.as_deref().or(text.problem.as_deref());
        let price = |price: &str| price.parse::<Decimal>().ok();
        let prices: Option<Vec<Decimal>> = text.prices().and_then(|prices| prices.into_iter().map(price).collect());
        Self {
            id: text.id,
            from: if text.is_of_backend() { "backend" } else { letter(text.from) },
            to: letter(text.from.other()),
            state,
            segments: text.segments,
            media: &text.media,
            text: text.words.as_ref().map(KeptWords::expose),
            channel: text.channel.filter(|_| !text.by_number),
            instead_of: text.channel.filter(|_| text.by_number),
            masked: Some(text.masked).filter(|masked| *masked > 0),
            received_at: text.received_at,
            sent_at: text.sent_at,
            delivered_at: text.delivered_at.filter(|_| state == TextState::Delivered),
            reason: reason.filter(|_| has_reason),
            price: prices.filter(|prices| !prices.is_empty()).map(|prices| prices.iter().sum::<Decimal>().normalize()),
            currency: CURRENCY,
        }
    }
}

/// The calls of a conversation that are up.
#[derive(Debug, Serialize)]
pub struct CallsView<'a> {
    calls: Vec<CallView<'a>>,
}

impl<'a> CallsView<'a> {
    /// Returns the view of these calls of the `conversation`, for somebody to whom real numbers are shown as `reveal` says.
    pub fn new(conversation: &'a Conversation, calls: &'a [Call], reveal: Reveal) -> Self {
        Self { calls: calls.iter().map(|call| CallView::new(conversation, call, reveal)).collect() }
    }
}

impl<'a> ParticipantView<'a> {
    fn new(conversation: &'a Conversation, side: Side, reveal: Reveal) -> Self {
        let participant = conversation.participant(side);
        let (notification, notification_reason) = state(conversation, side.into());
        let further = conversation.recipients(side, |_| true).into_iter().filter_map(|to| Some((to, to.further?)));
        Self {
            number: reveal.show(&participant.number),
            country: participant.country,
            verified_by: participant.verified_by,
            label: participant.label.as_ref(),
            language: participant.language.as_ref(),
            channel: participant.channel,
            masked_by: conversation.masked_by(side).into(),
            dials: conversation.dials(side).map(E164::from),
            dials_lost_since: None,
            texts_stopped_at: None,
            pin: participant.pin.as_ref().map(Pin::expose),
            notification,
            notification_reason,
            notification_channel: channel(conversation, side.into()),
            hours: participant.hours.as_ref().map(Hours::written),
            name: participant.name.as_ref(),
            phones: further
                .map(|(to, position)| PhoneView::new(conversation, to, &participant.further[position], reveal))
                .collect(),
        }
    }
}

/// Returns the channel on which the text message to a person was sent, if the backend has chosen one.
fn channel(conversation: &Conversation, to: Recipient) -> Option<ChosenChannel> {
    conversation.participant(to.side).channel.and_then(ChosenChannel::brand)?;
    conversation.delivery(to)?;
    Some(conversation.invitation_channel(to).map_or(ChosenChannel::Sms, ChosenChannel::from))
}

/// Returns the word for the state of the text message to a person, and the carrier's reason. Receipts show that it was sent, also if the
/// carrier's answer never came.
fn state(conversation: &Conversation, to: Recipient) -> (&'static str, Option<&str>) {
    match (conversation.notification(to), conversation.delivery(to)) {
        (Notification::Off, _) => ("off", None),
        (Notification::Failed(reason), _) => ("failed", Some(reason.as_str())),
        (_, Some(Delivery::Delivered)) => ("delivered", None),
        (_, Some(Delivery::Undelivered(reason))) => ("undelivered", Some(reason)),
        (Notification::Sent, _) | (_, Some(Delivery::Sent)) => ("sent", None),
        (Notification::Pending, None) => ("pending", None),
        (Notification::Unknown(reason), None) => ("unknown", Some(reason.as_str())),
    }
}

impl<'a> PhoneView<'a> {
    fn new(conversation: &'a Conversation, to: Recipient, phone: &'a FurtherPhone, reveal: Reveal) -> Self {
        let (notification, notification_reason) = state(conversation, to);
        Self {
            number: reveal.show(&phone.number),
            country: phone.country,
            verified_by: phone.verified_by,
            name: phone.name.as_ref(),
            language: phone.language.as_ref(),
            hours: phone.hours.as_ref().map(Hours::written),
            only_dials: phone.only_dials,
            notification,
            notification_reason,
            notification_channel: channel(conversation, to),
            texts_stopped_at: None,
        }
    }
}

impl<'a> CallView<'a> {
    fn new(conversation: &'a Conversation, call: &'a Call, reveal: Reveal) -> Self {
        let number = |side: Side| {
            let taken = call.callee.map(|position| &call.legs[position]).filter(|leg| leg.side == side);
            let leg = taken.or_else(|| call.legs.iter().find(|leg| leg.side == side));
            let participant = conversation.participant(side);
            reveal.show(leg.map_or(&participant.number, |leg| participant.number_at(leg.phone)))
        };
        Self {
            conversation_uuid: &call.conversation_uuid,
            caller: call.caller.map(number),
            callee: call.caller.map(Side::other).map(number),
            started_at: call.started_at,
            connected_at: call.connected_at,
            ended_at: call.ended_at,
            duration: call.duration,
            price: call.price,
            currency: CURRENCY,
            legs: call.legs.iter().map(|leg| LegView::new(conversation, leg, reveal)).collect(),
        }
    }
}

impl<'a> LegView<'a> {
    fn new(conversation: &'a Conversation, leg: &'a Leg, reveal: Reveal) -> Self {
        let participant = conversation.participant(leg.side);
        Self {
            uuid: &leg.uuid,
            direction: leg.direction,
            number: leg.pin_at.is_none().then(|| reveal.show(participant.number_at(leg.phone))),
            name: participant.name_at(leg.phone).filter(|_| leg.pin_at.is_none()),
            status: leg.status(),
            statuses: leg.times(),
            accepted_at: leg.accepted_at,
            pin_at: leg.pin_at,
            facts: &leg.facts,
        }
    }
}
