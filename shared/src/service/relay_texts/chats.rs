//! Messages to the deployment's own sender on WhatsApp and RCS, and messages from it.
//!
//! A message reaches somebody only if it is clear who is meant: the phone is in one live conversation, or the message quotes one of
//! a conversation. In doubt its writer is told, because a guess could show it to somebody whom it is not for.

use jiff::Timestamp;

use super::{RelayError, TextRelay};
use crate::domain::channel::{Chat, OnChannel, Sender};
use crate::domain::chat_route::Candidates;
use crate::domain::phone::RealNumber;
use crate::domain::route::KeyOwner;
use crate::domain::text_route::{Nowhere, TextRoute};
use crate::store::StoreError;
use crate::vonage::message_event::InboundText;
use crate::vonage::texts::{ChatMessage, TextSender};

/// Maximum number of live conversations in which a quoted message is looked for.
const MOST_SEARCHED: usize = 20;

/// The owner of the route key that a text is for.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one is made for each text, and taken apart at once")]
pub(super) enum Addressed {
    /// It is this one, or nobody.
    To(Option<KeyOwner>),
    /// It could be one of several.
    OneOfSeveral,
}

impl Addressed {
    /// Returns the owner, if it is clear.
    pub(super) fn owner(&self) -> Option<&KeyOwner> {
        match self {
            Self::To(owner) => owner.as_ref(),
            Self::OneOfSeveral => None,
        }
    }

    /// Returns the fate of the text.
    pub(super) fn route(self, written_at: Timestamp, now: Timestamp) -> TextRoute {
        match self {
            Self::To(owner) => TextRoute::of(owner, written_at, now),
            Self::OneOfSeveral => TextRoute::Nowhere { reason: Nowhere::Several, conversation: None },
        }
    }
}

impl TextRelay {
    /// Returns the owner that a text to `sender` is for.
    pub(super) async fn addressed(
        &self,
        writer: &RealNumber,
        sender: &Sender<'_>,
        inbound: &InboundText,
        written_at: Timestamp,
    ) -> Result<Addressed, StoreError> {
        let now = self.clock.now();
        if let Sender::Number(dialled) = sender {
            return Ok(Addressed::To(self.store.owner_for_text(writer, dialled, now).await?));
        }
        let found = self.store.owners_of_phone(writer).await?;
        let Candidates { mut live, other } = Candidates::of(found.owners, written_at, now);
        if let Some(quoted) = &inbound.quoted {
            for (conversation, owner) in live.iter().take(MOST_SEARCHED) {
                if self.store.has_text(*conversation, quoted).await? {
                    return Ok(Addressed::To(Some(owner.clone())));
                }
            }
        }
        // A message that quotes one of another conversation is for the people of that one.
        Ok(match live.len() {
            0 if !found.has_more => Addressed::To(other),
            1 if !found.has_more && inbound.quoted.is_none() => Addressed::To(live.pop().map(|(_, owner)| owner)),
            _ => Addressed::OneOfSeveral,
        })
    }

    /// Notes that the phone has written on a channel, so that it is written to there for a day.
    pub(super) async fn note_chat(
        &self,
        writer: &RealNumber,
        sender: &Sender<'_>,
        written_at: Timestamp,
    ) -> Result<(), StoreError> {
        let Sender::Brand(channel) = *sender else { return Ok(()) };
        let chat = Chat { channel, wrote_at: written_at.min(self.clock.now()) };
        if chat.is_open(self.clock.now()) { self.store.note_chat(writer, chat).await } else { Ok(()) }
    }

    /// Answers a phone by the sender to which it has written.
    pub(super) async fn answer_by(
        &self,
        sender: &Sender<'_>,
        phone: &RealNumber,
        words: &str,
    ) -> Result<(), RelayError> {
        let sent = match sender {
            Sender::Number(number) => self.texts.send(number, phone, words).await.map(drop),
            Sender::Brand(channel) => {
                let Some(sender) = self.senders.of(*channel) else { return Ok(()) };
                let way = OnChannel { channel: *channel, sender, template: None };
                let message = ChatMessage { way, to: phone, words, files: &[], otherwise: None };
                self.texts.chat(&message, None).await.map(drop)
            }
        };
        sent.map_err(RelayError::Carrier)
    }
}
