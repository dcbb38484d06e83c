//! A simulated call: asks the application for an NCCO, performs it, and sends the events of each leg.
//!
//! Time in a call is simulated. It starts at the present time and advances by the time of each step: three seconds of
//! ringing, a spoken text by its number of words, and a conversation by the request.

mod ask;
mod by_hand;
mod connect;
mod deliver;
mod follow;
mod in_call;
mod line;
mod listen;
mod live;
mod outbound;
mod record;
mod ring;
mod script;

use std::sync::Arc;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;
use uuid::Uuid;

use super::Simulator;
use super::applications::Voice;
use super::leg::{Direction, Event, Failure, Leg};
use super::ncco::Action;
use super::phones;
use super::report::{CallReport, CallerPhone, EventReport, LegReport, NccoReport, Phones, WebhookAttempt};
use super::webhook::Sender;
use crate::faults::WebhookKind;
use in_call::LateEvent;
use line::{Line, Side};
use live::Placed;
use script::{Behaviour, EventOrder};

pub(super) use deliver::{WithheldEvent, release};
pub(super) use live::{Command, Deed, Destination};
pub(super) use outbound::{Flow, Order, create};
pub(super) use script::{CallRequest, Keys, Party};

const NOT_IN_SERVICE: &str = "The number you have dialled is not in service.";

/// Places a call and returns the report of it. `address` is the simulator's own, in the URLs of recordings.
/// A call that lives is reported as soon as it is up.
pub(super) async fn place(simulator: &Arc<Simulator>, request: CallRequest, address: String) -> CallReport {
    let dialled = phones::digits(&request.to);
    let (voice, sender) = {
        let account = simulator.account();
        let Some((application_id, voice)) = account.voice_of(&dialled) else {
            return not_in_service(request, dialled);
        };
        let sender = Sender { application_id, signed: voice.signed_callbacks };
        (voice, sender)
    };
    let mut call = Call::new(simulator.clone(), request, dialled, voice, sender);
    call.address = address;
    if call.request.lives { call.start_to_live().await } else { call.run().await }
}

fn not_in_service(request: CallRequest, dialled: String) -> CallReport {
    CallReport {
        conversation_uuid: None,
        answered_by: None,
        webhooks: Vec::new(),
        ncco: None,
        nccos: Vec::new(),
        legs: Vec::new(),
        phones: Phones {
            caller: CallerPhone {
                number: request.from,
                dialled,
                heard: vec![NOT_IN_SERVICE.to_owned()],
                connected: false,
                streams: Vec::new(),
                pressed: Vec::new(),
            },
            callee: None,
        },
        callees: Vec::new(),
        recordings: Vec::new(),
        events: Vec::new(),
        placed_to: None,
        error: None,
    }
}

struct Call {
    simulator: Arc<Simulator>,
    request: CallRequest,
    voice: Voice,
    sender: Sender,
    conversation_uuid: String,
    /// The simulator's address.
    address: String,
    clock: Timestamp,
    caller: Line,
    /// All phones that were called, in order.
    callees: Vec<Line>,
    /// True if the caller talked with a phone.
    connected: bool,
    /// Events to send after the call.
    events: Vec<Event>,
    /// Events within the call that others overtake.
    late: Vec<LateEvent>,
    reports: Vec<EventReport>,
    webhooks: Vec<WebhookAttempt>,
    answered_by: Option<WebhookKind>,
    nccos: Vec<NccoReport>,
    recordings: Vec<Value>,
    error: Option<String>,
    /// Number of actions so far, except for `connect`.
    steps: usize,
    /// The moment at which Vonage ends the call.
    ends_at: Option<Timestamp>,
    /// True if all events are sent at their moment.
    is_immediate: bool,
    /// Commands for a call that lives.
    commands: Option<UnboundedReceiver<Command>>,
    /// Receives the report as soon as the call is up.
    placed: Option<Placed>,
    /// The NCCO to which the caller's leg was transferred.
    transfer: Option<Vec<Action>>,
    /// The NCCO to which the leg of the called phone was transferred.
    transfer_of_callee: Option<Vec<Action>>,
}

impl Call {
    fn new(simulator: Arc<Simulator>, mut request: CallRequest, dialled: String, voice: Voice, sender: Sender) -> Self {
        let conversation_uuid = format!("CON-{}", Uuid::new_v4());
        let inbound = Leg {
            uuid: Uuid::new_v4().simple().to_string(),
            conversation_uuid: conversation_uuid.clone(),
            direction: Direction::Inbound,
            from: request.from.clone(),
            to: dialled,
            webhook: voice.webhooks.event_url.clone(),
            synchronous: false,
            rate: Decimal::new(450, 5),
            network: None,
            statuses: Vec::new(),
            answered_at: None,
            detail: None,
            duration: None,
            price: None,
        };
        request.lives |= request.by_hand;
        let presses = request.presses.clone();
        let presses_during_call = request.presses_during_call.clone();
        let behaviour = Behaviour { presses, presses_during_call, ..Behaviour::default() };
        let clock = simulator.clock.now();
        Self {
            simulator,
            request,
            voice,
            sender,
            conversation_uuid,
            address: String::new(),
            clock,
            caller: Line::new(inbound, behaviour, String::new()),
            callees: Vec::new(),
            connected: false,
            events: Vec::new(),
            late: Vec::new(),
            reports: Vec::new(),
            webhooks: Vec::new(),
            answered_by: None,
            nccos: Vec::new(),
            recordings: Vec::new(),
            error: None,
            steps: 0,
            ends_at: None,
            is_immediate: false,
            commands: None,
            placed: None,
            transfer: None,
            transfer_of_callee: None,
        }
    }

