//! Rules for what comes next in a call: when the callee's line is busy, when the caller of a missed call presses a key, and at the
//! guard. Of each kind a person gets one text message in ten minutes at most. It is noted before it is sent, so a process that
//! crashes may have noted it without sending it, and never the other way round.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use shared::domain::attempt::Attempt;
use shared::domain::call::{Direction, Status};
use shared::domain::call_recording::CallRecording;
use shared::domain::conversation::{Conversation, ConversationId};
use shared::domain::decision::Decision;
use shared::domain::guard::Guard;
use shared::domain::missed_calls::{Measure, Missed};
use shared::domain::route::Destination;
use shared::domain::side::Side;
use shared::domain::words::sentence::{Spoken, Text};
use shared::domain::words::{Speech, Words};
use shared::service::call_steps::{CallSteps, MissedLeg, Next};
use shared::store::{LegIds, StoreError};
use shared::vonage::call_steps as said;
use shared::vonage::call_urls::CallUrls;
use shared::vonage::ncco::{self, FollowUp, Ncco, Settled, say};

use crate::carrier::{Sent, SmsOutcome, Texts};
use crate::legs::{PlacedCall, StoredLeg};
use crate::model::{Model, ModelConversation, RouteKey, Verdict, ensure, route_key};
use crate::system::{Operation, Outcome};
use crate::table::Table;

/// Time after a text message in which there is no other one of its kind, and after a missed call in which it is news.
const BURST: SignedDuration = SignedDuration::from_mins(10);

/// Time for which a phone rings before anything happens.
pub const RINGING: SignedDuration = SignedDuration::from_secs(2);

/// Somebody who was texted: the conversation, the index of the side, and true if it was a caller who asked to be called back.
pub type Telling = (ConversationId, usize, bool);

/// A step of a call that was connected.
#[derive(Debug, Clone)]
pub struct CallStep {
    pub call: PlacedCall,
    pub asked: Asked,
}

/// The reason for which Vonage asks what comes next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Asked {
    /// The callee's line is busy.
    Busy,
    /// The caller of a missed call pressed 1, or another key.
    Menu(bool),
    /// The callee pressed 1 at the guard, or another key.
    Guard(bool),
    /// The leg of a call with guard has ended.
    After,
    /// The caller was asked if the call may be recorded, and the callee was.
    Consent(bool),
    Agree(bool),
    /// The callee has answered, and hears something before the connection.
    Whisper,
    /// The caller of a missed call wants to leave a message.
    Message,
}

impl Asked {
    pub fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            4 => Just(Self::Busy),
            3 => prop::bool::weighted(0.8).prop_map(Self::Menu),
            2 => prop::bool::weighted(0.7).prop_map(Self::Guard),
            3 => Just(Self::After),
            1 => any::<bool>().prop_map(Self::Consent),
            1 => any::<bool>().prop_map(Self::Agree),
            1 => Just(Self::Whisper),
            1 => Just(Self::Message),
        ]
    }

    /// The questions of Vonage in one call and in the calls that follow it at once.
    pub fn some() -> impl Strategy<Value = Vec<Self>> {
        let asked = (any::<bool>(), any::<bool>(), 0..3usize);
        asked.prop_map(|(takes, yes, further)| {
            let (guard, busy) = ([Self::Guard(takes), Self::After], [Self::Busy, Self::Menu(yes), Self::Menu(true)]);
            guard.into_iter().chain(busy.into_iter().take(1 + further)).collect()
        })
    }

    /// Name under which the coverage report counts it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy callee",
            Self::Menu(_) => "menu of a missed call",
            Self::Guard(_) => "guard",
            Self::After => "end of a guarded leg",
            Self::Consent(_) => "consent of the caller",
            Self::Agree(_) => "consent of the callee",
            Self::Whisper => "whisper",
            Self::Message => "message",
        }
    }
}

