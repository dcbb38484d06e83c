//! NCCO (Nexmo Call Control Object): the JSON list of call actions with which the answer webhook responds.
//!
//! Source: Vonage Voice API, NCCO reference. Vonage ends the call after the last action. There is no hang-up action.

use serde::Serialize;

use super::call_urls::{self, CallUrls, StepKind};
use super::waiting_call::WaitingCall;
use crate::domain::attempt::Attempt;
use crate::domain::call_handling::CallHandling;
use crate::domain::call_limits::CallLimits;
use crate::domain::call_recording::CallRecording;
use crate::domain::decision::{Decision, StandingCall, StandingConnection};
use crate::domain::decision_url::OnFailure;
use crate::domain::guard::Guard;
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::route::Destination;
use crate::domain::side::Side;
use crate::domain::stranger::StrangersCall;
use crate::domain::words::sentence::Spoken;
use crate::domain::words::voice::Voice;
use crate::domain::words::{Speech, Utterance};

/// The actions of a call, in order.
pub type Ncco = Vec<Action>;

/// One action of an NCCO.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "camelCase")]
pub enum Action {
    /// Says `text`, at most 1500 characters.
    Talk {
        /// The text to say.
        text: String,
        /// The voice.
        #[serde(flatten)]
        voice: Voice,
    },
    /// Plays an audio file.
    Stream {
        /// The URL of the file. Vonage takes exactly one.
        #[serde(rename = "streamUrl")]
        stream_url: [String; 1],
    },
    /// Connects the caller to one phone.
    Connect {
        /// The caller ID that the callee sees. Always a virtual number: with the caller's own number here, Vonage would
        /// show it to the callee.
        from: VirtualNumber,
        /// The phone to call. Vonage accepts exactly one.
        endpoint: [PhoneEndpoint; 1],
        /// The longest ringing time, in seconds.
        timeout: u32,
        /// The longest talking time, in seconds.
        limit: u32,
        /// The address of the events of the callee's leg, if it is not the application's.
        #[serde(rename = "eventUrl", skip_serializing_if = "Option::is_none")]
        event_url: Option<[String; 1]>,
        /// `synchronous` if the answer to an event of a call that nobody took replaces the rest of the actions.
        #[serde(rename = "eventType", skip_serializing_if = "Option::is_none")]
        event_type: Option<&'static str>,
        /// Machine detection on the callee's leg.
        #[serde(rename = "advancedMachineDetection", skip_serializing_if = "Option::is_none")]
        machine_detection: Option<MachineDetection>,
    },
    /// Waits for a key.
    Input {
        /// The kinds of input.
        #[serde(rename = "type")]
        kinds: [&'static str; 1],
        /// The keys.
        dtmf: Keys,
        /// The address whose answer replaces the rest of the actions.
        #[serde(rename = "eventUrl")]
        event_url: [String; 1],
    },
    /// Tells an address of each key that is pressed from here on, one by one, beside the other actions.
    ///
    /// Source: Vonage Voice API, NCCO reference, "Input": the mode `asynchronous` must have no `dtmf`.
    #[serde(rename = "input")]
    Listen {
        /// The kinds of input.
        #[serde(rename = "type")]
        kinds: [&'static str; 1],
        /// `asynchronous`.
        mode: &'static str,
        /// The address, whose answer is ignored.
        #[serde(rename = "eventUrl")]
        event_url: [String; 1],
    },
    /// Asks an address for what comes next. Its answer replaces the rest of the actions.
    Notify {
        /// Data for the address. Vonage requires some.
        payload: Payload,
        /// The address.
        #[serde(rename = "eventUrl")]
        event_url: [String; 1],
    },
    /// Records the caller until one of its conditions ends it. With such conditions the next action waits for the end.
    ///
    /// Source: Vonage Voice API, "Recording": without any of them a recording runs beside the other actions.
    Record {
        /// The format of the file.
        format: &'static str,
        /// Seconds of silence that end it, 3 to 10.
        #[serde(rename = "endOnSilence")]
        end_on_silence: u8,
        /// The key that ends it.
        #[serde(rename = "endOnKey")]
        end_on_key: char,
        /// The longest duration, in seconds, 3 to 7200.
        #[serde(rename = "timeOut")]
        time_out: u32,
        /// True if a tone comes first.
        #[serde(rename = "beepStart")]
        beep_start: bool,
        /// The address of its event.
        #[serde(rename = "eventUrl")]
        event_url: [String; 1],
    },
    /// Records the call from here on to its end, beside the other actions. It must have no condition that ends it: with one Vonage
    /// would wait for that end before it goes on.
    #[serde(rename = "record")]
    RecordCall {
        /// The format of the file.
        format: &'static str,
        /// `conversation` keeps what each side says in a channel of its own.
        split: &'static str,
        /// Number of channels.
        channels: u8,
        /// The address of its event.
        #[serde(rename = "eventUrl")]
        event_url: [String; 1],
    },
    /// Moves the leg into a conference. Under a name of its own it is there alone.
    Conversation {
        /// The name of the conference.
        name: String,
    },
}

/// Machine detection that ends the leg of a machine before the two people are connected.
///
/// Source: Vonage Voice API, advanced machine detection: of its modes only `detect` and `detect_beep` make the call wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MachineDetection {
    behavior: &'static str,
    mode: &'static str,
}

/// The keys that an input takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Keys {
    /// Number of keys.
    pub max_digits: u8,
    /// Seconds without a key after which the input ends, at most 10.
    pub time_out: u8,
    /// True if the hash key ends the input.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub submit_on_hash: bool,
}

