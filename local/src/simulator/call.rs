//! A simulated call: asks the application for an NCCO, performs it, and sends the events of each leg.
//!
//! Time in a call is simulated. It starts at the present time and advances by the time of each step: three seconds of
//! ringing, a spoken text by its number of words, and a conversation by the request.

mod deliver;
mod follow;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Simulator;
use super::applications::{Voice, VoiceWebhook};
use super::leg::{self, Direction, Event, Failure, Leg};
use super::ncco::{self, Action};
use super::phones;
use super::report::{CallReport, CalleePhone, CallerPhone, EventReport, LegReport, Phones, WebhookAttempt};
use super::webhook::{Reply, Sender};
use crate::faults::WebhookKind;

pub(super) use deliver::{WithheldEvent, release};

const NOT_IN_SERVICE: &str = "The number you have dialled is not in service.";

/// The request to place a call.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CallRequest {
    /// The caller's number as the caller's network sends it. Absent if the network sends none.
    from: Option<String>,
    /// The dialled number, in any notation.
    to: String,
    #[serde(default)]
    callee: Callee,
    /// Length of the conversation, in seconds.
    #[serde(default = "a_minute")]
    talk_seconds: u16,
    #[serde(default)]
    hangs_up: Party,
    #[serde(default)]
    events: EventOrder,
}

fn a_minute() -> u16 {
    60
}

/// The reaction of the called phone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Callee {
    #[default]
    Answers,
    Busy,
    Rejects,
    Unanswered,
    Unreachable,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Party {
    #[default]
    Caller,
    Callee,
}

/// The order in which events are sent. Vonage guarantees neither their order nor single delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EventOrder {
    #[default]
    InOrder,
    Reversed,
    Twice,
}

/// Places a call and returns the report of it.
pub(super) async fn place(simulator: &Simulator, request: CallRequest) -> CallReport {
    let dialled = phones::digits(&request.to);
    let (voice, sender) = {
        let account = simulator.account();
        let Some(voice) = account.voice_of(&dialled) else {
            return not_in_service(request, dialled);
        };
        let sender = Sender { application_id: account.application.id.clone(), signed: voice.signed_callbacks };
        (voice, sender)
    };
    let mut call = Call::new(simulator, request, dialled, voice, sender);
    call.ring();
    match call.ask().await {
        Some(actions) => call.follow(&actions),
        None => call.reject(),
    }
    call.pay();
    call.store_records();
    let events = call.deliver().await;
    call.report(events)
}

fn not_in_service(request: CallRequest, dialled: String) -> CallReport {
    CallReport {
        conversation_uuid: None,
        answered_by: None,
        webhooks: Vec::new(),
        ncco: None,
        legs: Vec::new(),
        phones: Phones {
            caller: CallerPhone {
                number: request.from,
                dialled,
                heard: vec![NOT_IN_SERVICE.to_owned()],
                connected: false,
            },
            callee: None,
        },
        events: Vec::new(),
    }
}

struct Call<'a> {
    simulator: &'a Simulator,
    request: CallRequest,
    voice: Voice,
    sender: Sender,
    conversation_uuid: String,
    clock: Timestamp,
    inbound: Leg,
    outbound: Vec<Leg>,
    events: Vec<Event>,
    webhooks: Vec<WebhookAttempt>,
    answered_by: Option<WebhookKind>,
    ncco: Option<Value>,
    heard: Vec<String>,
    connected: bool,
    callee: Option<CalleePhone>,
}

impl<'a> Call<'a> {
    fn new(simulator: &'a Simulator, request: CallRequest, dialled: String, voice: Voice, sender: Sender) -> Self {
        let conversation_uuid = format!("CON-{}", Uuid::new_v4());
        let inbound = Leg {
            uuid: Uuid::new_v4().simple().to_string(),
            conversation_uuid: conversation_uuid.clone(),
            direction: Direction::Inbound,
            from: request.from.clone(),
            to: dialled,
            webhook: voice.webhooks.event_url.clone(),
            rate: Decimal::new(450, 5),
            network: None,
            statuses: Vec::new(),
            answered_at: None,
            detail: None,
            duration: None,
            price: None,
        };
        Self {
            simulator,
            request,
            voice,
            sender,
            conversation_uuid,
            clock: simulator.clock.now(),
            inbound,
            outbound: Vec::new(),
            events: Vec::new(),
            webhooks: Vec::new(),
            answered_by: None,
            ncco: None,
            heard: Vec::new(),
            connected: false,
            callee: None,
        }
    }

    fn ring(&mut self) {
        for status in ["started", "ringing"] {
            self.events.push(self.inbound.progress(status, self.clock));
        }
    }

    /// Asks the answer URL, and if that fails the fallback URL, for a valid NCCO.
    async fn ask(&mut self) -> Option<Vec<Action>> {
        let webhooks = self.voice.webhooks.clone();
        let mut data = self.answer_parameters();
        for (kind, webhook) in [
            (WebhookKind::AnswerUrl, webhooks.answer_url),
            (WebhookKind::FallbackAnswerUrl, webhooks.fallback_answer_url),
        ] {
            let Some(webhook) = webhook else { continue };
            match self.ask_webhook(kind, &webhook, &data).await {
                Ok(reply) => return self.take_ncco(kind, &reply),
                Err(reason) => {
                    data.insert("reason".into(), json!(reason));
                    let original = json!({"url": webhook.address, "type": "answer"});
                    data.insert("original_request".into(), original);
                }
            }
        }
        None
    }

