//! Execution of an NCCO: speech for the caller, and outbound legs.

use jiff::SignedDuration;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::super::countries;
use super::super::leg::{Direction, Failure, Leg};
use super::super::ncco::{Action, Connect};
use super::super::phones;
use super::super::report::CalleePhone;
use super::{Call, Callee, Party};

/// Ringing time before a phone is answered or declines the call.
const RING_SECONDS: f64 = 3.0;
/// The speed of text-to-speech.
const WORDS_PER_SECOND: f64 = 2.5;
/// Length of every streamed sound.
const STREAM_SECONDS: f64 = 5.0;

/// The state of the caller after an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Stays,
    HungUp,
}

impl Call<'_> {
    /// Answers the caller, performs the actions and ends the call.
    pub(super) fn follow(&mut self, actions: &[Action]) {
        self.events.push(self.inbound.answer(self.clock));
        let hung_up = actions.iter().any(|action| self.perform(action) == Caller::HungUp);
        let disconnected_by = if hung_up { "user" } else { "platform" };
        self.events.push(self.inbound.complete(self.clock, disconnected_by));
    }

    fn perform(&mut self, action: &Action) -> Caller {
        match action {
            Action::Talk { text, loops } => {
                self.heard.push(text.clone());
                let words = text.split_whitespace().count();
                self.play(words as f64 / WORDS_PER_SECOND, *loops)
            }
            Action::Stream { loops } => self.play(STREAM_SECONDS, *loops),
            Action::Wait { seconds } => {
                self.pass(*seconds);
                Caller::Stays
            }
            Action::Connect(connect) => self.connect(connect),
            Action::Ignored => Caller::Stays,
        }
    }

    /// Plays a sound to the caller. The caller hangs up if the sound is endless.
    fn play(&mut self, seconds: f64, loops: u64) -> Caller {
        if loops == 0 {
            self.pass(f64::from(self.request.talk_seconds));
            return Caller::HungUp;
        }
        self.pass(seconds * loops as f64);
        Caller::Stays
    }

    fn pass(&mut self, seconds: f64) {
        let passed = SignedDuration::try_from_secs_f64(seconds).unwrap_or(SignedDuration::ZERO);
        self.clock = self.clock.checked_add(passed).unwrap_or(self.clock);
    }

    /// Calls a phone and connects the caller to it.
    fn connect(&mut self, connect: &Connect) -> Caller {
        let account = self.simulator.account();
        let callee = if account.is_linked(&connect.number) { Callee::Unreachable } else { self.request.callee };
        let display = self.display(&connect.from, account.owns(&connect.from));
        drop(account);
        let mut leg = self.outbound_leg(connect);
        self.events.push(leg.progress("started", self.clock));
        let failure = self.call_phone(&mut leg, connect, callee);
        self.callee = Some(CalleePhone {
            number: connect.number.clone(),
            display,
            rang: leg.statuses.iter().any(|status| status.status == "ringing"),
            answered: failure.is_none(),
        });
        let caller = match failure {
            Some(failure) => {
                self.events.push(leg.fail(self.clock, failure));
                Caller::Stays
            }
            None => self.converse(&mut leg, connect),
        };
        self.outbound.push(leg);
        caller
    }

    /// Returns the caller ID that the callee sees. It must be a number of the account or the original caller's own, or
    /// else it is "unknown". Source: Vonage Voice API, NCCO reference, `connect`.
    fn display(&self, from: &str, owned: bool) -> String {
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
            webhook: connect.event_webhook().or_else(application_webhook),
            rate: country.map_or(Decimal::ZERO, |country| country.call_rate()),
            network: country.map(|country| country.network),
            statuses: Vec::new(),
            answered_at: None,
            detail: None,
            duration: None,
            price: None,
        }
    }

    /// Rings the phone. Returns `None` if it is answered.
    fn call_phone(&mut self, leg: &mut Leg, connect: &Connect, callee: Callee) -> Option<Failure> {
        let failure = |status, detail, sip_code| Some(Failure { status, detail, sip_code });
        match callee {
            Callee::Unreachable => return failure("failed", Some("number_out_of_service"), 404),
            Callee::Busy => return failure("busy", None, 486),
            Callee::Answers | Callee::Rejects | Callee::Unanswered => {}
        }
        self.events.push(leg.progress("ringing", self.clock));
        if callee == Callee::Unanswered || connect.timeout < RING_SECONDS {
            self.pass(connect.timeout);
            return failure("unanswered", Some("timeout"), 480);
        }
        self.pass(RING_SECONDS);
        if callee == Callee::Rejects {
            return failure("rejected", Some("declined"), 603);
        }
        self.events.push(leg.answer(self.clock));
        None
    }

    /// Runs the conversation until one side hangs up or the limit is reached.
    fn converse(&mut self, leg: &mut Leg, connect: &Connect) -> Caller {
        self.connected = true;
        let talk = f64::from(self.request.talk_seconds);
        self.pass(talk.min(connect.limit));
        let (disconnected_by, caller) = if talk > connect.limit {
            ("platform", Caller::Stays)
        } else {
            match self.request.hangs_up {
                Party::Caller => ("platform", Caller::HungUp),
                Party::Callee => ("user", Caller::Stays),
            }
        };
        self.events.push(leg.complete(self.clock, disconnected_by));
        caller
    }
}