/// The data of a [`Action::Notify`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Payload {
    /// The subject of the notification, where the address says the rest.
    About {
        /// The subject.
        about: &'static str,
    },
    /// A call of a stranger.
    Stranger(StrangersCall),
    /// A call that waits for its turn.
    Waiting(Box<WaitingCall<Action>>),
}

/// A phone to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename = "phone")]
pub struct PhoneEndpoint {
    /// The number of the phone.
    pub number: RealNumber,
    /// The actions on this phone before it is connected with the caller.
    #[serde(rename = "onAnswer", skip_serializing_if = "Option::is_none")]
    pub on_answer: Option<OnAnswer>,
}

/// The actions on a phone before it is connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OnAnswer {
    /// The address of the NCCO.
    pub url: String,
}

/// The addresses for a call with guard or with words about a missed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowUp {
    /// The addresses of its conversation.
    pub urls: CallUrls,
    /// The token of the whisper, if the guard needs one.
    pub whisper_token: Option<String>,
}

/// The last question about a call that is settled, in the order in which they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Settled {
    /// None.
    Nothing,
    /// The backend has decided.
    Decision,
    /// The caller was asked if the call may be recorded.
    Consent,
}

/// Returns the action that asks the backend about a stranger, at `url`. If it decides nothing, Vonage goes on with the next
/// action.
pub fn ask_about_stranger(call: StrangersCall, url: String) -> Action {
    Action::Notify { payload: Payload::Stranger(call), event_url: [url] }
}

/// Returns the NCCO for a call with this decision; see [`answer`].
pub fn decided(decision: Decision, speech: &Speech<'_>, follow_up: Option<FollowUp>) -> Ncco {
    decided_after(Settled::Nothing, decision, speech, follow_up)
}

/// Like [`decided`], for a call of which something is `settled`.
pub fn decided_after(settled: Settled, decision: Decision, speech: &Speech<'_>, follow_up: Option<FollowUp>) -> Ncco {
    match decision {
        Decision::Routed(destination) => answer_after(settled, destination, speech, follow_up),
        Decision::Support { phone, present_as, limits, .. } => vec![
            say(speech, Spoken::Support),
            Action::Connect {
                from: present_as,
                endpoint: [PhoneEndpoint { number: phone, on_answer: None }],
                timeout: limits.ring_seconds,
                limit: limits.talk_seconds(CallHandling::default()),
                event_url: None,
                event_type: None,
                machine_detection: None,
            },
        ],
        Decision::Standing(call) => standing(call, speech, None),
        Decision::PinAsked => vec![say(speech, Spoken::PinAsk)],
        Decision::NoNumber => answer(Destination::Nobody, speech, None),
        Decision::Hidden => vec![say(speech, Spoken::CallerHidden)],
        Decision::Unclear => vec![say(speech, Spoken::CallerUnclear)],
    }
}

