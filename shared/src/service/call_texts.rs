//! Text messages about calls: a missed one, a wish for a call back, and a question about lost property.
//!
//! Whoever sends one claims it first, so it is sent once, also if two are asked to. The event webhook does not know the deployment's
//! senders on channels: its settings are in the description of its version, which has no room for more. So it hands a text to somebody
//! with a channel to the function that keeps recordings, and sends an SMS itself only if that function cannot be reached.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::SharedClock;
use crate::domain::channel::BrandSenders;
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::missed_calls::{Measure, NEWS};
use crate::domain::side::Side;
use crate::domain::whatsapp_template::TemplateKind;
use crate::domain::words::Words;
use crate::domain::words::sentence::Text;
use crate::invoke::AsyncFunction;
use crate::service::create::texts::{records, speech_to};
use crate::service::{text_ways, wanted_text};
use crate::store::{Store, StoreError};
use crate::vonage::texts::TextSender;

/// Source of the invocation that has a text message sent.
pub const CALL_TEXTS_SOURCE: &str = "maskline.call-texts";

/// The occasion of a text message about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallText {
    /// Nobody took the call.
    Missed,
    /// The caller asks for a call back.
    CallBack,
    /// A late caller asks for a call about lost property.
    LostProperty,
}

/// A text message that another function is to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallTextOrder {
    source: String,
    conversation: ConversationId,
    to: Side,
    about: CallText,
    at: Timestamp,
}

/// Sends text messages about calls.
pub struct CallTexts<'a, T> {
    /// The table.
    pub store: &'a Store,
    /// Sends text messages.
    pub texts: &'a T,
    /// The deployment's senders on channels.
    pub senders: &'a BrandSenders,
    /// The words for people.
    pub words: &'a Words,
    /// The clock.
    pub clock: &'a SharedClock,
}

impl CallTextOrder {
    /// Hands a text message at `now` to a `function` that knows the channels. False if it has to be sent here, because `to` has none or
    /// the function does not take it.
    pub(super) async fn hand_on(
        function: Option<&AsyncFunction>,
        conversation: &Conversation,
        (to, about): (Side, CallText),
        now: Timestamp,
    ) -> bool {
        let has_channel = text_ways::chosen(conversation, to).is_some() && conversation.owner.is_deployment();
        let Some(function) = function.filter(|_| has_channel) else { return false };
        let order = Self { source: CALL_TEXTS_SOURCE.to_owned(), conversation: conversation.id, to, about, at: now };
        let handed_on = match serde_json::to_value(order) {
            Ok(event) => function.invoke(&event).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(cause) = &handed_on {
            tracing::warn!(conversation.id = %conversation.id, cause, "a text message was not handed on, so an SMS is sent");
        }
        handed_on.is_ok()
    }
}

impl<T: TextSender> CallTexts<'_, T> {
    /// Sends a text message that was handed on. One of an older call is dropped: the event may have waited for hours.
    pub async fn carry_out(&self, order: &CallTextOrder) -> Result<(), StoreError> {
        let now = self.clock.now();
        if now.duration_since(order.at) >= NEWS {
            return Ok(());
        }
        match self.store.conversation(order.conversation, now).await? {
            Some(conversation) => self.send(&conversation, order.to, order.about).await,
            None => Ok(()),
        }
    }

    /// Texts the participant on the side `to`, unless that was done a moment ago.
    pub(super) async fn send(&self, conversation: &Conversation, to: Side, about: CallText) -> Result<(), StoreError> {
        if !self.claim(conversation, to, about).await? {
            return Ok(());
        }
        let participant = conversation.participant(to);
        let text = speech_to(self.words, conversation, to).write(match about {
            CallText::CallBack => Text::CallBack,
            CallText::LostProperty => Text::LostProperty,
            CallText::Missed if conversation.direction.includes(to) => Text::Missed,
            CallText::Missed => Text::MissedByReceiver,
        });
        let reader = (to, participant.language.as_ref());
        let way = text_ways::own_way(self.senders, conversation, reader, TemplateKind::Call, &text);
        let both = (&participant.sees, &participant.number);
        let outcome = wanted_text::send(self.store, self.texts, both, &text, way).await;
        if let Err(error) = &outcome {
            tracing::warn!(conversation.id = %conversation.id, cause = %error, "sending a text message about a call failed");
        }
        self.store.record_texts(conversation.id, &records(&outcome), self.clock.now()).await
    }

    async fn claim(&self, conversation: &Conversation, to: Side, about: CallText) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let measure = match about {
            CallText::LostProperty => return self.store.claim_lost_property(conversation, to.other(), now).await,
            CallText::Missed => Measure::Text,
            CallText::CallBack => Measure::CallBack,
        };
        Ok(conversation.is_active(now) && self.store.claim_missed_call_text(conversation, to, measure, now).await?)
    }
}