    /// Runs a call to a number of the account, from its first ring to its last event.
    async fn run(mut self) -> CallReport {
        self.ring_in();
        if self.request.by_hand {
            self.come_up().await;
        }
        match self.ask_for_answer().await {
            Some(actions) => {
                self.answer().await;
                self.follow(actions).await;
            }
            None => self.reject(),
        }
        self.end().await
    }

    /// Charges and records the call, sends what is left, and returns the report.
    async fn end(mut self) -> CallReport {
        self.pay();
        self.store_records();
        self.deliver().await;
        let report = self.report();
        // Before the commands that are left fail, because this report answers them.
        self.simulator.calls().end(&self.conversation_uuid, report.clone());
        self.simulator.trace.call(|| &report);
        report
    }

    /// True if the application has created the call.
    fn is_outbound(&self) -> bool {
        self.caller.leg.direction == Direction::Outbound
    }

    /// Returns the phone of a side. Before a phone is called, that is the first one for both sides, so a created call
    /// rings it like any other.
    fn line(&self, side: Side) -> &Line {
        match side {
            Side::Caller => &self.caller,
            Side::Callee => self.callees.last().unwrap_or(&self.caller),
        }
    }

    fn line_mut(&mut self, side: Side) -> &mut Line {
        match side {
            Side::Caller => &mut self.caller,
            Side::Callee => self.callees.last_mut().unwrap_or(&mut self.caller),
        }
    }

    fn legs(&self) -> impl Iterator<Item = &Leg> {
        self.callees.iter().chain([&self.caller]).map(|line| &line.leg)
    }

    fn ring_in(&mut self) {
        for status in ["started", "ringing"] {
            self.events.push(self.caller.leg.progress(status, self.clock));
        }
    }

    /// Ends the call if there is no valid NCCO.
    fn reject(&mut self) {
        let failure = Failure { status: "failed", detail: Some("internal_error"), sip_code: 500 };
        self.events.push(self.caller.leg.fail(self.clock, failure));
    }

    /// Stores the state of each leg for the Voice API.
    fn record_legs(&self) {
        self.simulator.calls().record(self.legs(), self.simulator.clock.now());
        self.show();
    }

    /// Shows the call, as it is now, in the trace.
    fn show(&self) {
        self.simulator.trace.call(|| self.report());
    }

    /// Stores the carrier record of each leg.
    fn store_records(&self) {
        self.record_legs();
        let mut records = self.simulator.records();
        for leg in self.legs() {
            records.add("voice", &leg.uuid, leg.direction, self.simulator.clock.now());
        }
    }

    /// Charges the price of all legs.
    fn pay(&self) {
        let price: Decimal = self.legs().filter_map(|leg| leg.price).sum();
        self.simulator.account().balance -= price;
    }

    /// Sends the events that are left, in the requested order.
    async fn deliver(&mut self) {
        self.send_overtaken(usize::MAX).await;
        let mut events = std::mem::take(&mut self.events);
        match self.request.events {
            EventOrder::InOrder => {}
            EventOrder::Reversed => events.reverse(),
            EventOrder::Twice => {
                events = events.into_iter().flat_map(|event| [event.clone(), event]).collect();
            }
        }
        let reports = deliver::events(&self.simulator, &self.sender, events).await;
        self.reports.extend(reports);
    }

    fn report(&self) -> CallReport {
        let answer = self.nccos.iter().rev().find(|ncco| ncco.about == "answer");
        let ncco = answer.map(|answer| answer.ncco.clone());
        let dialled = self.caller.leg.to.clone();
        let callee = self.callees.last().map(Line::summary);
        let callees = self.callees.iter().map(Line::report).collect();
        let legs = [&self.caller].into_iter().chain(&self.callees).map(|line| line.leg.clone());
        CallReport {
            conversation_uuid: Some(self.conversation_uuid.clone()),
            answered_by: self.answered_by,
            webhooks: self.webhooks.clone(),
            ncco,
            nccos: self.nccos.clone(),
            legs: legs.map(LegReport::from).collect(),
            phones: Phones {
                caller: CallerPhone {
                    number: self.request.from.clone(),
                    dialled,
                    heard: self.caller.heard.clone(),
                    connected: self.connected,
                    streams: self.caller.streams.clone(),
                    pressed: self.caller.pressed.clone(),
                },
                callee,
            },
            callees,
            recordings: self.recordings.clone(),
            events: self.reports.clone(),
            placed_to: self.is_outbound().then(|| self.caller.report()),
            error: self.error.clone(),
        }
    }
}
