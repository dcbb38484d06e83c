//! The text messages that tell people which number to dial from now on: one each for each change, even after a crash.

use super::Healer;
use crate::domain::card_link::CardLinks;
use crate::domain::conversation::{Conversation, Notification};
use crate::domain::side::Side;
use crate::domain::whatsapp_template::TemplateKind;
use crate::domain::words::sentence::Text;
use crate::service::create::texts::{Sending, card_for, notification, records, speech_to_phone};
use crate::service::wanted_text;
use crate::store::StoreError;
use crate::vonage::texts::TextSender;

impl<T: TextSender> Healer<T> {
    /// Texts the people on `sides`, unless that was done or started before. Each text message is claimed first, so that
    /// no two runs send it. It comes from the new number, and has the link to the contact card of a side that has one.
    pub(super) async fn text(
        &self,
        conversation: &mut Conversation,
        sides: &[Side],
        cards: Option<&CardLinks>,
    ) -> Result<(), StoreError> {
        let is_pending = |notification: &Notification| *notification == Notification::Pending;
        let pending: Vec<_> = sides.iter().flat_map(|side| conversation.recipients(*side, is_pending)).collect();
        for to in pending {
            if !self.store.claim_notifications(conversation, &[to]).await? {
                continue;
            }
            let phone = conversation.phone_of(to);
            let speech = speech_to_phone(&self.words, conversation, phone);
            let (text, link) =
                (speech.write(Text::NumberChanged), cards.and_then(|cards| cards.of(conversation, to.side)));
            let card = match &link {
                Some(link) if self.texts.carries_files() => card_for(&self.store, conversation, to, link).await,
                _ => None,
            };
            let sending = Sending { senders: &self.senders, speech, kind: TemplateKind::Notice };
            let (text, way) = sending.way(text, conversation, phone, (link, card));
            let outcome = wanted_text::invite(
                &self.store,
                &self.texts,
                (conversation.id, conversation.invitation(to)),
                (phone.sees, phone.number),
                &text,
                way,
            )
            .await;
            let records = records(&outcome);
            let notification = notification(conversation, outcome);
            conversation.note_invitation(to, notification, &records);
            let now = self.clock.now();
            // The text message is sent: this failure must not make it be sent again.
            if let Err(error) = self.store.record_notifications(conversation, &[(to, records)], now).await {
                let id = conversation.id;
                tracing::error!(conversation.id = %id, cause = %error, "recording the outcome of a text message failed");
            }
        }
        Ok(())
    }
}
