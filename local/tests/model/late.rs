//! Rules for lost property. After the end of a conversation a participant calls and presses 1. The other one is asked once, by a text
//! message that is noted before it is sent. The two are connected only when the other one presses 1 too, and nobody else ever is.

use jiff::SignedDuration;
use proptest::prelude::*;
use shared::domain::conversation::ConversationId;
use shared::domain::decision::Decision;
use shared::domain::phone::RealNumber;
use shared::domain::phone::caller_id::CallerId;
use shared::domain::route::Destination;
use shared::domain::side::Side;
use shared::domain::words::Words;
use shared::domain::words::addressee::Addressee;
use shared::domain::words::sentence::Text;
use shared::service::call_steps::CallSteps;
use shared::service::late_calls::Late;
use shared::store::StoreError;

use crate::carrier::{Sent, SmsOutcome, Texts};
use crate::case::Case;
use crate::connection::Moment;
use crate::expectations::Execution;
use crate::legs::{CALLS, PlacedCall};
use crate::model::{Model, ModelConversation, Verdict, ensure};
use crate::phones::members;
use crate::pins::any_stranger;
use crate::scenario::canonical;
use crate::steps::{Action, ConversationRef, Step};
use crate::system::{Operation, Outcome};
use crate::table::Table;

/// Time in which the same person is not asked again.
const BURST: SignedDuration = SignedDuration::from_hours(6);

/// Time in which the one who was asked may agree.
const HOLDS: SignedDuration = SignedDuration::from_hours(24);

/// A key that a late caller presses.
#[derive(Debug, Clone)]
pub struct LateKey {
    pub conversation: ConversationId,
    pub caller: Side,
    /// The phone. `None` if its number is hidden.
    pub phone: Option<RealNumber>,
    pub yes: bool,
}

/// A key that is pressed, with the conversation by its place among those that are over, latest first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LateAction {
    pub nth: usize,
    pub caller: Side,
    pub phone: LatePhone,
    pub yes: bool,
}

/// The phone of a late caller.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LatePhone {
    Own,
    OfTheOther,
    Hidden,
    Strange,
}

impl LateAction {
    pub fn any() -> impl Strategy<Value = Self> {
        let phone = prop_oneof![
            8 => Just(LatePhone::Own),
            1 => Just(LatePhone::OfTheOther),
            1 => Just(LatePhone::Hidden),
            1 => Just(LatePhone::Strange),
        ];
        let caller = prop_oneof![Just(Side::A), Just(Side::B)];
        (0..3usize, caller, phone, prop::bool::weighted(0.8)).prop_map(|(nth, caller, phone, yes)| Self {
            nth,
            caller,
            phone,
            yes,
        })
    }
}

impl Step {
    /// Returns actions in which a conversation ends, and somebody asks because of lost property.
    pub fn lose_property() -> impl Strategy<Value = Self> {
        let moment = prop_oneof![Just(Moment::Before), Just(Moment::After)];
        let crash = prop::option::weighted(0.4, (0..4u8, moment));
        let caller = prop_oneof![Just(Side::A), Just(Side::B)];
        (0..4usize, caller, any::<bool>(), crash).prop_map(|(nth, caller, agrees, crash)| Self::LoseProperty {
            nth,
            caller,
            agrees,
            crash,
        })
    }
}

impl LateKey {
    /// Presses the key, as the event webhook reads it.
    pub async fn press(&self, steps: &CallSteps<Texts>) -> Result<(Late, Addressee), StoreError> {
        let phone = self.phone.as_ref().map(|phone| CallerId::Phone(phone.as_phone().clone()));
        let (caller, keys) = (phone.unwrap_or(CallerId::Hidden), if self.yes { "1" } else { "2" });
        steps.late_key(self.conversation, self.caller.other(), keys, &caller).await
    }
}

impl Operation {
    /// The key of a late caller, if it is one.
    pub fn late(&self) -> Option<&LateKey> {
        match self {
            Self::Late(key) => Some(key),
            _ => None,
        }
    }
}

/// Name of what a late caller meets.
pub fn met(late: &Late) -> &'static str {
    match late {
        Late::Agreed(_) => "agreed",
        Late::Asked => "asked",
        Late::Declined(_) => "declined",
    }
}

