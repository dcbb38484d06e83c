//! Outcomes of the text messages to a conversation's participants, and their carrier records.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::item::{self, Key, TENANT};
use super::tenant_costs::PricedText;
use super::transaction::Updated;
use super::write::Write;
use super::{Store, StoreError};
use crate::domain::carrier_record::CarrierRecord;
use crate::domain::conversation::{Conversation, ConversationId, Notification, Recipient};
use crate::domain::invitation::InvitationReceipts;
use crate::domain::receipt::{InvitationReference, Receipt};
use crate::domain::tenant::Owner;

/// Appends `:records` to the carrier records; `:none` is the empty list. Records are only ever added, so concurrent
/// writers do not overwrite each other.
pub(super) const ADD_RECORDS: &str = "carrier_records = list_append(if_not_exists(carrier_records, :none), :records)";

pub(super) fn no_records() -> AttributeValue {
    AttributeValue::L(Vec::new())
}

/// Attribute of a conversation with the texts about its invitations.
const INVITATION_RECEIPTS: &str = "invitation_receipts";

impl Store {
    /// Claims the text messages `to` these people for this run. Until [`Store::record_notifications`] writes the outcome, it is
    /// unknown whether they were sent. False if a notification is not as in `conversation` any more: then another run has claimed it.
    pub async fn claim_notifications(&self, conversation: &Conversation, to: &[Recipient]) -> Result<bool, StoreError> {
        let claimed = Notification::Unknown("the text was about to be sent".to_owned());
        let mut update = Write::update(Key::Conversation(conversation.id)).set("texting = :run");
        let mut conditions = Vec::new();
        for (nth, to) in to.iter().enumerate() {
            let (path, side, seen) = (path(*to), to.side.index(), conversation.notification(*to));
            // A text message names the number to dial, which may have been replaced since.
            conditions.push(format!("{path}.notification = :seen{nth} AND participants[{side}].dials = :dials{nth}"));
            let dials = item::string(conversation.participant(to.side).sees.as_str());
            update = set_notification(update, nth, *to, &claimed)?
                .bind(format!(":seen{nth}"), item::value(seen)?)
                .bind(format!(":dials{nth}"), dials);
            // The participant may have another phone by now, and other phones may have joined or left.
            conditions.push(format!("{path}.#number = :number{nth}"));
            let number = item::string(conversation.phone_of(*to).number.expose());
            update = update.name("#number", "number").bind(format!(":number{nth}"), number);
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

    /// Writes the outcomes of the text messages `to` these people, except for one who has another phone or dials another number by
    /// now. Adds the carrier records of their parts in any case. If the conversation has been erased since, the records are listed for
    /// redaction instead.
    pub async fn record_notifications(
        &self,
        conversation: &Conversation,
        to: &[(Recipient, Vec<CarrierRecord>)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let records: Vec<CarrierRecord> = to.iter().flat_map(|(_, parts)| parts).cloned().collect();
        if self.record_all(conversation, to, &records).await? {
            return Ok(());
        }
        if !records.is_empty() && !self.add_records(conversation.id, &records).await? {
            return self.request_redaction(&records, now).await;
        }
        if to.len() > 1 {
            for one in to {
                self.record_all(conversation, std::slice::from_ref(one), &[]).await?;
            }
        }
        Ok(())
    }

    async fn record_all(
        &self,
        conversation: &Conversation,
        to: &[(Recipient, Vec<CarrierRecord>)],
        records: &[CarrierRecord],
    ) -> Result<bool, StoreError> {
        let mut update = Write::update(Key::Conversation(conversation.id)).name("#number", "number");
        if !records.is_empty() {
            update = update.set(ADD_RECORDS).bind(":none", no_records()).bind(":records", item::value(records)?);
        }
        let accepted = |(to, parts): &(Recipient, Vec<CarrierRecord>)| {
            InvitationReceipts::accepted(conversation.invitation(*to), parts)
        };
        let accepted: Vec<String> = to.iter().flat_map(accepted).collect();
        if !accepted.is_empty() {
            update = add_receipts(update, accepted);
        }
        for (nth, (to, _)) in to.iter().enumerate() {
            let (path, side, phone) = (path(*to), to.side.index(), conversation.phone_of(*to));
            update = set_notification(update, nth, *to, conversation.notification(*to))?
                .when(format!("{path}.#number = :number{nth}"))
                .when(format!("participants[{side}].dials = :dials{nth}"))
                .bind(format!(":number{nth}"), item::string(phone.number.expose()))
                .bind(format!(":dials{nth}"), item::string(phone.sees.as_str()));
        }
        self.update(update).await
    }

    /// Adds a receipt to the invitation that it is of. It may come twice and in any order. False if its conversation is not there any
    /// more. If that has been erased, the record at the carrier is listed for redaction: the answer that named it may never have come.
    pub async fn record_invitation_receipt(
        &self,
        invitation: &InvitationReference,
        receipt: &Receipt,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let key = Key::Conversation(invitation.conversation);
        let told = InvitationReceipts::entry(&invitation.sent, &receipt.part, &receipt.fate);
        let update = |notes: Vec<String>| {
            let receipts = std::iter::once(told.clone()).chain(notes).collect();
            add_receipts(Write::update(key), receipts)
                .when("attribute_exists(participants)")
                .when("attribute_not_exists(erased_at)")
        };
        let of_tenant = match receipt.price {
            Some(_) => {
                match self.update_or_find(update(Vec::new()).when(format!("attribute_not_exists({TENANT})"))).await? {
                    Updated::Yes => return Ok(true),
                    Updated::No(item) => item.as_ref().and_then(item::owner).and_then(Owner::tenant),
                }
            }
            None => None,
        };
        let is_there = match of_tenant.zip(receipt.price) {
            Some((tenant, price)) => {
                let text = PricedText {
                    key,
                    notes: INVITATION_RECEIPTS,
                    own_notes: InvitationReceipts::beginning_of_priced(invitation.sent.invitation),
                    tenant,
                    time: now,
                    parts: vec![(InvitationReceipts::priced(&invitation.sent, &receipt.part), price)],
                };
                self.charge_text(&text, update).await?
            }
            None => self.update(update(Vec::new())).await?,
        };
        if is_there {
            return Ok(true);
        }
        if self.get_item(key).await?.is_some_and(|item| item.contains_key("erased_at")) {
            self.request_redaction(&[invitation.sent.record_of(&receipt.part)], now).await?;
        }
        Ok(false)
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

fn add_receipts(update: Write, receipts: Vec<String>) -> Write {
    update.add(format!("{INVITATION_RECEIPTS} :receipts")).bind(":receipts", AttributeValue::Ss(receipts))
}

/// Returns the path of a person in the conversation's item.
fn path(to: Recipient) -> String {
    let side = to.side.index();
    match to.further {
        Some(position) => format!("participants[{side}].phones[{position}]"),
        None => format!("participants[{side}]"),
    }
}

fn set_notification(
    update: Write,
    nth: usize,
    to: Recipient,
    notification: &Notification,
) -> Result<Write, StoreError> {
    let update = update.set(format!("{}.notification = :set{nth}", path(to)));
    Ok(update.bind(format!(":set{nth}"), item::value(notification)?))
}
