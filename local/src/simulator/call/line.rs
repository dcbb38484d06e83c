//! A phone in a call: its leg, its script, and all that its user sees, hears and does.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::super::applications::VoiceWebhook;
use super::super::leg::Leg;
use super::super::ncco::Record;
use super::super::report::{CalleePhone, CalleeReport};
use super::script::{Behaviour, Keys, Owner, Reaction};

/// Patience of a user who hears nothing but music or silence, in seconds.
const PATIENCE: f64 = 30.0;
/// Time after which a user who does not take the call hangs up, in seconds.
const SHORT_PATIENCE: f64 = 2.0;

/// The side of a call whose leg performs an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Caller,
    /// The phone that was called last.
    Callee,
}

/// A phone in a call.
pub(super) struct Line {
    pub(super) leg: Leg,
    pub(super) reaction: Reaction,
    pub(super) owner: Owner,
    pub(super) decides_after: f64,
    /// The moment at which the owner of a phone that screens calls decides. `None` after that.
    pub(super) decides_at: Option<Timestamp>,
    pub(super) presses: VecDeque<Option<Keys>>,
    pub(super) presses_during_call: Vec<Keys>,
    /// Ringing time, in seconds.
    pub(super) ring_seconds: Option<f64>,
    /// Seconds from the answer until its user hangs up.
    pub(super) hangs_up_after: Option<f64>,
    pub(super) greeting: Option<String>,
    /// The moment at which its user hangs up, known from the answer on.
    pub(super) leaves_at: Option<Timestamp>,
    pub(super) display: String,
    pub(super) rang: bool,
    /// True if it talked with the other side.
    pub(super) joined: bool,
    pub(super) heard: Vec<String>,
    pub(super) streams: Vec<String>,
    pub(super) pressed: Vec<String>,
    /// Keys that were pressed by hand, and that no input has taken yet.
    pub(super) typed: String,
    /// The reason of the call that a screening phone has shown.
    pub(super) shown_reason: Option<String>,
    /// The webhook of an asynchronous `input`.
    pub(super) listener: Option<VoiceWebhook>,
    /// Recordings that run to the end of the leg, and their start.
    pub(super) recordings: Vec<(Timestamp, Record)>,
}

impl Line {
    pub(super) fn new(leg: Leg, behaviour: Behaviour, display: String) -> Self {
        let greeting = Some(behaviour.greeting).filter(|_| behaviour.reaction == Reaction::Voicemail);
        Self {
            leg,
            reaction: behaviour.reaction,
            owner: behaviour.owner,
            decides_after: behaviour.decides_after,
            decides_at: None,
            presses: behaviour.presses.into(),
            presses_during_call: behaviour.presses_during_call,
            ring_seconds: behaviour.ring_seconds,
            hangs_up_after: behaviour.hangs_up_after,
            greeting,
            leaves_at: None,
            display,
            rang: false,
            joined: false,
            heard: Vec::new(),
            streams: Vec::new(),
            pressed: Vec::new(),
            typed: String::new(),
            shown_reason: None,
            listener: None,
            recordings: Vec::new(),
        }
    }

    /// Returns the keys that its user presses at a prompt.
    pub(super) fn next_keys(&mut self) -> Option<Keys> {
        match self.reaction {
            Reaction::Voicemail => None,
            _ => self.presses.pop_front().flatten(),
        }
    }

    /// True if its user presses a key at the next prompt.
    pub(super) fn will_press(&self) -> bool {
        self.reaction != Reaction::Voicemail && self.presses.front().is_some_and(Option::is_some)
    }

    /// Returns how long its user waits in silence or with music, in seconds.
    pub(super) fn patience(&self) -> f64 {
        if self.reaction == Reaction::Declines { SHORT_PATIENCE } else { PATIENCE }
    }

    /// Shows what the phone has heard so far as the reason of the call, if it screens calls and has not shown it yet.
    pub(super) fn show_reason(&mut self) {
        if self.reaction == Reaction::Screens && self.shown_reason.is_none() {
            self.shown_reason = Some(self.heard.join(" "));
        }
    }

    pub(super) fn summary(&self) -> CalleePhone {
        CalleePhone {
            number: self.leg.to.clone(),
            display: self.display.clone(),
            rang: self.rang,
            answered: self.leg.answered_at.is_some(),
        }
    }

    pub(super) fn report(&self) -> CalleeReport {
        let is_machine = self.reaction == Reaction::Voicemail && self.leg.answered_at.is_some();
        CalleeReport {
            phone: self.summary(),
            leg: self.leg.uuid.clone(),
            joined: self.joined,
            heard: self.heard.clone(),
            streams: self.streams.clone(),
            pressed: self.pressed.clone(),
            shown_reason: self.shown_reason.clone(),
            recorded: is_machine.then(|| self.heard.clone()),
        }
    }
}
