//! A key that a participant has pressed in a call, which may be part of the safety key.

use shared::domain::conversation::ConversationId;
use shared::domain::side::Side;
use shared::edge::http::Problem;
use shared::service::hang_up::HangUp;
use shared::service::safety_key;
use shared::vonage::step_event::StepEvent;

use crate::EventWebhook;

impl EventWebhook {
    /// Blocks the other side and has the call ended, if the key that `side` pressed completes the safety key. Returns the outcome. The
    /// block comes first: after an error Vonage tells of the key again, and then the call is ended.
    pub(crate) async fn key_in_call(
        &self,
        id: ConversationId,
        side: Side,
        event: &StepEvent,
    ) -> Result<&'static str, Problem> {
        let Some(call) = safety_key::press(&self.store, id, side, event, self.clock.now()).await? else {
            return Ok("key in a call");
        };
        self.hang_up(&HangUp::of_calls(id, [call].into())).await?;
        Ok("safety key")
    }
}
