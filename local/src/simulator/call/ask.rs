//! Requests for an NCCO: the answer to a call, and to an event within it.

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::super::applications::VoiceWebhook;
use super::super::leg::{self, Event};
use super::super::ncco::{self, Action, OnAnswer};
use super::super::report::{NccoReport, WebhookAttempt};
use super::super::webhook::{Reply, Sender};
use super::Call;
use super::deliver::{self, Question};
use super::line::Side;
use super::script::EventOrder;
use crate::faults::WebhookKind;

/// The occasion of a request for an NCCO.
#[derive(Clone, Debug)]
pub(super) enum Occasion {
    /// An inbound call.
    Answer,
    /// A phone with an `onAnswer` has answered.
    OnAnswer,
    /// An event within the call, such as "input" or "busy".
    Event(&'static str),
    /// A transfer of a leg to a URL.
    Transfer,
}

impl Occasion {
    fn name(&self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::OnAnswer => "on_answer",
            Self::Event(name) => name,
            Self::Transfer => "transfer",
        }
    }
}

/// The result of a request for an NCCO.
#[derive(Debug)]
pub(super) enum Answered {
    Actions(Vec<Action>),
    /// No webhook answered, or none with a body.
    Nothing,
    /// The NCCO is invalid, which ends the call.
    Invalid,
}

/// A request for an NCCO, and for whose leg it is.
pub(super) struct Ask {
    pub(super) occasion: Occasion,
    pub(super) leg: String,
    pub(super) webhook: Option<VoiceWebhook>,
    pub(super) sender: Sender,
    pub(super) data: Map<String, Value>,
}

impl Call {
    /// Asks the answer URL, and if that fails the fallback URL, for the NCCO of the call.
    pub(super) async fn ask_for_answer(&mut self) -> Option<Vec<Action>> {
        let ask = Ask {
            occasion: Occasion::Answer,
            leg: self.caller.leg.uuid.clone(),
            webhook: self.voice.webhooks.answer_url.clone(),
            sender: self.sender.clone(),
            data: self.answer_parameters(),
        };
        match self.ask(ask).await {
            Answered::Actions(actions) => Some(actions),
            Answered::Nothing | Answered::Invalid => None,
        }
    }

    /// Asks the URL of an `onAnswer` for the NCCO of the called phone.
    pub(super) async fn ask_on_answer(&mut self, on_answer: &OnAnswer) -> Answered {
        let fetch = self.request.on_answer.clone();
        let mut webhook = self.answer_timeouts();
        (webhook.address, webhook.http_method) = (on_answer.url.clone(), fetch.method);
        let data = self.leg_parameters(Side::Callee);
        let sender = Sender { signed: self.sender.signed && fetch.signed, ..self.sender.clone() };
        let leg = self.line(Side::Callee).leg.uuid.clone();
        self.ask(Ask { occasion: Occasion::OnAnswer, leg, webhook: Some(webhook), sender, data }).await
    }

    /// Returns the parameters of a request for the NCCO of one leg.
    pub(super) fn leg_parameters(&self, side: Side) -> Map<String, Value> {
        let leg = &self.line(side).leg;
        let mut data = Map::new();
        for (name, value) in [
            ("to", json!(leg.to)),
            ("from", json!(leg.from)),
            ("uuid", json!(leg.uuid)),
            ("conversation_uuid", json!(leg.conversation_uuid)),
        ] {
            data.insert(name.into(), value);
        }
        data
    }

    /// Adds the NCCO that came with the request for the call.
    pub(super) fn take_ncco(&mut self, ncco: Value) {
        let leg = self.caller.leg.uuid.clone();
        self.nccos.push(NccoReport { url_kind: WebhookKind::AnswerUrl, about: "answer", leg, ncco });
    }

    /// Sends an event whose response may be an NCCO. With the order "twice" the second response is ignored.
    pub(super) async fn ask_about(&mut self, event: Event) -> Answered {
        let Event { status, leg, webhook, body, .. } = event;
        let ask = |call: &Self| Ask {
            occasion: Occasion::Event(status),
            leg: leg.clone().unwrap_or_default(),
            webhook: webhook.clone(),
            sender: call.sender.clone(),
            data: body.clone(),
        };
        let first = self.ask(ask(self)).await;
        if self.request.events == EventOrder::Twice
            && let Some(webhook) = &webhook
        {
            drop(self.attempts(WebhookKind::EventUrl, webhook, &ask(self)).await);
        }
        first
    }

    pub(super) fn answer_timeouts(&self) -> VoiceWebhook {
        let webhooks = &self.voice.webhooks;
        let usual = webhooks.answer_url.clone().or_else(|| webhooks.fallback_answer_url.clone());
        usual.unwrap_or_else(VoiceWebhook::unset)
    }