impl CallStep {
    /// Asks what comes next, as the event webhook does.
    pub async fn ask(&self, steps: &CallSteps<Texts>) -> Result<Option<Next>, StoreError> {
        let (id, side, urls) = (self.call.conversation, self.call.callee_side, self.urls());
        let attempt = self.attempt();
        match self.asked {
            Asked::Busy => {
                let (phone, mask) = (&self.call.callee.0, &self.call.callee.1);
                let leg = MissedLeg { phone, mask, reason: Missed::Busy, time: self.time(), attempt };
                steps.after_missed_leg(id, leg, &urls).await
            }
            Asked::Menu(yes) => steps.in_menu(id, side, key(yes), Some(&urls)).await.map(heard),
            Asked::Guard(yes) => {
                let ids = LegIds { call: self.call.conversation_uuid(), leg: self.uuid() };
                steps
                    .at_guard(id, (side, attempt), key(yes), Some(ids), Some(&urls))
                    .await
                    .map(|answer| heard(answer.ncco))
            }
            Asked::Message => steps.in_menu(id, side, MESSAGE, Some(&urls)).await.map(heard),
            Asked::Whisper => steps.whisper(id, (side, attempt), Some(&urls)).await.map(heard),
            Asked::Consent(yes) => {
                let ids = LegIds { call: self.call.conversation_uuid(), leg: self.call.uuid(Direction::Inbound) };
                let answer = |decision: Decision, speech: &Speech<'_>| {
                    ncco::decided_after(Settled::Consent, decision, speech, Some(self.follow_up()))
                };
                steps.consent(id, side, key(yes), Some(ids), answer).await.map(heard)
            }
            Asked::Agree(yes) => {
                let call = self.call.conversation_uuid();
                steps.agree(id, (side, attempt), key(yes), Some(&call), Some(&urls)).await.map(heard)
            }
            Asked::After => steps.after_guarded_leg(id, (side, attempt), &self.call.conversation_uuid(), &urls).await,
        }
    }

    /// The id of the callee's leg.
    pub fn uuid(&self) -> String {
        self.call.uuid(Direction::Outbound)
    }

    /// The leg that the callee takes by this step.
    pub fn pressed(&self) -> Option<String> {
        match self.asked {
            Asked::Guard(true) => Some(self.uuid()),
            Asked::Consent(true) => Some(self.call.uuid(Direction::Inbound)),
            _ => None,
        }
    }

    fn attempt(&self) -> Option<Attempt> {
        self.call.hunt.as_ref().map(|hunt| hunt.attempt)
    }

    /// The time at which the callee's leg ended.
    pub fn time(&self) -> Timestamp {
        self.call.begins(Direction::Outbound) + self.call.rings()
    }

    fn follow_up(&self) -> FollowUp {
        FollowUp { urls: self.urls(), whisper_token: None }
    }

    fn urls(&self) -> CallUrls {
        CallUrls::new("https://maskline.example", self.call.conversation)
    }
}

fn heard(ncco: Ncco) -> Option<Next> {
    Some(Next::Hear(ncco))
}

/// The key that leads to a message.
const MESSAGE: &str = "2";

fn key(yes: bool) -> &'static str {
    if yes { "1" } else { "3" }
}

impl Operation {
    /// The step of a call, if it is one.
    pub fn step(&self) -> Option<&CallStep> {
        match self {
            Self::Step(step) => Some(step),
            _ => None,
        }
    }

    /// True if it belongs to a call, and only the state after it shows what it did.
    pub fn is_of_call(&self) -> bool {
        matches!(
            self,
            Self::Event(_)
                | Self::Step(_)
                | Self::Pin(_)
                | Self::Late(_)
                | Self::Dial(_)
                | Self::HangUp(_)
                | Self::Press(_)
                | Self::Recorded(_)
                | Self::Keep
        )
    }

    /// True if only the state after it shows how far a crashed process came.
    pub fn shows_itself(&self) -> bool {
        let is_of_call = self.is_of_call() && self.event().is_none();
        self.provisions() || self.is_many_changes() || is_of_call
    }
}

