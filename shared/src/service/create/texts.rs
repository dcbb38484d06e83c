//! Telling both participants which number to dial: once each, whatever happens in between.

use std::time::Duration;

use jiff::Timestamp;

use super::Creator;
use crate::domain::carrier_record::CarrierRecord;
use crate::domain::conversation::{Conversation, Notification};
use crate::domain::phone::VirtualNumber;
use crate::domain::side::Side;
use crate::domain::text::Label;
use crate::vonage::VonageError;
use crate::vonage::number_insight::NumberLookup;
use crate::vonage::sms::TextSender;

/// How long it takes at most to write down what becomes of texts.
const WRITING: Duration = Duration::from_secs(2);

impl<L: NumberLookup, T: TextSender> Creator<L, T> {
    /// Texts those who are owed a text, and writes down how that went. If the same request may come `again`, it is
    /// written down before too, so that no two runs send the same text. None is begun that could be cut off at `ends_at`,
    /// because it may be out then; it stays owed.
    pub(super) async fn notify(
        &self,
        mut conversation: Conversation,
        again: bool,
        ends_at: Option<Timestamp>,
    ) -> Conversation {
        let owed: Vec<Side> = Side::BOTH
            .into_iter()
            .filter(|side| conversation.participant(*side).notification.needs_sending())
            .collect();
        if owed.is_empty() {
            return conversation;
        }
        let takes = self.text_time_limit + WRITING;
        if ends_at.is_some_and(|ends_at| self.clock.now() + takes > ends_at) {
            tracing::warn!(conversation.id = %conversation.id, "there was no time left for text messages");
            return conversation;
        }
        if again {
            match self.store.claim_notifications(&conversation, &owed).await {
                Ok(true) => {}
                // Another run of the same request is at it.
                Ok(false) => return conversation,
                // The conversation stands, and the next run of the same request sends what is owed.
                Err(error) => {
                    tracing::error!(conversation.id = %conversation.id, cause = %error, "text messages were not sent");
                    return conversation;
                }
            }
        }
        let text = async |side| if owed.contains(&side) { Some(self.text(&conversation, side).await) } else { None };
        let (a, b) = tokio::join!(text(Side::A), text(Side::B));
        let mut texts = Vec::new();
        for (side, outcome) in [(Side::A, a), (Side::B, b)] {
            if let Some(outcome) = outcome {
                if let Ok(ids) | Err(VonageError::Partial(ids)) = &outcome {
                    texts.extend(ids.iter().cloned().map(CarrierRecord::of_text));
                }
                conversation.participants[side.index()].notification = notification(&conversation, outcome);
            }
        }
        conversation.carrier_records.extend(texts.iter().cloned());
        // The conversation stands and the texts are out: not being able to note that is no reason to refuse it.
        if let Err(error) = self.store.record_notifications(&conversation, &owed, &texts, self.clock.now()).await {
            tracing::error!(conversation.id = %conversation.id, cause = %error, "the fate of text messages was not recorded");
        }
        conversation
    }

    async fn text(&self, conversation: &Conversation, to: Side) -> Result<Vec<String>, VonageError> {
        let participant = conversation.participant(to);
        let other = conversation.participant(to.other());
        let text = invitation(&participant.dials, other.label.as_ref());
        self.texts.send(&participant.dials, &participant.number, &text).await
    }
}

fn notification(conversation: &Conversation, outcome: Result<Vec<String>, VonageError>) -> Notification {
    let Err(error) = outcome else { return Notification::Sent };
    tracing::warn!(conversation.id = %conversation.id, cause = %error, "a text message was not taken");
    if error.outcome_is_unknown() {
        Notification::Unknown(error.to_string())
    } else {
        Notification::Failed(error.to_string())
    }
}

/// The text message that tells a participant which number to dial, and whom it reaches.
fn invitation(dials: &VirtualNumber, other: Option<&Label>) -> String {
    let whom = other.map_or("the other person", Label::as_str);
    format!("To reach {whom}, call +{dials}. It works from this phone only, and keeps your own number private.")
}