/// Returns the NCCO for a call to a standing mask with this fate. `base` is the deployment's address, at which Vonage asks what
/// comes next; without it the call tries one phone only.
pub fn standing(call: StandingCall, speech: &Speech<'_>, base: Option<&str>) -> Ncco {
    match call {
        StandingCall::Connects(connection) => {
            vec![say(speech, Spoken::Connecting), connect_standing(connection, base)]
        }
        StandingCall::Blocked => vec![say(speech, Spoken::Connecting), say(speech, Spoken::Unavailable)],
        StandingCall::Closed => vec![say(speech, Spoken::Unavailable)],
    }
}

/// Returns the action that connects the caller with a phone behind a standing mask.
pub(super) fn connect_standing(connection: StandingConnection, base: Option<&str>) -> Action {
    let StandingConnection { phone, mask, limits, attempt } = connection;
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

/// Returns what the caller hears, as text, and the address of a recording in brackets.
pub fn spoken(ncco: &Ncco) -> String {
    let texts = ncco.iter().filter_map(|action| match action {
        Action::Talk { text, .. } => Some(text.clone()),
        Action::Stream { stream_url: [url] } => Some(format!("[{url}]")),
        Action::Connect { .. }
        | Action::Input { .. }
        | Action::Notify { .. }
        | Action::Record { .. }
        | Action::RecordCall { .. }
        | Action::Listen { .. }
        | Action::Conversation { .. } => None,
    });
    texts.collect::<Vec<_>>().join(" ")
}

/// Returns the NCCO for a call with this destination, in the words for the caller. `follow_up` has the addresses for its events and
/// steps; without them it is just connected.
pub fn answer(destination: Destination, speech: &Speech<'_>, follow_up: Option<FollowUp>) -> Ncco {
    answer_after(Settled::Nothing, destination, speech, follow_up)
}

fn answer_after(settled: Settled, destination: Destination, speech: &Speech<'_>, follow_up: Option<FollowUp>) -> Ncco {
    match destination {
        Destination::Participant {
            connect_to, present_as, limits, handling, caller, left_seconds, attempt, ..
        } => {
            if let Some(on_failure) = handling.decision.filter(|_| settled < Settled::Decision)
                && let Some(undecided) = undecided(on_failure, caller, speech, follow_up.as_ref())
            {
                return undecided;
            }
            let handling = if follow_up.is_some() { handling } else { CallHandling::default() };
            let attempt = attempt.filter(|_| follow_up.is_some());
            let (limit, is_cut_short) = limits.talk_seconds_within(left_seconds, handling);
            let notice = is_cut_short.then(|| time_left(speech, limit));
            let connection = Connection { connect_to, present_as, limits, handling, caller, left_seconds, attempt };
            if let (CallRecording::Consent, Some(follow_up)) = (handling.recording, &follow_up)
                && settled < Settled::Consent
            {
                let url = follow_up.urls.step(StepKind::Consent, caller.other(), None);
                return vec![say(speech, Spoken::RecordingAsk), one_key(url)];
            }
            let is_announced = handling.recording == CallRecording::Announce;
            let recorded = is_announced.then(|| say(speech, Spoken::RecordingAnnounce));
            let announced = [Some(say(speech, Spoken::Connecting)), recorded, notice].into_iter().flatten();
            announced.chain(connect(connection, follow_up)).collect()
        }
        Destination::Closed(_) => vec![say(speech, Spoken::Unavailable)],
        Destination::Exhausted(_) => vec![say(speech, Spoken::LimitReached)],
        Destination::Paused(_) => vec![say(speech, Spoken::DayUsedUp)],
        Destination::Blocked(_) => vec![say(speech, Spoken::Connecting), say(speech, Spoken::Unavailable)],
        Destination::Late { caller, care, .. } => match follow_up.filter(|_| care.lost_property) {
            Some(follow_up) => {
                let own = speech.say_own().map(Action::from);
                let offer = say(speech, Spoken::LateOffer);
                let key = one_key(follow_up.urls.step(StepKind::Late, caller.other(), None));
                own.into_iter().chain([offer, key]).collect()
            }
            None => vec![say(speech, Spoken::Ended)],
        },
        Destination::Ended(_) => vec![say(speech, Spoken::Ended)],
        Destination::ReceiveOnly => vec![say(speech, Spoken::ReceivesOnly)],
        Destination::Replaced(_) => vec![say(speech, Spoken::NumberChanged)],
        Destination::Nobody => vec![say(speech, Spoken::Nobody)],
    }
}

/// Returns the actions for a call about which the backend is to decide. The words behind the question are for a caller who would
/// otherwise be left in silence: Vonage goes on with them if it gets no answer. `None` if nobody could be asked, and the call is
/// to be connected then.
fn undecided(on_failure: OnFailure, caller: Side, speech: &Speech<'_>, follow_up: Option<&FollowUp>) -> Option<Ncco> {
    let ask = follow_up.map(|follow_up| Action::Notify {
        payload: Payload::About { about: "a decision" },
        event_url: [follow_up.urls.step(StepKind::Decide, caller.other(), None)],
    });
    match (ask, on_failure) {
        (None, OnFailure::Connect) => None,
        (ask, _) => Some(ask.into_iter().chain([say(speech, Spoken::Unavailable)]).collect()),
    }
}

/// A connection of a caller with a phone of the other side.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The phone.
    pub connect_to: RealNumber,
    /// The number that masks the caller.
    pub present_as: VirtualNumber,
    /// Limits of the call. The ringing time is that of this phone.
    pub limits: CallLimits,
    /// The handling of the call.
    pub handling: CallHandling,
    /// The caller's side.
    pub caller: Side,
    /// The seconds that the limits of the conversation leave for the call, if that cuts it short.
    pub left_seconds: Option<u32>,
    /// The attempt, if the call may try several phones.
    pub attempt: Option<Attempt>,
}

