//! Calls that live: in real time, until somebody hangs up, or the application ends, transfers or speaks into a leg.

use serde_json::{Map, json};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::super::applications::VoiceWebhook;
use super::super::leg::{self, Event};
use super::super::ncco::Action;
use super::super::report::CallReport;
use super::Call;
use super::ask::{Answered, Ask, Occasion};
use super::follow::Left;
use super::line::{Line, Side};
use super::script::{Keys, Party};
use crate::simulator::HttpMethod;

/// The receiver of the first report of a call that lives.
pub(super) type Placed = oneshot::Sender<CallReport>;

/// A command for a call that lives.
pub(in super::super) struct Command {
    /// `uuid` of the leg.
    pub(in super::super) leg: String,
    pub(in super::super) deed: Deed,
}

/// The deed of a command.
pub(in super::super) enum Deed {
    /// Vonage ends the leg.
    HangUp,
    /// The user of a phone hangs up.
    UserHangsUp(Party),
    /// The user of a ringing phone answers it.
    Answer,
    /// The user of a phone presses keys.
    Press(Party, Keys),
    Transfer(Destination),
    Talk(String),
    /// The URL of an audio file.
    Stream(String),
    /// A command without an effect that anybody could hear here.
    Ignored,
    /// Sends the report, after all commands before this one.
    Report(oneshot::Sender<CallReport>),
}

/// The NCCO to which a leg is transferred.
pub(in super::super) enum Destination {
    Ncco(Vec<Action>),
    Url(String),
}

impl Call {
    /// Runs the call as a task, and returns the report as soon as it is up or over.
    pub(super) async fn start_to_live(mut self) -> CallReport {
        let (placed, report) = oneshot::channel();
        self.placed = Some(placed);
        self.register();
        let run = tokio::spawn(self.run());
        match report.await {
            Ok(report) => report,
            Err(_) => run.await.expect("a call does not panic"),
        }
    }

    /// Makes the call accept commands.
    pub(super) fn register(&mut self) {
        let (sender, commands) = mpsc::unbounded_channel();
        self.commands = Some(commands);
        self.simulator.calls().start(&self.conversation_uuid, sender);
    }

    /// Stays up and obeys commands until a leg ends.
    pub(super) async fn live(&mut self) -> Left {
        self.come_up().await;
        while let Some(Command { leg, deed }) = self.next_command().await {
            if let Some(left) = self.obey(&leg, deed).await {
                return left;
            }
        }
        Left::Call
    }

    /// Makes all that has happened known, and sends the first report.
    pub(super) async fn come_up(&mut self) {
        self.deliver().await;
        self.is_immediate = true;
        self.record_legs();
        if let Some(placed) = self.placed.take() {
            placed.send(self.report()).ok();
        }
    }

    pub(super) async fn next_command(&mut self) -> Option<Command> {
        let command = self.commands.as_mut()?.recv().await;
        self.clock = self.clock.max(self.simulator.clock.now());
        command
    }

    /// Obeys a command. Returns the end, if it is one.
    pub(super) async fn obey(&mut self, leg: &str, deed: Deed) -> Option<Left> {
        let is_callers = self.caller.leg.uuid == leg;
        let is_callees = self.callee_is_up() && self.line(Side::Callee).leg.uuid == leg;
        match deed {
            Deed::Report(reply) => {
                reply.send(self.report()).ok();
            }
            // The leg has ended since the command came.
            Deed::HangUp | Deed::Talk(_) | Deed::Stream(_) | Deed::Transfer(_) if !is_callers && !is_callees => {}
            Deed::Talk(text) => {
                let side = if is_callers { Side::Caller } else { Side::Callee };
                self.line_mut(side).heard.push(text);
            }
            Deed::Stream(url) => {
                let side = if is_callers { Side::Caller } else { Side::Callee };
                self.line_mut(side).streams.push(url);
            }
            Deed::Ignored | Deed::Answer => {}
            Deed::Press(party, keys) => {
                let side = if party == Party::Caller { Side::Caller } else { Side::Callee };
                self.line_mut(side).presses_during_call.push(keys);
                return self.press_during_call(side).await.err();
            }
            Deed::UserHangsUp(Party::Caller) => return (!self.caller.leg.has_ended()).then_some(Left::Caller),
            Deed::UserHangsUp(Party::Callee) => return self.callee_is_up().then_some(Left::Callee),
            Deed::HangUp if is_callees => return Some(Left::Leg),
            // Each request ends one leg. Nothing promises that the other ends with it.
            Deed::HangUp if self.callee_is_up() && self.line(Side::Callee).joined => {
                self.end_caller("platform").await;
            }
            Deed::HangUp => return Some(Left::Call),
            Deed::Transfer(destination) => return self.transfer(is_callers, destination).await,
        }
        None
    }

    fn callee_is_up(&self) -> bool {
        self.callees.last().is_some_and(|line| !line.leg.is_over())
    }

    /// Transfers a leg to another NCCO, in another conversation. Source: Vonage Voice API, webhook reference.
    async fn transfer(&mut self, is_callers: bool, destination: Destination) -> Option<Left> {
        let side = if is_callers { Side::Caller } else { Side::Callee };
        let actions = match destination {
            Destination::Ncco(actions) => actions,
            Destination::Url(address) => match self.ask_for_transfer(side, address).await {
                Answered::Actions(actions) => actions,
                Answered::Nothing => return None,
                Answered::Invalid => return Some(Left::Call),
            },
        };
        let to = format!("CON-{}", Uuid::new_v4());
        let at = leg::milliseconds(self.clock);
        let Line { leg, .. } = self.line_mut(side);
        let mut body = Map::new();
        for (name, value) in [
            ("conversation_uuid_from", json!(leg.conversation_uuid)),
            ("conversation_uuid_to", json!(to)),
            ("uuid", json!(leg.uuid)),
            ("timestamp", json!(at)),
        ] {
            body.insert(name.into(), value);
        }
        leg.conversation_uuid = to;
        let (webhook, uuid) = (leg.webhook.clone(), Some(leg.uuid.clone()));
        self.emit(Event { status: "transfer", leg: uuid, webhook, synchronous: false, body }).await;
        let transfer = if is_callers { &mut self.transfer } else { &mut self.transfer_of_callee };
        *transfer = Some(actions);
        Some(Left::Leg)
    }

    async fn ask_for_transfer(&mut self, side: Side, address: String) -> Answered {
        let mut webhook: VoiceWebhook = self.answer_timeouts();
        (webhook.address, webhook.http_method) = (address, HttpMethod::Get);
        let leg = self.line(side).leg.uuid.clone();
        let data = self.leg_parameters(side);
        let sender = self.sender.clone();
        self.ask(Ask { occasion: Occasion::Transfer, leg, webhook: Some(webhook), sender, data }).await
    }
}
