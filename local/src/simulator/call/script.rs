//! The request to place a call: the behaviour of the caller and of the called phones.

use std::collections::BTreeMap;

use serde::{Deserialize, de::Error as _};
use serde_json::{Value, json};

use super::super::HttpMethod;
use super::super::phones;

/// The request to place a call.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct CallRequest {
    /// The caller's number as the caller's network sends it. Absent if the network sends none.
    pub(in super::super) from: Option<String>,
    /// The dialled number, in any notation.
    pub(in super::super) to: String,
    /// Behaviour of every phone that is not in `callees`.
    #[serde(default)]
    callee: Behaviour,
    /// Behaviour of phones by their number, in any notation.
    #[serde(default)]
    callees: BTreeMap<String, Behaviour>,
    /// Length of the conversation, in seconds.
    #[serde(default = "a_minute")]
    pub(super) talk_seconds: u16,
    #[serde(default)]
    pub(super) hangs_up: Party,
    #[serde(default)]
    pub(super) events: EventOrder,
    /// The caller's keys for each `input`; null is silence.
    #[serde(default)]
    pub(super) presses: Vec<Option<Keys>>,
    /// The caller's keys while connected.
    #[serde(default)]
    pub(super) presses_during_call: Vec<Keys>,
    /// Length of the message that the caller leaves at a `record`, in seconds.
    #[serde(default)]
    pub(super) message_seconds: f64,
    /// The moment at which the caller hangs up early.
    pub(super) leaves: Option<Leaves>,
    #[serde(default)]
    pub(super) on_answer: OnAnswerRequest,
    /// True if it stays up, in real time, as soon as two phones are connected or one of them waits.
    #[serde(default)]
    pub(super) lives: bool,
    /// True if people hold the phones: a call that lives from its first moment, whose phones ring until they are answered on
    /// request, and whose keys at an `input` are pressed on request. What is heard takes its time.
    #[serde(default)]
    pub(super) by_hand: bool,
}

fn a_minute() -> u16 {
    60
}

impl Default for CallRequest {
    fn default() -> Self {
        serde_json::from_value(json!({"to": ""})).expect("only \"to\" is required")
    }
}

impl CallRequest {
    /// Returns the behaviour of the phone with these digits.
    pub(super) fn behaviour_of(&self, number: &str) -> Behaviour {
        let own = self.callees.iter().find(|(written, _)| phones::digits(written) == number);
        let mut behaviour = own.map_or(&self.callee, |(_, behaviour)| behaviour).clone();
        if self.by_hand && behaviour.reaction == Reaction::Answers {
            behaviour.reaction = Reaction::Rings;
        }
        behaviour
    }
}

/// The moment at which the caller hangs up. Steps are the actions that the caller has met, counted from 1.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Leaves {
    /// Before this step.
    Before(usize),
    /// After this step.
    After(usize),
    /// This many seconds after the call was answered.
    At(f64),
}

/// The request for an `onAnswer`. Vonage documents neither its method, nor its signature, nor the `type` of its
/// `original_request`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct OnAnswerRequest {
    pub(super) method: HttpMethod,
    pub(super) signed: bool,
    /// `type` in the `original_request` of a fallback.
    #[serde(rename = "type")]
    pub(super) kind: String,
}

impl Default for OnAnswerRequest {
    fn default() -> Self {
        Self { method: HttpMethod::Get, signed: true, kind: "answer".to_owned() }
    }
}

/// The reaction of a called phone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Reaction {
    #[default]
    Answers,
    Busy,
    Rejects,
    Unanswered,
    /// It rings until the time-out, and the status is `timeout`.
    Timeout,
    Unreachable,
    /// In a call that lives it rings until it is answered on request. In any other it answers.
    Rings,
    /// A machine answers, and records all that it hears.
    Voicemail,
    /// A machine answers at once and shows what it hears to the owner, who then accepts or declines.
    Screens,
    /// A person answers and does not take the call.
    Declines,
}

impl Reaction {
    /// True if a machine answers.
    pub(super) fn is_machine(self) -> bool {
        matches!(self, Self::Voicemail | Self::Screens)
    }
}

/// The decision of the owner of a phone that screens calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Owner {
    #[default]
    Accepts,
    Declines,
}

/// The behaviour of a called phone: a [`Reaction`] as a word, or an object.
#[derive(Clone, Debug)]
pub(super) struct Behaviour {
    pub(super) reaction: Reaction,
    /// Its keys for each `input`; null is silence.
    pub(super) presses: Vec<Option<Keys>>,
    /// Its keys while connected.
    pub(super) presses_during_call: Vec<Keys>,
    /// Ringing time, in seconds.
    pub(super) ring_seconds: Option<f64>,
    /// Seconds from the answer until it hangs up.
    pub(super) hangs_up_after: Option<f64>,
    pub(super) owner: Owner,
    /// Seconds from the answer until the owner of a phone that screens calls decides.
    pub(super) decides_after: f64,
    /// The greeting of a voicemail. The caller hears it only if it is joined with the machine.
    pub(super) greeting: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, rename = "does")]
    reaction: Reaction,
    #[serde(default)]
    presses: Vec<Option<Keys>>,
    #[serde(default)]
    presses_during_call: Vec<Keys>,
    ring_seconds: Option<f64>,
    hangs_up_after: Option<f64>,
    #[serde(default)]
    owner: Owner,
    #[serde(default = "usual_decision")]
    decides_after: f64,
    #[serde(default = "usual_greeting")]
    greeting: String,
}

fn usual_decision() -> f64 {
    6.0
}

fn usual_greeting() -> String {
    "This is the voicemail of Robin. Please leave a message.".to_owned()
}

impl From<Written> for Behaviour {
    fn from(written: Written) -> Self {
        let Written {
            reaction,
            presses,
            presses_during_call,
            ring_seconds,
            hangs_up_after,
            owner,
            decides_after,
            greeting,
        } = written;
        Self { reaction, presses, presses_during_call, ring_seconds, hangs_up_after, owner, decides_after, greeting }
    }
}

impl From<Reaction> for Behaviour {
    fn from(reaction: Reaction) -> Self {
        Self {
            reaction,
            presses: Vec::new(),
            presses_during_call: Vec::new(),
            ring_seconds: None,
            hangs_up_after: None,
            owner: Owner::default(),
            decides_after: usual_decision(),
            greeting: usual_greeting(),
        }
    }
}

impl Default for Behaviour {
    fn default() -> Self {
        Reaction::default().into()
    }
}

impl<'de> Deserialize<'de> for Behaviour {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let behaviour = match value {
            Value::String(_) => Reaction::deserialize(value).map(Self::from),
            value => Written::deserialize(value).map(Self::from),
        };
        behaviour.map_err(D::Error::custom)
    }
}

/// Keys of a telephone, such as `1234#`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(in super::super) struct Keys(pub(super) String);

impl TryFrom<String> for Keys {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_key = |key: char| key.is_ascii_digit() || matches!(key, '*' | '#');
        if text.chars().all(is_key) { Ok(Self(text)) } else { Err("keys are 0 to 9, * and #") }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in super::super) enum Party {
    #[default]
    Caller,
    Callee,
}

/// The order in which events are sent. Vonage guarantees neither their order nor single delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EventOrder {
    #[default]
    InOrder,
    Reversed,
    Twice,
}
