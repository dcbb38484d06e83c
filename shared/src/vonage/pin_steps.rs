//! The NCCO that asks a caller who is not known for a PIN.

use super::ncco::{Action, Keys, Ncco, say};
use crate::domain::pin;
use crate::domain::words::Speech;
use crate::domain::words::sentence::Spoken;

/// Seconds without a key after which what was typed counts; the longest that Vonage takes. Its default of 3 s is too short to look
/// up a digit.
const TIME_TO_TYPE: u8 = 10;

/// Returns the actions that ask for a PIN, which is posted to `url`. `is_again` if the last one led to nobody.
pub fn ask(speech: &Speech<'_>, url: String, is_again: bool) -> Ncco {
    let sentence = if is_again { Spoken::PinAgain } else { Spoken::PinAsk };
    let dtmf = Keys { max_digits: pin::DIGITS, time_out: TIME_TO_TYPE, submit_on_hash: true };
    vec![say(speech, sentence), Action::Input { kinds: ["dtmf"], dtmf, event_url: [url] }]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::words::Words;

    #[test]
    fn six_digits_are_asked_for_with_time_to_type() {
        let words = Words::default();
        let ncco = ask(&words.speech(None), "https://here/webhooks/event/pin/1".to_owned(), false);
        let input = json!({"action": "input", "type": ["dtmf"], "eventUrl": ["https://here/webhooks/event/pin/1"],
                           "dtmf": {"maxDigits": 6, "timeOut": 10, "submitOnHash": true}});
        assert_eq!(serde_json::to_value(&ncco).unwrap()[1], input);
    }
}
