//! Steps in which somebody who is not known calls and types a PIN.

use proptest::prelude::*;
use shared::domain::route::Destination;

use crate::attempts::Hunt;
use crate::case::Case;
use crate::connection::Moment;
use crate::expectations::Execution;
use crate::legs::{CALLS, PlacedCall};
use crate::model::Verdict;
use crate::pins::{AskedCall, PinTry, TRIES, any_stranger, connected, stranger};
use crate::steps::{Action, Step};
use crate::system::{Operation, Outcome};

/// Number of calls in which PINs may still be typed.
const ASKED: usize = 10;

/// A call whose caller was asked for a PIN, with what was typed in it.
#[derive(Debug, Clone)]
pub struct TypedCall {
    call: AskedCall,
    typed: Vec<String>,
    is_over: bool,
    is_connected: bool,
}

/// The kind of digits that a caller types.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Typing {
    Pin,
    Wrong,
    Nothing,
}

/// A call of somebody who is not known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dial {
    /// The `nth` last PIN, first those of live conversations.
    pub pin: usize,
    /// The caller; the first one hides the number.
    pub from: usize,
    /// True if the dialled number is any one, and not that of the PIN.
    pub elsewhere: Option<usize>,
    pub typing: Typing,
}

/// Webhooks of a call whose caller was asked for a PIN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PinAction {
    /// Somebody calls and types something.
    Dial(Dial),
    /// The caller of the `nth` last call types the `pin`th last PIN, or none.
    TypeAgain { call: usize, pin: usize, typing: Typing },
    /// The webhook about the `back`th last try of the `nth` last call arrives again.
    Redeliver { call: usize, back: usize },
}

impl Dial {
    fn any() -> impl Strategy<Value = Self> {
        let elsewhere = prop::option::weighted(0.2, 0..8usize);
        (newest(), 0..3usize, elsewhere, Typing::any()).prop_map(|(pin, from, elsewhere, typing)| Self {
            pin,
            from,
            elsewhere,
            typing,
        })
    }
}

impl Typing {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![7 => Just(Self::Pin), 3 => Just(Self::Wrong), 1 => Just(Self::Nothing)]
    }
}

impl PinAction {
    pub fn any() -> impl Strategy<Value = Self> {
        let again = (0..2usize, newest(), Typing::any());
        prop_oneof![
            6 => Dial::any().prop_map(Self::Dial),
            3 => again.prop_map(|(call, pin, typing)| Self::TypeAgain { call, pin, typing }),
            4 => (0..ASKED, 0..3usize).prop_map(|(call, back)| Self::Redeliver { call, back }),
        ]
    }
}

impl Step {
    /// Returns actions in which somebody guesses in some calls, before and after a PIN.
    pub fn guess() -> impl Strategy<Value = Self> {
        let moment = prop_oneof![Just(Moment::Before), Just(Moment::After)];
        let crash = prop::option::weighted(0.3, (0..8u8, moment));
        let calls = prop_oneof![3 => 0..3u8, 1 => 0..7u8];
        (newest(), 0..3usize, calls, crash).prop_map(|(pin, from, calls, crash)| Self::Guess {
            pin,
            from,
            calls,
            crash,
        })
    }
}

/// One of the last PINs, most often one of the newest.
fn newest() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 0..4usize, 1 => 0..16usize]
}

