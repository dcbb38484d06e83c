//! `connect`: the call to a phone, what it hears before it is joined, and the conversation.

use rust_decimal::Decimal;
use uuid::Uuid;

use super::super::leg::{Direction, Leg};
use super::super::ncco::{Connect, OnAnswer};
use super::super::{countries, phones};
use super::Call;
use super::ask::Answered;
use super::follow::{Left, Step};
use super::line::{Line, Side};
use super::script::{Party, Reaction};

impl Call {
    /// Calls a phone and connects the caller to it.
    pub(super) async fn connect(&mut self, connect: &Connect) -> Step {
        self.dial(connect);
        let started = self.progress("started");
        self.emit(started).await;
        self.caller.streams.extend(connect.ringback.clone());
        match self.ring(connect.timeout).await {
            Ok(None) => {}
            Ok(Some(failure)) => return self.fail(failure).await,
            Err(left) => {
                let cancelled = self.progress("cancelled");
                self.emit(cancelled).await;
                return if left == Left::Leg { Ok(None) } else { Err(left) };
            }
        }
        let mut end = self.converse(connect).await;
        // The leg was transferred to another NCCO, and is nobody's any more.
        if let Some(actions) = self.transfer_of_callee.take() {
            end = self.perform_for_callee(actions).await.and(Err(Left::Leg));
        }
        self.line_mut(Side::Callee).show_reason();
        self.end_recordings(Side::Callee);
        let disconnected_by = if end == Err(Left::Callee) { "user" } else { "platform" };
        let at = self.clock;
        let completed = self.line_mut(Side::Callee).leg.complete(at, disconnected_by);
        self.emit(completed).await;
        match end {
            Ok(()) | Err(Left::Callee | Left::Leg) => Ok(None),
            Err(left) => Err(left),
        }
    }

    fn dial(&mut self, connect: &Connect) {
        let mut behaviour = self.request.behaviour_of(&connect.number);
        let account = self.simulator.account();
        if account.linked_application(&connect.number).is_some() {
            behaviour.reaction = Reaction::Unreachable;
        }
        let display = self.display(&connect.from, account.owns(&connect.from));
        drop(account);
        let leg = self.outbound_leg(connect);
        self.callees.push(Line::new(leg, behaviour, display));
    }

    /// Returns the caller ID that the callee sees. It must be a number of the account or the original caller's own, or
    /// else it is "unknown". Source: Vonage Voice API, NCCO reference, `connect`.
    pub(super) fn display(&self, from: &str, owned: bool) -> String {
        let callers_own = self.request.from.as_deref().is_some_and(|number| phones::digits(number) == from);
        let shown = if owned || callers_own { from } else { "unknown" };
        shown.to_owned()
    }

    fn outbound_leg(&self, connect: &Connect) -> Leg {
        let country = countries::parse_digits(&connect.number).as_ref().map(countries::prices_of);
        let application_webhook = || self.voice.webhooks.event_url.clone();
        Leg {
            uuid: Uuid::new_v4().to_string(),
            conversation_uuid: self.conversation_uuid.clone(),
            direction: Direction::Outbound,
            from: Some(connect.from.clone()),
            to: connect.number.clone(),
            webhook: connect.webhook.clone().or_else(application_webhook),
            synchronous: connect.synchronous,
            rate: country.map_or(Decimal::ZERO, |country| country.call_rate()),
            network: country.map(|country| country.network),
            statuses: Vec::new(),
            answered_at: None,
            detail: None,
            duration: None,
            price: None,
        }
    }

    /// Runs the part of a leg from its answer to its end.
    async fn converse(&mut self, connect: &Connect) -> Result<(), Left> {
        if let Some(detection) = connect.machine_detection.filter(|detection| detection.is_synchronous) {
            self.detect_machine(detection).await?;
        }
        if let Some(on_answer) = &connect.on_answer {
            self.whisper(on_answer).await?;
        }
        self.talk(connect).await
    }

    /// Performs the NCCO of an `onAnswer` on the called phone.
    async fn whisper(&mut self, on_answer: &OnAnswer) -> Result<(), Left> {
        self.caller.streams.extend(on_answer.ringback.clone());
        match self.ask_on_answer(on_answer).await {
            Answered::Actions(actions) => self.perform_for_callee(actions).await,
            // Nobody says what the phone is to hear, so it is not joined.
            Answered::Nothing => Err(Left::Leg),
            Answered::Invalid => Err(Left::Call),
        }
    }

    /// Runs the conversation until one side hangs up or the limit is reached.
    async fn talk(&mut self, connect: &Connect) -> Result<(), Left> {
        self.connected = true;
        let line = self.line_mut(Side::Callee);
        line.joined = true;
        let greeting = line.greeting.clone();
        self.caller.joined = true;
        self.caller.heard.extend(greeting);
        // The two hear each other during the detection, so that it comes too late for a greeting.
        let start = self.clock;
        if let Some(detection) = connect.machine_detection.filter(|detection| !detection.is_synchronous) {
            self.detect_machine(detection).await?;
        }
        if self.request.lives {
            return Err(self.live().await);
        }
        self.press_during_call(Side::Caller).await?;
        self.press_during_call(Side::Callee).await?;
        let passed = self.clock.duration_since(start).as_secs_f64();
        let talk = f64::from(self.request.talk_seconds);
        self.pass(Side::Callee, (talk.min(connect.limit) - passed).max(0.0))?;
        if talk > connect.limit {
            return Ok(());
        }
        match self.request.hangs_up {
            Party::Caller => Err(Left::Caller),
            Party::Callee => Err(Left::Callee),
        }
    }
}
