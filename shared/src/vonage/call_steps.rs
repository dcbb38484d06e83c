//! The NCCOs in the middle of a call: at the callee's phone before it is connected, and after a call that nobody took.

use super::call_urls::{CallUrls, StepKind};
use super::ncco::{Action, Ncco, connect_standing, one_key, say};
use crate::domain::attempt::Attempt;
use crate::domain::call_recording::CallRecording;
use crate::domain::conversation::{Conversation, ConversationId, SidePhone};
use crate::domain::decision::StandingConnection;
use crate::domain::guard::Guard;
use crate::domain::missed_calls::{LONGEST_MESSAGE, Measure, Missed};
use crate::domain::side::Side;
use crate::domain::verdict::{Reason, Say};
use crate::domain::words::sentence::Spoken;
use crate::domain::words::{Speech, Words};

/// Seconds of silence after which a message ends. People pause for less.
const SILENCE_AFTER_MESSAGE: u8 = 5;

/// Returns the words for the participant on the side `to`.
pub fn speech_to<'w>(words: &'w Words, conversation: &Conversation, to: Side) -> Speech<'w> {
    speech_to_callee(words, conversation, to, None)
}

/// Returns the words for the phone on the side `callee` that this attempt calls.
pub fn speech_to_callee<'w>(
    words: &'w Words,
    conversation: &Conversation,
    callee: Side,
    attempt: Option<Attempt>,
) -> Speech<'w> {
    let first = conversation.first_phone(callee);
    let phone = attempt.map_or(first, |attempt| conversation.phone_at(callee, attempt.phone));
    speech_to_phone(words, conversation, phone)
}

/// Returns the words for the owner of a `phone`.
pub fn speech_to_phone<'w>(words: &'w Words, conversation: &Conversation, phone: SidePhone<'_>) -> Speech<'w> {
    words
        .of(conversation.owner)
        .speech(phone.language)
        .with_label(conversation.participant(phone.side.other()).label.as_ref())
        .with_reference(conversation.reference.as_ref())
}

/// Returns what the callee hears before the connection: who calls, and the key that takes the call.
pub fn whisper(
    words: &Words,
    conversation: &Conversation,
    (callee, attempt): (Side, Option<Attempt>),
    urls: &CallUrls,
) -> Ncco {
    let speech = speech_to_callee(words, conversation, callee, attempt);
    if conversation.handling.guard == Guard::Press1 {
        return vec![say(&speech, Spoken::GuardWhisper), one_key(urls.step(StepKind::Guard, callee, attempt))];
    }
    before_recording(&speech, conversation.handling.recording, (callee, attempt), urls)
}

/// Returns what the callee hears about the recording of the call before the connection. The recording begins only here, so nothing is
/// recorded of a call that nobody takes, and nobody is recorded who was not told.
pub fn before_recording(
    speech: &Speech<'_>,
    recording: CallRecording,
    (callee, attempt): (Side, Option<Attempt>),
    urls: &CallUrls,
) -> Ncco {
    match recording {
        CallRecording::Off => Vec::new(),
        CallRecording::Announce => vec![say(speech, Spoken::RecordingAnnounce), record_call(callee, urls)],
        CallRecording::Consent => {
            vec![say(speech, Spoken::RecordingAsk), one_key(urls.step(StepKind::Agree, callee, attempt))]
        }
    }
}

/// Returns what the callee hears who was asked for consent: the call is recorded only if `both_agree`.
pub fn after_consent(speech: &Speech<'_>, both_agree: bool, callee: Side, urls: Option<&CallUrls>) -> Ncco {
    match urls.filter(|_| both_agree) {
        Some(urls) => vec![say(speech, Spoken::RecordingOn), record_call(callee, urls)],
        None => vec![say(speech, Spoken::RecordingOff)],
    }
}

fn record_call(callee: Side, urls: &CallUrls) -> Action {
    let event_url = [urls.step(StepKind::Recorded, callee, None)];
    Action::RecordCall { format: "mp3", split: "conversation", channels: 2, event_url }
}

/// Returns what the person hears whom a request had called first: who waits, and the key that connects. A voicemail never presses.
pub fn invite(words: &Words, conversation: &Conversation, first: Side, urls: &CallUrls) -> Ncco {
    let speech = speech_to(words, conversation, first);
    vec![say(&speech, Spoken::GuardWhisper), one_key(urls.step(StepKind::Join, first, None))]
}

/// Returns what the callee hears who took the call. Vonage connects the leg after the last action.
pub fn accepted(speech: &Speech<'_>) -> Ncco {
    vec![say(speech, Spoken::GuardTaken)]
}

