//! The next actions in a call: after a key at the guard, after a leg that nobody took, and after a key in the menu for its caller.
//! After a leg that nobody took, the next phone of the side is tried, as long as there is one.
//!
//! Vonage may ask twice. The answer is then the same, and nobody is texted twice.

use std::sync::Arc;

use jiff::Timestamp;

use crate::clock::{SharedClock, whole_second};
use crate::domain::attempt::Attempt;
use crate::domain::call_limits::CallLimits;
use crate::domain::call_recording::CallRecording;
use crate::domain::channel::BrandSenders;
use crate::domain::conversation::{Conversation, ConversationId};
use crate::domain::decision::Decision;
use crate::domain::missed_calls::{Measure, Missed, NEWS};
use crate::domain::phone::{RealNumber, VirtualNumber};
use crate::domain::recording::{Recording, RecordingId, RecordingKind, RecordingState};
use crate::domain::recording_work::RecordingWork;
use crate::domain::route::Destination;
use crate::domain::side::Side;
use crate::domain::words::addressee::Addressee;
use crate::domain::words::sentence::Spoken;
use crate::domain::words::{Speech, Words};
use crate::invoke::AsyncFunction;
use crate::service::call_texts::{CallText, CallTextOrder, CallTexts};
use crate::service::place_call::decide;
use crate::store::{LegIds, Store, StoreError};
use crate::vonage::call_steps;
use crate::vonage::call_urls::CallUrls;
use crate::vonage::ncco::{Connection, Ncco, say};
use crate::vonage::record_event::RecordEvent;
use crate::vonage::texts::TextSender;

/// The key that takes a call, and that asks for a call back.
const YES: &str = "1";

/// The key that leads to a message.
const MESSAGE: &str = "2";

/// Decides what comes next in calls.
pub struct CallSteps<T> {
    /// The table.
    pub store: Store,
    /// Sends text messages.
    pub texts: T,
    /// The words for people.
    pub words: Words,
    /// The function that texts people with a channel.
    pub elsewhere: Option<Arc<AsyncFunction>>,
    /// The clock.
    pub clock: SharedClock,
}

/// The next step of a call.
#[derive(Debug)]
pub enum Next {
    /// Another phone of the side is tried. The last is for words to the caller before that.
    Try(Box<Connection>, Addressee),
    /// The caller hears this.
    Hear(Ncco),
}

/// A leg that ended without an answer, at `time`.
#[derive(Debug, Clone, Copy)]
pub struct MissedLeg<'a> {
    /// The callee's phone.
    pub phone: &'a RealNumber,
    /// The number that called it.
    pub mask: &'a VirtualNumber,
    /// The reason.
    pub reason: Missed,
    /// The time of the event.
    pub time: Timestamp,
    /// The attempt, if the call may try several phones.
    pub attempt: Option<Attempt>,
}

/// The answer to a callee at the guard.
#[derive(Debug)]
pub struct GuardAnswer {
    /// The actions on the callee's leg.
    pub ncco: Ncco,
    /// True if the callee took the call. If not, the leg waits alone until it is hung up.
    pub is_accepted: bool,
}

impl<T: TextSender> CallSteps<T> {
    /// Returns what comes after a leg that nobody took: another phone, or what the caller hears. Tells the callee after the last
    /// attempt. `None` if the conversation wants nothing.
    pub async fn after_missed_leg(
        &self,
        id: ConversationId,
        leg: MissedLeg<'_>,
        urls: &CallUrls,
    ) -> Result<Option<Next>, StoreError> {
        let Some(conversation) = self.store.conversation(id, self.clock.now()).await? else { return Ok(None) };
        let Some((callee, _)) = conversation.callee(leg.phone, leg.mask) else { return Ok(None) };
        if let Some(next) = self.next_phone(&conversation, callee, leg.attempt, leg.time).await? {
            return Ok(Some(next));
        }
        self.tell_both(&conversation, callee, leg.reason, leg.time, urls).await
    }

    /// Returns what comes after the leg of a callee with guard, who was asked and is gone: nothing if the callee took the call.
    pub async fn after_guarded_leg(
        &self,
        id: ConversationId,
        (callee, attempt): (Side, Option<Attempt>),
        call: &str,
        urls: &CallUrls,
    ) -> Result<Option<Next>, StoreError> {
        let now = self.clock.now();
        let Some(conversation) = self.store.conversation(id, now).await? else { return Ok(None) };
        if self.store.is_call_accepted(id, call, conversation.handling.guard).await? {
            return Ok(None);
        }
        if let Some(next) = self.next_phone(&conversation, callee, attempt, now).await? {
            return Ok(Some(next));
        }
        self.tell_both(&conversation, callee, Missed::Unanswered, now, urls).await
    }

