//! What comes next in a call: after a key at the guard, after a leg that nobody took, and after a key in the menu for its caller.
//!
//! Vonage may ask twice. The answer is then the same, and nobody is texted twice.

use jiff::Timestamp;

use crate::clock::SharedClock;
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::missed_calls::{Measure, Missed, NEWS};
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::side::Side;
use crate::domain::text::Label;
use crate::service::create::texts::records;
use crate::store::{LegIds, Store, StoreError};
use crate::vonage::call_steps;
use crate::vonage::call_urls::CallUrls;
use crate::vonage::ncco::Ncco;
use crate::vonage::sms::TextSender;

/// The key that takes a call, and that asks for a call back.
const YES: &str = "1";

/// Decides what comes next in calls.
pub struct CallSteps<T> {
    /// The table.
    pub store: Store,
    /// Sends text messages.
    pub texts: T,
    /// The clock.
    pub clock: SharedClock,
}

/// A leg that ended without an answer, at `time`.
#[derive(Debug, Clone, Copy)]
pub struct MissedLeg<'a> {
    /// The callee's phone.
    pub phone: &'a RealNumber,
    /// The number that called it.
    pub mask: &'a VirtualNumber,
    /// The reason.
    pub reason: Missed,
    /// The time of the event.
    pub time: Timestamp,
}

impl<T: TextSender> CallSteps<T> {
    /// Returns what the caller hears after a leg that nobody took, and tells its callee. `None` if the conversation wants neither.
    pub async fn after_missed_leg(
        &self,
        id: ConversationId,
        leg: MissedLeg<'_>,
        urls: &CallUrls,
    ) -> Result<Option<Ncco>, StoreError> {
        let Some(conversation) = self.store.conversation(id, self.clock.now()).await? else { return Ok(None) };
        let Some((callee, _)) = conversation.callee(leg.phone, leg.mask) else { return Ok(None) };
        self.tell_both(&conversation, callee, leg.reason, leg.time, urls).await
    }

    /// Returns what comes after the leg of a callee with guard, who was asked and is gone: nothing if the callee took the call.
    pub async fn after_guarded_leg(
        &self,
        id: ConversationId,
        callee: Side,
        call: &str,
        urls: &CallUrls,
    ) -> Result<Option<Ncco>, StoreError> {
        let now = self.clock.now();
        let Some(conversation) = self.store.conversation(id, now).await? else { return Ok(None) };
        if self.store.is_call_accepted(id, call, conversation.handling.guard).await? {
            return Ok(None);
        }
        self.tell_both(&conversation, callee, Missed::Unanswered, now, urls).await
    }

    /// Returns what the callee hears who pressed these keys at the guard. The consent is stored first.
    pub async fn at_guard(
        &self,
        id: ConversationId,
        callee: Side,
        keys: &str,
        ids: Option<LegIds>,
    ) -> Result<Ncco, StoreError> {
        let now = self.clock.now();
        // Without its ids a leg cannot be told from others, so its caller would hear that nobody answered.
        let (YES, Some(ids)) = (keys, ids) else { return Ok(call_steps::declined(id)) };
        let Some(conversation) = self.store.conversation(id, now).await? else { return Ok(call_steps::declined(id)) };
        Ok(match self.store.accept_call(&conversation, callee, &ids, now).await? {
            true => call_steps::accepted(),
            false => call_steps::declined(id),
        })
    }

    /// Returns what the caller hears who pressed these keys after a missed call. Key 1 asks the callee to call back.
    pub async fn in_menu(&self, id: ConversationId, callee: Side, keys: &str) -> Result<Ncco, StoreError> {
        let now = self.clock.now();
        let conversation = self.store.conversation(id, now).await?;
        let Some(conversation) = conversation.filter(|one| call_steps::offers_call_back(one, callee)) else {
            return Ok(call_steps::menu_answer(false));
        };
        let is_asked = keys == YES;
        if is_asked {
            self.text(&conversation, callee, Measure::CallBack).await?;
        }
        Ok(call_steps::menu_answer(is_asked))
    }

    async fn tell_both(
        &self,
        conversation: &Conversation,
        callee: Side,
        reason: Missed,
        time: Timestamp,
        urls: &CallUrls,
    ) -> Result<Option<Ncco>, StoreError> {
        let measures = conversation.handling.missed_calls;
        if measures.includes(Measure::Text) && self.clock.now().duration_since(time) < NEWS {
            self.text(conversation, callee, Measure::Text).await?;
        }
        // Without words the guard would leave the caller in silence.
        let is_wanted = !conversation.handling.is_plain();
        Ok(is_wanted.then(|| call_steps::missed(conversation, callee, reason, urls)))
    }

    /// Texts the callee of a missed call, unless that was done a moment ago.
    async fn text(&self, conversation: &Conversation, callee: Side, measure: Measure) -> Result<(), StoreError> {
        let now = self.clock.now();
        if !conversation.is_active(now)
            || !self.store.claim_missed_call_text(conversation, callee, measure, now).await?
        {
            return Ok(());
        }
        let participant = conversation.participant(callee);
        let text = words(conversation, callee, measure);
        let outcome = self.texts.send(&participant.sees, &participant.number, &text).await;
        if let Err(error) = &outcome {
            tracing::warn!(conversation.id = %conversation.id, cause = %error, "sending a text message about a missed call failed");
        }
        self.store.record_texts(conversation.id, &records(&outcome), now).await
    }
}

/// Returns the text message about a missed call. It names the number to dial only if its reader can dial.
fn words(conversation: &Conversation, callee: Side, measure: Measure) -> String {
    let caller = conversation.participant(callee.other()).label.as_ref().map_or("Your contact", Label::as_str);
    let what = match measure {
        Measure::CallBack => "asks you to call back",
        Measure::Say | Measure::Text => "tried to reach you",
    };
    match conversation.dials(callee) {
        Some(dials) => format!("{caller} {what}. Call +{dials}."),
        None => format!("{caller} {what}."),
    }
}