/// Returns what the callee hears who did not take the call. The leg then waits alone in a conference until it is hung up, because
/// Vonage would connect it after the last action.
pub fn declined(speech: &Speech<'_>, conversation: ConversationId) -> Ncco {
    let alone = Action::Conversation { name: format!("declined-{conversation}-{}", fastrand::u64(..)) };
    vec![say(speech, Spoken::Goodbye), alone]
}

/// Returns what the caller hears about a call that the other participant did not take.
pub fn missed(words: &Words, conversation: &Conversation, callee: Side, reason: Missed, urls: &CallUrls) -> Ncco {
    let speech = speech_to(words, conversation, callee.other());
    let sentence = say(&speech, self::reason(reason));
    let offers = [
        (offers_call_back(conversation, callee), Spoken::MissedOffer),
        (takes_messages(conversation), Spoken::MissedOfferVoicemail),
    ];
    let mut ncco = vec![sentence];
    ncco.extend(offers.into_iter().filter(|(is_offered, _)| *is_offered).map(|(_, offer)| say(&speech, offer)));
    let last = match ncco.len() {
        1 => say(&speech, Spoken::MissedLater),
        _ => one_key(urls.step(StepKind::Menu, callee, None)),
    };
    ncco.push(last);
    ncco
}

/// Returns the sentence that tells why nobody took a call.
fn reason(missed: Missed) -> Spoken {
    match missed {
        Missed::Busy => Spoken::MissedBusy,
        Missed::Declined => Spoken::MissedDeclined,
        Missed::Unanswered => Spoken::MissedUnanswered,
        Missed::Unreachable => Spoken::MissedUnreachable,
    }
}

/// Returns what comes after an attempt to reach a phone behind a standing mask: the next phone, or words. No list of actions
/// connects two phones, because Vonage would put them into one conference.
pub fn after_standing_attempt(
    next: Option<StandingConnection>,
    missed: Missed,
    speech: &Speech<'_>,
    base: Option<&str>,
) -> Ncco {
    match next {
        Some(connection) => vec![connect_standing(connection, base)],
        None => vec![say(speech, reason(missed)), say(speech, Spoken::MissedLater)],
    }
}

/// True if the caller of a missed call may ask for a call back: if that is wanted, and the callee can call at all.
pub fn offers_call_back(conversation: &Conversation, callee: Side) -> bool {
    conversation.handling.missed_calls.includes(Measure::CallBack) && conversation.direction.includes(callee)
}

/// True if the caller of a missed call may leave a message.
pub fn takes_messages(conversation: &Conversation) -> bool {
    conversation.handling.missed_calls.includes(Measure::Voicemail)
}

/// Returns what records the message of the caller of a missed call.
pub fn voicemail(speech: &Speech<'_>, callee: Side, urls: &CallUrls) -> Ncco {
    let record = Action::Record {
        format: "mp3",
        end_on_silence: SILENCE_AFTER_MESSAGE,
        end_on_key: '#',
        time_out: LONGEST_MESSAGE,
        beep_start: true,
        event_url: [urls.step(StepKind::Voicemail, callee, None)],
    };
    vec![say(speech, Spoken::VoicemailBegin), record, say(speech, Spoken::VoicemailDone)]
}

/// Returns what the caller hears who pressed a key after a missed call, or none.
pub fn menu_answer(speech: &Speech<'_>, is_asked: bool) -> Ncco {
    vec![say(speech, if is_asked { Spoken::MissedAsked } else { Spoken::Goodbye })]
}

/// Returns what a late caller hears who has asked the other participant for a call.
pub fn late_asked(speech: &Speech<'_>) -> Ncco {
    vec![say(speech, Spoken::LateAsked)]
}

/// Returns what a late caller hears who did not ask.
pub fn goodbye(speech: &Speech<'_>) -> Ncco {
    vec![say(speech, Spoken::Goodbye)]
}

/// Returns the action that says the backend's words for a caller.
pub fn say_as_decided(speech: &Speech<'_>, words: &Say) -> Action {
    let sentence = match words {
        Say::Text(text) => return speech.say_text(text).into(),
        Say::Sentence(Reason::Unavailable) => Spoken::Unavailable,
        Say::Sentence(Reason::Ended) => Spoken::Ended,
        Say::Sentence(Reason::LimitReached) => Spoken::LimitReached,
        Say::Sentence(Reason::DayUsedUp) => Spoken::DayUsedUp,
        Say::Sentence(Reason::Unanswered) => Spoken::MissedUnanswered,
        Say::Sentence(Reason::Later) => Spoken::MissedLater,
        Say::Sentence(Reason::Goodbye) => Spoken::Goodbye,
    };
    say(speech, sentence)
}

/// Returns the action that tells a caller that the other participant is not available.
pub fn unavailable(speech: &Speech<'_>) -> Action {
    say(speech, Spoken::Unavailable)
}
