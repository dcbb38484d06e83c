//! The content of a text as it is passed on: the words after masking, and the files if they can be carried.

use super::{RelayError, Relayed, TextRelay, written};
use crate::domain::channel::OnChannel;
use crate::domain::conversation::Conversation;
use crate::domain::media::{MediaFile, MediaKind, carries_mms};
use crate::domain::phone::RealNumber;
use crate::domain::pool::Feature;
use crate::domain::text_masking::Masked;
use crate::domain::text_message::TextSize;
use crate::domain::text_route::Relay;
use crate::service::text_ways;
use crate::vonage::message_event::InboundText;
use crate::vonage::texts::{ChatMessage, TextSender};

/// The part of a text that is passed on.
pub(super) struct Content<'a> {
    /// The way on a channel. None: the number that masks the writer texts it.
    pub(super) way: Option<OnChannel<'a>>,
    /// True if that number can text it in place of the channel.
    pub(super) has_sms: bool,
    /// The words as they are sent.
    pub(super) words: String,
    /// Number of contact details in the words that were replaced.
    pub(super) masked: u32,
    pub(super) files: &'a [MediaFile],
    pub(super) size: TextSize,
}

impl TextRelay {
    /// Returns what is passed on of a text, or the reason why nothing is. A part alone is never passed on: words to a picture that is
    /// missing would say something else.
    pub(super) async fn content<'a>(
        &'a self,
        relay: &Relay,
        conversation: &'a Conversation,
        writer: &RealNumber,
        inbound: &'a InboundText,
    ) -> Result<Result<Content<'a>, Relayed>, RelayError> {
        let files = inbound.files.as_slice();
        if inbound.text.is_none() && files.is_empty() {
            return Ok(Err(Relayed::NotText));
        }
        // A card is made of contact details, which nobody can replace in it.
        let has_card = files.iter().any(|file| file.kind == MediaKind::Vcard);
        if has_card && !conversation.text_masking.is_off() {
            return Ok(Err(Relayed::ContactDetails));
        }
        let reader = (conversation, relay.from.other(), &relay.to);
        let way = text_ways::way_to(&self.store, &self.senders, reader, self.clock.now()).await?;
        // A template has words only.
        let way = way.filter(|way| way.template.is_none() || files.is_empty());
        let names_phone = |file: &MediaFile| [writer, &relay.to].into_iter().any(|phone| file.names(phone));
        let brings_files = match way {
            _ if files.is_empty() => true,
            Some(way) => way.carries("", files),
            None => self.brings_files(relay, conversation).await?,
        };
        if !brings_files || files.iter().any(names_phone) {
            return Ok(Err(Relayed::NotText));
        }
        let words = inbound.text.as_deref().unwrap_or_default();
        let Masked::Words(words, masked) = conversation.mask(words) else { return Ok(Err(Relayed::ContactDetails)) };
        let words = written(&words, inbound.part);
        let named = way.map(|_| named(&words, relay, conversation));
        let (way, named) = way.zip(named).filter(|(way, named)| way.carries(named, files)).unzip();
        let has_sms = way.is_some() && files.is_empty() && text_ways::has_sms(&self.store, &relay.present_as).await?;
        let (words, size) = match named {
            Some(words) => {
                let size = ChatMessage::size(&words, files);
                (words, size)
            }
            None if files.is_empty() => {
                let size = self.texts.size(&words);
                (words, size)
            }
            None => (words, TextSize::ONE_MESSAGE),
        };
        Ok(Ok(Content { way, has_sms, words, masked, files, size }))
    }

    /// True if files from the number that masks the writer reach the reader. The number that was texted has just taken some. Two reads.
    async fn brings_files(&self, relay: &Relay, conversation: &Conversation) -> Result<bool, RelayError> {
        let reader = conversation.participant(relay.from.other());
        if !self.texts.carries_files() || !carries_mms(reader.country) {
            return Ok(false);
        }
        let mask = self.store.pool_number(&relay.present_as).await?;
        Ok(mask.is_some_and(|mask| mask.features.contains(&Feature::Mms)))
    }
}

/// Returns words with the name of who writes them: all people have the same sender on a channel.
fn named(words: &str, relay: &Relay, conversation: &Conversation) -> String {
    match &conversation.participant(relay.from).label {
        Some(label) => format!("{}: {words}", label.as_str()),
        None => format!("+{}: {words}", relay.present_as),
    }
}