impl Case {
    /// Returns the key that an action means, if a conversation is over.
    pub fn late_key(&self, action: LateAction) -> Option<LateKey> {
        let model = &self.model;
        let over =
            model.conversations.values().filter(|found| !found.is_live(model.now) && found.is_readable(model.now));
        let mut over: Vec<_> = over.collect();
        over.sort_by_key(|found| {
            let is = &found.expected;
            (is.late.lost_property, model.now < found.quarantined_until(), is.ended_at.unwrap_or(is.expires_at), is.id)
        });
        let is = &over.into_iter().rev().nth(action.nth)?.expected;
        let of = |side: Side| Some(is.participant(side).number.clone());
        let phone = match action.phone {
            LatePhone::Own => of(action.caller),
            LatePhone::OfTheOther => of(action.caller.other()),
            LatePhone::Hidden => None,
            LatePhone::Strange => Some(any_stranger()),
        };
        Some(LateKey { conversation: is.id, caller: action.caller, phone, yes: action.yes })
    }

    /// Ends a live conversation with care for lost property. One side then asks twice, and after it the other one, if it agrees.
    pub async fn lose_property(
        &mut self,
        nth: usize,
        caller: Side,
        agrees: bool,
        crash: Option<(u8, Moment)>,
    ) -> Verdict {
        let model = &self.model;
        let is_one = |id: &&ConversationId| {
            let found = model.conversations.get(id);
            found.is_some_and(|found| found.is_live(model.now) && found.expected.late.lost_property)
        };
        let live: Vec<_> = self.ids.iter().filter(is_one).copied().collect();
        let Some(id) = live.get(nth % live.len().max(1)) else { return self.skip() };
        let last = self.ids.iter().rev().position(|one| one == id).unwrap();
        Box::pin(self.step(&Step::Do(Action::End(ConversationRef::Last(last))))).await?;
        let press = |caller: Side| Action::Late(LateAction { nth: 0, caller, phone: LatePhone::Own, yes: true });
        let asks = match crash {
            Some((nth, moment)) => Step::Crash { action: press(caller), nth, moment, concurrent: None },
            None => Step::Concurrently(press(caller), press(caller)),
        };
        Box::pin(self.step(&asks)).await?;
        let other = if agrees { caller.other() } else { caller };
        Box::pin(self.step(&Step::Do(press(other)))).await
    }

    /// Notes the late callers who were connected.
    pub fn note_agreed(&mut self, executions: &[Execution]) {
        for execution in executions {
            let (Operation::Late(key), Some(Outcome::Late(Ok((Late::Agreed(decision), _))))) =
                (&execution.operation, &execution.outcome)
            else {
                continue;
            };
            let Some(found) = self.model.conversations.get(&key.conversation) else { continue };
            let Decision::Routed(Destination::Participant { connect_to, present_as, handling, .. }) = &**decision
            else {
                continue;
            };
            let call = PlacedCall {
                id: self.placed,
                conversation: key.conversation,
                at: self.model.now,
                caller: (key.phone.clone().unwrap(), found.expected.participant(key.caller).sees.clone()),
                callee: (connect_to.clone(), present_as.clone()),
                callee_side: key.caller.other(),
                is_named: handling.needs_addresses(),
                is_by_pin: false,
                hunt: None,
            };
            self.placed += 1;
            self.calls.drain(..(self.calls.len() + 1).saturating_sub(CALLS));
            self.calls.push(call);
        }
    }
}

impl Model {
    /// Returns what a late caller meets, and true if the other one is to be texted.
    fn late_fate(&self, key: &LateKey) -> (&'static str, bool) {
        let Some(found) = self.may_ask(key) else { return ("declined", false) };
        let late = &found.expected.late;
        let asked = |side: Side| late.asked_at(side);
        if asked(key.caller.other()).is_some_and(|at| self.now.duration_since(at) < HOLDS) {
            return ("agreed", false);
        }
        ("asked", asked(key.caller).is_none_or(|at| at + BURST <= self.second()))
    }

    /// Returns the conversation, if the caller may ask: a participant, by the present phone, while a call ends before anybody else can
    /// get the numbers, and if the end was not one for both or for a side.
    fn may_ask(&self, key: &LateKey) -> Option<&ModelConversation> {
        let found = self.conversations.get(&key.conversation).filter(|found| found.is_readable(self.now))?;
        let is = &found.expected;
        let is_own = |phone: &RealNumber| members(is, key.caller).any(|own| canonical(own.number) == canonical(phone));
        let longest_call = SignedDuration::from_secs(is.limits.max_call_seconds.into());
        let is_free = is.blocked.is_none() && is.safety.is_none() && !is.hangs_up && is.limit_reached_at.is_none();
        let is_in_time = !found.is_live(self.now) && self.now + longest_call < found.quarantined_until();
        let may = key.yes && is.late.lost_property && is.direction.receiver().is_none() && is_free && is_in_time;
        (may && key.phone.as_ref().is_some_and(is_own)).then_some(&**found)
    }