impl Case {
    /// Returns the try that an action means, if there is anything to try.
    pub fn pin_try(&mut self, action: PinAction) -> Option<PinTry> {
        match action {
            PinAction::Dial(dial) => {
                let own = self.model.number_of(self.model.nth_pin(dial.pin)?);
                let dialled = dial.elsewhere.and_then(|nth| self.virtual_number(nth)).unwrap_or(own);
                let digits = self.digits(dial.pin, dial.typing)?;
                let call = AskedCall { id: self.placed, from: stranger(dial.from), dialled };
                self.placed += 1;
                self.typed.drain(..(self.typed.len() + 1).saturating_sub(ASKED));
                let typed = vec![digits.clone()];
                self.typed.push(TypedCall { call: call.clone(), typed, is_over: false, is_connected: false });
                Some(PinTry { call, nth: 1, digits })
            }
            PinAction::TypeAgain { call, pin, typing } => {
                let digits = self.digits(pin, typing)?;
                let typed = self.typed.iter_mut().rev().nth(call).filter(|typed| !typed.is_over)?;
                typed.typed.push(digits.clone());
                let nth = u8::try_from(typed.typed.len()).unwrap();
                Some(PinTry { call: typed.call.clone(), nth, digits })
            }
            PinAction::Redeliver { call, back } => {
                let typed = self.typed.iter().rev().nth(call)?;
                let last = typed.typed.len() - 1;
                let index = last.saturating_sub(back);
                let (nth, digits) = (u8::try_from(index + 1).unwrap(), typed.typed[index].clone());
                Some(PinTry { call: typed.call.clone(), nth, digits })
            }
        }
    }

    fn digits(&self, pin: usize, typing: Typing) -> Option<String> {
        let pin = self.model.nth_pin(pin)?;
        Some(match typing {
            Typing::Pin => pin.digits.clone(),
            Typing::Wrong => self.model.no_pin(),
            Typing::Nothing => String::new(),
        })
    }

    /// Types a PIN, then no PIN in so many calls, and then the PIN again. The webhooks about the PIN arrive twice.
    pub async fn guess(&mut self, pin: usize, from: usize, calls: u8, crash: Option<(u8, Moment)>) -> Verdict {
        let dial = Dial { pin, from, elsewhere: None, typing: Typing::Wrong };
        let with_pin = Action::Pin(PinAction::Dial(Dial { typing: Typing::Pin, ..dial }));
        Box::pin(self.step(&Step::Do(with_pin.clone()))).await?;
        for _ in 0..calls {
            for nth in 0..TRIES {
                let again = PinAction::TypeAgain { call: 0, pin, typing: Typing::Wrong };
                let action = if nth == 0 { PinAction::Dial(dial) } else { again };
                Box::pin(self.step(&Step::Do(Action::Pin(action)))).await?;
            }
        }
        let action = with_pin;
        let last = match crash {
            Some((nth, moment)) => Step::Crash { action, nth, moment, concurrent: None },
            None => Step::Do(action),
        };
        Box::pin(self.step(&last)).await?;
        for call in [0, usize::from(calls) + 1] {
            Box::pin(self.step(&Step::Do(Action::Pin(PinAction::Redeliver { call, back: 0 })))).await?;
        }
        Ok(())
    }

    /// Notes what callers heard: whom they were connected to, and if they may type again.
    pub fn note_typed(&mut self, executions: &[Execution]) {
        for execution in executions {
            let (Operation::Pin(pin), Some(outcome)) = (&execution.operation, &execution.outcome) else { continue };
            let Some(typed) = self.typed.iter_mut().find(|typed| typed.call.id == pin.call.id) else { continue };
            let may_go_on = matches!(outcome, Outcome::Pin(Ok(shared::service::pin_calls::Typed::Again)));
            typed.is_over |= !may_go_on;
            let Some(destination) = connected(outcome).filter(|_| !typed.is_connected) else { continue };
            typed.is_connected = true;
            let call = by_pin(&pin.call, destination, self.model.now);
            self.calls.drain(..(self.calls.len() + 1).saturating_sub(CALLS));
            self.calls.push(call);
        }
    }
}

/// Returns the call that a right PIN makes.
fn by_pin(call: &AskedCall, destination: &Destination, at: jiff::Timestamp) -> PlacedCall {
    let Destination::Participant { conversation, connect_to, present_as, one_way, handling, caller, attempt, .. } =
        destination
    else {
        unreachable!("it is connected")
    };
    PlacedCall {
        id: call.id,
        conversation: *conversation,
        at,
        caller: (call.from.clone().unwrap_or_else(any_stranger), call.dialled.clone()),
        callee: (connect_to.clone(), present_as.clone()),
        callee_side: caller.other(),
        is_named: *one_way || handling.needs_addresses() || attempt.is_some(),
        is_by_pin: true,
        hunt: attempt.map(|attempt| Hunt::begin(attempt, connect_to, at)),
    }
}
