//! Outcomes of the text messages to a conversation's participants, and their carrier records.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::item::{self, Key};
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::carrier_record::CarrierRecord;
use crate::domain::conversation::{Conversation, ConversationId, Notification};
use crate::domain::side::Side;

/// Appends `:records` to the carrier records; `:none` is the empty list. Records are only ever added, so concurrent
/// writers do not overwrite each other.
pub(super) const ADD_RECORDS: &str = "carrier_records = list_append(if_not_exists(carrier_records, :none), :records)";

pub(super) fn no_records() -> AttributeValue {
    AttributeValue::L(Vec::new())
}

impl Store {
    /// Claims the text messages to the participants on `sides` for this run. Until [`Store::record_notifications`] writes
    /// the outcome, it is unknown whether they were sent. False if a notification is not as in `conversation` any more:
    /// then another run has claimed it.
    pub async fn claim_notifications(&self, conversation: &Conversation, sides: &[Side]) -> Result<bool, StoreError> {
        let claimed = Notification::Unknown("the text was about to be sent".to_owned());
        let mut update = Write::update(Key::Conversation(conversation.id)).set("texting = :run");
        let mut conditions = Vec::new();
        for side in sides {
            let (index, seen) = (side.index(), &conversation.participant(*side).notification);
            // A text message names the number to dial, which may have been replaced since.
            conditions.push(format!(
                "participants[{index}].notification = :seen{index} AND participants[{index}].dials = :dials{index}"
            ));
            let dials = item::string(conversation.participant(*side).sees.as_str());
            update = set_notification(update, *side, &claimed)?
                .bind(format!(":seen{index}"), item::value(seen)?)
                .bind(format!(":dials{index}"), dials);
        }
        // The run's random number lets it recognize its own claim if the answer is lost and it claims again.
        let update = update
            .when("attribute_not_exists(erased_at)")
            .when(format!("(texting = :run OR ({}))", conditions.join(" AND ")))
            .bind(":run", item::integer(fastrand::u64(..)));
        match self.update(update.clone()).await {
            Err(StoreError::NoAnswer(_)) => self.update(update).await,
            settled => settled,
        }
    }

    /// Writes the outcomes of the text messages to the participants on `sides`, except for a participant who has another
    /// phone or dials another number by now. Adds the carrier records `texts` in any case. If the conversation has been erased since, the records
    /// are listed for redaction instead.
    pub async fn record_notifications(
        &self,
        conversation: &Conversation,
        sides: &[Side],
        texts: &[CarrierRecord],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if self.record_all(conversation, sides, texts).await? {
            return Ok(());
        }
        if !texts.is_empty() && !self.add_records(conversation.id, texts).await? {
            return self.request_redaction(texts, now).await;
        }
        if sides.len() > 1 {
            for side in sides {
                self.record_all(conversation, &[*side], &[]).await?;
            }
        }
        Ok(())
    }

    async fn record_all(
        &self,
        conversation: &Conversation,
        sides: &[Side],
        texts: &[CarrierRecord],
    ) -> Result<bool, StoreError> {
        let mut update = Write::update(Key::Conversation(conversation.id)).name("#number", "number");
        if !texts.is_empty() {
            update = update.set(ADD_RECORDS).bind(":none", no_records()).bind(":records", item::value(texts)?);
        }
        for side in sides {
            let (index, participant) = (side.index(), conversation.participant(*side));
            update = set_notification(update, *side, &participant.notification)?
                .when(format!("participants[{index}].#number = :number{index}"))
                .when(format!("participants[{index}].dials = :dials{index}"))
                .bind(format!(":number{index}"), item::string(participant.number.expose()))
                .bind(format!(":dials{index}"), item::string(participant.sees.as_str()));
        }
        self.update(update).await
    }

    /// Adds carrier records. False if the conversation has been erased.
    pub(super) async fn add_records(&self, id: ConversationId, records: &[CarrierRecord]) -> Result<bool, StoreError> {
        let update = Write::update(Key::Conversation(id))
            .set(ADD_RECORDS)
            .when("attribute_exists(participants)")
            .bind(":none", no_records())
            .bind(":records", item::value(records)?);
        self.update(update).await
    }
}

fn set_notification(update: Write, side: Side, notification: &Notification) -> Result<Write, StoreError> {
    let index = side.index();
    let update = update.set(format!("participants[{index}].notification = :set{index}"));
    Ok(update.bind(format!(":set{index}"), item::value(notification)?))
}