/// Returns the actions that connect the caller with a phone. What `follow_up` has no addresses for is left out.
pub fn connect(connection: Connection, follow_up: Option<FollowUp>) -> Ncco {
    let Connection { connect_to, present_as, limits, handling, caller, left_seconds, attempt } = connection;
    let after = follow_up.as_ref().filter(|_| !handling.guard.is_none());
    let after = after.map(|follow_up| ask_after(follow_up, caller, attempt));
    let listen = follow_up.as_ref().filter(|_| handling.safety_key).map(|follow_up| listen(&follow_up.urls, caller));
    let (urls, token) = follow_up.map(|follow_up| (follow_up.urls, follow_up.whisper_token)).unzip();
    let on_answer = token.flatten().zip(urls.as_ref()).map(|(token, urls)| OnAnswer { url: urls.whisper(&token) });
    let (limit, _) = limits.talk_seconds_within(left_seconds, handling);
    let connect = Action::Connect {
        from: present_as,
        endpoint: [PhoneEndpoint { number: connect_to, on_answer }],
        timeout: limits.ring_seconds,
        limit,
        event_url: urls.map(|urls| {
            [match attempt {
                Some(attempt) => urls.step(StepKind::Leg, caller.other(), Some(attempt)),
                None => urls.events(),
            }]
        }),
        event_type: (handling.has_words() || attempt.is_some()).then_some("synchronous"),
        machine_detection: (handling.guard == Guard::Detect)
            .then_some(MachineDetection { behavior: "hangup", mode: "detect" }),
    };
    [listen, Some(connect), after].into_iter().flatten().collect()
}

