//! Turns an action of a step into the operation that it means at this point of the case.

use jiff::SignedDuration;
use shared::domain::call::Direction;
use shared::domain::call_limits::CallLimits;
use shared::domain::conversation::ConversationId;
use shared::domain::guard::Guard;
use shared::domain::late::LateCare;
use shared::domain::lifetime::Lifetime;
use shared::domain::missed_calls::Measure;
use shared::domain::phone::{RealNumber, VirtualNumber};
use shared::domain::pool::{NumberState, PoolNumber};
use shared::domain::side::Side;
use shared::domain::sliding_end::SlidingEnd;
use shared::domain::text::Label;
use shared::domain::usage::{MaxCount, UsageLimits};
use shared::service::create::{Invitations, NewConversation, NewParticipant};
use shared::service::update::{Change, HandlingChange, NewPhone};
use shared::store::IdempotentRequest;

use crate::carrier::{SmsOutcome, label};
use crate::case::{Case, MOST_NUMBERS};
use crate::legs::{CallEvent, STATUSES};
use crate::lists::reference;
use crate::phones::hours;
use crate::pins;
use crate::scenario::{ARGENTINE, INVALID_PHONE, language, number, owner, person};
use crate::steps::{Action, ConversationRef, NewConversationSpec, PhoneRef};
use crate::system::Operation;

impl Case {
    /// Resolves an action against the present state. Returns `None` if there is nothing to apply it to.
    pub fn operation(&mut self, action: &Action) -> Option<Operation> {
        match action {
            Action::Create(spec, outcomes) => {
                self.idempotent.extend(spec.key.map(|_| spec.clone()));
                Some(self.creation(spec, outcomes))
            }
            Action::CreateAgain { nth, otherwise } => {
                let mut spec = self.idempotent.iter().rev().nth(nth % self.idempotent.len().max(1))?.clone();
                spec.notify ^= otherwise;
                Some(self.creation(&spec, &[]))
            }
            Action::End(which) => Some(Operation::End(self.id(*which))),
            Action::Erase(which) => Some(Operation::Erase(self.id(*which))),
            Action::EraseNumber(who) => Some(Operation::EraseNumber(self.phone(*who))),
            Action::Update { which, phone, lifetime, languages, blocked } => {
                let phone = phone.map(|(side, who)| NewPhone { side, number: self.in_e164(who), country: None });
                let lifetime = lifetime.map(|seconds| Lifetime::try_from(seconds).unwrap());
                let languages = languages.map(|nth| nth.map(language));
                let change = Change { lifetime, phone, languages, blocked: *blocked, ..Change::default() };
                Some(Operation::Update(self.id(*which), change))
            }
            Action::Block(which, blocked) => {
                Some(Operation::Update(self.id(*which), Change { blocked: Some(*blocked), ..Change::default() }))
            }
            Action::Team { which, side, change } => self.team_change(*which, *side, change),
            Action::Handle { which, texts, guarded, attempts } => {
                let measures = if *texts { vec![Measure::Text] } else { Vec::new() };
                let guard = if *guarded { Guard::Press1 } else { Guard::None };
                let handling = HandlingChange {
                    missed_calls: Some(measures.into()),
                    guard: Some(guard),
                    max_attempts: *attempts,
                    ..HandlingChange::default()
                };
                Some(Operation::Update(self.id(*which), Change { handling, ..Change::default() }))
            }
            Action::Event { call, callee, status } => {
                let call = self.calls.iter().rev().nth(call % self.calls.len().max(1))?.clone();
                let direction = if *callee { Direction::Outbound } else { Direction::Inbound };
                let event = CallEvent { call, direction, status: STATUSES[*status] };
                (event.time() <= self.model.now).then_some(Operation::Event(event))
            }
            Action::Next { call, asked } => {
                let call = self.calls.iter().rev().nth(call % self.calls.len().max(1))?.clone();
                self.model.step(call, *asked).map(Operation::Step)
            }
            Action::Pin(action) => self.pin_try(*action).map(Operation::Pin),
            Action::Place(action) => Some(Operation::Dial(self.place_order(*action))),
            Action::Press(action) => self.key_press(*action).map(Operation::Press),
            Action::Recorded(nth) => self.made(*nth).map(Operation::Recorded),
            Action::Keep => Some(Operation::Keep),
            Action::HangUp(call) => {
                let call = self.calls.iter().rev().nth(call % self.calls.len().max(1))?;
                Some(Operation::HangUp(call.clone()))
            }
            Action::Late(action) => self.late_key(*action).map(Operation::Late),
            Action::Drain(nth) => self.virtual_number(*nth).map(Operation::Drain),
            Action::Rotate(nth) => {
                let mut all: Vec<_> = self.model.numbers.keys().chain(self.model.released.keys()).collect();
                all.sort_by_key(|number| !self.model.is_dialled(number));
                all.get(nth % all.len().max(1)).map(|number| Operation::Rotate((*number).clone()))
            }
            Action::Move(nth, to_tenant) => {
                // First those whose owner changes.
                let mut all: Vec<_> = self.model.numbers.values().collect();
                all.sort_by_key(|number| number.owner == owner(*to_tenant));
                let number = all.get(nth % all.len().max(1))?;
                Some(Operation::Move(number.number.clone(), owner(*to_tenant)))
            }
            Action::PlaceOrder(kind, more) => {
                let left = MOST_NUMBERS.saturating_sub(self.model.numbers.len() + self.model.still_ordered());
                let more = isize::from(*more).min(left.try_into().unwrap());
                let count = self.model.towards_order(kind.country()).checked_add_signed(more)?;
                (count > 0).then_some(Operation::Place(*kind, count))
            }
            Action::Orders => Some(Operation::Orders),
            Action::AddNumber(kind) => {
                let count = self.model.towards_order(kind.country());
                let possible = self.model.numbers.len() < MOST_NUMBERS;
                possible.then_some(Operation::Rent(*kind, count + 1))
            }
            Action::Upkeep => Some(Operation::Upkeep),
            Action::Heal => Some(Operation::Heal),
            Action::Retain => Some(Operation::Retention),
            Action::TakeAway(nth) => {
                let rented = self.model.numbers.values().filter(|number| number.is_rented());
                let mut here: Vec<_> = rented.filter(|number| !self.model.away.contains(&number.number)).collect();
                // First those that somebody dials.
                here.sort_by_key(|number| !self.model.is_dialled(&number.number));
                here.get(nth % here.len().max(1)).map(|number| Operation::TakeAway((*number).clone()))
            }
            Action::GiveBack(nth) => {
                // A draining number leaves the pool as soon as Vonage does not list it.
                let awaited = |number: &&PoolNumber| number.state != NumberState::Draining || number.moves_to.is_some();
                let away = self.model.away.iter().filter_map(|number| self.model.numbers.get(number)).filter(awaited);
                let away: Vec<_> = away.collect();
                away.get(nth % away.len().max(1)).map(|number| Operation::GiveBack((*number).clone()))
            }
        }
    }

