//! The text messages that tell people which number to dial from now on: one each for each change, even after a crash.

use super::Healer;
use crate::domain::conversation::{Conversation, Notification};
use crate::domain::side::Side;
use crate::domain::words::sentence::Text;
use crate::service::create::texts::{notification, records, speech_to};
use crate::store::StoreError;
use crate::vonage::sms::TextSender;

impl<T: TextSender> Healer<T> {
    /// Texts the participants on `sides`, unless that was done or started before. Each text message is claimed first, so that
    /// no two runs send it. It comes from the new number.
    pub(super) async fn text(&self, conversation: &mut Conversation, sides: &[Side]) -> Result<(), StoreError> {
        for side in sides {
            let participant = conversation.participant(*side);
            if participant.notification != Notification::Pending
                || !self.store.claim_notifications(conversation, &[*side]).await?
            {
                continue;
            }
            let text = speech_to(&self.words, conversation, *side).write(Text::NumberChanged);
            let outcome = self.texts.send(&participant.sees, &participant.number, &text).await;
            let records = records(&outcome);
            conversation.participants[side.index()].notification = notification(conversation, outcome);
            conversation.carrier_records.extend(records.iter().cloned());
            let now = self.clock.now();
            // The text message is sent: this failure must not make it be sent again.
            if let Err(error) = self.store.record_notifications(conversation, &[*side], &records, now).await {
                let id = conversation.id;
                tracing::error!(conversation.id = %id, cause = %error, "recording the outcome of a text message failed");
            }
        }
        Ok(())
    }
}