impl Model {
    /// Returns the step of a call, if it can have come to that.
    pub fn step(&self, call: PlacedCall, asked: Asked) -> Option<CallStep> {
        let handling = self.conversations.get(&call.conversation).map(|found| found.expected.handling);
        // Vonage may still ask about a conversation that was erased.
        let is_sensible = handling.is_none_or(|handling| match asked {
            Asked::Busy => true,
            Asked::Menu(_) => handling.missed_calls.includes(Measure::CallBack),
            Asked::Guard(_) | Asked::After => handling.guard == Guard::Press1,
            Asked::Consent(_) | Asked::Agree(_) => handling.recording == CallRecording::Consent,
            Asked::Whisper => handling.whispers(),
            Asked::Message => handling.missed_calls.includes(Measure::Voicemail),
        });
        let step = CallStep { call, asked };
        let is_sensible =
            is_sensible && (step.call.hunt.is_some() || handling.is_none_or(|handling| !handling.is_plain()));
        (is_sensible && step.call.is_named && step.time() <= self.now).then_some(step)
    }

    /// The route keys of a side of the live conversations that have more to do about calls, latest first.
    pub fn handled(&self, side: Side) -> Vec<RouteKey> {
        let live = self.conversations.values().rev().map(|found| (found, &found.expected));
        let handled = live
            .filter(|(found, is)| found.is_live(self.now) && !is.handling.is_plain() && is.direction.includes(side));
        handled.map(|(_, is)| route_key(is, side)).collect()
    }

    fn readable(&self, step: &CallStep) -> Option<&ModelConversation> {
        let found = self.conversations.get(&step.call.conversation)?;
        found.is_readable(self.now).then_some(&**found)
    }

    fn is_taken(&self, step: &CallStep) -> bool {
        let (uuid, further) = (format!("out-{}", step.call.id), format!("out-{}-", step.call.id));
        let is_of_call = |leg: &str| *leg == uuid || leg.starts_with(&further);
        let legs = self.legs.iter().filter(|((id, leg), _)| *id == step.call.conversation && is_of_call(leg));
        let guard = self.readable(step).map(|found| found.expected.handling.guard);
        let is_taken = |leg: &StoredLeg| match guard {
            Some(Guard::Press1) => leg.is_accepted,
            _ => leg.statuses.contains(&Status::Answered),
        };
        legs.map(|(_, leg)| leg).any(is_taken)
    }

    /// Returns the text message that a step wants to send, be it the first one or not.
    fn wants(&self, step: &CallStep) -> Option<Telling> {
        let found = self.readable(step)?;
        if self.goes_on(step) {
            return None;
        }
        let (is, side) = (&found.expected, step.call.callee_side);
        let (is_wanted, asks) = match step.asked {
            Asked::Busy => (self.now.duration_since(step.time()) < BURST, false),
            Asked::Menu(yes) => (yes && is.direction.includes(side), true),
            Asked::Guard(_) | Asked::Consent(_) | Asked::Agree(_) | Asked::Whisper | Asked::Message => (false, false),
            Asked::After => (!self.is_taken(step), false),
        };
        let measure = if asks { Measure::CallBack } else { Measure::Text };
        let is_wanted = is_wanted && is.handling.missed_calls.includes(measure) && found.is_live(self.now);
        is_wanted.then_some((is.id, side.index(), asks))
    }

    /// True if the call tries another phone.
    fn goes_on(&self, step: &CallStep) -> bool {
        let is_over = matches!(step.asked, Asked::Busy) || step.asked == Asked::After && !self.is_taken(step);
        let is = self.readable(step).map(|found| &found.expected);
        is_over && is.is_some_and(|is| self.next_phone(is, step).is_some())
    }

    /// Returns the text message that a step has to send.
    fn tells(&self, step: &CallStep) -> Option<Telling> {
        let now = self.second();
        self.wants(step).filter(|telling| self.told.get(telling).is_none_or(|at| *at + BURST <= now))
    }

