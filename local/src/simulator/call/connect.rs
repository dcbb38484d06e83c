//! `connect`: the call to a phone, what it hears before it is joined, and the conversation.

use rust_decimal::Decimal;
use uuid::Uuid;

use super::super::leg::{Direction, Event, Failure, Leg};
use super::super::ncco::{Connect, MachineDetection, OnAnswer};
use super::super::{countries, phones};
use super::Call;
use super::ask::Answered;
use super::follow::{Left, Step, moment};
use super::line::{Line, Side};
use super::script::{Party, Reaction};

/// Ringing time before a phone is answered or declines the call.
const RING_SECONDS: f64 = 3.0;
/// Ringing time of a phone that screens calls.
const SCREENING_RING_SECONDS: f64 = 0.5;
/// Time after which a voicemail hangs up, unless its behaviour says otherwise.
const VOICEMAIL_SECONDS: f64 = 30.0;
/// Time of the machine detection, in seconds.
const DETECTION_SECONDS: f64 = 4.0;

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
                let at = self.clock;
                let cancelled = self.line_mut(Side::Callee).leg.progress("cancelled", at);
                self.emit(cancelled).await;
                return Err(left);
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
        if account.is_linked(&connect.number) {
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

    pub(super) fn progress(&mut self, status: &'static str) -> Event {
        let at = self.clock;
        self.line_mut(Side::Callee).leg.progress(status, at)
    }

    /// Rings the phone. Returns `None` if it is answered, and fails if the caller hangs up.
    /// The phone is the one that was called last, or the first one of a call that the application has created.
    pub(super) async fn ring(&mut self, timeout: f64) -> Result<Option<Failure>, Left> {
        let failure = |status, detail, sip_code| Ok(Some(Failure { status, detail, sip_code }));
        let line = self.line_mut(Side::Callee);
        let (reaction, own) = (line.reaction, line.hangs_up_after);
        let usual = if reaction == Reaction::Screens { SCREENING_RING_SECONDS } else { RING_SECONDS };
        let seconds = line.ring_seconds.unwrap_or(usual);
        match reaction {
            Reaction::Unreachable => return failure("failed", Some("number_out_of_service"), 404),
            Reaction::Busy => return failure("busy", None, 486),
            _ => line.rang = true,
        }
        let ringing = self.progress("ringing");
        self.emit(ringing).await;
        if matches!(reaction, Reaction::Unanswered | Reaction::Timeout) || timeout < seconds {
            self.pass(Side::Caller, timeout)?;
            if reaction == Reaction::Timeout {
                return failure("timeout", None, 480);
            }
            return failure("unanswered", Some("timeout"), 480);
        }
        self.pass(Side::Caller, seconds)?;
        if reaction == Reaction::Rejects {
            return failure("rejected", Some("declined"), 603);
        }
        let at = self.clock;
        let line = self.line_mut(Side::Callee);
        let machine = Some(VOICEMAIL_SECONDS).filter(|_| reaction == Reaction::Voicemail);
        line.leaves_at = moment(at, own.or(machine));
        line.decides_at = moment(at, Some(line.decides_after)).filter(|_| reaction == Reaction::Screens);
        let answered = line.leg.answer(at);
        self.emit(answered).await;
        Ok(None)
    }

    /// Runs the part of a leg from its answer to its end.
    async fn converse(&mut self, connect: &Connect) -> Result<(), Left> {
        if let Some(detection) = connect.machine_detection {
            self.detect_machine(detection).await?;
        }
        if let Some(on_answer) = &connect.on_answer {
            self.whisper(on_answer).await?;
        }
        self.talk(connect).await
    }

    /// Sends the event of a machine detection. Its body has `call_uuid` in place of `uuid`. Source: Vonage Voice API,
    /// webhook reference.
    pub(super) async fn detect_machine(&mut self, detection: MachineDetection) -> Result<(), Left> {
        self.pass(Side::Callee, DETECTION_SECONDS)?;
        let is_machine = self.line(Side::Callee).reaction.is_machine();
        let mut event = self.progress(if is_machine { "machine" } else { "human" });
        // It is no status of the leg.
        self.line_mut(Side::Callee).leg.statuses.pop();
        if let Some(uuid) = event.body.remove("uuid") {
            event.body.insert("call_uuid".into(), uuid);
        }
        self.emit(event).await;
        if is_machine && detection == MachineDetection::Hangup { Err(Left::Leg) } else { Ok(()) }
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
        if self.request.lives {
            return Err(self.live().await);
        }
        let start = self.clock;
        self.press_during_call(Side::Caller).await?;
        self.press_during_call(Side::Callee).await?;
        let pressing = self.clock.duration_since(start).as_secs_f64();
        let talk = f64::from(self.request.talk_seconds);
        self.pass(Side::Callee, (talk.min(connect.limit) - pressing).max(0.0))?;
        if talk > connect.limit {
            return Ok(());
        }
        match self.request.hangs_up {
            Party::Caller => Err(Left::Caller),
            Party::Callee => Err(Left::Callee),
        }
    }
}