/// Returns the action after a guarded leg: if the callee did not accept the call, another phone is tried, or the caller hears so.
fn ask_after(follow_up: &FollowUp, caller: Side, attempt: Option<Attempt>) -> Action {
    let url = follow_up.urls.step(StepKind::After, caller.other(), attempt);
    Action::Notify { payload: Payload::About { about: "the end of a guarded leg" }, event_url: [url] }
}

/// Returns the action that tells of the keys which the caller presses in the call.
fn listen(urls: &CallUrls, caller: Side) -> Action {
    let event_url = [urls.step(StepKind::Safety, caller.other(), None)];
    Action::Listen { kinds: ["dtmf"], mode: "asynchronous", event_url }
}

/// Seconds in which a key has to be pressed; the longest that Vonage takes. A phone that screens calls asks its owner first.
const TIME_TO_PRESS: u8 = 10;

/// Returns the action that waits for one key and asks `url` what comes next.
pub fn one_key(url: String) -> Action {
    Action::Input {
        kinds: ["dtmf"],
        dtmf: Keys { max_digits: 1, time_out: TIME_TO_PRESS, submit_on_hash: false },
        event_url: [url],
    }
}

/// Returns the sentence about a call that lasts at most this number of seconds.
fn time_left(speech: &Speech<'_>, seconds: u32) -> Action {
    match seconds / 60 {
        0 => say(speech, Spoken::SecondsLeft),
        minutes => say(&speech.with_minutes(minutes), Spoken::MinutesLeft),
    }
}

/// Returns the action that says a sentence.
pub fn say(speech: &Speech<'_>, sentence: Spoken) -> Action {
    speech.say(sentence).into()
}

