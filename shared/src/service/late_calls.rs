//! Calls about lost property after the end of a conversation.
//!
//! A late caller presses 1, and the other one is asked by a text message. Nobody is connected before that one calls and presses 1 too:
//! each of the two has then asked for the call. The conversation stays over.

use jiff::SignedDuration;

use crate::domain::call_handling::CallHandling;
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::decision::Decision;
use crate::domain::phone::RealNumber;
use crate::domain::phone::caller_id::CallerId;
use crate::domain::route::Destination;
use crate::domain::side::Side;
use crate::domain::support::SupportPhone;
use crate::domain::words::addressee::Addressee;
use crate::service::call_steps::CallSteps;
use crate::service::call_texts::CallText;
use crate::store::StoreError;
use crate::vonage::texts::TextSender;

/// The key that asks for a call.
const YES: &str = "1";

/// The fate of a late caller.
#[derive(Debug)]
pub enum Late {
    /// The other one has asked for a call, so the two are connected by this decision.
    Agreed(Box<Decision>),
    /// The other one is asked, now or a while ago.
    Asked,
    /// The caller did not ask, or may not. This is the conversation's own support phone, if it has one.
    Declined(Option<SupportPhone>),
}

impl<T: TextSender> CallSteps<T> {
    /// Returns the fate, and the language, of a `caller` who pressed these keys after the end of a conversation whose other
    /// participant is on the side `callee`. Vonage may ask twice, and nobody is texted twice.
    pub async fn late_key(
        &self,
        id: ConversationId,
        callee: Side,
        keys: &str,
        caller: &CallerId,
    ) -> Result<(Late, Addressee), StoreError> {
        let now = self.clock.now();
        let Some(conversation) = self.store.conversation(id, now).await? else {
            return Ok((Late::Declined(None), Addressee::default()));
        };
        let addressee = conversation.addressee(callee.other());
        if keys != YES || !self.may_ask(&conversation, callee, caller) {
            let limits = conversation.limits;
            let phone = conversation.late.support_phone;
            let support = phone.map(|phone| SupportPhone { phone, for_hidden: false, limits });
            return Ok((Late::Declined(support), addressee));
        }
        if conversation.late.has_asked(callee, now) {
            return Ok((Late::Agreed(Box::new(connection(&conversation, callee))), addressee));
        }
        self.text(&conversation, callee, CallText::LostProperty).await?;
        Ok((Late::Asked, addressee))
    }

    /// True if the caller is the participant who may ask: with a present phone, after the end, while nobody else can have the route
    /// keys for as long as a call lasts, and if the other one can agree.
    fn may_ask(&self, conversation: &Conversation, callee: Side, caller: &CallerId) -> bool {
        let now = self.clock.now();
        let is_own =
            |caller: RealNumber| conversation.phones(callee.other()).any(|own| own.number.is_same_phone(&caller));
        let longest_call = SignedDuration::from_secs(conversation.limits.max_call_seconds.into());
        conversation.late.lost_property
            && matches!(caller, CallerId::Phone(phone) if is_own(phone.clone().into()))
            && !conversation.is_active(now)
            && now + longest_call < conversation.rests_until()
            && conversation.direction.is_both()
            && conversation.blocked.is_none()
            && conversation.safety.is_none()
            && !conversation.hangs_up
            && conversation.limit_reached_at.is_none()
    }
}

/// Returns the connection of the two, as in a call of the conversation.
fn connection(conversation: &Conversation, callee: Side) -> Decision {
    let caller = callee.other();
    Decision::Routed(Destination::Participant {
        conversation: conversation.id,
        connect_to: conversation.participant(callee).number.clone(),
        present_as: conversation.masked_by(caller).clone(),
        one_way: false,
        limits: conversation.limits,
        caller,
        // The backend decides about calls of conversations that are not over.
        handling: CallHandling { decision: None, ..conversation.handling },
        left_seconds: None,
        attempt: None,
    })
}