    /// Returns the connection with the phone after the `last` attempt, which nobody took at `time`. `None` if no further phone is to
    /// be tried, or if the caller may not be connected any more. A limit that this call has reached does not end it.
    async fn next_phone(
        &self,
        conversation: &Conversation,
        callee: Side,
        last: Option<Attempt>,
        time: Timestamp,
    ) -> Result<Option<Next>, StoreError> {
        let caller = callee.other();
        let Some(last) = last else { return Ok(None) };
        if !conversation.is_active(self.clock.now()) || conversation.is_blocked(caller) {
            return Ok(None);
        }
        let Some((attempt, phone, ring_seconds)) = conversation.next_attempt(callee, last, time) else {
            return Ok(None);
        };
        let left_seconds = match conversation.usage_limits.cut_calls() {
            true => conversation.seconds_left(&self.store.usage(conversation.id).await?.tally, caller),
            false => None,
        };
        let connection = Connection {
            connect_to: phone.number.clone(),
            present_as: conversation.masked_by(caller).clone(),
            limits: CallLimits { ring_seconds, ..conversation.limits },
            handling: conversation.handling,
            caller,
            left_seconds,
            attempt: Some(attempt),
        };
        Ok((left_seconds != Some(0)).then(|| Next::Try(Box::new(connection), conversation.addressee(caller))))
    }

    /// Returns what a callee with guard hears before the connection. Without the conversation, which may just have been erased, and
    /// without `urls` nothing could take the key, and the callee must not be connected unasked.
    pub async fn whisper(
        &self,
        id: ConversationId,
        callee: (Side, Option<Attempt>),
        urls: Option<&CallUrls>,
    ) -> Result<Ncco, StoreError> {
        let conversation = self.store.conversation(id, self.clock.now()).await?;
        Ok(match (conversation, urls) {
            (Some(conversation), Some(urls)) => call_steps::whisper(&self.words, &conversation, callee, urls),
            _ => call_steps::declined(&self.speech_about_gone(id).await?, id),
        })
    }