    /// Returns the parameters of Vonage's answer webhook for an inbound call. Source: Vonage Voice API, webhook
    /// reference.
    fn answer_parameters(&self) -> Map<String, Value> {
        let mut data = Map::new();
        if let Some(from) = &self.request.from {
            data.insert("from".into(), json!(from));
        }
        for (name, value) in [
            ("to", self.inbound.to.clone()),
            ("uuid", self.inbound.uuid.clone()),
            ("conversation_uuid", self.conversation_uuid.clone()),
            ("endpoint_type", "phone".to_owned()),
            ("region_url", self.voice.region_url()),
        ] {
            data.insert(name.into(), json!(value));
        }
        data
    }

    /// Asks one webhook, and retries once after a failed connection, a timeout, 429, 503 or 504, as documented by
    /// Vonage. The error is the `reason` in the fallback request.
    async fn ask_webhook(
        &mut self,
        url_kind: WebhookKind,
        webhook: &VoiceWebhook,
        data: &Map<String, Value>,
    ) -> Result<Reply, String> {
        let mut attempt = 1;
        loop {
            let (outcome, fault) = deliver::ask(self.simulator, url_kind, webhook, &self.sender, data).await;
            let (status, result) = match outcome {
                Ok(reply) if reply.status.is_success() => (Some(reply.status.as_u16()), Ok(reply)),
                Ok(reply) => {
                    let status = reply.status.as_u16();
                    (Some(status), Err(format!("HTTP status {status}.")))
                }
                Err(undelivered) => (None, Err(undelivered.to_string())),
            };
            let error = result.as_ref().err().cloned();
            self.webhooks.push(WebhookAttempt { url_kind, attempt, status, error, fault });
            let may_retry = attempt == 1 && matches!(status, None | Some(429 | 503 | 504));
            if result.is_ok() || !may_retry {
                return result;
            }
            attempt += 1;
        }
    }

    /// Reads the NCCO. Sends an `error` event if it is invalid.
    fn take_ncco(&mut self, kind: WebhookKind, reply: &Reply) -> Option<Vec<Action>> {
        self.answered_by = Some(kind);
        let read = match serde_json::from_slice::<Value>(&reply.body) {
            Ok(ncco) => {
                let actions = ncco::read(&ncco);
                self.ncco = Some(ncco).filter(Value::is_array);
                actions
            }
            Err(_) => Err("the body is not JSON".to_owned()),
        };
        let reason = match read {
            Ok(actions) => return Some(actions),
            Err(reason) => reason,
        };
        if let Some(attempt) = self.webhooks.last_mut() {
            attempt.error = Some(format!("invalid NCCO: {reason}"));
        }
        let webhook = self.voice.webhooks.event_url.clone();
        let uuid = &self.conversation_uuid;
        self.events.push(leg::error_event(uuid, webhook, ncco::SYNTAX_ERROR, self.clock));
        None
    }

    /// Ends the call if there is no valid NCCO.
    fn reject(&mut self) {
        let failure = Failure { status: "failed", detail: Some("internal_error"), sip_code: 500 };
        self.events.push(self.inbound.fail(self.clock, failure));
    }

    /// Stores the carrier record of each leg.
    fn store_records(&self) {
        let mut records = self.simulator.records();
        for leg in self.outbound.iter().chain([&self.inbound]) {
            records.add("voice", &leg.uuid, leg.direction, self.simulator.clock.now());
        }
    }

    /// Charges the price of all legs.
    fn pay(&self) {
        let legs = self.outbound.iter().chain([&self.inbound]);
        let price: Decimal = legs.filter_map(|leg| leg.price).sum();
        self.simulator.account().balance -= price;
    }

    /// Sends the events, in the requested order.
    async fn deliver(&mut self) -> Vec<EventReport> {
        let mut events = std::mem::take(&mut self.events);
        match self.request.events {
            EventOrder::InOrder => {}
            EventOrder::Reversed => events.reverse(),
            EventOrder::Twice => {
                events = events.into_iter().flat_map(|event| [event.clone(), event]).collect();
            }
        }
        deliver::events(self.simulator, &self.sender, events).await
    }

    fn report(self, events: Vec<EventReport>) -> CallReport {
        let dialled = self.inbound.to.clone();
        let legs = [self.inbound].into_iter().chain(self.outbound);
        CallReport {
            conversation_uuid: Some(self.conversation_uuid),
            answered_by: self.answered_by,
            webhooks: self.webhooks,
            ncco: self.ncco,
            legs: legs.map(LegReport::from).collect(),
            phones: Phones {
                caller: CallerPhone {
                    number: self.request.from,
                    dialled,
                    heard: self.heard,
                    connected: self.connected,
                },
                callee: self.callee,
            },
            events,
        }
    }
}
