//! The text messages that tell people which number to dial from now on: one each for each change, even after a crash.

use super::Healer;
use crate::domain::card_link::CardLinks;
use crate::domain::conversation::{Conversation, Notification};
use crate::domain::side::Side;
use crate::domain::whatsapp_template::TemplateKind;
use crate::domain::words::sentence::Text;
use crate::service::create::texts::{notification, records, speech_to_phone, way_to, with_card};
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
            let text = with_card(speech.write(Text::NumberChanged), speech, cards, conversation, to.side);
            let way = way_to(&self.senders, conversation, phone, (TemplateKind::Notice, &text));
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