    /// Returns the words about a conversation that is gone, in the language of those who have no other: the words of its owner, whose name
    /// stays when it is erased. One read, if a tenant has words.
    async fn speech_about_gone(&self, id: ConversationId) -> Result<Speech<'_>, StoreError> {
        let owner = if self.words.have_tenants() { self.store.owner_of(id).await? } else { None };
        Ok(self.words.of(owner.unwrap_or_default()).speech(None))
    }

    /// Returns the answer to the callee who pressed these keys at the guard. The consent is stored first. Without its ids a leg cannot
    /// be told from others, so it is declined.
    pub async fn at_guard(
        &self,
        id: ConversationId,
        (callee, attempt): (Side, Option<Attempt>),
        keys: &str,
        ids: Option<LegIds>,
        urls: Option<&CallUrls>,
    ) -> Result<GuardAnswer, StoreError> {
        let now = self.clock.now();
        let declined = |ncco| GuardAnswer { ncco, is_accepted: false };
        let nobody = async || Ok(declined(call_steps::declined(&self.speech_about_gone(id).await?, id)));
        let Some(conversation) = self.store.conversation(id, now).await? else { return nobody().await };
        let speech = call_steps::speech_to_callee(&self.words, &conversation, callee, attempt);
        let (YES, Some(ids)) = (keys, ids) else {
            return Ok(declined(call_steps::declined(&speech, id)));
        };
        if !self.store.accept_call(&conversation, (callee, attempt), &ids, now).await? {
            return nobody().await;
        }
        let mut ncco = call_steps::accepted(&speech);
        let recording = match conversation.handling.recording {
            // The caller did not agree, so the callee is not asked.
            CallRecording::Consent if !self.store.has_caller_agreed(id, &ids.call).await? => CallRecording::Off,
            recording => recording,
        };
        ncco.extend(
            urls.map(|urls| call_steps::before_recording(&speech, recording, (callee, attempt), urls))
                .into_iter()
                .flatten(),
        );
        Ok(GuardAnswer { ncco, is_accepted: true })
    }

    /// Returns what comes next for a caller who was asked if the call may be recorded. Key 1 is consent, which is stored first.
    pub async fn consent(
        &self,
        id: ConversationId,
        callee: Side,
        keys: &str,
        ids: Option<LegIds>,
        answer: impl FnOnce(Decision, &Speech<'_>) -> Ncco,
    ) -> Result<Ncco, StoreError> {
        let (now, caller) = (self.clock.now(), callee.other());
        let Some(conversation) = self.store.conversation(id, now).await? else {
            return Ok(vec![say(&self.speech_about_gone(id).await?, Spoken::Ended)]);
        };
        let agrees = match ids.filter(|_| keys == YES) {
            Some(ids) => self.store.agree_to_recording(&conversation, caller, &ids, now).await?,
            None => false,
        };
        let mut decision = decide(&self.store, &conversation, caller, now).await?;
        if let (Decision::Routed(Destination::Participant { handling, .. }), false) = (&mut decision, agrees) {
            handling.recording = CallRecording::Off;
        }
        let speech = call_steps::speech_to(&self.words, &conversation, caller);
        Ok(answer(decision, &speech))
    }

    /// Returns what the callee hears who was asked if the call may be recorded. It is recorded from here on if both pressed 1.
    pub async fn agree(
        &self,
        id: ConversationId,
        (callee, attempt): (Side, Option<Attempt>),
        keys: &str,
        call: Option<&str>,
        urls: Option<&CallUrls>,
    ) -> Result<Ncco, StoreError> {
        let conversation = self.store.conversation(id, self.clock.now()).await?;
        let Some(conversation) = conversation else {
            return Ok(call_steps::after_consent(&self.speech_about_gone(id).await?, false, callee, None));
        };
        let both_agree = match call.filter(|_| keys == YES) {
            Some(call) => self.store.has_caller_agreed(id, call).await?,
            None => false,
        };
        let speech = call_steps::speech_to_callee(&self.words, &conversation, callee, attempt);
        Ok(call_steps::after_consent(&speech, both_agree, callee, urls))
    }

    /// Returns what comes next for the participant who was called first, because a request placed the call, and pressed these keys.
    /// After key 1 it is what a call dialled by that participant would get now.
    pub async fn join(
        &self,
        id: ConversationId,
        first: Side,
        keys: &str,
        answer: impl FnOnce(Decision, &Speech<'_>) -> Ncco,
    ) -> Result<Ncco, StoreError> {
        let now = self.clock.now();
        let Some(conversation) = self.store.conversation(id, now).await? else {
            return Ok(vec![say(&self.speech_about_gone(id).await?, Spoken::Ended)]);
        };
        let speech = call_steps::speech_to(&self.words, &conversation, first);
        if keys != YES {
            return Ok(vec![say(&speech, Spoken::Goodbye)]);
        }
        let decision = decide(&self.store, &conversation, first, now).await?;
        Ok(answer(decision, &speech))
    }

    /// Returns what the caller hears who pressed these keys after a missed call. Key 1 asks the callee to call back, and key 2
    /// records a message. Without `urls` nobody would learn of the message.
    pub async fn in_menu(
        &self,
        id: ConversationId,
        callee: Side,
        keys: &str,
        urls: Option<&CallUrls>,
    ) -> Result<Ncco, StoreError> {
        let now = self.clock.now();
        let Some(conversation) = self.store.conversation(id, now).await? else {
            return Ok(call_steps::menu_answer(&self.speech_about_gone(id).await?, false));
        };
        let speech = call_steps::speech_to(&self.words, &conversation, callee.other());
        if let (MESSAGE, true, Some(urls)) = (keys, call_steps::takes_messages(&conversation), urls) {
            return Ok(call_steps::voicemail(&speech, callee, urls));
        }
        let is_asked = keys == YES && call_steps::offers_call_back(&conversation, callee);
        if is_asked {
            self.text(&conversation, callee, CallText::CallBack).await?;
        }
        Ok(call_steps::menu_answer(&speech, is_asked))
    }

    /// Notes that there is a message or a recorded call, whose file is fetched later. Returns its id, if it is new.
    pub async fn recorded(
        &self,
        id: ConversationId,
        kind: RecordingKind,
        callee: Side,
        event: RecordEvent,
        urls: Option<&CallUrls>,
    ) -> Result<Option<RecordingId>, StoreError> {
        let now = self.clock.now();
        let Some(conversation) = self.store.conversation(id, now).await? else { return Ok(None) };
        let base = urls.map(|urls| urls.base().to_owned());
        let recording = Recording {
            conversation: id,
            id: event.id,
            kind,
            state: RecordingState::Waiting,
            caller: callee.other(),
            call: event.call,
            url: event.url,
            size: event.size,
            duration: event.duration,
            made_at: whole_second(event.ended_at.unwrap_or(now)),
            kept_until: None,
        };
        let work = RecordingWork::fetch(id, recording.id.clone(), base, whole_second(now));
        let is_new = self.store.note_recording(&conversation, &recording, &work).await?;
        Ok(is_new.then_some(recording.id))
    }

    async fn tell_both(
        &self,
        conversation: &Conversation,
        callee: Side,
        reason: Missed,
        time: Timestamp,
        urls: &CallUrls,
    ) -> Result<Option<Next>, StoreError> {
        let measures = conversation.handling.missed_calls;
        if measures.includes(Measure::Text) && self.clock.now().duration_since(time) < NEWS {
            self.text(conversation, callee, CallText::Missed).await?;
        }
        // Without words the guard would leave the caller in silence.
        let is_wanted = conversation.handling.has_words();
        Ok(is_wanted.then(|| Next::Hear(call_steps::missed(&self.words, conversation, callee, reason, urls))))
    }

    /// Texts the participant on the side `to` about a call, unless that was done a moment ago.
    pub(super) async fn text(&self, conversation: &Conversation, to: Side, about: CallText) -> Result<(), StoreError> {
        let elsewhere = self.elsewhere.as_deref();
        if CallTextOrder::hand_on(elsewhere, conversation, (to, about), self.clock.now()).await {
            return Ok(());
        }
        let Self { store, texts, words, clock, .. } = self;
        CallTexts { store, texts, senders: &BrandSenders::default(), words, clock }.send(conversation, to, about).await
    }
}
