//! Calls that the application creates: Vonage rings one phone, and performs an NCCO on its leg.

use std::sync::Arc;

use rust_decimal::Decimal;
use uuid::Uuid;

use super::super::applications::{Voice, VoiceWebhook};
use super::super::countries;
use super::super::leg::{Direction, Leg};
use super::super::ncco::{Action, MachineDetection};
use super::super::webhook::Sender;
use super::follow::moment;
use super::line::{Line, Side};
use super::{Call, CallReport, CallRequest, Simulator};

/// A valid request to create a call.
pub(in super::super) struct Order {
    /// E.164 digits.
    pub(in super::super) to: String,
    pub(in super::super) from: String,
    pub(in super::super) flow: Flow,
    /// The webhook for its events, if it is not the application's.
    pub(in super::super) webhook: Option<VoiceWebhook>,
    /// Longest ringing time, in seconds.
    pub(in super::super) ringing_timer: f64,
    /// Longest duration, in seconds.
    pub(in super::super) length_timer: f64,
    pub(in super::super) machine_detection: Option<MachineDetection>,
}

/// The source of the NCCO of a created call.
pub(in super::super) enum Flow {
    Ncco(Vec<Action>, serde_json::Value),
    AnswerUrl(VoiceWebhook),
}

/// Creates a call, and returns its leg and its `conversation_uuid`. The call itself runs as a task. `script` has the
/// behaviour of the phones. The call is one of the application with this ID.
pub(in super::super) fn create(
    simulator: &Arc<Simulator>,
    order: Order,
    mut script: CallRequest,
    (application_id, voice): (String, Voice),
    address: String,
) -> (String, String) {
    (script.from, script.to) = (Some(order.from.clone()), order.to.clone());
    let sender = Sender { application_id, signed: voice.signed_callbacks };
    let behaviour = script.behaviour_of(&order.to);
    let mut call = Call::new(simulator.clone(), script, order.to.clone(), voice, sender);
    call.address = address;
    call.is_immediate = true;
    let display = call.display(&order.from, simulator.account().owns(&order.from));
    call.caller = Line::new(call.first_leg(&order), behaviour, display);
    let created = (call.caller.leg.uuid.clone(), call.conversation_uuid.clone());
    // Its leg can be read as soon as the response is there.
    call.record_legs();
    call.register();
    tokio::spawn(call.run_outbound(order));
    created
}

impl Call {
    fn first_leg(&self, order: &Order) -> Leg {
        let country = countries::parse_digits(&order.to).as_ref().map(countries::prices_of);
        Leg {
            uuid: Uuid::new_v4().to_string(),
            conversation_uuid: self.conversation_uuid.clone(),
            direction: Direction::Outbound,
            from: Some(order.from.clone()),
            to: order.to.clone(),
            webhook: order.webhook.clone().or_else(|| self.voice.webhooks.event_url.clone()),
            synchronous: false,
            rate: country.map_or(Decimal::ZERO, |country| country.call_rate()),
            network: country.map(|country| country.network),
            statuses: Vec::new(),
            answered_at: None,
            detail: None,
            duration: None,
            price: None,
        }
    }

    async fn run_outbound(mut self, order: Order) -> CallReport {
        let started = self.progress("started");
        self.emit(started).await;
        match self.ring(order.ringing_timer).await {
            Ok(None) => {
                self.ends_at = moment(self.clock, Some(order.length_timer));
                self.perform_order(order).await;
            }
            Ok(Some(failure)) => {
                // It is not synchronous, so there is no response to obey.
                self.fail(failure).await.ok();
            }
            Err(_) => {
                let cancelled = self.progress("cancelled");
                self.emit(cancelled).await;
            }
        }
        self.end().await
    }

    async fn perform_order(&mut self, order: Order) {
        if let Some(detection) = order.machine_detection
            && self.detect_machine(detection).await.is_err()
        {
            return self.end_caller("platform").await;
        }
        let actions = match order.flow {
            Flow::Ncco(actions, ncco) => {
                self.take_ncco(ncco);
                Some(actions)
            }
            Flow::AnswerUrl(webhook) => {
                self.voice.webhooks.answer_url = Some(webhook);
                self.ask_for_answer().await
            }
        };
        match actions {
            Some(actions) => self.follow(actions).await,
            None => self.end_caller("platform").await,
        }
        self.line_mut(Side::Caller).show_reason();
    }
}