    /// Returns the rule by which an end slides: most have the usual latest end, some an early one.
    fn sliding_end(&self, seconds: u64) -> SlidingEnd {
        let latest = seconds.is_multiple_of(3).then(|| self.model.now + SignedDuration::from_secs(400));
        SlidingEnd::new(Lifetime::try_from(seconds).unwrap(), latest, self.model.now)
    }

    fn creation(&mut self, spec: &NewConversationSpec, outcomes: &[SmsOutcome]) -> Operation {
        self.system.texts.expect(outcomes);
        self.attempts += 1;
        let attempt = self.attempts.to_string();
        let participant = |side: Side| NewParticipant {
            number: self.in_e164(spec.people[side.index()]),
            country: None,
            label: Label::try_from(label(&attempt, side)).ok(),
            language: spec.languages[side.index()].map(language),
            channel: None,
            hours: spec.hours[side.index()].map(hours),
            name: None,
            further: spec.further[side.index()].iter().map(|further| self.new_further(*further)).collect(),
        };
        let new = NewConversation {
            owner: owner(spec.of_tenant),
            participants: Side::BOTH.map(participant),
            direction: spec.direction,
            lifetime: Lifetime::try_from(spec.lifetime).unwrap(),
            quarantine_seconds: spec.quarantine,
            sliding_end: spec.slides.map(|seconds| self.sliding_end(seconds)),
            limits: CallLimits::with_max_call(CallLimits::MIN_CALL_SECONDS),
            handling: spec.handling,
            text_masking: shared::domain::text_masking::TextMasking::Off,
            contact_card: None,
            invitations: Invitations::default(),
            decision: None,
            late: LateCare { lost_property: spec.lost_property, ..LateCare::default() },
            usage_limits: UsageLimits {
                max_calls: spec.max_calls.map(|calls| MaxCount::try_from(calls).unwrap()),
                max_minutes: spec.max_minutes.map(|minutes| MaxCount::try_from(minutes).unwrap()),
                max_calls_per_day: spec.max_calls_per_day.map(|calls| MaxCount::try_from(calls).unwrap()),
                ..UsageLimits::default()
            },
            usual_limits: UsageLimits::default(),
            pins: spec.pin.then(pins::issuer),
            notify: spec.notify,
            reference: reference(self.attempts),
        };
        let request =
            // What hashes the keys of requests gives those of two owners different hashes; see `edge::http::idempotency`.
            spec.key.map(|key| IdempotentRequest {
                key_hash: format!("key-{key}-{}", spec.of_tenant),
                fingerprint: format!("{spec:?}"),
            });
        let is_late = self.attempts.is_multiple_of(4);
        Operation::Create { attempt, new: Box::new(new), request, is_late }
    }

    pub fn id(&self, which: ConversationRef) -> ConversationId {
        let known = match which {
            ConversationRef::Last(nth) => self.ids.iter().rev().nth(nth % self.ids.len().max(1)),
            ConversationRef::Unknown => None,
        };
        known.copied().unwrap_or_else(|| ConversationId::generate(self.model.now))
    }

    pub fn phone(&self, who: PhoneRef) -> RealNumber {
        match who {
            PhoneRef::Person(index) => person(index),
            PhoneRef::OtherSpelling => number(ARGENTINE.1),
            PhoneRef::Invalid => number(INVALID_PHONE),
            PhoneRef::Virtual(nth) => {
                number(self.virtual_number(nth).as_ref().map_or(INVALID_PHONE, VirtualNumber::as_str))
            }
        }
    }

    pub fn in_e164(&self, who: PhoneRef) -> String {
        format!("+{}", self.phone(who).expose())
    }

    /// Picks a number that is in the pool or was in it before.
    pub fn virtual_number(&self, nth: usize) -> Option<VirtualNumber> {
        let all: Vec<_> = self.model.numbers.keys().chain(self.model.released.keys()).collect();
        all.get(nth % all.len().max(1)).map(|number| (*number).clone())
    }
}
