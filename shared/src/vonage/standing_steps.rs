//! The NCCOs of a call to a standing mask. Its phones are tried one after the other; no list of actions connects two of them, because
//! Vonage would put them into one conference.

use super::call_steps::reason;
use super::call_urls;
use super::ncco::{Action, Ncco, PhoneEndpoint, say};
use crate::domain::call_handling::CallHandling;
use crate::domain::missed_calls::Missed;
use crate::domain::standing::{StandingCall, StandingConnection};
use crate::domain::words::Speech;
use crate::domain::words::sentence::Spoken;

/// Returns what a call with this fate does. `base` is the deployment's address, at which Vonage asks what comes next; without it the call
/// tries one phone only.
pub fn answer(call: StandingCall, speech: &Speech<'_>, base: Option<&str>) -> Ncco {
    match call {
        StandingCall::Connects(connection) => vec![say(speech, Spoken::Connecting), connect(connection, base)],
        StandingCall::Blocked => vec![say(speech, Spoken::Connecting), say(speech, Spoken::Unavailable)],
        StandingCall::Closed => vec![say(speech, Spoken::Unavailable)],
    }
}

/// Returns what comes after an attempt that failed: the next phone, or for this reason words.
pub fn after(next: Option<StandingConnection>, missed: Missed, speech: &Speech<'_>, base: Option<&str>) -> Ncco {
    match next {
        Some(connection) => vec![connect(connection, base)],
        None => vec![say(speech, reason(missed)), say(speech, Spoken::MissedLater)],
    }
}

fn connect(StandingConnection { phone, mask, limits, attempt }: StandingConnection, base: Option<&str>) -> Action {
    Action::Connect {
        from: mask,
        endpoint: [PhoneEndpoint { number: phone, on_answer: None }],
        timeout: limits.ring_seconds,
        limit: limits.talk_seconds(CallHandling::default()),
        event_url: base.map(|base| [call_urls::standing(base, attempt)]),
        event_type: base.map(|_| "synchronous"),
        machine_detection: None,
    }
}
