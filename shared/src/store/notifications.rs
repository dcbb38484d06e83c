//! What became of the text messages to a conversation's participants, and what the carrier keeps of them.

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::item::{self, Key};
use super::{Store, StoreError};
use crate::domain::carrier_record::CarrierRecord;
use crate::domain::conversation::{Conversation, ConversationId, Notification};
use crate::domain::side::Side;

/// Adds `:records` to those that are known; `:none` is the empty list. They only ever become more, so two writers lose
/// nothing to each other.
pub(super) const ADD_RECORDS: &str = "carrier_records = list_append(if_not_exists(carrier_records, :none), :records)";

pub(super) fn no_records() -> AttributeValue {
    AttributeValue::L(Vec::new())
}

impl Store {
    /// Notes that the participants on `sides` are about to be texted: from now on whether they were is unknown, until
    /// [`Store::record_notifications`] says more. False if that is not as in `conversation` any more: then somebody
    /// else is at it.
    pub async fn claim_notifications(&self, conversation: &Conversation, sides: &[Side]) -> Result<bool, StoreError> {
        let claimed = Notification::Unknown("the text was about to be sent".to_owned());
        // Who claims is written down too, so that a claim whose answer was lost is known again when it is repeated.
        let run = item::whole(fastrand::u64(..));
        let claims = sides.iter().map(|side| (*side, &claimed));
        let mut update = self.set_notifications(conversation.id, claims, Some("texting = :run"))?;
        update = update.expression_attribute_values(":run", run);
        let mut conditions = Vec::new();
        for side in sides {
            let (index, seen) = (side.index(), &conversation.participant(*side).notification);
            conditions.push(format!("participants[{index}].notification = :seen{index}"));
            update =
                update.expression_attribute_values(format!(":seen{index}"), serde_dynamo::to_attribute_value(seen)?);
        }
        let unchanged = conditions.join(" AND ");
        let condition = format!("attribute_not_exists(erased_at) AND (texting = :run OR ({unchanged}))");
        let update = update.condition_expression(condition);
        match self.update(update.clone()).await {
            // The condition accepts this run's own claim, so sending it again finds out whether the first one was taken.
            Err(StoreError::NoAnswer(_)) => self.update(update).await,
            settled => settled,
        }
    }

    /// Writes down what became of the text messages to the participants on `sides`, but not of one who has another phone
    /// by now; and what the carrier keeps of them, `texts`, whoever they went to. If the conversation has been erased
    /// meanwhile, the carrier is to redact them.
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
            return self.ask_to_redact(texts, now).await;
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
        let outcomes = sides.iter().map(|side| (*side, &conversation.participant(*side).notification));
        let add_records = (!texts.is_empty()).then_some(ADD_RECORDS);
        let mut update = self.set_notifications(conversation.id, outcomes, add_records)?;
        if add_records.is_some() {
            update = update
                .expression_attribute_values(":none", no_records())
                .expression_attribute_values(":records", serde_dynamo::to_attribute_value(texts)?);
        }
        let mut conditions = Vec::new();
        for side in sides {
            let index = side.index();
            conditions.push(format!("participants[{index}].#number = :number{index}"));
            let number = item::string(conversation.participant(*side).number.expose());
            update = update.expression_attribute_values(format!(":number{index}"), number);
        }
        let update = update.expression_attribute_names("#number", "number");
        self.update(update.condition_expression(conditions.join(" AND "))).await
    }

    /// False if the conversation is not there any more.
    async fn add_records(&self, id: ConversationId, records: &[CarrierRecord]) -> Result<bool, StoreError> {
        let update = self.client.update_item().table_name(&self.table).set_key(Some(Key::Conversation(id).item()));
        let update = update
            .update_expression(format!("SET {ADD_RECORDS}"))
            .condition_expression("attribute_exists(participants)")
            .expression_attribute_values(":none", no_records())
            .expression_attribute_values(":records", serde_dynamo::to_attribute_value(records)?);
        self.update(update).await
    }

    fn set_notifications<'a>(
        &self,
        id: ConversationId,
        notifications: impl Iterator<Item = (Side, &'a Notification)>,
        and: Option<&str>,
    ) -> Result<UpdateItemFluentBuilder, StoreError> {
        let mut update = self.client.update_item().table_name(&self.table).set_key(Some(Key::Conversation(id).item()));
        let mut parts: Vec<String> = and.map(str::to_owned).into_iter().collect();
        for (side, notification) in notifications {
            let index = side.index();
            parts.push(format!("participants[{index}].notification = :set{index}"));
            update = update
                .expression_attribute_values(format!(":set{index}"), serde_dynamo::to_attribute_value(notification)?);
        }
        Ok(update.update_expression(format!("SET {}", parts.join(", "))))
    }
}
