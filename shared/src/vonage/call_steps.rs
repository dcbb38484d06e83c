//! The NCCOs in the middle of a call: at the callee's phone before it is connected, and after a call that nobody took.

use super::call_urls::{CallUrls, StepKind};
use super::ncco::{Action, Keys, Ncco, talk};
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::missed_calls::{Measure, Missed};
use crate::domain::side::Side;
use crate::domain::text::Label;

/// Seconds in which a key has to be pressed; the longest that Vonage takes. A phone that screens calls asks its owner first.
const TIME_TO_PRESS: u8 = 10;

/// Returns what the callee hears before the connection: who calls, and the key that takes the call.
pub fn whisper(conversation: &Conversation, callee: Side, urls: &CallUrls) -> Ncco {
    let caller = conversation.participant(callee.other()).label.as_ref().map_or("Your contact", Label::as_str);
    vec![
        talk(format!("{caller} is calling you. To take the call, press 1.")),
        one_key(urls.step(StepKind::Guard, callee)),
    ]
}

/// Returns what the callee hears who took the call. Vonage connects the leg after the last action.
pub fn accepted() -> Ncco {
    vec![talk("Connecting.")]
}

/// Returns what the callee hears who did not take the call. The leg then waits alone in a conference until it is hung up, because
/// Vonage would connect it after the last action.
pub fn declined(conversation: ConversationId) -> Ncco {
    vec![talk("Goodbye."), Action::Conversation { name: format!("declined-{conversation}-{}", fastrand::u64(..)) }]
}

/// Returns what the caller hears about a call that the other participant did not take.
pub fn missed(conversation: &Conversation, callee: Side, reason: Missed, urls: &CallUrls) -> Ncco {
    let sentence = talk(match reason {
        Missed::Busy => "The line is busy.",
        Missed::Declined => "Your call was not taken.",
        Missed::Unanswered => "Nobody answers.",
        Missed::Unreachable => "The phone cannot be reached at the moment.",
    });
    if !offers_call_back(conversation, callee) {
        return vec![sentence, talk("Please try again later. Goodbye.")];
    }
    vec![sentence, talk("To ask for a call back, press 1."), one_key(urls.step(StepKind::Menu, callee))]
}

/// True if the caller of a missed call may ask for a call back: if that is wanted, and the callee can call at all.
pub fn offers_call_back(conversation: &Conversation, callee: Side) -> bool {
    conversation.handling.missed_calls.includes(Measure::CallBack) && conversation.direction.includes(callee)
}

/// Returns what the caller hears who pressed a key after a missed call, or none.
pub fn menu_answer(is_asked: bool) -> Ncco {
    vec![talk(if is_asked { "We pass it on. Goodbye." } else { "Goodbye." })]
}

fn one_key(url: String) -> Action {
    Action::Input { kinds: ["dtmf"], dtmf: Keys { max_digits: 1, time_out: TIME_TO_PRESS }, event_url: [url] }
}