    /// Checks the words that come next, and takes over whom the step told. If others changed the conversation meanwhile, or the
    /// process crashed, it may tell nobody.
    pub fn accept_step(
        &mut self,
        step: &CallStep,
        outcome: Option<&Outcome>,
        table: &Table,
        undisturbed: bool,
    ) -> Verdict {
        match outcome {
            Some(Outcome::Step(Ok(Some(Next::Try(connection, _))))) => {
                ensure(step.asked != Asked::After || !self.is_taken(step), || format!("{step:?} was taken"))?;
                self.check_next_phone(self.readable(step).map(|found| &found.expected), step, connection)?;
            }
            Some(Outcome::Step(Ok(next))) => {
                ensure(!undisturbed || !self.goes_on(step), || format!("{step:?} does not go on: {next:?}"))?;
                let next = next.as_ref().map(|next| match next {
                    Next::Hear(ncco) => ncco,
                    Next::Try(..) => unreachable!("it is above"),
                });
                let (right, is_alone) = self.next(step);
                let found = next.map(|ncco| if is_alone { &ncco[..1] } else { &ncco[..] });
                let is_right = found == right.as_deref() && (!is_alone || next.is_some_and(|all| all.len() == 2));
                ensure(!undisturbed || is_right, || format!("{step:?} leads to {next:?}; expected {right:?}"))?;
            }
            Some(other) => return Err(format!("{step:?} failed: {other:?}")),
            None => {}
        }
        if let Some(telling) = self.tells(step) {
            let now = self.second();
            let is_told = table.told.get(&telling) == Some(&now);
            ensure(is_told || !undisturbed, || format!("{step:?} told nobody"))?;
            if is_told {
                self.told.insert(telling, now);
            }
        }
        Ok(())
    }

    /// Returns the words that come next, and true if the phone then waits alone.
    fn next(&self, step: &CallStep) -> (Option<Ncco>, bool) {
        let (words, side, found) = (Words::default(), step.call.callee_side, self.readable(step));
        let is = found.map(|found| &found.expected);
        let missed = |is: &Conversation, reason| {
            // Without words the call just ends.
            let has_words = !is.handling.missed_calls.is_none() || is.handling.guard != Guard::None;
            has_words.then(|| said::missed(&words, is, side, reason, &step.urls()))
        };
        let goodbye = |to: Side| {
            let speech = is.map_or_else(|| words.speech(None), |is| said::speech_to(&words, is, to));
            say(&speech, Spoken::Goodbye)
        };
        match (step.asked, is) {
            (Asked::Busy, Some(is)) => (missed(is, Missed::Busy), false),
            (Asked::After, Some(is)) => (missed(is, Missed::Unanswered).filter(|_| !self.is_taken(step)), false),
            (Asked::Busy | Asked::After, None) => (None, false),
            (Asked::Menu(true), Some(is)) if said::offers_call_back(is, side) => {
                (Some(vec![say(&said::speech_to(&words, is, side.other()), Spoken::MissedAsked)]), false)
            }
            (Asked::Message, Some(is)) if is.handling.missed_calls.includes(Measure::Voicemail) => {
                (Some(said::voicemail(&said::speech_to(&words, is, side.other()), side, &step.urls())), false)
            }
            (Asked::Menu(_) | Asked::Message, _) => (Some(vec![goodbye(side.other())]), false),
            (Asked::Whisper, Some(is)) => {
                (Some(said::whisper(&words, is, (side, step.attempt()), &step.urls())), false)
            }
            (Asked::Whisper, None) => (Some(vec![goodbye(side)]), true),
            (Asked::Consent(yes), Some(is)) => (Some(self.after_consent(step, is, yes)), false),
            (Asked::Consent(_), None) => (Some(vec![say(&words.speech(None), Spoken::Ended)]), false),
            (Asked::Agree(yes), Some(is)) => {
                let speech = said::speech_to_callee(&words, is, side, step.attempt());
                let both = yes && self.has_agreed(&step.call);
                (Some(said::after_consent(&speech, both, side, Some(&step.urls()))), false)
            }
            (Asked::Agree(_), None) => (Some(said::after_consent(&words.speech(None), false, side, None)), false),
            (Asked::Guard(true), Some(is)) => (Some(self.after_guard(step, is)), false),
            (Asked::Guard(_), Some(is)) => {
                (Some(vec![say(&said::speech_to_callee(&words, is, side, step.attempt()), Spoken::Goodbye)]), true)
            }
            (Asked::Guard(_), None) => (Some(vec![goodbye(side)]), true),
        }
    }

