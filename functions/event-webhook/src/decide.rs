//! A call about which the backend decides.

use lambda_http::Request;
use shared::edge::http::{self, Problem};
use shared::edge::request_log::RequestLog;
use shared::service::backend_decisions::StrangersFate;
use shared::vonage::call_steps;
use shared::vonage::ncco::{self, Ncco, Settled};
use shared::vonage::step_event::StepEvent;
use shared::vonage::{call_urls, pin_steps};

use crate::steps::Asked;
use crate::{EventWebhook, not_an_object};

impl EventWebhook {
    /// Returns what the caller hears after a decision: the connection, or words.
    pub(crate) async fn decide(&self, asked: &Asked<'_>, log: &mut RequestLog) -> Result<Ncco, Problem> {
        let Asked { request, id, step, event, .. } = asked;
        let callee = step.callee;
        let fate = self.decisions.decide(*id, callee, event.call().as_deref()).await?;
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
                let decided = ncco::decided_after(Settled::Decision, decision, &speech, follow_up);
                ncco.extend(self.in_turn(request, Some(*id), &speech, decided));
            }
            None if ncco.is_empty() => ncco.push(call_steps::unavailable(&speech)),
            None => {}
        }
        Ok(ncco)
    }

    /// Returns what a stranger or a late caller hears after a decision. `None` if the call goes on as without one.
    pub(crate) async fn decide_about_stranger(
        &self,
        request: &Request,
        body: &[u8],
        log: &mut RequestLog,
    ) -> Result<Option<Ncco>, Problem> {
        let event = StepEvent::parse(body).map_err(not_an_object)?;
        (log.call, log.outcome) = (event.call(), "not decided");
        let Some(call) = event.strangers_call() else { return Ok(None) };
        log.conversation = call.conversation;
        let fate = self.decisions.decide_about_stranger(&call, event.call().as_deref()).await?;
        let speech = self.words_of_number(Some(&call.dialled)).await?.speech(Some(&call.language));
        let (outcome, say, rest) = match fate {
            StrangersFate::Continues => return Ok(None),
            StrangersFate::Refused(None) => ("decided to refuse", None, vec![call_steps::unavailable(&speech)]),
            StrangersFate::Refused(say) => ("decided to refuse", say, Vec::new()),
            StrangersFate::Supported(say, decision) => {
                ("decided for support", say, self.decided(request, *decision, &speech))
            }
            StrangersFate::AskedForPin(say) => {
                let base = http::base_url(self.public_url.as_deref(), request).filter(|_| self.pins.is_some());
                let Some(base) = base else { return Ok(None) };
                ("decided for a PIN", say, pin_steps::ask(&speech, call_urls::pin(&base, 1), false))
            }
        };
        log.outcome = outcome;
        Ok(Some(say.iter().map(|say| call_steps::say_as_decided(&speech, say)).chain(rest).collect()))
    }
}
