//! `POST /webhooks/event/turn`: the turns of calls that are about to be connected, at a deployment with a pace.

use lambda_http::Request;
use serde_json::Value;
use shared::clock::whole_millisecond;
use shared::domain::conversation::ConversationId;
use shared::domain::decision::Decision;
use shared::domain::pace::Turn;
use shared::domain::words::Speech;
use shared::edge::http::{self, Problem};
use shared::edge::request_log::RequestLog;
use shared::vonage::call_urls;
use shared::vonage::ncco::{self, Ncco};
use shared::vonage::pace_steps::{self, TurnRequest};

use crate::EventWebhook;

impl EventWebhook {
    /// Returns what comes next for a call that asks for its turn: the connection, a wait before it, or that there are too many
    /// calls.
    pub(crate) async fn turn(
        &self,
        request: &Request,
        body: &[u8],
        log: &mut RequestLog,
    ) -> Result<Vec<Value>, Problem> {
        let unknown = |_| Problem::malformed("The body is not about a call that waits for its turn.");
        let TurnRequest { payload: call, conversation_uuid } = serde_json::from_slice(body).map_err(unknown)?;
        (log.conversation, log.call) = (call.conversation, conversation_uuid);
        let now = whole_millisecond(self.clock.now());
        let turn = match (call.turn_at, &self.pacer) {
            (Some(taken), _) => Turn::At(taken),
            (None, Some(pacer)) => pacer.turn().await?,
            // The pace was turned off a moment ago.
            (None, None) => Turn::At(now),
        };
        log.outcome = match turn {
            Turn::At(at) if at <= now => "turn",
            Turn::At(_) => "waits for its turn",
            Turn::TooMany => "too many calls",
        };
        let url = http::base_url(self.public_url.as_deref(), request).ok_or_else(Problem::internal)?;
        Ok(pace_steps::after_turn(call, turn, &call_urls::turn(&url), now))
    }

    /// Returns the actions for a decision about a call. If they connect it, it waits for its turn.
    pub(crate) fn decided(&self, request: &Request, decision: Decision, speech: &Speech<'_>) -> Ncco {
        let (follow_up, id) = (self.follow_up(request, &decision), decision.conversation());
        self.in_turn(request, id, speech, ncco::decided(decision, speech, follow_up))
    }

    /// Returns these actions so that a connection among them waits for its turn, if calls do.
    pub(crate) fn in_turn(
        &self,
        request: &Request,
        id: Option<ConversationId>,
        speech: &Speech<'_>,
        ncco: Ncco,
    ) -> Ncco {
        match http::base_url(self.public_url.as_deref(), request).filter(|_| self.pacer.is_some()) {
            Some(base) => pace_steps::in_turn(ncco, speech, id, call_urls::turn(&base)),
            None => ncco,
        }
    }
}
