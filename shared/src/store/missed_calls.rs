//! The memory of calls with guard and of missed calls: a callee's consent, and the text messages that told of them.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use super::item::{self, Key};
use super::legs::{self, LegPhone};
use super::write::Write;
use super::{Store, StoreError};
use crate::clock::whole_second;
use crate::domain::attempt::Attempt;
use crate::domain::call::{Leg, Status};
use crate::domain::carrier_record::CarrierRecord;
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::guard::Guard;
use crate::domain::late;
use crate::domain::missed_calls::{BURST, Measure};
use crate::domain::side::Side;

/// A leg, by Vonage's ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegIds {
    /// The call: its `conversation_uuid`.
    pub call: String,
    /// The leg: its `uuid`.
    pub leg: String,
}

impl Store {
    /// Notes at `now` that the participant on the side `callee` took a call on this leg, in this `attempt` if there are several. It
    /// does not matter if the events of the leg come later. False if the conversation has been erased.
    pub async fn accept_call(
        &self,
        conversation: &Conversation,
        (callee, attempt): (Side, Option<Attempt>),
        ids: &LegIds,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let first = conversation.first_phone(callee).index;
        let phone = attempt.map_or(first, |attempt| attempt.phone);
        let owner = LegPhone::new(conversation, callee, phone);
        let accept = legs::accept(&owner, &ids.call, &ids.leg, now)?;
        // A leg of an erased conversation must not come back: nothing would delete it.
        let exists = Write::check(Key::Conversation(conversation.id));
        let exists = exists.when("attribute_exists(participants)").when("attribute_not_exists(erased_at)");
        self.transact_settled(vec![exists, accept]).await
    }

    /// Notes at `now` that the participant on the side `caller` agreed on this leg to the recording of the call. False if the
    /// conversation has been erased.
    pub async fn agree_to_recording(
        &self,
        conversation: &Conversation,
        caller: Side,
        ids: &LegIds,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let owner = LegPhone::new(conversation, caller, conversation.first_phone(caller).index);
        let agree = legs::agree(&owner, &ids.call, &ids.leg, now)?;
        let exists = Write::check(Key::Conversation(conversation.id));
        let exists = exists.when("attribute_exists(participants)").when("attribute_not_exists(erased_at)");
        self.transact_settled(vec![exists, agree]).await
    }

    /// True if the caller of a call agreed to its recording. One consistent query.
    pub async fn has_caller_agreed(&self, conversation: ConversationId, call: &str) -> Result<bool, StoreError> {
        let prefix = format!("{}{call}#", item::LEG_PREFIX);
        let items = self.query(item::conversation_partition(conversation), Some(&prefix)).await?;
        Ok(items.iter().any(|item| item.contains_key(legs::AGREED)))
    }

    /// True if the callee of a call with this guard took it: pressed the key, or was no machine. One consistent query.
    pub async fn is_call_accepted(
        &self,
        conversation: ConversationId,
        call: &str,
        guard: Guard,
    ) -> Result<bool, StoreError> {
        let prefix = format!("{}{call}#", item::LEG_PREFIX);
        let items = self.query(item::conversation_partition(conversation), Some(&prefix)).await?;
        let legs = items.into_iter().map(legs::read).collect::<Result<Vec<Leg>, _>>()?;
        let is_taken = |leg: &Leg| match guard {
            Guard::None => leg.statuses.contains_key(&Status::Answered),
            Guard::Press1 => leg.accepted_at.is_some(),
            // Of these events one may come late.
            Guard::Detect => {
                let has = |status: Status| leg.statuses.contains_key(&status);
                !has(Status::Machine) && [Status::Answered, Status::Human, Status::Completed].into_iter().any(has)
            }
        };
        Ok(legs.iter().any(|leg| !leg.is_callers() && is_taken(leg)))
    }

    /// Claims the text message about a missed call, so that nobody else sends it. False if there was one of this kind in the last
    /// [`BURST`], or if the conversation, the phone or the number that the callee sees is another one by now.
    ///
    /// It is claimed before it is sent: after a crash in between it is never sent, and never twice.
    pub async fn claim_missed_call_text(
        &self,
        conversation: &Conversation,
        callee: Side,
        measure: Measure,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (index, participant) = (callee.index(), conversation.participant(callee));
        let told = match measure {
            Measure::CallBack => format!("asked_{index}"),
            Measure::Say | Measure::Text | Measure::Voicemail => format!("told_{index}"),
        };
        let before = whole_second(now).saturating_sub(BURST).unwrap_or(Timestamp::MIN);
        let claim = Write::update(Key::Conversation(conversation.id))
            .set("#told = :now")
            .name("#told", told)
            .name("#number", "number")
            .when("attribute_exists(participants)")
            .when("attribute_not_exists(erased_at)")
            .when("attribute_not_exists(ended_at)")
            .when(format!("participants[{index}].#number = :number"))
            .when(format!("participants[{index}].dials = :sees"))
            .when("(attribute_not_exists(#told) OR #told <= :before)")
            .bind(":now", item::seconds(now))
            .bind(":before", item::seconds(before))
            .bind(":number", item::string(participant.number.expose()))
            .bind(":sees", item::string(participant.sees.as_str()));
        self.update(claim).await
    }

    /// Claims the text message with which the participant on the side `caller` asks the other one for a call about lost property. False
    /// if there was one in the last [`late::BURST`], or if the conversation has been erased, or if the other one has another
    /// phone or number by now.
    ///
    /// It is claimed before it is sent, like a text message about a missed call.
    pub async fn claim_lost_property(
        &self,
        conversation: &Conversation,
        caller: Side,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let index = caller.other().index();
        let participant = conversation.participant(caller.other());
        let before = whole_second(now).saturating_sub(late::BURST).unwrap_or(Timestamp::MIN);
        let asked = match caller {
            Side::A => "asked_a",
            Side::B => "asked_b",
        };
        let claim = Write::update(Key::Conversation(conversation.id))
            .set("late.#asked = :now")
            .name("#asked", asked)
            .name("#number", "number")
            .when("late.lost_property = :true")
            .when("attribute_not_exists(erased_at)")
            .when(format!("participants[{index}].#number = :number"))
            .when(format!("participants[{index}].dials = :sees"))
            .when("(attribute_not_exists(late.#asked) OR late.#asked <= :before)")
            .bind(":true", AttributeValue::Bool(true))
            .bind(":now", item::seconds(now))
            .bind(":before", item::seconds(before))
            .bind(":number", item::string(participant.number.expose()))
            .bind(":sees", item::string(participant.sees.as_str()));
        self.update(claim).await
    }

    /// Adds the carrier records of text messages to their conversation. If that has been erased since, they are listed for
    /// redaction.
    pub async fn record_texts(
        &self,
        conversation: ConversationId,
        texts: &[CarrierRecord],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if texts.is_empty() || self.add_records(conversation, texts).await? {
            return Ok(());
        }
        self.request_redaction(texts, now).await
    }
}