    /// Returns the parameters of Vonage's answer webhook for an inbound call. Source: Vonage Voice API, webhook
    /// reference.
    fn answer_parameters(&self) -> Map<String, Value> {
        let mut data = Map::new();
        if let Some(from) = &self.request.from {
            data.insert("from".into(), json!(from));
        }
        for (name, value) in [
            ("to", self.caller.leg.to.clone()),
            ("uuid", self.caller.leg.uuid.clone()),
            ("conversation_uuid", self.conversation_uuid.clone()),
            ("endpoint_type", "phone".to_owned()),
            ("region_url", self.voice.region_url()),
        ] {
            data.insert(name.into(), json!(value));
        }
        data
    }

    /// Asks the webhook, and if that fails the fallback URL.
    pub(super) async fn ask(&mut self, mut ask: Ask) -> Answered {
        let fallback = self.voice.webhooks.fallback_answer_url.clone();
        let kind = match ask.occasion {
            Occasion::Answer | Occasion::Transfer => WebhookKind::AnswerUrl,
            Occasion::OnAnswer => WebhookKind::OnAnswer,
            Occasion::Event(_) => WebhookKind::EventUrl,
        };
        let original_type = match &ask.occasion {
            Occasion::Answer | Occasion::Transfer => "answer".to_owned(),
            Occasion::OnAnswer => self.request.on_answer.kind.clone(),
            Occasion::Event(_) => "event".to_owned(),
        };
        for (kind, webhook) in [(kind, ask.webhook.clone()), (WebhookKind::FallbackAnswerUrl, fallback)] {
            let Some(webhook) = webhook else { continue };
            if kind == WebhookKind::FallbackAnswerUrl {
                ask.sender = self.sender.clone();
            }
            let reason = match self.attempts(kind, &webhook, &ask).await {
                Ok(reply) => match self.take(kind, &ask, &reply) {
                    // Only an `onAnswer` has another chance after an invalid NCCO.
                    Answered::Invalid if kind == WebhookKind::OnAnswer => "Invalid NCCO.".to_owned(),
                    Answered::Invalid => {
                        self.report_invalid_ncco();
                        return Answered::Invalid;
                    }
                    answered => return answered,
                },
                Err(reason) => reason,
            };
            ask.data.insert("reason".into(), json!(reason));
            let original = json!({"url": webhook.address, "type": original_type});
            ask.data.insert("original_request".into(), original);
        }
        Answered::Nothing
    }

    /// Asks one webhook, and retries once after a failed connection, a timeout, 429, 503 or 504, as documented by
    /// Vonage. The error is the `reason` in the fallback request.
    async fn attempts(&mut self, url_kind: WebhookKind, webhook: &VoiceWebhook, ask: &Ask) -> Result<Reply, String> {
        let mut attempt = 1;
        loop {
            let question = Question { kind: url_kind, webhook, sender: &ask.sender, data: &ask.data };
            let asked = Instant::now();
            let (outcome, fault) = deliver::ask(&self.simulator, question).await;
            let milliseconds = asked.elapsed().as_secs_f64() * 1000.0;
            let (status, result) = match outcome {
                Ok(reply) if reply.status.is_success() => (Some(reply.status.as_u16()), Ok(reply)),
                Ok(reply) => {
                    let status = reply.status.as_u16();
                    (Some(status), Err(format!("HTTP status {status}.")))
                }
                Err(undelivered) => (None, Err(undelivered.to_string())),
            };
            let error = result.as_ref().err().cloned();
            let about = Some(ask.occasion.name()).filter(|_| !matches!(ask.occasion, Occasion::Answer));
            self.webhooks.push(WebhookAttempt { url_kind, about, attempt, status, milliseconds, error, fault });
            let may_retry = attempt == 1 && matches!(status, None | Some(429 | 503 | 504));
            if result.is_ok() || !may_retry {
                return result;
            }
            attempt += 1;
        }
    }

    /// Reads the NCCO. The response to an event may be empty.
    fn take(&mut self, kind: WebhookKind, ask: &Ask, reply: &Reply) -> Answered {
        if matches!(ask.occasion, Occasion::Answer) {
            self.answered_by = Some(kind);
        }
        if matches!(ask.occasion, Occasion::Event(_)) && reply.body.trim_ascii().is_empty() {
            return Answered::Nothing;
        }
        let read = match serde_json::from_slice::<Value>(&reply.body) {
            Ok(ncco) => {
                let actions = self.simulator.nccos.read(&ncco);
                if ncco.is_array() {
                    let about = ask.occasion.name();
                    self.nccos.push(NccoReport { url_kind: kind, about, leg: ask.leg.clone(), ncco });
                }
                actions
            }
            Err(_) => Err("the body is not JSON".to_owned()),
        };
        match read {
            Ok(actions) => Answered::Actions(actions),
            Err(reason) => {
                let error = format!("invalid NCCO: {reason}");
                if let Some(attempt) = self.webhooks.last_mut() {
                    attempt.error = Some(error.clone());
                }
                self.error.get_or_insert(error);
                Answered::Invalid
            }
        }
    }

    fn report_invalid_ncco(&mut self) {
        let webhook = self.voice.webhooks.event_url.clone();
        let uuid = &self.conversation_uuid;
        self.events.push(leg::error_event(uuid, webhook, ncco::SYNTAX_ERROR, self.clock));
    }
}
