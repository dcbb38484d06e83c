//! Execution of an NCCO on the leg of the caller or of the called phone.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, json};

use super::super::leg::{self, Event};
use super::super::ncco::{Action, Notify};
use super::Call;
use super::line::Side;
use super::script::Leaves;

/// Most actions of a call. An application that asks and asks again never ends it.
const MOST_STEPS: usize = 500;
/// The speed of text-to-speech.
const WORDS_PER_SECOND: f64 = 2.5;
/// Length of every streamed sound.
const STREAM_SECONDS: f64 = 5.0;
/// Time after which a key ends a sound, in seconds.
const BARGE_IN_SECONDS: f64 = 1.0;

/// The end of a leg, or of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// The caller hung up.
    Caller,
    /// The user of the called phone hung up.
    Callee,
    /// Vonage ended the leg of the called phone.
    Leg,
    /// Vonage ended the call.
    Call,
}

/// A step of an NCCO: the actions that replace the rest, if there are any.
pub(super) type Step = Result<Option<Vec<Action>>, Left>;

impl Call {
    /// Answers the caller.
    pub(super) async fn answer(&mut self) {
        let at = self.clock;
        let answered = self.caller.leg.answer(at);
        self.emit(answered).await;
        if let Some(Leaves::At(seconds)) = self.request.leaves {
            self.caller.leaves_at = Some(after(at, seconds));
        }
    }

    /// Performs the actions and ends the call.
    pub(super) async fn follow(&mut self, actions: Vec<Action>) {
        let end = self.perform_for_caller(actions).await;
        if !self.caller.leg.has_ended() {
            self.end_caller(if end == Err(Left::Caller) { "user" } else { "platform" }).await;
        }
    }

    /// Ends the caller's leg.
    pub(super) async fn end_caller(&mut self, disconnected_by: &str) {
        self.end_recordings(Side::Caller);
        let completed = self.caller.leg.complete(self.clock, disconnected_by);
        self.emit(completed).await;
    }

    async fn perform_for_caller(&mut self, actions: Vec<Action>) -> Result<(), Left> {
        let mut rest = VecDeque::from(actions);
        let mut step = 0;
        while let Some(action) = rest.pop_front() {
            step += 1;
            if matches!(self.request.leaves, Some(Leaves::Before(before)) if before == step) {
                return Err(Left::Caller);
            }
            let performed = match action {
                Action::Connect(connect) => self.connect(&connect).await,
                action => self.perform(Side::Caller, &action, rest.front()).await,
            };
            let replacement = match self.transfer.take() {
                Some(actions) => Some(actions),
                None => performed?,
            };
            if self.caller.leg.has_ended() {
                return Err(Left::Call);
            }
            if matches!(self.request.leaves, Some(Leaves::After(after)) if after == step) {
                return Err(Left::Caller);
            }
            if let Some(actions) = replacement {
                rest = actions.into();
            }
        }
        Ok(())
    }

    /// Performs the NCCO of the called phone, before it is joined with the caller.
    pub(super) async fn perform_for_callee(&mut self, actions: Vec<Action>) -> Result<(), Left> {
        let mut rest = VecDeque::from(actions);
        while let Some(action) = rest.pop_front() {
            if let Some(actions) = self.perform(Side::Callee, &action, rest.front()).await? {
                rest = actions.into();
            }
        }
        Ok(())
    }