    /// Returns what a callee hears who took a call: of a recording only if it is announced to all, or if the caller agreed.
    fn after_guard(&self, step: &CallStep, is: &Conversation) -> Ncco {
        let (words, callee) = (Words::default(), (step.call.callee_side, step.attempt()));
        let speech = said::speech_to_callee(&words, is, callee.0, callee.1);
        let recording = match is.handling.recording {
            CallRecording::Consent if !self.has_agreed(&step.call) => CallRecording::Off,
            recording => recording,
        };
        let recorded = said::before_recording(&speech, recording, callee, &step.urls());
        [vec![say(&speech, Spoken::GuardTaken)], recorded].concat()
    }

    /// Returns what a caller hears who was asked for consent: the call goes on, and the callee is asked only if the caller
    /// agreed.
    fn after_consent(&self, step: &CallStep, is: &Conversation, yes: bool) -> Ncco {
        let (words, caller) = (Words::default(), step.call.callee_side.other());
        let mut destination = self.destination(&route_key(is, caller));
        if Decision::Routed(destination.clone()).conversation().is_some_and(|id| id != is.id) {
            destination = Destination::Ended(is.id);
        }
        if let Destination::Participant { handling, .. } = &mut destination
            && !yes
        {
            handling.recording = CallRecording::Off;
        }
        let speech = said::speech_to(&words, is, caller);
        ncco::decided_after(Settled::Consent, Decision::Routed(destination), &speech, Some(step.follow_up()))
    }

    /// Checks the leg that a callee took at the guard. `self` has the legs of before the step.
    pub fn check_pressed(&self, step: &CallStep, table: &Table, has_event: bool, answered: bool) -> Verdict {
        let Some(uuid) = step.pressed() else { return Ok(()) };
        let key = (step.call.conversation, uuid.clone());
        let (before, after) = (self.legs.get(&key), table.legs.get(&key));
        let is_due = answered && self.readable(step).is_some();
        let is_noted =
            |leg: &StoredLeg| if step.asked == Asked::Guard(true) { leg.is_accepted } else { leg.has_agreed };
        ensure(!is_due || after.is_some_and(is_noted), || format!("{step:?} left {after:?}"))?;
        let rest = |leg: Option<&StoredLeg>| leg.map(|leg| (leg.statuses.clone(), leg.counted)).unwrap_or_default();
        let is_gone = !self.conversations.contains_key(&key.0);
        ensure(has_event || is_gone || rest(before) == rest(after), || {
            format!("{step:?} made {after:?} of {before:?}")
        })?;
        let is_elsewhere =
            |other: &&(ConversationId, String)| step.asked == Asked::Guard(true) && other.1 == uuid && other.0 != key.0;
        let elsewhere = table.legs.keys().find(is_elsewhere);
        ensure(elsewhere.is_none(), || format!("{step:?} is of {}, but there is also {elsewhere:?}", key.0))
    }