    /// Checks what a late caller meets, and takes over that the other one was asked. If others changed the conversation meanwhile, or
    /// the process crashed, nobody may be asked.
    pub fn accept_late(
        &mut self,
        key: &LateKey,
        outcome: Option<&Outcome>,
        table: &Table,
        undisturbed: bool,
    ) -> Verdict {
        let (right, is_due) = self.late_fate(key);
        match outcome {
            Some(Outcome::Late(Ok((late, _)))) => {
                ensure(!undisturbed || met(late) == right, || format!("{key:?} meets {late:?}; expected {right}"))?;
                if let Late::Agreed(decision) = late {
                    ensure(right == "agreed", || format!("{key:?} meets {late:?}; expected {right}"))?;
                    let is = &self.conversations[&key.conversation].expected;
                    let callee = is.participant(key.caller.other());
                    let connection = Decision::Routed(Destination::Participant {
                        conversation: is.id,
                        connect_to: callee.number.clone(),
                        present_as: callee.sees.clone(),
                        one_way: false,
                        limits: is.limits,
                        caller: key.caller,
                        handling: is.handling,
                        left_seconds: None,
                        attempt: None,
                    });
                    ensure(**decision == connection, || format!("{key:?} meets {late:?}; expected {connection:?}"))?;
                }
            }
            Some(other) => return Err(format!("{key:?} failed: {other:?}")),
            None => {}
        }
        if is_due {
            let (now, id) = (self.second(), key.conversation);
            let found = table.conversations.get(&id).and_then(|found| found.late.asked_at(key.caller));
            ensure(found == Some(now) || !undisturbed, || format!("{key:?} asked nobody"))?;
            if let Some(conversation) = self.conversations.get_mut(&id).filter(|_| found == Some(now)) {
                let late = &mut conversation.expected.late;
                match key.caller {
                    Side::A => late.asked_a = Some(now),
                    Side::B => late.asked_b = Some(now),
                }
            }
        }
        Ok(())
    }

    /// Returns the outcome of a key for the coverage report. `self` is the state before it.
    pub fn describe_late(&self, key: &LateKey) -> &'static str {
        match self.late_fate(key) {
            ("asked", false) => "asked before",
            ("declined", _) if !self.conversations.contains_key(&key.conversation) => "unknown",
            (fate, _) => fate,
        }
    }
}

/// Checks the text messages about lost property among those that were `sent` in a step. Returns the others. `models` are those of
/// before and after it.
pub fn check_texts(
    [before, after]: [&Model; 2],
    keys: &[&LateKey],
    sent: Vec<Sent>,
    undisturbed: bool,
) -> Result<Vec<Sent>, String> {
    let words = Words::default();
    let (mut others, mut asked) = (Vec::new(), Vec::new());
    for text in sent {
        let mut of = before.conversations.values().filter(|found| found.attempt == text.attempt);
        let of = of.find(|found| {
            let [reader, other] = [text.side, text.side.other()].map(|side| found.expected.participant(side));
            let speech =
                words.speech(reader.language.as_ref()).with_label(other.label.as_ref()).with_number(&text.from);
            speech.write(Text::LostProperty) == text.text
        });
        let Some(of) = of else {
            others.push(text);
            continue;
        };
        let (id, asker, reader) = (of.expected.id, text.side.other(), of.expected.participant(text.side));
        let is_due = |key: &&&LateKey| (key.conversation, key.caller) == (id, asker) && before.late_fate(key).1;
        ensure(keys.iter().any(|key| is_due(&key)), || format!("{text:?} was not due"))?;
        ensure(reader.number == text.to && reader.sees == text.from, || format!("{text:?} has the wrong receiver"))?;
        ensure(!asked.contains(&(id, asker)), || format!("{text:?} was sent twice"))?;
        let found = after.conversations.get(&id);
        let is_noted = found.is_none_or(|found| found.expected.late.asked_at(asker) == Some(after.second()));
        ensure(is_noted, || format!("{text:?} was sent, but not noted"))?;
        let has_record = found.is_some_and(|found| found.expected.carrier_records.iter().any(|one| one.id == text.id));
        let is_to_record = undisturbed && text.outcome == SmsOutcome::Accepted;
        ensure(!is_to_record || has_record, || format!("{text:?} has no record"))?;
        asked.push((id, asker));
    }
    let due = keys.iter().find(|key| before.late_fate(key).1 && !asked.contains(&(key.conversation, key.caller)));
    ensure(!undisturbed || due.is_none(), || format!("no text message was sent for {due:?}"))?;
    Ok(others)
}
