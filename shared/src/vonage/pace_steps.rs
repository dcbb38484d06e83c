//! The actions of a call that has to wait for its turn.
//!
//! Vonage says the words before the connection, and then asks for the turn (`notify`). The request has all that comes next, so
//! nothing is decided twice: Vonage sends back what it was given, in a signed body.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::ncco::{Action, Ncco, Payload, say};
use super::waiting_call::WaitingCall;
use crate::domain::conversation::ConversationId;
use crate::domain::pace::Turn;
use crate::domain::words::Speech;
use crate::domain::words::sentence::Spoken;

/// The longest wait in silence. The words for a longer wait take less time than this.
const IN_SILENCE: SignedDuration = SignedDuration::from_secs(6);

/// The shortest wait that Vonage takes.
const SHORTEST: SignedDuration = SignedDuration::from_millis(100);

/// The body of the request for a turn.
#[derive(Debug, Deserialize)]
pub struct TurnRequest {
    /// The call.
    pub payload: WaitingCall<Value>,
    /// Vonage's id of the call.
    #[serde(default)]
    pub conversation_uuid: Option<String>,
}

/// Returns the actions of a call that asks `url` for its turn before it is connected. A call without a connection needs none.
pub fn in_turn(mut ncco: Ncco, speech: &Speech<'_>, conversation: Option<ConversationId>, url: String) -> Ncco {
    let is_of_connection = |action: &Action| matches!(action, Action::Listen { .. } | Action::Connect { .. });
    let Some(position) = ncco.iter().position(is_of_connection) else { return ncco };
    let then = ncco.split_off(position);
    let (hold, too_many) = (say(speech, Spoken::PleaseHold), say(speech, Spoken::TooManyCalls));
    let call = WaitingCall { conversation, then, hold, too_many, turn_at: None };
    ncco.push(Action::Notify { payload: Payload::Waiting(Box::new(call)), event_url: [url] });
    ncco
}

/// Returns what comes next for a call with this turn at `now`. Its wait is a part of its longest duration. After the words for a
/// longer wait, `url` is asked again.
pub fn after_turn(mut call: WaitingCall<Value>, turn: Turn, url: &str, now: Timestamp) -> Vec<Value> {
    let Turn::At(turn_at) = turn else { return vec![call.too_many] };
    let wait = now.duration_until(turn_at).max(SignedDuration::ZERO);
    if call.turn_at.is_none() && !shorten(&mut call.then, wait) {
        return vec![call.too_many];
    }
    if call.turn_at.is_none() && wait > IN_SILENCE {
        call.turn_at = Some(turn_at);
        let hold = call.hold.clone();
        return vec![hold, json!({"action": "notify", "payload": call, "eventUrl": [url]})];
    }
    let wait = (wait >= SHORTEST).then(|| json!({"action": "wait", "timeout": wait.as_secs_f64()}));
    wait.into_iter().chain(call.then).collect()
}

/// Makes the connection so much shorter. False if nothing is left of it.
fn shorten(actions: &mut [Value], wait: SignedDuration) -> bool {
    let seconds = wait.as_millis().unsigned_abs().div_ceil(1000) as u64;
    let limits = actions.iter_mut().filter(|action| action["action"] == "connect").map(|action| &mut action["limit"]);
    for limit in limits {
        match limit.as_u64().and_then(|whole| whole.checked_sub(seconds)).filter(|left| *left > 0) {
            Some(left) => *limit = left.into(),
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::words::Words;

    fn call() -> WaitingCall<Value> {
        let then =
            vec![json!({"action": "input"}), json!({"action": "connect", "limit": 60}), json!({"action": "notify"})];
        WaitingCall { conversation: None, then, hold: json!("hold"), too_many: json!("too many"), turn_at: None }
    }

    fn after(turn: i64, call: WaitingCall<Value>) -> Vec<Value> {
        let at = |milliseconds| Timestamp::from_millisecond(1_800_000_000_000 + milliseconds).unwrap();
        after_turn(call, Turn::At(at(turn)), "https://here/turn", at(0))
    }

    #[test]
    fn call_waits_for_its_turn_and_is_so_much_shorter() {
        assert_eq!(after(0, call()), call().then);
        assert_eq!(after(-900, call()), call().then);
        let waited = after(334, call());
        assert_eq!(waited[0], json!({"action": "wait", "timeout": 0.334}));
        assert_eq!((&waited[2]["limit"], waited.len()), (&json!(59), 4));
        assert_eq!(after(60_000, call()), [json!("too many")]);
        assert_eq!(after_turn(call(), Turn::TooMany, "", Timestamp::UNIX_EPOCH), [json!("too many")]);
    }

    #[test]
    fn longer_wait_begins_with_words_and_has_the_same_turn() {
        let held = after(8_000, call());
        assert_eq!((&held[0], held.len()), (&json!("hold"), 2));
        let again: TurnRequest = serde_json::from_value(json!({"payload": held[1]["payload"]})).unwrap();
        let turn = again.payload.turn_at.unwrap();
        let then = after_turn(again.payload, Turn::At(turn), "", turn - SignedDuration::from_secs(3));
        assert_eq!((&then[0]["timeout"], &then[2]["limit"]), (&json!(3.0), &json!(52)));
    }

    #[test]
    fn call_without_a_connection_asks_for_no_turn() {
        let words = Words::default();
        let ncco = vec![say(&words.speech(None), Spoken::Ended)];
        assert_eq!(in_turn(ncco.clone(), &words.speech(None), None, String::new()), ncco);
    }
}