    /// Returns the outcome of a step for the coverage report. `self` is the state after it.
    pub fn became(&self, step: &CallStep, before: &Self) -> &'static str {
        let telling = before.wants(step);
        let is_told = telling.is_some_and(|telling| self.told.get(&telling) == Some(&self.second()));
        match (step.asked, before.readable(step)) {
            (_, None) => "unknown",
            (Asked::Busy | Asked::After, _) if before.goes_on(step) => "next phone",
            (Asked::Whisper | Asked::Message, _) => "heard",
            (Asked::Agree(true), _) if !before.has_agreed(&step.call) => "the caller did not agree",
            (Asked::Consent(yes) | Asked::Agree(yes), _) => {
                if yes {
                    "agreed"
                } else {
                    "not agreed"
                }
            }
            (Asked::Guard(yes), _) => {
                if yes {
                    "taken"
                } else {
                    "declined"
                }
            }
            (Asked::After, _) if before.is_taken(step) => "taken",
            (_, Some(found)) if !found.is_live(self.now) => "over",
            _ if is_told && before.tells(step).is_some() => "texted",
            _ if telling.is_some() => "texted before",
            _ => "not texted",
        }
    }
}

/// Checks the text messages about missed calls among those that were `sent` in a step. Returns the others. `models` are those of
/// before and after it.
pub fn check_texts(
    models: [&Model; 2],
    steps: &[&CallStep],
    sent: Vec<Sent>,
    undisturbed: bool,
) -> Result<Vec<Sent>, String> {
    let [before, after] = models;
    let (mut others, mut tellings) = (Vec::new(), Vec::new());
    for text in sent {
        let Some((telling, is_theirs)) = telling_of(models, &text) else {
            others.push(text);
            continue;
        };
        // A phone that leaves at the same time may have been the next one.
        let is_new = before.told.get(&telling).is_none_or(|at| *at + BURST <= after.second());
        let is_due = |step: &&&CallStep| {
            before.tells(step) == Some(telling) || !undisturbed && is_new && after.wants(step) == Some(telling)
        };
        ensure(steps.iter().any(|step| is_due(&step)), || format!("{text:?} was not due"))?;
        ensure(is_theirs, || format!("{text:?} has the wrong receiver or sender"))?;
        ensure(!tellings.contains(&telling), || format!("{text:?} was sent twice"))?;
        let found = after.conversations.get(&telling.0);
        let is_noted = found.is_none() || after.told.get(&telling) == Some(&after.second());
        ensure(is_noted, || format!("{text:?} was sent, but not noted"))?;
        let mut records = found.into_iter().flat_map(|found| &found.expected.carrier_records);
        let is_to_record = undisturbed && text.outcome == SmsOutcome::Accepted;
        ensure(!is_to_record || records.any(|record| record.id == text.id), || format!("{text:?} has no record"))?;
        tellings.push(telling);
    }
    let due = steps.iter().filter_map(|step| before.tells(step)).find(|telling| !tellings.contains(telling));
    ensure(!undisturbed || due.is_none(), || format!("no text message was sent to {due:?}"))?;
    Ok(others)
}

/// Returns who was told by a text message about a missed call, and true if it went from and to their numbers.
fn telling_of(models: [&Model; 2], text: &Sent) -> Option<(Telling, bool)> {
    let words = Words::default();
    let conversations = models.into_iter().flat_map(|model| model.conversations.values());
    let mut told = conversations.filter(|found| found.attempt == text.attempt).filter_map(|found| {
        let is = &found.expected;
        let [reader, other] = [text.side, text.side.other()].map(|side| is.participant(side));
        let speech = words.speech(reader.language.as_ref()).with_label(other.label.as_ref()).with_number(&text.from);
        let missed = if is.direction.includes(text.side) { Text::Missed } else { Text::MissedByReceiver };
        let kinds = [(missed, false), (Text::CallBack, true)];
        let (_, asks) = kinds.into_iter().find(|(kind, _)| speech.write(*kind) == text.text)?;
        let is_theirs = reader.number == text.to && reader.sees == text.from;
        Some(((is.id, text.side.index(), asks), is_theirs))
    });
    let first = told.next()?;
    Some((first.0, first.1 || told.any(|(_, is_theirs)| is_theirs)))
}
