//! Ways of a text to a phone of a participant: on a channel, with an SMS in its place if the channel does not take it, or from the
//! number that masks the other participant.

use jiff::Timestamp;

use crate::domain::channel::{BrandSenders, Channel, ChosenChannel, OnChannel};
use crate::domain::conversation::Conversation;
use crate::domain::language::Language;
use crate::domain::media::MediaFile;
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::pool::{Feature, NumberState, PoolNumber};
use crate::domain::relayed_text::{AcceptedText, TextReference};
use crate::domain::side::Side;
use crate::domain::whatsapp_template::TemplateKind;
use crate::store::{Store, StoreError};
use crate::vonage::VonageError;
use crate::vonage::texts::{ChatMessage, TextsOnDemand};

/// A text as it is sent.
#[derive(Clone, Copy)]
pub(in crate::service) struct Letter<'a> {
    /// The number that masks the other participant.
    pub(in crate::service) from: &'a VirtualNumber,
    /// The phone.
    pub(in crate::service) to: &'a RealNumber,
    /// The words.
    pub(in crate::service) words: &'a str,
    /// The files.
    pub(in crate::service) files: &'a [MediaFile],
    /// The way on a channel. None: the number texts it.
    pub(in crate::service) way: Option<OnChannel<'a>>,
    /// True if the number can text the words in place of the channel.
    pub(in crate::service) has_sms: bool,
}

/// Returns the way on a channel to a phone of a side. One read, unless a channel is out of the question.
pub(in crate::service) async fn way_to<'a>(
    store: &Store,
    senders: &'a BrandSenders,
    (conversation, side, phone): (&'a Conversation, Side, &RealNumber),
    now: Timestamp,
) -> Result<Option<OnChannel<'a>>, StoreError> {
    let reader = conversation.participant(side);
    let is_by_sms = reader.channel == Some(ChosenChannel::Sms);
    // The senders are those of the deployment, and not of its tenants.
    if senders.is_empty() || is_by_sms || !conversation.owner.is_deployment() {
        return Ok(None);
    }
    let chat = store.chat(phone).await?.filter(|chat| chat.is_open(now)).map(|chat| chat.channel);
    Ok(senders.way(reader.channel, chat, (TemplateKind::Text, reader.language.as_ref())))
}

/// Returns the channel that the backend has chosen for a side, if it is one with a sender.
pub(in crate::service) fn chosen(conversation: &Conversation, side: Side) -> Option<Channel> {
    conversation.participant(side).channel.and_then(ChosenChannel::brand)
}

/// Returns the way of words of our own to a `reader` on the channel that the backend has chosen, if there is one that takes them. The
/// chat is not read for that, so WhatsApp gets a template, which it takes at any time.
pub(in crate::service) fn own_way<'a>(
    senders: &'a BrandSenders,
    conversation: &Conversation,
    (side, language): (Side, Option<&'a Language>),
    kind: TemplateKind,
    words: &str,
) -> Option<OnChannel<'a>> {
    let chosen = conversation.participant(side).channel.filter(|_| conversation.owner.is_deployment())?;
    senders.way(Some(chosen), None, (kind, language)).filter(|way| way.carries(words, &[]))
}

/// True if a number of the pool can text: one that the carrier has taken away cannot. Two reads.
pub(in crate::service) async fn has_sms(store: &Store, number: &VirtualNumber) -> Result<bool, StoreError> {
    let texts = |number: PoolNumber| number.state != NumberState::Lost && number.features.contains(&Feature::Sms);
    Ok(store.pool_number(number).await?.is_some_and(texts))
}

/// Sends a text, once. If the channel certainly does not take it, the number texts it.
pub(in crate::service) async fn send(
    texts: &TextsOnDemand,
    letter: &Letter<'_>,
    reference: TextReference,
) -> Result<AcceptedText, VonageError> {
    let Letter { from, to, words, files, way, has_sms } = *letter;
    let texted = async |by_number| {
        let parts = match files {
            [] => texts.relay(from, to, words, reference).await?,
            files => texts.relay_files(from, to, (files, words), reference).await?,
        };
        Ok(AcceptedText { parts, by_number })
    };
    let Some(way) = way else { return texted(false).await };
    let otherwise = Some(from).filter(|_| has_sms && files.is_empty());
    match texts.chat(&ChatMessage { way, to, words, files, otherwise }, Some(reference)).await {
        Err(error) if error.refuses_channel() && otherwise.is_some() => {
            tracing::warn!(channel = way.channel.as_str(), cause = %error, "a channel refused a text, so a number sends it");
            texted(true).await
        }
        sent => sent.map(|parts| AcceptedText { parts, by_number: false }),
    }
}