    async fn perform(&mut self, side: Side, action: &Action, next: Option<&Action>) -> Step {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            self.error.get_or_insert(format!("the call has more than {MOST_STEPS} actions"));
            return Err(Left::Call);
        }
        match action {
            Action::Talk { text, loops, barge_in } => {
                self.line_mut(side).heard.push(text.clone());
                self.show();
                let words = text.split_whitespace().count();
                self.play(side, words as f64 / WORDS_PER_SECOND, *loops, *barge_in, next).await?;
            }
            Action::Stream { url, loops, barge_in } => {
                self.line_mut(side).streams.push(url.clone());
                self.play(side, STREAM_SECONDS, *loops, *barge_in, next).await?;
            }
            Action::Wait { seconds } => self.wait(side, *seconds).await?,
            Action::Conversation { music } => {
                self.line_mut(side).streams.extend(music.clone());
                return Err(self.wait_in_vain(side).await);
            }
            Action::Input(input) => return self.listen(side, input).await,
            Action::Record(record) => self.record(side, record).await?,
            Action::Notify(notify) => return self.notify(side, notify).await,
            Action::Connect(_) => {
                self.error.get_or_insert("a connect in the NCCO of an onAnswer is not simulated".to_owned());
            }
            Action::Ignored => {}
        }
        Ok(None)
    }

    /// Plays a sound. Its listener hangs up if the sound is endless.
    async fn play(
        &mut self,
        side: Side,
        seconds: f64,
        loops: u64,
        barge_in: bool,
        next: Option<&Action>,
    ) -> Result<(), Left> {
        // A key ends the sound only if the input follows directly.
        let is_prompt = matches!(next, Some(Action::Input(input)) if input.dtmf.is_some());
        if self.request.by_hand && loops != 0 {
            return self.hear(side, seconds * loops as f64, barge_in && is_prompt).await;
        }
        if barge_in && is_prompt && self.line(side).will_press() {
            return self.pass(side, BARGE_IN_SECONDS);
        }
        if loops == 0 {
            return Err(self.wait_in_vain(side).await);
        }
        self.pass(side, seconds * loops as f64)
    }

    /// Waits in silence. The user of a called phone has less patience than the caller.
    async fn wait(&mut self, side: Side, seconds: f64) -> Result<(), Left> {
        if (side == Side::Callee || self.is_outbound()) && seconds > self.line(side).patience() {
            return Err(self.wait_in_vain(side).await);
        }
        if self.request.by_hand {
            return self.hear(side, seconds, false).await;
        }
        self.pass(side, seconds)
    }

    /// Waits for something that never comes, until somebody hangs up.
    pub(super) async fn wait_in_vain(&mut self, side: Side) -> Left {
        if self.request.lives {
            return self.live().await;
        }
        let (seconds, left) = match side {
            Side::Caller if self.is_outbound() => (self.line(side).patience(), Left::Caller),
            Side::Caller => (f64::from(self.request.talk_seconds), Left::Caller),
            Side::Callee => (self.line(side).patience(), Left::Callee),
        };
        self.pass(side, seconds).err().unwrap_or(left)
    }

    /// Passes time, until somebody hangs up.
    pub(super) fn pass(&mut self, side: Side, seconds: f64) -> Result<(), Left> {
        let until = after(self.clock, seconds);
        let callee = self.line(Side::Callee).leaves_at.filter(|_| side == Side::Callee);
        let leaving = [(self.ends_at, Left::Call), (self.caller.leaves_at, Left::Caller), (callee, Left::Callee)];
        let leaving = leaving.into_iter().filter_map(|(at, left)| at.map(|at| (at, left)));
        let first = leaving.min_by_key(|(at, _)| *at);
        match first.filter(|(at, _)| *at <= until) {
            Some((at, left)) => {
                self.clock = at.max(self.clock);
                Err(left)
            }
            None => {
                self.clock = until;
                Ok(())
            }
        }
    }

    async fn notify(&mut self, side: Side, notify: &Notify) -> Step {
        let mut body = Map::new();
        body.insert("payload".into(), notify.payload.clone().into());
        body.insert("conversation_uuid".into(), json!(self.conversation_uuid));
        body.insert("timestamp".into(), json!(leg::milliseconds(self.clock)));
        let leg = Some(self.line(side).leg.uuid.clone());
        let webhook = Some(notify.webhook.clone());
        self.ask_about(Event { status: "notify", leg, webhook, synchronous: true, body }).await.replacement()
    }
}

fn after(at: Timestamp, seconds: f64) -> Timestamp {
    let passed = SignedDuration::try_from_secs_f64(seconds).unwrap_or(SignedDuration::ZERO);
    at.checked_add(passed).unwrap_or(at)
}

/// Returns the time that is so many seconds after `at`.
pub(super) fn moment(at: Timestamp, seconds: Option<f64>) -> Option<Timestamp> {
    seconds.map(|seconds| after(at, seconds))
}
