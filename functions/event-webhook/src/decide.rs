//! A call about which the backend decides.

use lambda_http::Request;
use shared::domain::conversation::ConversationId;
use shared::domain::side::Side;
use shared::edge::http::Problem;
use shared::edge::request_log::RequestLog;
use shared::vonage::call_steps;
use shared::vonage::ncco::{self, Ncco, Settled};
use shared::vonage::step_event::StepEvent;

use crate::EventWebhook;

impl EventWebhook {
    /// Returns what the caller hears after a decision: the connection, or words.
    pub(crate) async fn decide(
        &self,
        request: &Request,
        (id, callee): (ConversationId, Side),
        event: &StepEvent,
        log: &mut RequestLog,
    ) -> Result<Ncco, Problem> {
        let fate = self.decisions.decide(id, callee, event.call().as_deref()).await?;
        log.outcome = fate.outcome;
        let speech = match &fate.conversation {
            Some(conversation) => call_steps::speech_to(&self.words, conversation, callee.other()),
            None => self.words.speech(None),
        };
        let mut ncco = Vec::new();
        ncco.extend(fate.say.as_ref().map(|say| call_steps::say_as_decided(&speech, say)));
        match fate.decision {
            Some(decision) => {
                let follow_up = self.follow_up(request, &decision);
                ncco.extend(ncco::decided_after(Settled::Decision, decision, &speech, follow_up));
            }
            None if ncco.is_empty() => ncco.push(call_steps::unavailable(&speech)),
            None => {}
        }
        Ok(ncco)
    }
}