impl From<Utterance> for Action {
    fn from(utterance: Utterance) -> Self {
        match utterance {
            Utterance::Talk(text, voice) => Self::Talk { text, voice },
            Utterance::Audio(url) => Self::Stream { stream_url: [url] },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::call_limits::CallLimits;
    use crate::domain::conversation::ConversationId;
    use crate::domain::language::Language;
    use crate::domain::missed_calls::Measure;
    use crate::domain::phone::PhoneNumber;
    use crate::domain::words::Words;
    use crate::domain::words::file::WordsFile;

    const BASE: &str = "https://here";

    fn connected(handling: CallHandling, addresses: Option<Option<&str>>) -> serde_json::Value {
        attempted(None, handling, addresses)
    }

    fn attempted(
        attempt: Option<Attempt>,
        handling: CallHandling,
        addresses: Option<Option<&str>>,
    ) -> serde_json::Value {
        let id = ConversationId::generate(jiff::Timestamp::UNIX_EPOCH);
        let destination = Destination::Participant {
            conversation: id,
            connect_to: PhoneNumber::try_from("447700900002").unwrap().into(),
            present_as: PhoneNumber::try_from("447451000002").unwrap().into(),
            one_way: false,
            limits: CallLimits { max_call_seconds: 600, ring_seconds: 30, warn_minutes: 0 },
            caller: Side::A,
            handling,
            left_seconds: None,
            attempt,
        };
        let follow_up =
            addresses.map(|token| FollowUp { urls: CallUrls::new(BASE, id), whisper_token: token.map(str::to_owned) });
        let ncco = serde_json::to_string(&answer(destination, &Words::default().speech(None), follow_up)).unwrap();
        serde_json::from_str(&ncco.replace(&id.to_string(), "ID")).unwrap()
    }

    #[test]
    fn live_route_is_answered_with_talk_and_connect() {
        let plain = json!([
            {"action": "talk", "text": "Connecting your call.", "language": "en-GB"},
            {"action": "connect", "from": "447451000002", "timeout": 30, "limit": 565,
             "endpoint": [{"type": "phone", "number": "447700900002"}]},
        ]);
        assert_eq!(connected(CallHandling::default(), None), plain);
        let guarded =
            CallHandling { guard: Guard::Press1, missed_calls: vec![Measure::Say].into(), ..CallHandling::default() };
        assert_eq!(connected(guarded, None), plain, "nothing could take the key");
        let with_url = connected(CallHandling::default(), Some(None));
        assert_eq!(with_url[1]["eventUrl"], json!(["https://here/webhooks/event/ID"]));
        assert_eq!((&with_url[1]["eventType"], with_url.as_array().unwrap().len()), (&json!(null), 2));
    }

    #[test]
    fn handled_call_asks_what_comes_next() {
        let missed =
            CallHandling { guard: Guard::None, missed_calls: vec![Measure::Say].into(), ..CallHandling::default() };
        let ncco = connected(missed, Some(None));
        assert_eq!((&ncco[1]["eventType"], ncco.as_array().unwrap().len()), (&json!("synchronous"), 2), "{ncco}");
        assert_eq!(ncco[1]["eventUrl"], json!(["https://here/webhooks/event/ID"]));

        let pressed = connected(CallHandling { guard: Guard::Press1, ..missed }, Some(Some("token")));
        let on_answer = &pressed[1]["endpoint"][0]["onAnswer"];
        assert_eq!(on_answer, &json!({"url": "https://here/webhooks/whisper/token"}));
        let after = json!({"action": "notify", "payload": {"about": "the end of a guarded leg"},
                           "eventUrl": ["https://here/webhooks/event/ID/after-b"]});
        assert_eq!(pressed[2], after);

        let detected = connected(CallHandling { guard: Guard::Detect, ..Default::default() }, Some(None));
        let detection = &detected[1]["advancedMachineDetection"];
        assert_eq!(detection, &json!({"behavior": "hangup", "mode": "detect"}));
        assert_eq!((&detected[1]["eventType"], &detected[2]), (&json!("synchronous"), &after));
        assert!(detected[1]["endpoint"][0].get("onAnswer").is_none());
    }

    #[test]
    fn safety_key_is_listened_for_before_the_connection() {
        let handling = CallHandling { safety_key: true, ..CallHandling::default() };
        let ncco = connected(handling, Some(None));
        let listen = json!({"action": "input", "type": ["dtmf"], "mode": "asynchronous",
                            "eventUrl": ["https://here/webhooks/event/ID/safety-b"]});
        assert_eq!((&ncco[1], &ncco[2]["action"], ncco.as_array().unwrap().len()), (&listen, &json!("connect"), 3));
        assert_eq!(connected(handling, None), connected(CallHandling::default(), None), "nobody could take the keys");
    }

    #[test]
    fn undecided_call_asks_and_never_ends_in_silence() {
        let handling = |decision| CallHandling { decision: Some(decision), ..CallHandling::default() };
        for decision in [OnFailure::Connect, OnFailure::Refuse] {
            let asked = connected(handling(decision), Some(None));
            let notify = json!({"action": "notify", "payload": {"about": "a decision"},
                                "eventUrl": ["https://here/webhooks/event/ID/decide-b"]});
            assert_eq!((&asked[0], &asked[1]["action"], &asked[2]), (&notify, &json!("talk"), &json!(null)));
        }
        let connect = connected(handling(OnFailure::Connect), None);
        assert_eq!(connect, connected(CallHandling::default(), None), "nobody can be asked");
        let refuse = connected(handling(OnFailure::Refuse), None);
        assert_eq!((&refuse[0]["action"], &refuse[1]), (&json!("talk"), &json!(null)));
    }

    #[test]
    fn attempt_is_part_of_all_addresses_of_its_leg() {
        let attempt = Attempt::first(1_001, jiff::Timestamp::UNIX_EPOCH);
        let handling = CallHandling { guard: Guard::Press1, max_attempts: Some(3), ..CallHandling::default() };
        let ncco = attempted(Some(attempt), handling, Some(Some("token")));
        assert_eq!(ncco[1]["eventUrl"], json!(["https://here/webhooks/event/ID/leg-b-1.1001.0"]));
        assert_eq!(ncco[2]["eventUrl"], json!(["https://here/webhooks/event/ID/after-b-1.1001.0"]));
        assert_eq!((&ncco[1]["eventType"], &ncco[1]["limit"]), (&json!("synchronous"), &json!(480)));
        let plain = attempted(Some(attempt), CallHandling { guard: Guard::None, ..handling }, Some(None));
        assert_eq!((&plain[1]["eventType"], plain.as_array().unwrap().len()), (&json!("synchronous"), 2));
        let alone = attempted(Some(attempt), handling, None);
        assert!(alone[1].get("eventType").is_none(), "nobody could be asked for the next phone");
    }

    #[test]
    fn call_that_is_cut_short_says_how_long_it_may_last() {
        let of = |left_seconds| {
            let destination = Destination::Participant {
                conversation: ConversationId::generate(jiff::Timestamp::UNIX_EPOCH),
                connect_to: PhoneNumber::try_from("447700900002").unwrap().into(),
                present_as: PhoneNumber::try_from("447451000002").unwrap().into(),
                one_way: false,
                limits: CallLimits { max_call_seconds: 600, ring_seconds: 30, warn_minutes: 0 },
                left_seconds,
                caller: Side::A,
                handling: CallHandling::default(),
                attempt: None,
            };
            let ncco = answer(destination, &Words::default().speech(None), None);
            let value = serde_json::to_value(&ncco).unwrap();
            (spoken(&ncco), value.as_array().unwrap().last().unwrap()["limit"].clone())
        };
        for (left, sentence, limit) in [
            (Some(125), "Connecting your call. Minutes left for this call: 2.", 125),
            (Some(119), "Connecting your call. Minutes left for this call: 1.", 119),
            (Some(5), "Connecting your call. Less than a minute is left for this call.", 5),
            (Some(564), "Connecting your call. Minutes left for this call: 9.", 559),
            (Some(565), "Connecting your call.", 565),
            (None, "Connecting your call.", 565),
        ] {
            assert_eq!(of(left), (sentence.to_owned(), json!(limit)));
        }
    }

    #[test]
    fn every_other_call_is_answered_with_talk_only() {
        let id = ConversationId::generate(jiff::Timestamp::UNIX_EPOCH);
        let refused = [
            Destination::Exhausted(id),
            Destination::Blocked(id),
            Destination::Closed(id),
            Destination::Paused(id),
            Destination::Ended(id),
            Destination::Replaced(id),
            Destination::ReceiveOnly,
            Destination::Nobody,
        ];
        let words = Words::default();
        let speech = words.speech(None);
        let refused = refused.map(|nobody| answer(nobody, &speech, None));
        let unknown = [Decision::NoNumber, Decision::Hidden, Decision::Unclear];
        let unknown = unknown.map(|decision| decided(decision, &speech, None));
        for ncco in refused.into_iter().chain(unknown) {
            assert!(!ncco.is_empty() && ncco.iter().all(|action| matches!(action, Action::Talk { .. })));
        }
    }

    #[test]
    fn sentence_has_voice_of_language_or_is_a_recording() {
        let own = json!({"de": {
            "call.ended": {"audio": "https://words.example/de/ended.mp3"},
            "voice": {"language": "de-DE", "style": 2, "premium": true},
        }});
        let file = WordsFile::read(own.to_string().as_bytes(), false).unwrap();
        let (words, german) = (Words::of_file(Language::english(), None, file), Language::try_from("de-AT").unwrap());
        let speech = words.speech(Some(&german));
        let said = |sentence| serde_json::to_value(say(&speech, sentence)).unwrap();
        assert_eq!(
            said(Spoken::Connecting),
            json!({"action": "talk", "text": "Sie werden verbunden.", "language": "de-DE", "style": 2, "premium": true})
        );
        assert_eq!(
            said(Spoken::Ended),
            json!({"action": "stream", "streamUrl": ["https://words.example/de/ended.mp3"]})
        );
    }
}
